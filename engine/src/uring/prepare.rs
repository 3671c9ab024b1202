//! The preparer: a thread that fills segments with zeros, renames used ones, and writes snapshots, while the pipeline works.
//!
//! It has one segment at work, piece by piece at the pace that it was told, and does what else it is asked between two pieces.
//! Owns: files that end in `.preparing`. Never: writes to a file once it has its name. Called by: the driver.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use quorate_replication::buffer::Slice;
use quorate_replication::seam::{FileId, OpId, Pace, SegmentId, SnapshotId, StorageError};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::fill::{self, Filling, Plan, Zeros};
use super::open_files::os_error;
use crate::files::{SNAPSHOT_PREPARING, file_name};
use crate::lane::Wake;

/// What the thread can do.
#[derive(Debug)]
pub(super) enum Task {
    /// Prepare a segment.
    Prepare(Plan),
    /// Give a segment's file a new beginning, and then another number.
    Reuse {
        segment: SegmentId,
        from: SegmentId,
        head: Slice,
    },
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
    /// The file is open for direct writes.
    Prepared {
        segment: SegmentId,
        bytes: u64,
        file: File,
    },
    Appended,
    Published,
    Removed,
}

#[derive(Debug)]
enum Order {
    Do(OpId, Task),
    Pace(Pace),
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
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread. It rings `wake` when a task is over.
    pub(super) fn start(directory: PathBuf, wake: Arc<Wake>) -> io::Result<Self> {
        let (orders, take_order) = mpsc::channel();
        let (put_finished, finished) = mpsc::channel();
        let mut work = Work {
            directory,
            zeros: Zeros::new(),
            pace: Pace::Full,
            filling: None,
            later: VecDeque::new(),
            snapshot: None,
            finished: put_finished,
            wake,
        };
        let thread = thread::Builder::new()
            .name("preparer".to_owned())
            .spawn(move || work.run(&take_order))?;
        Ok(Self {
            orders: Some(orders),
            finished,
            thread: Some(thread),
        })
    }

    /// Orders a task.
    pub(super) fn order(&self, id: OpId, task: Task) {
        self.send(Order::Do(id, task));
    }

    /// From now on, segments are filled at this pace.
    pub(super) fn pace(&self, pace: Pace) {
        self.send(Order::Pace(pace));
    }

    fn send(&self, order: Order) {
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
    zeros: Zeros,
    pace: Pace,
    /// The segment at work.
    filling: Option<(OpId, Filling)>,
    /// Segments to come.
    later: VecDeque<(OpId, Plan)>,
    /// The snapshot that has no name yet.
    snapshot: Option<File>,
    finished: Sender<Finished>,
    wake: Arc<Wake>,
}

impl Work {
    /// Until nobody can order anything any more. The segment at work then stays as it is: the next process fills its file anew.
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = match &self.filling {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((_, filling)) => orders.recv_timeout(filling.rest()),
            };
            match order {
                Ok(Order::Pace(pace)) => {
                    self.pace = pace;
                    if let Some((_, filling)) = &mut self.filling {
                        filling.hurry(pace);
                    }
                }
                Ok(Order::Do(id, Task::Prepare(plan))) => self.later.push_back((id, plan)),
                Ok(Order::Do(id, task)) => {
                    let result = self.work(task);
                    self.over(id, result);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.fill();
        }
    }

    fn over(&self, id: OpId, result: Result<Outcome, Errno>) {
        let result = result.map_err(os_error);
        // A driver that is gone hears nothing, and needs nothing.
        let _heard = self.finished.send(Finished { id, result });
        self.wake.ring();
    }

    /// Writes a piece of the segment at work, if it is time, or begins with the next one.
    fn fill(&mut self) {
        if let Some((id, filling)) = &mut self.filling {
            if !filling.rest().is_zero() {
                return;
            }
            let id = *id;
            match filling.step(&self.zeros, self.pace) {
                Ok(false) => return,
                Ok(true) => {
                    let (_, filling) = self.filling.take().expect("it was at work");
                    let plan = filling.plan();
                    let named = self.open_directory().and_then(|at| filling.name(&at));
                    let Plan { segment, bytes, .. } = plan;
                    let prepared = |file| Outcome::Prepared {
                        segment,
                        bytes,
                        file,
                    };
                    self.over(id, named.map(prepared));
                }
                Err(error) => {
                    self.give_up();
                    self.over(id, Err(error));
                }
            }
        }
        if let Some((id, plan)) = self.later.pop_front() {
            match self
                .open_directory()
                .and_then(|at| Filling::begin(plan, &at))
            {
                Ok(filling) => self.filling = Some((id, filling)),
                Err(error) => self.over(id, Err(error)),
            }
        }
    }

    /// Leaves nothing of the segment at work.
    fn give_up(&mut self) {
        if let Some((_, filling)) = self.filling.take() {
            // If it cannot be removed, the next start does it.
            let _removed = self.open_directory().and_then(|at| filling.remove(&at));
        }
    }

    fn work(&mut self, task: Task) -> Result<Outcome, Errno> {
        match task {
            Task::Prepare(_) => unreachable!("segments are filled piece by piece"),
            Task::Reuse {
                segment,
                from,
                head,
            } => self.reuse(segment, from, &head),
            Task::Append { position, bytes } => {
                let appended = self.append(position, &bytes);
                self.or_nothing(appended).map(|()| Outcome::Appended)
            }
            Task::Publish(snapshot) => {
                let named = self.name(snapshot);
                self.or_nothing(named)?;
                let kept = self.open_directory().and_then(rustix::fs::fsync);
                // Whether it is there after a crash is unknown: that is no matter of room.
                kept.map_err(|error| {
                    if error == Errno::NOSPC {
                        Errno::IO
                    } else {
                        error
                    }
                })?;
                Ok(Outcome::Published)
            }
            Task::Remove(file) => self.remove(file).map(|()| Outcome::Removed),
        }
    }

    /// Of a snapshot that could not be written, nothing is left: it holds nothing that counts. If it cannot be removed either, the
    /// next start does it.
    fn or_nothing(&mut self, result: Result<(), Errno>) -> Result<(), Errno> {
        result.inspect_err(|_| {
            self.snapshot = None;
            let _removed = std::fs::remove_file(self.directory.join(SNAPSHOT_PREPARING));
        })
    }

    fn open_directory(&self) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.directory, flags, Mode::empty()).map(File::from)
    }

    fn append(&mut self, position: u64, bytes: &[u8]) -> Result<(), Errno> {
        if position == 0 {
            let flags =
                OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::DIRECT | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
            let path = self.directory.join(SNAPSHOT_PREPARING);
            self.snapshot = Some(File::from(rustix::fs::open(path, flags, mode)?));
        }
        let file = self.snapshot.as_ref().ok_or(Errno::NOENT)?;
        write_all(file, bytes, position)
    }

    fn reuse(&self, segment: SegmentId, from: SegmentId, head: &[u8]) -> Result<Outcome, Errno> {
        let directory = self.open_directory()?;
        let used_again =
            fill::use_again(&directory, segment, from, |file| write_all(file, head, 0));
        let (file, bytes) = used_again.inspect_err(|_| {
            // It holds nothing that counts. If it cannot be removed either, the next start does it.
            let _removed = self.remove(FileId::Segment(from));
        })?;
        Ok(Outcome::Prepared {
            segment,
            bytes,
            file,
        })
    }

    /// Gives the snapshot its name, once all of it is durable.
    fn name(&mut self, snapshot: SnapshotId) -> Result<(), Errno> {
        let file = self.snapshot.take().ok_or(Errno::NOENT)?;
        rustix::fs::fsync(&file)?;
        let directory = self.open_directory()?;
        let name = file_name(FileId::Snapshot(snapshot));
        rustix::fs::renameat(&directory, SNAPSHOT_PREPARING, &directory, name)
    }

    fn remove(&self, file: FileId) -> Result<(), Errno> {
        let directory = self.open_directory()?;
        match rustix::fs::unlinkat(&directory, file_name(file), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => rustix::fs::fsync(&directory),
            Err(error) => Err(error),
        }
    }
}

fn write_all(file: &File, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
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
