//! Any two quorums in force share a disk (Raft §6): a leader names voters only if each quorum of them has somebody in common with
//! each quorum of those before, and not before those are committed (TRAPS 23).

use quorate_wire::LogIndex;

use super::Verdict;
use super::quorum::Quorum;

/// The voters that a node knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    pub(super) quorum: Quorum,
    /// What names them lies behind this record.
    behind: LogIndex,
}

impl Membership {
    /// A node knows these voters now, as a leader that led before, or as somebody whose log another one has changed. Its log ended
    /// at `last` before that.
    pub(super) fn learns(
        &mut self,
        quorum: Quorum,
        (last, applied): (LogIndex, LogIndex),
        leads: bool,
    ) -> Verdict {
        if quorum == self.quorum {
            return Ok(());
        }
        let next = Self {
            quorum,
            behind: last,
        };
        let before = std::mem::replace(self, next);
        if !leads {
            return Ok(());
        }
        if applied <= before.behind && before.behind > LogIndex(0) {
            return Err(format!(
                "{:?} follow {:?}, which nothing behind {} has committed",
                self.quorum, before.quorum, before.behind
            ));
        }
        if before.quorum.meets(&self.quorum) {
            return Ok(());
        }
        Err(format!(
            "{:?} follow {:?}, and there are quorums without a common disk",
            self.quorum, before.quorum
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_that_come_too_soon_or_share_too_little_are_seen() {
        let begin = || {
            let mut known = Membership::default();
            let first = known.learns(Quorum::of(1..=3), (LogIndex(4), LogIndex(2)), false);
            assert_eq!(first, Ok(()));
            known
        };
        let next = |voters, applied| {
            let known = (LogIndex(9), LogIndex(applied));
            begin().learns(Quorum::of(voters), known, true)
        };
        assert_eq!(next(1..=4, 5), Ok(()));
        assert!(next(1..=4, 4).is_err(), "those before are not committed");
        assert!(next(1..=5, 5).is_err(), "1 and 2, and 3 to 5");
        assert_eq!(next(1..=3, 4), Ok(()), "the same");
    }
}
