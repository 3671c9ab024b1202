//! What the group knows of one producer: enough to tell a retry from a new chunk, and to give the retry its first offset.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::mix;
use crate::snapshot::COUNT_MAX;
use quorate_wire::canary::{self, Canary};
use quorate_wire::limits::SNAPSHOT_ENTRY_BYTES_MAX;
use quorate_wire::{ChunkId, Epoch, Offset, ProducerId, Sequence};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What is to be done with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is committed: its first event has this offset.
    Committed(Offset),
    /// It is appended, and not yet committed.
    Taken,
    /// Its ids are appended, not all of them committed: its first event has this offset.
    Appended(Offset),
    /// Of its ids, some are known and others not, or they are not known side by side.
    Mixed,
    /// No further ids of events fit.
    IdsFull,
    /// A chunk before it is missing.
    Gap {
        /// The sequence that comes next.
        expected: Sequence,
    },
    /// A newer incarnation of the producer has been seen.
    Fenced {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Its offset is no longer known, or it overlaps what is known.
    TooOld,
    /// Its producer is not known, and it is not the producer's first chunk.
    Unknown,
    /// No further producers fit.
    Full,
}

/// Runs that are kept: at least as many chunks as a client may have in flight, since it may retry them all.
const RUNS_MAX: usize = quorate_wire::limits::WINDOW_REQUESTS_MAX;

/// So many entries and a quarter of those that are there is the list of runs made longer by: most producers have few runs.
const RUNS_MORE: usize = 2;

/// A producer in a snapshot; its runs follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawProducer {
    id: U64,
    next: U64,
    seen: U64,
    epoch: U32,
    runs: U32,
}

/// A run in a snapshot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRun {
    first: U64,
    events: U64,
    offset: U64,
}

const _: () = assert!(
    size_of::<RawProducer>() + RUNS_MAX * size_of::<RawRun>() <= SNAPSHOT_ENTRY_BYTES_MAX,
    "a producer is one entry of a snapshot"
);

/// Committed events whose sequences and offsets both have no gap.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Sequence,
    events: u64,
    offset: Offset,
}

/// One producer.
#[derive(Clone, Debug, Default)]
pub(super) struct Producer {
    /// The newest incarnation of which a chunk is committed.
    epoch: Epoch,
    /// The sequence after its last committed event.
    next: Sequence,
    /// Log time of its last committed chunk.
    seen: u64,
    /// Its latest committed events, oldest first.
    runs: VecDeque<Run>,
    /// What this node, as leader, has appended beyond that. No part of the replicated state.
    taken: Option<Taken>,
}

/// The end of what a leader has appended of a producer.
#[derive(Clone, Copy, Debug)]
struct Taken {
    epoch: Epoch,
    next: Sequence,
    /// Appended chunks that are not yet committed.
    open: u32,
}

impl Producer {
    /// One number for what is committed of it, if anything is.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        self.runs.front()?;
        let start = mix(mix(u64::from(self.epoch.0)) ^ self.next.0) ^ self.seen;
        Some(self.runs.iter().fold(mix(start), |print, run| {
            mix(mix(mix(print ^ run.first.0) ^ run.events) ^ run.offset.0)
        }))
    }

    pub(super) fn judge(&self, id: &ChunkId) -> Verdict {
        let (epoch, next) = self
            .taken
            .map_or((self.epoch, self.next), |taken| (taken.epoch, taken.next));
        if id.epoch < epoch {
            return Verdict::Fenced { epoch };
        }
        if id.epoch > epoch {
            return if id.first.0 == 0 {
                Verdict::New
            } else {
                Verdict::Gap {
                    expected: Sequence(0),
                }
            };
        }
        if id.first == next {
            return Verdict::New;
        }
        if self.taken.is_none() && canary::on(Canary::DedupForgotten) {
            return Verdict::New;
        }
        if id.first > next {
            return Verdict::Gap { expected: next };
        }
        if id.epoch > self.epoch || id.first >= self.next {
            return Verdict::Taken;
        }
        self.find(id).map_or(Verdict::TooOld, Verdict::Committed)
    }

    fn find(&self, id: &ChunkId) -> Option<Offset> {
        let at = self
            .runs
            .partition_point(|run| run.first <= id.first)
            .checked_sub(1)?;
        let run = self.runs.get(at)?;
        let skip = id.first.0 - run.first.0;
        (skip + u64::from(id.events) <= run.events).then(|| run.offset.plus(skip))
    }

    pub(super) fn take(&mut self, id: &ChunkId) {
        let open = self.taken.map_or(0, |taken| taken.open);
        self.taken = Some(Taken {
            epoch: id.epoch,
            next: id.next(),
            open: open + 1,
        });
    }

    /// A chunk of it is committed, in a record of this log time.
    pub(super) fn commit(&mut self, id: &ChunkId, offset: Offset, log_time: u64) {
        self.seen = log_time;
        if id.epoch > self.epoch {
            self.runs.clear();
            self.epoch = id.epoch;
        }
        self.next = id.next();
        match self.runs.back_mut() {
            Some(run)
                if run.first.plus(run.events) == id.first
                    && run.offset.plus(run.events) == offset =>
            {
                run.events += u64::from(id.events);
            }
            Some(_) | None => {
                if self.runs.len() == RUNS_MAX {
                    self.runs.pop_front();
                } else if self.runs.len() == self.runs.capacity() {
                    let more = RUNS_MORE + self.runs.len() / 4;
                    self.runs
                        .reserve_exact(more.min(RUNS_MAX - self.runs.len()));
                }
                self.runs.push_back(Run {
                    first: id.first,
                    events: u64::from(id.events),
                    offset,
                });
            }
        }
        if let Some(taken) = &mut self.taken {
            taken.open = taken.open.saturating_sub(1);
            if taken.open == 0 {
                self.taken = None;
            }
        }
    }

    /// How many runs of it are known.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Forgets all but so many runs, the oldest ones first.
    pub(super) fn keep_latest(&mut self, runs: usize) {
        self.runs.drain(..self.runs.len().saturating_sub(runs));
        self.runs.shrink_to_fit();
    }

    /// Adds what is committed of it to a snapshot.
    pub(super) fn encode(&self, id: ProducerId, bytes: &mut Vec<u8>) {
        let raw = RawProducer {
            id: U64::new(id.0),
            next: U64::new(self.next.0),
            seen: U64::new(self.seen),
            epoch: U32::new(self.epoch.0),
            runs: U32::new(u32::try_from(self.runs.len()).expect("runs are bounded")),
        };
        bytes.extend_from_slice(raw.as_bytes());
        for run in &self.runs {
            let raw = RawRun {
                first: U64::new(run.first.0),
                events: U64::new(run.events),
                offset: U64::new(run.offset.0),
            };
            bytes.extend_from_slice(raw.as_bytes());
        }
    }

    /// Takes the next producer from a snapshot's bytes; `None` if there is none.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<(ProducerId, Self)> {
        let (raw, rest) = RawProducer::ref_from_prefix(bytes).ok()?;
        let count = usize::try_from(raw.runs.get()).ok()?;
        if !(1..=RUNS_MAX).contains(&count) {
            return None;
        }
        let (runs, rest) = <[RawRun]>::ref_from_prefix_with_elems(rest, count).ok()?;
        *bytes = rest;
        let mut producer = Self {
            epoch: Epoch(raw.epoch.get()),
            seen: raw.seen.get(),
            runs: VecDeque::with_capacity(count),
            ..Self::default()
        };
        for run in runs {
            let (first, events, offset) = (run.first.get(), run.events.get(), run.offset.get());
            let end = first.checked_add(events).filter(|&end| end <= COUNT_MAX)?;
            if first < producer.next.0 || events == 0 || offset > COUNT_MAX - events {
                return None;
            }
            producer.next = Sequence(end);
            producer.runs.push_back(Run {
                first: Sequence(first),
                events,
                offset: Offset(offset),
            });
        }
        (raw.next.get() == producer.next.0).then_some((ProducerId(raw.id.get()), producer))
    }

    /// Log time of its last committed chunk, if any is known.
    pub(super) fn seen(&self) -> Option<u64> {
        (!self.runs.is_empty()).then_some(self.seen)
    }

    /// Forgets what is committed of it, and says whether that leaves anything: what a leader has taken is its own, and the chunks
    /// behind it are in order.
    pub(super) fn expire(&mut self) -> bool {
        *self = Self {
            taken: self.taken,
            ..Self::default()
        };
        self.taken.is_some()
    }

    /// Whether anything is left to remember once the leader's own appends are forgotten.
    pub(super) fn forget_taken(&mut self) -> bool {
        self.taken = None;
        !self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::ProducerId;

    use super::*;

    fn chunk(epoch: u32, first: u64, events: u32) -> ChunkId {
        ChunkId {
            producer: ProducerId(7),
            epoch: Epoch(epoch),
            first: Sequence(first),
            events,
        }
    }

    #[test]
    fn a_retry_gets_the_offset_of_the_first_time() {
        let mut producer = Producer::default();
        producer.commit(&chunk(0, 0, 10), Offset(100), 0);
        producer.commit(&chunk(0, 10, 5), Offset(110), 0);
        producer.commit(&chunk(0, 15, 5), Offset(300), 0);
        assert_eq!(producer.runs.len(), 2, "neighbours become one run");
        assert_eq!(
            producer.judge(&chunk(0, 10, 5)),
            Verdict::Committed(Offset(110))
        );
        assert_eq!(
            producer.judge(&chunk(0, 15, 5)),
            Verdict::Committed(Offset(300))
        );
        assert_eq!(
            producer.judge(&chunk(0, 14, 3)),
            Verdict::TooOld,
            "it overlaps two"
        );
        assert_eq!(producer.judge(&chunk(0, 20, 1)), Verdict::New);
    }

    #[test]
    fn a_gap_and_an_old_epoch_are_told_apart() {
        let mut producer = Producer::default();
        producer.commit(&chunk(3, 0, 4), Offset(0), 0);
        let expected = Sequence(4);
        assert_eq!(producer.judge(&chunk(3, 5, 1)), Verdict::Gap { expected });
        assert_eq!(
            producer.judge(&chunk(2, 4, 1)),
            Verdict::Fenced { epoch: Epoch(3) }
        );
        assert_eq!(producer.judge(&chunk(4, 0, 1)), Verdict::New);
        let expected = Sequence(0);
        assert_eq!(producer.judge(&chunk(4, 4, 1)), Verdict::Gap { expected });
    }

    #[test]
    fn what_is_taken_comes_before_what_is_committed() {
        let mut producer = Producer::default();
        producer.commit(&chunk(0, 0, 4), Offset(0), 0);
        producer.take(&chunk(0, 4, 4));
        producer.take(&chunk(0, 8, 4));
        assert_eq!(producer.judge(&chunk(0, 4, 4)), Verdict::Taken);
        assert_eq!(
            producer.judge(&chunk(0, 0, 4)),
            Verdict::Committed(Offset(0))
        );
        assert_eq!(producer.judge(&chunk(0, 12, 1)), Verdict::New);
        producer.commit(&chunk(0, 4, 4), Offset(4), 0);
        assert_eq!(producer.judge(&chunk(0, 8, 4)), Verdict::Taken);
        assert!(producer.forget_taken());
        assert_eq!(
            producer.judge(&chunk(0, 8, 4)),
            Verdict::New,
            "the leader's own is gone"
        );
    }

    #[test]
    fn what_a_leader_has_taken_outlives_what_is_committed() {
        let mut producer = Producer::default();
        producer.commit(&chunk(1, 0, 4), Offset(0), 9);
        assert_eq!(producer.seen(), Some(9));
        producer.take(&chunk(1, 4, 4));
        assert!(producer.expire());
        assert_eq!((producer.seen(), producer.fingerprint()), (None, None));
        assert_eq!(producer.judge(&chunk(1, 8, 4)), Verdict::New);
        producer.commit(&chunk(1, 4, 4), Offset(4), 10);
        assert!(!producer.clone().expire(), "nothing is open any more");
        assert_eq!(producer.judge(&chunk(1, 8, 4)), Verdict::New);
    }

    #[test]
    fn the_oldest_run_is_forgotten_at_the_bound() {
        let mut producer = Producer::default();
        let runs = u64::try_from(RUNS_MAX).expect("small");
        for at in 0..=runs {
            producer.commit(&chunk(0, at, 1), Offset(at * 2), 0);
        }
        assert_eq!(producer.runs.len(), RUNS_MAX);
        assert_eq!(producer.judge(&chunk(0, 0, 1)), Verdict::TooOld);
        assert_eq!(
            producer.judge(&chunk(0, 1, 1)),
            Verdict::Committed(Offset(2))
        );
    }
}
