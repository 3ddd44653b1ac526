//! The dictionary of a sealed segment: what many of its events have in common, so that blocks of a few events compress well.
//! The same events always give the same one.

use zstd::dict::from_continuous;

use super::sealed::DICTIONARY_BYTES_MAX;
use crate::seq::Seq;

/// It is made of so many events at most, spread over the segment. Four times as many make it no better.
const SAMPLES_MAX: u64 = 500;
/// Of a longer payload only the beginning.
const SAMPLE_BYTES_MAX: usize = 4 << 10;
/// It has at most this part of the payloads' bytes, as the samples tell them, so that it costs little where it saves nothing.
const PART: usize = 32;

/// Trains the dictionary of the events `first..end`; empty if they are too few or have nothing in common.
pub(super) fn train<E>(
    first: Seq,
    end: Seq,
    mut add_payload: impl FnMut(Seq, &mut Vec<u8>) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let events = end.0 - first.0;
    let step = events.div_ceil(SAMPLES_MAX).max(1);
    let (mut samples, mut lens) = (Vec::new(), Vec::new());
    for seq in (first.0..end.0).step_by(step as usize).map(Seq) {
        let begin = samples.len();
        add_payload(seq, &mut samples)?;
        samples.truncate(begin + SAMPLE_BYTES_MAX);
        lens.push(samples.len() - begin);
    }
    let bytes_max = DICTIONARY_BYTES_MAX.min(samples.len() * step as usize / PART);
    Ok(from_continuous(&samples, &lens, bytes_max).unwrap_or_default())
}
