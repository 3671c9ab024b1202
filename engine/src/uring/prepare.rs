//! The preparer: a thread that fills the next segment with zeros, and writes snapshots, while the pipeline works.
//!
//! Owns: files that end in `.preparing`. Never: writes to a file once it has its name. Called by: the driver.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
use quorate_replication::seam::{FileId, OpId, SegmentId, SnapshotId, StorageError};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::open_files::os_error;
use crate::files::{SNAPSHOT_PREPARING, file_name, preparing_name, segment_name};
use crate::lane::Wake;

/// Zeros are written in pieces of this size: a log write that comes meanwhile waits for one piece at most, and its flush takes
/// one piece along (`perf/README.md` has the figures).
const PIECE_BYTES: usize = 256 << 10;

/// An order that comes so soon after the last one was done says that the log uses segments faster than they are filled.
const HURRY: Duration = Duration::from_millis(20);

/// What the thread can do.
#[derive(Debug)]
pub(super) enum Task {
    /// Prepare a segment.
    Prepare { segment: SegmentId, bytes: u64 },
    /// Add to the snapshot that has no name yet.
    Append { position: u64, bytes: Slice },
    /// Give it its name.
    Publish(SnapshotId),
    /// Take a file away.
    Remove(FileId),
}

/// What is done.
#[derive(Debug)]
pub(super) enum Outcome {
    Prepared {
        segment: SegmentId,
        bytes: u64,
        /// Open for direct writes.
        file: File,
    },
    Appended,
    Published,
    Removed,
}

/// A task.
#[derive(Debug)]
struct Order {
    id: OpId,
    task: Task,
}

/// A task that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) id: OpId,
    pub(super) result: Result<Outcome, StorageError>,
}

/// The thread, seen from the driver.
#[derive(Debug)]
pub(super) struct Preparer {
    orders: Option<Sender<Order>>,
    finished: Receiver<Finished>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread. It rings `wake` when a task is over.
    pub(super) fn start(directory: PathBuf, wake: Arc<Wake>) -> io::Result<Self> {
        let (orders, take_order) = mpsc::channel();
        let (put_finished, finished) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            directory,
            zeros: Buffer::zeroed(PIECE_BYTES),
            stop: Arc::clone(&stop),
            snapshot: None,
        };
        let thread = thread::Builder::new()
            .name("preparer".to_owned())
            .spawn(move || work.run(&take_order, &put_finished, &wake))?;
        Ok(Self {
            orders: Some(orders),
            finished,
            stop,
            thread: Some(thread),
        })
    }

    /// Orders a task.
    pub(super) fn order(&self, id: OpId, task: Task) {
        let order = Order { id, task };
        self.orders
            .as_ref()
            .and_then(|orders| orders.send(order).ok())
            .expect("the thread takes orders until it is dropped");
    }

    /// The next task that is over.
    pub(super) fn next(&self) -> Option<Finished> {
        self.finished.try_recv().ok()
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
    /// The snapshot that has no name yet.
    snapshot: Option<File>,
}

impl Work {
    fn run(&mut self, orders: &Receiver<Order>, finished: &Sender<Finished>, wake: &Wake) {
        let mut prepared = Instant::now();
        for Order { id, task } in orders {
            let hurry = prepared.elapsed() < HURRY;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let prepares = matches!(task, Task::Prepare { .. });
            let result = self.work(task, hurry).map_err(os_error);
            if prepares {
                prepared = Instant::now();
            }
            if finished.send(Finished { id, result }).is_err() {
                return;
            }
            wake.ring();
        }
    }

    fn work(&mut self, task: Task, hurry: bool) -> Result<Outcome, Errno> {
        match task {
            Task::Prepare { segment, bytes } => {
                self.prepare(segment, bytes, hurry)
                    .map(|file| Outcome::Prepared {
                        segment,
                        bytes,
                        file,
                    })
            }
            Task::Append { position, bytes } => {
                let appended = self.append(position, &bytes);
                appended.inspect_err(|_| {
                    // It holds nothing that counts. If it cannot be removed either, the next start does.
                    self.snapshot = None;
                    let _removed = std::fs::remove_file(self.directory.join(SNAPSHOT_PREPARING));
                })?;
                Ok(Outcome::Appended)
            }
            Task::Publish(snapshot) => self.publish(snapshot).map(|()| Outcome::Published),
            Task::Remove(file) => self.remove(file).map(|()| Outcome::Removed),
        }
    }

    fn open_directory(&self) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.directory, flags, Mode::empty()).map(File::from)
    }

    fn append(&mut self, position: u64, mut bytes: &[u8]) -> Result<(), Errno> {
        if position == 0 {
            let flags =
                OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::DIRECT | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
            let path = self.directory.join(SNAPSHOT_PREPARING);
            self.snapshot = Some(File::from(rustix::fs::open(path, flags, mode)?));
        }
        let file = self.snapshot.as_ref().ok_or(Errno::NOENT)?;
        let mut at = position;
        while !bytes.is_empty() {
            match rustix::io::pwrite(file, bytes, at) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => {
                    at += u64::try_from(written).expect("a part is small");
                    bytes = &bytes[written..];
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn publish(&mut self, snapshot: SnapshotId) -> Result<(), Errno> {
        let file = self.snapshot.take().ok_or(Errno::NOENT)?;
        rustix::fs::fsync(&file)?;
        let directory = self.open_directory()?;
        let name = file_name(FileId::Snapshot(snapshot));
        rustix::fs::renameat(&directory, SNAPSHOT_PREPARING, &directory, name)?;
        rustix::fs::fsync(&directory)
    }

    fn remove(&self, file: FileId) -> Result<(), Errno> {
        let directory = self.open_directory()?;
        match rustix::fs::unlinkat(&directory, file_name(file), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => rustix::fs::fsync(&directory),
            Err(error) => Err(error),
        }
    }

    fn prepare(&self, segment: SegmentId, bytes: u64, hurry: bool) -> Result<File, Errno> {
        let block = u64::try_from(BLOCK_BYTES).expect("a block is small");
        assert!(
            bytes > 0 && bytes.is_multiple_of(block),
            "a segment has whole blocks"
        );
        let directory = self.open_directory()?;
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
