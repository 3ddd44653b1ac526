//! Numbers as bytes that sort like the numbers: for ranges and equality over values of `detail`.

/// Bytes whose order is the order of the numbers: the nearest f64 (8 bytes, big-endian, sign folded in), then
/// what that f64 missed of an integer of up to 64 bits (2 bytes, offset by 0x8000). So neighbouring 64-bit ids
/// stay apart, `1.0` equals `1`, and `-0` equals `0`. Other numbers compare as the f64 they are nearest to.
///
/// `None` for what is not a JSON number token or lies beyond f64 (`1e400`).
pub fn number_key(token: &str) -> Option<[u8; 10]> {
    let first = *token.as_bytes().first()?;
    if !(first.is_ascii_digit() || first == b'-') || !token.as_bytes()[token.len() - 1].is_ascii_digit() {
        return None; // `inf`, `nan`, `+1`, `.5` and `1.` are Rust's floats, not JSON's numbers
    }
    let nearest: f64 = token.parse().ok().filter(|value: &f64| value.is_finite())?;
    let nearest = if nearest == 0.0 { 0.0 } else { nearest };
    let bits = nearest.to_bits();
    let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    let mut key = [0; 10];
    key[..8].copy_from_slice(&ordered.to_be_bytes());
    let offset =
        u16::try_from(0x8000 + missed(token, nearest)).expect("an f64 misses a 64-bit integer by at most 1,024");
    key[8..].copy_from_slice(&offset.to_be_bytes());
    Some(key)
}

/// The key of a text that is a decimal number: `443`, `-0.5`. Other texts that could be read as numbers are rather ids: `007`,
/// `12e4567`.
pub fn decimal_key(text: &str) -> Option<[u8; 10]> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !digits.starts_with('.');
    let is_padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if is_decimal && !is_padded { number_key(text) } else { None }
}

/// What `nearest` missed of the integer `token`; 0 for fractions and beyond 64 bits. At most half the distance of
/// two f64 below 2^64, which is 1,024.
fn missed(token: &str, nearest: f64) -> i32 {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0; // 2^53: every integer below is an f64
    const BITS_64: f64 = 18_446_744_073_709_551_616.0; // 2^64
    if nearest.abs() < EXACT_BELOW || nearest.abs() > BITS_64 {
        return 0;
    }
    let Some(exact) = integer(token).filter(|value| value.unsigned_abs() <= u128::from(u64::MAX)) else {
        return 0;
    };
    i32::try_from(exact - nearest as i128).expect("an f64 below 2^64 is within 1,024 of its integer")
}

/// The exact value of a token that is an integer of at most 20 significant digits, also in the forms `1.50e1`.
fn integer(token: &str) -> Option<i128> {
    let (is_negative, rest) = match token.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let mut value: i128 = 0;
    let digits = whole.bytes().chain(fraction.bytes());
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if zeros < 0 {
        // `1200e-2`: an integer only if the digits that the exponent cuts off are zeros.
        let divisor = 10i128.checked_pow(zeros.unsigned_abs())?;
        if value % divisor != 0 {
            return None;
        }
        value /= divisor;
    } else {
        value = value.checked_mul(10i128.checked_pow(zeros.unsigned_abs())?)?;
    }
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_numbers_have_equal_keys_however_they_are_written() {
        for (a, b) in [
            ("1", "1.0"),
            ("0", "-0"),
            ("0", "-0.0"),
            ("100", "1e2"),
            ("1.5e1", "15"),
            ("9007199254740993", "9007199254740993.0"),
            ("9007199254740993", "90071992547409930e-1"),
            ("18446744073709551615", "1.8446744073709551615e19"),
        ] {
            assert_eq!(number_key(a), number_key(b), "{a} {b}");
        }
    }

    #[test]
    fn neighbours_beyond_2_to_53_stay_apart() {
        let ascending = [
            "-1.7e308",
            "-18446744073709551615",
            "-9223372036854775808",
            "-9007199254740993",
            "-9007199254740992",
            "-1",
            "-0.5",
            "0",
            "4.9e-324",
            "0.5",
            "1",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "9007199254740994",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551614",
            "18446744073709551615",
            "1e300",
        ];
        for pair in ascending.windows(2) {
            assert!(number_key(pair[0]) < number_key(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_is_no_finite_json_number_has_no_key() {
        for token in ["1e400", "-1e400", "", "-", "inf", "nan", "NaN", "-inf", "1.", ".5", "+1", "0x1", "abc", "1 2"] {
            assert_eq!(number_key(token), None, "{token}");
        }
    }

    #[test]
    fn a_text_is_a_decimal_number_only_as_one_writes_it() {
        for text in ["0", "443", "-0.5", "0.25", "18446744073709551615", "1.50"] {
            assert_eq!(decimal_key(text), number_key(text), "{text}");
            assert!(decimal_key(text).is_some(), "{text}");
        }
        for text in [
            "", "-", ".", "007", "-00.5", "-.5", "1e5", "12e4567", "1.", ".5", "+1", "1.2.3", "10.0.0.7", "--1", "1-2",
            "٣",
        ] {
            assert_eq!(decimal_key(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_of_64_bits_sort_exactly(a in -(u64::MAX as i128)..=u64::MAX as i128, near in -3000i128..3000) {
            let b = (a + near).clamp(-(u64::MAX as i128), u64::MAX as i128);
            let (key_a, key_b) = (number_key(&a.to_string()).unwrap(), number_key(&b.to_string()).unwrap());
            prop_assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
        }

        #[test]
        fn floats_sort_like_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            let (key_a, key_b) = (number_key(&format!("{a}")).unwrap(), number_key(&format!("{b}")).unwrap());
            prop_assert_eq!(key_a.cmp(&key_b), a.partial_cmp(&b).unwrap());
        }
    }
}
