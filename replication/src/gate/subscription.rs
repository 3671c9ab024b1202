//! Subscriptions: records that come without being asked for one answer at a time, as long as there is credit for them.
//!
//! ```text
//!         Subscribe              credit                    an answer: pushed, and its bytes taken off the credit
//!  (none) ---------> resting ---------------> fetching ---------------------------------------------------.
//!                       ^                        |   Unsubscribe, or a refusal                           |
//!                       |                        `-----------------------------> (none)                   |
//!                       `-----------------------------------------------------------------------------------'
//! ```
//! Each has one fetch of its own in flight while it has credit, and none otherwise: a client that gives no credit costs nothing.
//! Owns: the subscriptions of one connection. Never: a lane, a socket, a clock. Called by: the engine's shards, and the
//! simulator's.

use alloc::vec::Vec;

use quorate_wire::client::{Consistency, ReadFrom};
use quorate_wire::limits::{RECORDS_BYTES_MAX, SUBSCRIPTION_PULSE_MS, SUBSCRIPTIONS_MAX};
use quorate_wire::{ErrorCode, Offset, Time};

use super::answer::{write_no, write_refusal, write_unsubscribed};
use super::{Filter, No, records};
use crate::lane::{Answer, FetchAsk, Fetched};

/// For so long the node has nothing to say at most, in nanoseconds.
const PULSE: u64 = SUBSCRIPTION_PULSE_MS as u64 * 1_000_000;

/// What a client subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The first fetch; later ones follow from its answers.
    pub ask: FetchAsk,
    /// Of the records, the ones that are wanted.
    pub filter: Option<Filter>,
    /// How many bytes may be pushed.
    pub credit: u64,
}

/// What a client says of its subscriptions. It is not for the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Begins one.
    Subscribe(Subscribe),
    /// So many further bytes may be pushed.
    Credit(u64),
    /// Ends one.
    Unsubscribe,
}

/// A connection's name for a subscription, never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionId(pub u64);

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    correlation: u64,
    filter: Option<Filter>,
    /// Bytes that were allowed, and that were pushed: by at most one record more than allowed.
    allowed: u64,
    pushed: u64,
    /// What is fetched next, or is being fetched.
    ask: FetchAsk,
    fetching: bool,
    /// Nothing has been pushed; the client does not know where it begins.
    fresh: bool,
    /// More was committed than had been looked at when it was last asked.
    behind: bool,
    /// When something was pushed last.
    told: Time,
}

/// The subscriptions of one connection. See the module's description.
#[derive(Debug, Default)]
pub struct Subscriptions {
    open: Vec<Subscription>,
    last: u64,
    /// Where to look first for one that can fetch, so that each gets its turn.
    turn: usize,
}

impl Subscriptions {
    /// Takes in what the client says. Writes the answer to the end of `to`, if there is one.
    pub fn hear(&mut self, talk: &Talk, correlation: u64, now: Time, to: &mut Vec<u8>) {
        match talk {
            Talk::Subscribe(subscribe) => {
                if let Err(no) = self.subscribe(subscribe, correlation, now) {
                    write_no(&no, correlation, to);
                }
            }
            // What ended a moment ago may still be given credit.
            Talk::Credit(bytes) => {
                if let Some(at) = self.place_of(correlation)
                    && let Some(subscription) = self.open.get_mut(at)
                {
                    subscription.allowed = subscription.allowed.saturating_add(*bytes);
                }
            }
            Talk::Unsubscribe => {
                let place = self.place_of(correlation);
                let ended = place.map(|at| self.open.swap_remove(at));
                write_unsubscribed(ended.and_then(|ended| ended.next()), correlation, to);
            }
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe, correlation: u64, now: Time) -> Result<(), No> {
        if self.place_of(correlation).is_some() {
            return Err(No::new(
                ErrorCode::SubscriptionExists,
                "a subscription with this correlation is open",
            ));
        }
        if self.open.len() == SUBSCRIPTIONS_MAX {
            let text = alloc::format!(
                "subscriptions on this connection: the bound is {SUBSCRIPTIONS_MAX}"
            );
            return Err(No::new(ErrorCode::Overloaded, text));
        }
        self.last += 1;
        self.open.push(Subscription {
            id: SubscriptionId(self.last),
            correlation,
            filter: subscribe.filter.clone(),
            allowed: subscribe.credit,
            pushed: 0,
            ask: subscribe.ask,
            fetching: false,
            fresh: true,
            behind: true,
            told: now,
        });
        Ok(())
    }

    /// The next one that has credit and nothing in flight, if there is one.
    #[must_use]
    pub fn ready(&self) -> Option<SubscriptionId> {
        let (late, early) = self
            .open
            .split_at_checked(self.turn)
            .unwrap_or((&[], &self.open));
        let mut ready = early.iter().chain(late).filter(|one| one.is_ready());
        ready.next().map(|one| one.id)
    }

    /// The fetch of one that is ready. It goes to the pipeline at once, and its answer to [`Self::answered`].
    ///
    /// # Panics
    /// It is not ready.
    pub fn fetch(&mut self, id: SubscriptionId) -> FetchAsk {
        let at = self.open.iter().position(|one| one.id == id);
        let at = at.expect("it was ready a moment ago");
        self.turn = at + 1;
        let one = self.open.get_mut(at).expect("a place in the list");
        assert!(
            one.is_ready(),
            "one fetch at a time, and none without credit"
        );
        one.fetching = true;
        let credit = usize::try_from(one.allowed - one.pushed).unwrap_or(usize::MAX);
        one.ask.bytes_max = credit.min(RECORDS_BYTES_MAX);
        one.ask
    }

    /// The pipeline has answered. Writes what the client gets to the end of `to`: a push, nothing, or why the subscription is over.
    pub fn answered(&mut self, id: SubscriptionId, answer: &Answer, now: Time, to: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|one| one.id == id) else {
            return; // The client has ended it meanwhile.
        };
        match answer {
            Answer::Fetched(fetched) => {
                let one = self.open.get_mut(at).expect("a place in the list");
                one.push(fetched, now, to);
            }
            Answer::Refused(refusal) => {
                let ended = self.open.swap_remove(at);
                write_refusal(refusal, ended.correlation, to);
            }
            Answer::Greeting { .. }
            | Answer::Produced { .. }
            | Answer::Status(_)
            | Answer::Audited(_)
            | Answer::Admin(_)
            | Answer::Named(_) => {
                unreachable!("a fetch is answered by records or a refusal")
            }
        }
    }

    /// Ends all of them, and says why.
    pub fn end(&mut self, no: &No, to: &mut Vec<u8>) {
        for one in self.open.drain(..) {
            write_no(no, one.correlation, to);
        }
    }

    fn place_of(&self, correlation: u64) -> Option<usize> {
        self.open
            .iter()
            .position(|one| one.correlation == correlation)
    }
}

impl Subscription {
    fn is_ready(&self) -> bool {
        !self.fetching && self.pushed < self.allowed
    }

    fn next(&self) -> Option<Offset> {
        match self.ask.from {
            ReadFrom::Offset(offset) => Some(offset),
            ReadFrom::Time(_) | ReadFrom::Tail | ReadFrom::Start => None,
        }
    }

    fn push(&mut self, fetched: &Fetched, now: Time, to: &mut Vec<u8>) {
        let Fetched {
            committed, next, ..
        } = *fetched;
        let caught_up = self.behind && next >= committed;
        self.fetching = false;
        self.behind = next < committed;
        self.ask = FetchAsk {
            from: ReadFrom::Offset(next),
            consistency: Consistency::Any,
            bytes_max: 0,
            wait: PULSE,
        };
        let says = self.fresh || caught_up || now.since(self.told) >= PULSE;
        let filter = self.filter.as_ref();
        if let Some(bytes) = records::push(fetched, self.correlation, filter, says, to) {
            self.pushed += bytes;
            self.fresh = false;
            self.told = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use bytes::Bytes;
    use quorate_wire::client::{Consistency, FetchReply, ReadFrom, Unsubscribed};
    use quorate_wire::filter::Clause;
    use quorate_wire::limits::SUBSCRIPTIONS_MAX;
    use quorate_wire::{ErrorCode, Frame, FrameKind, Offset, Time};
    use zerocopy::FromBytes;

    use super::{PULSE, Subscribe, SubscriptionId, Subscriptions, Talk};
    use crate::gate::{Filter, No};
    use crate::lane::{Answer, FetchAsk, Fetched, Refusal};

    const START: Time = Time(1_000);

    fn subscribe(credit: u64) -> Talk {
        Talk::Subscribe(Subscribe {
            ask: FetchAsk {
                from: ReadFrom::Tail,
                consistency: Consistency::AtLeast(Offset(3)),
                bytes_max: 0,
                wait: 7,
            },
            filter: None,
            credit,
        })
    }

    fn opened(talk: &Talk) -> Subscriptions {
        let mut all = Subscriptions::default();
        hear(&mut all, talk, 5, &[]);
        all
    }

    /// What is said, and what is answered: kinds with correlations.
    fn hear(all: &mut Subscriptions, talk: &Talk, correlation: u64, answers: &[(FrameKind, u64)]) {
        let mut bytes = Vec::new();
        all.hear(talk, correlation, START, &mut bytes);
        assert_eq!(kinds(&bytes), answers, "{talk:?}");
    }

    fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = Frame::parse(bytes) {
            bytes = &bytes[frame.bytes()..];
            frames.push(frame);
        }
        assert!(bytes.is_empty(), "whole frames");
        frames
    }

    fn kinds(bytes: &[u8]) -> Vec<(FrameKind, u64)> {
        let header = |frame: &Frame<'_>| (frame.header.kind, frame.header.correlation);
        frames(bytes).iter().map(header).collect()
    }

    fn found(begin: u64, next: u64, committed: u64, bytes: usize) -> Answer {
        Answer::Fetched(Fetched {
            committed: Offset(committed),
            start: Offset(0),
            begin: Offset(begin),
            next: Offset(next),
            records: Bytes::from(vec![0; bytes]),
        })
    }

    fn ready(all: &Subscriptions) -> SubscriptionId {
        all.ready().expect("it has credit and nothing in flight")
    }

    #[test]
    fn it_fetches_one_at_a_time_and_goes_on_where_the_answer_ends() {
        let mut all = opened(&subscribe(100));
        let id = ready(&all);
        let first = all.fetch(id);
        assert_eq!(
            (first.from, first.bytes_max, first.wait),
            (ReadFrom::Tail, 100, 7)
        );
        assert_eq!(first.consistency, Consistency::AtLeast(Offset(3)));
        assert_eq!(all.ready(), None);
        let mut bytes = Vec::new();
        all.answered(id, &found(4, 9, 20, 64), START, &mut bytes);
        let [push] = frames(&bytes)[..] else {
            panic!("one push")
        };
        assert_eq!(
            (push.header.kind, push.header.correlation),
            (FrameKind::Push, 5)
        );
        let reply = FetchReply::read_from_bytes(push.message).expect("it has its length");
        assert_eq!((reply.begin.get(), reply.next.get()), (4, 9));
        assert_eq!(push.tail.len(), 64);
        let second = all.fetch(ready(&all));
        assert_eq!(second.from, ReadFrom::Offset(Offset(9)));
        assert_eq!((second.bytes_max, second.wait), (36, PULSE));
        assert_eq!(second.consistency, Consistency::Any, "it only begins so");
    }

    #[test]
    fn without_credit_nothing_is_fetched_and_a_record_too_much_is_owed() {
        let mut all = opened(&subscribe(0));
        assert_eq!(all.ready(), None);
        hear(&mut all, &Talk::Credit(10), 5, &[]);
        let id = ready(&all);
        assert_eq!(all.fetch(id).bytes_max, 10);
        all.answered(id, &found(0, 1, 9, 64), START, &mut Vec::new());
        hear(&mut all, &Talk::Credit(54), 5, &[]);
        assert_eq!(all.ready(), None, "64 were pushed, and 64 allowed");
        hear(&mut all, &Talk::Credit(u64::MAX), 5, &[]);
        assert!(all.ready().is_some());
        hear(&mut all, &Talk::Credit(1), 6, &[]);
    }

    #[test]
    fn what_brings_nothing_is_told_when_the_end_is_reached_and_now_and_then() {
        let clause = Clause::Key(1);
        let mut bytes = vec![0; clause.size()];
        assert_eq!(clause.write(&mut bytes), Ok(Some(bytes.len())));
        let Talk::Subscribe(mut wish) = subscribe(1000) else {
            unreachable!("it was just made")
        };
        wish.filter = Filter::parse(&bytes, 1).expect("it is sound");
        let mut all = opened(&Talk::Subscribe(wish));
        let mut now = START;
        for (next, committed, after, told) in [
            (4, 20, 1, true), // Where it begins.
            (8, 20, 1, false),
            (20, 20, 1, true), // The end.
            (24, 24, 1, false),
            (28, 28, PULSE - 2, false),
            (30, 30, 1, true), // Long enough.
            (32, 32, 1, false),
        ] {
            now = now.after(after);
            let id = ready(&all);
            all.fetch(id);
            let mut bytes = Vec::new();
            all.answered(id, &found(0, next, committed, 0), now, &mut bytes);
            assert_eq!(!bytes.is_empty(), told, "{next} of {committed}");
        }
    }

    #[test]
    fn it_ends_by_a_word_a_refusal_or_with_the_node() {
        let mut all = opened(&subscribe(10));
        let id = ready(&all);
        all.fetch(id);
        hear(
            &mut all,
            &Talk::Unsubscribe,
            5,
            &[(FrameKind::Unsubscribed, 5)],
        );
        let mut bytes = Vec::new();
        all.answered(id, &found(0, 1, 1, 64), START, &mut bytes);
        assert!(bytes.is_empty(), "nothing comes after the last word");
        hear(
            &mut all,
            &Talk::Unsubscribe,
            5,
            &[(FrameKind::Unsubscribed, 5)],
        );

        hear(&mut all, &subscribe(10), 5, &[]);
        let id = ready(&all);
        all.fetch(id);
        let refusal = Refusal::new(ErrorCode::Repairing);
        all.answered(id, &Answer::Refused(refusal), START, &mut bytes);
        assert_eq!(kinds(&bytes), [(FrameKind::Error, 5)]);
        assert_eq!(all.ready(), None);

        hear(&mut all, &subscribe(10), 7, &[]);
        hear(&mut all, &subscribe(0), 8, &[]);
        bytes.clear();
        all.end(&No::new(ErrorCode::ShuttingDown, "stops"), &mut bytes);
        assert_eq!(
            kinds(&bytes),
            [(FrameKind::Error, 7), (FrameKind::Error, 8)]
        );
        assert_eq!(all.ready(), None);
    }

    #[test]
    fn the_last_word_says_how_far_it_came() {
        let mut all = opened(&subscribe(10));
        let id = ready(&all);
        all.fetch(id);
        all.answered(id, &found(4, 9, 20, 64), START, &mut Vec::new());
        let mut bytes = Vec::new();
        all.hear(&Talk::Unsubscribe, 5, START, &mut bytes);
        let [last] = frames(&bytes)[..] else {
            panic!("one answer")
        };
        let reply = Unsubscribed::read_from_bytes(last.message).expect("it has its length");
        assert_eq!(reply.next.get(), 9);
    }

    #[test]
    fn they_are_bounded_have_names_of_their_own_and_take_turns() {
        let mut all = Subscriptions::default();
        for correlation in 0..SUBSCRIPTIONS_MAX as u64 {
            hear(&mut all, &subscribe(1 << 20), correlation, &[]);
        }
        hear(&mut all, &subscribe(1), 99, &[(FrameKind::Error, 99)]);
        hear(&mut all, &subscribe(1), 3, &[(FrameKind::Error, 3)]);
        let mut order = Vec::new();
        for round in 0..2 {
            let ids: Vec<_> = core::iter::from_fn(|| {
                let id = all.ready()?;
                all.fetch(id);
                Some(id)
            })
            .collect();
            assert_eq!(ids.len(), SUBSCRIPTIONS_MAX);
            for &id in &ids {
                all.answered(id, &found(round, round + 1, 9, 8), START, &mut Vec::new());
            }
            order.push(ids);
        }
        assert_eq!(order[0], order[1]);
    }
}
