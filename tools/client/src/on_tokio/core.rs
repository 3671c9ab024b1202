//! What a producer on tokio shares between those who send and the task that moves the bytes.
//!
//! Owns: the session, the open chunk, and the receipts that wait. Never: a socket. Called by: the producer, its task, receipts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use quorate_wire::{Event, Sequence, Time};
use tokio::sync::{Notify, watch};

use crate::packer::{Open, Packer};
use crate::session::Session;
use crate::transport::Clock;
use crate::{Ack, ClientError};

/// Has a chunk's acknowledgement when it has come; closed if it will not come.
pub(super) type Acked = watch::Receiver<Option<Ack>>;

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    /// There is something for the task to do.
    pub(super) work: Notify,
    /// Something was acknowledged, a node answered the greeting, or the producer has ended.
    pub(super) progress: Notify,
    pub(super) clock: Clock,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) packer: Packer,
    /// Who waits for each chunk, in order; the last one is the open chunk, if there is one.
    receipts: VecDeque<watch::Sender<Option<Ack>>>,
    /// Events before this one are not to linger.
    flush_before: Sequence,
    /// The task is gone.
    ended: bool,
}

impl Shared {
    pub(super) fn new(session: Session, packer: Packer, clock: Clock) -> Self {
        Self {
            core: Mutex::new(Core {
                session,
                packer,
                receipts: VecDeque::new(),
                flush_before: Sequence(0),
                ended: false,
            }),
            work: Notify::new(),
            progress: Notify::new(),
            clock,
        }
    }

    /// Nobody waits while holding it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core
            .lock()
            .expect("nobody has panicked while holding it")
    }

    /// Why nothing is acknowledged any more.
    pub(super) fn why_ended(&self) -> ClientError {
        self.lock().check().err().unwrap_or(ClientError::Closed)
    }

    /// Waits until `look` finds something. Whoever drops the future loses nothing.
    pub(super) async fn until<T>(
        &self,
        mut look: impl FnMut(&mut Core) -> Result<Option<T>, ClientError>,
    ) -> Result<T, ClientError> {
        loop {
            // It hears of all that happens from here on, so nothing is missed between the look and the wait.
            let progress = self.progress.notified();
            if let Some(found) = look(&mut self.lock())? {
                return Ok(found);
            }
            progress.await;
        }
    }
}

impl Core {
    /// An error if the producer has ended.
    pub(super) fn check(&self) -> Result<(), ClientError> {
        self.session.check()?;
        if self.ended {
            return Err(ClientError::Closed);
        }
        Ok(())
    }

    /// Takes an event, unless the window is full.
    pub(super) fn send(
        &mut self,
        event: &Event<'_>,
        now: Time,
    ) -> Result<Option<(Sequence, Acked)>, ClientError> {
        self.check()?;
        if self.packer.closes_before(event.size()) && !self.seal(now) {
            return Ok(None);
        }
        let sequence = self.packer.append(event, &mut self.session, || now)?;
        if sequence == self.session.next_sequence() {
            self.receipts.push_back(watch::Sender::new(None));
        }
        let chunk = self.receipts.back().expect("each chunk has one");
        let chunk = chunk.subscribe();
        if self.packer.is_full() {
            self.seal(now);
        }
        Ok(Some((sequence, chunk)))
    }

    /// The sequence that the next event gets.
    pub(super) fn next_sequence(&self) -> Sequence {
        let open = self.packer.open().map_or(0, |open| u64::from(open.events));
        self.session.next_sequence().plus(open)
    }

    /// What is there is not to linger. Returns the sequence behind it.
    pub(super) fn flush(&mut self) -> Sequence {
        self.flush_before = self.next_sequence();
        self.flush_before
    }

    /// Seals the open chunk if it waits for nothing but room, and there is room. Returns whether it was sealed.
    pub(super) fn seal_due(&mut self, now: Time) -> bool {
        let lingered = self.packer.due().is_some_and(|due| due <= now);
        let flushed = self.session.next_sequence() < self.flush_before;
        (lingered || flushed || self.packer.is_full()) && self.seal(now)
    }

    /// Seals the open chunk if the window takes it. Returns whether it was sealed.
    fn seal(&mut self, now: Time) -> bool {
        let room = |open: &Open| self.session.has_room(open.buffer.len());
        if !self.packer.open().is_some_and(room) {
            return false;
        }
        let open = self.packer.take().expect("it was just looked at");
        self.session
            .push(open.events, open.buffer, now)
            .expect("what is packed is within a chunk's limits");
        true
    }

    /// Hands the acknowledgements that have come to those who wait. Returns whether there were any.
    pub(super) fn report(&mut self) -> bool {
        let before = self.receipts.len();
        while let Some(ack) = self.session.take_ack() {
            let chunk = self.receipts.pop_front().expect("each chunk has one");
            chunk.send_replace(Some(ack));
        }
        self.receipts.len() < before
    }

    /// The task is gone: nothing is acknowledged any more.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.receipts.clear();
    }
}
