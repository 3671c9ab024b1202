//! Runs: requests of a producer that one look at the lane, one place among those who wait, and one answer can serve.
//!
//! ```text
//!  | frame | message | chunk 1 | frame | message | chunk 2 | frame | message | chunk 3 |
//!                    |<---------------------- the run --------------------------------->|
//! ```
//!
//! Owns: which requests make a run. Never: joins what a client asks differently. Called by: whoever has opened frames of a
//! connection whose client takes merged answers.

use quorate_wire::limits::{RUN_BYTES_MAX, RUN_CHUNKS_MAX};

use super::{Asked, Opened};
use crate::lane::BETWEEN_CHUNKS;

impl Opened {
    /// The run at the start of `frames`, as one request, and of how many frames it is; `None` if the first one is alone.
    #[must_use]
    pub fn run(frames: &[Self]) -> Option<(Self, usize)> {
        let (first, rest) = frames.split_first()?;
        let Ok(Asked::Produce { .. }) = &first.asked else {
            return None;
        };
        let mut run = first.clone();
        let joined = rest.iter().take_while(|next| run.join(next)).count();
        (joined > 0).then_some((run, joined + 1))
    }

    /// Adds the next request, if it goes on where this one ends.
    fn join(&mut self, next: &Self) -> bool {
        let end = self.chunk().end;
        let requests = match &self.asked {
            Ok(asked) => asked.requests(),
            Err(_) => return false,
        };
        let follows = self.correlation.checked_add(u64::from(requests)) == Some(next.correlation);
        let (
            Ok(Asked::Produce {
                id,
                chunks,
                at,
                acks,
                priority,
                traced: false,
            }),
            Ok(Asked::Produce {
                id: next_id,
                chunks: 1,
                at: next_at,
                acks: next_acks,
                priority: next_priority,
                traced: false,
            }),
        ) = (&mut self.asked, &next.asked)
        else {
            return false;
        };
        let bytes = at.len() + BETWEEN_CHUNKS + next_at.len();
        let joins = follows
            && end + BETWEEN_CHUNKS == next.chunk().start
            && !id.has_ids()
            && id.is_followed_by(next_id)
            && (*acks, *priority) == (*next_acks, *next_priority)
            && *chunks < RUN_CHUNKS_MAX
            && id.events + next_id.events <= RUN_CHUNKS_MAX
            && bytes <= RUN_BYTES_MAX;
        if joins {
            id.events += next_id.events;
            *chunks += 1;
            at.end = at.start + bytes;
        }
        joins
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use bytes::Bytes;
    use quorate_wire::client::{AckLevel, Produce};
    use quorate_wire::{
        CHUNK_HEADER_BYTES, ChunkId, ClusterName, Epoch, Event, FrameHeader, FrameKind, GroupId,
        ProducerId, Sequence, Time, seal_chunk,
    };
    use zerocopy::IntoBytes;

    use super::*;
    use crate::gate::Gate;
    use crate::lane::{Ask, Produced};
    use crate::trace::Trace;

    /// A request: its correlation, its first sequence, how many events it has, and what it asks for.
    type Frame = (u64, u64, u32, Produce);

    const USUAL: Produce = Produce {
        acks: 0,
        flags: 0,
        priority: 0,
        reserved: 0,
        timeout_ms: zerocopy::little_endian::U32::ZERO,
    };

    fn write(&(correlation, first, events, asks): &Frame, bytes: &mut Vec<u8>) {
        let mut chunk = vec![0; CHUNK_HEADER_BYTES];
        for at in 0..u64::from(events) {
            let event = Event {
                key: 7,
                time: 0,
                topic: b"",
                // No two chunks are equally long.
                payload: &[3; 200][..usize::try_from((first + at) % 200).expect("it is small")],
                priority: 0,
            };
            let from = chunk.len();
            chunk.resize(from + event.size(), 0);
            event.write(&mut chunk[from..]).expect("there is room");
        }
        let id = ChunkId {
            producer: ProducerId(5),
            epoch: Epoch(0),
            first: Sequence(first),
            events,
        };
        seal_chunk(id, &mut chunk).expect("it is within its limits");
        let (kind, asks) = (FrameKind::Produce, asks.as_bytes());
        let header = FrameHeader::seal(kind, correlation, GroupId(0), &[asks], chunk.len());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(asks);
        bytes.extend_from_slice(&chunk);
    }

    fn open(requests: &[Frame]) -> (Vec<u8>, Vec<Opened>) {
        let (mut bytes, mut frames) = (Vec::new(), Vec::new());
        for request in requests {
            write(request, &mut bytes);
        }
        let gate = Gate {
            cluster: ClusterName::new("airport").expect("a name"),
            fetch_wait_ms: 0,
        };
        let (taken, _) = gate.open(&bytes, true, &mut frames);
        assert_eq!((taken, frames.len()), (bytes.len(), requests.len()));
        (bytes, frames)
    }

    fn length(requests: &[Frame]) -> usize {
        Opened::run(&open(requests).1).map_or(1, |(_, frames)| frames)
    }

    #[test]
    fn what_goes_on_is_one_run() {
        let requests = [(9, 40, 2, USUAL), (10, 42, 1, USUAL), (11, 43, 5, USUAL)];
        let (bytes, frames) = open(&requests);
        let (run, count) = Opened::run(&frames).expect("they are alike");
        assert_eq!((run.correlation, count), (9, 3));
        let asked = run.asked.as_ref().expect("it passed");
        let alone: usize = frames.iter().map(|frame| frame.chunk().len()).sum();
        assert_eq!((asked.requests(), asked.chunk_bytes()), (3, alone));
        let bytes = Bytes::from(bytes);
        let ask = asked.to_ask(|| bytes.slice(run.chunk()), || Trace::new(Time(0)));
        let Ask::Produce(mut run) = ask else {
            panic!("chunks are produced");
        };
        assert_eq!((run.id.first, run.id.events), (Sequence(40), 8));
        let chunks = |run: &Produced| -> Vec<_> {
            run.iter()
                .map(|chunk| (chunk.id().first.0, chunk.id().events))
                .collect()
        };
        assert!(run.iter().all(|chunk| chunk.check().is_ok()));
        assert_eq!(chunks(&run), [(40, 2), (42, 1), (43, 5)]);
        let two = bytes.slice(frames[0].chunk()).len() + frames[1].chunk().len();
        let first = run.take(2, 3, two);
        assert_eq!(
            (chunks(&first), chunks(&run)),
            (vec![(40, 2), (42, 1)], vec![(43, 5)])
        );
        assert_eq!(
            (run.id.first, run.id.events, run.chunks),
            (Sequence(43), 5, 1)
        );
        assert!(run.iter().all(|chunk| chunk.check().is_ok()));
    }

    #[test]
    fn what_is_asked_otherwise_is_none() {
        let first = (9, 40, 1, USUAL);
        assert_eq!(length(&[first]), 1);
        assert_eq!(length(&[first, (10, 41, 1, USUAL)]), 2);
        assert_eq!(
            length(&[first, (11, 41, 1, USUAL)]),
            1,
            "a correlation between"
        );
        assert_eq!(length(&[first, (10, 42, 1, USUAL)]), 1, "a gap");
        let traced = Produce {
            flags: Produce::TRACE,
            ..USUAL
        };
        let acks = Produce {
            acks: AckLevel::All.to_byte(),
            ..USUAL
        };
        let priority = Produce {
            priority: 1,
            ..USUAL
        };
        for other in [traced, acks, priority] {
            assert_eq!(length(&[first, (10, 41, 1, other)]), 1, "{other:?}");
        }
        assert_eq!(length(&[(9, 40, 1, traced), (10, 41, 1, USUAL)]), 1);
    }

    #[test]
    fn a_run_has_its_bounds() {
        let alike = |events: u32| -> Vec<Frame> {
            let one = |at: u32| (u64::from(at), u64::from(at * events), events, USUAL);
            (0..100).map(one).collect()
        };
        assert_eq!(length(&alike(1)), 64, "chunks");
        assert_eq!(length(&alike(20)), 3, "events");
    }
}
