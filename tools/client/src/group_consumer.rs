//! The blocking member of a consumer group: reads its share of the log, and commits what was read.
//!
//! Owns: two connections, one to the leader for the membership, one to any node for the events; and the clock. Never: a thread.
//! So heartbeats go out in [`GroupConsumer::poll`] and [`GroupConsumer::commit`] only: who does not call for a session is taken
//! for dead, and its slots go to others. Called by: programs.

use std::ops::Range;
use std::time::Duration;

use quorate_wire::limits::MESSAGE_BYTES_MAX;
use quorate_wire::{Event, FRAME_HEADER_BYTES, Generation, MemberId, Name, Offset, Slot, Slots};

use crate::member::{Committed, Member, MemberConfig, Regrouped, Reset, Share};
use crate::named::{config, draw_member, waiting};
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{Batch, Clause, ClientError, Consumer, ConsumerOptions, Filter, ReadFrom};

/// How long one wait for events lasts at most, so that heartbeats go out between.
const SLICE: Duration = Duration::from_millis(50);

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What one poll brought.
#[derive(Debug, Default)]
pub struct Polled {
    batch: Option<Batch>,
    share: Share,
    /// That the member's slots have changed, before these events were given out.
    pub regrouped: Option<Regrouped>,
    /// What was left out before these events were given out, since the log does not have it any more: see [`Reset`].
    pub skipped: Option<Range<Offset>>,
}

impl Polled {
    /// Whether nothing further was committed when this was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let batch = self.batch.as_ref();
        batch.is_some_and(|batch| batch.next_offset() >= batch.committed())
    }

    /// Where the member began to read a slot that is its own, when these events were given out.
    #[must_use]
    pub fn begin(&self, slot: Slot) -> Option<Offset> {
        self.share.next(slot)
    }

    /// The events of the member's slots that have not been given out, in order.
    pub fn events(&self) -> impl Iterator<Item = (Offset, Event<'_>)> {
        let batch = self.batch.iter();
        batch.flat_map(|batch| self.share.own(batch))
    }
}

/// A member of a consumer group. See the module's description.
#[derive(Debug)]
pub struct GroupConsumer {
    options: ConsumerOptions,
    member: Member,
    transport: Transport<PollSocket>,
    reset: Reset,
    /// What it reads by, and the slots that its filter lets through.
    reader: Option<(Consumer, Slots)>,
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
        let config = MemberConfig {
            group,
            member: draw_member()?,
            session,
            start: start(options.from),
            caller: config(&options)?,
        };
        let member = Member::new(config, transport.now());
        Ok(Self {
            options,
            member,
            transport,
            reset: Reset::Refuse,
            reader: None,
        })
    }

    /// The same, and what it does when the log does not have any more what it wants next.
    #[must_use]
    pub const fn with_reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// The member's name.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.member.id()
    }

    /// The generation that it knows.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.member.generation()
    }

    /// The slots that it reads.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.member.share().slots()
    }

    /// What it reads, and from where.
    #[must_use]
    pub fn share(&self) -> &Share {
        self.member.share()
    }

    /// Everything below this is committed in all of its slots, as far as it knows; none before the first commit, and after its slots
    /// became more.
    #[must_use]
    pub fn done(&self) -> Option<Offset> {
        self.member.done()
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
            let mut polled = Polled {
                regrouped: self.member.take_news(),
                share: self.member.share().clone(),
                batch: None,
                skipped: None,
            };
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.seek()? {
                None => self.turn(left.min(SLICE))?,
                Some(reader) => match reader.fetch(left.min(SLICE)) {
                    Ok(batch) => {
                        let end = batch.next_offset();
                        polled.batch = Some(batch);
                        self.member.share_mut().advance(end);
                    }
                    Err(error) => {
                        self.reader = None;
                        let skipped = self.reset.skip(self.member.share_mut(), &error);
                        polled.skipped = Some(skipped.ok_or(error)?);
                    }
                },
            }
            let is_news = polled.regrouped.is_some()
                || polled.skipped.is_some()
                || polled.events().next().is_some();
            if is_news || left.is_zero() {
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
    fn seek(&mut self) -> Result<Option<&mut Consumer>, ClientError> {
        let Some(begin) = self.member.share().begin() else {
            self.reader = None;
            return Ok(None);
        };
        let slots = self.slots();
        let fits = |(reader, filtered): &(Consumer, Slots)| {
            begin >= reader.offset() && slots.without(*filtered).is_empty()
        };
        if !self.reader.as_ref().is_some_and(fits) {
            let mut options = self.options.clone();
            options.from = ReadFrom::Offset(begin);
            options.filter = only(options.filter, slots);
            self.reader = None;
            self.reader = Some((Consumer::connect(options)?, slots));
        }
        Ok(self.reader.as_mut().map(|(reader, _)| reader))
    }
}

/// Where a consumer group that is new begins.
fn start(from: ReadFrom) -> Offset {
    match from {
        ReadFrom::Offset(offset) => offset,
        ReadFrom::Tail => Offset(u64::MAX),
        ReadFrom::Start | ReadFrom::Time(_) => Offset(0),
    }
}

/// The filter, with only these slots. If it has no room for more, the share leaves the others out.
fn only(filter: Filter, slots: Slots) -> Filter {
    let narrowed = filter.clone().with(&Clause::Slots(slots));
    narrowed.unwrap_or(filter)
}
