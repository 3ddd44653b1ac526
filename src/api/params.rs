//! The query string of a request, taken apart: first what a call knows by name, then the filter.

use std::collections::HashMap;
use std::str::FromStr;

use axum::http::Uri;

use super::App;
use super::error::ApiError;
use crate::clock;
use crate::query::{self, Env, FromParams, Query};
use crate::store::cursor::filter_hash;
use crate::wire::Place;

/// Longest query string we read, bytes: a query of 8 KiB, percent-encoded, with room for parameters.
const QUERY_STRING_BYTES_MAX: usize = 64 << 10;

/// The parameters of a request that nobody has taken yet.
pub struct Params {
    pairs: Vec<(String, String)>,
}

/// A filter with what is needed to page through it.
pub struct Filter {
    /// The query.
    pub query: Query,
    /// Tells whether a later page has the same filter.
    pub hash: u64,
    /// No parameter of the filter was given.
    pub is_empty: bool,
    /// Parameters that nobody knows.
    pub unknown: Vec<String>,
}

impl Params {
    /// Those of a request.
    pub fn of(uri: &Uri) -> Result<Params, ApiError> {
        let text = uri.query().unwrap_or_default();
        if text.len() > QUERY_STRING_BYTES_MAX {
            let detail = format!("the query string has {} bytes, more than {QUERY_STRING_BYTES_MAX}", text.len());
            return Err(ApiError::new(axum::http::StatusCode::URI_TOO_LONG, "query_too_long", detail));
        }
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Ok(Params { pairs })
    }

    /// Takes a parameter that may be given once.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let (taken, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(key, _)| key == name);
        self.pairs = rest;
        let mut taken: Vec<(String, String)> = taken;
        match taken.len() {
            0 | 1 => Ok(taken.pop().map(|(_, value)| value).filter(|value| !value.is_empty())),
            n => Err(ApiError::parameter(name, "bad_value", format!("{name} is given {n} times, expected once"))),
        }
    }

    /// Takes a parameter of a type, within limits; `expected` is what the error says.
    pub fn take_as<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
        is_allowed: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let value = text.parse().ok().filter(is_allowed);
        value
            .map(Some)
            .ok_or_else(|| ApiError::parameter(name, "bad_value", format!("{name} is {text:?}, expected {expected}")))
    }

    /// Takes a number of rows.
    pub fn take_limit(&mut self, default: usize, max: usize) -> Result<usize, ApiError> {
        let expected = format!("a number from 1 to {max}");
        Ok(self.take_as("limit", &expected, |n| (1..=max).contains(n))?.unwrap_or(default))
    }

    /// Takes one of some words.
    pub fn take_word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            ApiError::parameter(name, "bad_value", format!("{name} is {text:?}, expected {}", words.join(", ")))
        })
    }

    /// Takes a switch: `1` or `true`, `0` or `false`.
    pub fn take_flag(&mut self, name: &str) -> Result<bool, ApiError> {
        let words = [("1", true), ("true", true), ("0", false), ("false", false)];
        Ok(self.take_word(name, &words)?.unwrap_or(false))
    }

    /// Takes all the rest as a filter.
    pub fn into_filter(self, app: &App) -> Result<Filter, ApiError> {
        let FromParams { query, origins: _, unknown } = self.read(app)?;
        let known: Vec<_> = self.pairs.into_iter().filter(|(name, _)| !unknown.contains(name)).collect();
        Ok(Filter { query, hash: filter_hash(&known), is_empty: known.is_empty(), unknown })
    }

    /// A regex or a word with typos becomes an automaton here, which may take a while: other connections go on meanwhile.
    fn read(&self, app: &App) -> Result<FromParams, ApiError> {
        let env = Env { now_ms: clock::now_ms(), catalogue: app.store.catalogue() };
        let read = || Ok(query::from_params(&self.pairs, &env)?);
        match self.pairs.iter().any(|(_, value)| value.contains(['/', '~'])) {
            true => tokio::task::block_in_place(read),
            false => read(),
        }
    }

    /// The same, where an unknown parameter is an error.
    pub fn into_strict_filter(self, app: &App) -> Result<Filter, ApiError> {
        let filter = self.into_filter(app)?;
        refuse_unknown(&filter.unknown)?;
        Ok(filter)
    }

    /// The same, with the place of each filter in the order of `Node::each_filter`.
    pub fn into_placed_query(self, app: &App) -> Result<(Query, Vec<Place>), ApiError> {
        let FromParams { query, origins, unknown } = self.read(app)?;
        refuse_unknown(&unknown)?;
        let mut seen = HashMap::new();
        let nth: Vec<usize> = self.pairs.iter().map(|(name, _)| next_of(&mut seen, name)).collect();
        let places = origins.iter().map(|origin| {
            let (name, value) = &self.pairs[origin.pair];
            Place { param: name.clone(), nth: nth[origin.pair], characters: origin.characters(value) }
        });
        Ok((query, places.collect()))
    }

    /// For calls without a filter: nothing may be left.
    pub fn finish(self) -> Result<(), ApiError> {
        let names: Vec<String> = self.pairs.into_iter().map(|(name, _)| name).collect();
        refuse_unknown(&names)
    }
}

/// How many of `name` came before.
fn next_of<'a>(seen: &mut HashMap<&'a str, usize>, name: &'a str) -> usize {
    let count = seen.entry(name).or_default();
    *count += 1;
    *count - 1
}

fn refuse_unknown(names: &[String]) -> Result<(), ApiError> {
    match names.first() {
        None => Ok(()),
        Some(name) => {
            Err(ApiError::parameter(name, "unknown_parameter", format!("there is no parameter {name:?} here")))
        }
    }
}
