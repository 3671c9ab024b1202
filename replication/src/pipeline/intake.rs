//! What the shards ask.

use quorate_wire::canary::{self, Canary};
use quorate_wire::client::AckLevel;
use quorate_wire::{ErrorCode, LogIndex, Time};

use super::Pipeline;
use super::config::{IDS_FULL_MS, INTAKE_MAX, PENDING_RECORDS_MAX};
use super::waiters::Waiter;
use crate::lane::{Answer, Ask, Produced, Refusal, Request, ShardId, Ticket};
use crate::seam::Seam;
use crate::state::Verdict;

impl Pipeline {
    /// Takes requests until the lanes are empty, or one finds no room, or the turn has done its share. Returns whether more
    /// may wait.
    pub(super) fn take_requests(&mut self, now: Time, seam: &mut impl Seam) -> bool {
        let end = self.counts.requests + INTAKE_MAX;
        while self.counts.requests < end {
            let Some((shard, request)) = self.held.take().or_else(|| seam.take()) else {
                return false;
            };
            let Request { ticket, ask } = request;
            let requests = u64::from(ticket.chunks.count);
            self.counts.requests += requests;
            let serves = matches!(ask, Ask::Produce(_) | Ask::Fetch(_) | Ask::Named(_));
            if self.holds_records() && matches!(ask, Ask::Produce(_) | Ask::Named(_)) {
                self.held = Some((shard, Request { ticket, ask }));
                return false;
            }
            if self.cast_out && serves {
                // What it has grows old: clients go elsewhere.
                let refusal = Refusal {
                    leader: self.hint(),
                    ..Refusal::new(ErrorCode::ShuttingDown)
                };
                Self::refuse(ticket, refusal, shard, seam);
                continue;
            }
            match ask {
                Ask::Greet => {
                    let leader = self.hint();
                    let nodes = self.membership.entries();
                    let greeting = Answer::Greeting { leader, nodes };
                    Self::reply(ticket, greeting, shard, seam);
                }
                Ask::Admin(ask) => self.admin((shard, ticket), *ask, now, seam),
                Ask::Status => {
                    let status = Answer::Status(self.status());
                    Self::reply(ticket, status, shard, seam);
                }
                Ask::Fetch(ask) => self.fetch(shard, ticket, &ask, now, seam),
                Ask::Audit(index) => {
                    let audited = Answer::Audited(self.audited(index));
                    Self::reply(ticket, audited, shard, seam);
                }
                Ask::Named(ask) => self.named((shard, ticket), &ask, now, seam),
                Ask::Produce(run) => {
                    if let Some((ticket, run)) = self.produce(shard, ticket, run, now, seam) {
                        self.counts.requests -= u64::from(run.chunks);
                        let ask = Ask::Produce(run);
                        self.held = Some((shard, Request { ticket, ask }));
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Appends what is new of a chunk or a run, and answers the rest. Gives back what there is no room for now.
    fn produce(
        &mut self,
        shard: ShardId,
        mut ticket: Ticket,
        mut run: Produced,
        now: Time,
        seam: &mut impl Seam,
    ) -> Option<(Ticket, Produced)> {
        if let Some(refusal) = self.cannot_serve() {
            Self::refuse(ticket, refusal, shard, seam);
            return None;
        }
        // One that is not new as a whole is looked at chunk by chunk.
        while run.chunks > 1 && self.judge(&run, seam) != Verdict::New {
            let (one, chunk) = take_first(&mut ticket, &mut run);
            let held = self.produce_one(shard, one, chunk, now, seam);
            assert!(held.is_none(), "what is not new needs no room");
        }
        self.produce_one(shard, ticket, run, now, seam)
    }

    /// The same of one chunk, or of a run that is new.
    fn produce_one(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        mut chunk: Produced,
        now: Time,
        seam: &mut impl Seam,
    ) -> Option<(Ticket, Produced)> {
        let id = chunk.id;
        let refusal = match self.judge(&chunk, seam) {
            Verdict::New => return self.append_run(shard, ticket, chunk, now, seam),
            Verdict::Committed(base_offset) => {
                // Who wants it on every disk waits until all that is committed by now is there.
                let place = (self.state.applied(), base_offset);
                let waiter = Waiter::new(place, (shard, ticket), &mut chunk, now);
                if waiter.all {
                    self.waiters.push_rest(waiter, chunk.trace);
                } else {
                    self.answer_produced((waiter, chunk.trace), AckLevel::Quorum, seam);
                }
                return None;
            }
            Verdict::Taken => {
                let known = self
                    .state
                    .pending_offset(&id)
                    .or_else(|| self.accumulator.offset(&id));
                match known {
                    Some(base_offset) => {
                        let place = (self.open_index(), base_offset);
                        let waiter = Waiter::new(place, (shard, ticket), &mut chunk, now);
                        self.await_commit(waiter, chunk, seam);
                        return None;
                    }
                    None => Refusal::new(ErrorCode::SequenceTooOld),
                }
            }
            Verdict::Appended(base_offset) => {
                let place = (self.open_index(), base_offset);
                let waiter = Waiter::new(place, (shard, ticket), &mut chunk, now);
                self.await_commit(waiter, chunk, seam);
                return None;
            }
            Verdict::Mixed => Refusal::new(ErrorCode::EventIdsMixed),
            Verdict::IdsFull => Refusal {
                retry_after_ms: IDS_FULL_MS,
                ..Refusal::new(ErrorCode::EventIdsFull)
            },
            Verdict::Gap { expected } => Refusal {
                expected: expected.0,
                ..Refusal::new(ErrorCode::SequenceGap)
            },
            Verdict::Fenced { epoch } => Refusal {
                expected: u64::from(epoch.0),
                ..Refusal::new(ErrorCode::EpochFenced)
            },
            Verdict::TooOld => Refusal::new(ErrorCode::SequenceTooOld),
            Verdict::Unknown => Refusal::new(ErrorCode::ProducerUnknown),
            Verdict::Full => Refusal::new(ErrorCode::ProducersFull),
        };
        Self::refuse(ticket, refusal, shard, seam);
        None
    }

    /// What is to be done with a chunk.
    fn judge(&self, chunk: &Produced, seam: &mut impl Seam) -> Verdict {
        match chunk.event_ids() {
            None => self.state.judge(&chunk.id),
            Some(ids) => self.state.judge_ids(ids, seam.wall()),
        }
    }

    /// Why this node takes no chunks at all now, if so.
    pub(super) fn cannot_serve(&self) -> Option<Refusal> {
        self.cannot_lead().or_else(|| {
            let full = self.disk_full
                && self
                    .tail
                    .next_write()
                    .is_some_and(|bytes| !self.log.fits(bytes));
            full.then(|| Refusal {
                retry_after_ms: 1000,
                ..Refusal::new(ErrorCode::DiskFull)
            })
        })
    }

    /// Why this node does not do what only a leader does, if so.
    pub(super) fn cannot_lead(&self) -> Option<Refusal> {
        let Some(raft) = &self.raft else {
            return Some(Refusal::new(match self.repair {
                Some(_) => ErrorCode::Repairing,
                None => ErrorCode::Forming,
            }));
        };
        if raft.serves() {
            return None;
        }
        let code = if raft.leads() {
            ErrorCode::LeaderNotReady
        } else {
            ErrorCode::NotLeader
        };
        Some(Refusal {
            leader: self.hint(),
            ..Refusal::new(code)
        })
    }

    /// Appends a chunk or a run that is new. Gives back what there is no room for now.
    fn append_run(
        &mut self,
        shard: ShardId,
        mut ticket: Ticket,
        mut run: Produced,
        now: Time,
        seam: &mut impl Seam,
    ) -> Option<(Ticket, Produced)> {
        while run.chunks > 0 {
            if self.state.pending() >= PENDING_RECORDS_MAX {
                return Some((ticket, run));
            }
            if self.accumulator.is_full_for(run.first_bytes()) {
                self.close_record(seam);
            }
            let (chunks, events, bytes) = self.accumulator.takes(&run);
            if !self.tail.open_has_room(self.accumulator.needs(bytes)) {
                self.close_record(seam);
                self.propose(seam);
                self.seal();
            }
            let needs = self.accumulator.needs(bytes);
            let Some(room) = self.tail.reserve(needs) else {
                return Some((ticket, run));
            };
            let base_offset = self.accumulator.next_offset(&self.state);
            let mut part = run.take(chunks, events, bytes);
            self.accumulator.push(&part, base_offset, room, now);
            match part.event_ids() {
                None => self.state.take(&part.id),
                Some(ids) => self.state.take_ids(ids, base_offset),
            }
            self.counts.chunks += u64::from(chunks);
            let place = (self.open_index(), base_offset);
            let taken = Ticket {
                chunks: ticket.chunks.take(chunks),
                ..ticket
            };
            let waiter = Waiter::new(place, (shard, taken), &mut part, now);
            self.await_commit(waiter, part, seam);
        }
        None
    }

    /// The chunk is in the leader's memory: its producer is told so, or waits for more.
    fn await_commit(&mut self, waiter: Waiter, chunk: Produced, seam: &mut impl Seam) {
        if chunk.acks.level == AckLevel::Accepted {
            self.answer_produced((waiter, chunk.trace), AckLevel::Accepted, seam);
        } else if canary::on(Canary::AnsweredAtAppend) {
            self.answer_produced((waiter, chunk.trace), AckLevel::Quorum, seam);
        } else {
            self.waiters.push(waiter, chunk.trace);
        }
    }

    /// Index of the open record, or of the last one if none is open.
    fn open_index(&self) -> LogIndex {
        let last = self.state.last();
        if self.accumulator.is_open() {
            last.next()
        } else {
            last
        }
    }

    /// Refuses everybody who waits: this pipeline is over, and another one follows.
    pub(super) fn refuse_all(&mut self, seam: &mut impl Seam) {
        self.fail_waiters(seam);
        self.refuse_fetches(seam);
        self.refuse_fresh(seam);
        if let Some((shard, request)) = self.held.take() {
            let refusal = Refusal::new(ErrorCode::Repairing);
            Self::refuse(request.ticket, refusal, shard, seam);
        }
    }
}

/// Takes the first chunk off a run.
fn take_first(ticket: &mut Ticket, run: &mut Produced) -> (Ticket, Produced) {
    let first = run.iter().next().expect("a run has chunks");
    let (events, bytes) = (first.id().events, first.bytes().len());
    let chunks = ticket.chunks.take(1);
    (Ticket { chunks, ..*ticket }, run.take(1, events, bytes))
}
