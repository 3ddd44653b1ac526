//! What a caller may do, in five words.

use std::fmt::{self, Display, Formatter};

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Append events.
    Write,
    /// Ask, page, count, follow and prove.
    Read,
    /// See the parts of entries that are sealed for a person.
    Personal,
    /// Take the whole of an answer away as a file.
    Export,
    /// Make and revoke keys.
    Admin,
}

impl Scope {
    /// All of them, as they are listed.
    pub const ALL: [Scope; 5] = [Scope::Write, Scope::Read, Scope::Personal, Scope::Export, Scope::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Write => "write",
            Scope::Read => "read",
            Scope::Personal => "personal",
            Scope::Export => "export",
            Scope::Admin => "admin",
        }
    }

    /// The scope of this word.
    pub fn named(word: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Some rights. None includes another: who may export but not read can only export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every right there is.
    pub fn all() -> Scopes {
        Scope::ALL.into_iter().collect()
    }

    /// Whether this right is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// No right at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One by one, as they are listed.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

impl Display for Scopes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.iter().enumerate() {
            f.write_str(if n > 0 { " " } else { "" })?;
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_stands_for_itself_alone() {
        for scope in Scope::ALL {
            let only: Scopes = [scope].into_iter().collect();
            assert_eq!(Scope::named(scope.as_str()), Some(scope));
            assert_eq!(only.iter().collect::<Vec<_>>(), [scope]);
            assert!(Scope::ALL.into_iter().all(|other| only.has(other) == (other == scope)));
        }
        assert_eq!(Scopes::all().to_string(), "write read personal export admin");
        assert_eq!(Scope::named("Admin"), None);
    }
}
