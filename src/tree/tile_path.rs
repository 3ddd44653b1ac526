//! How a tile is named in an address (c2sp.org/tlog-tiles): `x001/x234/067` is tile 1,234,067, and `.p/17` behind it asks
//! for its first 17 hashes.

use super::checkpoint::parse_size;
use super::tiles::TILE_HASHES;

/// Levels that an address may name.
const LEVELS: u32 = 64;
/// A u64 has 20 digits, which are seven groups of three.
const GROUPS_MAX: usize = 7;

/// The number of a tile, and how many hashes of it are asked for. `None` unless it is written as it should be.
pub fn parse(path: &str) -> Option<(u64, u64)> {
    let (tile, width) = match path.split_once(".p/") {
        Some((tile, width)) => (tile, parse_size(width).filter(|width| (1..TILE_HASHES).contains(width))?),
        None => (path, TILE_HASHES),
    };
    let groups: Vec<&str> = tile.split('/').collect();
    if groups.len() > GROUPS_MAX {
        return None;
    }
    let mut number: u64 = 0;
    for (index, group) in groups.iter().enumerate() {
        let is_last = index + 1 == groups.len();
        let digits = if is_last { group } else { group.strip_prefix('x')? };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A group of zeros in front would be another name for the same tile.
        if index == 0 && !is_last && digits == "000" {
            return None;
        }
        number = number.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((number, width))
}

/// A level from 0 to 63.
pub fn parse_level(text: &str) -> Option<u32> {
    parse_size(text).and_then(|level| u32::try_from(level).ok()).filter(|level| *level < LEVELS)
}

/// The address of a tile, without level; `width` hashes of it.
pub fn print(tile: u64, width: u64) -> String {
    let mut groups = vec![format!("{:03}", tile % 1_000)];
    let mut rest = tile / 1_000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1_000));
        rest /= 1_000;
    }
    groups.reverse();
    let path = groups.join("/");
    if width == TILE_HASHES { path } else { format!("{path}.p/{width}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_name() {
        for (tile, width, name) in [
            (0, 256, "000"),
            (67, 1, "067.p/1"),
            (999, 255, "999.p/255"),
            (1_000, 256, "x001/000"),
            (1_234_067, 256, "x001/x234/067"),
            (u64::MAX / 256, 256, "x072/x057/x594/x037/x927/935"),
        ] {
            assert_eq!(print(tile, width), name);
            assert_eq!(parse(name), Some((tile, width)), "{name}");
        }
        for bad in [
            "",
            "0",
            "00",
            "0000",
            "x000/000",
            "x001",
            "001/000",
            "x1/000",
            "x001/x000",
            "067.p/",
            "067.p/0",
            "067.p/01",
            "067.p/256",
            "067.p/1/2",
            "-01",
            "+01",
            "x999/x999/x999/x999/x999/x999/999",
            "x001/x000/x000/x000/x000/x000/x000/000",
            "000/",
            "/000",
            "000.p",
            "٠٠٠",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(
            [parse_level("0"), parse_level("63"), parse_level("64"), parse_level("01")],
            [Some(0), Some(63), None, None]
        );
    }
}
