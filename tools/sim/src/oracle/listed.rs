//! Lists are linearizable (docs/protocol.md, "Cursors"): how a consumer group stands has every commit that was acknowledged before it was
//! asked for, whichever node answers.

use std::collections::BTreeMap;

use quorate_replication::lane::{Answer, NamedAnswer};
use quorate_wire::{ErrorCode, Offset, SLOTS, Time};

use super::Verdict;

/// Refusals that promise nothing.
const PASSING: [ErrorCode; 5] = [
    ErrorCode::ConsistencyUnavailable,
    ErrorCode::Forming,
    ErrorCode::Repairing,
    ErrorCode::Overloaded,
    // It belongs to the group no more.
    ErrorCode::ShuttingDown,
];

/// What was done at each moment at which somebody asked.
#[derive(Debug, Default)]
pub(super) struct Lists {
    done: BTreeMap<Time, [Offset; SLOTS]>,
}

impl Lists {
    /// Somebody asks now, when this is done.
    pub(super) fn asked(&mut self, now: Time, done: [Offset; SLOTS]) {
        self.done.insert(now, done);
    }

    /// The answer to what was asked then.
    pub(super) fn answered(&self, asked: Time, answer: &Answer) -> Verdict {
        let done = self.done.get(&asked).ok_or("nobody has asked then")?;
        let offsets = match answer {
            Answer::Named(named) => match named.as_ref() {
                NamedAnswer::Group { group, .. } => group.offsets.map(|it| Offset(it.get())),
                NamedAnswer::Applied { .. }
                | NamedAnswer::Cursors { .. }
                | NamedAnswer::Heartbeat(_) => return Err(format!("it is answered {named:?}")),
            },
            Answer::Refused(refusal) if refusal.code == ErrorCode::NameUnknown => {
                [Offset(0); SLOTS]
            }
            Answer::Refused(refusal) if PASSING.contains(&refusal.code) => return Ok(()),
            Answer::Refused(_)
            | Answer::Greeting { .. }
            | Answer::Produced { .. }
            | Answer::Fetched(_)
            | Answer::Status(_)
            | Answer::Audited(_)
            | Answer::Admin(_) => return Err(format!("it is answered {answer:?}")),
        };
        match done.iter().zip(offsets).position(|(done, is)| *done > is) {
            None => Ok(()),
            Some(slot) => Err(format!(
                "asked at {asked}, slot {slot} was done up to {}, and is told to be at {}",
                done.get(slot).copied().unwrap_or_default(),
                offsets.get(slot).copied().unwrap_or_default(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_replication::lane::Refusal;
    use quorate_wire::named::GroupsReply;
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn an_answer_that_lacks_what_was_acknowledged_before_is_seen() {
        let mut lists = Lists::default();
        let mut done = [Offset(0); SLOTS];
        lists.asked(Time(1), done);
        done[7] = Offset(5);
        lists.asked(Time(2), done);
        let told = |offset: u64| {
            let mut group = GroupsReply::new_zeroed();
            group.offsets[7].set(offset);
            let members = Vec::new();
            Answer::Named(Box::new(NamedAnswer::Group { group, members }))
        };
        let refused = |code| Answer::Refused(Refusal::new(code));
        assert!(lists.answered(Time(1), &told(4)).is_ok());
        assert!(lists.answered(Time(2), &told(5)).is_ok());
        assert!(lists.answered(Time(2), &told(4)).is_err());
        assert!(lists.answered(Time(3), &told(9)).is_err());
        let unknown = refused(ErrorCode::NameUnknown);
        assert!(lists.answered(Time(1), &unknown).is_ok());
        assert!(lists.answered(Time(2), &unknown).is_err());
        let passing = refused(ErrorCode::ConsistencyUnavailable);
        assert!(lists.answered(Time(2), &passing).is_ok());
        assert!(
            lists
                .answered(Time(2), &refused(ErrorCode::NotLeader))
                .is_err()
        );
    }
}
