//! One letter in a segment: `mark | length | checksum | version | flags | time | record`, numbers little-endian.
//!
//! The checksum (CRC-32C) covers the length and all that follows it, so that no length is believed that was not written. The mark lets a
//! reader find the next frame behind a damaged one.

use crate::{DlqError, Record};

/// Four bytes that begin a frame; not ASCII, so that texts in payloads seldom contain them.
pub(super) const MARK: [u8; 4] = [0xd1, 0x5c, 0xa7, 0xf3];
/// Mark, length and checksum.
pub(super) const HEAD: usize = 12;
/// Version, flags and time.
const META: usize = 10;
const VERSION: u8 = 1;
/// The call ran inside a retry of an outer policy.
const WITHIN_RETRY: u8 = 1;
/// Longer ones are no frames: letters are capped far below.
const LONGEST: usize = 256 << 20;

/// A letter as it was appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The letter.
    pub record: Record,
    /// When it was appended, by the wall clock, in milliseconds since 1970.
    pub now: i64,
    /// Whether it may be merged by correlation id ([`Write::within_retry`](crate::Write)).
    pub within_retry: bool,
}

/// What lies at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole frame, and its length with the head.
    Whole(&'a [u8], usize),
    /// The bytes end before it does: it has this length.
    Partly(usize),
    /// Zeros: nothing was written here.
    Nothing,
    /// Something else.
    Damaged,
}

/// Appends a frame's bytes to `to`.
///
/// # Errors
/// `config.invalid` for a letter that is too long for one.
pub(super) fn write(to: &mut Vec<u8>, record: &[u8], now: i64, within_retry: bool) -> Result<(), DlqError> {
    let start = to.len();
    let length = Some(META + record.len()).filter(|length| *length <= LONGEST).and_then(|length| u32::try_from(length).ok());
    let length =
        length.ok_or_else(|| DlqError::invalid(format!("letter: {} bytes; at most {} MiB can be written", record.len(), LONGEST >> 20)))?;
    to.extend_from_slice(&MARK);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&[0; 4]);
    to.push(VERSION);
    to.push(if within_retry { WITHIN_RETRY } else { 0 });
    to.extend_from_slice(&now.to_le_bytes());
    to.extend_from_slice(record);
    let sum = checksum(&to[start + 4..start + 8], &to[start + HEAD..]);
    to[start + 8..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn checksum(length: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), content)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte))
}

/// What begins at the start of `bytes`.
pub(super) fn find(bytes: &[u8]) -> Found<'_> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return if bytes.iter().all(|byte| *byte == 0) { Found::Nothing } else { Found::Partly(HEAD) };
    };
    if head.iter().all(|byte| *byte == 0) {
        return Found::Nothing;
    }
    let length = number(&head[4..8]) as usize;
    if head[..4] != MARK || !(META..=LONGEST).contains(&length) {
        return Found::Damaged;
    }
    let Some(content) = rest.get(..length) else { return Found::Partly(HEAD + length) };
    if checksum(&head[4..8], content) == number(&head[8..HEAD]) { Found::Whole(content, HEAD + length) } else { Found::Damaged }
}

/// The letter in a frame's content.
///
/// # Errors
/// `store.schema` if a newer build wrote it.
pub(super) fn read(content: &[u8]) -> Result<Frame, DlqError> {
    let (meta, record) = content.split_at_checked(META).ok_or_else(|| DlqError::failed("log: a frame without its fields"))?;
    if meta[0] != VERSION {
        return Err(DlqError::schema(format!("log: a frame of version {}, this build reads version {VERSION}: upgrade seawall", meta[0])));
    }
    let now = i64::from_le_bytes(std::array::from_fn(|at| meta[2 + at]));
    Ok(Frame { record: Record::from_bytes(record)?, now, within_retry: meta[1] & WITHIN_RETRY != 0 })
}
