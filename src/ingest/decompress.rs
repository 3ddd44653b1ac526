//! Unpacks request bodies and stops at the limit: a small body that would grow without end costs no more than that.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

/// How a body is packed (`Content-Encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, also several members in a row.
    Gzip,
    /// RFC 8878, also several frames in a row.
    Zstd,
}

/// Why a body could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// It is larger than allowed.
    #[error("the body is larger than {bytes_max} bytes when unpacked")]
    TooLarge {
        /// The limit, bytes.
        bytes_max: usize,
    },
    /// It is damaged, cut short, or packed in another way.
    #[error("the body is not valid {encoding}")]
    Damaged {
        /// What the sender called it.
        encoding: &'static str,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
}

impl Encoding {
    /// The encoding of a `Content-Encoding` value; `None` if we do not know it.
    pub fn from_word(word: &str) -> Option<Encoding> {
        match word.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }
}

/// The body, unpacked; borrowed if it is not packed.
///
/// # Errors
/// If it holds more than `bytes_max` bytes, or is not of that encoding. Never reads much beyond the limit.
pub fn decompress(bytes: &[u8], encoding: Encoding, bytes_max: usize) -> Result<Cow<'_, [u8]>, DecompressError> {
    let damaged = |source| DecompressError::Damaged { encoding: encoding.name(), source };
    let out = match encoding {
        Encoding::Identity => Cow::Borrowed(bytes),
        Encoding::Gzip => Cow::Owned(read_up_to(MultiGzDecoder::new(bytes), bytes_max + 1).map_err(damaged)?),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?;
            Cow::Owned(read_up_to(decoder, bytes_max + 1).map_err(damaged)?)
        }
    };
    if out.len() > bytes_max { Err(DecompressError::TooLarge { bytes_max }) } else { Ok(out) }
}

fn read_up_to(reader: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(bytes_max as u64).read_to_end(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_bodies_are_unpacked_up_to_the_limit_and_no_further() {
        let zeros = vec![0; 10_000];
        for (packed, encoding) in [
            (zeros.clone(), Encoding::Identity),
            (gzip(&zeros), Encoding::Gzip),
            ([gzip(&zeros[..4000]), gzip(&zeros[4000..])].concat(), Encoding::Gzip),
            (zstd::encode_all(zeros.as_slice(), 1).unwrap(), Encoding::Zstd),
        ] {
            assert_eq!(*decompress(&packed, encoding, 10_000).unwrap(), zeros, "{encoding:?}");
            let error = decompress(&packed, encoding, 9_999).unwrap_err();
            assert!(matches!(error, DecompressError::TooLarge { bytes_max: 9_999 }), "{encoding:?}");
        }
    }

    #[test]
    fn damaged_and_short_bodies_are_refused() {
        let packed = gzip(b"hello hello hello");
        let frame = zstd::encode_all(&b"hello hello hello"[..], 1).unwrap();
        for (bytes, encoding) in [
            (&b"hello"[..], Encoding::Gzip),
            (&packed[..packed.len() - 3], Encoding::Gzip),
            (&b""[..], Encoding::Gzip),
            (&b"hello"[..], Encoding::Zstd),
            (&frame[..frame.len() - 3], Encoding::Zstd),
        ] {
            let error = decompress(bytes, encoding, 1000).unwrap_err();
            assert!(matches!(error, DecompressError::Damaged { .. }), "{encoding:?} {bytes:?}");
        }
    }
}
