//! A node's log on its disk, driven step by step, and a model of what must be found after a crash.

use std::sync::Arc;

use quorate_raft::{HardState, Mark};
use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
use quorate_replication::log::{
    Fatal, From, GroupCommit, Identity, Log, LogConfig, LogEvent, Place, Read, ReadError,
    ReadRecords, Recovery, RecoveryError, Replay, Superblock, format, recover,
};
use quorate_replication::seam::Storage;
use quorate_replication::snapshot::SnapshotError;
use quorate_replication::state::{Applied, State};
use quorate_sim::Disk;
use quorate_wire::{ClusterName, DiskId, GroupId, LogIndex, NodeId, Record, Term, Time};

use crate::work::{Body, Chance, Made, make};

pub(crate) const SEGMENT_BYTES: u64 = 96 << 10;

pub(crate) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: SEGMENT_BYTES,
        segments_ahead: 1,
        segments_stock: 0,
        stock_bytes: 1 << 20,
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        cluster: ClusterName::new("flights").expect("it is a name"),
        node: NodeId(2),
        group: GroupId(0),
        disk: DiskId(*b"0123456789abcdef"),
    }
}

pub(crate) fn members() -> Vec<(NodeId, DiskId)> {
    (1..=3)
        .map(|node| {
            (
                NodeId(node),
                DiskId([u8::try_from(node).expect("small"); 16]),
            )
        })
        .collect()
}

/// What recovery told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What a snapshot had.
    pub(crate) base: Applied,
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) commit: LogIndex,
}

impl Told {
    fn last(&self) -> LogIndex {
        self.base.position.index.plus(self.records.len() as u64)
    }
}

impl Replay for Told {
    fn begin(&mut self, snapshot: &[u8], of: &Identity) -> Result<Applied, SnapshotError> {
        let state = State::load(snapshot, of.cluster, of.group)?;
        self.base = *state.covers();
        self.commit = self.base.position.index;
        Ok(self.base)
    }

    fn append(&mut self, record: &Record<'_>) {
        let next = self.last().next();
        assert_eq!(record.header().index, next, "records come in order");
        self.records.push(record.bytes().to_vec());
    }

    fn truncate(&mut self, first: LogIndex) {
        assert!(first > self.commit, "a committed record is never void");
        assert!(first <= self.last(), "void records were there");
        let kept = first.previous().0 - self.base.position.index.0;
        self.records.truncate(usize::try_from(kept).expect("small"));
    }

    fn commit(&mut self, upto: LogIndex) {
        assert!(upto > self.commit, "commit is told when it rises");
        assert!(upto <= self.last(), "what is committed is there");
        self.commit = upto;
    }
}

/// Opens a whole log; damage is an error.
pub(crate) fn open(disk: &Disk) -> Result<(Recovery, Told), RecoveryError> {
    let (recovery, told) = open_damaged(disk)?;
    match recovery.damaged {
        None => Ok((recovery, told)),
        Some(damaged) => Err(damaged.into()),
    }
}

/// Opens a log that may be damaged.
pub(crate) fn open_damaged(disk: &Disk) -> Result<(Recovery, Told), RecoveryError> {
    let mut told = Told::default();
    let recovery = recover(disk, config(), &mut told)?;
    Ok((recovery, told))
}

/// Term and vote as a hard state has them.
pub(crate) type Ballot = (Term, Option<NodeId>);

/// A log, its disk, and what is known to be on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    pub(crate) log: Log,
    pub(crate) chance: Chance,
    pub(crate) now: Time,
    /// All records that are not void, the open write's among them.
    pub(crate) live: Vec<Made>,
    /// What was not void when the last write became durable.
    pub(crate) durable: Vec<Made>,
    /// The records of the open write, in their order.
    pub(crate) writing: Vec<Made>,
    /// Hard states: the last one reported durable, and those since.
    pub(crate) ballots: Vec<(u64, Ballot)>,
    version: u64,
    /// Whether the ballots that are cast are those of a node that is unsure.
    pub(crate) unsure: bool,
    truncations: u64,
    pub(crate) commit: LogIndex,
    pub(crate) events: Vec<LogEvent>,
    /// A read found damage.
    pub(crate) damaged: Option<ReadError>,
    pub(crate) has_members: bool,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        let mut disk = Disk::new();
        format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
        let mut machine = Self::on(disk, seed);
        machine.settle();
        machine
    }

    /// Recovers what is on a disk, and believes it.
    pub(crate) fn on(disk: Disk, seed: u64) -> Self {
        Self::configured(disk, seed, config())
    }

    /// The same, with another configuration.
    pub(crate) fn configured(disk: Disk, seed: u64, config: LogConfig) -> Self {
        let mut told = Told::default();
        let recovery = recover(&disk, config, &mut told).expect("the disk is sound");
        Self::of(disk, seed, recovery, told)
    }

    /// Believes what was recovered.
    pub(crate) fn of(disk: Disk, seed: u64, recovery: Recovery, told: Told) -> Self {
        assert_eq!(recovery.damaged, None);
        let live: Vec<Made> = told
            .records
            .into_iter()
            .map(|bytes| Made {
                header: quorate_wire::RecordHeader::parse(&bytes).expect("it is a record"),
                bytes,
            })
            .collect();
        if told.base.position.index < recovery.raft.last {
            assert_eq!(recovery.last, live.last().map(|last| last.header));
        }
        Self {
            disk,
            log: recovery.log,
            chance: Chance::new(seed),
            now: Time(0),
            durable: live.clone(),
            live,
            writing: Vec::new(),
            ballots: vec![(0, (recovery.raft.term, recovery.raft.vote))],
            version: 0,
            unsure: false,
            truncations: 0,
            commit: recovery.raft.commit,
            events: Vec::new(),
            damaged: None,
            has_members: !recovery.superblock.members.is_empty(),
        }
    }

    /// Begins a group commit: the records from `first` on become void, and these take their place.
    pub(crate) fn begin(&mut self, parts: &[(Option<u64>, u64, Body)]) {
        let mut group = Vec::new();
        for &(first, term, body) in parts {
            let mut void = None;
            if let Some(first) = first {
                let first = usize::try_from(first - 1).expect("small");
                void = self.live.get(first).map(|made| made.header.header_crc);
                self.live.truncate(first);
                self.truncations += 1;
            }
            let mut made = make(term, body, self.live.last(), &mut self.chance);
            if Some(made.header.header_crc) == void {
                // What takes a record's place is another one.
                let one_event = Body::Events {
                    count: 1,
                    payload: 8,
                };
                made = make(term, one_event, self.live.last(), &mut self.chance);
            }
            self.live.push(made.clone());
            group.push(made);
        }
        self.hand_in(&group);
    }

    /// Follows a leader: has its log, from where it differs from the own one.
    pub(crate) fn follow(&mut self, leader: &[Made]) {
        let same = self.live.iter().zip(leader);
        let same = same.take_while(|(own, its)| own == its).count();
        if same == leader.len() {
            return;
        }
        if same < self.live.len() {
            self.live.truncate(same);
            self.truncations += 1;
        }
        self.live.extend_from_slice(&leader[same..]);
        self.hand_in(&leader[same..]);
        self.settle();
    }

    fn hand_in(&mut self, group: &[Made]) {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for made in group {
            places.push(Place {
                index: made.header.index,
                base_offset: made.header.base_offset,
                at: bytes.len(),
                bytes: made.bytes.len(),
            });
            bytes.extend_from_slice(&made.bytes);
        }
        self.writing.extend_from_slice(group);
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        let blocks = bytes.len().next_multiple_of(BLOCK_BYTES);
        while !self.log.fits(blocks) {
            self.log.tend(self.now, &mut self.disk);
            assert!(self.disk.perform(0), "room is being made");
            self.pump();
        }
        let mark = self.mark();
        let commit = GroupCommit {
            bytes: Slice::new(Arc::new(buffer), 0..blocks),
            records: &places,
            mark,
            commit: self.commit,
        };
        self.log.write(commit, &mut self.disk);
        self.log.tend(self.now, &mut self.disk);
    }

    fn mark(&self) -> Mark {
        Mark {
            truncations: self.truncations,
            last: LogIndex(self.live.len() as u64),
        }
    }

    pub(crate) fn write(&mut self, parts: &[(Option<u64>, u64, Body)]) {
        self.begin(parts);
        self.settle();
        assert!(!self.log.writing(), "the write is over");
    }

    pub(crate) fn vote(&mut self, term: u64, vote: Option<u32>) {
        self.version += 1;
        let (term, vote) = (Term(term), vote.map(NodeId));
        self.ballots.push((self.version, (term, vote)));
        let state = HardState {
            version: self.version,
            term,
            vote,
            unsure: self.unsure,
        };
        self.log.store_hard_state(state, &mut self.disk);
    }

    pub(crate) fn commit(&mut self, upto: u64) {
        self.commit = LogIndex(upto);
        self.log.committed(LogIndex(upto));
    }

    /// Hands the log what the disk has done.
    pub(crate) fn pump(&mut self) {
        self.try_pump().expect("the disk does what it is asked");
    }

    pub(crate) fn try_pump(&mut self) -> Result<(), Fatal> {
        let mut done = Vec::new();
        self.disk.completed(&mut done);
        let mut events = Vec::new();
        for done in done {
            self.log.completed(done, &mut self.disk, &mut events)?;
        }
        for event in events {
            self.learn(&event);
            self.events.push(event);
        }
        Ok(())
    }

    fn learn(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Durable(mark) => {
                assert_eq!(*mark, self.mark(), "the mark of the open write");
                self.durable.clone_from(&self.live);
                self.writing.clear();
            }
            LogEvent::HardStateDurable { version } => {
                let at = self.ballots.iter().position(|ballot| ballot.0 == *version);
                drop(self.ballots.drain(..at.expect("a version that was stored")));
            }
            LogEvent::MembersDurable => self.has_members = true,
            LogEvent::Damaged(error) => self.damaged = Some(*error),
            LogEvent::RoomMade
            | LogEvent::DiskFull
            | LogEvent::MendReady
            | LogEvent::Mended
            | LogEvent::MendFailed
            | LogEvent::GivenUp
            | LogEvent::Released { .. }
            | LogEvent::Snapshot(_)
            | LogEvent::Read { .. }
            | LogEvent::ReadVoid { .. } => {}
        }
    }

    /// Until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        loop {
            self.log.tend(self.now, &mut self.disk);
            if self.disk.waiting() == 0 {
                return;
            }
            self.disk.perform_all();
            self.pump();
        }
    }

    /// Reads, and waits for the answer. `None`: there is no such record.
    pub(crate) fn read(
        &mut self,
        from: From,
        through: u64,
        bytes_max: usize,
        one_term: bool,
    ) -> Option<Result<ReadRecords, ReadError>> {
        let read = Read {
            token: 7,
            from,
            through: LogIndex(through),
            bytes_max,
            one_term,
        };
        self.log.read(read, &mut self.disk).ok()?;
        self.events.clear();
        self.settle();
        match self.events.pop() {
            Some(LogEvent::Read { token: 7, result }) => Some(result),
            Some(LogEvent::ReadVoid { token: 7 }) => None,
            other => panic!("a read is answered, not {other:?}"),
        }
    }

    /// What the log may be after a crash now: with none, some or all of the open write's records, in their order.
    pub(crate) fn possible(&self) -> Vec<Vec<Made>> {
        let mut log = self.durable.clone();
        let mut all = vec![log.clone()];
        for made in &self.writing {
            log.truncate(usize::try_from(made.header.index.0 - 1).expect("small"));
            log.push(made.clone());
            all.push(log.clone());
        }
        all
    }

    /// What is on a crashed copy of the disk is what may be there: nothing lost, nothing invented. Says which of the possible
    /// logs it is, and whether a tail was cut.
    pub(crate) fn check(&self, crashed: &Disk, what: &str) -> (usize, bool) {
        let (recovery, told) =
            open(crashed).unwrap_or_else(|error| panic!("{what}: recovery fails: {error}"));
        let possible = self.possible();
        let at = possible.iter().rposition(|log| {
            log.len() == told.records.len()
                && log
                    .iter()
                    .zip(&told.records)
                    .all(|(made, found)| made.bytes == *found)
        });
        let Some(at) = at else {
            panic!(
                "{what}: {} records are found, {} are durable, {} are being written; cut: {:?}",
                told.records.len(),
                self.durable.len(),
                self.writing.len(),
                recovery.cut
            );
        };
        self.check_raft(&recovery, &told, &possible[at], what);
        (at, recovery.cut.is_some())
    }

    fn check_raft(&self, recovery: &Recovery, told: &Told, live: &[Made], what: &str) {
        let raft = &recovery.raft;
        assert_eq!(raft.last.0, live.len() as u64, "{what}");
        assert_eq!(raft.commit, told.commit, "{what}");
        assert!(raft.commit <= self.commit, "{what}: commit is invented");
        assert_eq!(recovery.last, live.last().map(|made| made.header), "{what}");
        let mut terms: Vec<(Term, LogIndex)> = Vec::new();
        for made in live {
            if terms.last().is_none_or(|run| run.0 != made.header.term) {
                terms.push((made.header.term, made.header.index));
            }
        }
        assert_eq!(raft.terms, terms, "{what}");
        let last_term = live.last().map_or(Term(0), |made| made.header.term);
        let known = self.ballots.iter().any(|&(_, (term, vote))| {
            raft.term == term.max(last_term) && raft.vote == vote.filter(|_| term >= last_term)
        });
        assert!(
            known,
            "{what}: term {} and vote {:?} are none of {:?}",
            raft.term, raft.vote, self.ballots
        );
        if self.has_members {
            assert_eq!(recovery.superblock.members, members(), "{what}");
        }
    }
}
