//! Who asks, and how much of the log there is for them.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::restriction::Restriction;
use super::scope::{Scope, Scopes};
use super::sessions::SessionId;
use crate::event::Party;
use crate::query::filter::{Filter, Value};
use crate::query::{Env, Node, Pattern, Query, ValueField};

/// How a caller came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Without a key, where none is asked for.
    Nobody,
    /// Keys are not asked for at all; only on a loopback address.
    Anyone,
    /// With this key.
    Key {
        /// Its id.
        id: Arc<str>,
        /// What its owner calls it.
        name: Arc<str>,
    },
    /// With the token of a viewer.
    Viewer {
        /// Its id.
        id: Arc<str>,
        /// Who looks, as their own system calls them.
        user: Arc<str>,
        /// What they are called.
        name: Option<Arc<str>>,
        /// The id of the key that made it.
        by: Arc<str>,
        /// When it ends, ms.
        expires_ms: u64,
    },
    /// As a person whom a provider of identities signed in.
    Person {
        /// What the provider knows them by.
        id: Arc<str>,
        /// What they are called.
        name: Option<Arc<str>>,
        /// Their e-mail address.
        email: Option<Arc<str>>,
    },
}

impl Who {
    /// The actor of what they do; `None` if they cannot be named.
    pub fn party(&self) -> Option<Party> {
        let party = |kind: &str, id: &str, name: Option<&Arc<str>>, email: Option<&Arc<str>>| {
            let text = |text: &Arc<str>| text.as_ref().to_owned();
            Some(Party { kind: kind.into(), id: id.into(), name: name.map(text), email: email.map(text) })
        };
        match self {
            Who::Nobody | Who::Anyone => None,
            Who::Key { id, name } => party("api_key", id, Some(name), None),
            Who::Viewer { user, name, .. } => party("user", user, name.as_ref(), None),
            Who::Person { id, name, email } => party("user", id, name.as_ref(), email.as_ref()),
        }
    }

    /// What they are called on the page; `None` if they cannot be named.
    pub fn name(&self) -> Option<&str> {
        match self {
            Who::Nobody | Who::Anyone => None,
            Who::Key { name, .. } => Some(name),
            Who::Viewer { user, name, .. } => Some(name.as_ref().unwrap_or(user)),
            Who::Person { id, name, email } => Some(name.as_ref().or(email.as_ref()).unwrap_or(id)),
        }
    }
}

impl Who {
    /// What they are known by.
    pub fn id(&self) -> &str {
        match self {
            Who::Nobody => "nobody",
            Who::Anyone => "anyone",
            Who::Key { id, .. } | Who::Viewer { id, .. } | Who::Person { id, .. } => id,
        }
    }
}

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A caller, for one request.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Who,
    scopes: Scopes,
    tenant: Option<Arc<str>>,
    restriction: Option<Arc<Restriction>>,
    session: Option<SessionId>,
}

impl Caller {
    /// Whoever comes, where keys are not asked for.
    pub fn anyone() -> Caller {
        Caller { who: Who::Anyone, scopes: Scopes::all(), tenant: None, restriction: None, session: None }
    }

    /// Who showed no key, where nothing is asked for: they may nothing and see nothing.
    pub fn nobody() -> Caller {
        Caller { who: Who::Nobody, scopes: Scopes::default(), tenant: None, restriction: None, session: None }
    }

    /// With these rights, in one tenant if it is given, seeing only what a restriction lets through.
    pub fn new(who: Who, scopes: Scopes, tenant: Option<Arc<str>>, restriction: Option<Arc<Restriction>>) -> Caller {
        Caller { who, scopes, tenant, restriction, session: None }
    }

    /// The same, known by a session that they began.
    pub fn in_session(self, session: SessionId) -> Caller {
        Caller { session: Some(session), ..self }
    }

    /// The session that they are known by, if they show no key.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// How they came in.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Whether they may.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// What they may.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The one tenant that they write and read.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Whether the whole log is theirs to read: neither a tenant nor a restriction stands before it. A viewer sees entries, never
    /// the log as such.
    pub fn sees_all(&self) -> bool {
        !matches!(self.who, Who::Nobody | Who::Viewer { .. }) && self.tenant.is_none() && self.restriction.is_none()
    }

    /// What matches every entry that is there for them, and no other.
    pub fn sight(&self, env: &Env<'_>) -> Query {
        let tenant = self.tenant.as_deref().map(|tenant| {
            let pattern = Pattern::Exact(tenant.to_owned());
            Node::Filter(Filter::Value(Value { field: ValueField::Tenant, pattern }))
        });
        let nothing = || Node::negate(Node::All);
        if self.who == Who::Nobody {
            return Query { root: nothing() };
        }
        // A restriction that means nothing at this moment lets nothing through.
        let rest = self.restriction.as_deref().map(|kept| kept.at(env).map_or_else(nothing, |query| query.root));
        Query { root: Node::and(tenant.into_iter().chain(rest).collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    #[test]
    fn a_caller_sees_where_tenant_and_restriction_meet() {
        let env = Env { now_ms: 1_700_000_000_000, catalogue: Catalogue::builtin() };
        let sight = |tenant: Option<&str>, restriction: Option<&str>| {
            let restriction = restriction.map(|text| Arc::new(Restriction::read(text, &env).unwrap()));
            let caller = Caller::new(Who::Anyone, Scopes::all(), tenant.map(Arc::from), restriction);
            (caller.sees_all(), caller.sight(&env).to_string())
        };
        assert_eq!(sight(None, None), (true, "*".to_owned()));
        assert_eq!(sight(Some("Acme"), None), (false, "tenant:Acme".to_owned()));
        assert_eq!(sight(None, Some("actor:u_1 OR actor:u_2")), (false, "actor:u_1 OR actor:u_2".to_owned()));
        assert_eq!(sight(Some("a"), Some("x OR y")), (false, "tenant:a (x OR y)".to_owned()));
    }
}
