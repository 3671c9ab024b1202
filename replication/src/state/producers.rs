//! All producers that a group knows, and the bound on what is kept of them together.
//!
//! What is kept are *runs*, of which a retry's first offset is read. Above the bound, those producers that have most runs lose
//! their oldest ones, until an eighth of the bound is free again: they are all left with as many, and who has no more than that loses
//! nothing. What is lost is refused as too old; it is never taken for new, since each producer's next sequence stays.
//!
//! Owns: the table, and who forgets what. Never: reads a clock. It follows from what is committed alone, so that all nodes forget the
//! same, also those that began with a snapshot. Called by: the state.

use alloc::vec;

use quorate_wire::limits::{PRODUCER_LIFE_SECONDS, PRODUCERS_MAX, RUNS_MAX, WINDOW_REQUESTS_MAX};
use quorate_wire::{ChunkId, Offset, ProducerId, Sequence};

use super::mix;
use super::producer::{Producer, Verdict};
use super::table::Table;
use crate::snapshot::{Piece, Section, SnapshotError, Writer};

/// How often producers are looked for that have not been heard of for [`PRODUCER_LIFE_SECONDS`], in nanoseconds of log time.
const SWEEP_EVERY: u64 = 60_000_000_000;

const _: () = assert!(
    PRODUCERS_MAX * 2 <= RUNS_MAX - RUNS_MAX / 8,
    "each producer keeps some runs, whatever the others do"
);

/// See the module's description.
#[derive(Debug)]
pub(super) struct Producers {
    table: Table<ProducerId, Producer>,
    /// Runs of all of them.
    runs: usize,
    /// Most of them. The same on all nodes.
    runs_max: usize,
    /// None was last heard of before this log time. No part of the replicated state: it saves looking at all of them.
    oldest: u64,
}

impl Producers {
    /// None, of which at most so many runs are kept.
    pub(super) fn new(runs_max: usize) -> Self {
        Self {
            table: Table::default(),
            runs: 0,
            runs_max,
            oldest: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Runs of all of them.
    pub(super) const fn runs(&self) -> usize {
        self.runs
    }

    /// Most runs of all of them.
    pub(super) const fn runs_max(&self) -> usize {
        self.runs_max
    }

    /// One number for what is committed of all of them.
    pub(super) fn fingerprint(&self) -> u64 {
        let known = self.table.iter();
        let prints = known.filter_map(|(id, producer)| {
            producer.fingerprint().map(|print| mix(mix(id.0) ^ print))
        });
        // A sum does not depend on the table's order.
        prints.fold(0, u64::wrapping_add)
    }

    /// See [`State::judge`](super::State::judge).
    pub(super) fn judge(&self, id: &ChunkId) -> Verdict {
        match self.table.get(&id.producer) {
            Some(producer) => producer.judge(id),
            None if id.first != Sequence(0) => Verdict::Unknown,
            None if self.table.len() >= PRODUCERS_MAX => Verdict::Full,
            None => Verdict::New,
        }
    }

    /// See [`State::take`](super::State::take).
    pub(super) fn take(&mut self, id: &ChunkId) {
        self.table.entry(id.producer).take(id);
    }

    /// See [`State::forget_taken`](super::State::forget_taken).
    pub(super) fn forget_taken(&mut self) {
        self.table.retain_unseen(Producer::forget_taken);
    }

    /// A chunk is committed, in a record of this log time.
    pub(super) fn commit(&mut self, id: &ChunkId, offset: Offset, log_time: u64) {
        let producer = self.table.entry(id.producer);
        self.runs -= producer.runs();
        producer.commit(id, offset, log_time);
        self.runs += producer.runs();
        if self.runs > self.runs_max {
            self.level();
        }
    }

    /// Those who have most lose their oldest runs. It takes as long as there are producers, and is due again after as many chunks
    /// as an eighth of the bound.
    fn level(&mut self) {
        let level = self.fair();
        self.table.retire(
            |producer| producer.runs() > level,
            |producer| {
                producer.keep_latest(level);
                true
            },
        );
        self.count();
    }

    /// The most runs that each producer may keep so that an eighth of the bound is free.
    fn fair(&self) -> usize {
        let mut with = vec![0; WINDOW_REQUESTS_MAX + 1];
        for (_, producer) in self.table.iter() {
            let count = with.get_mut(producer.runs());
            *count.expect("a producer's runs are bounded") += 1;
        }
        let target = self.runs_max - self.runs_max / 8;
        // Those with as many runs as the level that is looked at, or more: each of them adds one.
        let mut more: usize = with.iter().skip(1).sum();
        let mut kept = 0;
        for (level, count) in (1..).zip(with.iter().skip(1)) {
            kept += more;
            if kept > target {
                return (level - 1).max(1);
            }
            more -= count;
        }
        WINDOW_REQUESTS_MAX
    }

    fn count(&mut self) {
        self.runs = self.table.iter().map(|(_, producer)| producer.runs()).sum();
    }

    /// Forgets those that were last heard of too long ago, in the first record of each minute of log time: who goes follows from the
    /// log alone, on every node and after every snapshot.
    pub(super) fn expire(&mut self, before: u64, log_time: u64) {
        let minute = log_time / SWEEP_EVERY;
        let life = PRODUCER_LIFE_SECONDS * 1_000_000_000;
        let horizon = (minute * SWEEP_EVERY).saturating_sub(life);
        if minute == before / SWEEP_EVERY || self.oldest >= horizon {
            return;
        }
        let old = |producer: &Producer| producer.seen().is_some_and(|seen| seen < horizon);
        self.table.retire(old, Producer::expire);
        let left = self.table.iter().filter_map(|(_, one)| one.seen());
        self.oldest = left.min().unwrap_or(log_time);
        self.count();
    }

    /// See [`State::freeze`](super::State::freeze).
    pub(super) fn freeze(&mut self) {
        self.table.freeze();
    }

    /// See [`State::thaw`](super::State::thaw).
    pub(super) fn thaw(&mut self) {
        self.table.thaw();
    }

    /// See [`State::copy`](super::State::copy).
    pub(super) fn copy(&mut self, most: usize, writer: &mut Writer) -> bool {
        self.table.copy(most, &mut |id, producer| {
            // What only a leader has taken is no part of the replicated state.
            if producer.fingerprint().is_some() {
                writer.entry(Section::Producers, |bytes| producer.encode(*id, bytes));
            }
        })
    }

    /// Adds those of a snapshot's piece.
    pub(super) fn load(&mut self, piece: &Piece<'_>) -> Result<(), SnapshotError> {
        let mut rest = piece.payload;
        for _ in 0..piece.entries {
            let (id, producer) =
                Producer::decode(&mut rest).ok_or_else(|| piece.wrong("a producer"))?;
            if self.table.len() == PRODUCERS_MAX || self.table.get(&id).is_some() {
                return Err(piece.wrong("the number of producers"));
            }
            self.runs += producer.runs();
            if self.runs > self.runs_max {
                return Err(piece.wrong("the number of runs"));
            }
            *self.table.entry(id) = producer;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(piece.wrong("entries"))
        }
    }
}
