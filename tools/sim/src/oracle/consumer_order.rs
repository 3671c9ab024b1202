//! Consumers see a prefix: each gets the log's records in order, without a gap and without one twice; and nothing is shown that is
//! not committed (Redpanda PR #14794, TRAPS 27).

use quorate_wire::{Offset, RecordHeader};

use super::Verdict;

/// One consumer's way through the log.
#[derive(Debug)]
pub(crate) struct ConsumerOrder {
    /// The offset that it wants next.
    offset: Offset,
    last: Option<RecordHeader>,
}

impl ConsumerOrder {
    /// A consumer that begins at an offset.
    pub(crate) fn new(offset: Offset) -> Self {
        Self { offset, last: None }
    }

    /// It gets a record, from a node that says that all before `committed` is committed; a filter leaves records out.
    pub(crate) fn got(
        &mut self,
        header: &RecordHeader,
        committed: Offset,
        filtered: bool,
    ) -> Verdict {
        let (from, to) = (header.base_offset, header.next_offset());
        if to > committed {
            return Err(format!(
                "offset {to} is handed out, and {committed} is said to be committed"
            ));
        }
        match &self.last {
            Some(last) if filtered && from >= last.next_offset() && header.index > last.index => {}
            None if from > self.offset && !filtered => {
                return Err(format!(
                    "offset {} was asked for, and {from} comes",
                    self.offset
                ));
            }
            Some(last) if from != last.next_offset() || header.index <= last.index => {
                return Err(format!(
                    "record {} at offset {from} follows record {} that ends at {}",
                    header.index,
                    last.index,
                    last.next_offset()
                ));
            }
            Some(last)
                if header.index == last.index.next() && header.previous != last.header_crc =>
            {
                return Err(format!("record {} does not join on", header.index));
            }
            Some(_) | None => {}
        }
        self.last = Some(*header);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, LogIndex, Position, RecordKind, Stamp, Term};

    use super::*;

    fn header(index: u64, base_offset: u64, events: u16, previous: u32) -> RecordHeader {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(base_offset),
            log_time: 0,
            group: GroupId(0),
            event_count: events,
            kind: RecordKind::Noop,
            previous,
        };
        let mut header = RecordHeader::parse(&RecordHeader::stamp(
            &Stamp {
                event_count: 0,
                ..stamp
            },
            &[],
        ))
        .expect("it was just stamped");
        header.event_count = events;
        header
    }

    #[test]
    fn gaps_repetitions_and_what_is_not_committed_are_seen() {
        let first = header(1, 0, 4, 0);
        let second = header(2, 4, 4, first.header_crc);
        let good = |order: &mut ConsumerOrder| order.got(&first, Offset(8), false);
        let mut order = ConsumerOrder::new(Offset(2));
        assert_eq!(good(&mut order), Ok(()));
        assert!(order.got(&first, Offset(8), false).is_err(), "twice");
        assert_eq!(order.got(&second, Offset(8), false), Ok(()));
        let mut order = ConsumerOrder::new(Offset(2));
        assert_eq!(good(&mut order), Ok(()));
        assert!(
            order.got(&header(3, 8, 1, 0), Offset(9), false).is_err(),
            "a gap"
        );
        assert!(
            order.got(&header(2, 4, 4, 1), Offset(8), false).is_err(),
            "another chain"
        );
        assert!(
            order.got(&second, Offset(7), false).is_err(),
            "not committed"
        );
        let mut order = ConsumerOrder::new(Offset(2));
        assert!(
            order.got(&second, Offset(8), false).is_err(),
            "the first is left out"
        );
    }
}
