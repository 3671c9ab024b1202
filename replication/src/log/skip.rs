//! What a start need not read of a log.
//!
//! ```text
//!   | passed over: a snapshot has it | gone through ........ end | lie ready |
//! ```
//! Segments that lie ready hold nothing. After a crash that is found out by reading them: a header that was durable may be lost. After
//! a stop on request the superblock says where the log ended, and their heads are enough. Owns: the decision. Never: believes the
//! superblock of a log that is found to end elsewhere; recovery goes through all of that. Called by: recovery.

use alloc::vec::Vec;

use quorate_wire::LogIndex;

use super::error::RecoveryError;
use super::format::SEGMENT_HEADER_BYTES;
use super::opened::{self, State};
use super::passed::{self, Passed};
use super::seen::{Kind, SegmentFile};
use super::superblock::Superblock;
use super::walk::{Visitor, Walk};
use crate::buffer::BLOCK_BYTES;
use crate::seam::{Files, SegmentId};

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Skip {
    pub(super) passed: Vec<Passed>,
    /// All that lie ready, by rising number, or none.
    pub(super) ready: Vec<(SegmentId, SegmentFile)>,
}

impl Skip {
    /// What need not be read by who has a snapshot of all up to `covered`.
    pub(super) fn find(
        files: &impl Files,
        superblock: &Superblock,
        covered: LogIndex,
    ) -> Result<Self, RecoveryError> {
        Ok(Self {
            passed: passed::find(files, superblock, covered)?,
            ready: ready(files, superblock)?.unwrap_or_default(),
        })
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.passed.is_empty() && self.ready.is_empty()
    }

    /// What is known of a segment that is passed over.
    pub(super) fn passed(&self, id: SegmentId) -> Option<&Passed> {
        passed::of(&self.passed, id)
    }

    /// What is known of a segment that lies ready.
    pub(super) fn ready(&self, id: SegmentId) -> Option<SegmentFile> {
        let nth = self.ready.binary_search_by_key(&id, |ready| ready.0).ok()?;
        self.ready.get(nth).map(|ready| ready.1)
    }

    /// What is known of a segment that is not read.
    pub(super) fn state(&self, id: SegmentId) -> Option<State> {
        let passed = self.passed(id).map(|passed| State::Used(passed.header));
        passed.or_else(|| self.ready(id).map(|_| State::Unused))
    }
}

impl<V: Visitor> Walk<'_, V> {
    /// Takes a segment for what is known of it, if it is skipped; says whether it is.
    pub(super) fn skips(&mut self, id: SegmentId, skip: &Skip) -> Result<bool, RecoveryError> {
        if let Some(passed) = skip.passed(id) {
            self.pass(passed)?;
        } else if let Some(file) = skip.ready(id) {
            self.files.push((id, Some(file)));
            self.prepared.push((id, file));
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// The segments behind the one in which the log ended; none if that is not known, or if a head is not one of a segment that lies ready.
fn ready(
    files: &impl Files,
    superblock: &Superblock,
) -> Result<Option<Vec<(SegmentId, SegmentFile)>>, RecoveryError> {
    if !superblock.ended {
        return Ok(None);
    }
    let ids = files.segments().map_err(RecoveryError::Files)?;
    let behind = ids.into_iter().filter(|&id| id.0 > superblock.log.segment);
    let mut found = Vec::new();
    for id in behind {
        let head = files.head(id, SEGMENT_HEADER_BYTES);
        let (head, bytes) = head.map_err(RecoveryError::Files)?;
        let kind = match opened::state(id, &head)? {
            State::Unused => Kind::Whole,
            State::Vacant(header)
                if header.identity == superblock.identity
                    && header.segment == id
                    && header.segment_bytes == bytes =>
            {
                Kind::Reused
            }
            State::Vacant(_) | State::Used(_) | State::Damaged(_) => return Ok(None),
        };
        if !bytes.is_multiple_of(BLOCK_BYTES as u64) {
            return Ok(None);
        }
        found.push((id, SegmentFile { bytes, kind }));
    }
    Ok(Some(found))
}
