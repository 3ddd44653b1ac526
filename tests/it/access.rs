//! Who may look, and at what: every route for every kind of caller; what lies outside a tenant or a restriction shows nowhere,
//! however it is asked for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::world::{World, is_soak, wait_for};

/// Begins every text of every event that a narrow caller must not see.
const OUTSIDE: &str = "zqoutside";
/// Is in those texts too, and in nothing that is ever asked: an answer that has it was let out.
const SECRET: &str = "kx7vq9";

/// A caller with a key, or without one.
/// Whoever shows a key, or none.
pub struct Holder<'a> {
    pub world: &'a World,
    pub key: Option<String>,
}

impl Holder<'_> {
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "")
    }

    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let mut all = headers.to_vec();
        all.extend(bearer.as_ref().map(|bearer| ("authorization", bearer.as_str())));
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        let called = self.world.call(method, path, &all, body.as_bytes());
        called.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

/// A key as keys look, which no server knows.
pub fn wrong_key() -> String {
    format!("annals_first_{}", "d4".repeat(20))
}

/// Makes a key and answers its holder and its id.
pub fn make<'a>(world: &'a World, wanted: &Value) -> (Holder<'a>, String) {
    let admin = Holder { world, key: Some(world.key().to_owned()) };
    let made = admin.call("POST", "/v1/keys", &[], &wanted.to_string()).expect_status(201).json();
    let text = |member: &str| made[member].as_str().expect("a text").to_owned();
    (Holder { world, key: Some(text("key")) }, text("id"))
}

/// Makes a viewer and answers its holder and what was told of it.
pub fn view<'a>(maker: &Holder<'a>, wanted: &Value) -> (Holder<'a>, Value) {
    let made = maker.call("POST", "/v1/viewers", &[], &wanted.to_string()).expect_status(201).json();
    let token = made["token"].as_str().expect("a token").to_owned();
    (Holder { world: maker.world, key: Some(token) }, made)
}

pub fn wanted(scopes: &[&str]) -> Value {
    json!({"name": "test", "scopes": scopes})
}

/// Events inside and outside of tenant `in` and of the restriction `action:contacts`. Those outside differ from those inside in every
/// text, so that each facet, name and id of theirs would tell.
fn load(world: &World) {
    let mut lines = String::new();
    let dark = format!("{OUTSIDE}-{SECRET}");
    for n in 0..60 {
        for (id, tenant, noun, mark) in [
            ("inside-in", "in", "contact", "inside"),
            ("zqoutside-zqoutside", OUTSIDE, dark.as_str(), dark.as_str()),
            ("zqoutside-in", "in", &dark, &dark),
            ("elsewhere-out", "out", "contact", "elsewhere"),
        ] {
            let event = json!({
                "id": format!("{id}-{n}"), "tenant": tenant, "time": format!("2025-04-01T00:00:{n:02}Z"),
                "actor": {"type": format!("{mark}-kind"), "id": format!("{mark}-u{}", n % 7), "name": format!("Name {mark}"), "email": format!("{mark}@example.com")},
                "action": format!("{noun}.updated"), "source": format!("{mark}-src"), "reason": format!("because {mark}"),
                "target": {"type": format!("{mark}-t"), "id": format!("{mark}-c{n}"), "name": format!("Target {mark}")},
                "related": [{"type": "team", "id": "shared", "name": mark}],
                "changes": [{"field": "stage", "before": mark, "after": n}],
                "context": {"ip": "203.0.113.7", "request_id": "shared-request", "session_id": "shared-session"},
                "detail": {"note": format!("word {mark}"), "n": n}
            });
            lines.push_str(&format!("{event}\n"));
        }
    }
    world.load(lines.lines());
}

/// For each route an address that works, and what it answers to who may.
pub fn example(method: &str, route: &str, id: &str, key_id: &str) -> Option<(String, &'static str, u16)> {
    let page = "/admin/audit-log/";
    let get = |path: &str| Some((path.replace("{id}", id), "", 200));
    match (method, route) {
        ("POST", "/v1/events") => Some(("/v1/events?dry_run=1".into(), r#"{"actor":"system","action":"a.b"}"#, 200)),
        ("POST", "/v1/keys") => Some(("/v1/keys".into(), r#"{"name":"another","scopes":["read"]}"#, 201)),
        // Made with the key that asks: where there is none with that right, the answer is another.
        ("POST", "/v1/viewers") => Some(("/v1/viewers".into(), r#"{"user":"u_1"}"#, 201)),
        ("DELETE", "/v1/viewers/{id}") => Some(("/v1/viewers/viewer_x".into(), "", 404)),
        ("DELETE", "/v1/keys/{id}") => Some((format!("/v1/keys/{key_id}"), "", 200)),
        ("POST", "/admin/audit-log/views" | "/admin/audit-log/views/{id}/delete" | "/admin/audit-log/prefs") => {
            // Without its token a form is refused, by the handler.
            Some((route.replace("{id}", "1"), "x=1", 403))
        }
        ("GET", "/v1/erasures") => get(route),
        ("GET", "/v1/erasures/{id}") => Some(("/v1/erasures/none".into(), "", 404)),
        ("POST", "/v1/erasures" | "/v1/holds" | "/v1/holds/lift") => Some((route.into(), r#"{"subjects":[]}"#, 422)),
        ("GET", "/v1/consistency") => get("/v1/consistency?from=1&to=2"),
        ("GET", "/tile/{level}/{*tile}") => get("/tile/entries/000.p/1"),
        ("GET", "/v1/segments/{first}") => Some(("/v1/segments/0".into(), "", 409)),
        ("GET", "/v1/export") => get("/v1/export?format=csv&limit=1").map(|(path, ..)| (path, "", 400)),
        ("GET", "/admin/audit-log/sign-in") => get(route),
        ("POST", "/admin/audit-log/sign-in" | "/admin/audit-log/sign-out") => Some((route.into(), "x=1", 403)),
        // No provider is set.
        ("GET", "/admin/audit-log/sign-in/oidc" | "/admin/audit-log/sign-in/callback") => Some((route.into(), "", 404)),
        ("GET", "/") | ("GET", "/admin/audit-log") => Some((route.into(), "", 303)),
        ("GET", "/admin/audit-log/_facet/{facet}") => get("/admin/audit-log/_facet/actor"),
        ("GET", "/admin/audit-log/_assets/{hash}/{name}") => Some((format!("{page}_assets/0/none"), "", 404)),
        ("GET", "/v1/feed" | "/v1/facets" | "/v1/events" | "/v1/actions" | "/v1/query/parse" | "/v1/segments") => {
            get(route)
        }
        ("GET", "/v1/events/{id}" | "/v1/events/{id}/proof" | "/v1/events/{id}/evidence") => get(route),
        ("GET", "/admin/audit-log/log.json" | "/admin/audit-log/checkpoint") => get(route),
        ("GET", "/v1/log" | "/checkpoint" | "/v1/keys" | "/healthz" | "/readyz" | "/metrics" | "/openapi.json") => {
            get(route)
        }
        ("GET", "/admin/audit-log/" | "/admin/audit-log/_results" | "/admin/audit-log/_detail/{id}") => get(route),
        ("GET", "/admin/audit-log/entries/{id}" | "/admin/audit-log/entries/{id}/proof.json") => get(route),
        ("GET", "/admin/audit-log/export.csv" | "/admin/audit-log/export.jsonl") => get(route),
        // Streams that never end are opened in a test of their own.
        ("GET", "/v1/tail" | "/admin/audit-log/_tail") => Some((format!("{route}?last_event_id=x"), "", 400)),
        _ => None,
    }
}

#[test]
fn every_route_answers_each_kind_of_caller_as_the_table_says() {
    use annals::api::access::Need;
    use annals::auth::Scope;

    let world = World::guarded();
    load(&world);
    let id = "inside-in-3";
    let soon = annals::clock::rfc3339_ms(annals::clock::now_ms().cast_signed() + 1_500);
    let all = ["write", "read", "personal", "export"];
    let (expired, _) = make(&world, &json!({"name": "brief", "scopes": all, "expires": soon}));
    let (revoked, revoked_id) = make(&world, &wanted(&all));
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    admin.call("DELETE", &format!("/v1/keys/{revoked_id}"), &[], "").expect_status(200);
    wait_for("the key to expire", || (expired.get("/v1/log").status == 401).then_some(()));
    let wrong = Holder { world: &world, key: Some(format!("annals_first_{}", "b2".repeat(20))) };
    let garbage = Holder { world: &world, key: Some("secret".into()) };
    let nobody = Holder { world: &world, key: None };
    let single: Vec<(Scope, Holder<'_>)> =
        Scope::ALL.into_iter().map(|scope| (scope, make(&world, &wanted(&[scope.as_str()])).0)).collect();
    let (tenant, _) = make(&world, &json!({"name": "tenant", "scopes": all, "tenant": "in"}));
    let (narrow, _) = make(
        &world,
        &json!({"name": "narrow", "scopes": ["read", "personal", "export"], "restriction": "action:contacts"}),
    );
    let (backend, _) = make(&world, &wanted(&all));
    let viewer = view(&backend, &json!({"user": "u_1", "tenant": "in", "export": true, "personal": true})).0;
    wait_for("the newest entry to be signed", || {
        (admin.get(&format!("/v1/events/{id}/proof")).status == 200).then_some(())
    });

    let (api, page) = (annals::api::routes(), annals::page::routes());
    for &(ref method, route, need) in api.rules().iter().chain(page.rules()) {
        let asks = |holder: &Holder<'_>| {
            let (_, key_id) = make(&world, &wanted(&["read"]));
            let (path, body, _) = example(method.as_str(), route, id, &key_id)
                .unwrap_or_else(|| panic!("{method} {route} has no example: who may call it is not tested"));
            let form = [("content-type", "application/x-www-form-urlencoded")];
            holder.call(method.as_str(), &path, if body == "x=1" { &form } else { &[] }, body).status
        };
        let ok = example(method.as_str(), route, id, "").map_or(0, |(.., status)| status);
        let said = |who: &str| format!("{method} {route} for {who}");
        for (who, holder) in [
            ("nobody", &nobody),
            ("wrong", &wrong),
            ("garbage", &garbage),
            ("expired", &expired),
            ("revoked", &revoked),
        ] {
            let expected = if need == Need::Nothing { ok } else { 401 };
            assert_eq!(asks(holder), expected, "{}", said(who));
        }
        for (scope, holder) in &single {
            let may = match need {
                Need::Nothing => true,
                Need::Scope(needed) | Need::Whole(needed) => needed == *scope,
            };
            assert_eq!(asks(holder), if may { ok } else { 403 }, "{}", said(scope.as_str()));
        }
        for (who, holder) in [("tenant", &tenant), ("narrow", &narrow)] {
            let expected = match need {
                Need::Nothing => ok,
                Need::Whole(_) | Need::Scope(Scope::Admin) => 403,
                // Who is restricted does not write.
                Need::Scope(Scope::Write) if who == "narrow" => 403,
                Need::Scope(_) => ok,
            };
            assert_eq!(asks(holder), expected, "{}", said(who));
        }
        let expected = match need {
            Need::Nothing => ok,
            Need::Whole(_) | Need::Scope(Scope::Admin | Scope::Write) => 403,
            // A viewer makes no viewers.
            Need::Scope(_) if method == "POST" && route == "/v1/viewers" => 422,
            Need::Scope(_) => ok,
        };
        assert_eq!(asks(&viewer), expected, "{}", said("viewer"));
        assert_eq!(asks(&admin), ok, "{}", said("admin"));
    }
}

#[test]
fn a_key_is_taken_as_bearer_as_a_header_and_as_a_password_and_only_one() {
    let world = World::guarded();
    let key = world.key();
    let status = |headers: &[(&str, &str)]| world.call("GET", "/v1/events", headers, b"").expect("an answer").status;
    let basic = |user: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{key}")))
    };
    assert_eq!(status(&[("authorization", &format!("Bearer {key}"))]), 200);
    assert_eq!(status(&[("authorization", &format!("bearer  {key}"))]), 200);
    assert_eq!(status(&[("x-api-key", key)]), 200);
    assert_eq!(status(&[("authorization", &basic("whoever"))]), 200);
    assert_eq!(status(&[("authorization", &basic(""))]), 200);
    assert_eq!(status(&[("x-api-key", key), ("authorization", &format!("Bearer {key}"))]), 401);
    assert_eq!(status(&[("x-api-key", key), ("x-api-key", "annals_x")]), 401);
    for odd in ["Basic !", "Basic", "Digest x", "Bearer", key, "Bearer annals_x"] {
        assert_eq!(status(&[("authorization", odd)]), 401, "{odd}");
    }
    let refused = world.call("GET", "/v1/events", &[], b"").expect("an answer");
    assert_eq!(refused.json()["code"], "unauthorized");
    let asked: Vec<&str> = refused
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(asked, ["Bearer realm=\"annals\"", "Basic realm=\"annals\", charset=\"UTF-8\""]);
}

#[test]
fn a_tenants_key_writes_and_reads_its_tenant_whatever_is_asked() {
    let world = World::guarded();
    load(&world);
    let (holder, _) = make(&world, &json!({"name": "t", "scopes": ["write", "read"], "tenant": "in"}));
    let post = |body: &str| holder.call("POST", "/v1/events?wait=searchable", &[], body);
    post(r#"{"id":"own","actor":"system","action":"a.b"}"#).expect_status(201);
    assert_eq!(holder.get("/v1/events/own").ok().json()["tenant"], "in");
    post(r#"{"id":"own2","tenant":"in","actor":"system","action":"a.b"}"#).expect_status(201);
    let refused = post(r#"{"id":"own3","tenant":"out","actor":"system","action":"a.b"}"#).expect_status(422);
    assert_eq!((&refused.json()["code"], &refused.json()["pointer"]), (&json!("other_tenant"), &json!("/tenant")));

    // That it looks is entered in its tenant as well.
    let total = |path: &str| {
        let page = holder.get(&format!("{path}&limit=1000")).ok().json();
        let events = page["events"].as_array().expect("events");
        assert!(events.iter().all(|event| event["tenant"] == "in"), "{path}");
        assert_eq!(page["total"], json!(events.len()), "{path}");
        events.iter().filter(|event| event["source"] != "annals").count()
    };
    let all = total("/v1/events?");
    assert_eq!(all, 122);
    for path in [
        "/v1/events?tenant=in",
        "/v1/events?q=*",
        "/v1/events?q=tenant:in+OR+tenant:out",
        "/v1/events?q=-tenant:out",
        "/v1/events?q=NOT+tenant:in+OR+*",
    ] {
        assert_eq!(total(path), all, "{path}");
    }
    for path in ["/v1/events?tenant=out", "/v1/events?q=tenant:out", "/v1/events?q=-tenant:in"] {
        assert_eq!(total(path), 0, "{path}");
    }
    let tenants = holder.get("/v1/facets?fields=tenant&q=-source:annals").ok().json();
    assert_eq!(
        tenants["facets"]["tenant"]["values"],
        json!([{"value": "in", "label": "in", "count": 122}]),
        "{tenants}"
    );
    // An id that two tenants have is that of the own one, and what is elsewhere is not there.
    let elsewhere = holder.get("/v1/events/elsewhere-out-3");
    let missing = holder.get("/v1/events/elsewhere-out-300");
    assert_eq!((elsewhere.status, missing.status), (404, 404));
    assert_eq!(elsewhere.text().replace("out-3\\", "out-N\\"), missing.text().replace("out-300\\", "out-N\\"));
    assert_eq!(holder.get("/v1/events/elsewhere-out-3?tenant=out").status, 404);
    let seq = world.get("/v1/events/elsewhere-out-3").ok().json()["seq"].as_u64().expect("a seq");
    assert_eq!(holder.get(&format!("/v1/events/@{seq}")).status, 404);
    for part in ["proof", "evidence"] {
        assert_eq!(holder.get(&format!("/v1/events/@{seq}/{part}")).status, 404);
    }
}

/// Everything a holder can ask, with the marks of what lies outside in it where that may help.
fn questions(seqs: &[u64], cursors: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    let qs = [
        "",
        "*",
        OUTSIDE,
        "NOT inside",
        "actor:zq* OR *",
        "detail.note:*outside*",
        "/.*outside.*/",
        "related:shared",
        "request:shared-request",
        "word~",
    ];
    for q in qs {
        let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
        for path in [
            "/v1/events?limit=200&highlight=1",
            "/v1/events?order=seq&engine=scan",
            "/v1/feed?limit=500",
            "/v1/facets?fields=actor,action,target_type,tenant,outcome,source&histogram=auto",
            "/v1/facets?fields=actor,source&find=zq",
            "/v1/export?format=csv",
            "/v1/export?format=ndjson",
            "/v1/export?format=bundle",
            "/admin/audit-log/?range=all",
            "/admin/audit-log/_results?range=all",
            "/admin/audit-log/_facet/actor?range=all",
            "/admin/audit-log/_facet/action?range=all",
            "/admin/audit-log/export.csv?range=all",
            "/admin/audit-log/export.jsonl?range=all",
        ] {
            all.push(format!("{path}&q={q}"));
        }
    }
    all.extend(cursors.iter().map(|cursor| format!("/v1/events?cursor={cursor}&limit=200")));
    all.extend(cursors.iter().map(|cursor| format!("/v1/feed?cursor={cursor}&limit=500")));
    all.push("/v1/actions".into());
    for seq in seqs {
        for path in [
            "/v1/events/@{}",
            "/v1/events/@{}/proof",
            "/v1/events/@{}/evidence",
            "/admin/audit-log/entries/@{}",
            "/admin/audit-log/_detail/@{}",
            "/admin/audit-log/entries/@{}/proof.json",
            "/admin/audit-log/?open=@{}",
        ] {
            all.push(path.replace("{}", &seq.to_string()));
        }
    }
    for id in ["zqoutside-in-3", "zqoutside-zqoutside-3"] {
        for path in [
            "/v1/events/{}",
            "/admin/audit-log/entries/{}",
            "/admin/audit-log/_detail/{}",
            "/admin/audit-log/entries/{}.json",
            "/admin/audit-log/?range=all&open={}",
        ] {
            all.push(path.replace("{}", id));
        }
    }
    // An entry inside, whose related entries are outside.
    all.push("/admin/audit-log/entries/inside-in-3".into());
    all.push("/admin/audit-log/_detail/inside-in-3".into());
    all
}

/// Whether an answer holds what only entries outside have.
fn leaks(answer: &Answer) -> bool {
    answer.text().to_lowercase().contains(SECRET)
}

#[test]
fn outside_a_restriction_nothing_shows_however_it_is_asked_for() {
    let world = World::guarded();
    load(&world);
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    let mut boss = Visitor { world: &world, cookies: Vec::new() };
    boss.visit("/admin/audit-log/sign-in").expect_status(200);
    boss.submit("/admin/audit-log/sign-in", &[("key", world.key())]).expect_status(303);
    let saved = [("name", SECRET), ("query", "actor=zqoutside-kx7vq9-kind%2Fx")];
    boss.submit("/admin/audit-log/views", &saved).expect_status(303);
    assert!(boss.visit("/admin/audit-log/").text().contains(SECRET), "the view is saved");
    let events = admin.get("/v1/events?order=seq&limit=1000").ok().json();
    let outside: Vec<u64> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event.to_string().contains(OUTSIDE))
        .take(6)
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect();
    let cursor = |path: &str, member: &str| admin.get(path).ok().json()[member].as_str().expect("a cursor").to_owned();
    let cursors = [
        cursor("/v1/events?limit=3", "next_cursor"),
        cursor(&format!("/v1/events?limit=3&q={OUTSIDE}"), "next_cursor"),
        cursor("/v1/feed?limit=3", "next_cursor"),
        cursor(&format!("/v1/feed?limit=3&q={OUTSIDE}"), "checkpoint"),
    ];
    let scopes = ["read", "export", "personal"];
    for wanted in [
        json!({"name": "a", "scopes": scopes, "tenant": "in", "restriction": "action:contacts"}),
        json!({"name": "b", "scopes": scopes, "restriction": "actor:(inside* OR elsewhere*)"}),
        json!({"name": "c", "scopes": scopes, "restriction": "NOT zq*"}),
        json!({"name": "d", "scopes": scopes, "tenant": "in", "restriction": "source:inside-src time:9000d"}),
    ] {
        let (holder, _) = make(&world, &wanted);
        let mut rows = 0;
        for path in questions(&outside, &cursors) {
            let answer = holder.get(&path);
            assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
            assert!(!leaks(&answer), "{wanted} asks {path}: {}", answer.text());
            rows += usize::from(answer.text().contains("inside-u"));
        }
        assert!(rows > 40, "what is inside shows: {rows}");
    }
    // The same look finds what the admin sees: it is not blind.
    let seen = questions(&outside, &cursors).iter().filter(|path| leaks(&admin.get(path))).count();
    assert!(seen > 60, "{seen}");
}

#[test]
fn a_thousand_ways_to_widen_a_restriction_find_nothing() {
    let world = World::guarded();
    load(&world);
    let wanted = json!({"name": "n", "scopes": ["read", "export"], "tenant": "in", "restriction": "actor:inside*"});
    let (holder, _) = make(&world, &wanted);
    let allowed: BTreeSet<String> = (0..60).map(|n| format!("inside-in-{n}")).collect();
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    let cursor = admin.get("/v1/events?limit=2").ok().json()["next_cursor"].as_str().expect("a cursor").to_owned();
    let pieces = [
        "*",
        "OR",
        "NOT",
        "(",
        ")",
        "\"",
        "-",
        "actor:*",
        "tenant:*",
        "tenant:out",
        "tenant:zqoutside",
        "zqoutside",
        "ｚｑoutside",
        "zqoutsidе",
        "ZQOUTSIDE",
        "actor:inside*",
        ") OR (*",
        "\\",
        "time:9000d",
        "seq:0..",
        "has:changes",
        "action:/.*/",
        "id:*",
        "\u{202e}",
        "%00",
        "AND",
        "related:*",
        "target:zq*",
        "source:*",
        "~",
    ];
    let names = [
        "q",
        "tenant",
        "actor",
        "action",
        "target_type",
        "restriction",
        "q[]",
        "Q",
        "q\u{0}",
        "scope",
        "key",
        "api_key",
        "filter",
        "order",
        "limit",
        "cursor",
        "engine",
        "find",
        "fields",
        "from",
        "to",
        "since",
        "open",
    ];
    let paths = [
        "/v1/events",
        "/v1//events",
        "/v1/events/",
        "/v1/events/..",
        "/v1/./events",
        "/%761/events",
        "/v1/feed",
        "/v1/facets",
        "/v1/export",
        "/v1/events/@1",
        "/v1/events/zqoutside-in-1",
        "/admin/audit-log/",
        "/admin/audit-log/_results",
        "/admin/audit-log/export.jsonl",
        "/admin/audit-log/../../v1/events",
    ];
    let headers = [
        ("x-forwarded-user", "admin"),
        ("x-original-url", "/metrics"),
        ("x-http-method-override", "POST"),
        ("x-tenant", "out"),
        ("forwarded", "for=127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("cookie", "session=admin"),
        ("host", "localhost"),
        ("origin", "null"),
        ("x-annals-restriction", "*"),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut answered = 0;
    for _ in 0..if is_soak() { 20_000 } else { 1_000 } {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for _ in 0..1 + dice(4) {
            let value: Vec<&str> = (0..1 + dice(5)).map(|_| pieces[dice(pieces.len())]).collect();
            let name = names[if dice(2) == 0 { 0 } else { dice(names.len()) }];
            let value = match name {
                "cursor" => cursor.clone(),
                "engine" => ["index", "scan"][dice(2)].to_owned(),
                "order" => ["seq", "-seq", "time"][dice(3)].to_owned(),
                "fields" => "actor,tenant,source".to_owned(),
                _ => value.join([" ", "", "+"][dice(3)]),
            };
            query.append_pair(name, &value);
        }
        let path = format!("{}?{}", paths[dice(paths.len())], query.finish());
        let answer = holder.call("GET", &path, &headers[dice(headers.len())..][..1], "");
        assert!(
            answer.status < 500 || answer.json()["code"] == "too_broad",
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!leaks(&answer), "{path}: {}", answer.text());
        for event in
            serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["events"].as_array().into_iter().flatten()
        {
            let id = event["id"].as_str().unwrap_or_default();
            assert!(allowed.contains(id), "{path}: {event}");
            answered += 1;
        }
    }
    assert!(answered > 100, "hardly anything was asked: {answered}");
}

#[test]
fn a_poller_that_waits_is_sent_away_when_its_key_is_revoked() {
    let world = World::guarded();
    let (holder, id) = make(&world, &wanted(&["read"]));
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    world.settle();
    // That it asked is an entry too, which comes before it waits.
    holder.get("/v1/feed").ok();
    world.settle();
    let beginning = holder.get("/v1/feed").ok().json()["checkpoint"].as_str().expect("a cursor").to_owned();
    let waited = std::thread::scope(|scope| {
        let poller = scope.spawn(|| holder.get(&format!("/v1/feed?follow=true&wait=60&cursor={beginning}")));
        // It may not wait yet when the key goes: then it is refused at the door.
        std::thread::sleep(std::time::Duration::from_millis(300));
        admin.call("DELETE", &format!("/v1/keys/{id}"), &[], "").expect_status(200);
        poller.join().expect("the poller")
    });
    assert_eq!((waited.status, &waited.json()["code"]), (401, &json!("unauthorized")));
}

#[test]
fn changes_of_keys_and_exports_are_entries_that_name_who_did_it() {
    let world = World::guarded();
    load(&world);
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    let entries = |q: &str| {
        world.settle();
        world.search(q, 100)["events"].as_array().expect("events").clone()
    };
    let (holder, id) = make(
        &world,
        &json!({"name": "exporter", "scopes": ["read", "export"], "tenant": "in", "restriction": "action:contacts"}),
    );
    let made = &entries("action:key.created")[0];
    assert_eq!((&made["actor"]["id"], &made["target"]["id"]), (&json!("key_first"), &json!(id)));
    assert_eq!(made["detail"], json!({"scopes": "read export", "tenant": "in", "restriction": "action:contacts"}));
    assert_eq!((&made["source"], &made["context"]["ip"]), (&json!("annals"), &json!("127.0.0.1")));

    // Its own entry is in the tenant concerned, and not in the export itself.
    let csv = holder.get("/v1/export?format=csv&q=stage").ok().text();
    assert_eq!(csv.lines().count(), 1 + 60);
    let exported = &entries("action:audit.exported")[0];
    assert_eq!(
        (&exported["tenant"], &exported["actor"]["id"], &exported["actor"]["name"]),
        (&json!("in"), &json!(id), &json!("exporter"))
    );
    assert_eq!(
        (&exported["detail"]["query"], &exported["detail"]["rows"], &exported["detail"]["format"]),
        (&json!("stage"), &json!(60), &json!("csv"))
    );
    let first = admin.get("/v1/export?format=ndjson&q=action:audit.exported").ok().text();
    world.settle();
    let second = admin.get("/v1/export?format=ndjson&q=action:audit.exported").ok().text();
    assert_eq!((first.lines().count(), second.lines().count()), (1, 2), "each has those before it, not itself");
    holder.get("/admin/audit-log/export.csv?range=all").ok();
    assert_eq!(entries("action:audit.exported tenant:in").len(), 2);

    admin.call("DELETE", &format!("/v1/keys/{id}"), &[], "").expect_status(200);
    assert_eq!(entries("action:key.revoked")[0]["target"]["id"], json!(id));
    // Nobody else may write what looks like one of these.
    for event in
        [r#"{"actor":"system","action":"audit.exported"}"#, r#"{"actor":"system","action":"x.y","source":"annals"}"#]
    {
        assert_eq!(admin.call("POST", "/v1/events", &[], event).json()["code"], "reserved");
    }
}

#[test]
fn looking_is_entered_once_and_again_as_a_number() {
    let mut world = World::guarded();
    load(&world);
    let (holder, id) = make(&world, &json!({"name": "reader", "scopes": ["read"], "tenant": "in"}));
    let by_reader = |world: &World, action: &str| {
        world.settle();
        world.search(&format!("action:{action} actor:{id}"), 100)["events"].as_array().expect("events").clone()
    };
    for _ in 0..5 {
        holder.get("/v1/events?q=stage&limit=7&actor=inside-u1").ok();
    }
    let searched = by_reader(&world, "audit.searched");
    assert_eq!(searched.len(), 1, "{searched:?}");
    assert_eq!(
        (&searched[0]["tenant"], &searched[0]["actor"]["name"], &searched[0]["context"]["ip"]),
        (&json!("in"), &json!("reader"), &json!("127.0.0.1"))
    );
    assert_eq!(searched[0]["detail"], json!({"query": "stage actor:inside-u1", "rows": 7, "count": 1}));
    // Pages, counts, feeds and the page: each question once, however it is asked again.
    let page = holder.get("/v1/events?q=inside&limit=20").ok().json();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    holder.get(&format!("/v1/events?cursor={cursor}&limit=20")).ok();
    holder.get("/v1/facets?q=inside").ok();
    holder.get("/v1/feed?q=because").ok();
    for _ in 0..3 {
        holder.get("/admin/audit-log/?q=word&range=all").ok();
        holder.get("/admin/audit-log/_results?q=word&range=all").ok();
    }
    let queries: BTreeSet<String> = by_reader(&world, "audit.searched")
        .iter()
        .map(|entry| entry["detail"]["query"].as_str().expect("a query").to_owned())
        .collect();
    assert_eq!(
        queries,
        ["because", "inside", "stage actor:inside-u1", "word"].map(str::to_owned).into_iter().collect::<BTreeSet<_>>()
    );
    assert_eq!(by_reader(&world, "audit.searched").len(), 4);

    // Opening one, by whichever door; what is not there for the caller was not opened.
    let at = holder.get("/v1/events/inside-in-3").ok().json()["seq"].as_u64().expect("a seq");
    for path in
        ["/v1/events/inside-in-3", "/admin/audit-log/_detail/inside-in-3", "/admin/audit-log/entries/inside-in-3"]
    {
        holder.get(path).ok();
    }
    holder.get("/v1/events/elsewhere-out-3").expect_status(404);
    let viewed = by_reader(&world, "audit.viewed");
    assert_eq!(viewed.len(), 1, "{viewed:?}");
    assert_eq!(viewed[0]["target"], json!({"type": "entry", "id": format!("@{at}")}));

    // What was folded is told when the server stops, if not before.
    world.terminate();
    world.restart();
    let counts = |action: &str, q: &str| -> (u64, u64) {
        let entries = by_reader(&world, action);
        let of_query = entries.iter().filter(|entry| q.is_empty() || entry["detail"]["query"] == q);
        let number = |entry: &Value, name: &str| entry["detail"][name].as_u64().expect("a number");
        of_query.fold((0, 0), |(count, rows), entry| (count + number(entry, "count"), rows + number(entry, "rows")))
    };
    assert_eq!(counts("audit.searched", "stage actor:inside-u1"), (5, 35));
    assert_eq!(counts("audit.searched", "inside"), (3, 40));
    assert_eq!(counts("audit.viewed", ""), (4, 4));
}

#[test]
fn a_viewer_sees_its_slice_of_the_page_inside_another_until_it_is_revoked() {
    let world = World::guarded();
    load(&world);
    let (maker, maker_id) = make(&world, &json!({"name": "backend", "scopes": ["read", "export"], "tenant": "in"}));
    let slice = json!({"user": "u_77", "name": "Dora", "restriction": "action:contacts", "export": false});
    let (viewer, made) = view(&maker, &slice);
    for wrong in [json!({"user": ""}), json!({"user": "u", "tenant": "out"}), json!({"user": "u", "restriction": "(("})]
    {
        let refused = maker.call("POST", "/v1/viewers", &[], &wrong.to_string()).expect_status(422);
        assert_eq!(refused.json()["code"], "bad_viewer", "{wrong}");
    }
    let path = made["path"].as_str().expect("a path").to_owned();
    let browser = Holder { world: &world, key: None };
    let whole = viewer.get("/v1/events?limit=1").ok().json()["total"].clone();
    assert_eq!(whole, json!(60));
    assert!(!leaks(&viewer.get("/v1/events?limit=1000")));

    let page = browser.get(&format!("{path}?range=all")).ok();
    assert!(page.text().contains("inside-in-53") && !page.text().contains("zqoutside"), "the slice and no more");
    assert!(!page.text().contains("export.csv"), "what a viewer may not do is not offered");
    browser.get(&format!("{path}export.csv?range=all")).expect_status(403);
    browser.get(&format!("{path}entries/inside-in-3")).ok();
    browser.get(&format!("{path}entries/zqoutside-in-3")).expect_status(404);
    let style = page.text().split("href=\"_assets/").nth(1).and_then(|rest| rest.split('"').next().map(str::to_owned));
    browser.get(&format!("{path}_assets/{}", style.expect("a style sheet"))).ok();
    for (method, there) in [("GET", "sign-in"), ("POST", "sign-in"), ("POST", "sign-out"), ("POST", "views")] {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        browser.call(method, &format!("{path}{there}"), &form, "").expect_status(404);
    }
    // A key beside the token in the path counts for nothing.
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    assert!(!leaks(&admin.get(&format!("{path}?range=all")).ok()));
    assert_eq!(
        browser.get(path.trim_end_matches('/')).expect_status(303).header("location").map(|to| to.ends_with('/')),
        Some(true)
    );

    // Its looks are in its name, with the token by its id.
    world.settle();
    let entry = &world.search("action:audit.viewed actor:u_77", 10)["events"][0];
    assert_eq!(
        (&entry["actor"]["type"], &entry["actor"]["name"], &entry["tenant"], &entry["detail"]["viewer"]),
        (&json!("user"), &json!("Dora"), &json!("in"), &made["id"])
    );
    let created = &world.search("action:viewer.created", 10)["events"][0];
    assert_eq!((&created["actor"]["id"], &created["target"]["id"]), (&json!(maker_id), &made["id"]));
    assert!(!created.to_string().contains(made["token"].as_str().expect("a token")));

    let (stranger, _) = make(&world, &wanted(&["read"]));
    let revoke = format!("/v1/viewers/{}", made["id"].as_str().expect("an id"));
    stranger.call("DELETE", &revoke, &[], "").expect_status(404);
    viewer.get("/v1/log").ok();
    maker.call("DELETE", &revoke, &[], "").expect_status(204);
    viewer.get("/v1/log").expect_status(401);
    let ended = browser.call("GET", &path, &[("accept", "text/html"), ("sec-fetch-mode", "navigate")], "");
    assert!(ended.expect_status(401).text().contains("has ended"));

    // And with the key that made it every viewer ends.
    let (other, _) = view(&maker, &json!({"user": "u_78"}));
    other.get("/v1/log").ok();
    admin.call("DELETE", &format!("/v1/keys/{maker_id}"), &[], "").expect_status(200);
    other.get("/v1/log").expect_status(401);
}

/// A browser: keeps cookies, asks for pages.
pub struct Visitor<'a> {
    pub world: &'a World,
    pub cookies: Vec<(String, String)>,
}

impl Visitor<'_> {
    fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        let answer = self.world.call(method, path, &all, body.as_bytes()).expect("an answer");
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            if !set.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub fn visit(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[("accept", "text/html"), ("sec-fetch-mode", "navigate")], "")
    }

    pub fn submit(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let token =
            self.cookies.iter().find(|(name, _)| name == "annals_form").map_or("", |(_, value)| value).to_owned();
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("csrf", &token).extend_pairs(pairs);
        let body = body.finish();
        self.call(
            "POST",
            path,
            &[("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")],
            &body,
        )
    }
}

#[test]
fn a_visitor_signs_in_with_a_key_sees_its_slice_and_signs_out() {
    let world = World::guarded();
    load(&world);
    let (_, id) = make(&world, &wanted(&["read"]));
    let (holder, own_id) = make(
        &world,
        &json!({"name": "Ana's key", "scopes": ["read"], "tenant": "in", "restriction": "action:contacts"}),
    );
    let key = holder.key.clone().expect("a key");
    let mut visitor = Visitor { world: &world, cookies: Vec::new() };
    let page = "/admin/audit-log/";
    let asked = format!("{page}?q=stage&range=all");

    // Sent to sign in, and from there back to what was asked for; script is not sent anywhere, and no window of the browser's pops up.
    let sent = visitor.visit(&asked).expect_status(303);
    let form = format!("{page}{}", sent.header("location").expect("a location"));
    assert_eq!(form, format!("{page}sign-in?to=%3Fq%3Dstage%26range%3Dall"));
    assert_eq!(visitor.visit(&format!("{page}entries/x")).header("location"), Some("../sign-in?to=entries%2Fx"));
    let script =
        visitor.call("GET", &format!("{page}_results?q=stage"), &[("sec-fetch-mode", "cors")], "").expect_status(401);
    assert_eq!(script.header("www-authenticate"), None);
    let shown = visitor.visit(&form).expect_status(200);
    assert!(shown.text().contains("type=\"password\""), "{}", shown.text());
    assert_eq!(shown.header("cache-control"), Some("no-store"));

    let to = ("to", "?q=stage&range=all");
    for wrong in ["", "annals_x", &format!("annals_abcd_{}", "c3".repeat(20))] {
        let refused = visitor.submit(&form, &[("key", wrong), to]).expect_status(401);
        assert!(refused.text().contains("This key is not known here."), "{}", refused.text());
    }
    let forged =
        visitor.call("POST", &form, &[("content-type", "application/x-www-form-urlencoded")], &format!("key={key}"));
    assert_eq!(forged.status, 403, "without the token of the form");
    let signed_in = visitor.submit(&form, &[("key", &key), to]).expect_status(303);
    assert_eq!(signed_in.header("location"), Some("./?q=stage&range=all"));
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains(&key), "{cookie}");
    let (writer, _) = make(&world, &wanted(&["write"]));
    let mut other = Visitor { world: &world, cookies: Vec::new() };
    other.visit(&form).expect_status(200);
    let useless = other.submit(&form, &[("key", writer.key.as_deref().expect("a key"))]).expect_status(403);
    assert!(useless.text().contains("may not read") && other.cookies.len() == 1, "{}", useless.text());
    let foreign = [("sec-fetch-site", "cross-site"), ("content-type", "application/json")];
    assert_eq!(world.call("POST", "/v1/events", &foreign, b"{}").expect("an answer").json()["code"], "cross_site");
    let elsewhere = visitor.visit(&format!("{page}sign-in?to=https://evil.example/")).expect_status(303);
    assert_eq!(elsewhere.header("location"), Some("./"));

    let seen = visitor.visit(&asked).expect_status(200);
    assert!(seen.text().contains("Ana's key") && seen.text().contains("Sign out"), "{}", seen.text());
    assert!(seen.text().contains("data-total=\"60\"") && !leaks(&seen));
    assert!(
        !seen.text().contains("export.csv") && !seen.text().contains("Save this view"),
        "what they may not is not offered"
    );
    assert_eq!(visitor.visit(&format!("{page}export.csv?range=all")).status, 403);
    // The cookie is the page's: the API takes keys only, so that no other site can use it.
    assert_eq!(visitor.visit("/v1/events").status, 401);

    let mut thief = Visitor { world: &world, cookies: visitor.cookies.clone() };
    assert_eq!(thief.visit(&asked).status, 200);
    assert_eq!(visitor.submit(&format!("{page}sign-out"), &[]).expect_status(303).header("location"), Some("sign-in"));
    assert_eq!((visitor.visit(&asked).status, thief.visit(&asked).status), (303, 303), "the session itself is over");

    visitor.submit(&form, &[("key", &key)]).expect_status(303);
    assert_eq!(visitor.visit(&asked).status, 200);
    let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
    admin.call("DELETE", &format!("/v1/keys/{own_id}"), &[], "").expect_status(200);
    assert_eq!(visitor.visit(&asked).status, 303, "with its key");

    world.settle();
    let entries =
        |action: &str| world.search(&format!("action:{action}"), 100)["events"].as_array().expect("events").clone();
    let signed_in = entries("auth.sign_in");
    assert_eq!(signed_in.len(), 2);
    assert!(signed_in.iter().all(|entry| entry["actor"]["id"] == json!(own_id)
        && entry["tenant"] == "in"
        && entry["context"]["ip"] == "127.0.0.1"));
    assert_eq!(entries("auth.sign_out").len(), 1);
    let failed = entries("auth.sign_in_failed");
    assert_eq!(
        (failed.len(), &failed[0]["outcome"], &failed[0]["detail"]["count"]),
        (1, &json!("denied"), &json!(1)),
        "the others are folded"
    );
    assert!(admin.get("/v1/keys").text().contains(&id));
}

#[test]
fn ten_thousand_wrong_keys_lock_nobody_out_and_fill_no_log() {
    let mut world = World::guarded();
    world.terminate();
    world.set("ANNALS_STRANGERS_PER_S", "1");
    world.restart();
    let (holder, _) = make(&world, &wanted(&["read"]));
    let wrong = format!("Bearer {}", wrong_key());
    let held_back = AtomicU64::new(0);
    let before = world.watermarks().durable;
    let tries: u64 = if is_soak() { 10_000 } else { 2_000 };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let agent = crate::world::new_agent();
                for _ in 0..tries / 4 {
                    let refused =
                        agent.get(format!("{}/v1/events", world.url())).header("authorization", &wrong).call();
                    match refused.expect("an answer").status().as_u16() {
                        401 => {}
                        429 => drop(held_back.fetch_add(1, Ordering::Relaxed)),
                        status => panic!("{status}"),
                    }
                }
            });
        }
        // Meanwhile who has the right one, from the same address, is served.
        for _ in 0..20 {
            holder.get("/v1/events?limit=1").ok();
        }
    });
    assert!(held_back.load(Ordering::Relaxed) > 0, "and the wrong ones wait");
    world.settle();
    assert_eq!(world.watermarks().durable, before + 2, "one entry tells of all of them, another of who was served");
    let said = world.terminate_hearing();
    assert_eq!(said.matches("a key that is not known here").count(), 2, "the first, and at the end the rest: {said}");
    world.restart();
    let failed = world.search("action:auth.sign_in_failed", 100)["events"].as_array().expect("events").clone();
    let counts = failed.iter().map(|entry| entry["detail"]["count"].as_u64().expect("a count"));
    assert_eq!(counts.sum::<u64>(), tries, "none is lost");
}

#[test]
fn keys_are_made_listed_and_revoked_from_the_command_line_and_survive_a_restart() {
    let mut world = World::guarded();
    let url = world.url().to_owned();
    let admin = world.key().to_owned();
    let annals = |url: &str, args: &[&str]| World::annals(&[args, &["--url", url, "--api-key", &admin]].concat(), b"");
    let made =
        annals(&url, &["key", "create", "--name", "poller", "--scope", "read", "--scope", "write", "--tenant", "acme"])
            .ok();
    let key = made.trim().to_owned();
    assert!(key.starts_with("annals_"), "{key}");
    assert!(annals(&url, &["key", "list"]).ok().contains("poller  tenant acme"));
    world.terminate();
    world.restart();
    let url = world.url().to_owned();
    let event = br#"{"id":"e","actor":"system","action":"a.b"}"#;
    World::annals(&["append", "--url", &url, "--api-key", &key, "-"], event).ok();
    world.settle();
    assert!(
        World::annals(&["search", "--url", &url, "--api-key", &key, "--json"], b"")
            .ok()
            .contains("\"tenant\":\"acme\"")
    );
    let listed: Value = serde_json::from_str(&annals(&url, &["key", "list", "--json"]).ok()).expect("JSON");
    let id = listed["keys"].as_array().expect("keys").iter().find(|key| key["name"] == "poller").expect("it is listed")
        ["id"]
        .clone();
    assert!(annals(&url, &["key", "revoke", id.as_str().expect("an id")]).ok().contains("is refused since"));
    let refused = World::annals(&["search", "--url", &url, "--api-key", &key], b"");
    assert!(!refused.status.success() && refused.stderr.contains("401"), "{}", refused.stderr);
    assert!(!annals(&url, &["key", "revoke", "key_none"]).status.success());
    let bad = annals(&url, &["key", "create", "--name", "x", "--scope", "root"]);
    assert!(bad.stderr.contains("there is no scope"), "{}", bad.stderr);
    // Nothing of a secret is in the directory or in what the server said.
    let secret = key.rsplit('_').next().expect("a secret").to_owned();
    let said = world.terminate_hearing();
    assert!(!said.contains(&secret) && !said.contains(admin.rsplit('_').next().expect("a secret")));
    let file = std::fs::read_to_string(world.dir().join("keys.json")).expect("the keys");
    assert!(!file.contains(&secret));
}

#[test]
fn a_new_directory_prints_an_admins_key_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let lines = |n: usize| {
        use std::io::{BufRead, BufReader};
        let mut child = World::guarded_command(&data).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let lines: Vec<String> = stdout.lines().map_while(Result::ok).take(n).collect();
        child.kill().expect("SIGKILL");
        child.wait().expect("it ended");
        lines
    };
    let first = lines(2);
    assert!(
        first[0].starts_with("admin key, shown this once: annals_") && first[1].starts_with("listening on "),
        "{first:?}"
    );
    assert!(lines(1)[0].starts_with("listening on "));
}
