//! Repair: a node whose log has holes asks its peers for what is missing, and takes no part in anything else until it has it. Who
//! belongs to the group may be among what is missing: so whoever is connected is asked, and checksums say whether that helps.
//!
//! Of a hole it is known which record the last missing one is, by its checksum, and so, by the chain, which all the others are.
//! In a first pass the records are fetched and only their checksums kept: they must lead from a record before the hole to the one
//! behind it. In a second pass they are fetched again, held against those checksums, and written. Who leads, who votes, and what
//! is committed does not matter: what the disk had is put back as it was.
//!
//! If nobody who can be reached has them, and another node has let go what is missing, the log begins behind the hole: this node's own
//! snapshot has what was before. If a majority without this node is whole, and none of it has records that lead there, then the log is
//! given up from the hole on: what was committed is on a majority too, and so on one of them, or was let go there; a leader has the rest
//! sent, or a snapshot. Owns: whom to ask for what. Never: believes a peer. Called by: the turn.

use alloc::vec::Vec;

use quorate_raft::Members;
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::peer::{RepairMessage, RepairReplyMessage};
use quorate_wire::{FrameHeader, FrameKind, GroupId, LogIndex, NodeId, Record, Time};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::config::{REPAIR_AGAIN, REPAIR_ANSWER_TIME, REPAIR_SAYS};
use super::{Note, Pipeline, Reopen};
use crate::log::{Hole, Link, LogEvent, Needs};
use crate::seam::Seam;

/// What a node with holes is doing about them.
#[derive(Debug)]
pub(super) struct Repair {
    holes: Vec<Hole>,
    /// The hole at work.
    at: usize,
    filled: usize,
    /// Which way of filling it is being tried.
    attempt: usize,
    search: Search,
    step: Step,
    /// Peers that are whole and have no records that fit into this hole.
    lacking: Vec<NodeId>,
    /// Others have let go all records up to here.
    pub(super) let_go: LogIndex,
    /// Names requests.
    correlation: u64,
    /// When to say that records are missing: not before those who have them had time to connect.
    says: Time,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// An attempt begins.
    Begin,
    /// Nobody could help: not before this moment.
    Pause(Time),
    /// A request is due.
    Ask,
    /// A peer is asked.
    Open(NodeId, Time),
    /// The disk works.
    Disk,
    /// The disk writes the last of a hole.
    LastWrite,
    /// The disk notes that the log is given up, or begins later.
    GivingUp,
}

/// One attempt to find a hole's records.
#[derive(Debug, Default)]
struct Search {
    /// The record before the first one that is asked for.
    from: Link,
    /// The last one that is asked for.
    last: LogIndex,
    /// Checksums of the records that were found, in order.
    crcs: Vec<u32>,
    /// How many of them have been fetched again, in the second pass.
    again: Option<usize>,
    /// The first peer to ask, counted among the others.
    first: usize,
    /// Only this one peer is asked.
    alone: bool,
    /// How many peers were asked for the next record.
    asked: usize,
    /// A peer that is not whole has answered, or one has not answered at all.
    unsure: bool,
}

impl Search {
    fn fetched(&self) -> usize {
        self.again.unwrap_or(self.crcs.len())
    }

    /// The record before the next one to fetch.
    fn before(&self) -> Link {
        let fetched = self.fetched();
        let crc = fetched
            .checked_sub(1)
            .and_then(|last| self.crcs.get(last).copied());
        Link {
            index: self
                .from
                .index
                .plus(u64::try_from(fetched).expect("a count fits")),
            header_crc: crc.unwrap_or(self.from.header_crc),
        }
    }

    /// Takes those of a peer's records that follow, and in the second pass are the same again. Says which bytes they are.
    fn take<'r>(&mut self, mut records: &'r [u8], group: GroupId) -> &'r [u8] {
        let all = records;
        while let Ok((record, rest)) = Record::parse(records) {
            let (header, before) = (record.header(), self.before());
            let follows = header.index == before.index.next()
                && header.index <= self.last
                && header.group == group
                && header.previous == before.header_crc;
            let same = self
                .again
                .is_none_or(|again| self.crcs.get(again) == Some(&header.header_crc));
            if !follows || !same {
                break;
            }
            match &mut self.again {
                Some(again) => *again += 1,
                None => self.crcs.push(header.header_crc),
            }
            records = rest;
        }
        all.get(..all.len() - records.len()).unwrap_or_default()
    }
}

impl Repair {
    pub(super) fn new(holes: Vec<Hole>, now: Time) -> Self {
        Self {
            holes,
            at: 0,
            filled: 0,
            attempt: 0,
            search: Search::default(),
            step: Step::Begin,
            lacking: Vec::new(),
            let_go: LogIndex(0),
            correlation: 0,
            says: now.after(REPAIR_SAYS),
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.step {
            Step::Begin | Step::Ask => Some(Time(0)),
            Step::Pause(until) | Step::Open(_, until) => Some(until),
            Step::Disk | Step::LastWrite | Step::GivingUp => None,
        }
    }

    fn hole(&self) -> Option<&Hole> {
        self.holes.get(self.at)
    }

    /// Whom to ask next; `None` if all have been asked.
    fn next_peer(&self, others: &[NodeId]) -> Option<NodeId> {
        let Search {
            first,
            alone,
            asked,
            ..
        } = self.search;
        let most = if alone { 1 } else { others.len() };
        if asked >= most {
            return None;
        }
        others.get((first + asked) % others.len()).copied()
    }

    /// Plans the next attempt at the current hole: first the records behind the last one before it, from anyone who has them;
    /// then, from each peer alone, also those that would take others' place. `None` if all has been tried.
    fn plan(&self, others: usize) -> Option<Search> {
        let hole = self.hole()?;
        let alone = self.attempt >= others;
        if self.attempt >= 2 * others {
            return None;
        }
        let last = match hole.needs() {
            Needs::Nothing => LogIndex(0),
            Needs::Records(link) => link.index,
            Needs::Unknown(index) => index,
        };
        let (near, far) = (hole.last_before(), hole.first_before());
        let from = if alone { far } else { near };
        Some(Search {
            from,
            last: last.max(from.index.next()),
            first: self.attempt % others,
            alone,
            ..Search::default()
        })
    }

    fn next_hole(&mut self) {
        self.at += 1;
        self.attempt = 0;
        self.lacking.clear();
        self.step = Step::Begin;
    }

    fn fail(&mut self) {
        self.attempt += 1;
        self.step = Step::Begin;
    }

    /// Whether nothing committed is lost if this log is given up: those who are whole and have nothing for this hole are a quorum. A node
    /// that has joined and lost who the others are cannot know that: it waits for somebody to help.
    fn may_give_up(&self, members: &Members, now: Time) -> bool {
        if members.voters.is_empty() {
            return self.says <= now;
        }
        members.is_quorum(|node| self.lacking.contains(&node))
    }

    /// The peer that was asked alone has nothing for this hole.
    fn lacks(&mut self, peer: NodeId) {
        if self.search.alone && !self.search.unsure && !self.lacking.contains(&peer) {
            self.lacking.push(peer);
        }
    }
}

impl Pipeline {
    /// Whom to ask: the members that are known, then whoever else is connected.
    fn others(&self) -> Vec<NodeId> {
        let list = &self.membership.list().entries;
        let members = list.iter().map(|entry| entry.member().0);
        let mut others: Vec<NodeId> = members.filter(|&node| node != self.config.node).collect();
        for (peer, _) in self.peers_up() {
            if !others.contains(&peer) {
                others.push(peer);
            }
        }
        others
    }

    /// Does what is due for the holes of this log.
    pub(super) fn repair_due(&mut self, now: Time, seam: &mut impl Seam) {
        let others = self.others();
        while let Some(repair) = &mut self.repair
            && self.reopen.is_none()
        {
            match repair.step {
                Step::Begin => self.begin_attempt(&others, now, seam),
                Step::Pause(until) if until <= now => repair.step = Step::Begin,
                Step::Ask => self.ask_for_records(&others, now, seam),
                Step::Open(_, until) if until <= now => {
                    repair.search.unsure = true;
                    repair.search.asked += 1;
                    repair.step = Step::Ask;
                }
                Step::Pause(_) | Step::Open(..) | Step::Disk | Step::LastWrite | Step::GivingUp => {
                    return;
                }
            }
        }
    }

    fn begin_attempt(&mut self, others: &[NodeId], now: Time, seam: &mut impl Seam) {
        let Some(repair) = &mut self.repair else {
            return;
        };
        let Some(hole) = repair.hole().cloned() else {
            if repair.filled > 0 {
                self.reopen = Some(Reopen::Repaired {
                    holes: repair.filled,
                });
                return;
            }
            (repair.at, repair.attempt) = (0, 0);
            repair.step = Step::Pause(now.after(REPAIR_AGAIN));
            return;
        };
        if hole.needs() == Needs::Nothing {
            repair.search = Search {
                again: Some(0),
                ..Search::default()
            };
            return self.mend(&hole, seam);
        }
        let spare = (repair.let_go, self.snapshots.newest());
        if let Some(search) = repair.plan(others.len()) {
            repair.search = search;
            repair.step = Step::Ask;
        } else if self.log.begin_behind(&hole, spare, seam) {
            repair.step = Step::GivingUp;
        } else if repair.may_give_up(&self.membership.list().members(), now) {
            repair.step = Step::GivingUp;
            self.notes.push(Note::GivesUp {
                after: hole.last_before().index,
            });
            self.log.give_up(&hole, seam);
        } else {
            if repair.says <= now {
                repair.says = now.after(REPAIR_SAYS);
                self.notes.push(Note::Missing {
                    segment: hole.segment(),
                    position: hole.position(),
                    after: hole.last_before().index,
                });
            }
            repair.next_hole();
        }
    }

    fn ask_for_records(&mut self, others: &[NodeId], now: Time, seam: &mut impl Seam) {
        let Some(repair) = &mut self.repair else {
            return;
        };
        let Some(peer) = repair.next_peer(others) else {
            if repair.search.again.is_some() {
                self.log.mend_abandon();
            }
            return repair.fail();
        };
        let link = self
            .links
            .iter_mut()
            .find(|link| link.up && link.peer == Some(peer));
        let Some(link) = link else {
            repair.search.unsure = true;
            repair.search.asked += 1;
            return;
        };
        repair.correlation += 1;
        let message = RepairMessage {
            first: U64::new(repair.search.before().index.next().0),
            last: U64::new(repair.search.last.0),
            bytes_max: U32::new(u32::try_from(RECORDS_BYTES_MAX).expect("a limit fits")),
            reserved: U32::new(0),
        };
        let body = [message.as_bytes()];
        let (kind, group) = (FrameKind::Repair, self.config.group);
        let header = FrameHeader::seal(kind, repair.correlation, group, &body, 0);
        link.push_head(|head| {
            head.extend_from_slice(&header);
            head.extend_from_slice(message.as_bytes());
        });
        link.flush(now, seam);
        repair.step = Step::Open(peer, now.after(REPAIR_ANSWER_TIME));
    }

    /// A peer has answered.
    pub(super) fn on_repair_reply(
        &mut self,
        peer: NodeId,
        correlation: u64,
        reply: &RepairReplyMessage,
        records: &[u8],
        seam: &mut impl Seam,
    ) {
        let group = self.config.group;
        let others = self.others().len().max(1);
        let is_member = self.membership.list().disk_of(peer).is_some();
        let Some(repair) = &mut self.repair else {
            return;
        };
        let asked = matches!(repair.step, Step::Open(asked, _) if asked == peer);
        if !asked || correlation != repair.correlation {
            return;
        }
        repair.search.unsure |= reply.whole != 1;
        // One that was added lately never had the beginning: that says nothing of retention.
        if is_member {
            repair.let_go = repair.let_go.max(LogIndex(reply.start.get()));
        }
        repair.step = Step::Ask;
        let taken = repair.search.take(records, group);
        if taken.is_empty() {
            repair.lacks(peer);
            repair.search.asked += 1;
            return;
        }
        repair.search.first = (repair.search.first + repair.search.asked) % others;
        repair.search.asked = 0;
        if repair.search.again.is_some() {
            return self.mend_with(peer, taken, seam);
        }
        let found = repair.search.before();
        if found.index < repair.search.last {
            return;
        }
        let Some(hole) = repair.hole().cloned() else {
            return;
        };
        if hole.needs() == Needs::Records(found) {
            repair.search.again = Some(0);
            self.mend(&hole, seam);
        } else {
            repair.lacks(peer);
            repair.fail();
        }
    }

    fn mend(&mut self, hole: &Hole, seam: &mut impl Seam) {
        if let Some(repair) = &mut self.repair {
            repair.step = Step::Disk;
        }
        let mut events = Vec::new();
        self.log.mend(hole, seam, &mut events);
        self.on_mends(events, seam);
    }

    /// Writes what was fetched again, but for what the log has before the hole.
    fn mend_with(&mut self, peer: NodeId, records: &[u8], seam: &mut impl Seam) {
        let Some(repair) = &mut self.repair else {
            return;
        };
        let Some(hole) = repair.hole() else { return };
        let records = Records(records).filter(|record| {
            let header = record.header();
            !hole.has(Link {
                index: header.index,
                header_crc: header.header_crc,
            })
        });
        let mut events = Vec::new();
        let put = self.log.mend_with(records, seam, &mut events);
        if put.is_err() {
            // Something else was there. What this peer has is no help.
            self.log.mend_abandon();
            repair.lacks(peer);
            return repair.fail();
        }
        repair.step = Step::Disk;
        self.on_mends(events, seam);
    }

    fn on_mends(&mut self, events: Vec<LogEvent>, seam: &mut impl Seam) {
        for event in events {
            self.on_mend(&event, seam);
        }
    }

    /// The disk has done something for a hole.
    pub(super) fn on_mend(&mut self, event: &LogEvent, seam: &mut impl Seam) {
        let Some(repair) = &mut self.repair else {
            return;
        };
        match event {
            LogEvent::MendReady if repair.search.fetched() < repair.search.crcs.len() => {
                repair.step = Step::Ask;
            }
            LogEvent::MendReady => {
                repair.step = Step::LastWrite;
                let mut events = Vec::new();
                self.log.mend_end(seam, &mut events);
                self.on_mends(events, seam);
            }
            LogEvent::Mended => {
                self.notes.push(Note::Repaired {
                    records: repair.search.crcs.len(),
                });
                repair.filled += 1;
                repair.next_hole();
            }
            LogEvent::MendFailed => {
                self.log.mend_abandon();
                repair.next_hole();
            }
            LogEvent::GivenUp => self.reopen = Some(Reopen::GaveUp),
            LogEvent::Durable(_)
            | LogEvent::HardStateDurable { .. }
            | LogEvent::MembersDurable
            | LogEvent::RoomMade
            | LogEvent::DiskFull
            | LogEvent::Read { .. }
            | LogEvent::Damaged(_)
            | LogEvent::Released { .. }
            | LogEvent::Snapshot(_)
            | LogEvent::ReadVoid { .. } => unreachable!("a hole is none of these' matter"),
        }
    }
}

/// Whole records side by side, checked before.
struct Records<'r>(&'r [u8]);

impl<'r> Iterator for Records<'r> {
    type Item = Record<'r>;

    fn next(&mut self) -> Option<Record<'r>> {
        if self.0.is_empty() {
            return None;
        }
        let (record, rest) = Record::frame(self.0).expect("the records were checked");
        self.0 = rest;
        Some(record)
    }
}
