//! The shape of the house is a test: `src/lib.rs` lists the rooms from the ground up under comments `// floor N`, and a room
//! may name (`crate::room`) only itself and rooms on floors below its own.

use std::collections::BTreeMap;
use std::path::Path;

/// Room and the floor it is on.
type Floors = BTreeMap<String, u32>;

#[test]
fn rooms_use_only_rooms_on_floors_below() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = std::fs::read_to_string(src.join("lib.rs")).expect("src/lib.rs");
    let floors = floors(&lib);
    let mut files = Vec::new();
    collect(&src, "", &mut files);
    files.retain(|(path, _)| path != "lib.rs" && path != "main.rs");
    assert!(files.len() > 20, "only {} files found", files.len());
    let wrong: Vec<String> = files.iter().flat_map(|(path, text)| wrong_arrows(path, text, &floors)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for room in floors.keys() {
        let has_file = files.iter().any(|(path, _)| room_of(path) == *room);
        assert!(has_file, "src/lib.rs lists {room}, which has no file");
    }
}

/// What `src/lib.rs` says: `pub mod` lines belong to the floor of the comment above them.
fn floors(lib: &str) -> Floors {
    let mut floors = Floors::new();
    let mut floor = None;
    for line in lib.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("// floor ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let number = digits.parse().unwrap_or_else(|_| panic!("no number in {line:?}"));
            assert!(floor < Some(number) || floor.is_none(), "{line:?} is not above floor {floor:?}");
            floor = Some(number);
        }
        let module = line.strip_prefix("pub mod ").or(line.strip_prefix("mod "));
        if let Some(room) = module.and_then(|rest| rest.strip_suffix(';')) {
            let floor = floor.unwrap_or_else(|| panic!("{room} stands above the first floor's comment"));
            floors.insert(room.to_owned(), floor);
        }
    }
    assert!(!floors.is_empty(), "src/lib.rs lists no rooms");
    floors
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else if name.ends_with(".rs") {
            files.push((name, std::fs::read_to_string(entry.path()).expect("a source file")));
        }
    }
}

/// `log` for `log/frame.rs`, `seq` for `seq.rs`.
fn room_of(path: &str) -> &str {
    path.split('/').next().expect("a first part").trim_end_matches(".rs")
}

fn wrong_arrows(path: &str, text: &str, floors: &Floors) -> Vec<String> {
    let room = room_of(path);
    let Some(own) = floors.get(room) else {
        return vec![format!("src/{path}: the room {room} is not listed in src/lib.rs")];
    };
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for named in rooms_named(code).chain(rooms_above(path, text, number, code)) {
            match floors.get(&named) {
                _ if named == room => {}
                Some(floor) if floor < own => {}
                Some(floor) => {
                    wrong.push(format!("src/{path}:{}: {room} (floor {own}) uses {named} (floor {floor})", number + 1))
                }
                None => wrong.push(format!("src/{path}:{}: crate::{named} is not a room", number + 1)),
            }
        }
    }
    wrong
}

/// Rooms that a line of code names as `crate::room` or in `crate::{room::…, other}`.
fn rooms_named(code: &str) -> impl Iterator<Item = String> + '_ {
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with(|sign: char| sign.is_alphanumeric() || sign == '_'))
        .flat_map(|(at, _)| {
            let rest = &code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                Some(group) => heads_of_group(group),
                None => vec![identifier(rest)],
            }
        })
}

/// First names of each path in `a::{b, c}, d::e}`: those not inside a further brace. A group must end on its line
/// (rustfmt keeps short ones there; longer ones are better written as several `use`).
fn heads_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut is_start = true;
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => return heads,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            sign if is_start && !sign.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    heads.push("{ …".to_owned());
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect()
}

/// Rooms reached by climbing out of the own one with `super::super::…`. Inside a `mod tests` one step more is needed.
fn rooms_above(path: &str, text: &str, line: usize, code: &str) -> Option<String> {
    let steps = code.matches("super::").count();
    let at = code.rfind("super::")?;
    let is_in_tests = text.lines().take(line).any(|line| line.trim_start().starts_with("mod tests"));
    let depth = path.split('/').count() - usize::from(path.ends_with("/mod.rs")) + usize::from(is_in_tests);
    (steps >= depth).then(|| identifier(&code[at + "super::".len()..]))
}

#[test]
fn a_wrong_arrow_is_found() {
    let floors = floors(
        "// floor 0: ground\npub mod seq;\n// floor 1\npub mod log;\npub mod tree;\n// floor 2\npub mod query;\n",
    );
    let wrong = |path: &str, text: &str| wrong_arrows(path, text, &floors).len();
    assert_eq!(wrong("log/frame.rs", "use crate::seq::Seq;\nuse crate::log::header;\n"), 0);
    assert_eq!(wrong("log/frame.rs", "// as crate::query does\n"), 0);
    assert_eq!(wrong("log/frame.rs", "use crate::tree::Frontier;\n"), 1, "rooms of one floor do not know each other");
    assert_eq!(wrong("seq.rs", "fn f() { crate::query::parse() }\n"), 1);
    assert_eq!(wrong("log/mod.rs", "use crate::{seq::{self, Seq}, query::Query};\n"), 1);
    assert_eq!(
        wrong("log/mod.rs", "use crate::{seq::Seq,\n    tree};\n"),
        1,
        "a group that cannot be read is not let through"
    );
    assert_eq!(wrong("log/frame.rs", "use super::super::query;\n"), 1);
    assert_eq!(wrong("log/frame.rs", "use super::header;\nmod tests {\nuse super::super::header;\n"), 0);
    assert_eq!(wrong("attic/mod.rs", ""), 1, "a room that is not listed");
}
