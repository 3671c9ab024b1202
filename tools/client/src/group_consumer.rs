//! The blocking member of a consumer group: reads its share of the log, and commits what was read.
//!
//! Owns: two connections, one to the leader for the membership, one to any node for the events; and the clock. Never: a thread.
//! So heartbeats go out in [`GroupConsumer::poll`] and [`GroupConsumer::commit`] only: who does not call for a session is taken
//! for dead, and its slots go to others. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::MESSAGE_BYTES_MAX;
use quorate_wire::{FRAME_HEADER_BYTES, Name};

use crate::member::{Committed, Member, Polled, Reading, Reset};
use crate::named::{member_config, waiting};
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{ClientError, Consumer, ConsumerOptions};

/// How long one wait for events lasts at most, so that heartbeats go out between.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A member of a consumer group. See the module's description.
#[derive(Debug)]
pub struct GroupConsumer {
    member: Member,
    transport: Transport<PollSocket>,
    reading: Reading<Consumer>,
}

impl GroupConsumer {
    /// Begins to join. Of the options, `from` says where a consumer group that is new begins; a time counts as the start.
    ///
    /// # Errors
    /// There is no node, or no chance to be had from the operating system.
    pub fn join(
        group: Name,
        session: Duration,
        options: ConsumerOptions,
    ) -> Result<Self, ClientError> {
        let transport = Transport::new(FRAME_HEADER_BYTES + MESSAGE_BYTES_MAX);
        let config = member_config(group, session, &options)?;
        Ok(Self {
            member: Member::new(config, transport.now()),
            transport,
            reading: Reading::new(options),
        })
    }

    /// The same, and what it does when the log does not have any more what it wants next.
    #[must_use]
    pub const fn with_reset(mut self, reset: Reset) -> Self {
        self.reading.reset = reset;
        self
    }

    /// Its name, its generation, and what it reads.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The next events of its slots. Waits up to `wait` for one to be committed, or for its slots to change.
    ///
    /// # Errors
    /// No node answers within `patience`, a node refuses the member for good, or sent damaged records; or no node has any more what it
    /// wants next, see [`Reset`].
    pub fn poll(&mut self, wait: Duration) -> Result<Polled, ClientError> {
        let until = std::time::Instant::now() + wait;
        loop {
            self.turn(Duration::ZERO)?;
            let news = self.member.take_news();
            let mut polled = Polled::new(self.member.share(), news);
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.reader()? {
                None => self.turn(left.min(SLICE))?,
                Some(reader) => {
                    let end = reader.fetch(left.min(SLICE));
                    self.reading
                        .take(end, self.member.share_mut(), &mut polled)?;
                }
            }
            if polled.is_news() || left.is_zero() {
                return Ok(polled);
            }
        }
    }

    /// Commits all that has been given out. [`Committed::Fenced`] says that the slots have changed meanwhile: the next poll tells
    /// how, and what is still the member's own can be committed anew.
    ///
    /// # Errors
    /// No node answers within `patience`, or one refuses.
    pub fn commit(&mut self) -> Result<Committed, ClientError> {
        self.member.commit(self.transport.now());
        loop {
            if let Some(end) = self.member.take_committed() {
                return end;
            }
            self.turn(SLEEP_MAX)?;
        }
    }

    /// Gives the slots back, so that others go on at once. What has been given out and not committed is given out to them.
    ///
    /// # Errors
    /// The operating system does not let it wait.
    pub fn leave(mut self) -> Result<(), ClientError> {
        self.member.leave(self.transport.now());
        while !self.member.is_gone() {
            self.move_bytes(SLEEP_MAX)?;
        }
        Ok(())
    }

    fn turn(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.move_bytes(timeout)?;
        self.member.take_trouble().map_or(Ok(()), Err)
    }

    fn move_bytes(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let turned = self.transport.turn(&mut self.member, timeout);
        turned.map_err(waiting)
    }

    /// The reader, where it leaves nothing of the share out; none without slots.
    fn reader(&mut self) -> Result<Option<&mut Consumer>, ClientError> {
        let share = self.member.share();
        if let Some(options) = self.reading.wants(share, Consumer::offset) {
            self.reading.begin(Consumer::connect(options)?, share);
        }
        Ok(self.reading.reader())
    }
}
