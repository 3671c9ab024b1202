//! A reader's filter: which of the records that the pipeline gives out are sent.
//!
//! Owns: the filter's bytes, for as long as its request is open. Never: looks at what the pipeline vouches for more often than once.
//! Called by: whoever writes answers.

use alloc::sync::Arc;
use core::ops::Range;

use quorate_wire::filter::{self, FilterError};
use quorate_wire::{Record, RecordKind};

/// A filter that passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    bytes: Arc<[u8]>,
    clauses: usize,
}

impl Filter {
    /// Checks the filter that a request carries; `None` if it has no clauses, and so wants everything.
    ///
    /// # Errors
    /// It is not sound.
    pub fn parse(bytes: &[u8], clauses: usize) -> Result<Option<Self>, FilterError> {
        filter::Filter::parse(bytes, clauses)?;
        Ok((clauses > 0).then(|| Self {
            bytes: bytes.into(),
            clauses,
        }))
    }

    /// The runs of records that have an event which is wanted, in order, as long as can be.
    pub fn runs<'r>(&self, records: &'r [u8]) -> impl Iterator<Item = Range<usize>> + use<'_, 'r> {
        let filter = filter::Filter::parse(&self.bytes, self.clauses);
        let filter = filter.expect("it was checked at the gate");
        let mut at = 0;
        core::iter::from_fn(move || {
            let mut run: Option<Range<usize>> = None;
            while let Ok((record, _)) = Record::frame(records.get(at..)?) {
                let record_at = at;
                at += record.bytes().len();
                let events = record.header().kind == RecordKind::Events;
                if events && filter.wants(&record) {
                    run.get_or_insert(record_at..at).end = at;
                } else if run.is_some() {
                    break;
                }
            }
            run
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use quorate_wire::filter::Clause;
    use quorate_wire::{
        CHUNK_HEADER_BYTES, ChunkId, Epoch, Event, GroupId, LogIndex, Offset, Position, ProducerId,
        RecordHeader, RecordKind, Sequence, Stamp, Term, seal_chunk,
    };

    use super::Filter;

    /// A record of events with these keys; a no-op if there are none.
    fn record(keys: &[u64]) -> Vec<u8> {
        let mut body = vec![0; CHUNK_HEADER_BYTES];
        for &key in keys {
            let event = Event {
                key,
                time: 0,
                topic: b"t",
                payload: b"x",
                priority: 0,
            };
            let at = body.len();
            body.resize(at + event.size(), 0);
            assert_eq!(event.write(&mut body[at..]), Ok(Some(event.size())));
        }
        let count = u16::try_from(keys.len()).expect("few keys");
        let kind = if keys.is_empty() {
            body.clear();
            RecordKind::Noop
        } else {
            let id = ChunkId {
                producer: ProducerId(1),
                epoch: Epoch(0),
                first: Sequence(0),
                events: u32::from(count),
            };
            seal_chunk(id, &mut body).expect("it is small");
            RecordKind::Events
        };
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(1),
            },
            base_offset: Offset(0),
            log_time: 0,
            group: GroupId(0),
            event_count: count,
            kind,
            previous: 0,
        };
        let mut bytes = RecordHeader::stamp(&stamp, &body).to_vec();
        bytes.extend(body);
        bytes
    }

    fn key(key: u64) -> Filter {
        let clause = Clause::Key(key);
        let mut bytes = vec![0; clause.size()];
        assert_eq!(clause.write(&mut bytes), Ok(Some(clause.size())));
        let filter = Filter::parse(&bytes, 1).expect("it is sound");
        filter.expect("it has a clause")
    }

    #[test]
    fn runs_are_the_records_with_a_match_whole_and_side_by_side() {
        let parts = [
            record(&[1, 2]),
            record(&[7, 1]),
            record(&[7]),
            record(&[]),
            record(&[2]),
            record(&[2, 7]),
        ];
        let records = parts.concat();
        let runs: Vec<_> = key(7).runs(&records).collect();
        let before = |count: usize| parts[..count].iter().map(Vec::len).sum::<usize>();
        assert_eq!(runs, [before(1)..before(3), before(5)..before(6)]);
        assert_eq!(key(9).runs(&records).count(), 0);
        assert_eq!(key(7).runs(&[]).count(), 0);
    }

    #[test]
    fn a_filter_without_clauses_is_none() {
        assert_eq!(Filter::parse(&[], 0), Ok(None));
        assert!(Filter::parse(&[0; 8], 0).is_err());
    }
}
