//! What a world is like: written down for the tests of one thing, drawn from the seed for the others.

use quorate_replication::log::LogConfig;

use crate::chunks::ChunkWeather;
use crate::network::NetworkWeather;
use crate::random::Random;
use crate::slow_disk::DiskWeather;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Draws everything that is left open.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// How many producers.
    pub producers: u64,
    /// Chunks of each producer.
    pub chunks: u64,
    /// Chunks that a producer keeps on the way.
    pub window: usize,
    /// Nanoseconds between two chunks of a producer, at most.
    pub pause: u64,
    /// What chunks look like.
    pub chunk: ChunkWeather,
    /// How many consumers.
    pub consumers: usize,
    /// The links between nodes.
    pub network: NetworkWeather,
    /// The disks.
    pub disk: DiskWeather,
    /// The logs' files.
    pub log: LogConfig,
    /// Buffers of each pipeline.
    pub buffers: usize,
    /// Nanoseconds that a turn takes at most.
    pub turn: u64,
    /// Once in so many turns, the thread is away for up to `stall`.
    pub stall_one_in: u64,
    /// Nanoseconds.
    pub stall: u64,
}

impl Options {
    /// A healthy world of so many nodes.
    #[must_use]
    pub fn calm(seed: u64, nodes: u32) -> Self {
        Self {
            seed,
            nodes,
            producers: 3,
            chunks: 700,
            window: 16,
            pause: MS,
            chunk: ChunkWeather {
                events: 20,
                payload: 200,
                large_one_in: 200,
                large: 100_000,
            },
            consumers: 2,
            network: NetworkWeather {
                latency: (20 * US, 60 * US),
                spike_one_in: 1000,
                spike: MS,
                kib: 300,
                capacity: 1 << 20,
                piece: 64 << 10,
            },
            disk: DiskWeather {
                latency: (100 * US, 300 * US),
                spike_one_in: 500,
                spike: 5 * MS,
                prepare: 20 * MS,
            },
            log: LogConfig {
                segment_bytes: 4 << 20,
                segments_ahead: 2,
            },
            buffers: 8,
            turn: 20 * US,
            stall_one_in: u64::MAX,
            stall: 0,
        }
    }

    /// A world whose every dial is drawn: few things go wrong together when all of them go wrong all the time.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed, "options");
        let calm = Self::calm(seed, random.of(&[1, 3, 3, 3, 3, 5]));
        let least = random.scaled(5 * US, 500 * US);
        let quick = random.scaled(30 * US, 3 * MS);
        Self {
            producers: random.between(1, 4),
            chunks: random.scaled(50, 600),
            window: random.of(&[1, 4, 16, 64]),
            pause: random.of(&[0, MS, 20 * MS]),
            chunk: ChunkWeather {
                events: random.of(&[1, 20, 200]),
                payload: random.scaled(10, 2000),
                large_one_in: random.of(&[10, 50, 1000]),
                large: random.scaled(1000, 900_000),
            },
            consumers: random.below(4),
            network: NetworkWeather {
                latency: (least, least + random.scaled(1, 4 * least)),
                spike_one_in: random.of(&[20, 200, 100_000]),
                spike: random.scaled(MS, 80 * MS),
                kib: random.of(&[100, 300, 3000]),
                capacity: usize::try_from(random.scaled(4 << 10, 4 << 20)).expect("it fits"),
                piece: usize::try_from(random.scaled(512, 256 << 10)).expect("it fits"),
            },
            disk: DiskWeather {
                latency: (quick, quick + random.scaled(1, 4 * quick)),
                spike_one_in: random.of(&[20, 200, 100_000]),
                spike: random.scaled(MS, 100 * MS),
                prepare: random.scaled(MS, 300 * MS),
            },
            log: LogConfig {
                segment_bytes: random.of(&[2 << 20, 4 << 20, 8 << 20]),
                segments_ahead: random.of(&[1, 2]),
            },
            buffers: random.of(&[4, 5, 8]),
            turn: random.scaled(US, 200 * US),
            stall_one_in: random.of(&[1000, u64::MAX, u64::MAX]),
            stall: random.scaled(MS, 400 * MS),
            ..calm
        }
    }
}
