//! An automaton for conditions that no regex says well: terms with a known beginning, and behind it a short text that a
//! function judges, such as an address in a network.

use tantivy_fst::Automaton;

/// Longer texts are not judged. The longest address, with IPv4 in its end, has 45 characters.
const BYTES_MAX: usize = 46;

/// See the top of the file.
pub struct ShortText<F> {
    /// What every accepted term begins with.
    pub beginning: Vec<u8>,
    /// Which bytes the text may have at all, so that the others are not read to their end.
    pub may_have: fn(u8) -> bool,
    /// Judges the text.
    pub fits: F,
}

/// How far a term has been read.
#[derive(Clone, Copy)]
pub enum State {
    /// So many bytes of the beginning.
    Beginning(usize),
    /// All of it, and so many bytes of the text.
    Text { len: usize, text: [u8; BYTES_MAX] },
    /// It is not of ours.
    Dead,
}

impl<F: Fn(&str) -> bool> Automaton for ShortText<F> {
    type State = State;

    fn start(&self) -> State {
        State::Beginning(0)
    }

    fn is_match(&self, state: &State) -> bool {
        match state {
            State::Text { len, text } => std::str::from_utf8(&text[..*len]).is_ok_and(&self.fits),
            State::Beginning(_) | State::Dead => false,
        }
    }

    fn can_match(&self, state: &State) -> bool {
        !matches!(state, State::Dead)
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        match *state {
            State::Beginning(read) if self.beginning[read] == byte => match read + 1 == self.beginning.len() {
                true => State::Text { len: 0, text: [0; BYTES_MAX] },
                false => State::Beginning(read + 1),
            },
            State::Text { len, mut text } if len < BYTES_MAX && (self.may_have)(byte) => {
                text[len] = byte;
                State::Text { len: len + 1, text }
            }
            State::Beginning(_) | State::Text { .. } | State::Dead => State::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(term: &str) -> bool {
        let of = ShortText {
            beginning: b"a\0s".to_vec(),
            may_have: |byte| byte.is_ascii_digit(),
            fits: |text: &str| text.len().is_multiple_of(2),
        };
        let state = term.bytes().fold(of.start(), |state, byte| of.accept(&state, byte));
        of.can_match(&state) && of.is_match(&state)
    }

    #[test]
    fn a_term_is_accepted_for_its_beginning_its_bytes_and_its_text() {
        for (term, expected) in [
            ("a\0s12", true),
            ("a\0s", true),
            ("a\0s123", false),
            ("a\0s1x", false),
            ("a\0n12", false),
            ("b\0s12", false),
            ("a\0", false),
            ("", false),
        ] {
            assert_eq!(accepts(term), expected, "{term:?}");
        }
        assert!(accepts(&format!("a\0s{}", "7".repeat(BYTES_MAX))));
        assert!(!accepts(&format!("a\0s{}", "7".repeat(BYTES_MAX + 2))), "longer than any");
    }
}
