//! Saved views: a name and the query string that it stands for, in `views.json` of the data directory.
//!
//! The file is small and written whole, so that after a crash the old list or the new one is there. A relative range
//! stays relative. Without sign-in there are no owners: everybody sees and removes all of them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::durable::{self, Disk};
use crate::event::row::hex;

/// The file.
const FILE: &str = "views.json";
/// Saved views, at most.
pub const VIEWS_MAX: usize = 200;
/// Longest name, characters.
pub const NAME_CHARACTERS_MAX: usize = 80;
/// Longest query string, bytes; what an address can say fits.
pub const QUERY_BYTES_MAX: usize = 32 << 10;
/// The file is never larger.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// A view that is always there: its name and query string.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("Failed sign-ins", "action=auth.sign_in_failed"),
    ("Deletions", "action=*.deleted"),
    ("Role and permission changes", "q=change%3Arole+OR+change%3Apermissions+OR+action%3Auser.role_changed"),
    ("Billing and pricing changes", "action=billing&action=pricing"),
    ("Exports of contact data", "action=contact.exported"),
    ("Erasures", "action=erasure.done&action=erasure.requested"),
];

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Names it in addresses.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// A canonical query string of the page.
    pub query: String,
}

/// Why a view is not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The name.
    #[error("a view needs a name of 1 to {NAME_CHARACTERS_MAX} characters")]
    Name,
    /// The query string.
    #[error("the filters are too long to be saved")]
    TooLong,
    /// Too many.
    #[error("{VIEWS_MAX} views are saved already; remove one first")]
    TooMany,
    /// The server writes nothing.
    #[error("the server was started read-only")]
    ReadOnly,
    /// The disk.
    #[error("the view could not be written")]
    Io(#[from] io::Error),
}

/// The saved views of a data directory.
pub struct Views {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    is_read_only: bool,
    /// Guards list and file; held for one write and its sync.
    list: Mutex<Vec<View>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    views: Vec<View>,
}

impl Views {
    /// Those of a directory. A file that cannot be read is left as it is and nothing is saved over it.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, is_read_only: bool) -> Views {
        let path = dir.join(FILE);
        let read = || -> io::Result<Vec<View>> {
            if !disk.exists(&path)? {
                return Ok(Vec::new());
            }
            let bytes = durable::read_small(&*disk, &path, FILE_BYTES_MAX)?;
            let file: File = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
            match file.version {
                1 => Ok(file.views),
                version => Err(io::Error::other(format!("version {version} is not known"))),
            }
        };
        let (list, is_broken) = match read() {
            Ok(list) => (list, false),
            Err(error) => {
                warn!("the saved views in {} cannot be read: {error}", path.display());
                (Vec::new(), true)
            }
        };
        Views { disk, dir, is_read_only: is_read_only || is_broken, list: Mutex::new(list) }
    }

    /// All, by name.
    pub fn list(&self) -> Vec<View> {
        self.list.lock().clone()
    }

    /// Saves one, in place of one of the same name. Returns when it is durable.
    pub fn save(&self, name: &str, query: &str) -> Result<(), SaveError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX {
            return Err(SaveError::Name);
        }
        if query.len() > QUERY_BYTES_MAX {
            return Err(SaveError::TooLong);
        }
        let id = hex(&durable::random::<8>()?);
        self.change(|views| {
            views.retain(|view| view.name != name);
            if views.len() >= VIEWS_MAX {
                return Err(SaveError::TooMany);
            }
            views.push(View { id, name: name.to_owned(), query: query.to_owned() });
            views.sort_by_cached_key(|view| view.name.to_lowercase());
            Ok(())
        })
    }

    /// Removes one. That there is none of this id is as good.
    pub fn remove(&self, id: &str) -> Result<(), SaveError> {
        self.change(|views| {
            views.retain(|view| view.id != id);
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<View>) -> Result<(), SaveError>) -> Result<(), SaveError> {
        if self.is_read_only {
            return Err(SaveError::ReadOnly);
        }
        let mut list = self.list.lock();
        let mut views = list.clone();
        change(&mut views)?;
        let bytes = serde_json::to_vec_pretty(&File { version: 1, views: views.clone() }).map_err(io::Error::other)?;
        durable::replace(&*self.disk, &self.dir, FILE, &bytes)?;
        *list = views;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    #[test]
    fn views_outlive_the_server_and_names_are_unique() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Views::open(OsDisk::shared(), dir.path().to_owned(), false);
        let views = open();
        views.save("Zoe", "action=a").unwrap();
        views.save(" anna ", "range=24h").unwrap();
        views.save("Zoe", "action=b").unwrap();
        let names = |views: &Views| views.list().into_iter().map(|view| (view.name, view.query)).collect::<Vec<_>>();
        assert_eq!(names(&open()), [("anna".into(), "range=24h".into()), ("Zoe".into(), "action=b".into())]);
        views.remove(&views.list()[0].id).unwrap();
        assert_eq!(names(&open()).len(), 1);
    }

    #[test]
    fn limits_have_names_and_a_broken_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let views = Views::open(OsDisk::shared(), dir.path().to_owned(), false);
        assert!(matches!(views.save(" ", ""), Err(SaveError::Name)));
        assert!(matches!(views.save(&"x".repeat(NAME_CHARACTERS_MAX + 1), ""), Err(SaveError::Name)));
        assert!(matches!(views.save("x", &"q".repeat(QUERY_BYTES_MAX + 1)), Err(SaveError::TooLong)));
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let broken = Views::open(OsDisk::shared(), dir.path().to_owned(), false);
        assert!(matches!(broken.save("x", ""), Err(SaveError::ReadOnly)));
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "{");
    }

    #[test]
    fn the_built_in_views_are_canonical_addresses() {
        for (name, query) in BUILT_IN {
            let read = super::super::state::State::read(query, chrono_tz::Tz::UTC);
            assert!(read.is_canonical && read.state.query_string() == query, "{name}: {}", read.state.query_string());
        }
    }
}
