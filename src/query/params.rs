//! A query in parameters: `q=`, and one parameter per field. Repeated ones are OR, different ones AND.
//!
//! The values of parameters are literal but for `*`, `?` and the backslash; times, seq and changes keep their ranges.

use super::error::{ParamError, ParseError};
use super::filter::{Filter, TimeRange};
use super::lex::{Raw, Shape};
use super::origin::Origin;
use super::parse::{Field, Reading, finish, parameter, read, refuse_nul};
use super::{Env, Node, Query};

/// What parameters say.
#[derive(Clone, Debug, PartialEq)]
pub struct FromParams {
    /// All of them together.
    pub query: Query,
    /// Where each filter was written, in the order of [`Node::each_filter`].
    pub origins: Vec<Origin>,
    /// The names of those that are no part of it, in order.
    pub unknown: Vec<String>,
}

/// Reads the query of `pairs`. Empty values are ignored, as a form sends them for what was left blank.
///
/// `q` is a query text; several must all match. `from` (included) and `to` (excluded) are times.
pub fn from_params(pairs: &[(String, String)], env: &Env<'_>) -> Result<FromParams, ParamError> {
    let reading = Reading::new(env);
    // Which pairs say something about the texts, and about each field in the order in which the fields came.
    let mut groups = vec![(Parameter::Text, Vec::new())];
    let mut unknown = Vec::new();
    for (pair, (name, value)) in pairs.iter().enumerate() {
        // No text holds NUL; in the name of a path it would be the end of one.
        let Some(parameter) = Parameter::named(name).filter(|_| !name.contains('\0')) else {
            unknown.push(name.clone());
            continue;
        };
        if value.is_empty() {
            continue;
        }
        match groups.iter_mut().find(|(known, _)| *known == parameter) {
            Some((_, members)) => members.push(pair),
            None => groups.push((parameter, vec![pair])),
        }
    }
    let mut members = Vec::new();
    for (parameter, group) in groups {
        let noted = reading.noted();
        let mut nodes = Vec::with_capacity(group.len());
        for pair in group {
            let (name, value) = &pairs[pair];
            reading.turn_to(pair);
            let node = parameter.read(value, &reading).map_err(|error| error.in_characters(value));
            nodes.push(node.map_err(|error| ParamError { param: name.clone(), error })?);
        }
        match parameter {
            Parameter::Text => members.append(&mut nodes),
            Parameter::From | Parameter::To | Parameter::Field(_) => members.push(reading.any_of(nodes, noted)),
        }
    }
    let query = finish(members).map_err(|error| ParamError { param: "q".to_owned(), error })?;
    Ok(FromParams { query, origins: reading.into_origins(), unknown })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parameter {
    Text,
    From,
    To,
    Field(Field),
}

impl Parameter {
    fn named(name: &str) -> Option<Parameter> {
        match name {
            "q" => Some(Parameter::Text),
            "from" => Some(Parameter::From),
            "to" => Some(Parameter::To),
            _ => Field::named(name).map(Parameter::Field),
        }
    }

    fn read(&self, value: &str, reading: &Reading<'_>) -> Result<Node, ParseError> {
        refuse_nul(value)?;
        let node = match self {
            Parameter::Text => return read(value, reading),
            Parameter::From => Node::Filter(Filter::Time(TimeRange::since(&quoted(value), reading.env)?)),
            Parameter::To => Node::Filter(Filter::Time(TimeRange::until(&quoted(value), reading.env)?)),
            // The one field whose quotes say something: the whole action, whatever the catalogue knows by that name.
            Parameter::Field(Field::Action) if let Some(action) = in_quotes(value) => {
                Field::Action.read(&quoted(action), false, reading)?
            }
            Parameter::Field(field @ Field::Actor) => field.read(&parameter(value, ACTOR_ESCAPABLE), false, reading)?,
            Parameter::Field(field) => field.read(&parameter(value, ESCAPABLE), false, reading)?,
        };
        reading.note(&node, 0..value.len());
        Ok(node)
    }
}

/// What means more than itself in the value of a parameter, unless a backslash stands in front.
const ESCAPABLE: &str = "*?\\";

/// An actor's slash also divides.
const ACTOR_ESCAPABLE: &str = "*?\\/";

/// A text as the value of a parameter that means exactly it; as it is, if that is how it is read.
pub fn literal(text: &str) -> String {
    let read = parameter(text, ESCAPABLE);
    if read.text() == text && !read.has_wildcard() { text.to_owned() } else { escaped(text, ESCAPABLE) }
}

/// The value of the parameter `actor` that means exactly this one; as it is, if that is how it is read.
pub fn actor_literal(kind: &str, id: &str) -> String {
    let whole = format!("{kind}/{id}");
    let read = parameter(&whole, ACTOR_ESCAPABLE);
    if read.text() == whole && !read.has_wildcard() && read.type_border() == Some(kind.chars().count()) {
        return whole;
    }
    format!("{}/{}", escaped(kind, ACTOR_ESCAPABLE), escaped(id, ACTOR_ESCAPABLE))
}

fn escaped(text: &str, escapable: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if escapable.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn in_quotes(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.is_empty())
}

fn quoted(value: &str) -> Raw {
    Raw { shape: Shape::Quoted, ..parameter(value, ESCAPABLE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;
    use crate::query::lex::text_of;

    fn read(pairs: &[(&str, &str)]) -> Result<(String, Vec<String>), ParamError> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let env = Env { now_ms: 1_795_181_527_412, catalogue: Catalogue::builtin() };
        from_params(&pairs, &env).map(|read| (read.query.to_string(), read.unknown))
    }

    #[test]
    fn a_literal_means_exactly_its_text() {
        for (text, expected) in
            [("u_1", "u_1"), ("ACME\\maya", "ACME\\maya"), ("a*?\\b", "a\\*\\?\\\\b"), ("\\\\", "\\\\\\\\")]
        {
            assert_eq!(literal(text), expected);
            assert_eq!(parameter(expected, ESCAPABLE).text(), text);
        }
        for (kind, id, expected) in [
            ("user", "u/1", "user/u/1"),
            ("user", "ACME\\maya", "user/ACME\\maya"),
            ("svc/a", "7/8", "svc\\/a/7\\/8"),
            ("svc\\", "7", "svc\\\\/7"),
            ("a*", "?\\/", "a\\*/\\?\\\\\\/"),
        ] {
            assert_eq!(actor_literal(kind, id), expected);
            let read = parameter(expected, ACTOR_ESCAPABLE);
            let border = read.type_border().unwrap();
            assert_eq!(
                (text_of(&read.chars[..border]), text_of(&read.chars[border + 1..])),
                (kind.to_owned(), id.to_owned())
            );
            assert!(!read.has_wildcard());
        }
    }

    #[test]
    fn parameters_are_the_same_tree_as_the_text() {
        for (pairs, text) in [
            (&[][..], "*"),
            (&[("q", "maya OR elif"), ("actor", "u_1")], "(maya OR elif) actor:u_1"),
            (&[("q", "a"), ("q", "b")], "a b"),
            (&[("actor", "u_1"), ("action", "contacts"), ("actor", "u_2")], "(actor:u_1 OR actor:u_2) action:contacts"),
            (&[("actor", ""), ("q", ""), ("from", "")], "*"),
            (
                &[("from", "2026-11-01"), ("to", "2026-11-08T00:00+01:00")],
                "time:>=2026-11-01T00:00:00.000Z time:<2026-11-07T23:00:00.000Z",
            ),
            (&[("from", "24h")], "time:>=2026-11-19T13:32:07.412Z"),
            (&[("seq", "5..9")], "seq:5..9"),
            (&[("change", "role=agent>admin")], "change:role=agent>admin"),
            (&[("target", "a b"), ("email", "*@x.org")], "target:\"a b\" email:*@x.org"),
            (&[("target", "a\\*b"), ("source", "C:\\temp")], "target:\"a*b\" source:\"c:\\\\temp\""),
            (&[("target", "/api/v1"), ("target_name", "\"x\"")], "target:\"/api/v1\" target_name:\"\\\"x\\\"\""),
            (&[("detail.n", ">5")], "detail.n:\">5\""),
            (&[("actor", "svc/a/7"), ("actor", "svc\\/a/7")], "actor:svc/a/7 OR actor:svc\\/a/7"),
            (&[("actor", "a\\/b"), ("actor", "ACME\\maya")], "actor:a\\/b OR actor:\"acme\\\\maya\""),
            (&[("target", "a\\/b")], "target:\"a\\\\/b\""),
            (&[("action", "\"login\""), ("action", "login")], "action:\"login\" OR action:login"),
            (&[("action", "login."), ("action", "contact:")], "action:login. OR action:contact."),
            (&[("has", "changes"), ("reason", "*")], "has:changes has:reason"),
            (&[("_exists_", "reason"), ("detail.x", "null")], "has:reason detail.x:\"null\""),
            (&[("actor", "a"), ("actor", "*"), ("q", "x")], "x"),
        ] {
            assert_eq!(read(pairs).map(|(text, _)| text), Ok(text.to_owned()), "{pairs:?}");
        }
    }

    #[test]
    fn each_filter_is_found_where_it_was_written() {
        let pairs = [
            ("actor", "u_1"),
            ("q", "東京 (a OR *) -actor:(b OR \"c d\")"),
            ("foo", "1"),
            ("actor", "u_2"),
            ("from", "2026-11-01"),
            ("q", "detail.x:null"),
            ("source", "*"),
            ("action", "x"),
            ("action", "*"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
        let read = from_params(&pairs, &env).unwrap();
        let mut filters = Vec::new();
        read.query.root.each_filter(&mut |filter| filters.push(filter.to_string()));
        let written = read.origins.iter().map(|origin| {
            let value = &pairs[origin.pair].1;
            let characters = origin.characters(value);
            value.chars().skip(characters.start).take(characters.len()).collect::<String>()
        });
        let found: Vec<(String, String)> = filters.into_iter().zip(written).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(filter, text)| (filter.as_str(), text.as_str())).collect();
        let expected = [
            ("東京", "東京"),
            ("actor:b", "b"),
            ("actor:\"c d\"", "\"c d\""),
            ("detail.x:*", "detail.x:null"),
            ("actor:u_1", "u_1"),
            ("actor:u_2", "u_2"),
            ("time:>=2026-11-01T00:00:00.000Z", "2026-11-01"),
            ("has:source", "*"),
        ];
        assert_eq!((found.as_slice(), read.origins.len()), (&expected[..], expected.len()));
    }

    #[test]
    fn unknown_parameters_are_listed_and_bad_values_name_theirs() {
        assert_eq!(
            read(&[("foo", "1"), ("q", "a"), ("bar", "2")]),
            Ok(("a".to_owned(), vec!["foo".to_owned(), "bar".to_owned()]))
        );
        let error = read(&[("q", "a"), ("from", "soon")]).unwrap_err();
        assert_eq!((error.param.as_str(), error.error.at), ("from", 0));
        let error = read(&[("q", "a actr:b")]).unwrap_err();
        assert_eq!((error.param.as_str(), error.error.at), ("q", 2));
    }
}
