//! The log of a test cluster: it takes each sequence of each producer once, as the real one does.

use std::collections::BTreeMap;

use quorate_client::{Chunk, ErrorCode, Offset, ProducerId};
use quorate_wire::{Epoch, GroupId, LogIndex, Position, RecordHeader, RecordKind, Stamp, Term};

/// What the log knows of a producer.
#[derive(Debug, Default)]
struct Known {
    epoch: Epoch,
    next: u64,
    /// Offset of each chunk by its first sequence.
    offsets: BTreeMap<u64, Offset>,
}

/// Committed records with their bytes.
#[derive(Debug, Default)]
pub struct Log {
    pub records: Vec<Vec<u8>>,
    /// Offset after the last event of each record.
    ends: Vec<u64>,
    next: u64,
    previous: u32,
    producers: BTreeMap<u64, Known>,
    /// Chunks that came again.
    pub repeated: u64,
}

/// Why the log does not take a chunk, and what it expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTaken {
    pub code: ErrorCode,
    pub expected: u64,
}

impl Log {
    /// Offset after the last event.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The record that a new leader begins with.
    pub fn noop(&mut self) {
        self.append(&[], 0, RecordKind::Noop);
    }

    /// Takes the chunk, or finds the offset that it got the first time.
    pub fn take(&mut self, chunk: &Chunk<'_>) -> Result<Offset, NotTaken> {
        let id = chunk.id();
        let no = |code, expected| Err(NotTaken { code, expected });
        let known = self.producers.entry(id.producer.0).or_default();
        if id.epoch < known.epoch {
            return no(ErrorCode::EpochFenced, u64::from(known.epoch.0));
        }
        if id.epoch > known.epoch {
            *known = Known {
                epoch: id.epoch,
                ..Known::default()
            };
        }
        if let Some(offset) = known.offsets.get(&id.first.0) {
            self.repeated += 1;
            return Ok(*offset);
        }
        if id.first.0 != known.next {
            let code = match known.next {
                0 => ErrorCode::ProducerUnknown,
                next if id.first.0 > next => ErrorCode::SequenceGap,
                _ => ErrorCode::SequenceTooOld,
            };
            return no(code, known.next);
        }
        let offset = Offset(self.next);
        known.offsets.insert(id.first.0, offset);
        known.next = id.next().0;
        self.append(chunk.bytes(), id.events, RecordKind::Events);
        Ok(offset)
    }

    fn append(&mut self, body: &[u8], events: u32, kind: RecordKind) {
        let index = u64::try_from(self.records.len()).expect("the log is in memory") + 1;
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(self.next),
            log_time: index,
            group: GroupId(0),
            event_count: u16::try_from(events).expect("chunks of tests are small"),
            kind,
            previous: self.previous,
        };
        let header = RecordHeader::stamp(&stamp, body);
        let parsed = RecordHeader::parse(&header).expect("it was just made");
        self.previous = parsed.header_crc;
        self.next += u64::from(events);
        self.ends.push(self.next);
        self.records.push([header.as_slice(), body].concat());
    }

    /// Whole records from the one on that holds `offset`, as many as fit; at least one if there is one.
    pub fn from(&self, offset: u64, bytes_max: usize) -> Vec<u8> {
        let first = self.ends.partition_point(|end| *end <= offset);
        let mut bytes = Vec::new();
        for record in self.records.iter().skip(first) {
            if !bytes.is_empty() && bytes.len() + record.len() > bytes_max {
                break;
            }
            bytes.extend_from_slice(record);
        }
        bytes
    }

    /// The sequences of a producer in the order of the log, a run for each chunk.
    pub fn sequences(&self, producer: ProducerId) -> Vec<u64> {
        let mut all = Vec::new();
        for record in &self.records {
            let (record, _) = quorate_client::Record::parse(record).expect("it is sound");
            for (_, chunk) in record.chunks() {
                let id = chunk.id();
                if id.producer == producer {
                    all.extend(id.first.0..id.next().0);
                }
            }
        }
        all
    }
}
