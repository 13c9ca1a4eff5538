//! An entry in a segment: length, checksum, time, text. The number is not stored, but the checksum covers it.

use flate2::Crc;

/// Longest text of an entry, in bytes.
pub const MAX_TEXT: usize = 16 * 1024;
/// Length (4), CRC-32 (4), milliseconds since the Unix epoch (8); little endian.
pub(super) const HEADER: usize = 16;

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was read, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// As the game wrote it.
    pub text: Vec<u8>,
}

/// What the bytes at a place are.
pub(super) enum Decoded<'b> {
    Record {
        at_ms: i64,
        text: &'b [u8],
    },
    /// The beginning of a record, or nothing: the rest is not written yet, or never was.
    Unfinished,
    Damaged,
}

/// Appends a record. `text` has at most [`MAX_TEXT`] bytes.
pub(super) fn encode(buffer: &mut Vec<u8>, seq: u64, at_ms: i64, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or_default();
    buffer.extend(length.to_le_bytes());
    buffer.extend(checksum(seq, at_ms, text).to_le_bytes());
    buffer.extend(at_ms.to_le_bytes());
    buffer.extend_from_slice(text);
}

/// What stands at the beginning of `bytes`, if its number is to be `seq`.
pub(super) fn decode(bytes: &[u8], seq: u64) -> Decoded<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Decoded::Unfinished };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let length = word(0) as usize;
    if length > MAX_TEXT {
        return Decoded::Damaged;
    }
    let Some(text) = rest.get(..length) else { return Decoded::Unfinished };
    let at_ms = (u64::from(word(8)) | u64::from(word(12)) << 32).cast_signed();
    if checksum(seq, at_ms, text) == word(4) { Decoded::Record { at_ms, text } } else { Decoded::Damaged }
}

fn checksum(seq: u64, at_ms: i64, text: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&seq.to_le_bytes());
    crc.update(&at_ms.to_le_bytes());
    crc.update(text);
    crc.sum()
}
