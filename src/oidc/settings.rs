//! What is set about signing in with OpenID Connect: the table `[oidc]` of `annals.toml`.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::person::Role;
use super::provider::is_safe;
use crate::auth::{Restriction, Scope, Scopes, is_text};
use crate::event::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::query::{Env, ParseError};

/// A longer secret is some other file, bytes.
const SECRET_BYTES_MAX: u64 = 4_096;
/// The bit of a file's mode that lets everybody read it.
const WORLD_READS: u32 = 0o004;

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The provider: what it calls itself, letter by letter. https, unless it is on this machine.
    pub issuer: String,
    /// What the provider calls us.
    pub client_id: String,
    /// A file with the secret that the provider gave us; a public client has none. Not readable by everybody.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for, separated by spaces; `openid` is among it. Default `openid profile email`.
    #[serde(default = "default_scopes")]
    pub scopes: String,
    /// What the button says after "Sign in with". Default `single sign-on`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The claim that has somebody's roles, one or a list: its name, or the way to it with dots. Default `roles`.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// What each role lets its people do. The first one that somebody has counts.
    #[serde(default)]
    pub roles: Vec<RoleSettings>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSettings {
    /// The value of the claim.
    pub value: String,
    /// Some of `read`, `personal`, `export`, `admin`; `read` is among them.
    pub scopes: Vec<String>,
    /// The one tenant they read.
    pub tenant: Option<String>,
    /// A query that they cannot widen.
    pub restriction: Option<String>,
}

fn default_scopes() -> String {
    "openid profile email".into()
}

fn default_name() -> String {
    "single sign-on".into()
}

fn default_roles_claim() -> String {
    "roles".into()
}

/// Why these settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A member.
    #[error("oidc.{member}: {why}")]
    Bad {
        /// Which.
        member: &'static str,
        /// What is wrong and what was expected.
        why: String,
    },
    /// A role.
    #[error("oidc.roles: the role {value:?}: {why}")]
    Role {
        /// Its value.
        value: String,
        /// What is wrong and what was expected.
        why: String,
    },
    /// A role's restriction is no query.
    #[error("oidc.roles: the restriction of the role {value:?}")]
    Restriction {
        /// Its value.
        value: String,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// The file with the secret.
    #[error("oidc.client_secret_file: cannot read {path}")]
    Secret {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Settings {
    /// Refuses what makes no sense, as far as that shows without files and a catalogue.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        let bad = |member, why: &str| Err(SettingsError::Bad { member, why: why.into() });
        if !is_safe(&self.issuer) || self.issuer.contains(['?', '#']) {
            return bad("issuer", "expected an address such as https://login.example.org; http on this machine only");
        }
        if !is_text(&self.client_id, ID_BYTES_MAX) {
            return bad("client_id", "expected what the provider calls this client");
        }
        if !self.scopes.split(' ').any(|scope| scope == "openid") || !is_text(&self.scopes, ID_BYTES_MAX) {
            return bad("scopes", "expected words separated by spaces, openid among them");
        }
        if !is_text(&self.name, NAME_BYTES_MAX) {
            return bad("name", "expected what the provider is called, without control characters");
        }
        if !is_text(&self.roles_claim, ID_BYTES_MAX) {
            return bad("roles_claim", "expected the name of a claim, or the way to it with dots");
        }
        if self.roles.is_empty() {
            return bad("roles", "expected at least one [[oidc.roles]]: without a role nobody is let in");
        }
        self.roles.iter().try_for_each(|role| role.scopes().map(drop))
    }

    /// The roles, with their restrictions as they read.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn roles(&self, env: &Env<'_>) -> Result<Vec<Role>, SettingsError> {
        self.roles.iter().map(|role| role.read(env)).collect()
    }

    /// The secret, if there is one.
    ///
    /// # Errors
    /// When its file cannot be read, or can be by everybody.
    pub fn secret(&self) -> Result<Option<String>, SettingsError> {
        self.client_secret_file.as_deref().map(read_secret).transpose()
    }
}

impl RoleSettings {
    fn scopes(&self) -> Result<Scopes, SettingsError> {
        let bad = |why: String| Err(SettingsError::Role { value: self.value.clone(), why });
        let is_allowed = |scope: &Scope| *scope != Scope::Write;
        let mut scopes = Vec::new();
        for word in &self.scopes {
            let Some(scope) = Scope::named(word).filter(is_allowed) else {
                return bad(format!("there is no scope {word:?} for people, expected read, personal, export, admin"));
            };
            scopes.push(scope);
        }
        let scopes: Scopes = scopes.into_iter().collect();
        if !scopes.has(Scope::Read) {
            return bad("expected the scope read: the page shows nothing without it".into());
        }
        if scopes.has(Scope::Admin) && (self.tenant.is_some() || self.restriction.is_some()) {
            return bad("admin is for roles without tenant and restriction: its people can make keys without".into());
        }
        if self.value.is_empty() {
            return bad("expected a value of the claim".into());
        }
        if self.tenant.as_deref().is_some_and(|tenant| !is_text(tenant, ID_BYTES_MAX)) {
            return bad(format!("tenant: expected 1 to {ID_BYTES_MAX} bytes of text without control characters"));
        }
        Ok(scopes)
    }

    fn read(&self, env: &Env<'_>) -> Result<Role, SettingsError> {
        let restriction = self.restriction.as_deref().map(|text| Restriction::read(text, env)).transpose();
        let restriction =
            restriction.map_err(|source| SettingsError::Restriction { value: self.value.clone(), source })?;
        Ok(Role {
            value: self.value.clone(),
            scopes: self.scopes()?,
            tenant: self.tenant.as_deref().map(Arc::from),
            restriction: restriction.map(Arc::new),
        })
    }
}

fn read_secret(path: &Path) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::Secret { path: path.to_owned(), source };
    let bad = |why: String| SettingsError::Bad { member: "client_secret_file", why };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & WORLD_READS != 0 {
        return Err(bad(format!("{} can be read by everybody, expected mode 0600 or 0640", path.display())));
    }
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() as u64 > SECRET_BYTES_MAX {
        return Err(bad(format!("{} does not hold a secret of 1 to {SECRET_BYTES_MAX} bytes", path.display())));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    const MINIMAL: &str =
        "issuer = 'https://login.example.org'\nclient_id = 'annals'\n[[roles]]\nvalue = 'r'\nscopes = ['read']\n";

    fn read(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn little_is_needed_and_the_rest_has_defaults() {
        let settings = read(MINIMAL);
        settings.check().unwrap();
        assert_eq!(settings.scopes, "openid profile email");
        assert_eq!((settings.name.as_str(), settings.roles_claim.as_str()), ("single sign-on", "roles"));
        assert_eq!(settings.secret().unwrap(), None);
        assert!(toml::from_str::<Settings>(&format!("isuer = 'x'\n{MINIMAL}")).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (member, from, to) in [
            ("oidc.issuer", "https://login.example.org", "http://login.example.org"),
            ("oidc.issuer", "https://login.example.org", "login.example.org"),
            ("oidc.issuer", "https://login.example.org", "https://login.example.org?x=1"),
            ("oidc.issuer", "https://login.example.org", "https://a@login.example.org"),
            ("oidc.issuer", "https://login.example.org", "http://127.0.0.1.example.org"),
            ("oidc.client_id", "'annals'", "''"),
            ("oidc.scopes", "client_id", "scopes = 'profile'\nclient_id"),
            ("oidc.name", "client_id", "name = ' '\nclient_id"),
            ("oidc.roles_claim", "client_id", "roles_claim = ''\nclient_id"),
            ("\"r\"", "['read']", "['read', 'write']"),
            ("\"r\"", "['read']", "['read', 'root']"),
            ("\"r\"", "['read']", "['export']"),
            ("\"r\"", "['read']", "['read', 'admin']\ntenant = 'a'"),
            ("\"r\"", "['read']", "['read', 'admin']\nrestriction = 'a'"),
            ("\"r\"", "['read']", "['read']\ntenant = ''"),
            ("\"\"", "'r'", "''"),
        ] {
            let changed = MINIMAL.replacen(from, to, 1);
            assert_ne!(changed, MINIMAL);
            let said = read(&changed).check().unwrap_err().to_string();
            assert!(said.contains(member), "{to}: {said}");
        }
        let nobody = Settings { roles: Vec::new(), ..read(MINIMAL) };
        assert!(nobody.check().unwrap_err().to_string().starts_with("oidc.roles"));
        for issuer in ["http://127.0.0.1:9000/realm", "http://[::1]:9000", "http://localhost"] {
            Settings { issuer: issuer.into(), ..read(MINIMAL) }.check().unwrap();
        }
        let env = Env { now_ms: 1_700_000_000_000, catalogue: Catalogue::builtin() };
        let odd = read(&format!("{MINIMAL}restriction = 'actr:x'"));
        assert!(matches!(odd.roles(&env), Err(SettingsError::Restriction { .. })));
        let narrow = read(&format!("{MINIMAL}restriction = 'action:contacts'\ntenant = 'acme'"));
        let role = narrow.roles(&env).unwrap().remove(0);
        assert_eq!(role.tenant.as_deref(), Some("acme"));
        assert_eq!(role.restriction.unwrap().text(), "action:contacts");
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let settings = Settings { client_secret_file: Some(path.clone()), ..read(MINIMAL) };
        assert!(matches!(settings.secret(), Err(SettingsError::Secret { .. })));
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("s3cret\n", 0o640);
        assert_eq!(settings.secret().unwrap().as_deref(), Some("s3cret"));
        for (text, mode) in [("s3cret", 0o644), ("s3cret", 0o604), ("\n", 0o600), (&"x".repeat(5_000), 0o600)] {
            write(text, mode);
            let said = settings.secret().unwrap_err().to_string();
            assert!(said.starts_with("oidc.client_secret_file") && !said.contains("s3cret"), "{said}");
        }
    }
}
