//! An id is in the log once (docs/protocol.md, "Ids"): whoever says it and however often, everybody is told one offset, and there it is.
//! No world lasts as long as an id is known.

use std::collections::BTreeMap;
use std::ops::Range;

use quorate_wire::{Chunk, EventId, Offset};

use super::exactly_once::Found;
use super::{Verdict, hold};
use crate::id_source::event_id;

/// What sources have said, and were told.
#[derive(Debug, Default)]
pub struct EventIds {
    /// Numbers of events that were said are below this.
    said: u64,
    told: BTreeMap<EventId, Offset>,
}

impl EventIds {
    /// Numbers of events that were said are below this.
    #[must_use]
    pub fn said(&self) -> u64 {
        self.said
    }

    /// A source says events of these numbers.
    pub fn says(&mut self, events: &Range<u64>) {
        self.said = self.said.max(events.end);
    }

    /// A source is told where its events are.
    pub fn told(&mut self, events: Range<u64>, first: Offset) {
        for (number, at) in events.zip(0..) {
            let verdict = self.told_one(event_id(number), first.plus(at));
            hold("an id is in the log once", verdict);
        }
    }

    fn told_one(&mut self, id: EventId, offset: Offset) -> Verdict {
        let known = *self.told.entry(id).or_insert(offset);
        if known == offset {
            return Ok(());
        }
        Err(format!(
            "id {id} is told to be at {known}, then at {offset}"
        ))
    }

    /// The world has ended with these chunks of no producer in the log.
    pub(super) fn end(&self, chunks: &[Found]) -> Verdict {
        let mut there = BTreeMap::new();
        for found in chunks {
            let (chunk, _) = Chunk::frame(&found.bytes).map_err(|error| error.to_string())?;
            let ids = chunk.ids().ok_or("a chunk of no producer has no ids")?;
            for (id, at) in ids.iter().zip(0..) {
                let offset = found.offset.plus(at);
                if let Some(first) = there.insert(*id, offset) {
                    return Err(format!("id {id} is in the log at {first} and at {offset}"));
                }
            }
        }
        match self.told.iter().find(|(id, at)| there.get(id) != Some(at)) {
            None => Ok(()),
            Some((id, at)) => Err(format!(
                "id {id} was told to be at {at}, and is at {:?}",
                there.get(id)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{Event, caller::Question, id_question};
    use quorate_wire::{Epoch, Sequence};

    use super::*;

    fn found(numbers: &[u64], offset: u64) -> Found {
        let event = Event {
            key: 0,
            time: 0,
            topic: b"",
            payload: b"",
            priority: 0,
        };
        let events: Vec<_> = numbers.iter().map(|&it| (event_id(it), event)).collect();
        let question = id_question(&events, (Epoch(0), Sequence(0))).expect("it is small");
        let Question::Produce(bytes) = question else {
            unreachable!("it asks for a chunk")
        };
        let (chunk, _) = Chunk::parse(&bytes).expect("it is sound");
        Found {
            id: chunk.id(),
            offset: Offset(offset),
            bytes: bytes.clone(),
        }
    }

    #[test]
    fn an_id_that_is_there_twice_or_not_where_it_was_told_is_seen() {
        let mut ids = EventIds::default();
        assert!(ids.told_one(event_id(7), Offset(3)).is_ok());
        assert!(ids.told_one(event_id(7), Offset(3)).is_ok());
        assert!(ids.told_one(event_id(7), Offset(4)).is_err());
        assert!(ids.end(&[found(&[6, 7], 2), found(&[8], 9)]).is_ok());
        assert!(ids.end(&[found(&[6, 7], 2), found(&[6], 9)]).is_err());
        assert!(ids.end(&[found(&[7], 2)]).is_err());
        assert!(ids.end(&[]).is_err());
    }
}
