//! Reading back: what consumers fetch, from memory or through the log, committed records only.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_raft::Want;
use quorate_wire::canary::{self, Canary};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ErrorCode, NodeId, Offset, Term, Time};

use super::Pipeline;
use super::config::{FETCHES_WAITING_MAX, READS_MAX};
use super::lend::Lend;
use crate::lane::{Answer, Refusal, ShardId, Ticket};
use crate::log::{From, Read, ReadRecords};
use crate::seam::Seam;

/// A consumer's request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    shard: ShardId,
    ticket: Ticket,
    offset: Offset,
    bytes_max: usize,
    until: Time,
}

/// Whom a read from the disk is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReadFor {
    /// A peer that has fallen behind the memory, while this node leads in this term.
    Peer(Want, Term),
    /// A consumer.
    Fetch(Fetch),
    /// A peer whose disk has lost them.
    Lend(Lend),
    /// Nobody: whether they can be read is the question.
    Scrub,
}

/// All fetches and reads that are open.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    last_token: u64,
    reads: Vec<(u64, ReadFor)>,
    /// At the end of the log, waiting for a record.
    waiting: Vec<Fetch>,
    /// Waiting for a read to become free.
    queued: VecDeque<Fetch>,
    /// The committed offset when `waiting` was last looked through.
    seen: Offset,
}

impl Fetches {
    /// Opens a read, and names it.
    pub(super) fn open(&mut self, read: ReadFor) -> u64 {
        self.last_token += 1;
        self.reads.push((self.last_token, read));
        self.last_token
    }

    /// Whom the read was for.
    pub(super) fn read_done(&mut self, token: u64) -> ReadFor {
        let at = self
            .reads
            .iter()
            .position(|&(open, _)| open == token)
            .expect("the log answers open reads, once");
        self.reads.swap_remove(at).1
    }

    /// Whether a read is open for a peer whose disk has lost records.
    pub(super) fn lends_to(&self, peer: NodeId) -> bool {
        let lends = |read: &ReadFor| matches!(read, ReadFor::Lend(lend) if lend.peer == peer);
        self.reads.iter().any(|(_, read)| lends(read))
    }

    /// When the first of those who wait has waited long enough.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.iter().map(|fetch| fetch.until).min()
    }

    fn is_full(&self) -> bool {
        self.waiting.len() + self.queued.len() >= FETCHES_WAITING_MAX
    }
}

impl Pipeline {
    /// Answers a fetch now, or remembers it.
    pub(super) fn fetch(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        (offset, bytes_max): (Offset, usize),
        until: Time,
        seam: &mut impl Seam,
    ) {
        let committed = self.state.committed();
        if self.repair.is_some() {
            Self::refuse(ticket, Refusal::new(ErrorCode::Repairing), shard, seam);
        } else if offset > committed {
            let refusal = Refusal {
                expected: committed.0,
                ..Refusal::new(ErrorCode::OffsetPastEnd)
            };
            Self::refuse(ticket, refusal, shard, seam);
        } else if self.fetches.is_full() {
            Self::refuse(ticket, Refusal::new(ErrorCode::Overloaded), shard, seam);
        } else {
            let fetch = Fetch {
                shard,
                ticket,
                offset,
                bytes_max: bytes_max.min(RECORDS_BYTES_MAX),
                until,
            };
            if offset == committed {
                self.fetches.waiting.push(fetch);
            } else {
                self.fetches.queued.push_back(fetch);
            }
        }
    }

    /// Refuses everybody who waits for records: this pipeline is over.
    pub(super) fn refuse_fetches(&mut self, seam: &mut impl Seam) {
        let reads = core::mem::take(&mut self.fetches.reads);
        let reading = reads.into_iter().filter_map(|(_, read)| match read {
            ReadFor::Fetch(fetch) => Some(fetch),
            ReadFor::Peer(..) | ReadFor::Lend(_) | ReadFor::Scrub => None,
        });
        let waiting = self.fetches.waiting.drain(..);
        for fetch in reading.chain(waiting).chain(self.fetches.queued.drain(..)) {
            let refusal = Refusal::new(ErrorCode::Repairing);
            Self::refuse(fetch.ticket, refusal, fetch.shard, seam);
        }
    }

    /// Serves what can be served by now.
    pub(super) fn fetch_due(&mut self, now: Time, seam: &mut impl Seam) {
        let committed = self.state.committed();
        if self.fetches.seen < committed {
            self.fetches.seen = committed;
            self.fetches.queued.extend(self.fetches.waiting.drain(..));
        }
        let mut at = 0;
        while let Some(&fetch) = self.fetches.waiting.get(at) {
            if fetch.until <= now {
                self.fetches.waiting.swap_remove(at);
                self.answer_fetch(fetch, Bytes::new(), seam);
            } else {
                at += 1;
            }
        }
        while let Some(fetch) = self.fetches.queued.pop_front() {
            if let Some(records) = self.cached(fetch) {
                self.answer_fetch(fetch, records, seam);
            } else if self.fetches.reads.len() < READS_MAX {
                self.read_for_fetch(fetch, seam);
            } else {
                self.fetches.queued.push_front(fetch);
                break;
            }
        }
    }

    fn read_for_fetch(&mut self, fetch: Fetch, seam: &mut impl Seam) {
        let token = self.fetches.open(ReadFor::Fetch(fetch));
        let read = Read {
            token,
            from: From::Offset(fetch.offset),
            through: self.committed_in_log(),
            bytes_max: fetch.bytes_max,
            one_term: false,
        };
        if self.log.read(read, seam).is_err() {
            self.read_void(token, seam);
        }
    }

    /// A read for a consumer came to nothing.
    pub(super) fn unreadable(&self, fetch: Fetch, seam: &mut impl Seam) {
        let refusal = Refusal::new(ErrorCode::RecordUnreadable);
        Self::refuse(fetch.ticket, refusal, fetch.shard, seam);
    }

    /// Committed records from memory, copied: a slow consumer must not hold the memory that the log is written from.
    fn cached(&self, fetch: Fetch) -> Option<Bytes> {
        let mut index = self.tail.find(fetch.offset)?;
        let mut records = Vec::new();
        while (index <= self.state.applied() || canary::on(Canary::UncommittedShown))
            && let Some(record) = self.tail.record(index)
        {
            if !records.is_empty() && records.len() + record.len() > fetch.bytes_max {
                break;
            }
            records.extend_from_slice(record);
            index = index.next();
        }
        Some(Bytes::from(records))
    }

    /// A read for a consumer is done.
    pub(super) fn fetched(&mut self, fetch: Fetch, records: &ReadRecords, seam: &mut impl Seam) {
        self.answer_fetch(fetch, records.bytes.clone(), seam);
    }

    fn answer_fetch(&self, fetch: Fetch, records: Bytes, seam: &mut impl Seam) {
        let answer = Answer::Fetched {
            committed: self.state.committed(),
            start: self.log.start_offset(),
            records,
        };
        Self::reply(fetch.ticket, answer, fetch.shard, seam);
    }
}
