//! A consumer group ends when somebody wants it to, and not otherwise (NATS #7556: what is not found is no order to delete).

use std::collections::BTreeSet;

use quorate_wire::Generation;
use quorate_wire::limits::RECORD_COMMANDS_MAX;

use super::Verdict;

/// One of the consumer groups that had the name, one after the other: the later one has the greater number.
pub(super) type Life = u64;

/// In which life a generation is: they begin at so many times the index of its first record, and no world has so many in a life.
pub(super) const fn life(generation: Generation) -> Life {
    generation.0 / RECORD_COMMANDS_MAX as u64
}

/// Which lives there were, and how often somebody wanted one to end.
#[derive(Debug, Default)]
pub(super) struct Lives {
    known: BTreeSet<Life>,
    ends: usize,
}

impl Lives {
    /// Somebody wants the consumer group to end.
    pub(super) fn ends(&mut self) {
        self.ends += 1;
    }

    /// Somebody has heard of a life.
    pub(super) fn lives(&mut self, life: Life) -> Verdict {
        self.known.insert(life);
        let (lives, ends) = (self.known.len(), self.ends);
        if lives > ends + 1 {
            return Err(format!("it begins {lives} times, and was to end {ends}"));
        }
        Ok(())
    }

    /// Whether a life may have ended, with all before it.
    pub(super) fn may_be_over(&self, life: Life) -> bool {
        self.known.range(..=life).count() <= self.ends
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_nobody_wanted_is_seen() {
        let mut oracle = Lives::default();
        assert_eq!(oracle.lives(5), Ok(()));
        assert!(!oracle.may_be_over(5));
        oracle.ends();
        assert!(oracle.may_be_over(5));
        assert_eq!(oracle.lives(7), Ok(()));
        assert!(oracle.may_be_over(5) && !oracle.may_be_over(7));
        assert!(oracle.lives(9).is_err());
    }
}
