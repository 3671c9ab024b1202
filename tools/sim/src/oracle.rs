//! What must hold in every world, whatever happens in it.

use std::collections::BTreeMap;

use quorate_client::Ack;
use quorate_raft::Note as RaftNote;
use quorate_replication::log::live_records;
use quorate_replication::pipeline::{Note, Weight};
use quorate_wire::client::StatusReply;
use quorate_wire::{ChunkId, Epoch, LogIndex, NodeId, Offset, ProducerId, Record, Sequence, Term};

use crate::Disk;
use crate::producer::Producer;

/// Both checksums of a record: what it is.
type Print = (u32, u32);

/// An observer that sees everything and changes nothing.
#[derive(Debug, Default)]
pub struct Oracle {
    leaders: BTreeMap<Term, NodeId>,
    /// Digest and committed offset at each commit index that a node has told of.
    digests: BTreeMap<LogIndex, (u64, Offset, NodeId)>,
    /// What has been handed out as committed.
    fetched: BTreeMap<LogIndex, Print>,
    /// The offset of each chunk that a node has acknowledged.
    acknowledged: BTreeMap<(ProducerId, Epoch, Sequence), Offset>,
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
        self.leaders.len()
    }

    /// How often records became void, and how often a disk was full.
    #[must_use]
    pub fn accidents(&self) -> (u64, u64) {
        (self.truncations, self.full)
    }

    /// Something happened in a node.
    pub fn note(&mut self, node: NodeId, note: &Note) {
        if let Note::Raft(RaftNote::BecameLeader { term }) = note {
            // Raft §5.2: at most one leader in a term.
            let first = *self.leaders.entry(*term).or_insert(node);
            assert_eq!(first, node, "term {term} has two leaders");
        }
        self.truncations += u64::from(matches!(note, Note::Raft(RaftNote::Truncated { .. })));
        self.full += u64::from(matches!(note, Note::DiskFull));
        let trouble = match note {
            Note::Raft(RaftNote::LostQuorum { .. }) | Note::DiskFull => false,
            Note::Raft(RaftNote::WrongDisk { .. }) => !self.wiped,
            Note::Refused { .. } | Note::RefusedBy { .. } => !self.wiped && !self.garbled,
            Note::BadFrame { .. } | Note::BadRecords { .. } => !self.garbled,
            Note::Missing { .. } | Note::GivesUp { .. } | Note::Raft(RaftNote::Unsure) => {
                !self.marred
            }
            Note::Raft(_)
            | Note::PeerUp { .. }
            | Note::PeerDown { .. }
            | Note::Formed
            | Note::RoomMade
            | Note::Repaired { .. } => note.weight() == Weight::Trouble,
        };
        assert!(!trouble, "node {node}: {note}");
    }

    /// A node has told how it is.
    pub fn status(&mut self, status: &StatusReply) {
        let index = LogIndex(status.commit_index.get());
        let node = NodeId(status.node.get());
        let (digest, committed) = (status.digest.get(), Offset(status.committed.get()));
        let known = self
            .digests
            .entry(index)
            .or_insert((digest, committed, node));
        assert_eq!(
            (known.0, known.1),
            (digest, committed),
            "nodes {} and {node} differ at index {index}",
            known.2
        );
    }

    /// A node says that a chunk is on a majority of disks.
    pub fn acknowledged(&mut self, node: NodeId, chunk: &ChunkId, offset: Offset) {
        let place = (chunk.producer, chunk.epoch, chunk.first);
        let known = self.acknowledged.entry(place).or_insert(offset);
        assert_eq!(
            *known, offset,
            "acknowledged once: node {node} says another offset for {chunk:?}"
        );
    }

    /// A producer has heard of an acknowledgement.
    pub fn heard(&mut self, producer: ProducerId, epoch: Epoch, ack: &Ack) {
        let said = self.acknowledged.get(&(producer, epoch, ack.first));
        assert_eq!(
            said,
            Some(&ack.offset),
            "acknowledged once: producer {producer} heard what no node said"
        );
    }

    /// A consumer has got a record as committed.
    pub fn fetched(&mut self, record: &Record<'_>) {
        let header = record.header();
        let print = (header.header_crc, header.body_crc);
        let known = self.fetched.entry(header.index).or_insert(print);
        assert_eq!(
            *known, print,
            "committed is immutable: two records were handed out at index {}",
            header.index
        );
    }

    /// The world has ended, and the nodes have converged: holds the logs against everything that was promised.
    pub fn check_logs(&self, disks: &[(NodeId, &Disk)], producers: &[Producer]) {
        let mut logs = disks.iter().map(|&(node, disk)| (node, Log::read(disk)));
        let (first, log) = logs.next().expect("a cluster has nodes");
        for (node, other) in logs {
            let differs = log.bytes.iter().zip(&other.bytes).position(|(a, b)| a != b);
            assert!(
                differs.is_none() && log.bytes.len() == other.bytes.len(),
                "the logs of nodes {first} and {node} differ: {} and {} bytes, first at {differs:?}",
                log.bytes.len(),
                other.bytes.len()
            );
        }
        for (index, print) in &self.fetched {
            assert_eq!(
                log.prints.get(index),
                Some(print),
                "what was handed out at index {index} is not in the log"
            );
        }
        for producer in producers {
            log.check(producer);
        }
    }
}

/// A log at rest.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    prints: BTreeMap<LogIndex, Print>,
    /// The chunks of each producer, in the log's order.
    chunks: BTreeMap<ProducerId, Vec<(ChunkId, Offset, Vec<u8>)>>,
}

impl Log {
    fn read(disk: &Disk) -> Self {
        let mut log = Self::default();
        let (mut index, mut offset, mut time, mut crc) = (LogIndex(0), Offset(0), 0, 0);
        live_records(disk, &mut |record| {
            let header = record.header();
            assert_eq!(header.index, index.next(), "indexes have no gap");
            assert_eq!(header.base_offset, offset, "offsets have no gap");
            assert_eq!(header.previous, crc, "the chain has no break");
            assert!(header.log_time >= time, "log time never falls");
            (index, offset) = (header.index, header.next_offset());
            (time, crc) = (header.log_time, header.header_crc);
            log.prints
                .insert(header.index, (header.header_crc, header.body_crc));
            log.bytes.extend_from_slice(record.bytes());
            for (offset, chunk) in record.chunks() {
                let chunks = log.chunks.entry(chunk.id().producer).or_default();
                chunks.push((chunk.id(), offset, chunk.bytes().to_vec()));
            }
        })
        .expect("the log is sound");
        log
    }

    /// Every acknowledged chunk is there once, where it was said to be; the others at most once; all in order.
    fn check(&self, producer: &Producer) {
        let id = producer.id();
        let chunks = self.chunks.get(&id).map_or(&[][..], Vec::as_slice);
        let (mut epoch, mut next) = (Epoch(0), Sequence(0));
        for (chunk, _, bytes) in chunks {
            if chunk.epoch > epoch {
                (epoch, next) = (chunk.epoch, Sequence(0));
            }
            assert_eq!(
                (chunk.epoch, chunk.first),
                (epoch, next),
                "producer {id}: no gap, nothing twice"
            );
            assert!(
                chunk.next() <= producer.end(epoch),
                "producer {id} has made what is in the log"
            );
            assert_eq!(
                &producer.chunk(epoch, next).bytes,
                bytes,
                "producer {id}: the chunk at sequence {next} is as it was sent"
            );
            next = chunk.next();
        }
        for (&(epoch, first), &(offset, events)) in producer.acked() {
            let at =
                chunks.partition_point(|(chunk, _, _)| (chunk.epoch, chunk.first) < (epoch, first));
            let found = chunks
                .get(at)
                .map(|(chunk, offset, _)| (chunk.epoch, chunk.first, *offset, chunk.events));
            assert_eq!(
                found,
                Some((epoch, first, offset, events)),
                "producer {id}: an acknowledged chunk is where it was said to be"
            );
        }
    }
}
