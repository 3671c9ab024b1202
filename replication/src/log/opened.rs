//! A segment's file, before its records are looked at.
//!
//! Called by: the walk.

use super::error::{Damage, FormatError, RecoveryError};
use super::format::{Head, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::skip::Skip;
use super::tail::is_zero;
use crate::seam::{FileId, Files, SegmentId};

/// A segment's file, and what its first block says of it.
pub(super) struct Opened<B> {
    pub(super) id: SegmentId,
    /// Not there if it is not read.
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

/// Opens the next segment, unless it is skipped.
pub(super) fn open_next<'i, F: Files>(
    files: &F,
    ids: &mut impl Iterator<Item = &'i SegmentId>,
    skip: &Skip,
) -> Result<Option<Opened<F::Bytes>>, RecoveryError> {
    let Some(&id) = ids.next() else {
        return Ok(None);
    };
    if let Some(state) = skip.state(id) {
        let bytes = None;
        return Ok(Some(Opened { id, bytes, state }));
    }
    let bytes = files.segment(id).map_err(RecoveryError::Files)?;
    let state = state(id, bytes.as_ref())?;
    let bytes = Some(bytes);
    Ok(Some(Opened { id, bytes, state }))
}

/// What a segment's first block says of it.
pub(super) fn state(id: SegmentId, bytes: &[u8]) -> Result<State, RecoveryError> {
    let head = bytes.get(..SEGMENT_HEADER_BYTES);
    match head.map(SegmentHeader::decode) {
        Some(Ok(Head::Used(header))) => Ok(State::Used(header)),
        Some(Ok(Head::Vacant(header))) => Ok(State::Vacant(header)),
        Some(Err(_)) if head.is_some_and(is_zero) => Ok(State::Unused),
        Some(Err(FormatError::Version { found })) => Err(RecoveryError::Version {
            file: FileId::Segment(id),
            found,
        }),
        Some(Err(error)) => Ok(State::Damaged(Damage::Header(error))),
        None => Ok(State::Damaged(Damage::Header(FormatError::Length {
            expected: SEGMENT_HEADER_BYTES as u64,
            found: bytes.len() as u64,
        }))),
    }
}
