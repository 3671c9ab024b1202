//! Reading back: what consumers fetch, from memory or through the log, committed records only.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;
use quorate_raft::Want;
use quorate_wire::canary::{self, Canary};
use quorate_wire::client::{Consistency, ReadFrom};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ErrorCode, LogIndex, NodeId, Offset, RecordHeader, Term, Time};

use super::Pipeline;
use super::ahead::AheadReads;
use super::config::{FETCHES_WAITING_MAX, READS_MAX};
use super::fresh::{Reader, Wanted};
use super::lend::Lend;
use crate::lane::{Answer, FetchAsk, Fetched, Refusal, ShardId, Ticket};
use crate::log::{From, Read, ReadRecords};
use crate::seam::Seam;

/// A consumer's request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) shard: ShardId,
    pub(super) ticket: Ticket,
    pub(super) from: ReadFrom,
    /// It waits until all before this offset is committed.
    at_least: Offset,
    pub(super) bytes_max: usize,
    until: Time,
}

/// What an answer is made of.
#[derive(Debug)]
struct Found {
    /// Offsets of the records' first event and of the one after their last.
    span: Range<Offset>,
    records: Bytes,
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
    /// The consumer that was just sent what is before this offset, if it asks for no less than so many bytes.
    Ahead(Offset, usize),
    /// Nobody: whether they can be read is the question.
    Scrub,
}

/// All fetches and reads that are open.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    last_token: u64,
    pub(super) reads: Vec<(u64, ReadFor)>,
    /// At the end of the log, waiting for a record.
    waiting: Vec<Fetch>,
    /// Waiting for a read to become free.
    queued: VecDeque<Fetch>,
    /// What was read ahead.
    pub(super) ahead: AheadReads,
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

    fn len(&self) -> usize {
        self.waiting.len() + self.queued.len()
    }
}

impl Pipeline {
    /// Answers a fetch now, or remembers it.
    pub(super) fn fetch(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        ask: &FetchAsk,
        now: Time,
        seam: &mut impl Seam,
    ) {
        let fetch = Fetch {
            shard,
            ticket,
            from: ask.from,
            at_least: match ask.consistency {
                Consistency::Any | Consistency::Linearizable => Offset(0),
                Consistency::AtLeast(offset) => offset,
            },
            bytes_max: ask.bytes_max.min(RECORDS_BYTES_MAX),
            until: now.after(ask.wait),
        };
        if self.repair.is_some() {
            Self::refuse_fetch(fetch, ErrorCode::Repairing, seam);
        } else if self.raft.is_none() || self.membership.list().entries.is_empty() {
            // Who has joined and not heard of its group yet would show an empty log, for ever if its disk is not the one they know.
            Self::refuse_fetch(fetch, ErrorCode::Forming, seam);
        } else if self.fetches.len() + self.fresh.len() >= FETCHES_WAITING_MAX {
            Self::refuse_fetch(fetch, ErrorCode::Overloaded, seam);
        } else if ask.consistency == Consistency::Linearizable {
            self.fresh.push(Reader::Here(Wanted::Fetch(fetch)));
        } else {
            self.place(fetch, seam);
        }
    }

    pub(super) fn refuse_fetch(fetch: Fetch, code: ErrorCode, seam: &mut impl Seam) {
        Self::refuse(fetch.ticket, Refusal::new(code), fetch.shard, seam);
    }

    /// Has a fetch wait for what it lacks: a commit, or its turn. It is refused if it asks for what is not there.
    pub(super) fn place(&mut self, fetch: Fetch, seam: &mut impl Seam) {
        let range = self.readable();
        let from = match fetch.from {
            _ if fetch.at_least > range.end => return self.fetches.waiting.push(fetch),
            ReadFrom::Offset(offset) => offset,
            // Where nothing is that can be read, nothing is early enough: the first record in memory is not committed.
            ReadFrom::Time(_) if range.is_empty() => range.end,
            ReadFrom::Time(time) if time > self.state.applied_log_time() => range.end,
            ReadFrom::Time(_) => return self.fetches.queued.push_back(fetch),
            ReadFrom::Tail => range.end,
            ReadFrom::Start => range.start,
        };
        if let Err(refusal) = hold_against(from, &range) {
            return Self::refuse(fetch.ticket, refusal, fetch.shard, seam);
        }
        let fetch = Fetch {
            from: ReadFrom::Offset(from),
            ..fetch
        };
        if from == range.end {
            self.fetches.waiting.push(fetch);
        } else {
            self.fetches.queued.push_back(fetch);
        }
    }

    /// The offsets that can be read; at the end, there is something to wait for.
    pub(super) fn readable(&self) -> Range<Offset> {
        self.log.start_offset()..self.state.committed()
    }

    /// Refuses everybody who waits for records: this pipeline is over.
    pub(super) fn refuse_fetches(&mut self, seam: &mut impl Seam) {
        let reads = core::mem::take(&mut self.fetches.reads);
        let reading = reads.into_iter().filter_map(|(_, read)| match read {
            ReadFor::Fetch(fetch) => Some(fetch),
            ReadFor::Peer(..) | ReadFor::Lend(_) | ReadFor::Ahead(..) | ReadFor::Scrub => None,
        });
        let waiting = self.fetches.waiting.drain(..);
        for fetch in reading.chain(waiting).chain(self.fetches.queued.drain(..)) {
            Self::refuse_fetch(fetch, ErrorCode::Repairing, seam);
        }
    }

    /// Serves what can be served by now.
    pub(super) fn fetch_due(&mut self, now: Time, seam: &mut impl Seam) {
        let committed = self.state.committed();
        if self.fetches.seen < committed {
            self.fetches.seen = committed;
            for fetch in core::mem::take(&mut self.fetches.waiting) {
                self.place(fetch, seam);
            }
        }
        let mut at = 0;
        while let Some(&fetch) = self.fetches.waiting.get(at) {
            if fetch.until <= now {
                self.fetches.waiting.swap_remove(at);
                self.waited_enough(fetch, seam);
            } else {
                at += 1;
            }
        }
        while let Some(fetch) = self.fetches.queued.pop_front() {
            if let Some(first) = self.find_cached(fetch.from) {
                let found = self.cached(fetch, first);
                self.answer_fetch(fetch, found, seam);
            } else if let Some(records) = self.fetches.take_ahead(&fetch) {
                self.counts.read_ahead += 1;
                self.fetched(fetch, &records, seam);
            } else if self.fetches.join_ahead(fetch) {
                self.counts.read_ahead += 1;
            } else if self.fetches.reads.len() < READS_MAX {
                self.read_for_fetch(fetch, seam);
            } else {
                self.fetches.queued.push_front(fetch);
                break;
            }
        }
    }

    /// What a fetch waited for has not come.
    fn waited_enough(&self, fetch: Fetch, seam: &mut impl Seam) {
        let committed = self.state.committed();
        if fetch.at_least > committed {
            let refusal = Refusal {
                expected: committed.0,
                ..Refusal::new(ErrorCode::OffsetNotReached)
            };
            Self::refuse(fetch.ticket, refusal, fetch.shard, seam);
        } else {
            let nothing = Found {
                span: committed..committed,
                records: Bytes::new(),
            };
            self.answer_fetch(fetch, nothing, seam);
        }
    }

    fn read_for_fetch(&mut self, fetch: Fetch, seam: &mut impl Seam) {
        let token = self.fetches.open(ReadFor::Fetch(fetch));
        let read = Read {
            token,
            from: match fetch.from {
                ReadFrom::Offset(offset) => From::Offset(offset),
                ReadFrom::Time(time) => From::Time(time),
                ReadFrom::Tail | ReadFrom::Start => unreachable!("they were given an offset"),
            },
            through: self.committed_in_log(),
            bytes_max: fetch.bytes_max,
            one_term: false,
        };
        if self.log.read(read, seam).is_err() {
            self.read_void(token, seam);
        }
    }

    /// A read for a consumer came to nothing.
    pub(super) fn unreadable(&mut self, fetch: Fetch, seam: &mut impl Seam) {
        // Where the log, which is whole, has nothing late enough, the first that is committed and late enough is in memory.
        if self.reopen.is_none()
            && let ReadFrom::Time(time) = fetch.from
            && let Some((first, _)) = self.tail.find_first(|header| header.log_time >= time)
            && first <= self.state.applied()
        {
            let found = self.cached(fetch, first);
            return self.answer_fetch(fetch, found, seam);
        }
        let refusal = Refusal::new(ErrorCode::RecordUnreadable);
        Self::refuse(fetch.ticket, refusal, fetch.shard, seam);
    }

    /// The first record of an answer, if it is in memory.
    pub(super) fn find_cached(&self, from: ReadFrom) -> Option<LogIndex> {
        match from {
            ReadFrom::Offset(offset) => self.tail.find(offset),
            ReadFrom::Time(time) => self.tail.find_time(time),
            ReadFrom::Tail | ReadFrom::Start => unreachable!("they were given an offset"),
        }
    }

    /// Committed records from memory, copied: a slow consumer must not hold the memory that the log is written from.
    fn cached(&self, fetch: Fetch, first: LogIndex) -> Found {
        let mut records = Vec::new();
        let mut span: Option<Range<Offset>> = None;
        for index in first.0.. {
            let index = LogIndex(index);
            let shown = index <= self.state.applied() || canary::on(Canary::UncommittedShown);
            let Some(record) = self.tail.record(index).filter(|_| shown) else {
                break;
            };
            if !records.is_empty() && records.len() + record.len() > fetch.bytes_max {
                break;
            }
            let header = RecordHeader::parse(record).expect("the cache holds sound records");
            span.get_or_insert(header.base_offset..header.base_offset)
                .end = header.next_offset();
            records.extend_from_slice(record);
        }
        Found {
            span: span.expect("the first record is committed and in memory"),
            records: Bytes::from(records),
        }
    }

    /// A read for a consumer is done.
    pub(super) fn fetched(&mut self, fetch: Fetch, records: &ReadRecords, seam: &mut impl Seam) {
        let found = Found {
            span: records.base_offset..records.next_offset,
            records: records.bytes.clone(),
        };
        self.answer_fetch(fetch, found, seam);
        self.read_ahead(fetch.bytes_max, records, seam);
    }

    fn answer_fetch(&self, fetch: Fetch, found: Found, seam: &mut impl Seam) {
        let begin = match fetch.from {
            ReadFrom::Offset(offset) => offset,
            ReadFrom::Time(_) | ReadFrom::Tail | ReadFrom::Start => found.span.start,
        };
        let answer = Answer::Fetched(Fetched {
            committed: self.state.committed(),
            start: self.log.start_offset(),
            begin,
            next: found.span.end.max(begin),
            records: found.records,
        });
        Self::reply(fetch.ticket, answer, fetch.shard, seam);
    }
}

/// Why no read begins at an offset, if so.
fn hold_against(offset: Offset, range: &Range<Offset>) -> Result<(), Refusal> {
    let (code, expected, limit) = if offset > range.end {
        (ErrorCode::OffsetPastEnd, range.end, range.start)
    } else if offset < range.start {
        (ErrorCode::OffsetBeforeStart, range.start, range.end)
    } else {
        return Ok(());
    };
    Err(Refusal {
        expected: expected.0,
        limit: limit.0,
        ..Refusal::new(code)
    })
}

#[cfg(test)]
mod tests {
    use quorate_wire::{ErrorCode, Offset};

    use super::hold_against;

    #[test]
    fn an_offset_outside_is_refused_with_both_ends() {
        let range = Offset(10)..Offset(20);
        for offset in [10, 15, 20] {
            assert_eq!(hold_against(Offset(offset), &range), Ok(()));
        }
        for (offset, code, expected, limit) in [
            (9, ErrorCode::OffsetBeforeStart, 10, 20),
            (21, ErrorCode::OffsetPastEnd, 20, 10),
        ] {
            let refusal = hold_against(Offset(offset), &range).expect_err("it is outside");
            let said = (refusal.code, refusal.expected, refusal.limit);
            assert_eq!(said, (code, expected, limit));
        }
    }
}
