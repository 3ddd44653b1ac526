//! Tokens for the people who look at the page inside another: who makes one hands on a part of what their key may see, for a
//! while. The token says all there is to know of it, under a MAC whose key is drawn from the hash of the maker's key: without
//! that key it is worth nothing. Only revoked ones are kept, until they would have ended anyway.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Who};
use super::keys::{ID_MARK, Key, KeyError, Keys, check_text};
use super::restriction::Restriction;
use super::scope::{Scope, Scopes};
use crate::durable::{self, Disk, read_small};
use crate::event::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::event::row::hex;
use crate::query::Env;

/// Where revoked ones are kept, in the data directory (0400).
pub const FILE: &str = "viewers.json";
/// How long a token counts unless its maker says otherwise, and how long it may, s.
pub const LIFE_S_DEFAULT: u64 = 60 * 60;
/// The bounds of what its maker may say, s.
pub const LIFE_S: std::ops::RangeInclusive<u64> = 60..=24 * 60 * 60;
/// A token stands in an address: its restriction is shorter than a key's may be, bytes.
pub const RESTRICTION_BYTES_MAX: usize = 2 << 10;
/// Longest token that is read, bytes: the claims, escaped and in base64, and the MAC.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Revoked ones that may be kept at a time.
pub const REVOKED_MAX: usize = 10_000;
/// What one takes in the file, at most: its id and a number.
const REVOKED_BYTES_MAX: u64 = 256;
/// Begins every token.
const MARK: &str = "annals_viewer.";
const VIEWER_MARK: &str = "viewer_";
/// Bytes of chance in an id.
const ID_CHANCE: usize = 8;

/// What is wanted of a new token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewerDraft {
    /// Who is to look, as their own system calls them.
    pub user: String,
    /// What they are called.
    pub name: Option<String>,
    /// The one tenant that they see.
    pub tenant: Option<String>,
    /// A query that they may not widen.
    pub restriction: Option<String>,
    /// They may take answers away as files.
    pub export: bool,
    /// They see what is sealed for a person.
    pub personal: bool,
    /// For how long, s.
    pub life_s: Option<u64>,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viewer {
    /// What it is called in the log.
    pub id: String,
    /// Whose key made it.
    pub by: String,
    /// Who looks.
    pub user: String,
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The one tenant that they see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What they may not widen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// They may take answers away.
    pub export: bool,
    /// They see what is sealed for a person.
    pub personal: bool,
    /// From when on it is refused, ms.
    pub expires_ms: u64,
}

/// Revoked tokens with when they would have ended, ms.
type Ends = HashMap<String, u64>;

/// The revoked ones of a data directory.
pub(super) struct Revoked {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Held to look one up, and while the file is replaced.
    ends: Mutex<Ends>,
}

impl Revoked {
    pub(super) fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<Revoked, KeyError> {
        let path = dir.join(FILE);
        let ends: Ends = match read_small(&*disk, &path, REVOKED_BYTES_MAX * REVOKED_MAX as u64) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| KeyError::Damaged { path: path.clone(), why: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ends::new(),
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        Ok(Revoked { disk, dir, ends: Mutex::new(ends) })
    }

    fn has(&self, id: &str) -> bool {
        self.ends.lock().contains_key(id)
    }

    fn add(&self, id: &str, ends_ms: u64, now_ms: u64) -> Result<(), KeyError> {
        let mut ends = self.ends.lock();
        let mut next: Ends = ends.iter().filter(|(_, ms)| **ms > now_ms).map(|(id, ms)| (id.clone(), *ms)).collect();
        next.insert(id.to_owned(), ends_ms);
        if next.len() > REVOKED_MAX {
            let why = format!("{REVOKED_MAX} viewers are revoked already; revoke the key that made them");
            return Err(KeyError::Bad { member: "id", why });
        }
        let text = serde_json::to_vec_pretty(&next).expect("ids and numbers are plain data");
        durable::replace_secret(&*self.disk, &self.dir, FILE, &text)
            .map_err(|source| KeyError::Io { path: self.dir.join(FILE), source })?;
        *ends = next;
        Ok(())
    }
}

/// Whether this text wants to be the token of a viewer.
pub fn is_token(text: &str) -> bool {
    text.starts_with(MARK)
}

impl Keys {
    /// Makes a token for somebody who sees a part of what `maker` sees. Nothing is kept of it.
    ///
    /// # Errors
    /// When what is wanted makes no sense or is more than the maker has, or the system has no random bytes.
    pub fn make_viewer(&self, maker: &Caller, draft: ViewerDraft, env: &Env<'_>) -> Result<(Viewer, String), KeyError> {
        let bad = |member, why: String| Err(KeyError::Bad { member, why });
        let key = match maker.who() {
            Who::Key { id, .. } => self.standing(id, env.now_ms),
            _ => None,
        };
        let Some(key) = key else { return bad("key", "a viewer is made with a key".into()) };
        check_text("user", &draft.user, ID_BYTES_MAX)?;
        draft.name.as_deref().map_or(Ok(()), |name| check_text("name", name, NAME_BYTES_MAX))?;
        draft.tenant.as_deref().map_or(Ok(()), |tenant| check_text("tenant", tenant, ID_BYTES_MAX))?;
        let own = key.tenant.as_deref();
        if own.is_some() && draft.tenant.is_some() && draft.tenant.as_deref() != own {
            return bad("tenant", "this key sees one tenant, and it is another".into());
        }
        for (member, scope, is_wanted) in
            [("export", Scope::Export, draft.export), ("personal", Scope::Personal, draft.personal)]
        {
            if is_wanted && !key.scopes.has(scope) {
                return bad(member, format!("this key has not the scope {}", scope.as_str()));
            }
        }
        let life_s = draft.life_s.unwrap_or(LIFE_S_DEFAULT);
        if !LIFE_S.contains(&life_s) {
            return bad("expires_in", format!("expected {} to {} seconds", LIFE_S.start(), LIFE_S.end()));
        }
        if let Some(text) = &draft.restriction {
            if text.len() > RESTRICTION_BYTES_MAX {
                return bad("restriction", format!("expected at most {RESTRICTION_BYTES_MAX} bytes"));
            }
            Restriction::read(text, env)?;
        }
        let expires_ms = env.now_ms + life_s * 1_000;
        let chance = durable::random::<ID_CHANCE>()
            .map_err(|source| KeyError::Io { path: "the system's random bytes".into(), source })?;
        let viewer = Viewer {
            id: format!("{VIEWER_MARK}{}_{expires_ms:x}_{}", prefix_of(&key), hex(&chance)),
            by: key.id.to_string(),
            user: draft.user,
            name: draft.name,
            tenant: draft.tenant.or_else(|| own.map(str::to_owned)),
            restriction: draft.restriction,
            export: draft.export,
            personal: draft.personal,
            expires_ms,
        };
        let claims = serde_json::to_vec(&viewer).expect("claims are plain data");
        let mac = key.viewer_mac(&claims);
        let token = format!("{MARK}{}.{}", URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode(mac));
        Ok((viewer, token))
    }

    /// Lets the holder of a token in, as long as it counts. `None` says no more than that it does not.
    pub fn admit_viewer(&self, token: &str, env: &Env<'_>) -> Option<Caller> {
        let (claims, mac) = token.strip_prefix(MARK).filter(|_| token.len() <= TOKEN_BYTES_MAX)?.split_once('.')?;
        let (claims, mac) = (URL_SAFE_NO_PAD.decode(claims).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        // Nothing it says counts before its MAC is checked, but for whose that is.
        let viewer: Viewer = serde_json::from_slice(&claims).ok()?;
        let key = self.standing(&viewer.by, env.now_ms).filter(|key| key.is_viewer_mac(&claims, &mac))?;
        if !self.viewer_stands(&viewer.id, &viewer.by, viewer.expires_ms, env.now_ms) {
            return None;
        }
        let scopes: Scopes = [(Scope::Read, true), (Scope::Export, viewer.export), (Scope::Personal, viewer.personal)]
            .into_iter()
            .filter(|(scope, is_given)| *is_given && key.scopes.has(*scope))
            .map(|(scope, _)| scope)
            .collect();
        let own = viewer.restriction.as_deref().map(|text| Restriction::read(text, env)).transpose().ok()?;
        let restriction = match (key.restriction.clone(), own) {
            (Some(kept), Some(own)) => Some(Arc::new(kept.and(&own))),
            (kept, own) => kept.or_else(|| own.map(Arc::new)),
        };
        let who = Who::Viewer {
            id: viewer.id.into(),
            user: viewer.user.into(),
            name: viewer.name.map(Arc::from),
            by: viewer.by.into(),
            expires_ms: viewer.expires_ms,
        };
        Some(Caller::new(who, scopes, key.tenant.clone().or(viewer.tenant.map(Arc::from)), restriction))
    }

    /// Whether a viewer who was let in may stay.
    pub fn viewer_stands(&self, id: &str, by: &str, expires_ms: u64, now_ms: u64) -> bool {
        now_ms < expires_ms && !self.revoked.has(id) && self.stands(by, now_ms)
    }

    /// Revokes a token by its id, durable before it is answered. `false` if it is none that `maker` made; who may make keys may
    /// revoke every viewer.
    ///
    /// # Errors
    /// When the disk fails or too many are revoked; then it counts as before.
    pub fn revoke_viewer(&self, maker: &Caller, id: &str, now_ms: u64) -> Result<bool, KeyError> {
        let Some((prefix, expires_ms)) = parts_of(id) else { return Ok(false) };
        let is_own = matches!(maker.who(), Who::Key { id, .. } if id.strip_prefix(ID_MARK) == Some(prefix));
        if !is_own && !maker.may(Scope::Admin) {
            return Ok(false);
        }
        // Nobody can make one that counts longer.
        let is_possible = expires_ms <= now_ms + LIFE_S.end() * 1_000;
        if is_possible && expires_ms > now_ms && !self.revoked.has(id) {
            self.revoked.add(id, expires_ms, now_ms)?;
        }
        Ok(is_possible)
    }
}

fn prefix_of(key: &Key) -> &str {
    key.id.strip_prefix(ID_MARK).unwrap_or_default()
}

/// The maker's prefix and the end, ms, in the id of a viewer.
fn parts_of(id: &str) -> Option<(&str, u64)> {
    let mut parts = id.strip_prefix(VIEWER_MARK)?.split('_');
    let (prefix, ends, chance) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_right = chance.len() == 2 * ID_CHANCE && is_hex(chance) && is_hex(ends) && parts.next().is_none();
    let is_prefix = prefix.len() <= 16 && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let ends_ms = u64::from_str_radix(ends, 16).ok()?;
    (is_right && is_prefix).then_some((prefix, ends_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Draft;
    use crate::durable::OsDisk;
    use crate::event::Catalogue;

    const NOW: u64 = 1_800_000_000_000;

    fn env(now_ms: u64) -> Env<'static> {
        Env { now_ms, catalogue: Catalogue::builtin() }
    }

    fn draft() -> ViewerDraft {
        ViewerDraft { user: "u_1".into(), tenant: Some("acme".into()), ..ViewerDraft::default() }
    }

    /// Keys of a new directory, and one of them as a caller.
    fn keys(wanted: &Draft) -> (tempfile::TempDir, Keys, Caller) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(OsDisk::shared(), dir.path(), &env(NOW)).unwrap();
        let (key, _) = keys.create(wanted, &env(NOW)).unwrap();
        let caller = keys.holder(&key.id, NOW).unwrap();
        (dir, keys, caller)
    }

    fn reader(scopes: &[Scope]) -> Draft {
        Draft { name: "backend".into(), scopes: scopes.iter().copied().collect(), ..Draft::default() }
    }

    #[test]
    fn a_viewer_sees_where_its_maker_and_its_token_meet() {
        let wanted =
            Draft { restriction: Some("action:contacts OR x".into()), ..reader(&[Scope::Read, Scope::Export]) };
        let (_dir, keys, maker) = keys(&wanted);
        let wanted = ViewerDraft { restriction: Some("actor:u_1 OR y".into()), ..draft() };
        let (viewer, token) = keys.make_viewer(&maker, wanted, &env(NOW)).unwrap();
        let caller = keys.admit_viewer(&token, &env(NOW)).unwrap();
        assert_eq!(
            caller.sight(&env(NOW)).to_string(),
            "tenant:acme (action:contacts OR x) (actor:u_1 OR y)".to_owned()
        );
        assert_eq!((caller.scopes().to_string(), caller.tenant()), ("read".to_owned(), Some("acme")));
        assert!(!caller.sees_all());
        assert!(keys.admit_viewer(&token, &env(viewer.expires_ms - 1)).is_some());
        assert!(keys.admit_viewer(&token, &env(viewer.expires_ms)).is_none());
    }

    #[test]
    fn nobody_hands_on_more_than_they_have() {
        let (_dir, keys, maker) = keys(&Draft { tenant: Some("acme".into()), ..reader(&[Scope::Read]) });
        let member = |draft: ViewerDraft| match keys.make_viewer(&maker, draft, &env(NOW)) {
            Err(KeyError::Bad { member, .. }) => member,
            Err(KeyError::Restriction(_)) => "query",
            made => panic!("{made:?}"),
        };
        assert_eq!(member(ViewerDraft { tenant: Some("other".into()), ..draft() }), "tenant");
        assert_eq!(member(ViewerDraft { export: true, ..draft() }), "export");
        assert_eq!(member(ViewerDraft { personal: true, ..draft() }), "personal");
        assert_eq!(member(ViewerDraft { user: " ".into(), ..draft() }), "user");
        assert_eq!(member(ViewerDraft { life_s: Some(86_401), ..draft() }), "expires_in");
        assert_eq!(member(ViewerDraft { restriction: Some("a".repeat(2_049)), ..draft() }), "restriction");
        assert_eq!(member(ViewerDraft { restriction: Some("a) OR (b".into()), ..draft() }), "query");
        let (viewer, token) = keys.make_viewer(&maker, ViewerDraft { tenant: None, ..draft() }, &env(NOW)).unwrap();
        assert_eq!(viewer.tenant.as_deref(), Some("acme"));
        let viewer = keys.admit_viewer(&token, &env(NOW)).unwrap();
        assert!(keys.make_viewer(&viewer, draft(), &env(NOW)).is_err(), "a viewer makes no viewers");
    }

    #[test]
    fn no_token_but_the_one_that_was_made_is_taken() {
        let (_dir, keys, maker) = keys(&reader(&[Scope::Read]));
        let (_, token) = keys.make_viewer(&maker, draft(), &env(NOW)).unwrap();
        assert!(keys.admit_viewer(&token, &env(NOW)).is_some());
        let at = token.rfind('.').unwrap();
        for n in (MARK.len()..token.len()).filter(|n| *n != at) {
            let mut bytes = token.clone().into_bytes();
            bytes[n] = if bytes[n] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(bytes).unwrap();
            // The last character of a base64 text has bits that stand for nothing, and must be zero.
            assert!(keys.admit_viewer(&other, &env(NOW)).is_none(), "{n}");
        }
        for cut in 0..token.len() {
            assert!(keys.admit_viewer(&token[..cut], &env(NOW)).is_none());
        }
    }

    #[test]
    fn a_revoked_token_and_one_of_a_revoked_key_are_refused_also_after_a_restart() {
        let (dir, keys, maker) = keys(&reader(&[Scope::Read]));
        let make = || keys.make_viewer(&maker, draft(), &env(NOW)).unwrap();
        let ((one, one_token), (_, other_token)) = (make(), make());
        assert!(keys.revoke_viewer(&maker, &one.id, NOW).unwrap());
        assert!(keys.revoke_viewer(&maker, &one.id, NOW).unwrap(), "twice is once");
        assert!(!keys.revoke_viewer(&maker, "viewer_x", NOW).unwrap());
        let (stranger, _) = keys.create(&reader(&[Scope::Read]), &env(NOW)).unwrap();
        let stranger = keys.holder(&stranger.id, NOW).unwrap();
        assert!(!keys.revoke_viewer(&stranger, &one.id, NOW).unwrap());

        let again = Keys::open(OsDisk::shared(), dir.path(), &env(NOW)).unwrap();
        for keys in [&keys, &again] {
            assert!(keys.admit_viewer(&one_token, &env(NOW)).is_none());
            assert!(keys.admit_viewer(&other_token, &env(NOW)).is_some());
        }
        let Who::Key { id, .. } = maker.who() else { panic!("{maker:?}") };
        keys.revoke(id, NOW).unwrap();
        assert!(keys.admit_viewer(&other_token, &env(NOW)).is_none());
    }

    #[test]
    fn what_has_ended_makes_room_among_the_revoked() {
        let (_dir, keys, maker) = keys(&reader(&[Scope::Read]));
        let prefix = match maker.who() {
            Who::Key { id, .. } => id.strip_prefix(ID_MARK).unwrap().to_owned(),
            who => panic!("{who}"),
        };
        let ends_ms = NOW + 1_000;
        let id = |n: usize| format!("{VIEWER_MARK}{prefix}_{ends_ms:x}_{n:016x}");
        *keys.revoked.ends.lock() = (0..REVOKED_MAX).map(|n| (id(n), ends_ms)).collect();
        assert!(keys.revoke_viewer(&maker, &id(REVOKED_MAX), NOW).is_err());
        let (later, _) = keys.make_viewer(&maker, draft(), &env(ends_ms)).unwrap();
        assert!(keys.revoke_viewer(&maker, &later.id, ends_ms).unwrap());
        assert_eq!(keys.revoked.ends.lock().len(), 1);
    }
}
