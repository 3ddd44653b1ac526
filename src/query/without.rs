//! Taking one node out of a tree: what is left when a filter's chip is removed.

use super::Node;

impl Node {
    /// The tree without the node that `path` leads to, each step being the number of a member (0 in a NOT); `None` if
    /// nothing is left. A NOT goes with what it negates, a group with its last member.
    ///
    /// # Panics
    /// If the path leads nowhere.
    pub fn without(&self, path: &[usize]) -> Option<Node> {
        let (step, below) = path.split_first()?;
        let rest = |members: &[Node]| {
            let mut rest = members.to_vec();
            match members[*step].without(below) {
                Some(left) => rest[*step] = left,
                None => drop(rest.remove(*step)),
            }
            rest
        };
        match self {
            Node::And(members) => Some(Node::and(rest(members))),
            Node::Or(members) => Some(Node::or(rest(members))),
            Node::Not(member) => member.without(below).map(Node::negate),
            Node::All | Node::Fixed(_) | Node::Filter(_) => unreachable!("a path ends at a node without members"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Catalogue;
    use crate::query::{Env, parse};

    #[test]
    fn what_is_left_is_in_normal_form_again() {
        for (text, path, left) in [
            ("a", &[][..], None),
            ("a", &[], None),
            ("-a", &[0], None),
            ("-*", &[0], None),
            ("a b", &[], None),
            ("a b", &[1], Some("a")),
            ("a b c", &[1], Some("a c")),
            ("actor:(a OR b OR c)", &[1], Some("actor:a OR actor:c")),
            ("actor:(a OR b) x", &[0, 0], Some("actor:b x")),
            ("actor:(a OR b) x", &[0], Some("x")),
            ("x -(a b)", &[1, 0, 1], Some("x -a")),
            ("x -a", &[1, 0], Some("x")),
            // What is left of a group joins the group around it, and two negations are none.
            ("(a (b OR c)) OR d", &[0, 0], Some("b OR c OR d")),
            ("x (y OR (a b))", &[1, 0], Some("x a b")),
            ("-(a -b)", &[0, 0], Some("b")),
        ] {
            let query = parse(text, &Env { now_ms: 0, catalogue: Catalogue::builtin() }).unwrap();
            let found = query.root.without(path).map(|node| node.to_string());
            assert_eq!(found.as_deref(), left, "{text} without {path:?}");
        }
    }
}
