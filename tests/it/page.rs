//! The page without script: addresses, counts behind clicks, every link, hostile entries, headers, sizes, forms,
//! proxies.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::data::demo_events;
use crate::visitor::{PAGE, Visitor, attribute, attributes, links, resolve, total, unescape};
use crate::world::{self, World};

/// A page of 50 rows has at most so many bytes, packed.
const PAGE_BYTES_MAX: usize = 25 << 10;
/// The demo's time is past: only a range of all time shows it.
const ALL: &str = "range=all";

fn demo(n: u64) -> World {
    let world = World::start();
    world.load(demo_events(n).lines());
    world
}

#[test]
fn an_address_has_one_spelling_and_others_lead_there() {
    let world = demo(100);
    let visitor = Visitor::of(&world);
    let at = |path: &str| {
        let answer = visitor.get(path);
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(at("/"), (303, "admin/audit-log/".to_owned()));
    assert_eq!(at("/admin/audit-log?q=a"), (303, "audit-log/?q=a".to_owned()));
    let form = "?q=maya&actor_kind=any&find_actor=x&find_action=&range=7d&from=2026-11-13T15%3A00&to=&sort=desc";
    assert_eq!(at(&format!("{PAGE}{form}")), (303, "?q=maya".to_owned()));
    assert_eq!(at(&format!("{PAGE}?q=")), (303, "./".to_owned()));
    for path in [PAGE.to_owned(), format!("{PAGE}?q=maya"), format!("{PAGE}?action=billing&action=contacts&range=all")]
    {
        assert_eq!(at(&path).0, 200, "{path}");
    }
}

#[test]
fn enter_in_a_field_searches_and_clears_nothing() {
    let world = demo(10);
    let html = Visitor::of(&world).page(ALL);
    let form = &html[html.find("id=\"filters\"").expect("the form")..];
    // A browser presses the first button of a form, whichever field Enter is pressed in.
    let button = &form[form.find("<button").expect("a button")..];
    let button = &button[..button.find('>').expect("its end")];
    assert!(!button.contains("name="), "{button}");
}

#[test]
fn a_wrong_value_is_a_400_that_names_it_and_keeps_the_rest() {
    let world = demo(100);
    let visitor = Visitor::of(&world);
    for (query, field, words) in [
        ("q=actr%3Aa&target_type=did", "q", "did you mean actor"),
        ("q=maya&from=2026-11-14T00%3A00&to=2026-11-13T00%3A00", "from", "before the end"),
        ("q=maya&range=2d", "range", "90d"),
        ("q=maya&limit=7", "limit", "200"),
    ] {
        // The part that script asks for is a 200: a browser would note any other status as an error of the page.
        for (path, status) in [(format!("{PAGE}?{query}"), 400), (format!("{PAGE}_results?{query}"), 200)] {
            let html = visitor.get(&path).expect_status(status).text();
            assert!(html.contains("data-status=\"400\""), "{path}");
            assert!(unescape(&html).contains(words), "{path}: {words} is not said");
            assert!(field == "limit" || html.contains(&format!("id=\"err-{field}\"")), "{path}");
            let q = attribute(&html[html.find("name=\"q\"").expect("the search field")..], "value");
            assert_eq!(q, if field == "q" { "actr:a" } else { "maya" });
            assert!(
                !query.contains("target_type") || html.contains("value=\"did\" checked"),
                "a choice is lost: {path}"
            );
        }
    }
    for (path, words) in [
        ("_facet/actor?q=actr%3Aa&find=ma", "did you mean actor"),
        ("_detail/nothing", "there is no entry"),
        ("_facet/nothing", "no such menu"),
    ] {
        let answer = visitor.get(&format!("{PAGE}{path}")).expect_status(200);
        assert!(answer.content_type.starts_with("text/plain"), "script tells a refusal by its type: {path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
    // Who watches the server sees what they meant.
    let metrics = world.get("/metrics").text();
    for (route, status) in [("_results", 400), ("_facet/{facet}", 400), ("_detail/{id}", 404)] {
        let name = format!("annals_http_requests_total{{route=\"{PAGE}{route}\",status=\"{status}\"}}");
        assert!(metrics.contains(&name), "{name}");
    }
}

/// Follows every number of menus and strip and compares it with the page behind it.
fn every_count_is_the_total_after_its_click(visitor: &Visitor, query: &str) -> usize {
    let html = visitor.get(&format!("{PAGE}_results?{query}")).expect_status(200).text();
    let mut clicks = Vec::new();
    let strip = &html[html.find("class=\"strip\"").expect("a strip")..];
    let strip = &strip[..strip.find("</nav>").expect("its end")];
    for tab in strip.split("<a ").skip(1) {
        clicks.push((resolve(&format!("{PAGE}_results"), &attribute(&format!(" {tab}"), "href")), number(tab)));
    }
    let chosen = |name: &str| query.contains(&format!("{name}="));
    for option in html.split("<label class=\"opt").skip(1).map(|rest| &rest[..rest.find("</label>").expect("its end")])
    {
        let (name, value) = (attribute(option, "name"), attribute(option, "value"));
        // A second value of one menu adds to the first: its number is that of the value alone.
        if !["action", "actor", "target_type"].contains(&name.as_str()) || chosen(&name) {
            continue;
        }
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
        clicks.push((format!("{PAGE}_results?{query}&{pair}"), number(option)));
    }
    for (path, count) in &clicks {
        let found = total(&visitor.get(path).expect_status(200).text());
        assert_eq!(found, *count, "{path} from {query}");
    }
    let tabs: u64 = strip.split("<a ").skip(2).map(number).sum();
    assert_eq!(tabs, number(strip.split("<a ").nth(1).expect("All")), "the tabs of {query} add up to All");
    clicks.len()
}

/// The number in `<span class="n num">1,234</span>`.
fn number(html: &str) -> u64 {
    let text = html.split("class=\"n num\">").nth(1).unwrap_or_else(|| panic!("no number in {html}"));
    text[..text.find('<').expect("its end")].replace(',', "").parse().expect("a number")
}

#[test]
fn every_count_is_the_total_behind_its_click() {
    let world = demo(5_000);
    // Actions whose names could be taken for something else, and some outside the ten categories.
    for action in ["ConsoleLogin", "contacts", "other", "iam:Create*", "file.read", "Odd?", "auth"] {
        let event = json!({"action": action, "actor": {"id": "a*b?c\\d"}, "target": {"type": "x*y", "id": "1"}});
        world.post(&event).expect_status(201);
    }
    world.settle();
    let visitor = Visitor::of(&world);
    let mut clicks = 0;
    for query in [
        ALL,
        "action=contacts&range=all",
        "actor_kind=system&range=all",
        "q=actor_name%3A*a*+-action%3Acontact.deleted&range=all",
        "q=action%3Acontacts+actor%3Au_102&range=all",
        "action=other&range=all",
        "range=all&target_type=contact",
    ] {
        clicks += every_count_is_the_total_after_its_click(&visitor, query);
    }
    assert!(clicks > 400, "only {clicks} numbers were followed");
}

#[test]
fn every_link_of_the_page_leads_somewhere() {
    let world = demo(2_000);
    let visitor = Visitor::of(&world);
    let open = attribute(&visitor.page(ALL), "data-id");
    let open = format!("open={open}&range=all");
    let (mut followed, mut statuses) = (BTreeSet::new(), BTreeSet::new());
    for start in [
        String::new(),
        ALL.to_owned(),
        open,
        "q=maya&range=all&sort=asc&limit=25".to_owned(),
        "q=nothingatall".to_owned(),
    ] {
        let base = format!("{PAGE}?{start}");
        let html = visitor.get(&base).text();
        for path in links(&html).iter().map(|href| resolve(&base, href)) {
            if !followed.insert(path.clone()) {
                continue;
            }
            let answer = visitor.get(&path);
            // A link is written in its canonical form: nothing is redirected.
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            statuses.insert(answer.content_type);
        }
    }
    assert!(followed.len() > 300, "only {} links", followed.len());
    let kinds = ["text/html", "text/css", "text/csv", "application/x-ndjson", "image/svg+xml"];
    for kind in kinds {
        assert!(statuses.iter().any(|known| known.starts_with(kind)), "no link to {kind} in {statuses:?}");
    }
}

#[test]
fn pages_together_are_the_list_forwards_and_backwards() {
    let world = demo(430);
    let visitor = Visitor::of(&world);
    for sort in ["", "&sort=asc"] {
        let mut path = format!("{PAGE}?limit=100&range=all{sort}");
        let (mut ids, mut pages) = (Vec::new(), Vec::new());
        let (on, back) = if sort.is_empty() { ("older", "newer") } else { ("newer", "older") };
        loop {
            let html = visitor.get(&path).expect_status(200).text();
            let from = ids.len();
            ids.extend(attributes(&html, "data-seq"));
            assert!(html.contains(&format!("{} to {}", from + 1, ids.len())), "{path}");
            pages.push(path.clone());
            let Some(next) = step(&html, on) else {
                break;
            };
            path = resolve(&path, &next);
        }
        assert_eq!((pages.len(), ids.iter().collect::<BTreeSet<_>>().len()), (5, 430));
        let mut backwards = vec![path.clone()];
        while let Some(previous) = step(&visitor.get(&path).expect_status(200).text(), back) {
            path = resolve(&path, &previous);
            backwards.push(path.clone());
        }
        backwards.reverse();
        assert_eq!(backwards.first(), pages.first(), "the way back ends at the first page's own address");
        assert_eq!(backwards.len(), pages.len());
    }
}

/// Where a button of the pager leads.
fn step(html: &str, id: &str) -> Option<String> {
    let button = &html[html.find(&format!("id=\"{id}\"")).expect("a button")..];
    let tag = &button[..button.find('>').expect("its end")];
    tag.contains("href=").then(|| attribute(tag, "href"))
}

#[test]
fn the_chart_has_every_entry_and_its_bars_lead_to_theirs() {
    let world = demo(1_000);
    let visitor = Visitor::of(&world);
    for query in [ALL, "q=maya&range=all", "from=2025-05-01T00%3A00%3A00Z&to=2025-05-08T00%3A00%3A00Z"] {
        let html = visitor.page(query);
        let plot = &html[html.find("<svg class=\"plot\"").expect("a chart")..];
        let plot = &plot[..plot.find("</svg>").expect("its end")];
        let mut sum = 0;
        for bar in plot.split("<a ").skip(1) {
            let title = bar.split("<title>").nth(1).expect("a title");
            let count =
                title[..title.find("</title>").expect("its end")].rsplit(", ").next().expect("a count").to_owned();
            let count: u64 = count.split(' ').next().expect("a number").replace(',', "").parse().expect("a number");
            sum += count;
            if count > 0 {
                let href = attribute(&format!(" {bar}"), "href");
                assert_eq!(total(&visitor.get(&resolve(PAGE, &href)).expect_status(200).text()), count, "{href}");
            }
        }
        assert_eq!(sum, total(&html), "{query}");
    }
}

#[test]
fn hostile_entries_are_shown_harmless() {
    let world = World::start();
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}gpj.exe\u{7}";
    let long = "A".repeat(200 << 10);
    for event in [
        json!({"id": evil, "actor": {"id": evil, "name": evil, "email": evil}, "action": "x.y", "reason": evil,
               "target": {"type": evil, "id": evil, "name": evil}, "detail": {evil: evil, "link": "javascript:alert(1)"},
               "changes": [{"field": evil, "before": evil, "after": {evil: [evil]}}],
               "context": {"ip": evil, "user_agent": evil, "request_id": evil}}),
        json!({"id": "long", "actor": "system", "action": "x.long", "detail": {"text": long}}),
        json!({"id": "..", "actor": "system", "action": "x.dots"}),
        json!({"id": "a.json", "actor": "system", "action": "x.json"}),
        json!({"id": "bare", "actor": {"id": "u"}, "action": "?", "target": {"name": "only a name"}}),
        json!({"id": "typed", "actor": {"id": "u"}, "action": "<b>", "target": {"type": "only_a_type"}}),
    ] {
        world.post(&event).expect_status(201);
    }
    world.settle();
    let visitor = Visitor::of(&world);
    let ids: Vec<String> = attributes(&visitor.page(""), "data-id");
    assert_eq!(ids.len(), 6);
    let open = form_urlencoded::Serializer::new(String::new()).extend_pairs(ids.iter().map(|id| ("open", id))).finish();
    let page = visitor.get(&format!("{PAGE}_results?{open}")).expect_status(200).text();
    let mut pages = vec![page.clone(), visitor.page("")];
    for href in attributes(&page, "data-entry").into_iter().collect::<BTreeSet<_>>() {
        pages.push(visitor.get(&resolve(PAGE, &href)).expect_status(200).text());
    }
    assert_eq!(pages.len(), 2 + 6);
    for html in &pages {
        assert!(!html.contains("<img") && !html.contains("<script>") && !html.contains("href=\"javascript"), "{html}");
        assert!(!html.contains(" style="), "a style in the page");
        // Where it stands in an attribute it is data; what people see has escapes.
        let shown = without_tags(html);
        assert!(!shown.contains(['\u{202e}', '\u{7}']), "what cannot be seen is shown");
    }
    assert!(pages.iter().any(|html| html.contains("\\u{202e}gpj.exe\\u{7}")));
    assert!(page.len() < 300 << 10, "a long value is not sent twice over: {} bytes", page.len());
    for href in links(&page).iter().filter(|href| href.starts_with('?') || href.starts_with("entries/")) {
        let answer = visitor.get(&resolve(PAGE, href));
        assert_eq!(answer.status, 200, "{href}: {}", answer.text());
    }
    let json = visitor.get(&format!("{PAGE}entries/long.json")).ok().json();
    assert_eq!(json["detail"]["text"].as_str().map(str::len), Some(200 << 10));
}

fn without_tags(html: &str) -> String {
    html.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text).collect()
}

#[test]
fn every_answer_carries_the_policy_and_pages_stay_small() {
    let world = demo(5_000);
    let visitor = Visitor::of(&world);
    let html = visitor.page(ALL);
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types audit; \
                  frame-ancestors 'none'";
    let css = attributes(&html, "href").into_iter().find(|href| href.ends_with("page.css")).expect("a stylesheet");
    let paths = [
        format!("{PAGE}?{ALL}"),
        format!("{PAGE}_results?{ALL}"),
        format!("{PAGE}_facet/actor?find=ma&{ALL}"),
        format!("{PAGE}_facet/action?find=del&{ALL}"),
        format!("{PAGE}_facet/target_type?{ALL}"),
        format!("{PAGE}_facet/nothing"),
        format!("{PAGE}_detail/{}", attribute(&html, "data-id")),
        format!("{PAGE}entries/nothing"),
        format!("{PAGE}export.csv?{ALL}"),
        resolve(PAGE, &css),
        PAGE.to_owned() + "?limit=7",
    ];
    for path in &paths {
        let answer = visitor.get(path);
        // What is no page loads nothing at all.
        let nothing = "default-src 'none'; frame-ancestors 'none'";
        let policy = if answer.content_type.starts_with("text/html") { policy } else { nothing };
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        let cache = answer.header("cache-control").expect("cache-control");
        assert_eq!(cache == "no-store", !path.contains("_assets"), "{path}: {cache}");
    }
    assert!(!html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick"));
    assert!(
        html.matches("<script").all(|_| html.contains("<script type=\"module\" blocking=\"render\" src=\"_assets/"))
    );
    let packing = Visitor::at(world.url(), &[("accept-encoding", "gzip")]);
    for path in &paths[..2] {
        let answer = packing.get(path).ok();
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert!(answer.body.len() <= PAGE_BYTES_MAX, "{path} has {} bytes", answer.body.len());
    }
}

#[test]
fn views_are_kept_and_choices_are_rendered() {
    let mut world = demo(200);
    let visitor = Visitor::of(&world);
    let token = csrf(&visitor.page(""));
    let refused = visitor.post(&format!("{PAGE}views"), &[("name", "x"), ("query", "q=a"), ("csrf", "0")]);
    assert_eq!(refused.status, 403);
    let stranger = Visitor::of(&world);
    assert_eq!(stranger.post(&format!("{PAGE}views"), &[("name", "x"), ("csrf", &token)]).status, 403);
    let saved = visitor
        .post(&format!("{PAGE}views"), &[("name", "Zoë's <view>"), ("query", "q=a&open=1&limit=25"), ("csrf", &token)]);
    assert_eq!((saved.status, saved.header("location")), (303, Some("./?limit=25&q=a")));
    assert_eq!(visitor.post(&format!("{PAGE}views"), &[("name", ""), ("csrf", &token)]).status, 400);
    world.terminate();
    world.restart();
    let visitor = Visitor::of(&world);
    let html = visitor.page(ALL);
    assert!(html.contains("Zoë's &lt;view&gt;") && links(&html).contains("?limit=25&q=a"));
    let remove = attributes(&html, "action").into_iter().find(|action| action.ends_with("/delete")).expect("a form");
    let removed = visitor.post(&resolve(PAGE, &remove), &[("csrf", &csrf(&html)), ("back", ALL)]);
    assert_eq!((removed.status, removed.header("location")), (303, Some("../../?range=all")));
    assert!(!visitor.page(ALL).contains("Zoë's &lt;view"));

    let token = csrf(&visitor.page(ALL));
    let prefs = [
        ("theme", "dark"),
        ("rows", "compact"),
        ("tz", "Asia/Kolkata"),
        ("keys", "off"),
        ("back", ALL),
        ("csrf", &token),
    ];
    let answer = visitor.post(&format!("{PAGE}prefs"), &prefs);
    assert_eq!((answer.status, answer.header("location")), (303, Some("./?range=all")));
    let html = visitor.page(ALL);
    for word in [
        "data-theme=\"dark\"",
        "data-rows=\"compact\"",
        "data-keys=\"off\"",
        "data-tz=\"Asia/Kolkata\"",
        "Kolkata time",
    ] {
        assert!(html.contains(word), "no {word}");
    }
    assert_eq!(visitor.post(&format!("{PAGE}prefs"), &[("tz", "Mars"), ("csrf", &token)]).status, 400);
    // A way back that is no address of the page leads nowhere else.
    let away = visitor.post(&format!("{PAGE}prefs"), &[("back", "https://evil.example/"), ("csrf", &token)]);
    assert_eq!(away.header("location"), Some("./?"));
}

fn csrf(html: &str) -> String {
    let at = html.find("name=\"csrf\"").expect("a form");
    attribute(&html[at..], "value")
}

#[test]
fn a_proxy_and_a_frame_are_as_configured() {
    let forwarded =
        [("x-forwarded-host", "audit.example.org"), ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/annals")];
    let curl_of = |world: &World| {
        let visitor = Visitor::at(world.url(), &forwarded);
        let page = visitor.get(PAGE).ok();
        let cookie = page.header("set-cookie").expect("a token").to_owned();
        let id = attribute(&page.text(), "data-id");
        let detail = visitor.get(&format!("{PAGE}_detail/{id}")).ok().text();
        (attribute(&detail, "data-text"), cookie.contains("Secure"), page)
    };
    let event = json!({"actor": "system", "action": "a.b"});
    let world = World::start();
    world.post(&event).expect_status(201);
    world.settle();
    let (curl, is_secure, _) = curl_of(&world);
    assert!(curl.contains(&format!("'{}/v1/events/", world.url())) && !is_secure, "{curl}");

    let origins = "https://admin.example.org https://other.example.org";
    let world = World::start_with(&[("ANNALS_TRUST_PROXY", "1"), ("ANNALS_FRAME_ORIGINS", origins)]);
    world.post(&event).expect_status(201);
    world.settle();
    let (curl, is_secure, page) = curl_of(&world);
    assert!(curl.contains("'https://audit.example.org/annals/v1/events/") && is_secure, "{curl}");
    assert!(page.header("content-security-policy").expect("a policy").ends_with(&format!("frame-ancestors {origins}")));
    // Nothing in the page knows the prefix: all links are relative.
    let absolute: Vec<String> =
        links(&page.text()).into_iter().filter(|href| href.starts_with('/') || href.contains("://")).collect();
    assert_eq!(absolute, Vec::<String>::new());
    let (code, said) = world::refused(world.dir(), &[("ANNALS_FRAME_ORIGINS", "*")]);
    assert!(code != Some(0) && said.contains("frame_origins"), "{said}");
}

#[test]
fn what_is_listed_is_what_is_exported() {
    let world = demo(300);
    let visitor = Visitor::of(&world);
    let html = visitor.page("action=contacts&limit=200&range=all");
    let listed = attributes(&html, "data-seq");
    let href = links(&html).into_iter().find(|href| href.starts_with("export.csv")).expect("the button");
    let answer = visitor.get(&resolve(PAGE, &href)).ok();
    let name = answer.header("content-disposition").expect("a name");
    assert!(name.starts_with("attachment; filename=\"audit-log_start_") && name.ends_with(".csv\""), "{name}");
    let bytes = answer.body.strip_prefix("\u{feff}".as_bytes()).expect("a byte order mark");
    let rows: Vec<String> =
        csv::Reader::from_reader(bytes).records().map(|row| row.expect("a row")[0].to_owned()).collect();
    assert_eq!(rows, listed);
    let lines = visitor.get(&format!("{PAGE}export.jsonl?action=contacts&range=all")).ok().text();
    let seqs = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].to_string());
    assert_eq!(seqs.collect::<Vec<_>>(), listed);
}

#[test]
fn an_entry_has_a_page_its_json_and_its_proof() {
    let world = demo(100);
    let visitor = Visitor::of(&world);
    let html = visitor.page(ALL);
    let (id, seq) = (attribute(&html, "data-id"), attribute(&html, "data-seq"));
    world::wait_for("a signed checkpoint", || {
        (world.get(&format!("/v1/events/@{seq}/proof")).status == 200).then_some(())
    });
    let page = visitor.get(&format!("{PAGE}entries/{id}")).ok().text();
    assert!(page.contains("Included in the signed log"), "{page}");
    assert!(attributes(&page, "href").iter().any(|href| href.ends_with("page.css") && href.starts_with("../")));
    assert_eq!(
        visitor.get(&format!("{PAGE}entries/{id}.json")).ok().text(),
        world.get(&format!("/v1/events/{id}")).text()
    );
    let proof = visitor.get(&format!("{PAGE}entries/{id}/proof.json")).ok().json();
    assert_eq!(proof, world.get_json(&format!("/v1/events/{id}/evidence"), &[]));
    // An open entry that is not on the page stands on top of it.
    let elsewhere = visitor.page(&format!("open={id}&q=nothingatall"));
    assert!(elsewhere.contains("Linked entry") && attributes(&elsewhere, "data-seq").contains(&seq));
    // The numbers beside related entries are those of the pages behind them.
    let related = &page[page.find("class=\"piv\"").expect("related entries")..];
    for link in related.split("<a ").skip(1).take(4).filter(|link| link.contains("n num")) {
        let path = resolve(&format!("{PAGE}entries/{id}"), &attribute(&format!(" {link}"), "href"));
        assert_eq!(total(&visitor.get(&path).expect_status(200).text()), number(link), "{path}");
    }
}

#[test]
fn the_tail_brings_rows_and_resumes() {
    let world = World::start();
    let post = |n: u32| {
        world.post(&json!({"id": format!("t{n}"), "actor": "system", "action": if n.is_multiple_of(2) { "a.even" } else { "a.odd" }})).expect_status(201)
    };
    let listen = |query: &str| {
        let address = world.url().strip_prefix("http://").expect("plain http");
        let mut socket = TcpStream::connect(address).expect("connect");
        socket.set_read_timeout(Some(world::PATIENCE)).expect("timeout");
        write!(socket, "GET {PAGE}_tail?{query} HTTP/1.1\r\nhost: x\r\n\r\n").expect("request");
        BufReader::new(socket).lines().map(|line| line.expect("a line"))
    };
    let mut lines = listen("action=a.even");
    lines.find(|line| line.starts_with("id: ")).expect("a place");
    for n in 0..4 {
        post(n);
    }
    let rows: Vec<String> = lines.filter(|line| line.starts_with("data: ")).take(2).collect();
    assert!(
        rows[0].contains("<tr class=\"e\"") && rows[0].contains("data-id=\"t0\"") && rows[1].contains("data-id=\"t2\"")
    );
    let resumed: Vec<String> =
        listen("action=a.even&last_event_id=0").filter(|line| line.starts_with("data: ")).take(1).collect();
    assert!(resumed[0].contains("data-id=\"t2\""));
}

#[test]
fn a_link_with_fixed_times_shows_the_same_whoever_opens_it_and_whenever() {
    let world = World::start();
    world.post(&json!({"id": "now", "actor": "system", "action": "a.b"})).expect_status(201);
    world.settle();
    let visitor = Visitor::of(&world);
    for query in ["", "action=other&live=1&open=now&range=24h&sort=asc", "range=all", "from=2026-01-01T00%3A00%3A00Z"] {
        let html = visitor.page(query);
        let menu = &html[html.find("id=\"m-date\"").expect("the menu")..];
        let link = &menu[..menu.find("data-copy=\"link\"").expect("the link")];
        let href = attribute(&link[link.rfind("<a").expect("its tag")..], "href");
        for part in ["to=", "tz=UTC"] {
            assert!(href.contains(part), "{query}: {href}");
        }
        assert!(!href.contains("range=") && !href.contains("live="), "{query}: {href}");
        assert_eq!(href.contains("open=now"), query.contains("open=now"), "{query}: {href}");
        // What comes later is not in it.
        let before = total(&visitor.get(&resolve(PAGE, &href)).expect_status(200).text());
        assert_eq!(before, total(&html), "{query}");
        world.post(&json!({"actor": "system", "action": "a.b"})).expect_status(201);
        world.settle();
        assert_eq!(total(&visitor.get(&resolve(PAGE, &href)).expect_status(200).text()), before, "{query}: {href}");
    }
}

#[test]
fn an_entry_that_came_late_is_marked_unless_most_of_the_page_did() {
    let world = World::start();
    let visitor = Visitor::of(&world);
    let ago = |hours: i64| annals::clock::rfc3339_ms(annals::clock::now_ms().cast_signed() - hours * 3_600_000);
    let post = |event: Value| world.post(&event).expect_status(201);
    let is_marked = |html: &str| html.contains("class=\"late\"") && !html.contains("class=\"log brought\"");
    post(json!({"id": "fresh-1", "actor": "system", "action": "a.b"}));
    post(json!({"id": "fresh-2", "actor": "system", "action": "a.b"}));
    world.settle();
    assert!(!visitor.page("").contains("class=\"late\""));
    post(json!({"id": "late-1", "time": ago(2), "actor": "system", "action": "a.b"}));
    world.settle();
    let html = visitor.page("");
    assert!(is_marked(&html) && html.contains(", received ") && !html.contains("received later"), "{html}");
    // Brought in from elsewhere: said once.
    for n in 2..5 {
        post(json!({"id": format!("late-{n}"), "time": ago(n), "actor": "system", "action": "a.b"}));
    }
    world.settle();
    let html = visitor.page("");
    assert!(!is_marked(&html) && html.contains(", most received later than they happened"), "{html}");
    assert_eq!(html.matches("title=\"received ").count(), 4, "both times of each are there");
    let html = visitor.page("q=late");
    assert!(html.contains(", all received later than they happened"), "{html}");
}

#[test]
fn an_empty_log_says_so_and_an_empty_answer_says_where_to_look() {
    let world = World::start();
    let visitor = Visitor::of(&world);
    let html = visitor.page("");
    assert!(html.contains("Nothing recorded yet") && html.contains(&format!("curl -X POST {}/v1/events", world.url())));
    world.load(demo_events(300).lines());
    // All of it happened long ago: the default range has nothing, all time has.
    let html = visitor.page("action=contacts");
    assert!(html.contains("No entries match") && html.contains("All time"));
    let near = links(&html).into_iter().find(|href| *href == "?action=contacts&range=all").expect("a way out");
    assert!(total(&visitor.get(&resolve(PAGE, &near)).ok().text()) > 0);
}
