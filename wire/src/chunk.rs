//! One chunk: events of one producer, sealed by the producer's own checksum and carried unchanged from its memory to the
//! consumer's.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32;
use crate::limits::{ALIGNMENT, CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX};
use crate::{Epoch, ErrorCode, Event, EventError, EventId, ProducerId, Sequence};

/// Bytes of a chunk's header.
pub const CHUNK_HEADER_BYTES: usize = 32;

/// Bytes of the header that the checksum covers, before the events: all but the checksum itself.
const CHECKED: usize = 28;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ChunkHeader {
    producer: U64,
    first_sequence: U64,
    epoch: U32,
    event_count: U32,
    events_len: U32,
    crc: U32,
}
const _: () = assert!(size_of::<ChunkHeader>() == CHUNK_HEADER_BYTES);

/// Which events of which producer a chunk holds: what deduplication knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkId {
    /// Who produced it.
    pub producer: ProducerId,
    /// The producer's incarnation.
    pub epoch: Epoch,
    /// Sequence of its first event.
    pub first: Sequence,
    /// How many events it holds: 1 to [`CHUNK_EVENTS_MAX`].
    pub events: u32,
}

impl ChunkId {
    /// The sequence that the producer's next chunk starts with.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.first.plus(self.events as u64)
    }

    /// How many of its events come before those of `part`, if it holds all of them.
    #[must_use]
    pub fn before(&self, part: &Self) -> Option<u64> {
        let same = (self.producer, self.epoch) == (part.producer, part.epoch);
        let before = part.first.0.checked_sub(self.first.0)?;
        (same && part.next() <= self.next()).then_some(before)
    }

    /// Whether `next` goes on where it ends.
    #[must_use]
    pub fn is_followed_by(&self, next: &Self) -> bool {
        (self.producer, self.epoch, self.next()) == (next.producer, next.epoch, next.first)
    }
}

/// A chunk whose framing has been checked; [`Chunk::parse`] has also checked its checksum and each of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    id: ChunkId,
    bytes: &'a [u8],
}

/// Why a chunk is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes end inside the chunk.
    #[error("the chunk is cut: {bytes} bytes where {needed} are needed")]
    Cut {
        /// How many there are.
        bytes: usize,
        /// How many there should be.
        needed: usize,
    },
    /// The chunk is too large, or its length is no multiple of 8.
    #[error("a chunk of {bytes} bytes: the limit is {CHUNK_BYTES_MAX}, in steps of 8")]
    Length {
        /// Its size, header included.
        bytes: usize,
    },
    /// The chunk holds no events, or too many.
    #[error("a chunk of {events} events: it takes 1 to {CHUNK_EVENTS_MAX}")]
    Count {
        /// How many it claims.
        events: u32,
    },
    /// The checksum does not fit.
    #[error("the chunk's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// The sequences would wrap around.
    #[error("the chunk's sequences run past the last one")]
    SequenceOverflow,
    /// An event inside is wrong.
    #[error("event {at} of the chunk: {error}")]
    Event {
        /// Which one, from 0.
        at: u32,
        /// What is wrong with it.
        error: EventError,
    },
    /// The events do not fill the chunk exactly.
    #[error("the chunk's {events} events leave {left} bytes over")]
    Leftover {
        /// How many events were counted.
        events: u32,
        /// How many bytes follow the last one.
        left: usize,
    },
}

impl ChunkError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Cut { .. }
            | Self::Length { .. }
            | Self::Count { .. }
            | Self::SequenceOverflow
            | Self::Leftover { .. } => ErrorCode::ChunkInvalid,
            Self::Checksum { .. } => ErrorCode::ChunkChecksum,
            Self::Event { .. } => ErrorCode::EventInvalid,
        }
    }
}

impl ChunkId {
    /// Whether it belongs to no producer: its events are known by their ids, and nobody looks at its epoch and sequence.
    #[must_use]
    pub const fn has_ids(&self) -> bool {
        self.producer.0 == ProducerId::NONE.0
    }

    /// Bytes of the ids between its header and its events.
    fn ids_len(&self) -> usize {
        let count = usize::try_from(self.events).expect("32 bits fit into a size");
        if self.has_ids() {
            count * EventId::BYTES
        } else {
            0
        }
    }

    /// What gate and sealer both hold a chunk's counts against.
    fn check(&self) -> Result<(), ChunkError> {
        if self.events == 0 || self.events > CHUNK_EVENTS_MAX {
            return Err(ChunkError::Count {
                events: self.events,
            });
        }
        match self.first.0.checked_add(u64::from(self.events)) {
            Some(_) => Ok(()),
            None => Err(ChunkError::SequenceOverflow),
        }
    }
}

/// What gate and sealer both hold a chunk's size against.
fn check_size(size: usize) -> Result<(), ChunkError> {
    if size > CHUNK_BYTES_MAX || !size.is_multiple_of(ALIGNMENT) {
        return Err(ChunkError::Length { bytes: size });
    }
    Ok(())
}

impl<'a> Chunk<'a> {
    /// Reads the chunk at the start of `bytes`, checks its framing only, and returns it with what follows it. For bytes that
    /// a checksum already vouches for.
    ///
    /// # Errors
    /// The bytes are not framed as a chunk.
    pub fn frame(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ChunkError> {
        let (header, _) = ChunkHeader::ref_from_prefix(bytes).map_err(|_| ChunkError::Cut {
            bytes: bytes.len(),
            needed: CHUNK_HEADER_BYTES,
        })?;
        let events_len = usize::try_from(header.events_len.get()).expect("32 bits fit into a size");
        let size = events_len.saturating_add(CHUNK_HEADER_BYTES);
        check_size(size)?;
        let id = ChunkId {
            producer: ProducerId(header.producer.get()),
            epoch: Epoch(header.epoch.get()),
            first: Sequence(header.first_sequence.get()),
            events: header.event_count.get(),
        };
        id.check()?;
        let needed = id.ids_len() + CHUNK_HEADER_BYTES;
        if needed > size {
            return Err(ChunkError::Cut {
                bytes: size,
                needed,
            });
        }
        let (bytes, after) = bytes.split_at_checked(size).ok_or(ChunkError::Cut {
            bytes: bytes.len(),
            needed: size,
        })?;
        Ok((Self { id, bytes }, after))
    }

    /// Reads the chunk at the start of `bytes` and checks all of it: framing, checksum, and every event. This is the gate:
    /// nothing that fails here comes near the log.
    ///
    /// # Errors
    /// The bytes are not a sound chunk.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ChunkError> {
        let (chunk, after) = Self::frame(bytes)?;
        chunk.check()?;
        Ok((chunk, after))
    }

    /// Checks the checksum and every event of a chunk that was only framed.
    ///
    /// # Errors
    /// The chunk is not sound.
    pub fn check(&self) -> Result<(), ChunkError> {
        let (head, events) = self.bytes.split_at(CHUNK_HEADER_BYTES);
        let (checked, found) = head.split_at(CHECKED);
        let found = U32::read_from_bytes(found)
            .expect("four bytes follow the checked ones")
            .get();
        let computed = crc32(&[checked, events]);
        if found != computed {
            return Err(ChunkError::Checksum { found, computed });
        }
        let mut rest = self.encoded_events();
        for at in 0..self.id.events {
            let (_, after) = Event::parse(rest).map_err(|error| ChunkError::Event { at, error })?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(ChunkError::Leftover {
                events: self.id.events,
                left: rest.len(),
            })
        }
    }

    /// Which events of which producer it holds.
    #[must_use]
    pub const fn id(&self) -> ChunkId {
        self.id
    }

    /// The whole chunk, header included, as it was received.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The ids of its events, in order, if its source has ids and no sequences.
    #[must_use]
    pub fn ids(&self) -> Option<&'a [EventId]> {
        let count = usize::try_from(self.id.events).expect("32 bits fit into a size");
        let behind = self.bytes.get(CHUNK_HEADER_BYTES..)?;
        let (ids, _) = <[EventId]>::ref_from_prefix_with_elems(behind, count).ok()?;
        self.id.has_ids().then_some(ids)
    }

    fn encoded_events(&self) -> &'a [u8] {
        let at = CHUNK_HEADER_BYTES + self.id.ids_len();
        self.bytes.get(at..).unwrap_or_default()
    }

    /// Its events, in order. Ends early where a chunk that was only framed is unsound.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let mut rest = self.encoded_events();
        (0..self.id.events).map_while(move |_| {
            let (event, after) = Event::parse(rest).ok()?;
            rest = after;
            Some(event)
        })
    }
}

/// Seals a chunk: `chunk` is [`CHUNK_HEADER_BYTES`] of room and the events behind it, between them the ids of those if it belongs to no
/// producer; the header is written into the room.
///
/// # Errors
/// The chunk is over a limit, shorter than its header, or runs past the last sequence.
pub fn seal_chunk(id: ChunkId, chunk: &mut [u8]) -> Result<(), ChunkError> {
    let size = chunk.len();
    let (head, events) = chunk
        .split_at_mut_checked(CHUNK_HEADER_BYTES)
        .ok_or(ChunkError::Cut {
            bytes: size,
            needed: CHUNK_HEADER_BYTES,
        })?;
    check_size(size)?;
    id.check()?;
    let mut header = ChunkHeader {
        producer: U64::new(id.producer.0),
        first_sequence: U64::new(id.first.0),
        epoch: U32::new(id.epoch.0),
        event_count: U32::new(id.events),
        events_len: U32::new(u32::try_from(events.len()).expect("a chunk is under 1 MiB")),
        crc: U32::new(0),
    };
    let (checked, _) = header.as_bytes().split_at(CHECKED);
    header.crc = U32::new(crc32(&[checked, events]));
    head.copy_from_slice(header.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_HEADER_BYTES, Chunk, ChunkError, ChunkId, seal_chunk};
    use crate::limits::{CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX};
    use crate::{Epoch, Event, EventError, EventId, ProducerId, Sequence};
    use std::vec;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    fn id(first: u64, events: u32) -> ChunkId {
        ChunkId {
            producer: ProducerId(7),
            epoch: Epoch(1),
            first: Sequence(first),
            events,
        }
    }

    /// A chunk that says it holds `said` events, and holds `held` empty ones.
    fn chunk(said: u32, held: usize) -> Vec<u8> {
        let event = Event {
            key: 1,
            time: 2,
            topic: b"",
            payload: b"",
            priority: 0,
        };
        let mut bytes = vec![0; CHUNK_HEADER_BYTES];
        let mut room = [0; 24];
        assert_eq!(event.write(&mut room), Ok(Some(24)));
        for _ in 0..held {
            bytes.extend_from_slice(&room);
        }
        seal_chunk(id(0, said), &mut bytes).expect("the chunk is within its limits");
        bytes
    }

    #[test]
    fn sealing_refuses_what_the_gate_would() {
        let mut room = vec![0; CHUNK_BYTES_MAX + 8];
        assert_eq!(
            seal_chunk(id(0, 1), &mut room),
            Err(ChunkError::Length {
                bytes: CHUNK_BYTES_MAX + 8
            })
        );
        let mut room = [0; 56];
        for events in [0, CHUNK_EVENTS_MAX + 1] {
            assert_eq!(
                seal_chunk(id(0, events), &mut room),
                Err(ChunkError::Count { events })
            );
        }
        assert_eq!(
            seal_chunk(id(u64::MAX, 1), &mut room),
            Err(ChunkError::SequenceOverflow)
        );
        assert_eq!(seal_chunk(id(u64::MAX - 1, 1), &mut room), Ok(()));
        let mut unaligned = [0; 57];
        assert_eq!(
            seal_chunk(id(0, 1), &mut unaligned),
            Err(ChunkError::Length { bytes: 57 })
        );
        assert_eq!(
            seal_chunk(id(0, 1), &mut [0; 31]),
            Err(ChunkError::Cut {
                bytes: 31,
                needed: 32
            })
        );
    }

    #[test]
    fn the_most_events_fit() {
        let bytes = chunk(CHUNK_EVENTS_MAX, 16_384);
        let (parsed, _) = Chunk::parse(&bytes).expect("it is sound");
        assert_eq!(parsed.events().count(), 16_384);
        assert_eq!(parsed.id().next(), Sequence(16_384));
    }

    #[test]
    fn a_chunk_of_no_producer_has_an_id_for_each_event() {
        let of_none = |events| ChunkId {
            producer: ProducerId::NONE,
            ..id(9, events)
        };
        let ids = [EventId([3; 16]), EventId([7; 16])];
        let mut bytes = vec![0; CHUNK_HEADER_BYTES];
        bytes.extend_from_slice(ids.as_bytes());
        bytes.extend(chunk(2, 2).into_iter().skip(CHUNK_HEADER_BYTES));
        seal_chunk(of_none(2), &mut bytes).expect("the chunk is within its limits");
        let (parsed, _) = Chunk::parse(&bytes).expect("it is sound");
        assert_eq!(parsed.ids(), Some(&ids[..]));
        assert_eq!(parsed.events().count(), 2);
        let ordinary = chunk(1, 1);
        let (parsed, _) = Chunk::parse(&ordinary).expect("it is sound");
        assert_eq!(parsed.ids(), None);
        // There is no room for the ids of so many.
        let mut short = vec![0; CHUNK_HEADER_BYTES + 24];
        seal_chunk(of_none(2), &mut short).expect("it does not look inside");
        let cut = ChunkError::Cut {
            bytes: 56,
            needed: 64,
        };
        assert_eq!(Chunk::frame(&short), Err(cut));
    }

    #[test]
    fn events_fill_a_chunk_exactly() {
        assert_eq!(
            Chunk::parse(&chunk(1, 2)),
            Err(ChunkError::Leftover {
                events: 1,
                left: 24
            })
        );
        assert_eq!(
            Chunk::parse(&chunk(2, 1)),
            Err(ChunkError::Event {
                at: 1,
                error: EventError::Cut {
                    bytes: 0,
                    needed: 24
                }
            })
        );
    }

    #[test]
    fn iteration_over_an_unsound_chunk_ends_early() {
        let bytes = chunk(3, 2);
        let (framed, _) = Chunk::frame(&bytes).expect("its framing is sound");
        assert_eq!(framed.events().count(), 2);
    }
}
