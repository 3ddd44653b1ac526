//! A query in parameters: `q=`, and one parameter per field. Repeated ones are OR, different ones AND.
//!
//! The values of parameters are literal but for `*`, `?` and the backslash; times, seq and changes keep their ranges.

use super::error::{ParamError, ParseError};
use super::filter::{Filter, TimeRange};
use super::lex::{Raw, Shape};
use super::parse::{Field, Reading, finish, parameter, read, refuse_nul};
use super::{Env, Node, Query};

/// The query of `pairs`, and the names of those that are no part of it, in order. Empty values are ignored, as a form
/// sends them for what was left blank.
///
/// `q` is a query text; several must all match. `from` (included) and `to` (excluded) are times.
pub fn from_params(pairs: &[(String, String)], env: &Env<'_>) -> Result<(Query, Vec<String>), ParamError> {
    let reading = Reading::new(env);
    let mut texts = Vec::new();
    // A member per field, in the order in which the fields came, each with its choices.
    let mut fields: Vec<(Parameter, Vec<Node>)> = Vec::new();
    let mut unknown = Vec::new();
    for (name, value) in pairs {
        let failed = |error: ParseError| ParamError { param: name.clone(), error };
        let Some(parameter) = Parameter::named(name) else {
            unknown.push(name.clone());
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let node = parameter.read(value, &reading).map_err(failed)?;
        match fields.iter_mut().find(|(known, _)| *known == parameter) {
            _ if parameter == Parameter::Text => texts.push(node),
            Some((_, choices)) => choices.push(node),
            None => fields.push((parameter, vec![node])),
        }
    }
    let members = texts.into_iter().chain(fields.into_iter().map(|(_, choices)| Node::or(choices)));
    let query = finish(members.collect()).map_err(|error| ParamError { param: "q".to_owned(), error })?;
    Ok((query, unknown))
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
        match self {
            Parameter::Text => read(value, reading),
            Parameter::From => Ok(Node::Filter(Filter::Time(TimeRange::since(&quoted(value), reading.env)?))),
            Parameter::To => Ok(Node::Filter(Filter::Time(TimeRange::until(&quoted(value), reading.env)?))),
            // The one field whose quotes say something: the whole action, whatever the catalogue knows by that name.
            Parameter::Field(Field::Action) if let Some(action) = in_quotes(value) => {
                Field::Action.read(&quoted(action), false, reading)
            }
            Parameter::Field(field) => field.read(&parameter(value), false, reading),
        }
    }
}

fn in_quotes(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.is_empty())
}

fn quoted(value: &str) -> Raw {
    Raw { shape: Shape::Quoted, ..parameter(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    fn read(pairs: &[(&str, &str)]) -> Result<(String, Vec<String>), ParamError> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let env = Env { now_ms: 1_795_181_527_412, catalogue: Catalogue::builtin() };
        from_params(&pairs, &env).map(|(query, unknown)| (query.to_string(), unknown))
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
            (&[("action", "\"login\""), ("action", "login")], "action:\"login\" OR action:login"),
            (&[("action", "login."), ("action", "contact:")], "action:login. OR action:contact."),
            (&[("has", "changes"), ("reason", "*")], "has:changes has:reason"),
        ] {
            assert_eq!(read(pairs).map(|(text, _)| text), Ok(text.to_owned()), "{pairs:?}");
        }
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
