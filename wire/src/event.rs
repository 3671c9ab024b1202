//! One event: a 24-byte header, topic, payload, zeros up to a multiple of 8.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ALIGNMENT, EVENT_BYTES_MAX, TOPIC_BYTES_MAX};

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
    #[error("an event of {bytes} bytes exceeds the limit of {EVENT_BYTES_MAX}")]
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
        if size > EVENT_BYTES_MAX {
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
        let size = payload_len
            .saturating_add(EVENT_HEADER_BYTES + topic_len)
            .checked_next_multiple_of(ALIGNMENT)
            .unwrap_or(usize::MAX);
        if size > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge { bytes: size });
        }
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

#[cfg(test)]
mod tests {
    use super::{EVENT_HEADER_BYTES, Event, EventError};
    use crate::limits::{EVENT_BYTES_MAX, TOPIC_BYTES_MAX};
    use std::vec;

    const NONE: Event<'static> = Event {
        key: 0,
        time: 0,
        topic: b"",
        payload: b"",
        priority: 0,
    };

    #[test]
    fn it_asks_for_room_and_leaves_the_rest_alone() {
        let event = Event {
            payload: b"x",
            ..NONE
        };
        assert_eq!(event.size(), EVENT_HEADER_BYTES + 8);
        assert_eq!(event.write(&mut [0; 31]), Ok(None));
        let mut room = [0xee; 40];
        assert_eq!(event.write(&mut room), Ok(Some(32)));
        let (written, rest) = room.split_at(32);
        assert_eq!(rest, [0xee; 8]);
        assert_eq!(Event::parse(written), Ok((event, &[][..])));
    }

    #[test]
    fn the_largest_event_fits_and_a_byte_more_does_not() {
        let payload = vec![7; EVENT_BYTES_MAX - EVENT_HEADER_BYTES + 1];
        let mut room = vec![0; EVENT_BYTES_MAX + 8];
        let largest = Event {
            payload: payload.get(1..).expect("it is long"),
            ..NONE
        };
        assert_eq!(largest.write(&mut room), Ok(Some(EVENT_BYTES_MAX)));
        let parsed = Event::parse(&room).expect("it was just written");
        assert_eq!(parsed.0, largest);
        let bytes = EVENT_BYTES_MAX + 8;
        let larger = Event {
            payload: &payload,
            ..NONE
        };
        assert_eq!(larger.write(&mut room), Err(EventError::TooLarge { bytes }));
    }

    #[test]
    fn a_topic_has_a_bound() {
        let topic = [b't'; TOPIC_BYTES_MAX + 1];
        let event = Event {
            topic: &topic,
            ..NONE
        };
        let refused = Err(EventError::TopicTooLong { bytes: 256 });
        assert_eq!(event.write(&mut [0; 512]), refused);
    }

    #[test]
    fn what_a_header_claims_is_bounded_before_it_is_used() {
        let mut bytes = [0; 64];
        assert_eq!(NONE.write(&mut bytes), Ok(Some(24)));
        let with = |at: usize, patch: &[u8]| {
            let mut bytes = bytes;
            for (to, from) in bytes.iter_mut().skip(at).zip(patch) {
                *to = *from;
            }
            Event::parse(&bytes).map(|_| ())
        };
        assert!(matches!(
            with(16, &[0xff; 4]),
            Err(EventError::TooLarge { .. })
        ));
        assert_eq!(
            with(20, &[0, 1]),
            Err(EventError::TopicTooLong { bytes: 256 })
        );
        assert_eq!(with(23, &[4]), Err(EventError::UnknownFlags { flags: 4 }));
        assert_eq!(
            with(16, &[41]),
            Err(EventError::Cut {
                bytes: 64,
                needed: 72
            })
        );
        // One byte of payload, and the second of the seven bytes of padding is not zero.
        assert_eq!(
            with(16, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1]),
            Err(EventError::Padding)
        );
    }
}
