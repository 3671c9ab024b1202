//! A segment's file, before its records are looked at.
//!
//! Called by: the walk.

use super::error::{Damage, FormatError, RecoveryError};
use super::format::{Head, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::passed::{self, Passed};
use super::tail::is_zero;
use crate::seam::{FileId, Files, SegmentId};

/// A segment's file, and what its first block says of it.
pub(super) struct Opened<B> {
    pub(super) id: SegmentId,
    /// Not there if it is passed over.
    bytes: Option<B>,
    pub(super) state: State,
}

impl<B: AsRef<[u8]>> Opened<B> {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], AsRef::as_ref)
    }
}

pub(super) enum State {
    Unused,
    /// Of a used file.
    Vacant(SegmentHeader),
    Used(SegmentHeader),
    Damaged(Damage),
}

/// Opens the next segment, unless it is passed over.
pub(super) fn open_next<'i, F: Files>(
    files: &F,
    ids: &mut impl Iterator<Item = &'i SegmentId>,
    passed: &[Passed],
) -> Result<Option<Opened<F::Bytes>>, RecoveryError> {
    let Some(&id) = ids.next() else {
        return Ok(None);
    };
    if let Some(passed) = passed::of(passed, id) {
        let (bytes, state) = (None, State::Used(passed.header));
        return Ok(Some(Opened { id, bytes, state }));
    }
    let bytes = files.segment(id).map_err(RecoveryError::Files)?;
    let head = bytes.as_ref().get(..SEGMENT_HEADER_BYTES);
    let state = match head.map(SegmentHeader::decode) {
        Some(Ok(Head::Used(header))) => State::Used(header),
        Some(Ok(Head::Vacant(header))) => State::Vacant(header),
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
    let bytes = Some(bytes);
    Ok(Some(Opened { id, bytes, state }))
}
