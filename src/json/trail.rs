//! Where a value stands inside a JSON text, kept as the steps of whoever walks there: nothing is allocated before
//! somebody wants the pointer in writing.

use std::fmt::Write;

use super::push_pointer;

/// The way from the outermost value to one inside it. It lives on the stack of the walk that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trail<'a> {
    /// The outermost value.
    Root,
    /// A member of an object.
    Member {
        /// The object.
        of: &'a Trail<'a>,
        /// The member's name, unescaped.
        key: &'a str,
    },
    /// An item of an array.
    Item {
        /// The array.
        of: &'a Trail<'a>,
        /// Its place, from 0.
        index: usize,
    },
}

impl<'a> Trail<'a> {
    /// The way to the member `key` of this object.
    pub fn member(&'a self, key: &'a str) -> Trail<'a> {
        Trail::Member { of: self, key }
    }

    /// The way to this array's item `index`.
    pub fn item(&'a self, index: usize) -> Trail<'a> {
        Trail::Item { of: self, index }
    }

    /// As a JSON pointer (RFC 6901): `/related/0/name`. Recurses as deep as the value lies.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        self.write(&mut pointer);
        pointer
    }

    fn write(&self, pointer: &mut String) {
        match self {
            Trail::Root => {}
            Trail::Member { of, key } => {
                of.write(pointer);
                push_pointer(pointer, key);
            }
            Trail::Item { of, index } => {
                of.write(pointer);
                write!(pointer, "/{index}").expect("writing to a String cannot fail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_in_writing_is_a_json_pointer() {
        let related = Trail::Root.member("related");
        let item = related.item(10);
        assert_eq!(Trail::Root.pointer(), "");
        assert_eq!(item.member("name").pointer(), "/related/10/name");
        assert_eq!(item.member("a/b~c").member("").pointer(), "/related/10/a~1b~0c/");
    }
}
