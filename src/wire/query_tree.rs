//! The JSON of `/v1/query/parse`: a query as a tree of groups and typed filters, each with its own text, its place in
//! the request, and what the query would be without it. A page makes its chips and their remove links of this.

use std::ops::{Bound, Range};
use std::slice;

use super::{array, optional, put};
use crate::clock::rfc3339_ms;
use crate::json::write_string;
use crate::query::filter::{
    Action, Actor, Change, Condition, Detail, End, Filter, Has, Ip, SeqRange, TargetType, TimeRange, Value, ValueRange,
    Words,
};
use crate::query::{Node, Pattern, Query};

/// Where in a request a filter was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parameter's name.
    pub param: String,
    /// Which of the parameters of this name, from 0.
    pub nth: usize,
    /// The characters of its value that say the filter.
    pub characters: Range<usize>,
}

/// `{"query":"…","tree":{…}}`; `places` are those of the query's filters, in the order of `Node::each_filter`.
pub fn query_tree(query: &Query, places: &[Place]) -> String {
    let mut out = String::from("{\"query\":");
    write_string(&query.to_string(), &mut out);
    out.push_str(",\"tree\":");
    let mut tree = Tree { root: &query.root, path: Vec::new(), places: places.iter(), out };
    tree.node(&query.root);
    tree.out.push('}');
    tree.out
}

struct Tree<'a> {
    root: &'a Node,
    /// From the root to the node that is being written.
    path: Vec<usize>,
    /// Of the filters that are still to come.
    places: slice::Iter<'a, Place>,
    out: String,
}

impl Tree<'_> {
    fn node(&mut self, node: &Node) {
        let kind = match node {
            Node::All => "all",
            Node::And(_) => "and",
            Node::Or(_) => "or",
            Node::Not(_) => "not",
            Node::Fixed(_) => "and",
            Node::Filter(_) => "filter",
        };
        put(&mut self.out, format_args!("{{\"kind\":\"{kind}\""));
        text(&mut self.out, "text", &node.to_string());
        if *self.root != Node::All {
            let rest = self.root.without(&self.path);
            text(&mut self.out, "without", &rest.map_or_else(String::new, |rest| rest.to_string()));
        }
        match node {
            Node::All => {}
            Node::And(members) | Node::Or(members) => self.members(members),
            Node::Not(member) | Node::Fixed(member) => self.members(slice::from_ref(member)),
            Node::Filter(filter) => self.filter(filter),
        }
        self.out.push('}');
    }

    fn members(&mut self, members: &[Node]) {
        self.out.push_str(",\"members\":[");
        for (step, member) in members.iter().enumerate() {
            if step > 0 {
                self.out.push(',');
            }
            self.path.push(step);
            self.node(member);
            self.path.pop();
        }
        self.out.push(']');
    }

    fn filter(&mut self, filter: &Filter) {
        text(&mut self.out, "field", &field_name(filter));
        condition(&mut self.out, filter);
        put(&mut self.out, format_args!(",\"is_pattern\":{}", filter.is_pattern()));
        if let Some(Place { param, nth, characters }) = self.places.next() {
            self.out.push_str(",\"place\":{\"param\":");
            write_string(param, &mut self.out);
            let (at, len) = (characters.start, characters.len());
            put(&mut self.out, format_args!(",\"nth\":{nth},\"at\":{at},\"len\":{len}}}"));
        }
    }
}

/// What one writes before the colon, and the name of the field's own parameter; `words` for free text.
fn field_name(filter: &Filter) -> String {
    let name = match filter {
        Filter::Words(_) => "words",
        Filter::Value(value) => value.field.as_str(),
        Filter::Actor(_) => "actor",
        Filter::Action(_) => "action",
        Filter::TargetType(_) => "target_type",
        Filter::Time(_) => "time",
        Filter::Received(_) => "received",
        Filter::Seq(_) => "seq",
        Filter::Ip(_) => "ip",
        Filter::Change(_) => "change",
        Filter::Detail(Detail { path, condition: _ }) => return format!("detail.{path}"),
        Filter::Has(Has(member)) => member.as_str(),
    };
    name.to_owned()
}

/// `,"op":…` and what belongs to it.
fn condition(out: &mut String, filter: &Filter) {
    match filter {
        Filter::Words(words) => free_text(out, words),
        Filter::Value(Value { field: _, pattern }) => compared(out, pattern),
        Filter::Actor(Actor { id, typed }) => {
            compared(out, id);
            if let Some((kind, id)) = typed {
                text(out, "type", kind);
                text(out, "id", &pattern_text(id).1);
            }
        }
        Filter::Action(meant) => action(out, meant),
        Filter::TargetType(TargetType(pattern)) | Filter::Ip(Ip::Text(pattern)) => compared(out, pattern),
        Filter::Time(TimeRange { from_ms, to_ms }) | Filter::Received(TimeRange { from_ms, to_ms }) => {
            let end = |ms: &Option<i64>, included| ms.map(|ms| (format!("\"{}\"", rfc3339_ms(ms)), included));
            range(out, end(from_ms, true), end(to_ms, false));
        }
        Filter::Seq(SeqRange { from, to }) => {
            // Both ends included, as it is printed. Where there is an end, some number lies before it.
            range(out, Some((from.to_string(), true)), to.map(|to| ((to.0 - 1).to_string(), true)));
        }
        Filter::Ip(Ip::Network(network)) => {
            op(out, if network.is_single() { "is" } else { "network" }, &network.to_string());
        }
        Filter::Change(changed) => change(out, changed),
        Filter::Detail(Detail { path: _, condition }) => match condition {
            Condition::Is { pattern: Pattern::Exact(text), network: Some(_), .. } => op(out, "network", text),
            Condition::Is { pattern, .. } => compared(out, pattern),
            Condition::Exists => out.push_str(",\"op\":\"exists\""),
            Condition::Number(ends) => detail_range(out, "range", ends, |number| &number.token),
            Condition::Text(ends) => detail_range(out, "text_range", ends, |text| &text.0),
        },
        Filter::Has(_) => out.push_str(",\"op\":\"exists\""),
    }
}

fn free_text(out: &mut String, words: &Words) {
    match words {
        Words::Word { text, tokens: _ } => op(out, "words", text),
        Words::Phrase { text, tokens: _ } => op(out, "phrase", text),
        Words::Wildcard(pattern) => op(out, "wildcard", &pattern.to_string()),
        Words::Fuzzy(fuzzy) => {
            op(out, "fuzzy", &fuzzy.term);
            put(out, format_args!(",\"distance\":{}", fuzzy.distance));
        }
        Words::Regex(pattern) => op(out, "regex", &pattern.source),
    }
}

/// The operators say which level of the action tree is meant.
fn action(out: &mut String, action: &Action) {
    match action {
        Action::Category { slug, nouns } => {
            op(out, "category", slug);
            out.push_str(",\"nouns\":");
            array(out, nouns, |out, noun| write_string(noun, out));
        }
        Action::Noun(noun) | Action::NounOnly(noun) => op(out, "noun", noun),
        Action::Unknown(name) => op(out, "noun_or_action", name),
        Action::Exact(name) => op(out, "action", name),
        Action::Pattern(pattern) => compared(out, pattern),
    }
}

fn change(out: &mut String, change: &Change) {
    let parts =
        [("changed", Some(&change.field)), ("before", change.before.as_ref()), ("after", change.after.as_ref())];
    out.push_str(",\"op\":\"change\"");
    for (name, pattern) in parts {
        match pattern {
            None => optional(out, name, None),
            Some(pattern) => {
                let (op, value) = pattern_text(pattern);
                put(out, format_args!(",\"{name}\":{{\"op\":\"{op}\",\"value\":"));
                write_string(&value, out);
                out.push('}');
            }
        }
    }
}

fn detail_range<E: End>(out: &mut String, op: &str, range: &ValueRange<E>, value: fn(&E) -> &str) {
    let json = |end: &E| {
        let mut json = String::new();
        write_string(value(end), &mut json);
        json
    };
    let end = |bound: &Bound<E>| match bound {
        Bound::Unbounded => None,
        Bound::Included(end) => Some((json(end), true)),
        Bound::Excluded(end) => Some((json(end), false)),
    };
    ends(out, op, end(&range.from), end(&range.to));
}

fn range(out: &mut String, from: Option<(String, bool)>, to: Option<(String, bool)>) {
    ends(out, "range", from, to);
}

/// Each end as ready JSON, and whether it belongs to the range.
fn ends(out: &mut String, op: &str, from: Option<(String, bool)>, to: Option<(String, bool)>) {
    put(out, format_args!(",\"op\":\"{op}\""));
    for (name, end) in [("from", from), ("to", to)] {
        match end {
            None => optional(out, name, None),
            Some((value, included)) => {
                put(out, format_args!(",\"{name}\":{{\"value\":{value},\"included\":{included}}}"));
            }
        }
    }
}

fn compared(out: &mut String, pattern: &Pattern) {
    let (name, value) = pattern_text(pattern);
    op(out, name, &value);
}

/// The operator of a pattern, and its value: wildcards keep their backslashes, a regex goes without its slashes.
fn pattern_text(pattern: &Pattern) -> (&'static str, String) {
    match pattern {
        Pattern::Exact(text) => ("is", text.clone()),
        Pattern::Wildcard(pattern) => ("wildcard", pattern.to_string()),
        Pattern::Regex(pattern) => ("regex", pattern.source.clone()),
    }
}

fn op(out: &mut String, op: &str, value: &str) {
    put(out, format_args!(",\"op\":\"{op}\""));
    text(out, "value", value);
}

fn text(out: &mut String, name: &str, value: &str) {
    optional(out, name, Some(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;
    use crate::query::{Env, from_params};

    fn written(text: &str) -> String {
        let pairs = [("q".to_owned(), text.to_owned())];
        let read = from_params(&pairs, &Env { now_ms: 86_400_000, catalogue: Catalogue::builtin() }).unwrap();
        let place = |origin: &crate::query::Origin| {
            let characters = origin.characters(text);
            Place { param: "q".to_owned(), nth: 0, characters }
        };
        query_tree(&read.query, &read.origins.iter().map(place).collect::<Vec<_>>())
    }

    #[test]
    fn a_tree_says_of_every_node_its_text_and_what_is_left_without_it() {
        assert_eq!(written(""), r#"{"query":"*","tree":{"kind":"all","text":"*"}}"#);
        let expected = concat!(
            r#"{"query":"東京 -(actor:user/a OR actor:b*)","tree":{"kind":"and","text":"東京 -(actor:user/a OR actor:b*)","without":"","members":["#,
            r#"{"kind":"filter","text":"東京","without":"-(actor:user/a OR actor:b*)","field":"words","op":"words","value":"東京","is_pattern":false,"place":{"param":"q","nth":0,"at":0,"len":2}},"#,
            r#"{"kind":"not","text":"-(actor:user/a OR actor:b*)","without":"東京","members":["#,
            r#"{"kind":"or","text":"actor:user/a OR actor:b*","without":"東京","members":["#,
            r#"{"kind":"filter","text":"actor:user/a","without":"東京 -actor:b*","field":"actor","op":"is","value":"user/a","type":"user","id":"a","is_pattern":false,"place":{"param":"q","nth":0,"at":11,"len":6}},"#,
            r#"{"kind":"filter","text":"actor:b*","without":"東京 -actor:user/a","field":"actor","op":"wildcard","value":"b*","is_pattern":true,"place":{"param":"q","nth":0,"at":21,"len":2}}"#,
            r#"]}]}]}}"#
        );
        assert_eq!(written("東京 -actor:(user/a OR B*)"), expected);
    }

    #[test]
    fn every_kind_of_filter_says_what_it_compares() {
        for (text, expected) in [
            ("\"Shift lead\"", r#""field":"words","op":"phrase","value":"shift lead","is_pattern":false"#),
            ("refun*", r#""field":"words","op":"wildcard","value":"refun*","is_pattern":true"#),
            ("wrod~", r#""field":"words","op":"fuzzy","value":"wrod","distance":1,"is_pattern":true"#),
            ("/ab+c/", r#""field":"words","op":"regex","value":"ab+c","is_pattern":true"#),
            ("email:*\\**@x.org", r#""field":"email","op":"wildcard","value":"*\\**@x.org","is_pattern":true"#),
            ("target_type:DID", r#""field":"target_type","op":"is","value":"did","is_pattern":false"#),
            (
                "action:contacts",
                r#""field":"action","op":"category","value":"contacts","nouns":["contact","contact_field","contacts"],"is_pattern":false"#,
            ),
            ("action:contact", r#""field":"action","op":"noun","value":"contact","is_pattern":false"#),
            (
                "action:ConsoleLogin",
                r#""field":"action","op":"noun_or_action","value":"consolelogin","is_pattern":false"#,
            ),
            ("action:a.b", r#""field":"action","op":"action","value":"a.b","is_pattern":false"#),
            ("action:a.*", r#""field":"action","op":"wildcard","value":"a.*","is_pattern":true"#),
            (
                "time:1970-01-01..2h",
                r#""field":"time","op":"range","from":{"value":"1970-01-01T00:00:00.000Z","included":true},"to":{"value":"1970-01-01T22:00:00.000Z","included":false},"is_pattern":false"#,
            ),
            (
                "received:1h",
                r#""field":"received","op":"range","from":{"value":"1970-01-01T23:00:00.000Z","included":true},"to":null,"is_pattern":false"#,
            ),
            (
                "seq:100..200",
                r#""field":"seq","op":"range","from":{"value":100,"included":true},"to":{"value":200,"included":true},"is_pattern":false"#,
            ),
            (
                "detail.Code:[400 TO 499}",
                r#""field":"detail.code","op":"range","from":{"value":"400","included":true},"to":{"value":"499","included":false},"is_pattern":true"#,
            ),
            (
                "detail.at:{\"a \\\"B\\\"\" TO *]",
                r#""field":"detail.at","op":"text_range","from":{"value":"a \"b\"","included":false},"to":null,"is_pattern":true"#,
            ),
            ("detail.a:10.0.0.1/8", r#""field":"detail.a","op":"network","value":"10.0.0.1/8","is_pattern":true"#),
            ("detail.a:*", r#""field":"detail.a","op":"exists","is_pattern":true"#),
            ("reason:*", r#""field":"reason","op":"exists","is_pattern":false"#),
            ("ip:10.0.0.1/8", r#""field":"ip","op":"network","value":"10.0.0.0/8","is_pattern":false"#),
            ("ip:10.0.0.1", r#""field":"ip","op":"is","value":"10.0.0.1","is_pattern":false"#),
            (
                "change:role=a*>\"b\"",
                r#""field":"change","op":"change","changed":{"op":"is","value":"role"},"before":{"op":"wildcard","value":"a*"},"after":{"op":"is","value":"b"},"is_pattern":true"#,
            ),
            (
                "change:role",
                r#""field":"change","op":"change","changed":{"op":"is","value":"role"},"before":null,"after":null,"is_pattern":false"#,
            ),
        ] {
            assert!(written(text).contains(expected), "{text}: {}", written(text));
        }
    }
}
