//! Somebody who looks at the page without script: keeps cookies, follows nothing by itself, reads links out of the
//! HTML.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::answer::Answer;
use crate::world::{self, World};

/// Where the page is.
pub const PAGE: &str = "/admin/audit-log/";

/// A browser of sorts.
pub struct Visitor {
    url: String,
    agent: ureq::Agent,
    cookies: RefCell<BTreeMap<String, String>>,
    /// Headers that every request carries.
    headers: Vec<(String, String)>,
}

impl Visitor {
    /// Of a server.
    pub fn of(world: &World) -> Visitor {
        Visitor::at(world.url(), &[])
    }

    /// Of a server at this address, with these headers on every request.
    pub fn at(url: &str, headers: &[(&str, &str)]) -> Visitor {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Visitor { url: url.to_owned(), agent: world::patient_agent(), cookies: RefCell::default(), headers }
    }

    /// GET of a path.
    pub fn get(&self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.url)).header("cookie", self.cookie_header());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        self.keep(world::answer(request.call()).unwrap_or_else(|error| panic!("GET {path}: {error}")))
    }

    /// GET of the page with this query string, which must be there.
    pub fn page(&self, query: &str) -> String {
        self.get(&format!("{PAGE}?{query}")).expect_status(200).text()
    }

    /// POST of a form.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("cookie", self.cookie_header())
            .header("content-type", "application/x-www-form-urlencoded");
        self.keep(world::answer(request.send(body)).unwrap_or_else(|error| panic!("POST {path}: {error}")))
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.borrow();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, answer: Answer) -> Answer {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = value.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

/// The values of an attribute, unescaped.
pub fn attributes(html: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    html.split(&start).skip(1).map(|rest| unescape(&rest[..rest.find('"').expect("a closing quote")])).collect()
}

/// The one value of an attribute.
pub fn attribute(html: &str, name: &str) -> String {
    attributes(html, name).into_iter().next().unwrap_or_else(|| panic!("no {name} in the page"))
}

/// The links of a page, each once, without those within it.
pub fn links(html: &str) -> BTreeSet<String> {
    attributes(html, "href").into_iter().filter(|href| !href.starts_with('#')).collect()
}

/// Text as HTML means it.
pub fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// How many entries a page or fragment says it has.
pub fn total(html: &str) -> u64 {
    attribute(html, "data-total").parse().expect("a number")
}

/// A link as a path from the root, seen from the document at `base`.
pub fn resolve(base: &str, href: &str) -> String {
    let href = href.split('#').next().expect("the part before it");
    let (path, _) = base.split_once('?').unwrap_or((base, ""));
    if href.starts_with('/') {
        return href.to_owned();
    }
    if href.starts_with('?') {
        return format!("{path}{href}");
    }
    let (relative, query) = href.split_once('?').map_or((href, None), |(relative, query)| (relative, Some(query)));
    let mut segments: Vec<&str> = path.split('/').collect();
    segments.pop();
    for step in relative.split('/') {
        match step {
            "." => {}
            ".." => drop(segments.pop()),
            step => segments.push(step),
        }
    }
    let mut path = segments.join("/");
    if relative.ends_with("..") || relative == "." {
        path.push('/');
    }
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}
