//! One chunk: events of one producer, sealed by the producer's own checksum and carried unchanged from its memory to the
//! consumer's.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32;
use crate::limits::{ALIGNMENT, CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX};
use crate::{Epoch, Event, EventError, ProducerId, Sequence};

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
        let size = CHUNK_HEADER_BYTES + events_len;
        if size > CHUNK_BYTES_MAX || !size.is_multiple_of(ALIGNMENT) {
            return Err(ChunkError::Length { bytes: size });
        }
        let events = header.event_count.get();
        if events == 0 || events > CHUNK_EVENTS_MAX {
            return Err(ChunkError::Count { events });
        }
        let first = Sequence(header.first_sequence.get());
        if first.0.checked_add(u64::from(events)).is_none() {
            return Err(ChunkError::SequenceOverflow);
        }
        let (bytes, after) = bytes.split_at_checked(size).ok_or(ChunkError::Cut {
            bytes: bytes.len(),
            needed: size,
        })?;
        let id = ChunkId {
            producer: ProducerId(header.producer.get()),
            epoch: Epoch(header.epoch.get()),
            first,
            events,
        };
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
        let mut rest = events;
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

    /// Its events, in order. Ends early where a chunk that was only framed is unsound.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let mut rest = self.bytes.get(CHUNK_HEADER_BYTES..).unwrap_or_default();
        (0..self.id.events).map_while(move |_| {
            let (event, after) = Event::parse(rest).ok()?;
            rest = after;
            Some(event)
        })
    }
}

/// Seals a chunk: `chunk` is [`CHUNK_HEADER_BYTES`] of room and the events behind it; the header is written into the room.
///
/// # Errors
/// The chunk is over a limit, or shorter than its header.
pub fn seal_chunk(id: ChunkId, chunk: &mut [u8]) -> Result<(), ChunkError> {
    let size = chunk.len();
    let (head, events) = chunk
        .split_at_mut_checked(CHUNK_HEADER_BYTES)
        .ok_or(ChunkError::Cut {
            bytes: size,
            needed: CHUNK_HEADER_BYTES,
        })?;
    if size > CHUNK_BYTES_MAX || !size.is_multiple_of(ALIGNMENT) {
        return Err(ChunkError::Length { bytes: size });
    }
    if id.events == 0 || id.events > CHUNK_EVENTS_MAX {
        return Err(ChunkError::Count { events: id.events });
    }
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
