//! The ids of events whose sources have no sequences: which of them are in the log, and where.
//!
//! ```text
//!   ring     |..forgotten..|####known####|       pending   |~~in the log~~|--taken by the leader--|
//!            ^ base        ^ live                                         ^ appended
//! ```
//! An id is known for [`EVENT_ID_LIFE_SECONDS`] of log time after its event. Log time does not fall, so the ring is in the order in which
//! they are forgotten. What is forgotten stays in it while a snapshot is to show it.
//!
//! Owns: the ids. Never: reads a clock, or drops one to make room: a full table takes no further ones. Called by: the state.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use hashbrown::{HashMap, HashSet};
use quorate_wire::limits::{EVENT_ID_LIFE_SECONDS, EVENT_IDS_MAX};
use quorate_wire::{EventId, Offset};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::mix;
use super::producer::Verdict;
use crate::snapshot::COUNT_MAX;

/// In nanoseconds of log time.
const LIFE: u64 = EVENT_ID_LIFE_SECONDS * 1_000_000_000;

/// An id that is in the log, and committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    id: EventId,
    offset: Offset,
    log_time: u64,
}

/// One in a snapshot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawKnown {
    id: EventId,
    offset: U64,
    log_time: U64,
}

impl Known {
    const fn lives(&self, now: u64) -> bool {
        now.saturating_sub(self.log_time) < LIFE
    }

    /// Appends it to a snapshot.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let raw = RawKnown {
            id: self.id,
            offset: U64::new(self.offset.0),
            log_time: U64::new(self.log_time),
        };
        bytes.extend_from_slice(raw.as_bytes());
    }
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct EventIds {
    ring: VecDeque<Known>,
    /// Number of the ring's first one; they count up for ever.
    base: u64,
    /// Number of the first one that is known.
    live: u64,
    /// The numbers of those that are known.
    numbers: HashMap<EventId, u64>,
    /// Numbers that a snapshot has yet to show.
    frozen: Option<Range<u64>>,
    /// Those of chunks that are not committed, in the log's order.
    pending: VecDeque<(EventId, Offset)>,
    /// How many of `pending` are in records of the log; the others are the open record's.
    appended: usize,
    /// What this node, as leader, has taken and not seen committed. No part of the replicated state.
    taken: HashMap<EventId, Offset>,
    /// Most that are known.
    most: usize,
}

impl Default for EventIds {
    fn default() -> Self {
        Self {
            ring: VecDeque::new(),
            base: 0,
            live: 0,
            numbers: HashMap::new(),
            frozen: None,
            pending: VecDeque::new(),
            appended: 0,
            taken: HashMap::new(),
            most: EVENT_IDS_MAX,
        }
    }
}

impl EventIds {
    /// What is to be done with a chunk of these ids at a log time, given everything that is applied or that the leader has taken.
    pub(super) fn judge(&self, ids: &[EventId], now: u64) -> Verdict {
        let place = |id: &EventId| self.place(id, now);
        let first = ids.first().and_then(place);
        let is_run = |first: Offset| {
            let mut places = ids.iter().map(place).zip(0..);
            places.all(|(place, at)| place.is_some_and(|(offset, _)| offset == first.plus(at)))
        };
        match first {
            Some((first, _)) if is_run(first) => match ids.last().and_then(place) {
                // Those before it are committed too then.
                Some((_, true)) => Verdict::Committed(first),
                Some((_, false)) | None => Verdict::Appended(first),
            },
            Some(_) | None if ids.iter().any(|id| place(id).is_some()) => Verdict::Mixed,
            Some(_) | None => self.judge_new(ids, now),
        }
    }

    fn judge_new(&self, ids: &[EventId], now: u64) -> Verdict {
        let mut seen = HashSet::new();
        if ids.len() > 1 && !ids.iter().all(|id| seen.insert(*id)) {
            return Verdict::Mixed;
        }
        let gone = self.ring.partition_point(|known| !known.lives(now));
        let left = self.ring.len() - gone + self.taken.len();
        if left + ids.len() > self.most {
            return Verdict::IdsFull;
        }
        Verdict::New
    }

    /// Where an id is, and whether that is committed.
    fn place(&self, id: &EventId, now: u64) -> Option<(Offset, bool)> {
        let known = self.numbers.get(id).and_then(|&number| self.at(number));
        let known = known.filter(|known| known.lives(now));
        let taken = || Some((*self.taken.get(id)?, false));
        known.map(|known| (known.offset, true)).or_else(taken)
    }

    fn at(&self, number: u64) -> Option<&Known> {
        self.ring.get(usize::try_from(number - self.base).ok()?)
    }

    /// The leader has taken a chunk of these, which begins at an offset, into its open record.
    pub(super) fn take(&mut self, ids: &[EventId], offset: Offset) {
        for (id, at) in ids.iter().zip(0..) {
            self.pending.push_back((*id, offset.plus(at)));
            self.taken.insert(*id, offset.plus(at));
        }
    }

    /// How many are in the log, and not committed.
    pub(super) const fn appended(&self) -> usize {
        self.appended
    }

    /// A record of the log has a chunk of these, which begins at an offset.
    pub(super) fn append(&mut self, ids: &[EventId], offset: Offset) {
        let places = ids.iter().zip(0..).map(|(id, at)| (*id, offset.plus(at)));
        self.pending.extend(places);
        self.append_taken();
    }

    /// All that is taken is in a record of the log.
    pub(super) fn append_taken(&mut self) {
        self.appended = self.pending.len();
    }

    /// The last so many are void.
    pub(super) fn truncate(&mut self, void: usize) {
        self.appended -= void;
        self.pending.truncate(self.appended);
    }

    /// See [`State::forget_taken`](super::State::forget_taken).
    pub(super) fn forget_taken(&mut self) {
        self.pending.truncate(self.appended);
        self.taken.clear();
    }

    /// A record of this log time is committed, with the next so many of them.
    pub(super) fn commit(&mut self, count: usize, log_time: u64) {
        self.expire(log_time);
        self.appended -= count;
        for (id, offset) in self.pending.drain(..count) {
            self.taken.remove(&id);
            self.numbers.entry(id).or_insert_with(|| {
                let number = self.base + u64::try_from(self.ring.len()).expect("a count fits");
                self.ring.push_back(Known {
                    id,
                    offset,
                    log_time,
                });
                number
            });
        }
    }

    fn expire(&mut self, now: u64) {
        while let Some(&known) = self.at(self.live).filter(|known| !known.lives(now)) {
            self.numbers.remove(&known.id);
            self.live += 1;
        }
        self.shed();
    }

    /// Drops what is neither known nor to be shown.
    fn shed(&mut self) {
        let shown = self.frozen.as_ref().map_or(u64::MAX, |frozen| frozen.start);
        while self.base < self.live.min(shown) && self.ring.pop_front().is_some() {
            self.base += 1;
        }
    }

    /// See [`State::freeze`](super::State::freeze).
    pub(super) fn freeze(&mut self) {
        let end = self.base + u64::try_from(self.ring.len()).expect("a count fits");
        self.frozen = Some(self.live..end);
    }

    /// See [`State::thaw`](super::State::thaw).
    pub(super) fn thaw(&mut self) {
        self.frozen = None;
        self.shed();
    }

    /// Shows up to `most` further ones of those that were known at the freeze, in order. Says whether more are left.
    pub(super) fn copy(&mut self, most: usize, visit: &mut dyn FnMut(&Known)) -> bool {
        let Some(frozen) = self.frozen.clone() else {
            return false;
        };
        let most = u64::try_from(most).expect("a count fits");
        let upto = frozen.end.min(frozen.start.saturating_add(most));
        for number in frozen.start..upto {
            visit(self.at(number).expect("it is kept until it is shown"));
        }
        self.frozen = Some(upto..frozen.end);
        self.shed();
        upto < frozen.end
    }

    /// Takes the id that a snapshot has at the start of `bytes`.
    pub(super) fn load(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let (raw, rest) = RawKnown::ref_from_prefix(bytes).ok()?;
        *bytes = rest;
        let known = Known {
            id: raw.id,
            offset: Offset(raw.offset.get()),
            log_time: raw.log_time.get(),
        };
        let last = self.ring.back().map_or(0, |last| last.log_time);
        let number = u64::try_from(self.ring.len()).expect("a count fits");
        let fits = self.ring.len() < self.most
            && known.offset.0 <= COUNT_MAX
            && known.log_time >= last
            && self.numbers.insert(known.id, number).is_none();
        self.ring.push_back(known);
        fits.then_some(())
    }

    /// One number for all that is known.
    pub(super) fn fingerprint(&self) -> u64 {
        let live = usize::try_from(self.live - self.base).expect("they are in memory");
        self.ring.iter().skip(live).fold(0, |print, known| {
            let words: [[u8; 8]; 2] = zerocopy::transmute!(known.id);
            let [high, low] = words.map(u64::from_le_bytes);
            mix(mix(mix(mix(print ^ high) ^ low) ^ known.offset.0) ^ known.log_time)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn id(number: u8) -> EventId {
        EventId([number; 16])
    }

    fn ids<const N: usize>(numbers: [u8; N]) -> [EventId; N] {
        numbers.map(id)
    }

    /// Takes a chunk as a leader, and commits it.
    fn commit<const N: usize>(known: &mut EventIds, numbers: [u8; N], at: u64, now: u64) {
        known.take(&ids(numbers), Offset(at));
        known.append_taken();
        known.commit(N, now);
    }

    #[test]
    fn a_chunk_is_new_as_a_whole_or_known_as_a_whole() {
        let mut known = EventIds::default();
        assert_eq!(known.judge(&ids([1, 2]), 0), Verdict::New);
        known.take(&ids([1, 2]), Offset(10));
        let appended = Verdict::Appended(Offset(10));
        assert_eq!(known.judge(&ids([1, 2]), 0), appended);
        known.append_taken();
        known.commit(2, 5);
        commit(&mut known, [3], 90, 6);
        assert_eq!(known.judge(&ids([1, 2]), 6), Verdict::Committed(Offset(10)));
        assert_eq!(known.judge(&ids([2]), 6), Verdict::Committed(Offset(11)));
        for mixed in [
            &ids([1, 9])[..],
            &ids([9, 1]),
            &ids([2, 1]),
            &ids([2, 3]),
            &ids([7, 7]),
        ] {
            assert_eq!(known.judge(mixed, 6), Verdict::Mixed);
        }
        // The second half of a run that is not all committed.
        known.take(&ids([4]), Offset(91));
        assert_eq!(known.judge(&ids([3, 4]), 6), Verdict::Appended(Offset(90)));
        known.forget_taken();
        assert_eq!(known.judge(&ids([4]), 6), Verdict::New);
        assert_eq!(known.appended(), 0);
    }

    #[test]
    fn an_id_is_forgotten_an_hour_of_log_time_later() {
        let mut known = EventIds::default();
        commit(&mut known, [1], 0, 7);
        let before = known.fingerprint();
        assert_eq!(
            known.judge(&ids([1]), 6 + LIFE),
            Verdict::Committed(Offset(0))
        );
        assert_eq!(known.judge(&ids([1]), 7 + LIFE), Verdict::New);
        commit(&mut known, [1], 5, 7 + LIFE);
        assert_eq!(
            known.judge(&ids([1]), 8 + LIFE),
            Verdict::Committed(Offset(5))
        );
        assert_eq!((known.ring.len(), known.numbers.len()), (1, 1));
        assert_ne!(known.fingerprint(), before);
    }

    #[test]
    fn a_full_table_takes_no_further_ones_until_some_are_forgotten() {
        let mut known = EventIds {
            most: 3,
            ..EventIds::default()
        };
        commit(&mut known, [1, 2], 0, 1);
        known.take(&ids([3]), Offset(2));
        assert_eq!(known.judge(&ids([4]), 2), Verdict::IdsFull);
        assert_eq!(known.judge(&ids([1]), 2), Verdict::Committed(Offset(0)));
        known.append_taken();
        known.commit(1, 2);
        assert_eq!(known.judge(&ids([4]), 2), Verdict::IdsFull);
        assert_eq!(known.judge(&ids([4, 5]), 1 + LIFE), Verdict::New);
        assert_eq!(known.judge(&ids([4, 5, 6]), 1 + LIFE), Verdict::IdsFull);
    }

    #[test]
    fn void_ones_are_not_known() {
        let mut known = EventIds::default();
        known.append(&ids([1]), Offset(0));
        known.append(&ids([2, 3]), Offset(1));
        known.truncate(2);
        known.append(&ids([4]), Offset(1));
        known.commit(2, 9);
        assert_eq!(known.judge(&ids([1, 4]), 9), Verdict::Committed(Offset(0)));
        assert_eq!(known.judge(&ids([2, 3]), 9), Verdict::New);
    }

    #[test]
    fn a_copy_is_of_one_moment_whatever_changes() {
        let mut known = EventIds::default();
        commit(&mut known, [1, 2, 3], 0, 1);
        let then = known.fingerprint();
        known.freeze();
        let mut bytes = vec![];
        let mut more = true;
        for number in 4.. {
            if !more {
                break;
            }
            more = known.copy(1, &mut |one| one.encode(&mut bytes));
            commit(&mut known, [number], 9, u64::from(number) * LIFE);
        }
        known.thaw();
        assert_eq!(known.ring.len(), 1, "nothing is kept for nobody");
        let mut loaded = EventIds::default();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            loaded.load(&mut rest).expect("it was written just now");
        }
        assert_eq!(loaded.fingerprint(), then);
        assert_eq!(
            loaded.judge(&ids([1, 2, 3]), 2),
            Verdict::Committed(Offset(0))
        );
        let twice = [&bytes[..], &bytes].concat();
        let mut loaded = EventIds::default();
        let mut rest = &twice[..];
        let refused =
            core::iter::from_fn(|| Some(loaded.load(&mut rest))).position(|it| it.is_none());
        assert_eq!(refused, Some(3), "an id is there once");
    }
}
