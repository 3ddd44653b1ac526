//! The HTTP surface as strangers look at it: which headers every answer has, whose scripts may ask, and what two tools that are
//! not ours find: schemathesis holds the server against `/openapi.json`, sslyze against what is known to be wrong with TLS.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::access::example;
use crate::answer::Answer;
use crate::data::{demo_events, skipped};
use crate::network::Pki;
use crate::world::{World, answer, is_soak, wait_for};

/// Cases of an operation, in `make test` and in `make soak`.
const CASES: [&str; 2] = ["30", "400"];

/// A tool of the environment that the Makefile makes, unless it could not.
fn tool(name: &str) -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/outside/bin").join(name);
    tool.is_file().then_some(tool)
}

/// What is wrong with the headers of an answer.
fn wrong_headers(answer: &Answer, is_tls: bool) -> Vec<String> {
    let header = |name: &str| answer.header(name).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut expect = |is_right: bool, what: &str| {
        if !is_right {
            wrong.push(what.to_owned());
        }
    };
    expect(header("x-content-type-options") == "nosniff", "x-content-type-options");
    let policy = header("content-security-policy");
    expect(policy.starts_with("default-src 'none'"), "content-security-policy");
    // What X-Frame-Options says too, and says worse where some may frame the page.
    expect(policy.ends_with("frame-ancestors 'none'"), "frame-ancestors");
    expect(matches!(header("referrer-policy"), "no-referrer" | "same-origin"), "referrer-policy");
    let cache = header("cache-control");
    expect(cache == "no-store" || cache == "public, max-age=31536000, immutable", "cache-control");
    for told in ["server", "x-powered-by", "via"] {
        expect(answer.header(told).is_none(), told);
    }
    let is_cors = answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
    expect(!is_cors, "nobody asked for CORS");
    let hsts = answer.header("strict-transport-security");
    expect(hsts == is_tls.then_some("max-age=31536000"), "strict-transport-security");
    wrong
}

#[test]
fn every_answer_of_every_route_has_the_headers_that_keep_it_where_it_belongs() {
    let world = World::guarded();
    world.load(demo_events(20).lines());
    let id = "@0";
    wait_for("a signed entry", || (world.get("/v1/events/@0/proof").status == 200).then_some(()));
    let bearer = format!("Bearer {}", world.key());
    let kept = ["/tile/", "/admin/audit-log/_assets/"];
    let (api, page) = (annals::api::routes(), annals::page::routes());
    let mut seen = 0;
    for (method, route, _) in api.rules().iter().chain(page.rules()) {
        let (path, body, _) = example(method.as_str(), route, id, "key_none").expect("each route has an example");
        let kind = if body == "x=1" { "application/x-www-form-urlencoded" } else { "application/json" };
        let key = [("authorization", bearer.as_str()), ("content-type", kind)];
        for (headers, method) in
            [(&key[..], method.as_str()), (&key[1..], method.as_str()), (&key[..], "PUT"), (&key[..], "HEAD")]
        {
            let body = if method == "HEAD" { "" } else { body };
            let answer = world.call(method, &path, headers, body.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            let wrong = wrong_headers(&answer, false);
            assert!(wrong.is_empty(), "{method} {path}: {}: {wrong:?} in {:?}", answer.status, answer.headers);
            let is_kept = answer.header("cache-control") != Some("no-store");
            assert!(!is_kept || kept.iter().any(|begin| route.starts_with(begin)), "{method} {path} is kept by caches");
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen}");
    for (path, status) in [("/nothing", 404), ("/v1/", 404), ("/admin/audit-log/nothing", 404), ("/v1/events?x=1", 400)]
    {
        let answer = world.get(path).expect_status(status);
        assert_eq!(wrong_headers(&answer, false), [""; 0], "{path}");
    }
    // The asset that is there, too.
    let home = world.call("GET", "/admin/audit-log/sign-in", &[], b"").expect("an answer").text();
    let asset = home.split("_assets/").nth(1).and_then(|rest| rest.split('"').next()).expect("a stylesheet");
    let asset = world.get(&format!("/admin/audit-log/_assets/{asset}")).expect_status(200);
    assert_eq!(wrong_headers(&asset, false), [""; 0]);
    assert!(asset.header("cache-control") != Some("no-store"));
}

/// A server that speaks TLS, with a certificate of an authority that nobody knows.
fn over_tls(dir: &Path) -> World {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    Pki::make("ca.pem", &certificate, &key);
    let mut world = World::start();
    world.terminate();
    world.set("ANNALS_TLS_CERT", certificate.to_str().expect("UTF-8"));
    world.set("ANNALS_TLS_KEY", key.to_str().expect("UTF-8"));
    world.restart_without_waiting();
    world
}

#[test]
fn over_tls_every_answer_says_that_there_is_no_other_way() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let world = over_tls(dir.path());
    let trusting = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).tls_config(trusting);
    let agent = config.build().new_agent();
    for path in
        ["/", "/admin/audit-log/", "/v1/events", "/v1/events?x=1", "/healthz", "/nothing", "/admin/audit-log/nothing"]
    {
        let answer = answer(agent.get(format!("{}{path}", world.url())).call()).expect("an answer");
        assert_eq!(wrong_headers(&answer, true), [""; 0], "{path}");
    }
}

#[test]
fn scripts_of_other_sites_may_ask_only_where_their_origin_is_set() {
    let ours = "https://admin.example";
    let mut world = World::guarded();
    let key = world.key().to_owned();
    let preflight = |world: &World, path: &str, origin: &str, method: &str| {
        let headers = [("origin", origin), ("access-control-request-method", method)];
        world.call("OPTIONS", path, &headers, b"").expect("an answer")
    };
    let posted = |world: &World, origin: &str, path: &str| {
        let headers = [
            ("origin", origin),
            ("sec-fetch-site", "cross-site"),
            ("x-api-key", key.as_str()),
            ("content-type", "application/json"),
        ];
        world.call("POST", path, &headers, br#"{"actor":"system","action":"a.b"}"#).expect("an answer")
    };
    // Off unless it is set.
    let refused = preflight(&world, "/v1/events", ours, "GET").expect_status(405);
    assert!(refused.header("access-control-allow-origin").is_none() && refused.header("vary").is_none());
    assert_eq!(posted(&world, ours, "/v1/events").status, 403);

    world.terminate();
    world.set("ANNALS_CORS_ORIGINS", &format!("http://localhost:3000 {ours}"));
    world.restart();
    let answered = preflight(&world, "/v1/events", ours, "POST").expect_status(204);
    assert_eq!(answered.header("access-control-allow-origin"), Some(ours));
    assert_eq!(answered.header("access-control-allow-methods"), Some("GET, POST"));
    assert!(answered.header("access-control-allow-headers").expect("headers").contains("authorization"));
    assert!(answered.header("access-control-allow-credentials").is_none());
    assert_eq!(answered.header("vary"), Some("origin"));
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);

    // Its scripts read answers, refusals too.
    for (headers, status) in [(vec![("x-api-key", key.as_str())], 200), (vec![], 401)] {
        let headers = [headers, vec![("origin", ours)]].concat();
        let read = world.call("GET", "/v1/events", &headers, b"").expect("an answer").expect_status(status);
        assert_eq!(allowed(&read).as_deref(), Some(ours));
        assert!(read.header("access-control-expose-headers").expect("headers").contains("annals-checkpoint"));
        assert!(read.headers.contains(&("vary".to_owned(), "origin".to_owned())));
    }
    let stored = posted(&world, ours, "/v1/events").expect_status(201);
    assert_eq!(allowed(&stored).as_deref(), Some(ours));

    // Nobody else's do, nor theirs anywhere else.
    for other in [
        "https://admin.example.evil",
        "http://admin.example",
        "https://admin.example:8443",
        "https://ADMIN.example",
        "null",
    ] {
        assert_eq!(allowed(&preflight(&world, "/v1/events", other, "GET").expect_status(405)), None, "{other}");
        let read = [("x-api-key", key.as_str()), ("origin", other)];
        let read = world.call("GET", "/v1/events", &read, b"").expect("an answer").expect_status(200);
        assert_eq!(allowed(&read), None, "{other}");
        // A cache must not give this answer to those who may.
        assert!(read.headers.contains(&("vary".to_owned(), "origin".to_owned())), "{other}");
        assert_eq!(posted(&world, other, "/v1/events").json()["code"], "cross_site", "{other}");
    }
    for path in ["/metrics", "/checkpoint", "/healthz", "/admin/audit-log/", "/admin/audit-log/views", "/"] {
        assert_eq!(preflight(&world, path, ours, "POST").status, 405, "{path}");
        let read = [("x-api-key", key.as_str()), ("origin", ours)];
        assert_eq!(allowed(&world.call("GET", path, &read, b"").expect("an answer")), None, "{path}");
    }
    assert_eq!(posted(&world, ours, "/admin/audit-log/prefs").status, 403);
    let delete = [("x-api-key", key.as_str()), ("origin", ours), ("sec-fetch-site", "cross-site")];
    let delete = world.call("DELETE", "/v1/keys/key_none", &delete, b"").expect("an answer");
    assert_eq!((delete.status, allowed(&delete)), (403, None));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, why) = crate::world::refused(&dir.path().join("data"), &[("ANNALS_CORS_ORIGINS", "*")]);
    assert!(code == Some(2) && why.contains("cors_origins"), "{code:?} {why}");
}

#[test]
fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let Some(schemathesis) = tool("schemathesis") else {
        return skipped("schemathesis is not installed (make tools): the API against /openapi.json");
    };
    let mut world = World::guarded();
    world.terminate();
    world.set("ANNALS_SEGMENT_EVENTS", "256");
    // It comes without a key more often than anybody may, and wants to hear 401 each time.
    world.set("ANNALS_STRANGERS_PER_S", "0");
    world.restart();
    world.load(demo_events(2_000).lines());
    wait_for("a signed entry", || (world.get("/v1/events/@0/proof").status == 200).then_some(()));
    wait_for("a sealed segment", || (world.watermarks().sealed > 0).then_some(()));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let done = Command::new(schemathesis)
        .current_dir(dir.path())
        .arg("--config-file")
        .arg(interop.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", world.url()), "--url", world.url()])
        .args(["--max-examples", CASES[usize::from(is_soak())], "--seed", if is_soak() { "71" } else { "7" }])
        .env("ANNALS_KEY", world.key())
        .env("ANNALS_HOOKS", interop.join("schemathesis_hooks.py"))
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    let tried = said.lines().find_map(|line| line.trim().split_once(" generated, ")?.0.parse::<u32>().ok());
    assert!(tried > Some(2_000), "it tried {tried:?} requests: {said}");
}

#[test]
fn sslyze_finds_nothing_but_that_nobody_knows_the_authority() {
    let Some(sslyze) = tool("sslyze") else {
        return skipped("sslyze is not installed (make tools): what is known to be wrong with TLS");
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let world = over_tls(dir.path());
    let address = world.url().strip_prefix("https://").expect("TLS").to_owned();
    let found = dir.path().join("found.json");
    let done = Command::new(sslyze)
        .arg(format!("--json_out={}", found.display()))
        .args(["--mozilla_config=intermediate", "--early_data"])
        .arg(&address)
        .stdin(Stdio::null())
        .output()
        .expect("sslyze runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let found = std::fs::read(&found).unwrap_or_else(|error| panic!("{error}: {said}"));
    let found: Value = serde_json::from_slice(&found).expect("JSON");
    let server = &found["server_scan_results"][0];
    assert_eq!(server["scan_status"], "COMPLETED", "{said}");
    let result = |name: &str| {
        let attempt = &server["scan_result"][name];
        assert_eq!(attempt["status"], "COMPLETED", "{name}: {attempt}");
        &attempt["result"]
    };
    let accepted = |name: &str| result(name)["accepted_cipher_suites"].as_array().expect("suites");
    for old in ["ssl_2_0_cipher_suites", "ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites"] {
        assert!(accepted(old).is_empty(), "{old}");
    }
    for new in ["tls_1_2_cipher_suites", "tls_1_3_cipher_suites"] {
        let suites: Vec<&str> =
            accepted(new).iter().map(|suite| suite["cipher_suite"]["name"].as_str().expect("a name")).collect();
        assert!(!suites.is_empty(), "{new}");
        for suite in suites {
            // Keys that are gone afterwards, and ciphers that say when they were meddled with.
            let is_forward = new.contains("1_3") || suite.starts_with("TLS_ECDHE_");
            assert!(is_forward && (suite.contains("_GCM_") || suite.contains("CHACHA20")), "{suite}");
        }
    }
    for (name, is_wrong) in [
        ("heartbleed", "is_vulnerable_to_heartbleed"),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"),
        ("tls_compression", "supports_compression"),
        ("tls_1_3_early_data", "supports_early_data"),
    ] {
        assert_eq!(result(name)[is_wrong], false, "{name}");
    }
    let robot = result("robot")["robot_result"].as_str().expect("a word");
    assert!(robot.starts_with("NOT_VULNERABLE"), "{robot}");
    assert_eq!(result("session_renegotiation")["supports_secure_renegotiation"], true);
    assert_eq!(result("tls_extended_master_secret")["supports_ems_extension"], true);
    // What it holds against Mozilla's recommendation is the certificate alone.
    let complaints: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("* ")).collect();
    let about = |line: &&&str| !line.contains("certificate") && line.contains(": ") && line.contains("recommend");
    assert_eq!(complaints.iter().find(about), None, "{said}");
}
