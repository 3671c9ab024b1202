//! The shape of a load.

use std::time::Duration;

use quorate_client::{ClientError, Event, InvalidEvent};

/// What is sent, and how much of it at a time. [`Load::new`] has the defaults; set the fields that should differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Addresses of nodes, `host:port`. One is enough: it names the others.
    pub nodes: Vec<String>,
    /// Bytes of each event's payload.
    pub event_size: usize,
    /// Events in a request: each is one chunk.
    pub batch: u32,
    /// Requests that each producer keeps in flight.
    pub in_flight: usize,
    /// Producers, each with a connection of its own.
    pub producers: usize,
    /// How long it may take until all producers are connected.
    pub ready_timeout: Duration,
}

impl Load {
    /// One producer, 64 requests in flight, 64 events a request, 64 bytes an event.
    #[must_use]
    pub fn new<T: Into<String>>(nodes: impl IntoIterator<Item = T>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            event_size: 64,
            batch: 64,
            in_flight: 64,
            producers: 1,
            ready_timeout: Duration::from_secs(10),
        }
    }

    /// A request's events, one behind the other, as a chunk carries them. Keys and payloads differ from event to event.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let mut payload = vec![0; self.event_size];
        let mut state = 0;
        for _ in 0..self.batch {
            let key = draw(&mut state);
            for to in payload.chunks_mut(8) {
                let drawn = draw(&mut state).to_le_bytes();
                to.copy_from_slice(drawn.get(..to.len()).unwrap_or_default());
            }
            let event = Event {
                key,
                time: 0,
                topic: b"",
                payload: &payload,
                priority: 0,
            };
            let before = bytes.len();
            bytes.resize(before + event.size(), 0);
            let room = bytes.get_mut(before..).unwrap_or_default();
            let written = event
                .write(room)
                .map_err(|error| ClientError::InvalidEvent(InvalidEvent::Event(error)))?;
            assert!(written.is_some(), "the room was made for this event");
        }
        Ok(bytes)
    }
}

/// SplitMix64: payloads that no compression shrinks, the same in each run.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quorate_client::{ClientError, Event};

    use super::Load;

    #[test]
    fn a_request_holds_the_events_that_were_asked_for() {
        let load = Load {
            event_size: 13,
            batch: 5,
            ..Load::new(["a:1"])
        };
        let bytes = load.encode().expect("these are small");
        let mut rest = bytes.as_slice();
        let mut keys = BTreeSet::new();
        while !rest.is_empty() {
            let (event, behind) = Event::parse(rest).expect("it was just written");
            assert_eq!(event.payload.len(), 13);
            keys.insert(event.key);
            rest = behind;
        }
        assert_eq!(keys.len(), 5);
        assert_eq!(load.encode().expect("these are small"), bytes);
    }

    #[test]
    fn an_event_over_the_limit_is_refused() {
        let load = Load {
            event_size: 2 << 20,
            ..Load::new(["a:1"])
        };
        assert!(matches!(load.encode(), Err(ClientError::InvalidEvent(_))));
    }
}
