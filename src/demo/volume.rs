//! Events for benches: about 600 bytes each, made by appending text, with the spread that an index feels (many ids, few
//! actions, some common words, some rare ones). Not for reading.

use crate::clock;

use super::random::Random;

const ACTIONS: [(&str, &str); 16] = [
    ("contact.viewed", "contact"),
    ("contact.updated", "contact"),
    ("contact.created", "contact"),
    ("auth.sign_in", "session"),
    ("contact.viewed", "contact"),
    ("conversation.assigned", "conversation"),
    ("conversation.closed", "conversation"),
    ("contact.updated", "contact"),
    ("consent.opted_in", "contact"),
    ("auth.sign_out", "session"),
    ("contact.viewed", "contact"),
    ("campaign.launched", "campaign"),
    ("wallet.topped_up", "wallet"),
    ("did.assigned", "did"),
    ("user.role_changed", "user"),
    ("pricing.rate_changed", "rate"),
];
const STAGES: [&str; 5] = ["new", "lead", "qualified", "customer", "dormant"];
const FIRST: [&str; 16] = [
    "Asha", "Ravi", "Meera", "Jon", "Priya", "Omar", "Lena", "Chidi", "Sofia", "Karan", "Nina", "Tomas", "Yuki",
    "Amara", "Diego", "Zoë",
];
const LAST: [&str; 16] = [
    "Rao", "Iyer", "Patel", "Smith", "Okafor", "Garcia", "Khan", "Novak", "Silva", "Tanaka", "Mehta", "Haddad", "Berg",
    "Costa", "Kim", "Weber",
];
/// Parts of invented words: three of them make one of 32,768.
const SYLLABLES: [&str; 32] = [
    "ba", "co", "du", "fe", "gi", "ho", "ju", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wa", "xe", "yo",
    "zu", "bra", "clo", "dre", "fli", "gno", "kry", "pla", "sta", "tri", "ven", "mor", "qui",
];

/// `n` events ascending by time over the `days` days before `end_ms` (ms since 1970), about 600 bytes each.
///
/// Actors: 5,000 people and `system`. Targets: about `n / 20`. Notes: 12 words of a vocabulary of 32,768 whose words are
/// unevenly common, and the phrase `shift lead` in one of 64 events.
pub fn volume(n: u64, seed: u64, end_ms: u64, days: u32) -> impl Iterator<Item = String> {
    let mut random = Random::new(seed);
    let length_ms = (u64::from(days) * 86_400_000).max(1);
    let start_ms = end_ms.saturating_sub(length_ms);
    // One time string per ms serves all events of it; bulk data has many.
    let mut time = (u64::MAX, String::new());
    (0..n).map(move |i| {
        let ms = start_ms + (u128::from(i) * u128::from(length_ms) / u128::from(n)) as u64;
        if time.0 != ms {
            time = (ms, clock::rfc3339_ms(ms as i64));
        }
        line(ms, &time.1, n, &mut random)
    })
}

fn line(ms: u64, time: &str, n: u64, random: &mut Random) -> String {
    // Two draws hold enough bits for everything that is not a word; the fields take their own bits of them.
    let (a, b) = (random.bits(), random.bits());
    let (action, target_type) = ACTIONS[(a & 15) as usize];
    let person = (a >> 4) % 5_000;
    let target = b % (n / 20).max(1_000);
    let stage = (a >> 20) as usize % STAGES.len();
    let mut out = String::with_capacity(760);
    out.push_str("{\"id\":\"");
    hex(&mut out, ms << 16 | a >> 48, 16);
    hex(&mut out, b, 16);
    put(&mut out, &["\",\"time\":\"", time, "\",\"tenant\":\"velo-", ["in", "us", "de"][(b >> 40) as usize % 3]]);
    if a >> 56 & 7 == 0 {
        out.push_str("\",\"actor\":{\"type\":\"system\",\"id\":\"system\",\"name\":\"nightly sync\"}");
    } else {
        out.push_str("\",\"actor\":{\"type\":\"user\",\"id\":\"u_");
        number(&mut out, person);
        put(
            &mut out,
            &[
                "\",\"name\":\"",
                FIRST[person as usize & 15],
                " ",
                LAST[(person >> 4) as usize & 15],
                "\",\"email\":\"u",
            ],
        );
        number(&mut out, person);
        out.push_str("@example.com\"}");
    }
    put(
        &mut out,
        &[
            ",\"source\":\"velo-api\",\"action\":\"",
            action,
            "\",\"target\":{\"type\":\"",
            target_type,
            "\",\"id\":\"t_",
        ],
    );
    number(&mut out, target);
    put(
        &mut out,
        &[
            "\",\"name\":\"",
            FIRST[target as usize & 15],
            " ",
            LAST[(target >> 4) as usize & 15],
            "\"},\"changes\":[{\"field\":\"stage\",\"before\":\"",
        ],
    );
    put(
        &mut out,
        &[
            STAGES[stage],
            "\",\"after\":\"",
            STAGES[(stage + 1) % STAGES.len()],
            "\"}],\"context\":{\"ip\":\"203.0.113.",
        ],
    );
    number(&mut out, a >> 24 & 255);
    out.push_str("\",\"user_agent\":\"VeloConnect-Android/7.12.0 (okhttp/4.12.0)\",\"request_id\":\"r_");
    hex(&mut out, a.rotate_left(17) ^ b, 16);
    out.push_str("\"},\"detail\":{\"amount\":");
    number(&mut out, b >> 20 & 0x3fff);
    put(&mut out, &[",\"plan\":\"", ["basic", "pro", "team"][(b >> 36) as usize % 3], "\",\"note\":\""]);
    for _ in 0..12 {
        word(&mut out, random.bits());
        out.push(' ');
    }
    if a >> 32 & 63 == 0 {
        out.push_str("shift lead ");
    }
    out.push_str("done\"}}");
    out
}

/// A word of the vocabulary; low numbers are common because the smaller of two draws is taken twice.
fn word(out: &mut String, bits: u64) {
    let draw = |shift: u32| (bits >> shift) as u16 & 0x7fff;
    let number = draw(0).min(draw(15)).min(draw(30)).min(draw(45)) as usize;
    put(out, &[SYLLABLES[number & 31], SYLLABLES[number >> 5 & 31], SYLLABLES[number >> 10]]);
}

fn put(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

/// Decimal digits, without the machinery of `format!`.
fn number(out: &mut String, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| *digit as char));
}

/// The lowest `digits` hexadecimal digits.
fn hex(out: &mut String, value: u64, digits: u32) {
    out.extend((0..digits).rev().map(|place| b"0123456789abcdef"[(value >> (4 * place) & 15) as usize] as char));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn volume_is_valid_ascending_unique_and_about_600_bytes() {
        let lines: Vec<String> = volume(20_000, 9, 1_795_000_000_000, 365).collect();
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!((540..=680).contains(&(bytes / lines.len())), "{} bytes each", bytes / lines.len());
        let events: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert!(events.windows(2).all(|pair| pair[0]["time"].as_str() <= pair[1]["time"].as_str()));
        let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), lines.len());
        assert_eq!(lines, volume(20_000, 9, 1_795_000_000_000, 365).collect::<Vec<_>>());
    }
}
