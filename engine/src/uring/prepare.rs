//! The segment preparer: a thread that fills the next segment with zeros while the pipeline works.
//!
//! Owns: files that end in `.preparing`. Never: touches a file once it has its name. Called by: the driver.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_replication::buffer::{BLOCK_BYTES, Buffer};
use quorate_replication::seam::{OpId, SegmentId, StorageError};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::open_files::os_error;
use crate::files::{preparing_name, segment_name};
use crate::lane::Wake;

/// Zeros are written in pieces of this size: a log write that comes meanwhile waits for one piece at most, and its flush takes
/// one piece along (`perf/README.md` has the figures).
const PIECE_BYTES: usize = 256 << 10;

/// An order that comes so soon after the last one was done says that the log uses segments faster than they are filled.
const HURRY: Duration = Duration::from_millis(20);

/// A segment to prepare.
#[derive(Debug)]
struct Order {
    id: OpId,
    segment: SegmentId,
    bytes: u64,
}

/// A segment that is ready, or is not to be.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: OpId,
    pub(super) segment: SegmentId,
    pub(super) bytes: u64,
    /// The file, open for direct writes.
    pub(super) result: Result<File, StorageError>,
}

/// The thread, seen from the driver.
#[derive(Debug)]
pub(super) struct Preparer {
    orders: Option<Sender<Order>>,
    prepared: Receiver<Prepared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread. It rings `wake` when a segment is ready.
    pub(super) fn start(directory: PathBuf, wake: Arc<Wake>) -> io::Result<Self> {
        let (orders, take_order) = mpsc::channel();
        let (put_prepared, prepared) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            directory,
            zeros: Buffer::zeroed(PIECE_BYTES),
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new()
            .name("preparer".to_owned())
            .spawn(move || work.run(&take_order, &put_prepared, &wake))?;
        Ok(Self {
            orders: Some(orders),
            prepared,
            stop,
            thread: Some(thread),
        })
    }

    /// Orders a segment.
    pub(super) fn order(&self, id: OpId, segment: SegmentId, bytes: u64) {
        let order = Order { id, segment, bytes };
        self.orders
            .as_ref()
            .and_then(|orders| orders.send(order).ok())
            .expect("the thread takes orders until it is dropped");
    }

    /// The next segment that is ready.
    pub(super) fn next(&self) -> Option<Prepared> {
        self.prepared.try_recv().ok()
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Preparer {
    /// Ends the thread, and what it is at.
    pub(super) fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has aborted the process, or a test that is about to fail.
            let _ended = thread.join();
        }
    }
}

/// The thread's side.
struct Work {
    directory: PathBuf,
    zeros: Buffer,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&self, orders: &Receiver<Order>, prepared: &Sender<Prepared>, wake: &Wake) {
        let mut done = Instant::now();
        for Order { id, segment, bytes } in orders {
            let hurry = done.elapsed() < HURRY;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let result = self.prepare(segment, bytes, hurry).map_err(os_error);
            done = Instant::now();
            let ready = Prepared {
                id,
                segment,
                bytes,
                result,
            };
            if prepared.send(ready).is_err() {
                return;
            }
            wake.ring();
        }
    }

    fn prepare(&self, segment: SegmentId, bytes: u64, hurry: bool) -> Result<File, Errno> {
        let block = u64::try_from(BLOCK_BYTES).expect("a block is small");
        assert!(
            bytes > 0 && bytes.is_multiple_of(block),
            "a segment has whole blocks"
        );
        let directory = File::from(rustix::fs::open(
            &self.directory,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let preparing = preparing_name(segment);
        let filled = self
            .fill(&directory, &preparing, bytes, hurry)
            .and_then(|file| {
                // A segment that has its name is never replaced: it may hold records.
                rustix::fs::renameat_with(
                    &directory,
                    &preparing,
                    &directory,
                    segment_name(segment),
                    RenameFlags::NOREPLACE,
                )?;
                Ok(file)
            })
            .inspect_err(|_| {
                // It holds nothing. If it cannot be removed either, the next start does.
                let _removed = rustix::fs::unlinkat(&directory, &preparing, AtFlags::empty());
            })?;
        rustix::fs::fsync(&directory)?;
        Ok(filled)
    }

    /// Without hurry, the disk is left to the log after each piece for as long as the piece took.
    fn fill(&self, directory: &File, name: &str, bytes: u64, hurry: bool) -> Result<File, Errno> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            directory,
            name,
            flags,
            Mode::RUSR | Mode::WUSR | Mode::RGRP,
        )?);
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Without it the file system finds the room piece by piece.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while at < bytes {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Errno::CANCELED);
            }
            let begun = Instant::now();
            let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
            let piece = &self.zeros[..left.min(PIECE_BYTES)];
            match rustix::io::pwrite(&file, piece, at) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => at += u64::try_from(written).expect("a piece is small"),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            if !hurry {
                thread::sleep(begun.elapsed());
            }
        }
        rustix::fs::fdatasync(&file)?;
        Ok(file)
    }
}
