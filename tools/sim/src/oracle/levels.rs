//! A level is what it says (docs/protocol.md, "Levels"): nobody is told less than was asked for, but for the wait for the last
//! disks, which may end with a majority; and nobody hears more than was said. That the disks have what a level says is `durable`'s.

use std::collections::BTreeMap;

use quorate_wire::client::AckLevel;

use super::Verdict;
use super::acknowledged::Place;

/// The most that was said of each chunk.
#[derive(Debug, Default)]
pub(super) struct Levels {
    said: BTreeMap<Place, u8>,
}

/// Its place among the levels, the weakest first.
fn rank(level: AckLevel) -> u8 {
    match level {
        AckLevel::Accepted => 0,
        AckLevel::Quorum => 1,
        AckLevel::All => 2,
    }
}

impl Levels {
    /// A node answers who asked for a level.
    pub(super) fn said(&mut self, chunk: Place, asked: AckLevel, told: AckLevel) -> Verdict {
        let most = self.said.entry(chunk).or_default();
        *most = rank(told).max(*most);
        let least = match asked {
            AckLevel::Accepted => AckLevel::Accepted,
            AckLevel::Quorum | AckLevel::All => AckLevel::Quorum,
        };
        if rank(told) >= rank(least) {
            return Ok(());
        }
        Err(format!("{asked} was asked for, and {told} is told"))
    }

    /// A producer who asked for a level hears one.
    pub(super) fn heard(&self, chunk: Place, told: AckLevel) -> Verdict {
        if self
            .said
            .get(&chunk)
            .is_some_and(|&most| most >= rank(told))
        {
            return Ok(());
        }
        Err(format!("{told} is heard, and no node has said that much"))
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{Epoch, ProducerId, Sequence};

    use super::*;

    #[test]
    fn less_than_asked_and_more_than_said_are_seen() {
        let mut oracle = Levels::default();
        let chunk = (ProducerId(1), Epoch(0), Sequence(0));
        let accepted = oracle.said(chunk, AckLevel::Accepted, AckLevel::Accepted);
        assert_eq!(accepted, Ok(()));
        assert!(oracle.heard(chunk, AckLevel::Quorum).is_err());
        for asked in [AckLevel::Quorum, AckLevel::All] {
            assert!(oracle.said(chunk, asked, AckLevel::Accepted).is_err());
            assert_eq!(oracle.said(chunk, asked, AckLevel::Quorum), Ok(()));
        }
        assert_eq!(oracle.heard(chunk, AckLevel::Quorum), Ok(()));
        assert!(oracle.heard(chunk, AckLevel::All).is_err());
    }
}
