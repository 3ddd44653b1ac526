//! Signing in with a provider, as far as it takes none: what is set is checked before anything is served, and what is brought from
//! nowhere is refused. A whole sign-in with a real provider is in `tests/browser/oidc.test.mjs`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::world::{World, refused_with, wait_for};

const CALLBACK: &str = "/admin/audit-log/sign-in/callback";

fn settings(dir: &Path, issuer: &str, more: &str) -> String {
    let path = dir.join("annals.toml");
    let role = "[[oidc.roles]]\nvalue = 'auditor'\nscopes = ['read']\n";
    std::fs::write(&path, format!("[oidc]\nissuer = '{issuer}'\nclient_id = 'annals'\n{more}\n{role}"))
        .expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn settings_that_would_let_the_wrong_ones_in_stop_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s3cret").expect("a file");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let https = "https://login.example.org";
    let secret = format!("client_secret_file = '{}'", secret.display());
    for (issuer, more, said) in [
        ("http://login.example.org", "", "oidc.issuer"),
        (https, "scopes = 'profile'", "oidc.scopes"),
        (https, secret.as_str(), "can be read by everybody"),
        (https, "[[oidc.roles]]\nvalue = 'x'\nscopes = ['read', 'write']", "no scope \"write\" for people"),
        (
            https,
            "[[oidc.roles]]\nvalue = 'x'\nscopes = ['read']\nrestriction = 'actr:x'",
            "the restriction of the role \"x\"",
        ),
        (https, "issuers = 'x'", "unknown field"),
    ] {
        let file = settings(dir.path(), issuer, more);
        let (code, stderr) = refused_with(&dir.path().join("data"), &["--config", &file]);
        assert!(stderr.contains(said), "{said}: {stderr}");
        assert!(!stderr.contains("s3cret") && code == Some(2), "{code:?} {stderr}");
    }
}

#[test]
fn what_comes_back_from_no_sign_in_is_refused_entered_and_folded() {
    let dir = tempfile::tempdir().expect("a directory");
    // Nobody listens there: who asks for a provider finds none.
    let world = World::guarded_with(&["--config", &settings(dir.path(), "http://127.0.0.1:9", "name = 'Nobody'")]);
    let visit = |path: &str, headers: &[(&str, &str)]| world.call("GET", path, headers, b"").expect("an answer");
    assert!(visit("/admin/audit-log/sign-in", &[]).text().contains("Sign in with Nobody"));
    let cookie = format!("annals_oidc={}", "a".repeat(43));
    for path in ["", "?state=x&code=y", "?code=y", "?state=x&state=x&code=y", "?error=access_denied"] {
        let refused = visit(&format!("{CALLBACK}{path}"), &[("cookie", &cookie)]).expect_status(400);
        assert!(!refused.headers.iter().any(|(name, value)| name == "set-cookie" && value.contains("annals_session")));
        assert!(refused.text().contains("Please begin again"));
    }
    let away = visit("/admin/audit-log/sign-in/oidc?to=//evil.example", &[]).expect_status(502);
    assert!(away.text().contains("does not work at the moment") && !away.text().contains("evil"));
    let failed = wait_for("its entry", || {
        let found = world.search("action:auth.sign_in_failed", 10);
        (found["total"] == 1).then(|| found["events"][0].clone())
    });
    assert_eq!(failed["detail"], json!({"count": 1, "by": "oidc", "why": "bad_state"}));
    assert_eq!(failed["outcome"], "denied");
}
