//! What the log amounted to at records that were applied not long ago: by it, replicas are compared while they run.
//!
//!   |..x.......x.......x.......x.......x..xxxxxxxxxx|
//!      one in many, further back          each    applied
//!
//! Nodes are asked one after another, and have applied more by then; and one may lag behind. So each keeps marks at the same
//! records, back to some million of them.
//!
//! Owns: the marks. No part of the replicated state: after a restart they begin where the replay does.
//! Called by: the state, at each applied record, and the pipeline, when it is asked.

use alloc::collections::VecDeque;

use quorate_wire::LogIndex;
use quorate_wire::limits::{AUDIT_APART, AUDIT_MARKS};

/// What the log amounted to at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Digest of the state.
    pub digest: u64,
    /// The record's `header_crc`.
    pub header_crc: u32,
}

/// The marks of a state.
#[derive(Debug)]
pub(super) struct Marks {
    each: Ring,
    apart: Ring,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            each: Ring::new(1),
            apart: Ring::new(AUDIT_APART),
        }
    }
}

impl Marks {
    /// The next record is applied.
    pub(super) fn set(&mut self, index: LogIndex, mark: Mark) {
        self.each.set(index, mark);
        self.apart.set(index, mark);
    }

    /// The mark at a record, if it is still kept.
    pub(super) fn get(&self, index: LogIndex) -> Option<Mark> {
        self.each.get(index).or_else(|| self.apart.get(index))
    }
}

/// The last marks at records whose indexes are multiples of a step.
#[derive(Debug)]
struct Ring {
    step: u64,
    /// Index of the first mark, in steps.
    first: u64,
    /// Its capacity never changes.
    marks: VecDeque<Mark>,
}

impl Ring {
    fn new(step: u64) -> Self {
        Self {
            step,
            first: 0,
            marks: VecDeque::with_capacity(AUDIT_MARKS),
        }
    }

    fn set(&mut self, index: LogIndex, mark: Mark) {
        if !index.0.is_multiple_of(self.step) {
            return;
        }
        if self.marks.is_empty() {
            self.first = index.0 / self.step;
        }
        if self.marks.len() == AUDIT_MARKS {
            self.marks.pop_front();
            self.first += 1;
        }
        self.marks.push_back(mark);
    }

    fn get(&self, index: LogIndex) -> Option<Mark> {
        if !index.0.is_multiple_of(self.step) {
            return None;
        }
        let at = (index.0 / self.step).checked_sub(self.first)?;
        self.marks.get(usize::try_from(at).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{AUDIT_APART, AUDIT_MARKS, LogIndex, Mark, Marks};

    fn mark(index: u64) -> Mark {
        Mark {
            digest: index,
            header_crc: 7,
        }
    }

    #[test]
    fn each_of_the_last_records_is_known_and_few_before_them() {
        let kept = u64::try_from(AUDIT_MARKS).expect("a small number");
        // A state that came from a snapshot begins anywhere.
        let (begin, end) = (1_000_001, 1_000_000 + (kept + 10) * AUDIT_APART);
        let mut marks = Marks::default();
        for index in begin..=end {
            marks.set(LogIndex(index), mark(index));
        }
        for index in end - kept + 1..=end {
            assert_eq!(marks.get(LogIndex(index)), Some(mark(index)));
        }
        let apart: alloc::vec::Vec<u64> = (begin..=end - kept)
            .filter(|&index| marks.get(LogIndex(index)).is_some())
            .collect();
        let last = end / AUDIT_APART;
        let first = last - kept + 1;
        assert_eq!(apart.first(), Some(&(first * AUDIT_APART)));
        assert!(
            apart
                .windows(2)
                .all(|pair| pair[1] - pair[0] == AUDIT_APART)
        );
        assert!(
            apart
                .iter()
                .all(|&index| marks.get(LogIndex(index)) == Some(mark(index)))
        );
        for unknown in [0, 1, begin - 1, end + 1, u64::MAX] {
            assert_eq!(marks.get(LogIndex(unknown)), None);
        }
    }
}
