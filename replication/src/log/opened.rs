//! A segment's file, before its records are looked at.
//!
//! Called by: the walk.

use super::error::{Damage, FormatError, RecoveryError};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::tail::is_zero;
use crate::seam::{FileId, Files, SegmentId};

/// A segment's file, and what its first block says of it.
pub(super) struct Opened<B> {
    pub(super) id: SegmentId,
    pub(super) bytes: B,
    pub(super) state: State,
}

pub(super) enum State {
    Unused,
    Used(SegmentHeader),
    Damaged(Damage),
}

/// Opens the next segment.
pub(super) fn open_next<'i, F: Files>(
    files: &F,
    ids: &mut impl Iterator<Item = &'i SegmentId>,
) -> Result<Option<Opened<F::Bytes>>, RecoveryError> {
    let Some(&id) = ids.next() else {
        return Ok(None);
    };
    let bytes = files.segment(id).map_err(RecoveryError::Files)?;
    let head = bytes.as_ref().get(..SEGMENT_HEADER_BYTES);
    let state = match head.map(SegmentHeader::decode) {
        Some(Ok(header)) => State::Used(header),
        Some(Err(_)) if head.is_some_and(is_zero) => State::Unused,
        Some(Err(FormatError::Version { found })) => {
            return Err(RecoveryError::Version {
                file: FileId::Segment(id),
                found,
            });
        }
        Some(Err(error)) => State::Damaged(Damage::Header(error)),
        None => State::Damaged(Damage::Header(FormatError::Length {
            expected: SEGMENT_HEADER_BYTES as u64,
            found: bytes.as_ref().len() as u64,
        })),
    };
    Ok(Some(Opened { id, bytes, state }))
}
