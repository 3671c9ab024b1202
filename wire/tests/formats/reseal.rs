//! Makes damaged bytes pass the checksums again, so that the checks behind them are reached.

use quorate_wire::checksum::crc32;
use quorate_wire::{CHUNK_HEADER_BYTES, FRAME_HEADER_BYTES, RECORD_HEADER_BYTES};

/// Puts `bytes` at `at`.
pub(crate) fn patch(target: &mut [u8], at: usize, bytes: &[u8]) {
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Seals a frame of which the first `checked` bytes of the body are under the body checksum.
pub(crate) fn frame(bytes: &mut [u8], checked: usize) {
    let body = crc32(&[&bytes[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + checked]]);
    patch(bytes, 12, &body.to_le_bytes());
    let header = crc32(&[&bytes[8..FRAME_HEADER_BYTES]]);
    patch(bytes, 4, &header.to_le_bytes());
}

/// Seals a record over all bytes behind its header.
pub(crate) fn record(bytes: &mut [u8]) {
    let body = crc32(&[&bytes[RECORD_HEADER_BYTES..]]);
    patch(bytes, 8, &body.to_le_bytes());
    let header = crc32(&[&bytes[8..RECORD_HEADER_BYTES]]);
    patch(bytes, 4, &header.to_le_bytes());
}

/// Seals a chunk over all bytes behind its header.
pub(crate) fn chunk(bytes: &mut [u8]) {
    let crc = crc32(&[&bytes[..28], &bytes[CHUNK_HEADER_BYTES..]]);
    patch(bytes, 28, &crc.to_le_bytes());
}
