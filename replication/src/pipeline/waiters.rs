//! Who waits for a chunk's acknowledgement, and what each of them is told.
//!
//!   open record        committed              on every voter's disk
//!   |---- for a commit ----|---- for the rest ----|
//!
//! Owns: the waiters, and the ways of the chunks that are traced. Never: decides what is committed. Called by: intake, the core's
//! driver, the turn.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use quorate_wire::canary::{self, Canary};
use quorate_wire::client::{AckLevel, Stage};
use quorate_wire::{ErrorCode, LogIndex, Offset, Time};

use super::Pipeline;
use super::config::ALL_GRAIN;
use crate::lane::{Answer, Produced, Refusal, ShardId, Ticket};
use crate::seam::Seam;
use crate::trace::Trace;

/// A produced chunk, or a part of a run, whose producer is not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    /// The index of its last record, or a later one.
    pub(super) index: LogIndex,
    pub(super) base_offset: Offset,
    /// The offset behind its last event.
    end: Offset,
    pub(super) shard: ShardId,
    pub(super) ticket: Ticket,
    /// Whether it waits for every voter's disk.
    pub(super) all: bool,
    /// How long it waits for that.
    pub(super) until: Time,
    /// Whether it has a place among the traces.
    pub(super) traced: bool,
}

impl Waiter {
    /// Whoever sent `chunk`, which is at an offset, in the record at an index or before it. Its time in the lane ends here.
    pub(super) fn new(
        (index, base_offset): (LogIndex, Offset),
        (shard, ticket): (ShardId, Ticket),
        chunk: &mut Produced,
        now: Time,
    ) -> Self {
        if let Some(trace) = &mut chunk.trace {
            trace.over(Stage::Lane, now);
        }
        Self {
            index,
            base_offset,
            end: base_offset.plus(u64::from(chunk.id.events)),
            shard,
            ticket,
            all: chunk.acks.level == AckLevel::All,
            until: now.after(chunk.acks.wait),
            traced: chunk.trace.is_some(),
        }
    }

    /// Takes on the next part of the same run, if that lies right behind.
    fn join(&mut self, next: &Self) -> bool {
        let (own, more) = (self.ticket.chunks, next.ticket.chunks);
        let rest = Ticket {
            chunks: more,
            ..self.ticket
        };
        let joins = (rest, self.shard) == (next.ticket, next.shard)
            && own.at + own.count == more.at
            && self.end == next.base_offset;
        if joins {
            self.ticket.chunks.count += more.count;
            (self.index, self.end) = (next.index, next.end);
        }
        joins
    }
}

/// All of them. See the module's description.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// For a commit, by index.
    commit: VecDeque<Waiter>,
    traces: Traces,
    /// Committed, and wait for every voter's disk, by index.
    rest: VecDeque<(Waiter, Option<Box<Trace>>)>,
    /// No deadline of `rest` comes before.
    due: Option<Time>,
}

impl Waiters {
    /// Adds one that waits for a commit.
    pub(super) fn push(&mut self, waiter: Waiter, trace: Option<Box<Trace>>) {
        assert!(
            self.commit
                .back()
                .is_none_or(|last| last.index <= waiter.index),
            "waiters come in the order of the log"
        );
        if let Some(trace) = trace {
            self.traces.open.push_back((waiter.index, trace));
        }
        if !(self.commit.back_mut()).is_some_and(|last| last.join(&waiter)) {
            self.commit.push_back(waiter);
        }
    }

    /// Adds one whose chunk is committed and that waits for every voter's disk.
    pub(super) fn push_rest(&mut self, waiter: Waiter, trace: Option<Box<Trace>>) {
        // Rounded up, so that those that come together are looked at together.
        let until = Time(waiter.until.0.div_ceil(ALL_GRAIN).saturating_mul(ALL_GRAIN));
        let waiter = Waiter { until, ..waiter };
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
        self.rest.push_back((waiter, trace));
    }

    /// The next one whose chunk is committed.
    fn pop_committed(&mut self, upto: LogIndex) -> Option<(Waiter, Option<Box<Trace>>)> {
        let waiter = self.commit.pop_front_if(|waiter| waiter.index <= upto)?;
        Some((waiter, waiter.traced.then(|| self.traces.pop())))
    }

    /// When somebody has waited for the last disks long enough, or when to look for that.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.filter(|_| !self.rest.is_empty())
    }
}

/// The ways of chunks that wait for a commit, in the log's order. Each stage is over for a first part of them.
#[derive(Debug, Default)]
struct Traces {
    open: VecDeque<(LogIndex, Box<Trace>)>,
    /// So many are sealed.
    sealed: usize,
    /// So many are on the leader's own disk.
    own: usize,
    /// So many are on enough followers' disks.
    followers: usize,
}

impl Traces {
    /// Records up to `upto` have been sealed.
    fn seal(&mut self, upto: LogIndex, now: Time) {
        self.sealed = pass(&mut self.open, self.sealed, upto, |trace| {
            trace.over(Stage::Batch, now);
        });
    }

    /// Records up to these are durable, here and on followers.
    fn write(&mut self, own: LogIndex, followers: LogIndex, now: Time) {
        self.own = pass(&mut self.open, self.own, own, |trace| {
            trace.within(Stage::OwnWrite, now);
        });
        self.followers = pass(&mut self.open, self.followers, followers, |trace| {
            trace.within(Stage::FollowerWrite, now);
        });
    }

    fn pop(&mut self) -> Box<Trace> {
        let (_, trace) = self.open.pop_front().expect("a traced waiter has a trace");
        for count in [&mut self.sealed, &mut self.own, &mut self.followers] {
            *count = count.saturating_sub(1);
        }
        trace
    }
}

/// A stage is over for all up to `upto`; for the first `passed` it was before. Returns how many those are now.
fn pass(
    open: &mut VecDeque<(LogIndex, Box<Trace>)>,
    passed: usize,
    upto: LogIndex,
    mut over: impl FnMut(&mut Trace),
) -> usize {
    let mut passed = passed;
    while let Some((_, trace)) = open.get_mut(passed).filter(|(index, _)| *index <= upto) {
        over(trace);
        passed += 1;
    }
    passed
}

impl Pipeline {
    /// Tells a producer where its chunk is.
    pub(super) fn answer_produced(
        &self,
        (waiter, mut trace): (Waiter, Option<Box<Trace>>),
        level: AckLevel,
        seam: &mut impl Seam,
    ) {
        if let Some(trace) = &mut trace {
            trace.over(Stage::Commit, seam.now());
        }
        let answer = Answer::Produced {
            base_offset: waiter.base_offset,
            term: self.term(),
            level,
            trace,
        };
        Self::reply(waiter.ticket, answer, waiter.shard, seam);
    }

    /// Answers those whose chunk is committed, but for those who want it on every disk.
    pub(super) fn answer_committed(&mut self, upto: LogIndex, seam: &mut impl Seam) {
        while let Some((waiter, trace)) = self.waiters.pop_committed(upto) {
            if !waiter.all {
                self.answer_produced((waiter, trace), AckLevel::Quorum, seam);
            } else if canary::on(Canary::AllAtCommit) {
                self.answer_produced((waiter, trace), AckLevel::All, seam);
            } else {
                self.waiters.push_rest(waiter, trace);
            }
        }
    }

    /// Answers those whose chunk has reached the last disk, and those who have waited for that long enough.
    pub(super) fn answer_rest(&mut self, now: Time, seam: &mut impl Seam) {
        if self.waiters.rest.is_empty() {
            return;
        }
        let on_all = self
            .raft
            .as_ref()
            .map_or(LogIndex(0), quorate_raft::Raft::on_all);
        while let Some(done) = self
            .waiters
            .rest
            .pop_front_if(|(waiter, _)| waiter.index <= on_all)
        {
            self.answer_produced(done, AckLevel::All, seam);
        }
        if self.waiters.due.is_none_or(|due| now < due) {
            return;
        }
        self.waiters.due = None;
        for _ in 0..self.waiters.rest.len() {
            let next = self.waiters.rest.pop_front();
            let (waiter, trace) = next.expect("it is gone through once");
            if waiter.until <= now {
                self.answer_produced((waiter, trace), AckLevel::Quorum, seam);
            } else {
                self.waiters.push_rest(waiter, trace);
            }
        }
    }

    /// Dates what has been sealed in this turn.
    pub(super) fn trace_sealed(&mut self, seam: &impl Seam) {
        let traces = &mut self.waiters.traces;
        if traces.sealed < traces.open.len() {
            traces.seal(self.tail.sealed(), seam.now());
        }
    }

    /// Dates what has become durable.
    pub(super) fn trace_written(&mut self, seam: &impl Seam) {
        if let Some(raft) = &self.raft
            && !self.waiters.traces.open.is_empty()
        {
            let (own, followers) = (raft.durable(), raft.on_followers());
            self.waiters.traces.write(own, followers, seam.now());
        }
    }

    /// Tells everyone who waits for a commit that this node cannot promise it any more. What is committed stays so.
    pub(super) fn fail_waiters(&mut self, seam: &mut impl Seam) {
        let leader = self.hint();
        let waiters = core::mem::take(&mut self.waiters);
        for waiter in waiters.commit {
            let refusal = Refusal {
                leader,
                ..Refusal::new(ErrorCode::LeadershipLost)
            };
            Self::refuse(waiter.ticket, refusal, waiter.shard, seam);
        }
        for done in waiters.rest {
            self.answer_produced(done, AckLevel::Quorum, seam);
        }
        self.fail_commands(seam);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Chunks;

    fn waiter(index: u64, until: u64) -> Waiter {
        Waiter {
            index: LogIndex(index),
            base_offset: Offset(index),
            end: Offset(index + 1),
            shard: ShardId(0),
            ticket: Ticket {
                connection: 1,
                correlation: index,
                chunks: Chunks::ONE,
            },
            all: false,
            until: Time(until),
            traced: true,
        }
    }

    #[test]
    fn a_stage_is_dated_once_for_each_chunk() {
        let mut waiters = Waiters::default();
        for index in [1, 1, 2] {
            waiters.push(waiter(index, 0), Some(Box::new(Trace::new(Time(0)))));
        }
        waiters.traces.seal(LogIndex(1), Time(10));
        waiters.traces.seal(LogIndex(2), Time(20));
        waiters.traces.write(LogIndex(0), LogIndex(1), Time(30));
        waiters.traces.write(LogIndex(1), LogIndex(1), Time(40));
        let mut popped = || {
            let (_, trace) = waiters.pop_committed(LogIndex(2))?;
            let times = trace?.times();
            Some([Stage::Batch, Stage::OwnWrite, Stage::FollowerWrite].map(|at| times.get(at)))
        };
        assert_eq!(popped(), Some([Some(10), Some(30), Some(20)]));
        assert_eq!(popped(), Some([Some(10), Some(30), Some(20)]));
        assert_eq!(popped(), Some([Some(20), None, None]));
        assert_eq!(popped(), None);
        assert_eq!(waiters.traces.sealed, 0);
    }

    #[test]
    fn parts_of_a_run_that_lie_side_by_side_are_answered_as_one() {
        let part = |index: u64, offset: u64, at, count| Waiter {
            base_offset: Offset(offset),
            end: Offset(offset + u64::from(count)),
            ticket: Ticket {
                connection: 1,
                correlation: 7,
                chunks: Chunks { at, count },
            },
            traced: false,
            ..waiter(index, 0)
        };
        let mut waiters = Waiters::default();
        for part in [part(1, 10, 0, 2), part(2, 12, 2, 3), part(2, 20, 5, 1)] {
            waiters.push(part, None);
        }
        assert!(
            waiters.pop_committed(LogIndex(1)).is_none(),
            "the rest of the run is in a later record"
        );
        let mut popped = || {
            let (waiter, _) = waiters.pop_committed(LogIndex(2))?;
            Some((waiter.base_offset.0, waiter.ticket.chunks))
        };
        assert_eq!(popped(), Some((10, Chunks { at: 0, count: 5 })));
        assert_eq!(popped(), Some((20, Chunks { at: 5, count: 1 })));
        assert_eq!(popped(), None);
    }

    #[test]
    fn deadlines_are_looked_at_together() {
        let mut waiters = Waiters::default();
        waiters.push_rest(waiter(1, ALL_GRAIN + 1), None);
        waiters.push_rest(waiter(2, 2 * ALL_GRAIN), None);
        waiters.push_rest(waiter(3, 7 * ALL_GRAIN), None);
        assert_eq!(waiters.deadline(), Some(Time(2 * ALL_GRAIN)));
        assert_eq!(waiters.rest[0].0.until, waiters.rest[1].0.until);
    }
}
