//! Lists are linearizable (docs/protocol.md, "Cursors"): how a consumer group stands has every commit that was acknowledged before it was
//! asked for, whichever node answers; or it is another one, that began after the one of those commits had ended.

use std::collections::BTreeMap;

use quorate_replication::lane::{Answer, NamedAnswer};
use quorate_wire::{ErrorCode, Generation, Offset, SLOTS, Time};

use super::Verdict;
use super::lives::{Lives, life};
use super::slot_offsets::Done;

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
    done: BTreeMap<Time, Done>,
}

impl Lists {
    /// Somebody asks now, when this is done.
    pub(super) fn asked(&mut self, now: Time, done: Done) {
        self.done.insert(now, done);
    }

    /// The answer to what was asked then.
    pub(super) fn answered(&self, asked: Time, answer: &Answer, lives: &Lives) -> Verdict {
        let (then, done) = self.done.get(&asked).ok_or("nobody has asked then")?;
        let (now, offsets) = match answer {
            Answer::Named(named) => match named.as_ref() {
                NamedAnswer::Group { group, .. } => {
                    let generation = Generation(group.generation.get());
                    (life(generation), group.offsets.map(|it| Offset(it.get())))
                }
                NamedAnswer::Applied { .. }
                | NamedAnswer::Cursors { .. }
                | NamedAnswer::Heartbeat(_) => return Err(format!("it is answered {named:?}")),
            },
            Answer::Refused(refusal) if refusal.code == ErrorCode::NameUnknown => {
                if lives.may_be_over(*then) {
                    return Ok(());
                }
                (*then, [Offset(0); SLOTS])
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
        let lacks = |(done, is): (&Offset, Offset)| now == *then && *done > is;
        match done.iter().zip(offsets).position(lacks) {
            None if now < *then => Err(format!("asked at {asked}, what has ended lives")),
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

    /// How it stands in a life.
    fn told(life: u64, offset: u64) -> Answer {
        let mut group = GroupsReply::new_zeroed();
        group.generation.set(life * 256 + 1);
        group.offsets[7].set(offset);
        let members = Vec::new();
        Answer::Named(Box::new(NamedAnswer::Group { group, members }))
    }

    #[test]
    fn an_answer_that_lacks_what_was_acknowledged_before_is_seen() {
        let mut lists = Lists::default();
        let mut done = [Offset(0); SLOTS];
        lists.asked(Time(1), (1, done));
        done[7] = Offset(5);
        lists.asked(Time(2), (1, done));
        let mut lives = Lives::default();
        assert_eq!(lives.lives(1), Ok(()));
        let lists = |at, answer: &Answer| lists.answered(Time(at), answer, &lives);
        let refused = |code| Answer::Refused(Refusal::new(code));
        assert!(lists(1, &told(1, 4)).is_ok());
        assert!(lists(2, &told(1, 5)).is_ok());
        assert!(lists(2, &told(1, 4)).is_err());
        assert!(lists(2, &told(0, 9)).is_err());
        assert!(lists(2, &told(2, 0)).is_ok(), "it is another one");
        assert!(lists(3, &told(1, 9)).is_err());
        let unknown = refused(ErrorCode::NameUnknown);
        assert!(lists(1, &unknown).is_ok());
        assert!(lists(2, &unknown).is_err());
        let passing = refused(ErrorCode::ConsistencyUnavailable);
        assert!(lists(2, &passing).is_ok());
        assert!(lists(2, &refused(ErrorCode::NotLeader)).is_err());
    }

    #[test]
    fn who_was_to_end_may_be_unknown() {
        let mut lists = Lists::default();
        lists.asked(Time(1), (1, [Offset(5); SLOTS]));
        let mut lives = Lives::default();
        assert_eq!(lives.lives(1), Ok(()));
        let unknown = Answer::Refused(Refusal::new(ErrorCode::NameUnknown));
        assert!(lists.answered(Time(1), &unknown, &lives).is_err());
        lives.ends();
        assert!(lists.answered(Time(1), &unknown, &lives).is_ok());
    }
}
