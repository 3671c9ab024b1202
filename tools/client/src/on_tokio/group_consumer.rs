//! The member of a consumer group on tokio: reads its share of the log, and commits what was read.
//!
//! Owns: two connections, as the blocking one, and the clock. Never: a task. So heartbeats go out while a call is awaited: who awaits none
//! for a session is taken for dead. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::MESSAGE_BYTES_MAX;
use quorate_wire::{FRAME_HEADER_BYTES, Name};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::consumer::AsyncConsumer;
use super::socket::TokioSocket;
use crate::group_consumer::SLICE;
use crate::member::{Committed, Member, Polled, Reading, Reset};
use crate::named::member_config;
use crate::transport::Transport;
use crate::{ClientError, ConsumerOptions};

/// A member of a consumer group, on a tokio runtime.
#[derive(Debug)]
pub struct AsyncGroupConsumer {
    member: Member,
    transport: Transport<TokioSocket>,
    reading: Reading<AsyncConsumer>,
}

impl AsyncGroupConsumer {
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
    /// It is cancel-safe: nothing that a dropped future has read counts as given out. But of a change of its slots the next call does not
    /// tell again, if a dropped one was about to; its events are right all the same.
    ///
    /// # Errors
    /// As for [`GroupConsumer::poll`](crate::GroupConsumer::poll).
    pub async fn poll(&mut self, wait: Duration) -> Result<Polled, ClientError> {
        let until = Instant::now() + wait;
        loop {
            self.turn(Duration::ZERO).await?;
            let news = self.member.take_news();
            let mut polled = Polled::new(self.member.share(), news);
            let left = until.saturating_duration_since(Instant::now());
            match self.reader().await? {
                None => self.turn(left.min(SLICE)).await?,
                Some(reader) => {
                    let end = reader.fetch(left.min(SLICE)).await;
                    self.reading
                        .take(end, self.member.share_mut(), &mut polled)?;
                }
            }
            if polled.is_news() || left.is_zero() {
                return Ok(polled);
            }
        }
    }

    /// Commits all that has been given out: see [`GroupConsumer::commit`](crate::GroupConsumer::commit). After a dropped future it goes
    /// on, and the next call waits for its end.
    ///
    /// # Errors
    /// No node answers within `patience`, or one refuses.
    pub async fn commit(&mut self) -> Result<Committed, ClientError> {
        if !self.member.commits() {
            self.member.commit(self.transport.now());
        }
        loop {
            if let Some(end) = self.member.take_committed() {
                return end;
            }
            self.turn(SLICE).await?;
        }
    }

    /// Gives the slots back, so that others go on at once. What has been given out and not committed is given out to them.
    pub async fn leave(mut self) {
        self.member.leave(self.transport.now());
        while !self.member.is_gone() {
            self.move_bytes(SLICE).await;
        }
    }

    async fn turn(&mut self, longest: Duration) -> Result<(), ClientError> {
        self.move_bytes(longest).await;
        self.member.take_trouble().map_or(Ok(()), Err)
    }

    /// Moves what there is; waits so long if there is nothing.
    async fn move_bytes(&mut self, longest: Duration) {
        match self.transport.advance(&mut self.member) {
            // Whether it came to an end, the next turn sees.
            Some(pause) => drop(timeout(longest, self.transport.wait(pause)).await),
            None => yield_now().await,
        }
    }

    async fn reader(&mut self) -> Result<Option<&mut AsyncConsumer>, ClientError> {
        let share = self.member.share();
        if let Some(options) = self.reading.wants(share, AsyncConsumer::offset) {
            self.reading
                .begin(AsyncConsumer::connect(options).await?, share);
        }
        Ok(self.reading.reader())
    }
}
