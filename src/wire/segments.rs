//! The files of the log, as `/v1/segments` lists them.

use super::{array, put, watermarks};
use crate::event::row::push_hex;
use crate::log::SegmentInfo;
use crate::store::watermarks::Marks;

/// `{"segments":[{"first","end","events","bytes","is_sealed","root","sha256"}],"watermarks":{…}}`, oldest first; root and
/// sha256 are null until the segment is sealed.
pub fn segments(segments: &[SegmentInfo], marks: Marks) -> String {
    let mut out = String::with_capacity(64 + segments.len() * 256);
    out.push_str("{\"segments\":");
    array(&mut out, segments, |out, segment| {
        let SegmentInfo { first, end, bytes, is_active: _, sealed } = segment;
        let events = end.0.saturating_sub(first.0);
        let is_sealed = sealed.is_some();
        put(
            out,
            format_args!(
                "{{\"first\":{first},\"end\":{end},\"events\":{events},\"bytes\":{bytes},\"is_sealed\":{is_sealed}"
            ),
        );
        for (name, hash) in [("root", sealed.map(|info| info.root)), ("sha256", sealed.map(|info| info.sha256))] {
            put(out, format_args!(",\"{name}\":"));
            match hash {
                Some(hash) => {
                    out.push('"');
                    push_hex(&hash, out);
                    out.push('"');
                }
                None => out.push_str("null"),
            }
        }
        out.push('}');
    });
    watermarks(&mut out, marks);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SealedInfo;
    use crate::seq::Seq;

    #[test]
    fn a_sealed_segment_has_its_hashes_and_the_active_one_has_none() {
        let sealed = SealedInfo { root: [1; 32], sha256: [2; 32], log_bytes: 9_000 };
        let info = |first, end, sealed: Option<SealedInfo>| SegmentInfo {
            first: Seq(first),
            end: Seq(end),
            bytes: 5_000,
            is_active: sealed.is_none(),
            sealed,
        };
        let text = segments(&[info(0, 64, Some(sealed)), info(64, 70, None)], Marks::default());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["segments"][0]["events"], 64);
        assert_eq!(json["segments"][0]["sha256"], "02".repeat(32));
        assert_eq!(json["segments"][0]["root"], "01".repeat(32));
        assert_eq!(json["segments"][1]["is_sealed"], false);
        assert!(json["segments"][1]["root"].is_null());
        assert_eq!(json["watermarks"]["sealed"], 0);
    }
}
