//! `has:changes`, which is also written `changes:*`: a member is present.

use std::fmt::{self, Display, Formatter};

use super::Filter;
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape};
use crate::query::parse::did_you_mean;
use crate::query::values::Member;
use crate::query::view::View;

/// The event has the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Has(pub Member);

impl Has {
    pub(in crate::query) fn parse(raw: &Raw) -> Result<Filter, ParseError> {
        let name = raw.text();
        let plain = matches!(raw.shape, Shape::Bare | Shape::Quoted);
        let member = Member::ALL.into_iter().find(|member| plain && named(*member, &name));
        member.map(|member| Filter::Has(Has(member))).ok_or_else(|| {
            let names = Member::ALL.map(Member::as_str);
            let expected = if name.starts_with("detail.") {
                format!("a value inside the payload is asked for by {name}:*")
            } else {
                did_you_mean(&name, &names).unwrap_or_else(|| format!("expected one of {}", names.join(", ")))
            };
            ParseError::value(raw.at, format!("unknown member \"{name}\""), expected)
        })
    }

    pub(in crate::query) fn matches(&self, view: &View<'_>) -> bool {
        self.0.is_in(view.event())
    }
}

/// The member's own name, or that of the filter over it.
fn named(member: Member, name: &str) -> bool {
    name == member.as_str()
        || matches!(
            (member, name),
            (Member::Changes, "change") | (Member::Request, "request_id") | (Member::Session, "session_id")
        )
}

impl Display for Has {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "has:{}", self.0.as_str())
    }
}
