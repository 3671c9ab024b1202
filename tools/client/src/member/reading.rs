//! What a member reads its share by.
//!
//! Owns: the consumer, where it begins and which slots its filter lets through. Never: waits. Called by: the members of consumer groups
//! that programs use, each with its own kind of consumer.

use std::ops::Range;

use quorate_wire::{Event, Offset, Slot, Slots};

use super::{Regrouped, Reset, Share};
use crate::{Batch, Clause, ClientError, ConsumerOptions, Filter, ReadFrom};

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
    /// Nothing yet, of this share.
    pub(crate) fn new(share: &Share, regrouped: Option<Regrouped>) -> Self {
        Self {
            batch: None,
            share: share.clone(),
            regrouped,
            skipped: None,
        }
    }

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

    /// Whether it says anything.
    pub(crate) fn is_news(&self) -> bool {
        self.regrouped.is_some() || self.skipped.is_some() || self.events().next().is_some()
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Reading<C> {
    options: ConsumerOptions,
    pub(crate) reset: Reset,
    /// What it reads by, and the slots that its filter lets through.
    reader: Option<(C, Slots)>,
}

impl<C> Reading<C> {
    /// Nothing is read yet.
    pub(crate) fn new(options: ConsumerOptions) -> Self {
        Self {
            options,
            reset: Reset::Refuse,
            reader: None,
        }
    }

    /// Drops a reader that leaves something of the share out; `offset` says where one stands. Says with which options another one is to be
    /// made, if there is something to read.
    pub(crate) fn wants(
        &mut self,
        share: &Share,
        offset: impl Fn(&C) -> Offset,
    ) -> Option<ConsumerOptions> {
        let begin = share.begin();
        let fits = |begin, (reader, filtered): &(C, Slots)| {
            begin >= offset(reader) && share.slots().without(*filtered).is_empty()
        };
        self.reader
            .take_if(|reader| !begin.is_some_and(|begin| fits(begin, reader)));
        let begin = begin.filter(|_| self.reader.is_none())?;
        let mut options = self.options.clone();
        options.from = ReadFrom::Offset(begin);
        options.filter = only(options.filter, share.slots());
        Some(options)
    }

    /// Such a one is made.
    pub(crate) fn begin(&mut self, reader: C, share: &Share) {
        self.reader = Some((reader, share.slots()));
    }

    /// The reader; none without slots.
    pub(crate) fn reader(&mut self) -> Option<&mut C> {
        self.reader.as_mut().map(|(reader, _)| reader)
    }

    /// Works in how a read has ended: what it brought counts as given out.
    pub(crate) fn take(
        &mut self,
        end: Result<Batch, ClientError>,
        share: &mut Share,
        polled: &mut Polled,
    ) -> Result<(), ClientError> {
        match end {
            Ok(batch) => {
                share.advance(batch.next_offset());
                polled.batch = Some(batch);
            }
            Err(error) => {
                self.reader = None;
                polled.skipped = Some(self.reset.skip(share, &error).ok_or(error)?);
            }
        }
        Ok(())
    }
}

/// Where a consumer group that is new begins.
pub(crate) fn start(from: ReadFrom) -> Offset {
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
