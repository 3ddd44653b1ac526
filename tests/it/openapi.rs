//! `/openapi.json` against the server: its routes, the parameters that handlers read, the codes that the sources name, and (by
//! `hold`, which the world calls) every answer that any test gets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use annals::api::access::Need;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::world::World;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/api/openapi.json")).expect("openapi.json is JSON"));

/// Routes that look at no query string: whatever stands there changes nothing.
const DEAF: [&str; 7] =
    ["/v1/log", "/checkpoint", "/tile/{level}/{tile}", "/healthz", "/readyz", "/metrics", "/openapi.json"];

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// What a `$ref` stands for.
fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(&place[1..]).unwrap_or_else(|| panic!("{place} is not there")),
        None => value,
    }
}

/// Every operation: method, path as the document has it, and what it says.
fn operations() -> impl Iterator<Item = (String, &'static str, &'static Value)> {
    let paths = object(&DOCUMENT["paths"]).iter();
    paths.flat_map(|(path, methods)| {
        object(methods).iter().map(|(method, says)| (method.to_uppercase(), path.as_str(), says))
    })
}

/// The parameters of an operation that stand at `place`.
fn parameters(says: &'static Value, place: &str) -> Vec<&'static Value> {
    let all = says["parameters"].as_array().into_iter().flatten().map(resolved);
    all.filter(|parameter| parameter["in"] == place).collect()
}

/// Fails if the document does not know such an answer. What is not in it at all (the page) is no matter of its.
pub fn hold(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let fitting = operations().filter(|(known, template, _)| known == method && fits(template, path));
    // A name wins over a placeholder.
    let Some((_, template, says)) = fitting.min_by_key(|(_, template, _)| template.matches('{').count()) else {
        return;
    };
    let at = format!("{method} {template}: {}", answer.status);
    let said = says["responses"].get(answer.status.to_string());
    let said = resolved(said.unwrap_or_else(|| panic!("{at} is not in openapi.json: {}", answer.text())));
    if said.get("content").is_none() {
        assert!(answer.body.is_empty(), "{at} has a body, and the document none: {}", answer.text());
        return;
    }
    let kind = answer.content_type.split(';').next().unwrap_or_default();
    let media = said["content"].get(kind).unwrap_or_else(|| panic!("{at} as {kind:?} is not in openapi.json"));
    for (name, header) in said["headers"].as_object().into_iter().flatten() {
        let is_there = answer.header(&name.to_lowercase()).is_some();
        assert!(is_there || header["required"] != true, "{at} lacks the header {name}");
    }
    if answer.is_json() {
        // Our numbers may be larger than those of serde_json; what cannot be read is not looked at here.
        if let Ok(body) = serde_json::from_slice(&answer.body) {
            check(&media["schema"], &body, "").unwrap_or_else(|why| panic!("{at}: {why}"));
        }
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            // The name of a tile has slashes.
            (Some("{tile}"), Some(_)) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Whether a value is what a schema says. Stricter than JSON Schema: a member that is not described is wrong, so that none is
/// added without a word here. Patterns and formats are left to others.
fn check(schema: &'static Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolved(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried: Vec<_> = choices.iter().map(|choice| check(choice, value, at)).collect();
        let why: Vec<String> = tried.iter().filter_map(|tried| tried.clone().err()).collect();
        return if tried.iter().any(Result::is_ok) { Ok(()) } else { Err(why.join("; ")) };
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        return Err(format!("{at} is {value}, expected {expected}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at} is {value}, expected one of {words:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(some) => some.iter().any(|one| one == kind),
        _ => true,
    };
    if !is_kind {
        return Err(format!("{at} is of type {kind}, expected {}", schema["type"]));
    }
    match value {
        Value::Array(items) => items.iter().enumerate().try_for_each(|(n, item)| match schema.get("items") {
            Some(items) => check(items, item, &format!("{at}/{n}")),
            None => Ok(()),
        }),
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    return Err(format!("{at} lacks {name}"));
                }
            }
            members.iter().try_for_each(|(name, value)| {
                let at = format!("{at}/{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(known), _) | (None, Some(known @ Value::Object(_))) => check(known, value, &at),
                    (None, Some(Value::Bool(true))) => Ok(()),
                    (None, None) if schema["properties"].is_null() => Ok(()),
                    (None, _) => Err(format!("{at} is not described")),
                }
            })
        }
        _ => Ok(()),
    }
}

#[test]
fn every_route_is_described_with_what_it_asks_and_nothing_else_is() {
    let routes = annals::api::routes();
    let mut described: BTreeSet<(String, String)> =
        operations().map(|(method, path, _)| (method, path.to_owned())).collect();
    for (method, route, need) in routes.rules() {
        let path = route.replace("{*", "{");
        let says = operations().find(|(known, template, _)| known == method.as_str() && *template == path);
        let (.., says) = says.unwrap_or_else(|| panic!("{method} {route} is not in openapi.json"));
        described.remove(&(method.to_string(), path));
        let (scope, is_whole) = match need {
            Need::Nothing => (None, false),
            Need::Scope(scope) => (Some(scope.as_str()), false),
            Need::Whole(scope) => (Some(scope.as_str()), true),
        };
        let ways = says["security"].as_array().expect("each says its security");
        let asked: Vec<&Value> = ways.iter().flat_map(|way| object(way).values()).collect();
        assert_eq!(asked.len(), if scope.is_some() { 3 } else { 0 }, "{method} {route}");
        assert!(asked.iter().all(|roles| **roles == serde_json::json!([scope])), "{method} {route}: {asked:?}");
        assert_eq!(says["x-whole-log"] == true, is_whole, "{method} {route}");
        for (status, is_there) in [("401", scope.is_some()), ("403", scope.is_some()), ("429", scope.is_some())] {
            assert_eq!(says["responses"].get(status).is_some(), is_there, "{method} {route}: {status}");
        }
    }
    assert!(described.is_empty(), "in openapi.json and nowhere else: {described:?}");
}

/// The sources below `src/` with this in their path.
fn sources(part: &str) -> Vec<(String, String)> {
    fn collect(dir: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.retain(|(path, _)| path.contains(part));
    found
}

/// The arguments of each call of `name`, as they are written.
fn calls<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let opened = code.match_indices(name).map(|(at, _)| &code[at + name.len()..]);
    opened.map(arguments).collect()
}

fn arguments(rest: &str) -> Vec<&str> {
    let (mut depth, mut is_text, mut begin, mut found) = (0, false, 0, Vec::new());
    let mut signs = rest.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' if is_text => drop(signs.next()),
            '"' => is_text = !is_text,
            _ if is_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                found.push(rest[begin..at].trim());
                return found;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(rest[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// What stands in the quotes, if it is a plain word.
fn word(text: &str) -> Option<&str> {
    let word = text.strip_prefix('"')?.split('"').next()?;
    let is_plain =
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_plain.then_some(word)
}

#[test]
fn every_code_that_the_sources_name_is_listed_and_no_other() {
    let mut named = BTreeSet::new();
    for (path, text) in sources("/src/api/").iter().chain(&sources("/src/page/")) {
        for (call, nth) in [("ApiError::new(", 1), ("ApiError::parameter(", 1), ("unavailable(", 0), ("refused(", 0)] {
            for arguments in calls(text, call) {
                let Some(code) = arguments.get(nth) else { continue };
                match word(code) {
                    Some(code) => drop(named.insert(code.to_owned())),
                    // Where a code is handed on, it is named elsewhere.
                    None => assert!(
                        ["code", "code: &'static str", "first.code", "error.error.code"].contains(code)
                            || call == "refused(",
                        "{path}: {call} has {code:?} where a code is expected"
                    ),
                }
            }
        }
        named.extend(text.split("code: ").skip(1).filter_map(word).map(str::to_owned));
    }
    let error = &sources("/src/api/error.rs")[0].1;
    let chosen = error.split("CursorError::").skip(1).filter_map(|rest| word(rest.split("=> ").nth(1)?));
    named.extend(chosen.map(str::to_owned));
    for (file, mark) in [("/src/query/error.rs", ": &str = "), ("/src/event/fault.rs", " => ")] {
        named.extend(sources(file)[0].1.split(mark).skip(1).filter_map(word).map(str::to_owned));
    }
    let listed = DOCUMENT["components"]["schemas"]["Code"]["enum"].as_array().expect("codes");
    let listed: BTreeSet<String> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    assert!(named.len() > 50, "{named:?}");
    assert_eq!(named, listed, "left: what the sources name; right: what openapi.json lists");
}

#[test]
fn every_header_that_a_handler_reads_is_described() {
    // Those that OpenAPI keeps for itself, those of its security schemes, and what browsers add.
    let mut known: BTreeSet<String> =
        ["content-type", "content-length", "authorization", "x-api-key", "sec-fetch-site"].map(str::to_owned).into();
    for (_, _, says) in operations() {
        known.extend(parameters(says, "header").iter().filter_map(|one| Some(one["name"].as_str()?.to_lowercase())));
    }
    let mut read = BTreeSet::new();
    for (_, text) in sources("/src/api/") {
        for (call, nth) in [("headers.get(", 0), ("headers().get(", 0), ("headers.get_all(", 0), ("header_text(", 1)] {
            let names = calls(&text, call).into_iter().filter_map(|arguments| arguments.get(nth).copied());
            read.extend(names.map(|name| {
                let name = name.trim_matches('"').trim_start_matches("header::");
                name.to_lowercase().replace('_', "-")
            }));
        }
    }
    read.remove("name");
    read.remove("name: &str");
    // What `cors` reads is between it and browsers, and where a request comes from between the guard and a proxy.
    read.remove("origin");
    read.remove("x-forwarded-for");
    assert!(read.contains("idempotency-key") && read.contains("accept-encoding"), "{read:?}");
    assert!(read.is_subset(&known), "{:?}", read.difference(&known).collect::<Vec<_>>());
}

/// An address of an operation that works, with these parameters.
fn address(path: &str, says: &'static Value, more: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for parameter in parameters(says, "path") {
        let (name, example) = (parameter["name"].as_str().expect("a name"), &parameter["example"]);
        address = address.replace(&format!("{{{name}}}"), example.as_str().expect("a path has examples"));
    }
    let mut pairs = more.to_vec();
    let needed = parameters(says, "query").into_iter().filter(|parameter| parameter["required"] == true);
    let needed: Vec<(&str, String)> = needed
        .map(|parameter| {
            let example = parameter.get("example").unwrap_or(&parameter["schema"]["enum"][0]);
            let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            (parameter["name"].as_str().expect("a name"), text)
        })
        .collect();
    for (name, value) in &needed {
        if !pairs.iter().any(|(given, _)| given == name) {
            pairs.push((name, value));
        }
    }
    if path == "/v1/tail" && !pairs.iter().any(|(given, _)| *given == "last_event_id") {
        // It is refused after its filter was read, so that no stream begins.
        pairs.push(("last_event_id", "x"));
    }
    if path == "/v1/events" && says["requestBody"].is_object() && !pairs.iter().any(|(given, _)| *given == "dry_run") {
        pairs.push(("dry_run", "1"));
    }
    crate::world::with_params(&address, &pairs)
}

fn ask(world: &World, method: &str, path: &str, says: &'static Value, more: &[(&str, &str)]) -> Answer {
    let json = [("content-type", "application/json")];
    let (headers, body): (&[_], &[u8]) = match method {
        "POST" => (&json, br#"{"actor":"system","action":"a.b"}"#),
        _ => (&[], b""),
    };
    let address = address(path, says, more);
    world.call(method, &address, headers, body).unwrap_or_else(|error| panic!("{method} {address}: {error}"))
}

fn loaded() -> World {
    let world = World::start();
    world.load(crate::data::demo_events(50).lines());
    crate::world::wait_for("a signed checkpoint", || {
        (world.get("/v1/consistency?from=1&to=2").status == 200).then_some(())
    });
    world
}

#[test]
fn a_parameter_is_read_where_it_is_described_and_nowhere_else() {
    let world = loaded();
    // All names that anything may read.
    let mut names: BTreeSet<String> = BTreeSet::from(["detail.zz".to_owned(), "zz".to_owned()]);
    for (_, text) in sources("/src/api/") {
        for call in ["take(", "take_as(", "take_word(", "take_flag("] {
            names.extend(calls(&text, call).iter().filter_map(|all| word(all.first()?)).map(str::to_owned));
        }
    }
    let fields = &sources("/src/query/parse.rs")[0].1;
    names.extend(
        fields
            .lines()
            .filter(|line| line.contains("=> Some(Field::"))
            .filter_map(|l| word(l.trim()))
            .map(str::to_owned),
    );
    names.extend(annals::query::ValueField::ALL.map(|field| field.as_str().to_owned()));
    names.extend(["q", "from", "to"].map(str::to_owned));
    for (_, _, says) in operations() {
        names.extend(parameters(says, "query").iter().filter_map(|one| one["name"].as_str()).map(str::to_owned));
    }
    names.remove("detail_path");
    assert!(names.len() > 45 && names.contains("on_error") && names.contains("user_agent"), "{names:?}");
    for (method, path, says) in operations() {
        let described: BTreeSet<&str> =
            parameters(says, "query").iter().filter_map(|one| one["name"].as_str()).collect();
        if DEAF.contains(&path) {
            assert!(described.is_empty(), "{path} reads no parameter");
            let plain = ask(&world, &method, path, says, &[]).status;
            assert_eq!(ask(&world, &method, path, says, &[("q", "(")]).status, plain, "{path}");
            continue;
        }
        for name in &names {
            let answer = ask(&world, &method, path, says, &[(name, "zz")]);
            let body = if answer.is_json() { answer.json() } else { Value::Null };
            let is_ignored = body["ignored_parameters"].as_array().is_some_and(|names| names.len() == 1);
            let is_read = body["code"] != "unknown_parameter" && !is_ignored;
            let is_described = described.contains(name.as_str())
                || (name.starts_with("detail.") && described.contains("detail_path"))
                // A feed knows the event's time well enough to say why it does not go by it.
                || (path == "/v1/feed" && ["from", "to", "time"].contains(&name.as_str()));
            assert_eq!(is_read, is_described, "{method} {path}: {name}: {}", answer.text());
        }
    }
}

#[test]
fn the_bounds_and_words_that_are_described_are_those_that_are_kept() {
    let world = loaded();
    let mut tried = 0;
    for (method, path, says) in operations() {
        for parameter in parameters(says, "query") {
            let name = parameter["name"].as_str().expect("a name");
            let schema = &parameter["schema"];
            let is_refused = |value: &str| {
                let answer = ask(&world, &method, path, says, &[(name, value)]);
                answer.status == 400 && answer.json()["parameter"] == name
            };
            let whole = |bound: &str| schema[bound].as_u64().map(u128::from);
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            if schema["type"] == "integer" {
                bad.extend(["-1".to_owned(), "zz".to_owned(), "1.5".to_owned()]);
                good.extend(whole("default").map(|n| n.to_string()));
                bad.extend(whole("maximum").map(|n| (n + 1).to_string()));
                // A size of the log that is not signed yet is no fault of the parameter.
                good.extend(whole("maximum").filter(|_| path != "/v1/consistency").map(|n| n.to_string()));
                good.extend(whole("minimum").filter(|n| *n > 0).map(|n| n.to_string()));
                bad.extend(whole("minimum").filter(|n| *n > 0).map(|n| (n - 1).to_string()));
            }
            let words = schema["enum"].as_array().or(schema["items"]["enum"].as_array());
            for word in words.into_iter().flatten().filter_map(Value::as_str) {
                good.push(word.to_owned());
            }
            if words.is_some() {
                bad.push("zz".to_owned());
            }
            if name == "histogram" {
                // Ninety days have too many hours for it.
                good.retain(|word| word.contains(['d', 'o', 'y']));
            }
            if name == "dry_run" {
                // Otherwise an event would be stored.
                good.retain(|word| word == "1" || word == "true");
            }
            for value in &good {
                assert!(!is_refused(value), "{path} refuses {name}={value}");
            }
            for value in &bad {
                assert!(is_refused(value), "{path} takes {name}={value}");
            }
            tried += good.len() + bad.len();
        }
    }
    assert!(tried > 80, "{tried}");
}

#[test]
fn the_document_is_served_to_everybody_with_our_version() {
    let world = World::guarded();
    let served = world.call("GET", "/openapi.json", &[], b"").expect("an answer").expect_status(200);
    assert_eq!(served.content_type, "application/json");
    let mut served = served.json();
    assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
    served["info"]["version"] = "0.0.0".into();
    assert_eq!(served, *DOCUMENT);
}
