//! What must hold in every world, whatever happens in it: one invariant a file, with its source.
//!
//! Owns: the memory of what happened. Never: changes anything, or draws chance. An invariant that does not hold ends the run by a
//! panic with its name and a sentence; the runner adds when. Called by: the group, at each change.

mod acknowledged;
mod archive;
mod at_rest;
mod cast_out;
mod committed;
mod consumer_order;
mod covered;
mod durable;
mod election;
mod event_ids;
mod exactly_once;
mod from_time;
mod levels;
mod listed;
mod lives;
mod log_matching;
mod members;
mod membership;
mod quorum;
mod slot_offsets;
mod slot_owner;
mod state_machine;
mod wanted;

use std::collections::BTreeMap;

use quorate_client::{Ack, Batch, Filter};
use quorate_raft::Note as RaftNote;
use quorate_replication::log::live_records;
use quorate_replication::pipeline::{Note, Pipeline, View, Weight};
use quorate_replication::seam::{FileId, SnapshotId};
use quorate_wire::audit::AuditReply;
use quorate_wire::client::AckLevel;
use quorate_wire::{
    ChunkId, Epoch, ErrorCode, LogIndex, NodeId, Offset, ProducerId, Record, Sequence, Time,
};

use crate::Disk;
use crate::history::{History, Read};
use crate::producer::Producer;
use acknowledged::Acknowledged;
use archive::Archive;
use at_rest::AtRest;
use cast_out::CastOut;
use committed::Committed;
pub(crate) use consumer_order::ConsumerOrder;
use durable::{Durable, Written};
use election::ElectionSafety;
pub use event_ids::EventIds;
use from_time::FromTime;
use levels::Levels;
use log_matching::LogMatching;
pub use members::{Members, Owners};
use membership::Membership;
use quorum::Quorum;
use state_machine::{StateMachine, StateView};
use wanted::Wanted;

/// Why an invariant does not hold, if it does not.
pub(crate) type Verdict = Result<(), String>;

/// Ends the run if an invariant does not hold.
#[track_caller]
pub(crate) fn hold(invariant: &str, verdict: Verdict) {
    if let Err(why) = verdict {
        panic!("{invariant}: {why}");
    }
}

/// An observer that sees everything and changes nothing.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The voters as the node that had the last turn knew them before it, and as it knows them now.
    quorums: [Quorum; 2],
    election: ElectionSafety,
    cast_out: CastOut,
    matching: LogMatching,
    committed: Committed,
    state: StateMachine,
    durable: Durable,
    archive: Archive,
    acknowledged: Acknowledged,
    levels: Levels,
    history: History,
    wanted: Wanted,
    from_time: FromTime,
    members: Members,
    ids: EventIds,
    /// How each running node stood when it was last looked at.
    views: BTreeMap<NodeId, Watched>,
    /// Checksums of the records that were handed out.
    fetched: BTreeMap<LogIndex, u32>,
    /// Peers may come with disks that are not theirs.
    wiped: bool,
    /// Bytes between peers may change on their way.
    garbled: bool,
    /// What disks had may change or go.
    marred: bool,
    /// How often records became void.
    truncations: u64,
    /// How often a disk was full.
    full: u64,
    /// How often a node that was removed was sent away.
    sent_away: u64,
}

/// A node as it was last seen.
#[derive(Debug, Default)]
struct Watched {
    view: View,
    /// Checksums of records that were not applied then.
    pending: BTreeMap<LogIndex, u32>,
    membership: Membership,
}

impl Oracle {
    /// From now on, a node runs on a wiped disk.
    pub fn expect_wiped(&mut self) {
        self.wiped = true;
    }

    /// From now on, what disks had may change or go.
    pub fn expect_marred(&mut self) {
        self.marred = true;
    }

    /// From now on, bytes between peers may change on their way.
    pub fn expect_garbled(&mut self) {
        self.garbled = true;
    }

    /// How many terms had a leader.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.election.terms()
    }

    /// How often nodes that were removed were sent away when they came.
    #[must_use]
    pub fn sent_away(&self) -> u64 {
        self.sent_away
    }

    /// Whether a node has known, since it began, that it was removed.
    #[must_use]
    pub fn knows_removed(&self, node: NodeId) -> bool {
        self.cast_out.knows(node)
    }

    /// How often records became void, and how often a disk was full.
    #[must_use]
    pub fn accidents(&self) -> (u64, u64) {
        (self.truncations, self.full)
    }

    /// A node's process has begun, with this disk.
    pub fn started(&mut self, node: NodeId, disk: &Disk) {
        self.views.remove(&node);
        self.cast_out.begins(node);
        let mut records = BTreeMap::new();
        let read = live_records(disk, &mut |record| {
            records.insert(record.header().index, Written::from(record.header()));
            self.archive.has(record);
        });
        // What a damaged disk has is the repair's business; it is no evidence until then.
        if read.is_err() {
            self.durable.lies(node);
        }
        self.durable.holds(node, records);
    }

    /// A write of a node's disk is done: what is there now.
    pub fn wrote(&mut self, node: NodeId, file: FileId, bytes: &[u8]) {
        match file {
            FileId::Segment(_) => {
                self.durable.wrote(node, bytes);
                self.archive.wrote(bytes);
            }
            FileId::Snapshot(SnapshotId(upto)) => self.durable.covers(node, LogIndex(upto)),
            FileId::Superblock => {}
        }
    }

    /// Something happened in a node.
    pub fn note(&mut self, node: NodeId, note: &Note) {
        if let Note::Raft(RaftNote::BecameLeader { term }) = note {
            hold("election safety", self.election.leads(node, *term));
        }
        if let Note::Raft(RaftNote::Campaigns { .. }) = note {
            hold("who was removed stands back", self.cast_out.stands(node));
        }
        if matches!(note, Note::CastOut) {
            self.cast_out.told(node);
        }
        if let Note::Raft(RaftNote::Truncated { .. }) = note
            && let Some(watched) = self.views.get_mut(&node)
        {
            // What is there now is looked at anew.
            watched.pending.clear();
            watched.view.last = watched.view.applied;
        }
        self.truncations += u64::from(matches!(note, Note::Raft(RaftNote::Truncated { .. })));
        self.full += u64::from(matches!(note, Note::DiskFull));
        let sends_away = matches!(
            note,
            Note::Refused {
                code: ErrorCode::NotAMember,
                ..
            }
        );
        self.sent_away += u64::from(sends_away);
        let trouble = match note {
            Note::Raft(RaftNote::LostQuorum { .. }) | Note::DiskFull | Note::SnapshotFailed => {
                false
            }
            Note::Raft(RaftNote::WrongDisk { .. }) => !self.wiped,
            // Who was removed hears of it; and before that is committed, that the others go on to what it cannot read.
            Note::Refused {
                code: ErrorCode::NotAMember | ErrorCode::EditionTooOld,
                ..
            }
            | Note::RefusedBy {
                code: Some(ErrorCode::EditionTooOld),
                ..
            }
            | Note::CastOut => false,
            Note::Refused { .. } | Note::RefusedBy { .. } => !self.wiped && !self.garbled,
            Note::BadFrame { .. } | Note::BadRecords { .. } | Note::BadSnapshot { .. } => {
                !self.garbled
            }
            Note::Missing { .. } | Note::GivesUp { .. } | Note::Raft(RaftNote::Unsure) => {
                !self.marred
            }
            Note::Raft(_)
            | Note::PeerUp { .. }
            | Note::PeerDown { .. }
            | Note::Formed
            | Note::RoomMade
            | Note::SnapshotTaken { .. }
            | Note::Receives { .. }
            | Note::Released { .. }
            | Note::Repaired { .. } => note.weight() == Weight::Trouble,
        };
        assert!(!trouble, "no trouble without a cause: node {node}: {note}");
    }

    /// A node has had a turn, and its notes were told.
    pub fn turned(&mut self, node: NodeId, pipeline: &Pipeline) {
        let view = pipeline.view();
        let watched = self.views.entry(node).or_default();
        let before = watched.view;
        let quorum = Quorum::from(pipeline.members());
        let known = watched.membership.quorum.clone();
        self.quorums = [known, quorum.clone()];
        let led = before.leads && view.leads && before.term == view.term;
        let stood = (before.last, view.applied);
        let verdict = watched.membership.learns(quorum, stood, led);
        hold("quorums share a disk", verdict);
        if before == view {
            return;
        }
        let crc = |index| pipeline.record_at(index).map(|(_, crc)| crc);
        let mut index = before.last.max(view.applied.previous());
        while index < view.last {
            index = index.next();
            if let Some((term, crc)) = pipeline.record_at(index) {
                hold("log matching", self.matching.has(node, index, term, crc));
                watched.pending.insert(index, crc);
            }
        }
        if let Some(crc) = crc(view.applied) {
            watched.pending.insert(view.applied, crc);
        }
        let waiting = watched.pending.split_off(&view.applied.next());
        for (index, crc) in std::mem::replace(&mut watched.pending, waiting) {
            let verdict = self.committed.applied(node, view.term, index, crc);
            hold("committed is immutable", verdict);
        }
        watched.view = view;
        if view.leads && (!before.leads || before.term != view.term) {
            let verdict = self.committed.leads(node, view.term, view.last, crc);
            hold("leader completeness", verdict);
        }
        if view.applied > before.applied {
            let (digest, committed) = (view.digest, view.committed);
            let state = StateView { digest, committed };
            let verdict = self.state.stands(node, view.applied, state);
            hold("state machine safety", verdict);
            if view.leads {
                let known = &self.committed;
                let verdict = self
                    .durable
                    .committed(&self.quorums, view.applied, |index| known.crc(index));
                hold("durable before acknowledged", verdict);
            }
        }
    }

    /// A node is asked, now and then, what it knows of the producers, and keeps under names.
    pub fn asked(&mut self, node: NodeId, pipeline: &Pipeline) {
        let (index, known) = (pipeline.view().applied, pipeline.tables_digest());
        hold("state machine safety", self.state.knows(node, index, known));
        self.members.seen(index, pipeline);
    }

    /// A node has answered an audit.
    pub fn audited(&mut self, node: NodeId, reply: &AuditReply) {
        if reply.known != 0 {
            let index = LogIndex(reply.index.get());
            let mark = (reply.digest.get(), reply.header_crc.get());
            hold(
                "state machine safety",
                self.state.audited(node, index, mark),
            );
        }
    }

    /// A node says where a chunk is, and how safe it is there, to who asked for a level.
    pub fn acknowledged(
        &mut self,
        chunk: &ChunkId,
        offset: Offset,
        asked: AckLevel,
        told: AckLevel,
    ) {
        let chunk = (chunk.producer, chunk.epoch, chunk.first);
        let verdict = self.levels.said(chunk, asked, told);
        hold("a level is what it says", verdict);
        match told {
            // It may be lost, and then another chunk be there.
            AckLevel::Accepted => return,
            AckLevel::Quorum => {}
            AckLevel::All => {
                let verdict = self.durable.on_all(&self.quorums, offset);
                hold("durable before acknowledged", verdict);
            }
        }
        hold("acknowledged once", self.acknowledged.said(chunk, offset));
    }

    /// A producer has made a chunk, and begins to send it.
    pub fn made(&mut self, chunk: ChunkId, now: Time) {
        self.history.invoked(chunk, now);
    }

    /// A consumer has got an answer.
    pub fn read(&mut self, read: Read) {
        self.history.read(read);
    }

    /// A consumer has got a batch through a filter; it has seen nothing that is wanted since offset `from`.
    pub fn filtered(&mut self, batch: &Batch, filter: &Filter, from: Offset) {
        self.wanted.read(batch, filter, from);
    }

    /// A read from a log time has begun at an offset, at a node that knew this end and did not wait.
    pub fn began(&mut self, time: u64, at: Offset, committed: Offset) {
        self.from_time.began(time, at, committed);
    }

    /// What members of the consumer group were told, given and promised.
    pub fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// What sources said, and were told.
    pub fn ids(&mut self) -> &mut EventIds {
        &mut self.ids
    }

    /// Whether everything below this offset is done in all slots of the consumer group, as far as it was seen.
    #[must_use]
    pub fn group_is_done(&self, end: Offset) -> bool {
        self.members.is_done(end)
    }

    /// What clients have seen.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// A producer has heard of an acknowledgement.
    pub fn heard(&mut self, producer: ProducerId, epoch: Epoch, ack: &Ack, now: Time) {
        let chunk = (producer, epoch, ack.first);
        let verdict = self.levels.heard(chunk, ack.level);
        hold("a level is what it says", verdict);
        if ack.level == AckLevel::Accepted {
            return;
        }
        hold(
            "acknowledged once",
            self.acknowledged.heard(chunk, ack.offset),
        );
        let chunk = ChunkId {
            producer,
            epoch,
            first: ack.first,
            events: ack.events,
        };
        self.history.answered(&chunk, ack.sent_at, now, ack.offset);
    }

    /// A consumer has got a record as committed.
    pub fn fetched(&mut self, record: &Record<'_>) {
        let (index, crc) = (record.header().index, record.header().header_crc);
        let known = self.committed.crc(index);
        let shown = index <= self.committed.last() && known.is_none_or(|known| known == crc);
        let same = *self.fetched.entry(index).or_insert(crc) == crc;
        if !shown || !same {
            let why = format!("record {index} is handed out, and is not the committed one");
            hold("nothing uncommitted is shown", Err(why));
        }
    }

    /// The world has ended, and the nodes have converged: holds the logs against everything that was promised.
    pub fn check_logs(&mut self, disks: &[(NodeId, &Disk)], producers: &[Producer], now: Time) {
        // The nodes have converged a moment ago, and a new leader may have committed its no-op since.
        let ends = disks.iter().map(|(node, _)| match self.views.get(node) {
            Some(watched) => watched.view.applied.min(watched.view.durable),
            None => LogIndex(0),
        });
        let upto = ends.min().unwrap_or_default();
        let mut first: Option<(NodeId, AtRest)> = None;
        for &(node, disk) in disks {
            let log = match AtRest::read(node, disk, upto, &self.archive) {
                Ok(log) => log,
                Err(why) => return hold("repair", Err(why)),
            };
            match &first {
                None => first = Some((node, log)),
                Some((one, known)) => hold("convergence", known.same(&log, (*one, node))),
            }
        }
        let Some((_, log)) = first else { return };
        for (index, crc) in self.fetched.range(..=upto) {
            let there = log.records.get(index) == Some(crc);
            let lost = || format!("what was handed out at index {index} is not in the log");
            hold(
                "committed is immutable",
                there.then_some(()).ok_or_else(lost),
            );
        }
        let chunks = log.chunks.values().flatten();
        let chunks = chunks.map(|found| (found.offset, found.bytes.as_slice()));
        hold("filtered reads", self.wanted.check(chunks));
        hold("reads from a time", self.from_time.check(&log.times));
        for producer in producers {
            let chunks = log
                .chunks
                .get(&producer.id())
                .map_or(&[][..], Vec::as_slice);
            hold("exactly once", exactly_once::check(chunks, producer));
        }
        let with_ids = log.chunks.get(&ProducerId::NONE);
        let with_ids = with_ids.map_or(&[][..], Vec::as_slice);
        hold("an id is in the log once", self.ids.end(with_ids));
        self.members.end(&log.chunks);
        self.history.read(log.read_at(now));
        hold("linearizable history", self.history.check());
    }
}

impl exactly_once::Memory for Producer {
    fn id(&self) -> ProducerId {
        Self::id(self)
    }

    fn end(&self, epoch: Epoch) -> Sequence {
        Self::end(self, epoch)
    }

    fn made(&self, epoch: Epoch, first: Sequence, bytes: &[u8]) -> bool {
        self.chunk(epoch, first).bytes == bytes
    }

    fn acked(&self) -> &BTreeMap<(Epoch, Sequence), (Offset, u32)> {
        Self::acked(self)
    }
}
