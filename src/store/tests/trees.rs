//! Random queries taken apart: each filter reads the same alone and where it was written, and each node can be taken
//! out as if it had never been written.

use super::*;
use crate::query::{FromParams, from_params};

/// A text that says `node` without what `path` leads to, with parentheses around everything; `None` if nothing is left.
fn said_without(node: &Node, path: Option<&[usize]>) -> Option<String> {
    let below = |step: usize| path.filter(|path| path.first() == Some(&step)).map(|path| &path[1..]);
    let joined = |members: &[Node], separator: &str| {
        let said = members.iter().enumerate().filter_map(|(step, member)| said_without(member, below(step)));
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| format!("({})", said.join(separator)))
    };
    match node {
        _ if path == Some(&[]) => None,
        Node::All => Some("*".to_owned()),
        Node::And(members) => joined(members, " AND "),
        Node::Or(members) => joined(members, " OR "),
        Node::Not(member) => said_without(member, below(0)).map(|member| format!("NOT ({member})")),
        Node::Fixed(_) => unreachable!("nobody writes it"),
        Node::Filter(filter) => Some(filter.to_string()),
    }
}

/// The path of every node.
fn paths(node: &Node, here: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    found.push(here.clone());
    let members = match node {
        Node::All | Node::Filter(_) => &[],
        Node::And(members) | Node::Or(members) => members.as_slice(),
        Node::Not(member) | Node::Fixed(member) => std::slice::from_ref(&**member),
    };
    for (step, member) in members.iter().enumerate() {
        here.push(step);
        paths(member, here, found);
        here.pop();
    }
}

fn filters(node: &Node) -> Vec<&Filter> {
    let mut filters = Vec::new();
    node.each_filter(&mut |filter| filters.push(filter));
    filters
}

fn check(text: &str, read: &FromParams, env: &Env<'_>) -> TestCaseResult {
    let reread = |text: &str| parse(text, env).map_err(|error| TestCaseError::fail(format!("{text}: {error}")));
    let root = &read.query.root;
    prop_assert_eq!(&reread(&read.query.to_string())?, &read.query, "{}", text);

    let all = filters(root);
    prop_assert_eq!(all.len(), read.origins.len(), "{}", text);
    for (filter, origin) in all.into_iter().zip(&read.origins) {
        prop_assert_eq!(&reread(&filter.to_string())?.root, &Node::Filter(filter.clone()), "{}", text);
        let characters = origin.characters(text);
        let written: String = text.chars().skip(characters.start).take(characters.len()).collect();
        // Among the values of a field only the value was written.
        let field = match filter {
            Filter::Has(has) => has.0.as_str().to_owned(),
            _ => filter.to_string().split_once(':').map_or(String::new(), |(field, _)| field.to_owned()),
        };
        let candidates = [written.clone(), format!("{field}:{written}")];
        let is_there = candidates.iter().filter_map(|text| parse(text, env).ok());
        prop_assert!(
            is_there.into_iter().any(|query| filters(&query.root) == [filter]),
            "{} is not what {:?} says in {}",
            filter,
            written,
            text
        );
    }

    let mut all = Vec::new();
    paths(root, &mut Vec::new(), &mut all);
    for path in all {
        let left = root.without(&path);
        let by_hand = said_without(root, Some(&path)).map(|said| reread(&said)).transpose()?;
        prop_assert_eq!(&left, &by_hand.map(|query| query.root), "{} without {:?}", text, &path);
        if let Some(left) = left {
            let printed = Query { root: left };
            prop_assert_eq!(&reread(&printed.to_string())?, &printed, "{} without {:?}", text, &path);
        }
    }
    Ok(())
}

#[test]
fn every_filter_stands_where_it_was_written_and_every_node_can_be_taken_out() {
    let world = World::new(SPAN_EVENTS);
    world.append(&(0..60).collect::<Vec<u64>>());
    let entries = world.entries();
    let env = Env { now_ms: clock::now_ms(), catalogue: Catalogue::builtin() };
    proptest!(config(400), |(seed in seed())| {
        let text = queries::query(&mut Dice::new(seed), &entries, 3);
        let pairs = [("q".to_owned(), text.clone())];
        if let Ok(read) = from_params(&pairs, &env) {
            check(&text, &read, &env)?;
        }
    });
}
