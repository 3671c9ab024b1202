//! A segment that is being filled with zeros.
//!
//! It is made under another name and gets its own when it is durable, so whoever stops in between leaves nothing that counts. A file
//! that is used again keeps its place on the disk: nothing is allocated, and the file system writes no metadata.
//!
//! Called by: the preparer.

use std::fs::File;
use std::time::{Duration, Instant};

use quorate_replication::buffer::{BLOCK_BYTES, Buffer};
use quorate_replication::seam::{Pace, SegmentId};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::files::{preparing_name, segment_name};

/// Zeros are written in pieces of this size: a log write that comes meanwhile waits for one piece at most, and its flush takes
/// one piece along (`perf/README.md` has the figures).
const PIECE_BYTES: usize = 256 << 10;

/// Where there is time, they are smaller: a log write that meets one waits less.
const SMALL_PIECE_BYTES: usize = 64 << 10;

/// A segment to prepare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) segment: SegmentId,
    pub(super) bytes: u64,
    /// Whose file to use again.
    pub(super) from: Option<SegmentId>,
}

/// A piece of zeros.
#[derive(Debug)]
pub(super) struct Zeros(Buffer);

impl Zeros {
    pub(super) fn new() -> Self {
        Self(Buffer::zeroed(PIECE_BYTES))
    }
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Filling {
    plan: Plan,
    file: File,
    /// What is before is zero.
    at: u64,
    /// When the next piece is due.
    due: Instant,
}

impl Filling {
    pub(super) fn begin(plan: Plan, directory: &File) -> Result<Self, Errno> {
        let block = u64::try_from(BLOCK_BYTES).expect("a block is small");
        assert!(
            plan.bytes > 0 && plan.bytes.is_multiple_of(block),
            "a segment has whole blocks"
        );
        let preparing = preparing_name(plan.segment);
        let used = match plan.from.map(segment_name) {
            None => false,
            Some(old) => match rustix::fs::renameat(directory, &old, directory, &preparing) {
                Ok(()) => true,
                // Somebody took it away: a new one does as well.
                Err(Errno::NOENT) => false,
                Err(error) => return Err(error),
            },
        };
        let opened = open(directory, &preparing, used, plan.bytes);
        Ok(Self {
            plan,
            file: opened.inspect_err(|_| {
                // It holds nothing. If it cannot be removed either, the next start does.
                let _removed = unlink(directory, plan);
            })?,
            at: 0,
            due: Instant::now(),
        })
    }

    pub(super) const fn plan(&self) -> Plan {
        self.plan
    }

    /// How long to leave the disk to others.
    pub(super) fn rest(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// The pace is another one: a long rest may be over.
    pub(super) fn hurry(&mut self, pace: Pace) {
        match pace {
            Pace::Full | Pace::Half => self.due = Instant::now(),
            Pace::Bytes(_) => {}
        }
    }

    /// Writes a piece. Says whether the segment is full of zeros.
    pub(super) fn step(&mut self, zeros: &Zeros, pace: Pace) -> Result<bool, Errno> {
        let most = match pace {
            Pace::Full | Pace::Half => PIECE_BYTES,
            Pace::Bytes(_) => SMALL_PIECE_BYTES,
        };
        let begun = Instant::now();
        let left = usize::try_from(self.plan.bytes - self.at).unwrap_or(usize::MAX);
        let written = match rustix::io::pwrite(&self.file, &zeros.0[..left.min(most)], self.at) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => u64::try_from(written).expect("a piece is small"),
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error),
        };
        self.at += written;
        self.due = match pace {
            Pace::Full => begun,
            Pace::Half => begun + 2 * begun.elapsed(),
            Pace::Bytes(rate) => begun + Duration::from_nanos(written * 1_000_000_000 / rate),
        };
        Ok(self.at == self.plan.bytes)
    }

    /// Gives it its name, once it is durable.
    pub(super) fn name(self, directory: &File) -> Result<File, Errno> {
        let named = rustix::fs::fdatasync(&self.file).and_then(|()| {
            // A segment that has its name is never replaced: it may hold records.
            rustix::fs::renameat_with(
                directory,
                preparing_name(self.plan.segment),
                directory,
                segment_name(self.plan.segment),
                RenameFlags::NOREPLACE,
            )
        });
        named.inspect_err(|_| {
            let _removed = self.remove(directory);
        })?;
        rustix::fs::fsync(directory)?;
        Ok(self.file)
    }

    /// Takes it away.
    pub(super) fn remove(&self, directory: &File) -> Result<(), Errno> {
        unlink(directory, self.plan)
    }
}

/// Gives a segment's file a new beginning, and then another number. Returns it, and its length.
pub(super) fn use_again(
    directory: &File,
    segment: SegmentId,
    from: SegmentId,
    begin: impl FnOnce(&File) -> Result<(), Errno>,
) -> Result<(File, u64), Errno> {
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    let old = segment_name(from);
    let file = rustix::fs::openat(directory, &old, flags, Mode::empty()).map(File::from)?;
    begin(&file)?;
    rustix::fs::fdatasync(&file)?;
    rustix::fs::renameat_with(
        directory,
        &old,
        directory,
        segment_name(segment),
        RenameFlags::NOREPLACE,
    )?;
    rustix::fs::fsync(directory)?;
    let bytes = rustix::fs::fstat(&file)?.st_size;
    let bytes = u64::try_from(bytes).expect("a file's length is not negative");
    Ok((file, bytes))
}

fn unlink(directory: &File, plan: Plan) -> Result<(), Errno> {
    rustix::fs::unlinkat(directory, preparing_name(plan.segment), AtFlags::empty())
}

fn open(directory: &File, name: &str, used: bool, bytes: u64) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let file = File::from(rustix::fs::openat(directory, name, flags, mode)?);
    match u64::try_from(rustix::fs::fstat(&file)?.st_size) {
        // A used one, or what an earlier process has left: all of it is written.
        Ok(length) if length == bytes => return Ok(file),
        // Somebody has changed it.
        _ if used => return Err(Errno::INVAL),
        Ok(0) => {}
        _ => rustix::fs::ftruncate(&file, 0)?,
    }
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        // Without it the file system finds the room piece by piece.
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(file),
        Err(error) => Err(error),
    }
}
