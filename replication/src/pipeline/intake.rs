//! What the shards ask.

use quorate_wire::canary::{self, Canary};
use quorate_wire::client::AckLevel;
use quorate_wire::{ErrorCode, LogIndex, Time};

use super::Pipeline;
use super::config::{IDS_FULL_MS, INTAKE_MAX, PENDING_RECORDS_MAX};
use super::waiters::Waiter;
use crate::lane::{Answer, Ask, ProducedChunk, Refusal, Request, ShardId, Ticket};
use crate::seam::Seam;
use crate::state::Verdict;

impl Pipeline {
    /// Takes requests until the lanes are empty, or one finds no room, or the turn has done its share. Returns whether more
    /// may wait.
    pub(super) fn take_requests(&mut self, now: Time, seam: &mut impl Seam) -> bool {
        for _ in 0..INTAKE_MAX {
            let Some((shard, request)) = self.held.take().or_else(|| seam.take()) else {
                return false;
            };
            self.counts.requests += 1;
            let Request { ticket, ask } = request;
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
                Ask::Produce(chunk) => {
                    if let Some(chunk) = self.produce(shard, ticket, chunk, now, seam) {
                        self.counts.requests -= 1;
                        self.held = Some((
                            shard,
                            Request {
                                ticket,
                                ask: Ask::Produce(chunk),
                            },
                        ));
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Appends a chunk if it is new, and answers it otherwise. Gives it back if there is no room for it now.
    fn produce(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        mut chunk: ProducedChunk,
        now: Time,
        seam: &mut impl Seam,
    ) -> Option<ProducedChunk> {
        if let Some(refusal) = self.cannot_serve() {
            Self::refuse(ticket, refusal, shard, seam);
            return None;
        }
        let id = chunk.id;
        let refusal = match self.judge(&chunk, seam) {
            Verdict::New => return self.append_chunk(shard, ticket, chunk, now, seam),
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
    fn judge(&self, chunk: &ProducedChunk, seam: &mut impl Seam) -> Verdict {
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

    fn append_chunk(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        mut chunk: ProducedChunk,
        now: Time,
        seam: &mut impl Seam,
    ) -> Option<ProducedChunk> {
        if self.state.pending() >= PENDING_RECORDS_MAX {
            return Some(chunk);
        }
        let size = chunk.bytes.len();
        if self.accumulator.is_full_for(size) {
            self.close_record(seam);
        }
        if !self.tail.open_has_room(self.accumulator.needs(size)) {
            self.close_record(seam);
            self.propose(seam);
            self.seal();
        }
        let needs = self.accumulator.needs(size);
        let Some(room) = self.tail.reserve(needs) else {
            return Some(chunk);
        };
        let base_offset = self.accumulator.next_offset(&self.state);
        self.accumulator
            .push(chunk.id, &chunk.bytes, base_offset, room, now);
        match chunk.event_ids() {
            None => self.state.take(&chunk.id),
            Some(ids) => self.state.take_ids(ids, base_offset),
        }
        self.counts.chunks += 1;
        let place = (self.open_index(), base_offset);
        let waiter = Waiter::new(place, (shard, ticket), &mut chunk, now);
        self.await_commit(waiter, chunk, seam);
        None
    }

    /// The chunk is in the leader's memory: its producer is told so, or waits for more.
    fn await_commit(&mut self, waiter: Waiter, chunk: ProducedChunk, seam: &mut impl Seam) {
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
