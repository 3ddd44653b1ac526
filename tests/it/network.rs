//! How connections are taken: with TLS and without, how many, and how long a head may be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::data::skipped;
use crate::world::{Output, PATIENCE, World, wait_for};

/// An authority of its own and a certificate for 127.0.0.1 that leads to it.
pub struct Pki {
    ca: PathBuf,
}

impl Pki {
    /// Writes certificate and key to these files, and the authority's certificate to `name` beside them.
    pub fn make(name: &str, certificate: &Path, key: &Path) -> Pki {
        let ca_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).expect("an authority");
        let issuer = Issuer::new(params, ca_key);
        let own_key = KeyPair::generate().expect("a key");
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let own = own.signed_by(&own_key, &issuer).expect("a certificate");
        let path = certificate.with_file_name(name);
        std::fs::write(&path, ca.pem()).expect("a file");
        std::fs::write(key, own_key.serialize_pem()).expect("a file");
        std::fs::write(certificate, own.pem()).expect("a file");
        Pki { ca: path }
    }

    fn annals(&self, args: &[&str], url: &str) -> Output {
        World::annals(&[args, &["--url", url, "--ca", self.ca.to_str().expect("UTF-8")]].concat(), b"")
    }
}

#[test]
fn over_tls_the_commands_work_and_a_new_certificate_is_taken_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let first = Pki::make("ca-1.pem", &certificate, &key);
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let mut world = World::start();
    world.post(&json!({"actor": "system", "action": "a.b"})).expect_status(201);
    world.terminate();
    world.set("ANNALS_TLS_CERT", &text(&certificate));
    world.set("ANNALS_TLS_KEY", &text(&key));
    world.restart_without_waiting();
    let url = world.url().to_owned();
    assert!(url.starts_with("https://"), "{url}");
    let found = wait_for("the index", || {
        let found = first.annals(&["search", "--json"], &url).ok();
        (!found.is_empty()).then_some(found)
    });
    assert!(found.contains("\"action\":\"a.b\""), "{found}");
    let verified = World::annals(&["verify", &url, "--ca", &text(&first.ca)], b"");
    assert_eq!(verified.status.code(), Some(3), "sound, without an anchor: {}", verified.stderr);
    // Whoever does not know the authority does not speak to it, and nobody speaks in clear.
    assert!(!World::annals(&["search", "--url", &url], b"").status.success());
    assert!(!World::annals(&["search", "--url", &url.replace("https", "http")], b"").status.success());

    let second = Pki::make("ca-2.pem", &certificate, &key);
    wait_for("the new certificate", || second.annals(&["search"], &url).status.success().then_some(()));
    assert!(!first.annals(&["search"], &url).status.success());
    // What cannot be used changes nothing.
    std::fs::write(&key, "no key").expect("a file");
    assert!(second.annals(&["search"], &url).status.success());
    world.terminate();
}

#[test]
fn tls_is_1_2_or_1_3_with_http_2_and_nothing_older() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skipped("openssl is not there: the versions of TLS");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    Pki::make("ca.pem", &certificate, &key);
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let mut world = World::start();
    world.terminate();
    world.set("ANNALS_TLS_CERT", &text(&certificate));
    world.set("ANNALS_TLS_KEY", &text(&key));
    world.restart_without_waiting();
    let address = world.url().strip_prefix("https://").expect("TLS").to_owned();
    let talk = |args: &[&str]| {
        let talk = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-alpn", "h2,http/1.1"])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        String::from_utf8_lossy(&talk.stdout).into_owned()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said = talk(&[version]);
        assert!(said.contains("ALPN protocol: h2"), "{version}: {said}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let said = talk(&[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!said.contains("ALPN protocol"), "{version}: {said}");
    }
}

#[test]
fn half_a_tls_or_none_is_said_before_anything_is_served() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("x.pem");
    std::fs::write(&file, "nothing").expect("a file");
    let path = file.to_str().expect("UTF-8");
    let data = dir.path().join("data");
    let said = |environment: &[(&str, &str)]| crate::world::refused(&data, environment);
    let (code, why) = said(&[("ANNALS_TLS_CERT", path)]);
    assert!(code == Some(2) && why.contains("tls_key"), "{code:?} {why}");
    let (code, why) = said(&[("ANNALS_TLS_CERT", path), ("ANNALS_TLS_KEY", path)]);
    assert!(code == Some(1) && why.contains("expected a certificate in PEM"), "{code:?} {why}");
}

#[test]
fn connections_beyond_the_cap_wait_and_are_served_when_one_ends() {
    let world = World::start_with(&[("ANNALS_CONNECTIONS_MAX", "16")]);
    let address = world.url().strip_prefix("http://").expect("plain http").to_owned();
    let connect = || {
        let socket = TcpStream::connect(&address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket
    };
    // They say half of what they want and wait, as a slow-loris does. The world's own client holds some too.
    let mut idle: Vec<TcpStream> = (0..40).map(|_| connect()).collect();
    for socket in &mut idle {
        socket.write_all(b"GET /healthz HTTP/1.1\r\n").expect("it is sent");
    }
    let mut last = connect();
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it is sent");
    drop(idle);
    let mut said = String::new();
    last.read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[test]
fn a_head_that_is_too_long_is_refused_and_the_next_request_served() {
    let world = World::start();
    let address = world.url().strip_prefix("http://").expect("plain http").to_owned();
    let ask = |head: &str| {
        let mut socket = TcpStream::connect(&address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        // The server may hang up before it has read everything.
        let _ =
            socket.write_all(format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n").as_bytes());
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
    };
    assert!(ask(&format!("x-long: {}\r\n", "a".repeat(100 << 10))).contains(" 200 "));
    let long = ask(&format!("x-long: {}\r\n", "a".repeat(200 << 10)));
    assert!(long.is_empty() || long.contains(" 431 "), "{long}");
    let many: String = (0..120).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = ask(&many);
    assert!(many.is_empty() || many.contains(" 431 "), "{many}");
    assert!(ask("").contains(" 200 "));
}
