//! What to mark in a row, as JSON: `{"/actor/name":[[0,4]],…}`, stretches in code points, the end excluded.

use super::{array, put};
use crate::json::write_string;
use crate::query::{Highlight, Highlights, Mark};

/// Appends the object of one row. A pointer begins with a slash, so `truncated` cannot be one.
pub(super) fn write(out: &mut String, highlights: &Highlights) {
    out.push('{');
    for (index, Highlight { pointer, marks }) in highlights.values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(pointer, out);
        out.push(':');
        array(out, marks, |out, Mark { code_points, .. }| {
            put(out, format_args!("[{},{}]", code_points.start, code_points.end));
        });
    }
    if highlights.is_truncated {
        out.push_str(if highlights.values.is_empty() { "\"truncated\":true" } else { ",\"truncated\":true" });
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_to_mark_in_code_points_and_whether_that_is_all() {
        let mark = |code_points| Mark { bytes: 0..99, code_points };
        let name = Highlight { pointer: "/actor/name".to_owned(), marks: vec![mark(0..4), mark(7..9)] };
        let odd = Highlight { pointer: "/detail/\"~1".to_owned(), marks: vec![mark(1..2)] };
        let written = |values: &[Highlight], is_truncated| {
            let mut out = String::new();
            write(&mut out, &Highlights { values: values.to_vec(), is_truncated, json_bytes_max: 0 });
            out
        };
        assert_eq!(written(&[], false), "{}");
        assert_eq!(written(&[], true), r#"{"truncated":true}"#);
        assert_eq!(written(&[name.clone(), odd], false), r#"{"/actor/name":[[0,4],[7,9]],"/detail/\"~1":[[1,2]]}"#);
        assert_eq!(written(&[name], true), r#"{"/actor/name":[[0,4],[7,9]],"truncated":true}"#);
    }
}
