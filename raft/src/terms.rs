//! The log as the core sees it: which index has which term.
//!
//! Owns: one entry for each term in the log. Never: records. Called by: every role.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, Position, Term};

/// Runs of records of one term. Terms never fall along a log, so a run is told by its first index.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The record before the log begins: it and what is before it have been committed and released. Zero if nothing has.
    start: Position,
    /// Rising in both. The first run starts at 1, or at `start`.
    runs: Vec<(Term, LogIndex)>,
    last: LogIndex,
}

impl Terms {
    pub(crate) fn new(start: Position, mut runs: Vec<(Term, LogIndex)>, last: LogIndex) -> Self {
        assert_eq!(
            runs.is_empty(),
            last == start.index,
            "a log has terms if and only if it has records"
        );
        assert!(
            runs.first().is_none_or(|run| run.1 == start.index.next()),
            "a log begins behind its start"
        );
        if start.index > LogIndex(0) {
            runs.retain(|run| run.0 != start.term);
            runs.insert(0, (start.term, start.index));
        }
        assert!(
            runs.last().is_none_or(|run| run.1 <= last),
            "each term in the log has a record"
        );
        let rising = runs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        assert!(rising, "terms and indexes rise along a log");
        Self { start, runs, last }
    }

    /// The record before the log begins.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// Forgets the records up to `upto`.
    pub(crate) fn release(&mut self, upto: LogIndex) {
        assert!(upto >= self.start.index, "what is released is gone");
        self.start = self.position(upto).expect("what is released was here");
        if let Some(run) = self.run_of(upto) {
            self.runs.drain(..run);
            self.runs[0].1 = upto;
        }
    }

    /// Where the log ends.
    pub(crate) fn last(&self) -> Position {
        let term = self.runs.last().map_or(Term(0), |run| run.0);
        Position {
            term,
            index: self.last,
        }
    }

    /// Term of the record at `index`; term zero before the first record; `None` beyond the last one, and before the start.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last || index < self.start.index {
            return None;
        }
        Some(self.run_of(index).map_or(Term(0), |run| self.runs[run].0))
    }

    /// The record at `index` with its term.
    pub(crate) fn position(&self, index: LogIndex) -> Option<Position> {
        self.term_at(index).map(|term| Position { term, index })
    }

    /// The last record that has the same term as the one at `index`.
    pub(crate) fn run_end(&self, index: LogIndex) -> LogIndex {
        assert!(
            index <= self.last,
            "the end of a run is asked for a record that is there"
        );
        let run = self
            .run_of(index)
            .expect("a run is asked for an index of 1 or more");
        self.runs
            .get(run + 1)
            .map_or(self.last, |after| after.1.previous())
    }

    /// Appends `count` records of `term`.
    pub(crate) fn append(&mut self, term: Term, count: u64) {
        assert!(count > 0, "nothing is not appended");
        let before = self.last().term;
        assert!(before <= term, "terms never fall along a log");
        if before < term {
            self.runs.push((term, self.last.next()));
        }
        self.last = self.last.plus(count);
    }

    /// Makes the records from `first` on void.
    pub(crate) fn truncate(&mut self, first: LogIndex) {
        assert!(
            first > self.start.index && first <= self.last,
            "only records that are there become void"
        );
        let kept = self.runs.partition_point(|run| run.1 < first);
        self.runs.truncate(kept);
        self.last = first.previous();
    }

    /// The last position whose index and term are both not above those of `bound`: if another log has `bound`, the two logs
    /// agree nowhere after it. `None` if it has been released.
    pub(crate) fn last_within(&self, bound: Position) -> Option<Position> {
        let runs = self.runs.partition_point(|run| run.0 <= bound.term);
        let end = self
            .runs
            .get(runs)
            .map_or(self.last, |after| after.1.previous());
        self.position(end.min(bound.index))
    }

    /// Place of the run that holds `index`; `None` before the first record. Almost always it is the last run.
    fn run_of(&self, index: LogIndex) -> Option<usize> {
        match self.runs.last() {
            Some(run) if run.1 <= index => Some(self.runs.len() - 1),
            Some(_) | None => self
                .runs
                .partition_point(|run| run.1 <= index)
                .checked_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> Position {
        Position {
            term: Term(term),
            index: LogIndex(index),
        }
    }

    /// Indexes 1 and 2 have term 1, 3 to 5 have term 4, 6 has term 5.
    fn log() -> Terms {
        let mut terms = Terms::new(Position::default(), Vec::new(), LogIndex(0));
        terms.append(Term(1), 2);
        terms.append(Term(4), 1);
        terms.append(Term(4), 2);
        terms.append(Term(5), 1);
        terms
    }

    #[test]
    fn every_index_has_its_term() {
        let terms = log();
        let found: Vec<_> = (0..=7)
            .map(|index| terms.term_at(LogIndex(index)).map(|term| term.0))
            .collect();
        assert_eq!(
            found,
            [
                Some(0),
                Some(1),
                Some(1),
                Some(4),
                Some(4),
                Some(4),
                Some(5),
                None
            ]
        );
        assert_eq!(terms.last(), at(5, 6));
        let ends: Vec<_> = (1..=6)
            .map(|index| terms.run_end(LogIndex(index)).0)
            .collect();
        assert_eq!(ends, [2, 2, 5, 5, 5, 6]);
    }

    #[test]
    fn a_cut_at_a_run_and_within_one() {
        let mut terms = log();
        terms.truncate(LogIndex(4));
        assert_eq!(terms.last(), at(4, 3));
        terms.truncate(LogIndex(3));
        assert_eq!(terms.last(), at(1, 2));
        terms.append(Term(6), 1);
        assert_eq!(
            (terms.last(), terms.run_end(LogIndex(1))),
            (at(6, 3), LogIndex(2))
        );
        terms.truncate(LogIndex(1));
        assert_eq!(
            (terms.last(), terms.term_at(LogIndex(0))),
            (at(0, 0), Some(Term(0)))
        );
    }

    #[test]
    fn the_hint_is_the_last_position_within_both_bounds() {
        let terms = log();
        for (bound, hint) in [
            (at(9, 9), at(5, 6)),
            (at(4, 9), at(4, 5)),
            (at(4, 4), at(4, 4)),
            (at(3, 9), at(1, 2)),
            (at(3, 1), at(1, 1)),
            (at(0, 9), at(0, 0)),
        ] {
            assert_eq!(terms.last_within(bound), Some(hint), "bound {bound}");
        }
    }

    #[test]
    fn what_is_released_is_gone_and_the_rest_is_as_before() {
        let whole = log();
        for upto in 0..=6 {
            let mut terms = log();
            terms.release(LogIndex(upto));
            let start = whole.position(LogIndex(upto)).expect("it was here");
            assert_eq!((terms.start(), terms.last()), (start, whole.last()));
            for index in (0..8).map(LogIndex) {
                let term = whole.term_at(index).filter(|_| index >= start.index);
                assert_eq!(terms.term_at(index), term, "{index} behind {start}");
                for term in 0..7 {
                    let bound = at(term, index.0);
                    let within = whole.last_within(bound);
                    let within = within.filter(|within| within.index >= start.index);
                    assert_eq!(terms.last_within(bound), within, "{bound} behind {start}");
                }
            }
            for index in (upto + 1..=6).map(LogIndex) {
                assert_eq!(terms.run_end(index), whole.run_end(index));
            }
            // It is the same log that a restart makes of what is left.
            let mut runs = Vec::new();
            for index in (upto + 1..=6).map(LogIndex) {
                let term = whole.term_at(index).expect("it is there");
                if runs
                    .last()
                    .is_none_or(|run: &(Term, LogIndex)| run.0 < term)
                {
                    runs.push((term, index));
                }
            }
            let again = Terms::new(start, runs, whole.last().index);
            assert_eq!(again.runs, terms.runs);
            terms.append(Term(9), 2);
            assert_eq!(
                (terms.last(), terms.run_end(LogIndex(7))),
                (at(9, 8), LogIndex(8))
            );
        }
    }
}
