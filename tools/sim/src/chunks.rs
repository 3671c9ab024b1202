//! The chunks that a test producer makes: the same ones for the same producer and place, however often they are asked for.

use bytes::Bytes;
use quorate_replication::lane::{Acks, Produced};
use quorate_wire::{CHUNK_HEADER_BYTES, ChunkId, Epoch, Event, ProducerId, Sequence, seal_chunk};

use crate::random::Random;

/// What chunks look like.
#[derive(Clone, Copy, Debug)]
pub struct ChunkWeather {
    /// Most events of a chunk.
    pub events: u64,
    /// Most bytes of a payload.
    pub payload: u64,
    /// Once in so many chunks, one is as large as `large`.
    pub large_one_in: u64,
    /// Bytes.
    pub large: u64,
}

/// Appends the events of the chunk that begins at a sequence of an epoch, and returns how many they are.
pub(crate) fn fill(
    seed: u64,
    weather: ChunkWeather,
    producer: ProducerId,
    (epoch, first): (Epoch, Sequence),
    bytes: &mut Vec<u8>,
) -> u32 {
    let place = seed ^ producer.0.rotate_left(32) ^ u64::from(epoch.0).rotate_left(48) ^ first.0;
    let mut random = Random::new(place, "chunk");
    let events = u32::try_from(random.scaled(1, weather.events)).expect("a few events");
    let large = random.one_in(weather.large_one_in);
    let mut payload = Vec::new();
    for at in 0..u64::from(events) {
        let length = if large {
            weather.large / u64::from(events)
        } else {
            random.scaled(1, weather.payload)
        };
        let filler = random.any().to_le_bytes();
        let length = usize::try_from(length).expect("a payload fits into memory");
        payload.clear();
        while payload.len() < length {
            payload.extend_from_slice(&filler);
        }
        payload.truncate(length);
        let event = Event {
            key: producer.0 * 2 + at % 2,
            time: first.0 + at,
            topic: b"sim",
            payload: &payload,
            priority: 0,
        };
        let from = bytes.len();
        bytes.resize(from + event.size(), 0);
        let written = event.write(bytes.get_mut(from..).unwrap_or_default());
        assert_eq!(written, Ok(Some(event.size())), "the room was made for it");
    }
    events
}

/// The whole chunk of a producer that begins at a sequence of an epoch, as it is sent.
#[must_use]
pub fn make(
    seed: u64,
    weather: ChunkWeather,
    producer: ProducerId,
    (epoch, first): (Epoch, Sequence),
) -> Produced {
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    let events = fill(seed, weather, producer, (epoch, first), &mut bytes);
    let id = ChunkId {
        producer,
        epoch,
        first,
        events,
    };
    seal_chunk(id, &mut bytes).expect("a chunk within its limits");
    Produced {
        id,
        chunks: 1,
        bytes: Bytes::from(bytes),
        acks: Acks::default(),
        trace: None,
    }
}
