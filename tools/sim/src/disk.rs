//! A disk in memory. Nothing happens until it is told to; an operation is then done at once and whole.

mod content;
mod crash;
mod files;
mod reuse;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use quorate_replication::buffer::BLOCK_BYTES;
use quorate_replication::seam::{
    FileId, OpId, Pace, SegmentId, SnapshotId, Storage, StorageDone, StorageError, StorageOp,
    StorageOutcome,
};

pub use content::Content;
use content::Memory;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What the operating system says.
const NOT_THERE: StorageError = StorageError::Os { errno: 2 };
const THERE_ALREADY: StorageError = StorageError::Os { errno: 17 };
const PAST_THE_END: StorageError = StorageError::Os { errno: 27 };

/// Most operations that a pipeline keeps open.
const OPEN_MAX: usize = 64;

/// How far from a byte that has changed others are lost with it: what is found behind damage begins on a block, and a group
/// commit has at most 1 MiB.
const MARRED_AROUND: usize = 2 << 20;

/// A sector of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sector {
    /// Which file.
    pub file: FileId,
    /// Where it begins.
    pub position: u64,
}

/// One group's files on one disk.
#[derive(Debug)]
pub struct Disk {
    superblock: Option<Content>,
    segments: BTreeMap<SegmentId, Content>,
    snapshots: BTreeMap<SnapshotId, Content>,
    /// The snapshot that has no name yet.
    unnamed: Option<Vec<u8>>,
    open: VecDeque<(OpId, StorageOp)>,
    done: Vec<StorageDone>,
    /// Bytes left for further segments.
    room: u64,
    write_fails: Option<StorageError>,
    read_fails: Option<StorageError>,
    prepare_fails: Option<StorageError>,
    /// Where the last write that was done began.
    last_write: Option<(FileId, u64)>,
    /// Bytes that have changed unwritten: only they may be written a second time.
    marred: Vec<(FileId, Range<usize>)>,
    /// Writes that were done, until somebody asks: where each began, and its bytes.
    written: Vec<(FileId, u64, usize)>,
    /// Whether bytes may be written twice.
    rewrites: bool,
    /// Of files that are used again as they are: whether each sector still shows what was there before. Such may be written once more.
    left: BTreeMap<SegmentId, Vec<bool>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self {
            superblock: None,
            segments: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            unnamed: None,
            open: VecDeque::new(),
            done: Vec::new(),
            room: u64::MAX,
            write_fails: None,
            read_fails: None,
            prepare_fails: None,
            last_write: None,
            marred: Vec::new(),
            written: Vec::new(),
            rewrites: false,
            left: BTreeMap::new(),
        }
    }

    /// How many operations wait to be done.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Does the operation that waits at place `nth`; the oldest one is at 0. Says whether there was one.
    pub fn perform(&mut self, nth: usize) -> bool {
        let Some((id, op)) = self.open.remove(nth) else {
            return false;
        };
        let result = self.outcome(op);
        self.done.push(StorageDone { id, result });
        true
    }

    /// Does everything that waits, the oldest first.
    pub fn perform_all(&mut self) {
        while self.perform(0) {}
    }

    /// Whether an operation on this file waits.
    fn uses(&self, file: FileId) -> bool {
        self.open.iter().any(|(_, op)| match op {
            StorageOp::Write { file: other, .. }
            | StorageOp::Read { file: other, .. }
            | StorageOp::Remove { file: other } => *other == file,
            StorageOp::Prepare { segment, from, .. } => {
                let mut both = [Some(*segment), *from].into_iter().flatten();
                both.any(|other| FileId::Segment(other) == file)
            }
            StorageOp::Reuse { segment, from, .. } => [segment, from]
                .map(|&other| FileId::Segment(other))
                .contains(&file),
            StorageOp::Append { .. } | StorageOp::Publish { .. } => false,
        })
    }

    /// From now on, durable bytes may be written a second time, as on any disk.
    pub fn allow_rewrites(&mut self) {
        self.rewrites = true;
    }

    /// From now on, segments may take so many bytes more.
    pub fn set_room(&mut self, bytes: u64) {
        self.room = bytes;
    }

    /// The next write fails, and writes nothing.
    pub fn fail_write(&mut self, error: StorageError) {
        self.write_fails = Some(error);
    }

    /// The next read fails.
    pub fn fail_read(&mut self, error: StorageError) {
        self.read_fails = Some(error);
    }

    /// The next preparation fails.
    pub fn fail_prepare(&mut self, error: StorageError) {
        self.prepare_fails = Some(error);
    }

    /// Where the last write that was done began.
    #[must_use]
    pub fn last_write(&self) -> Option<(FileId, u64)> {
        self.last_write
    }

    /// Shows what is there now of each write that was done since this was last asked, and nothing of each published snapshot.
    pub fn take_written(&mut self, visit: &mut dyn FnMut(FileId, &[u8])) {
        for (file, position, length) in std::mem::take(&mut self.written) {
            let from = usize::try_from(position).expect("a file fits into memory");
            let there = self.bytes(file).unwrap_or_default();
            visit(file, there.get(from..from + length).unwrap_or_default());
        }
    }

    /// What was to fail next will not.
    pub fn mend(&mut self) {
        (self.write_fails, self.read_fails, self.prepare_fails) = (None, None, None);
    }

    /// The bytes of a file, if it is there.
    #[must_use]
    pub fn bytes(&self, file: FileId) -> Option<&[u8]> {
        self.content(file).map(AsRef::as_ref)
    }

    /// The bytes of a file, for damage: any of them may be written a second time.
    ///
    /// # Panics
    /// The file is not there.
    pub fn bytes_mut(&mut self, file: FileId) -> &mut Vec<u8> {
        self.marred.push((file, 0..usize::MAX));
        self.content_mut(file, usize::MAX)
    }

    /// A part of a file's bytes, for damage: they may be written a second time.
    ///
    /// # Panics
    /// The file is not there, or shorter.
    pub fn mar(&mut self, file: FileId, range: Range<usize>) -> &mut [u8] {
        self.marred.push((file, range.clone()));
        let bytes = self.content_mut(file, range.end).get_mut(range);
        bytes.expect("what is damaged lies inside the file")
    }

    /// Whether anything has changed unwritten.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.marred.is_empty()
    }

    /// A file's bytes, of which those before `used` are about to be changed.
    fn content_mut(&mut self, file: FileId, used: usize) -> &mut Vec<u8> {
        let content = match file {
            FileId::Superblock => self.superblock.as_mut(),
            FileId::Segment(segment) => self.segments.get_mut(&segment),
            FileId::Snapshot(snapshot) => self.snapshots.get_mut(&snapshot),
        };
        let memory = Arc::make_mut(&mut content.expect("the file is there").0);
        memory.used = memory.used.max(used.min(memory.bytes.len()));
        &mut memory.bytes
    }

    /// Takes a file away.
    pub fn remove(&mut self, file: FileId) {
        match file {
            FileId::Superblock => self.superblock = None,
            FileId::Segment(segment) => {
                self.marred.push((file, 0..usize::MAX));
                self.left.remove(&segment);
                drop(self.segments.remove(&segment));
            }
            FileId::Snapshot(snapshot) => drop(self.snapshots.remove(&snapshot)),
        }
    }

    fn content(&self, file: FileId) -> Option<&Content> {
        match file {
            FileId::Superblock => self.superblock.as_ref(),
            FileId::Segment(segment) => self.segments.get(&segment),
            FileId::Snapshot(snapshot) => self.snapshots.get(&snapshot),
        }
    }

    /// Whether something nearby has changed by itself: of a record with one wrong byte, all bytes are lost.
    fn is_marred(&self, file: FileId, at: usize) -> bool {
        let near = |range: &Range<usize>| {
            let from = range.start.saturating_sub(MARRED_AROUND);
            (from..range.end.saturating_add(MARRED_AROUND)).contains(&at)
        };
        // A record that takes the place of lost ones may lie segments behind them: all between is void then, and is filled with
        // them. That no live record goes with it is seen by who knows the records: "durable before acknowledged".
        let before = |marred: FileId| match (marred, file) {
            (FileId::Segment(one), FileId::Segment(other)) => one < other,
            (FileId::Segment(_) | FileId::Snapshot(_) | FileId::Superblock, _) => false,
        };
        let mut marred = self.marred.iter();
        marred.any(|(marred, range)| (*marred == file && near(range)) || before(*marred))
    }

    fn outcome(&mut self, op: StorageOp) -> Result<StorageOutcome, StorageError> {
        match op {
            StorageOp::Write {
                file,
                position,
                bytes,
            } => {
                if let Some(error) = self.write_fails.take() {
                    return Err(error);
                }
                let there = self.content(file).ok_or(NOT_THERE)?.as_ref().len();
                if position + bytes.len() as u64 > there as u64 {
                    return Err(PAST_THE_END);
                }
                self.put(file, position, &bytes);
                self.last_write = Some((file, position));
                self.written.push((file, position, bytes.len()));
                Ok(StorageOutcome::Written)
            }
            StorageOp::Read {
                file,
                position,
                length,
                mut into,
            } => {
                if let Some(error) = self.read_fails.take() {
                    return Err(error);
                }
                let from = usize::try_from(position).expect("a file fits into memory");
                let content = self.content(file).ok_or(NOT_THERE)?.as_ref();
                let Some(bytes) = content.get(from..from + length) else {
                    let bytes = content.len().saturating_sub(from);
                    return Err(StorageError::Short { bytes });
                };
                into[..length].copy_from_slice(bytes);
                Ok(StorageOutcome::Read(into))
            }
            StorageOp::Prepare {
                segment,
                bytes,
                from,
            } => {
                let old = from.and_then(|from| {
                    self.left.remove(&from);
                    self.segments.remove(&from)
                });
                if let Some(error) = self.prepare_fails.take() {
                    return Err(error);
                }
                if self.segments.contains_key(&segment) {
                    return Err(THERE_ALREADY);
                }
                if let Some(old) = old {
                    let length = old.as_ref().len() as u64;
                    assert!(length == bytes, "it is used again for one as long");
                } else if bytes > self.room {
                    return Err(StorageError::Full);
                } else {
                    self.room -= bytes;
                }
                let length = usize::try_from(bytes).expect("a file fits into memory");
                let zeros = Arc::new(Memory::zeroed(length));
                self.segments.insert(segment, Content(zeros));
                Ok(StorageOutcome::Prepared)
            }
            StorageOp::Reuse {
                segment,
                from,
                head,
            } => {
                if let Some(error) = self.prepare_fails.take() {
                    self.segments.remove(&from);
                    return Err(error);
                }
                let content = self.segments.remove(&from).ok_or(NOT_THERE)?;
                if self.segments.contains_key(&segment) {
                    return Err(THERE_ALREADY);
                }
                self.use_again(segment, content, &head);
                Ok(StorageOutcome::Prepared)
            }
            StorageOp::Append { position, bytes } => self.append(position, &bytes),
            StorageOp::Publish { snapshot } => {
                let bytes = self.unnamed.take().ok_or(NOT_THERE)?;
                if self.room == 0 {
                    return Err(StorageError::Full); // The directory may have to grow.
                }
                self.snapshots.insert(snapshot, Content::from(bytes));
                self.written.push((FileId::Snapshot(snapshot), 0, 0));
                Ok(StorageOutcome::Published)
            }
            StorageOp::Remove { file } => {
                match file {
                    FileId::Segment(segment) => {
                        let gone = self.segments.remove(&segment);
                        self.left.remove(&segment);
                        let bytes = gone.map_or(0, |gone| gone.as_ref().len() as u64);
                        self.room = self.room.saturating_add(bytes);
                    }
                    FileId::Snapshot(snapshot) => drop(self.snapshots.remove(&snapshot)),
                    FileId::Superblock => panic!("a superblock stays"),
                }
                Ok(StorageOutcome::Removed)
            }
        }
    }

    fn append(&mut self, position: u64, bytes: &[u8]) -> Result<StorageOutcome, StorageError> {
        if position == 0 {
            self.unnamed = Some(Vec::new());
        }
        if bytes.len() as u64 > self.room {
            self.unnamed = None;
            return Err(StorageError::Full);
        }
        let unnamed = self.unnamed.as_mut().ok_or(NOT_THERE)?;
        assert!(unnamed.len() as u64 == position, "a snapshot has no gap");
        unnamed.extend_from_slice(bytes);
        Ok(StorageOutcome::Appended)
    }

    fn put(&mut self, file: FileId, position: u64, bytes: &[u8]) {
        let from = usize::try_from(position).expect("a file fits into memory");
        let content = self.content(file).expect("what is written is there");
        let before = content.as_ref().get(from..from + bytes.len());
        let before = before.expect("a write ends inside its file");
        // A segment's sums are no records: they may be made void.
        let void = before.starts_with(b"QRC1");
        // Looked at whole before it is looked at byte by byte.
        let zeros = |some: &[u8]| some.iter().fold(0, |seen, byte| seen | byte) == 0;
        let before = if before.chunks(SECTOR_BYTES).all(zeros) {
            &[][..]
        } else {
            before
        };
        let changed = (from..).zip(before.iter().zip(bytes));
        let second = changed
            .filter(|&(_, (&old, &new))| old != 0 && old != new)
            .map(|(at, _)| at)
            .find(|&at| {
                !(self.rewrites || void || self.is_left(file, at) || self.is_marred(file, at))
            });
        if let (FileId::Segment(segment), Some(at)) = (file, second) {
            panic!(
                "byte {at} of segment {} is sound, and written a second time",
                segment.0
            );
        }
        let end = from + bytes.len();
        let to = self.content_mut(file, end).get_mut(from..end);
        to.expect("it was just looked at").copy_from_slice(bytes);
        if let FileId::Segment(segment) = file
            && let Some(left) = self.left.get_mut(&segment)
        {
            let sectors = left.get_mut(from / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
            sectors.expect("it was just looked at").fill(false);
        }
    }
}

impl Storage for Disk {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        let (position, length) = match &op {
            StorageOp::Write {
                position, bytes, ..
            } => {
                let aligned = bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES);
                assert!(aligned, "memory of a write is aligned");
                (*position, bytes.len() as u64)
            }
            StorageOp::Read {
                position,
                length,
                into,
                ..
            } => {
                assert!(into.len() >= *length, "a read has room for what it reads");
                (*position, *length as u64)
            }
            StorageOp::Prepare { bytes, from, .. } => {
                let open = from.is_some_and(|from| self.uses(FileId::Segment(from)));
                assert!(!open, "a file that is used again is in no other use");
                (0, *bytes)
            }
            StorageOp::Reuse { from, head, .. } => {
                let open = self.uses(FileId::Segment(*from));
                assert!(!open, "a file that is used again is in no other use");
                (0, head.len() as u64)
            }
            StorageOp::Append { position, bytes } => (*position, bytes.len() as u64),
            StorageOp::Publish { .. } | StorageOp::Remove { .. } => (0, BLOCK_BYTES as u64),
        };
        let block = BLOCK_BYTES as u64;
        assert!(
            position.is_multiple_of(block) && length.is_multiple_of(block) && length > 0,
            "operations cover whole blocks"
        );
        assert!(
            self.open.iter().all(|(open, _)| *open != id),
            "an open operation's name is not used again"
        );
        self.open.push_back((id, op));
        assert!(self.open.len() <= OPEN_MAX, "operations are bounded");
    }

    /// Nothing happens here before it is told to.
    fn pace(&mut self, _: Pace) {}

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        done.append(&mut self.done);
    }
}
