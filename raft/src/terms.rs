//! The log as the core sees it: which index has which term.
//!
//! Owns: one entry for each term in the log. Never: records. Called by: every role.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, Position, Term};

/// Runs of records of one term. Terms never fall along a log, so a run is told by its first index.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Rising in both; the first run starts at 1.
    runs: Vec<(Term, LogIndex)>,
    last: LogIndex,
}

impl Terms {
    pub(crate) fn new(runs: Vec<(Term, LogIndex)>, last: LogIndex) -> Self {
        assert_eq!(
            runs.is_empty(),
            last == LogIndex(0),
            "a log has terms if and only if it has records"
        );
        assert!(
            runs.first().is_none_or(|run| run.1 == LogIndex(1)),
            "a log starts at index 1"
        );
        assert!(
            runs.last().is_none_or(|run| run.1 <= last),
            "each term in the log has a record"
        );
        let rising = runs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        assert!(rising, "terms and indexes rise along a log");
        Self { runs, last }
    }

    /// Where the log ends.
    pub(crate) fn last(&self) -> Position {
        let term = self.runs.last().map_or(Term(0), |run| run.0);
        Position {
            term,
            index: self.last,
        }
    }

    /// Term of the record at `index`; term zero before the first record; `None` beyond the last one.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last {
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
            first > LogIndex(0) && first <= self.last,
            "only records that are there become void"
        );
        let kept = self.runs.partition_point(|run| run.1 < first);
        self.runs.truncate(kept);
        self.last = first.previous();
    }

    /// The last position whose index and term are both not above those of `bound`: if another log has `bound`, the two logs
    /// agree nowhere after it.
    pub(crate) fn last_within(&self, bound: Position) -> Position {
        let runs = self.runs.partition_point(|run| run.0 <= bound.term);
        let end = self
            .runs
            .get(runs)
            .map_or(self.last, |after| after.1.previous());
        let index = end.min(bound.index);
        self.position(index)
            .expect("an index not above the last has a term")
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
        let mut terms = Terms::new(Vec::new(), LogIndex(0));
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
            assert_eq!(terms.last_within(bound), hint, "bound {bound}");
        }
    }
}
