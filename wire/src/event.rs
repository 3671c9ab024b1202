//! One event: a 24-byte header, topic, payload, zeros up to a multiple of 8.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ALIGNMENT, CHUNK_BYTES_MAX, TOPIC_BYTES_MAX};

/// Bytes of an event's header.
pub const EVENT_HEADER_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EventHeader {
    key: U64,
    time: U64,
    payload_len: U32,
    topic_len: U16,
    priority: u8,
    flags: u8,
}
const _: () = assert!(size_of::<EventHeader>() == EVENT_HEADER_BYTES);

/// An event, as a producer hands it in and a consumer gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Orders: events of one key keep their order. Decides the slot, and so the group.
    pub key: u64,
    /// The producer's clock, in nanoseconds since 1970; carried, never interpreted.
    pub time: u64,
    /// What the event is about, UTF-8 by convention; at most [`TOPIC_BYTES_MAX`] bytes.
    pub topic: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
    /// Who is shed first at overload: lower goes first.
    pub priority: u8,
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The bytes end inside the event.
    #[error("the event is cut: {bytes} bytes where {needed} are needed")]
    Cut {
        /// How many there are.
        bytes: usize,
        /// How many there should be.
        needed: usize,
    },
    /// The topic is too long.
    #[error("a topic of {bytes} bytes exceeds the limit of {TOPIC_BYTES_MAX}")]
    TopicTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The event fits into no chunk.
    #[error("an event of {bytes} bytes exceeds the limit of {CHUNK_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Flags are set that this version does not know.
    #[error("unknown event flags {flags:#04x}")]
    UnknownFlags {
        /// The flags.
        flags: u8,
    },
    /// The padding is not zero.
    #[error("the padding behind the event is not zero")]
    Padding,
}

impl<'a> Event<'a> {
    /// Bytes that it takes in a chunk, padding included.
    #[must_use]
    pub const fn size(&self) -> usize {
        (EVENT_HEADER_BYTES + self.topic.len() + self.payload.len()).next_multiple_of(ALIGNMENT)
    }

    /// Writes it to the start of `to`, and returns the bytes taken, or `None` if `to` is too short.
    ///
    /// # Errors
    /// The topic or the whole is over its limit.
    pub fn write(&self, to: &mut [u8]) -> Result<Option<usize>, EventError> {
        if self.topic.len() > TOPIC_BYTES_MAX {
            return Err(EventError::TopicTooLong {
                bytes: self.topic.len(),
            });
        }
        let size = self.size();
        if size > CHUNK_BYTES_MAX - crate::CHUNK_HEADER_BYTES {
            return Err(EventError::TooLarge { bytes: size });
        }
        let Some(to) = to.get_mut(..size) else {
            return Ok(None);
        };
        let header = EventHeader {
            key: U64::new(self.key),
            time: U64::new(self.time),
            payload_len: U32::new(
                u32::try_from(self.payload.len()).expect("an event fits into a chunk"),
            ),
            topic_len: U16::new(
                u16::try_from(self.topic.len()).expect("a topic is at most 255 bytes"),
            ),
            priority: self.priority,
            flags: 0,
        };
        let (head, rest) = to.split_at_mut(EVENT_HEADER_BYTES);
        let (topic, rest) = rest.split_at_mut(self.topic.len());
        let (payload, padding) = rest.split_at_mut(self.payload.len());
        head.copy_from_slice(header.as_bytes());
        topic.copy_from_slice(self.topic);
        payload.copy_from_slice(self.payload);
        padding.fill(0);
        Ok(Some(size))
    }

    /// Reads the event at the start of `bytes`, and returns it with what follows it.
    ///
    /// # Errors
    /// The bytes are not an event.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), EventError> {
        let (header, rest) = EventHeader::ref_from_prefix(bytes).map_err(|_| EventError::Cut {
            bytes: bytes.len(),
            needed: EVENT_HEADER_BYTES,
        })?;
        if header.flags != 0 {
            return Err(EventError::UnknownFlags {
                flags: header.flags,
            });
        }
        let topic_len = usize::from(header.topic_len.get());
        if topic_len > TOPIC_BYTES_MAX {
            return Err(EventError::TopicTooLong { bytes: topic_len });
        }
        let payload_len =
            usize::try_from(header.payload_len.get()).expect("32 bits fit into a size");
        let exact = EVENT_HEADER_BYTES + topic_len + payload_len;
        let size = exact.next_multiple_of(ALIGNMENT);
        let (body, after) =
            rest.split_at_checked(size - EVENT_HEADER_BYTES)
                .ok_or(EventError::Cut {
                    bytes: bytes.len(),
                    needed: size,
                })?;
        let (topic, body) = body.split_at(topic_len);
        let (payload, padding) = body.split_at(payload_len);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(EventError::Padding);
        }
        let event = Self {
            key: header.key.get(),
            time: header.time.get(),
            topic,
            payload,
            priority: header.priority,
        };
        Ok((event, after))
    }
}
