//! A filtered read is exactly the matching part of the log (docs/protocol.md, Filters): each event that matches is shown, once and in
//! order, and no other, however the reads of a cursor follow each other.

use quorate_client::{Batch, Event, Filter};
use quorate_wire::{Chunk, Offset};

use super::Verdict;

/// Events that filtered reads may have shown in all; further reads are not remembered.
const SHOWN_MAX: usize = 1 << 18;

/// What was read through a filter.
#[derive(Debug)]
struct Looked {
    filter: Filter,
    /// It was looked from here to here.
    from: Offset,
    to: Offset,
    shown: Vec<Offset>,
}

/// All filtered reads.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    looked: Vec<Looked>,
    shown: usize,
}

impl Wanted {
    /// A consumer got a batch through its filter, and nothing else since `from`.
    pub(super) fn read(&mut self, batch: &Batch, filter: &Filter, from: Offset) {
        let shown = batch.events().map(|(offset, _)| offset).collect();
        self.remember(filter.clone(), (from, batch.next_offset()), shown);
    }

    fn remember(&mut self, filter: Filter, (from, to): (Offset, Offset), shown: Vec<Offset>) {
        if self.shown <= SHOWN_MAX {
            self.shown += 1 + shown.len();
            self.looked.push(Looked {
                filter,
                from,
                to,
                shown,
            });
        }
    }

    /// The world has ended: these are all chunks of the committed log, each with the offset of its first event.
    pub(super) fn check<'c>(&self, chunks: impl Iterator<Item = (Offset, &'c [u8])>) -> Verdict {
        let mut events: Vec<(Offset, Event<'_>)> = Vec::new();
        for (first, bytes) in chunks {
            let (chunk, _) = Chunk::frame(bytes).map_err(|error| error.to_string())?;
            events.extend((first.0..).map(Offset).zip(chunk.events()));
        }
        events.sort_by_key(|(offset, _)| *offset);
        self.looked
            .iter()
            .try_for_each(|looked| looked.check(&events))
    }
}

impl Looked {
    fn check(&self, events: &[(Offset, Event<'_>)]) -> Verdict {
        let begin = events.partition_point(|(offset, _)| *offset < self.from);
        let end = events.partition_point(|(offset, _)| *offset < self.to);
        let part = events.get(begin..end).unwrap_or_default();
        let wanted = part.iter().filter(|(_, event)| self.filter.matches(event));
        let (from, to) = (self.from, self.to);
        if wanted.map(|(offset, _)| offset).eq(&self.shown) {
            Ok(())
        } else {
            Err(format!(
                "a filtered read of offsets {from} to {to} shows {:?}, and not what matches",
                self.shown
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::Clause;
    use quorate_wire::{Epoch, ProducerId, Sequence};

    use super::{Filter, Offset, Wanted};
    use crate::chunks::{self, ChunkWeather};

    /// A chunk of four events or more: keys 2 and 3 in turn.
    fn chunk() -> Vec<u8> {
        let weather = ChunkWeather {
            events: 8,
            payload: 8,
            large_one_in: 1_000_000,
            large: 1,
        };
        let make = |seed| chunks::make(seed, weather, ProducerId(1), (Epoch(0), Sequence(0)));
        let long = (0..100).map(make).find(|chunk| chunk.id.events >= 4);
        long.expect("one of them has four").bytes.to_vec()
    }

    #[test]
    fn what_is_left_out_doubled_or_not_wanted_is_seen() {
        let bytes = chunk();
        let filter = Filter::default().with(&Clause::Key(3)).expect("a clause");
        for (shown, sound) in [
            (&[11, 13][..], true),
            (&[11], false),
            (&[11, 11, 13], false),
            (&[13, 11], false),
            (&[11, 12, 13], false),
            (&[], false),
        ] {
            let mut wanted = Wanted::default();
            let shown = shown.iter().copied().map(Offset).collect();
            wanted.remember(filter.clone(), (Offset(10), Offset(14)), shown);
            let chunks = [(Offset(10), bytes.as_slice())];
            assert_eq!(wanted.check(chunks.into_iter()).is_ok(), sound);
        }
    }
}
