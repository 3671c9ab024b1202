//! Each record of each node, byte by byte.
//!
//! Nodes are read side by side, a batch each, so that what is held is bounded. They begin where all of them have the log: each lets
//! the beginning of its own go when it likes, also while it is read. Records without events are passed over: whether a node
//! shows them depends on where an answer begins, and the chain of those with events covers them.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_client::{
    ClientError, Consumer, ConsumerOptions, ErrorCode, NodeId, Offset, ReadFrom, Record,
};
use quorate_wire::RecordHeader;

use super::Replica;
use crate::Failure;
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::table::thousands;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Records that all nodes have alike.
    pub(super) records: u64,
    /// The first offset that all nodes had to the last.
    pub(super) begin: Offset,
    pub(super) differences: Vec<String>,
}

/// One node's records with events that were read and not yet compared.
#[derive(Debug)]
struct Side {
    node: NodeId,
    records: VecDeque<Vec<u8>>,
}

/// One node, read to its end.
struct Reader {
    side: Side,
    address: String,
    patience: Duration,
    consumer: Consumer,
}

/// How it stands with a node when it was to be read on.
enum Filled {
    /// There are records to compare, or it was read to the end.
    Ready,
    /// Its log begins here now, behind what is to be read.
    Begins(Offset),
    /// There is something wrong with its records.
    Unsound(String),
}

/// Compares all that all nodes know to be committed.
pub(super) fn compare(
    replicas: &[Replica],
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Compared, Failure> {
    let mut readers = Vec::new();
    let mut end = Offset(u64::MAX);
    for replica in replicas {
        let status = quorate_client::status(&replica.address, patience)?;
        end = end.min(status.committed);
        readers.push(Reader::open(replica, patience)?);
    }
    let phases = Phases::new(usize::try_from(end.0).unwrap_or(0));
    phases.begin(&format!("comparing up to offset {}", thousands(end.0)));
    let mut compared = Compared::default();
    loop {
        if interrupt.is_asked() {
            return Err(Failure::interrupted());
        }
        let mut sound = Vec::new();
        for mut reader in readers {
            match reader.fill(end)? {
                Filled::Ready => sound.push(reader),
                Filled::Begins(offset) => {
                    compared.begin = compared.begin.max(offset);
                    sound.push(reader);
                }
                Filled::Unsound(trouble) => compared.tell(reader.side.node, &trouble),
            }
        }
        readers = sound;
        let mut moved = false;
        for reader in &mut readers {
            moved |= reader.begin_at(compared.begin.min(end))?;
        }
        if moved {
            continue;
        }
        if readers.iter().all(|reader| reader.side.records.is_empty()) {
            return Ok(compared);
        }
        let mut sides: Vec<_> = readers.iter_mut().map(|reader| &mut reader.side).collect();
        let out = compared.step(&mut sides);
        readers.retain(|reader| !out.contains(&reader.side.node));
        let least = readers.iter().map(|reader| reader.consumer.offset()).min();
        phases.passed(least.map_or(0, |offset| offset.0));
    }
}

impl Compared {
    /// Compares as far as all have been read. Returns who differs, and is not to be compared any further.
    fn step(&mut self, sides: &mut Vec<&mut Side>) -> Vec<NodeId> {
        let mut out = Vec::new();
        while let Some(usual) = usual(sides) {
            let before = out.len();
            sides.retain_mut(|side| {
                let record = side.records.pop_front().expect("each has one");
                if record != usual {
                    self.tell(side.node, &difference(&record, &usual));
                    out.push(side.node);
                }
                record == usual
            });
            self.records += u64::from(out.len() == before);
        }
        out
    }

    fn tell(&mut self, node: NodeId, what: &str) {
        self.differences.push(format!("node {node}: {what}"));
    }
}

/// The next record as most nodes have it; none if one of them must be read first.
fn usual(sides: &[&mut Side]) -> Option<Vec<u8>> {
    let fronts: Option<Vec<_>> = sides.iter().map(|side| side.records.front()).collect();
    let fronts = fronts?;
    let votes = |record: &&Vec<u8>| fronts.iter().filter(|other| other == &record).count();
    fronts.iter().copied().max_by_key(votes).cloned()
}

/// Says where a record is another one.
fn difference(record: &[u8], usual: &[u8]) -> String {
    let (own, usual) = (header(record), header(usual));
    format!(
        "from record {} (offset {}) on it has another log: {:08x}, not {:08x}",
        thousands(usual.index.0),
        thousands(usual.base_offset.0),
        own.header_crc,
        usual.header_crc
    )
}

impl Reader {
    fn open(replica: &Replica, patience: Duration) -> Result<Self, Failure> {
        Ok(Self {
            side: Side {
                node: replica.node,
                records: VecDeque::new(),
            },
            consumer: read(&replica.address, Offset(0), patience)?,
            address: replica.address.clone(),
            patience,
        })
    }

    /// Reads on, if all that was read is compared.
    fn fill(&mut self, end: Offset) -> Result<Filled, Failure> {
        if !self.side.records.is_empty() || self.consumer.offset() >= end {
            return Ok(Filled::Ready);
        }
        let batch = match self.consumer.fetch(Duration::ZERO) {
            Ok(batch) => batch,
            Err(ClientError::Refused {
                code: ErrorCode::OffsetBeforeStart,
                expected,
                ..
            }) => return Ok(Filled::Begins(Offset(expected))),
            Err(error) if is_of_records(&error) => {
                let offset = thousands(self.consumer.offset().0);
                return Ok(Filled::Unsound(format!("at offset {offset}: {error}")));
            }
            Err(error) => return Err(error.into()),
        };
        let records = batch.records().filter(|record| {
            let header = record.header();
            header.event_count > 0 && header.base_offset < end
        });
        self.side
            .records
            .extend(records.map(|record| record.bytes().to_vec()));
        Ok(Filled::Ready)
    }

    /// Leaves out what lies before this offset. Says whether that changes anything.
    fn begin_at(&mut self, begin: Offset) -> Result<bool, Failure> {
        let before = self.side.records.len();
        self.side.records.retain(|record| base(record) >= begin);
        let is_behind = self.consumer.offset() < begin;
        if is_behind {
            self.consumer = read(&self.address, begin, self.patience)?;
        }
        Ok(is_behind || self.side.records.len() < before)
    }
}

/// Reads one node from an offset on.
fn read(address: &str, from: Offset, patience: Duration) -> Result<Consumer, Failure> {
    let mut options = ConsumerOptions::new([address]);
    options.stick = true;
    options.patience = patience;
    options.from = ReadFrom::Offset(from);
    Ok(Consumer::connect(options)?)
}

/// The offset at which a record begins.
fn base(record: &[u8]) -> Offset {
    header(record).base_offset
}

fn header(record: &[u8]) -> RecordHeader {
    let (record, _) = Record::parse(record).expect("the consumer has checked it");
    *record.header()
}

/// Whether it is the node's records that are wrong, not the way to it.
fn is_of_records(error: &ClientError) -> bool {
    let codes = [ErrorCode::RecordUnreadable, ErrorCode::ChainBroken];
    error.code().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, LogIndex, Position, RecordKind, Stamp, Term};

    use super::*;

    fn record(index: u64, log_time: u64) -> Vec<u8> {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(index),
            log_time,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Noop,
            previous: 0,
        };
        RecordHeader::stamp(&stamp, &[]).to_vec()
    }

    fn side(node: u32, log_times: [u64; 3]) -> Side {
        let records = (1..).zip(log_times);
        Side {
            node: NodeId(node),
            records: records.map(|(index, time)| record(index, time)).collect(),
        }
    }

    #[test]
    fn the_node_that_differs_is_named_with_the_record_and_the_others_go_on() {
        let mut sides = [side(1, [7, 8, 9]), side(2, [7, 5, 9]), side(3, [7, 8, 9])];
        let mut compared = Compared::default();
        let out = compared.step(&mut sides.iter_mut().collect());
        assert_eq!(out, [NodeId(2)]);
        assert_eq!(compared.records, 2, "the first and the third");
        let [difference] = compared.differences.as_slice() else {
            panic!("one difference: {compared:?}");
        };
        assert!(
            difference.starts_with("node 2: from record 2 (offset 2) on"),
            "{difference}"
        );
    }

    #[test]
    fn who_has_not_been_read_so_far_is_waited_for() {
        let mut sides = [side(1, [7, 8, 9]), side(2, [7, 8, 9])];
        sides[1].records.truncate(2);
        let mut compared = Compared::default();
        assert!(compared.step(&mut sides.iter_mut().collect()).is_empty());
        assert_eq!((compared.records, sides[0].records.len()), (2, 1));
    }
}
