//! A member of a consumer group without sockets, clocks or chance: joins, stays, hears which slots are its own, commits, leaves.
//!
//! ```text
//!            Join              HeartbeatReply: generation, slots
//!  (out) -----------> JOINING --------------------------------> MEMBER <--+ heartbeats, each third of a session
//!    ^                                                           |  |  +--+ commits
//!    |  MemberUnknown: it was silent for a session, and its      |  |
//!    +--- slots are somebody else's ------------------------------+  | Leave
//!                                                                   v
//!                                                                 (gone)
//! ```
//! Owns: the way to the leader, the generation, and the share of the slots. Never: reads events. Called by:
//! [`GroupConsumer`](crate::GroupConsumer), and by simulators.
//!
//! It is driven as any [`Endpoint`]. A member that is not driven for a session is taken for dead.

mod reading;
mod reset;
mod share;

use std::time::Duration;

use quorate_wire::{Command, ErrorCode, Generation, MemberId, Name, Offset, Slots, Time};

use crate::caller::{Answer, Caller, CallerConfig, Question};
use crate::endpoint::{Endpoint, LinkNumber, Wish};
use crate::session::nanoseconds;
use crate::{ClientError, LinkCause};
pub use reading::Polled;
pub(crate) use reading::{Reading, start};
pub use reset::Reset;
pub use share::Share;

/// What a member is told once.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The consumer group.
    pub group: Name,
    /// The member: drawn at random, once.
    pub member: MemberId,
    /// For how long it may be silent before it is taken for dead.
    pub session: Duration,
    /// Where a consumer group that is new begins: at this offset, or at the end if that comes before it.
    pub start: Offset,
    /// The way to the nodes.
    pub caller: CallerConfig,
}

/// The slots of a member have changed, or it has heard of them for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regrouped {
    /// The generation from now on.
    pub generation: Generation,
    /// The slots from now on.
    pub slots: Slots,
    /// Those that it had not before. They go on where their offsets say.
    pub gained: Slots,
    /// Those that it has no more. What was given out of them and not committed is given out to somebody else too.
    pub lost: Slots,
}

/// "Everything below this offset is done in these slots."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// In which the slots are the member's.
    pub generation: Generation,
    /// The slots.
    pub slots: Slots,
    /// The offset.
    pub offset: Offset,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It counts.
    Done(Commit),
    /// Nothing is: the members have changed meanwhile. What is still the member's own can be committed anew.
    Fenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to join then.
    Out { again: Time },
    /// The join is asked.
    Joining,
    /// A heartbeat is asked.
    Asking,
    /// It is in, and asks again then.
    In { again: Time },
    /// A commit is asked.
    Committing(Commit),
    /// The leave is asked.
    Leaving,
    /// It is out for good.
    Gone,
}

/// A member. See the module's description.
#[derive(Debug)]
pub struct Member {
    config: MemberConfig,
    caller: Caller,
    stage: Stage,
    /// The highest generation that it has heard of, and what it owned in it.
    generation: Generation,
    slots: Slots,
    share: Share,
    news: Option<Regrouped>,
    /// The generation that whoever drives it has heard of.
    told: Generation,
    /// In which generation what is to be committed was given out.
    wanted: Option<Generation>,
    done: Option<Offset>,
    committed: Option<Result<Committed, ClientError>>,
    leaves: bool,
    trouble: Option<ClientError>,
}

impl Member {
    /// A member that is about to join.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: MemberConfig, now: Time) -> Self {
        let mut member = Self {
            caller: Caller::new(config.caller.clone()),
            stage: Stage::Out { again: now },
            generation: Generation(0),
            slots: Slots::NONE,
            share: Share::default(),
            news: None,
            told: Generation(0),
            wanted: None,
            done: None,
            committed: None,
            leaves: false,
            trouble: None,
            config,
        };
        member.go_on(now);
        member
    }

    /// The member's name.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.config.member
    }

    /// The generation that it knows.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What it reads, and from where.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// What it reads, and from where: events are given out through this.
    pub fn share_mut(&mut self) -> &mut Share {
        &mut self.share
    }

    /// That its slots have changed, if they have since this was last asked.
    pub fn take_news(&mut self) -> Option<Regrouped> {
        self.told = self.generation;
        self.news.take()
    }

    /// Why it could not join or stay the last time, if so. It goes on trying.
    pub fn take_trouble(&mut self) -> Option<ClientError> {
        self.trouble.take()
    }

    /// Commits, with the next question, what has been given out in all of its slots; [`Self::take_committed`] has the end. If the
    /// generation is another one by then, or is one that [`Self::take_news`] has not told, it is fenced.
    ///
    /// # Panics
    /// Another commit is open.
    pub fn commit(&mut self, now: Time) {
        assert!(!self.commits(), "one commit at a time");
        self.wanted = Some(self.told);
        self.go_on(now);
    }

    /// Whether a commit is open: its end has not been taken.
    #[must_use]
    pub fn commits(&self) -> bool {
        let asked = matches!(self.stage, Stage::Committing(..));
        asked || self.wanted.is_some() || self.committed.is_some()
    }

    /// Everything below this is committed in all of its slots, as far as it knows; none before the first commit.
    #[must_use]
    pub fn done(&self) -> Option<Offset> {
        self.done
    }

    /// The commit that is asked and not answered.
    #[must_use]
    pub fn asked(&self) -> Option<Commit> {
        match self.stage {
            Stage::Committing(commit) => Some(commit),
            Stage::Out { .. }
            | Stage::Joining
            | Stage::Asking
            | Stage::In { .. }
            | Stage::Leaving
            | Stage::Gone => None,
        }
    }

    /// The end of a commit.
    pub fn take_committed(&mut self) -> Option<Result<Committed, ClientError>> {
        self.committed.take()
    }

    /// Gives all slots back, after what is open.
    pub fn leave(&mut self, now: Time) {
        self.leaves = true;
        self.go_on(now);
    }

    /// Whether it has left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// Works in the answer that has come, and asks what is to be asked next.
    fn go_on(&mut self, now: Time) {
        while let Some(end) = self.caller.take() {
            self.answered(end, now);
        }
        if self.caller.is_open() {
            return;
        }
        let Some((stage, question)) = self.next(now) else {
            return;
        };
        self.stage = stage;
        self.caller.ask(question, now);
    }

    fn next(&mut self, now: Time) -> Option<(Stage, Question)> {
        let (name, member) = (self.config.group, self.config.member);
        let command = |stage, command| Some((stage, Question::Command(command)));
        match self.stage {
            Stage::Gone => None,
            Stage::Out { .. } if self.leaves => {
                self.stage = Stage::Gone;
                None
            }
            Stage::Out { again } if now < again => None,
            Stage::Out { .. } => {
                let join = Command::Join {
                    name,
                    member,
                    start: self.config.start,
                    session_ms: u32::try_from(self.config.session.as_millis()).unwrap_or(u32::MAX),
                };
                command(Stage::Joining, join)
            }
            Stage::In { .. } if self.wanted.is_some() => {
                let (generation, slots) = (self.generation, self.slots);
                // What was given out before the members changed may be somebody else's to commit by now.
                let given_out_in = self.wanted.take();
                let own = given_out_in == Some(generation);
                // A slot that came a moment ago may be behind the others: nothing above that is given out in all of them.
                let Some(offset) = self.share.begin().filter(|_| own) else {
                    self.committed = Some(Ok(Committed::Fenced));
                    return self.next(now);
                };
                let commit = Commit {
                    generation,
                    slots,
                    offset,
                };
                let asked = Command::Commit {
                    name,
                    member,
                    generation,
                    slots,
                    offset,
                };
                command(Stage::Committing(commit), asked)
            }
            Stage::In { .. } if self.leaves => {
                command(Stage::Leaving, Command::Leave { name, member })
            }
            Stage::In { again } if now < again => None,
            Stage::In { .. } => Some((Stage::Asking, Question::Heartbeat(name, member))),
            Stage::Joining | Stage::Asking | Stage::Committing(..) | Stage::Leaving => {
                unreachable!("a question is open")
            }
        }
    }

    fn answered(&mut self, end: Result<Answer, ClientError>, now: Time) {
        let unknown = matches!(&end, Err(error) if error.code() == Some(ErrorCode::MemberUnknown));
        match (self.stage, end) {
            (Stage::Leaving, _) => {
                self.stage = Stage::Gone;
                self.regroup(self.generation, Slots::NONE);
            }
            (Stage::Committing(commit), Ok(_)) => {
                self.done = Some(commit.offset);
                self.committed = Some(Ok(Committed::Done(commit)));
                self.stay(now);
            }
            (Stage::Committing(..), Err(error)) => self.not_committed(error, now),
            (Stage::Asking, Ok(Answer::Standing(standing))) => {
                // A leader that was deposed without knowing it may still tell of an earlier generation.
                if standing.generation >= self.generation {
                    self.regroup(standing.generation, standing.slots);
                    self.share.assign(standing.slots, &standing.offsets);
                }
                self.stay(now);
            }
            // In, and yet to hear of its slots.
            (Stage::Joining, Ok(_)) => self.stage = Stage::In { again: now },
            (Stage::Asking, Ok(_)) => {
                unreachable!("an answer is of the question's kind")
            }
            (_, Err(_)) if unknown => self.is_out(now),
            (Stage::Joining, Err(error)) => {
                self.trouble = Some(error);
                let again = now.after(nanoseconds(self.config.session) / 3);
                self.stage = Stage::Out { again };
            }
            (_, Err(error)) => {
                self.trouble = Some(error);
                self.stay(now);
            }
            (Stage::Out { .. } | Stage::In { .. } | Stage::Gone, Ok(_)) => {
                unreachable!("nothing was asked")
            }
        }
    }

    fn not_committed(&mut self, error: ClientError, now: Time) {
        match error.code() {
            Some(ErrorCode::MemberUnknown) => {
                self.committed = Some(Ok(Committed::Fenced));
                self.is_out(now);
            }
            Some(ErrorCode::GenerationFenced | ErrorCode::SlotsNotOwned) => {
                self.committed = Some(Ok(Committed::Fenced));
                // It is to hear of its slots before anything else.
                self.stage = Stage::In { again: now };
            }
            _ => {
                self.committed = Some(Err(error));
                self.stay(now);
            }
        }
    }

    /// It is a member no more, whatever it thought.
    fn is_out(&mut self, now: Time) {
        self.stage = Stage::Out { again: now };
        if self.wanted.take().is_some() {
            self.committed = Some(Ok(Committed::Fenced));
        }
        self.regroup(self.generation, Slots::NONE);
    }

    fn stay(&mut self, now: Time) {
        let again = now.after(nanoseconds(self.config.session) / 3);
        self.stage = Stage::In { again };
    }

    /// The slots of this generation are these.
    fn regroup(&mut self, generation: Generation, slots: Slots) {
        let mut news = self.news.unwrap_or(Regrouped {
            generation,
            slots,
            gained: Slots::NONE,
            lost: Slots::NONE,
        });
        // What is its own in one generation and in the next was nobody else's. Between others, it may have been.
        let kept = match generation.0 - self.generation.0 {
            0 | 1 => self.slots.and(slots),
            _ => Slots::NONE,
        };
        let (gained, lost) = (slots.without(kept), self.slots.without(kept));
        (news.generation, news.slots) = (generation, slots);
        news.gained = news.gained.without(lost).or(gained);
        news.lost = news.lost.or(lost);
        if generation != self.generation || !gained.or(lost).is_empty() {
            self.news = Some(news);
        }
        if !gained.is_empty() {
            self.done = None;
        }
        self.share.keep(kept);
        (self.generation, self.slots) = (generation, slots);
    }
}

impl Endpoint for Member {
    fn wish(&self) -> Option<Wish<'_>> {
        self.caller.wish()
    }

    fn connected(&mut self, number: LinkNumber, now: Time) {
        self.caller.connected(number, now);
    }

    fn lost(&mut self, number: LinkNumber, cause: LinkCause, now: Time) {
        self.caller.lost(number, cause, now);
    }

    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        let taken = self.caller.received(number, bytes, now);
        self.go_on(now);
        taken
    }

    fn tick(&mut self, now: Time) {
        self.caller.tick(now);
        self.go_on(now);
    }

    fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::In { again } | Stage::Out { again } => Some(again),
            Stage::Gone => None,
            Stage::Joining | Stage::Asking | Stage::Committing(..) | Stage::Leaving => {
                self.caller.deadline()
            }
        }
    }

    fn output(&mut self, now: Time) -> &[u8] {
        self.caller.output(now)
    }

    fn wrote(&mut self, bytes: usize) {
        self.caller.wrote(bytes);
    }
}
