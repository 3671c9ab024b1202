//! The driver: what a pipeline is handed at each turn, and where it sleeps between two.

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::opcode;
use io_uring::types::Fd;
use quorate_replication::lane::{Reply, Request, ShardId};
use quorate_replication::seam::{Clock, Lanes, NetworkEvent, StorageDone};
use quorate_wire::{NodeId, Time};

use super::dials::Dials;
use super::fixed::Fixed;
use super::links::Links;
use super::open_files::OpenFiles;
use super::ops::{Op, Ops, Token};
use super::prepare::Preparer;
use super::ring::{Completion, Ring};
use crate::clock;
use crate::lane::{PipelineLanes, Wake};

/// How long a dropped driver waits for a disk to finish what cannot be cancelled.
const PATIENCE_NANOSECONDS: u64 = 10_000_000_000;

/// What a driver works with.
#[derive(Debug)]
pub struct DriverOptions {
    /// The group's directory. Its files are opened when they are first used.
    pub directory: PathBuf,
    /// Where peers connect, already bound; `None` for a pipeline that nobody can reach.
    pub listener: Option<TcpListener>,
    /// Where to connect to.
    pub peers: Vec<(NodeId, SocketAddr)>,
    /// The pipeline's ends of its lanes.
    pub lanes: PipelineLanes,
    /// How long to look for work before sleeping. Zero, the usual, sleeps at once.
    pub spin: Duration,
    /// Buffers that the log is written from. So many are registered with the kernel, if the process may lock memory.
    pub buffers: usize,
}

/// The seam over one io_uring. See the module's description.
pub struct Driver {
    pub(super) ring: Ring,
    pub(super) fixed: Fixed,
    /// What the kernel works on: dropped only when it has given all of it back.
    pub(super) lent: ManuallyDrop<Lent>,
    pub(super) files: OpenFiles,
    pub(super) preparer: Preparer,
    /// Invariant: at most [`super::ops::STORAGE_MAX`] are open, prepares included.
    pub(super) storage_open: usize,
    pub(super) done: Vec<StorageDone>,
    pub(super) listener: Option<TcpListener>,
    /// When to listen again, after the host had no descriptor for a connection.
    pub(super) accept_again: Option<Time>,
    pub(super) peers: Vec<(NodeId, SocketAddr)>,
    pub(super) dials: Dials,
    pub(super) events: Vec<NetworkEvent>,
    lanes: PipelineLanes,
    /// The pipeline has emptied the lanes in this turn, so whatever is in them is new. One that has not has no room for
    /// requests: it is not woken for them.
    emptied: bool,
    wake: Arc<Wake>,
    spin: Duration,
    completions: Vec<Completion>,
}

/// The memory that the kernel reads and writes.
pub(super) struct Lent {
    pub(super) ops: Ops,
    pub(super) links: Links,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("open", &self.lent.ops.open())
            .field("files", &self.files)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Makes a ring and starts the segment preparer. It may then be moved to the thread of its pipeline.
    ///
    /// # Errors
    /// The host has no ring, thread or descriptor to give; [`crate::probe`] says why.
    pub fn new(options: DriverOptions) -> io::Result<Self> {
        let DriverOptions {
            directory,
            listener,
            peers,
            lanes,
            spin,
            buffers,
        } = options;
        if let Some(listener) = &listener {
            // The ring itself waits; a descriptor that does not would complete with nothing.
            listener.set_nonblocking(false)?;
        }
        let wake = Arc::clone(lanes.wake());
        let ring = Ring::new()?;
        Ok(Self {
            fixed: Fixed::new(buffers, &ring),
            ring,
            lent: ManuallyDrop::new(Lent {
                ops: Ops::new(),
                links: Links::new(),
            }),
            files: OpenFiles::new(directory.clone()),
            preparer: Preparer::start(directory, Arc::clone(&wake))?,
            storage_open: 0,
            done: Vec::new(),
            listener,
            accept_again: None,
            peers,
            dials: Dials::default(),
            events: Vec::new(),
            lanes,
            emptied: false,
            wake,
            spin,
            completions: Vec::new(),
        })
    }

    /// Its bell, for whoever wants the pipeline to look up: a thread that asks it to stop.
    #[must_use]
    pub const fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// Ends all that is under way, and forgets it: links are closed, and the disk has done what it was told to, or will not do
    /// it. What shards have asked for stays in the lanes, for the pipeline that follows.
    ///
    /// # Errors
    /// The ring is unusable, or the host has no thread to give.
    pub fn reset(&mut self) -> io::Result<()> {
        self.lanes.flush();
        if self.ring.is_enabled() {
            self.take_back()?;
        }
        let directory = self.files.directory().to_owned();
        // Waits for the segment that is being prepared, and drops it.
        self.preparer.end();
        self.preparer = Preparer::start(directory.clone(), Arc::clone(&self.wake))?;
        self.files = OpenFiles::new(directory);
        self.lent.links = Links::new();
        self.dials = Dials::default();
        self.storage_open = 0;
        self.done.clear();
        self.events.clear();
        (self.accept_again, self.emptied) = (None, false);
        if self.ring.is_enabled() {
            self.listen_to_bell();
            self.accept();
        }
        Ok(())
    }

    /// Ends a turn: wakes shards, submits what was asked for, and sleeps until something has happened or `until` has come.
    /// A moment that has passed means not to sleep at all; `None`, to sleep as long as it takes.
    ///
    /// New requests end the sleep only if the turn before has emptied the lanes (the last `take` gave `None`): a pipeline
    /// that left requests where they are has no room for them.
    ///
    /// # Errors
    /// The ring is unusable: the node must stop.
    pub fn wait(&mut self, until: Option<Time>) -> io::Result<()> {
        self.lanes.flush();
        if self.ring.enable()? {
            self.listen_to_bell();
            self.accept();
        }
        let emptied = std::mem::take(&mut self.emptied);
        let until = self.own_deadline().into_iter().chain(until).min();
        if self.has_news() || until.is_some_and(|until| until <= clock::now()) {
            self.ring.submit()?;
        } else {
            self.sleep(until, emptied)?;
        }
        self.reap();
        self.keep_deadlines();
        Ok(())
    }

    /// Wakes shards and submits what was asked for, in the middle of a turn.
    pub(super) fn start_all(&mut self) {
        self.lanes.flush();
        if self.ring.is_enabled() {
            // What is wrong now is still wrong when the turn ends, and is told then.
            let _at_the_end = self.ring.submit();
        }
    }

    /// Whether the next turn has something to do, the lanes aside: those are looked at on the way to sleep.
    fn has_news(&mut self) -> bool {
        !self.events.is_empty() || !self.done.is_empty() || self.ring.has_completed()
    }

    fn sleep(&mut self, until: Option<Time>, emptied: bool) -> io::Result<()> {
        if !self.spin.is_zero() {
            let begun = Instant::now();
            while begun.elapsed() < self.spin {
                self.ring.submit()?;
                if self.has_news() || (emptied && !self.lanes.is_empty()) {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
        }
        if emptied {
            self.wake.announce();
            // What was put before the announcement rang no bell.
            if !self.lanes.is_empty() {
                self.wake.retract();
                return self.ring.submit();
            }
        }
        let limit = until.map(|until| Duration::from_nanos(until.since(clock::now())));
        let slept = self.ring.submit_and_sleep(limit);
        self.wake.retract();
        slept
    }

    /// The next moment that the driver itself waits for.
    fn own_deadline(&self) -> Option<Time> {
        self.dials
            .deadline()
            .into_iter()
            .chain(self.accept_again)
            .min()
    }

    fn keep_deadlines(&mut self) {
        if self.own_deadline().is_none() {
            return;
        }
        let now = clock::now();
        while let Some(token) = self.dials.expired(now) {
            self.cancel(token);
        }
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.accept();
        }
    }

    /// Takes all completions from the ring.
    fn reap(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.reap(&mut completions);
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.completions = completions;
    }

    fn complete(&mut self, completion: Completion) {
        let Completion {
            token,
            result,
            more,
        } = completion;
        if token == Token::NONE {
            return;
        }
        if more {
            self.accepted(result);
            return;
        }
        let op = self.lent.ops.remove(token).expect("an op completes once");
        match op {
            Op::Wake { .. } => self.rung(),
            Op::Accept => self.accept_ended(result),
            Op::Connect {
                peer,
                socket,
                address: _,
            } => self.connected(token, peer, socket, result),
            Op::Receive { link, receive } => self.received(link, receive, result),
            Op::Send { link, send, left } => self.sent(link, send, left, result),
            Op::Write { id, file, bytes } => self.written(id, file, bytes.len(), result),
            Op::Read {
                id,
                file,
                length,
                into,
            } => self.read(id, file, length, into, result),
        }
    }

    /// Keeps one read open on the bell.
    fn listen_to_bell(&mut self) {
        let token = self.lent.ops.insert(Op::Wake {
            count: Box::new([0; 8]),
        });
        let Some(Op::Wake { count }) = self.lent.ops.get_mut(token) else {
            unreachable!("it was just put there")
        };
        let entry = opcode::Read::new(Fd(self.wake.eventfd().as_raw_fd()), count.as_mut_ptr(), 8)
            .build()
            .user_data(token.user_data());
        // SAFETY: the eight bytes are boxed in the op, which is in the table until the read has completed; the eventfd is
        // this driver's own.
        unsafe { self.ring.push(&entry) };
    }

    fn rung(&mut self) {
        self.listen_to_bell();
        while let Some(finished) = self.preparer.next() {
            self.finished(finished);
        }
    }

    /// Asks the kernel to give an op back early. It comes back in any case, as done or as cancelled.
    pub(super) fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(token.user_data())
            .build()
            .user_data(Token::NONE.user_data());
        // SAFETY: the entry points to no memory.
        unsafe { self.ring.push(&entry) };
    }

    /// Cancels all ops and waits until the kernel has given them back.
    fn take_back(&mut self) -> io::Result<()> {
        let deadline = clock::now().after(PATIENCE_NANOSECONDS);
        self.ring.submit()?;
        let open: Vec<Token> = self.lent.ops.tokens().collect();
        for token in open {
            self.cancel(token);
        }
        let mut completions = Vec::new();
        while self.lent.ops.open() > 0 {
            if clock::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.ring
                .submit_and_sleep(Some(Duration::from_millis(100)))?;
            self.ring.reap(&mut completions);
            for completion in completions.drain(..) {
                let accepts = matches!(self.lent.ops.get_mut(completion.token), Some(Op::Accept));
                if accepts && completion.result >= 0 {
                    // SAFETY: as in `accepted`.
                    drop(unsafe { OwnedFd::from_raw_fd(completion.result) });
                }
                if !completion.more {
                    let _over = self.lent.ops.remove(completion.token);
                }
            }
        }
        Ok(())
    }
}

impl Clock for Driver {
    fn now(&self) -> Time {
        clock::now()
    }

    fn wall(&self) -> u64 {
        clock::wall()
    }
}

impl Lanes for Driver {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        let taken = self.lanes.take();
        self.emptied = taken.is_none();
        taken
    }

    fn put(&mut self, shard: ShardId, reply: Reply) {
        self.lanes.put(shard, reply);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.ring.is_enabled() && self.take_back().is_err() {
            // The kernel may still write into it.
            return;
        }
        // SAFETY: the kernel has given back all that was lent, or was never shown any of it; and this is the end.
        unsafe { ManuallyDrop::drop(&mut self.lent) };
    }
}
