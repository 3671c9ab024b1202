//! The chunk that still takes events: it is sealed when it has enough of them, or has waited long enough.
//!
//! Owns: the open chunk. Never: seals it, waits, or reads a clock. Called by: the producers.

use quorate_wire::limits::{CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX};
use quorate_wire::{Event, Sequence, Time};

use crate::session::{Session, nanoseconds};
use crate::{ClientError, InvalidEvent, ProducerOptions};

#[derive(Debug)]
pub(crate) struct Packer {
    open: Option<Open>,
    events_max: u32,
    bytes_max: usize,
    linger: u64,
}

/// A chunk's events behind the room for its header; at least one.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: u32,
    since: Time,
}

impl Packer {
    pub(crate) fn new(options: &ProducerOptions) -> Self {
        Self {
            open: None,
            events_max: options.batch_events.clamp(1, CHUNK_EVENTS_MAX),
            bytes_max: options.batch_bytes.min(CHUNK_BYTES_MAX),
            linger: nanoseconds(options.linger),
        }
    }

    /// Whether the open chunk has to be sealed before an event of so many bytes.
    pub(crate) fn closes_before(&self, bytes: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.events >= self.events_max || open.buffer.len() + bytes > self.bytes_max
        })
    }

    /// Appends an event to the open chunk, or opens one, and returns the event's sequence.
    pub(crate) fn append(
        &mut self,
        event: &Event<'_>,
        session: &mut Session,
        now: impl FnOnce() -> Time,
    ) -> Result<Sequence, ClientError> {
        let mut open = self.open.take().unwrap_or_else(|| Open {
            buffer: session.buffer(),
            events: 0,
            since: now(),
        });
        let written = append(&mut open.buffer, event);
        let at = u64::from(open.events);
        if written.is_ok() {
            open.events += 1;
        }
        if open.events > 0 {
            self.open = Some(open);
        }
        written.map(|()| session.next_sequence().plus(at))
    }

    /// The open chunk, if there is one.
    pub(crate) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Whether the open chunk takes no further event.
    pub(crate) fn is_full(&self) -> bool {
        self.closes_before(0)
    }

    /// When the open chunk has waited long enough.
    pub(crate) fn due(&self) -> Option<Time> {
        let open = self.open.as_ref()?;
        Some(open.since.after(self.linger))
    }

    /// Takes the open chunk, to be sealed.
    pub(crate) fn take(&mut self) -> Option<Open> {
        self.open.take()
    }
}

/// Appends the event, or leaves the buffer as it was.
pub(crate) fn append(buffer: &mut Vec<u8>, event: &Event<'_>) -> Result<(), ClientError> {
    let invalid = |error| ClientError::InvalidEvent(InvalidEvent::Event(error));
    let size = event.size();
    let before = buffer.len();
    let room = size.min(CHUNK_BYTES_MAX);
    buffer.resize(before + room, 0);
    let to = buffer.get_mut(before..).unwrap_or_default();
    match event.write(to) {
        Ok(written) => {
            assert!(written == Some(size), "the event fits the room made for it");
            Ok(())
        }
        Err(error) => {
            buffer.truncate(before);
            Err(invalid(error))
        }
    }
}
