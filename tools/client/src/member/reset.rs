//! What a member does when the log does not have any more what its slots want next.

use core::ops::Range;

use quorate_wire::{ErrorCode, Offset};

use super::Share;
use crate::ClientError;

/// What a member does when the log does not have any more what its slots want next: it was kept for too short a time, or the consumer
/// group stood still for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Nothing. The read fails, and says what can be read.
    #[default]
    Refuse,
    /// Slots that lost something go on with the first event that is left.
    Earliest,
    /// Slots that lost something go on at the end of what is committed.
    Latest,
}

impl Reset {
    /// Leaves out what is gone, if that is how a read has ended, and this allows it. Says what is left out: it counts as given out, and
    /// is in the next commit.
    pub fn skip(self, share: &mut Share, error: &ClientError) -> Option<Range<Offset>> {
        let &ClientError::Refused {
            code: ErrorCode::OffsetBeforeStart,
            expected: start,
            limit: end,
            ..
        } = error
        else {
            return None;
        };
        let to = Offset(match self {
            Self::Refuse => return None,
            Self::Earliest => start,
            Self::Latest => end,
        });
        let begin = share.begin()?;
        share.skip(Offset(start), to);
        Some(begin..to)
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{SLOTS, Slot, Slots};

    use super::*;

    fn gone(code: ErrorCode) -> ClientError {
        ClientError::Refused {
            code,
            text: String::new(),
            expected: 10,
            limit: 90,
        }
    }

    #[test]
    fn slots_that_lost_something_go_on_where_they_may() {
        let [behind, ahead] = [0, 1].map(|number| Slot::new(number).expect("one of 64"));
        let mut done = [Offset(4); SLOTS];
        done[1] = Offset(40);
        let mut share = Share::default();
        share.assign(Slots(3), &done);
        let before = gone(ErrorCode::OffsetBeforeStart);
        let past = gone(ErrorCode::OffsetPastEnd);
        for (reset, error) in [(Reset::Refuse, &before), (Reset::Latest, &past)] {
            assert_eq!(reset.skip(&mut share, error), None);
            assert_eq!(share.next(behind), Some(Offset(4)));
        }
        for (reset, to) in [(Reset::Earliest, 10), (Reset::Latest, 90)] {
            let mut share = share.clone();
            let left_out = reset.skip(&mut share, &before);
            assert_eq!(left_out, Some(Offset(4)..Offset(to)));
            assert_eq!(share.next(behind), Some(Offset(to)));
            assert_eq!(share.next(ahead), Some(Offset(40)), "it lost nothing");
        }
    }
}
