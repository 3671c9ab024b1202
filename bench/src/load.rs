//! The shape of a load.

use std::num::NonZeroU64;
use std::time::Duration;

use quorate_client::{AckLevel, ClientError, Event, InvalidEvent};

/// What decides when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// An acknowledgement: each producer keeps its window full. Shows what is possible.
    Closed,
    /// A fixed schedule, whatever the nodes do. Shows what a caller with events of its own would see.
    Open {
        /// Events a second, over all producers.
        events_per_s: NonZeroU64,
    },
}

/// What is sent, and how much of it at a time. [`Load::new`] has the defaults; set the fields that should differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Addresses of nodes, `host:port`. One is enough: it names the others.
    pub nodes: Vec<String>,
    /// Bytes of each event's payload.
    pub event_size: usize,
    /// Events in a request: each is one chunk.
    pub batch: u32,
    /// When requests are sent.
    pub pace: Pace,
    /// Requests that each producer keeps in flight; in an open loop, has in flight at most.
    pub in_flight: usize,
    /// Producers, each with a connection of its own.
    pub producers: usize,
    /// How many different keys the events have, one after the other; by default as many as a request has events.
    pub keys: Option<usize>,
    /// Whether each event has an id that was never there before, instead of a sequence. A cluster knows as many as
    /// [`EVENT_IDS_MAX`](quorate_wire::limits::EVENT_IDS_MAX): that
    /// many events are sent, and no more.
    pub ids: bool,
    /// Who is shed first when a node has much to do: lower goes first.
    pub priority: u8,
    /// What an acknowledgement is to promise.
    pub acks: AckLevel,
    /// One in so many requests is told how long its stages took; zero: none.
    pub trace_one_in: u64,
    /// So many requests of a stretch are remembered [one by one](crate::Measured::each), the first ones.
    pub each: usize,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long requests may stay without any answer before the connection counts as dead.
    pub request_timeout: Duration,
    /// How long it may take until all producers are connected.
    pub ready_timeout: Duration,
}

impl Load {
    /// A closed loop: one producer, 64 requests in flight, 64 events a request, 64 bytes an event.
    #[must_use]
    pub fn new<T: Into<String>>(nodes: impl IntoIterator<Item = T>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            event_size: 64,
            batch: 64,
            pace: Pace::Closed,
            in_flight: 64,
            producers: 1,
            keys: None,
            ids: false,
            priority: 0,
            acks: AckLevel::Quorum,
            trace_one_in: 0,
            each: 0,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(2),
            ready_timeout: Duration::from_secs(10),
        }
    }

    /// Requests that have all keys between them: the events of each, one behind the other, as a chunk carries them. Payloads
    /// differ from event to event.
    pub(crate) fn encode(&self) -> Result<Vec<Vec<u8>>, ClientError> {
        let batch = usize::try_from(self.batch.max(1)).expect("32 bits fit into a size");
        let keys = self.keys.unwrap_or(batch).max(1);
        let drawn: Vec<u64> = (0..keys).map(key_of).collect();
        let mut drawn = drawn.iter().copied().cycle();
        let mut chance = 0;
        (0..keys.div_ceil(batch))
            .map(|_| self.encode_one(&mut drawn, &mut chance))
            .collect()
    }

    fn encode_one(
        &self,
        keys: &mut impl Iterator<Item = u64>,
        chance: &mut u64,
    ) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let mut payload = vec![0; self.event_size];
        for _ in 0..self.batch {
            for to in payload.chunks_mut(8) {
                let drawn = draw(chance).to_le_bytes();
                to.copy_from_slice(drawn.get(..to.len()).unwrap_or_default());
            }
            let event = Event {
                key: keys.next().expect("keys go round and round"),
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

/// Keys spread over all of theirs.
fn key_of(number: usize) -> u64 {
    let mut state = u64::try_from(number).expect("a size fits into 64 bits");
    draw(&mut state)
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

    /// The keys of requests, in order.
    fn keys(load: &Load) -> Vec<Vec<u64>> {
        let requests = load.encode().expect("these are small");
        let of = |bytes: &Vec<u8>| {
            let mut rest = bytes.as_slice();
            let mut keys = Vec::new();
            while !rest.is_empty() {
                let (event, behind) = Event::parse(rest).expect("it was just written");
                assert_eq!(event.payload.len(), load.event_size);
                keys.push(event.key);
                rest = behind;
            }
            keys
        };
        requests.iter().map(of).collect()
    }

    #[test]
    fn a_request_holds_the_events_that_were_asked_for() {
        let load = Load {
            event_size: 13,
            batch: 5,
            ..Load::new(["a:1"])
        };
        let one = keys(&load);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(load.encode().ok(), load.encode().ok(), "the same each time");
    }

    #[test]
    fn there_are_as_many_keys_as_were_asked_for() {
        let load = |keys, batch| Load {
            keys: Some(keys),
            batch,
            ..Load::new(["a:1"])
        };
        for (count, batch) in [(1, 4), (3, 4), (4, 4), (10, 4), (7, 1)] {
            let keys = keys(&load(count, batch)).concat();
            let different: BTreeSet<_> = keys.iter().collect();
            assert_eq!(different.len(), count, "{count} keys, {batch} a request");
        }
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
