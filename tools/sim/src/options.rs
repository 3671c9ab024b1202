//! What a world is like: written down for the tests of one thing, drawn from the seed for the others.

use quorate_client::member::Reset;
use quorate_replication::log::LogConfig;
use quorate_replication::pipeline::SnapshotConfig;
use quorate_wire::limits::RUNS_MAX;
use quorate_wire::{Edition, NodeId};

use crate::chunks::ChunkWeather;
use crate::network::NetworkWeather;
use crate::random::Random;
use crate::slow_disk::DiskWeather;
use crate::wires::WireWeather;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// A segment that takes the largest write, and little more: filling a large one with zeros is the dearest thing in a small world.
const SMALL_SEGMENT: u64 = (1 << 20) + (64 << 10);

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Draws everything that is left open.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// How many more run, and may be added.
    pub spare: u32,
    /// How many groups.
    pub groups: u32,
    /// By how much a node's monotonic clock may be too fast or too slow, in parts of a million.
    pub drift: u64,
    /// By how much election timeouts grow at most where links show to be slow.
    pub election_slack: u64,
    /// Whether leaders take leases.
    pub lease_reads: bool,
    /// So many nodes, the first ones, begin with the build before, and have the present one from their second process on.
    pub older: u32,
    /// Which node should lead, if one should.
    pub preferred: Option<NodeId>,
    /// How many producers.
    pub producers: u64,
    /// Chunks of each producer.
    pub chunks: u64,
    /// Chunks that a producer keeps on the way.
    pub window: usize,
    /// Nanoseconds between two chunks of a producer, at most.
    pub pause: u64,
    /// Chunks of a producer between two pauses.
    pub burst: u64,
    /// Once in so many losses of its connection, a producer begins a new epoch.
    pub restart_one_in: u64,
    /// What chunks look like.
    pub chunk: ChunkWeather,
    /// How many consumers.
    pub consumers: usize,
    /// How many members has the consumer group.
    pub members: usize,
    /// What they do when the log has let go what they want next.
    pub reset: Reset,
    /// How many sources send events with ids.
    pub sources: u32,
    /// Chunks in flight at which a node's shard takes no further ones.
    pub shard_requests: usize,
    /// The connections of clients.
    pub wires: WireWeather,
    /// The links between nodes.
    pub network: NetworkWeather,
    /// The disks.
    pub disk: DiskWeather,
    /// The logs' files.
    pub log: LogConfig,
    /// Bytes of log that a scrubber reads in a second; zero: none.
    pub scrub: u64,
    /// When snapshots are taken, and what of the log goes then.
    pub snapshots: SnapshotConfig,
    /// Most runs of producers that a state keeps.
    pub runs_max: usize,
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
            spare: 0,
            groups: 1,
            drift: 0,
            election_slack: 100 * MS,
            lease_reads: false,
            older: 0,
            preferred: None,
            producers: 3,
            chunks: 700,
            window: 16,
            pause: MS,
            burst: 1,
            restart_one_in: u64::MAX,
            chunk: ChunkWeather {
                events: 20,
                payload: 200,
                large_one_in: 200,
                large: 100_000,
            },
            consumers: 2,
            members: 0,
            reset: Reset::Refuse,
            sources: 0,
            shard_requests: usize::MAX,
            wires: WireWeather {
                latency: (10 * US, 100 * US),
                capacity: 1 << 20,
                piece: 64 << 10,
            },
            network: NetworkWeather {
                latency: (20 * US, 60 * US),
                spike_one_in: 1000,
                spike: MS,
                kib: 300,
                capacity: 1 << 20,
                piece: 64 << 10,
                chops: true,
            },
            disk: DiskWeather {
                latency: (100 * US, 300 * US),
                read: 0,
                spike_one_in: 500,
                spike: 5 * MS,
                prepare: 20 * MS,
            },
            log: LogConfig {
                segment_bytes: 4 << 20,
                segments_ahead: 2,
                segments_stock: 1,
                stock_bytes: 1 << 20,
            },
            scrub: 0,
            snapshots: SnapshotConfig::NEVER,
            runs_max: RUNS_MAX,
            buffers: 8,
            turn: 20 * US,
            stall_one_in: u64::MAX,
            stall: 0,
        }
    }

    /// The edition that a node's build has in its process of this number, from 1.
    #[must_use]
    pub fn edition_of(&self, node: NodeId, process: u32) -> Edition {
        if process == 1 && node.0 <= self.older.min(self.nodes) {
            Edition::FIRST
        } else {
            Edition::BUILD
        }
    }

    /// A node's priority as a leader.
    #[must_use]
    pub fn priority_of(&self, node: NodeId) -> u8 {
        if self.preferred == Some(node) { 2 } else { 1 }
    }

    /// A healthy world of three nodes with a light load: what the simulator's speed is told of.
    #[must_use]
    pub fn light(seed: u64) -> Self {
        let calm = Self::calm(seed, 3);
        Self {
            producers: 2,
            chunks: u64::MAX,
            window: 8,
            pause: 300 * MS,
            burst: 8,
            chunk: ChunkWeather {
                events: 8,
                payload: 64,
                large_one_in: u64::MAX,
                large: 1,
            },
            consumers: 1,
            network: NetworkWeather {
                chops: false,
                ..calm.network
            },
            log: LogConfig {
                segment_bytes: SMALL_SEGMENT,
                segments_ahead: 1,
                segments_stock: 0,
                stock_bytes: 1 << 20,
            },
            buffers: 4,
            ..calm
        }
    }

    /// A world of three nodes whose logs have many small segments, all of which stay.
    #[must_use]
    pub fn long(seed: u64) -> Self {
        Self {
            chunks: 120,
            window: 8,
            pause: 20 * MS,
            chunk: ChunkWeather {
                events: 4,
                payload: 200,
                large_one_in: 2,
                large: 100_000,
            },
            log: LogConfig {
                segment_bytes: SMALL_SEGMENT,
                segments_ahead: 1,
                segments_stock: 2,
                stock_bytes: 1 << 20,
            },
            snapshots: SnapshotConfig {
                records: 20,
                ..SnapshotConfig::NEVER
            },
            ..Self::calm(seed, 3)
        }
    }

    /// A world whose every dial is drawn: few things go wrong together when all of them go wrong all the time.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed, "options");
        let calm = Self::calm(seed, random.of(&[1, 3, 3, 3, 3, 5]));
        let spare = Random::new(seed, "spare").of(&[0, 0, 0, 1, 2, 3]);
        let least = random.scaled(5 * US, 500 * US);
        let quick = random.scaled(30 * US, 3 * MS);
        // A link that takes longer for one record than an election timeout cannot carry it, whatever the nodes do.
        let capacity = random.scaled(32 << 10, 4 << 20);
        let piece = capacity / random.between(1, 8);
        let chunk = ChunkWeather {
            events: random.of(&[1, 20, 200]),
            payload: random.scaled(10, 2000),
            large_one_in: random.of(&[10, 50, 1000]),
            large: random.scaled(1000, 900_000),
        };
        let producers = random.between(1, 4);
        // Members have worlds of their own (`tests/world.rs`): in drawn ones with very slow disks some do not get to the end yet.
        let members = Random::new(seed, "members").of(&[0, 0, 1, 2, 4]);
        let mut kept = Random::new(seed, "snapshots");
        let resets = [Reset::Refuse, Reset::Earliest, Reset::Latest];
        let reset = Random::new(seed, "resets").of(&resets);
        // A consumer group would read everything, however late, unless it is told otherwise: then the log stays.
        let stays = members > 0 && reset == Reset::Refuse;
        let bytes = chunk.events * (chunk.payload + 100) / 8 + chunk.large / chunk.large_one_in;
        // About as many bytes of records has the log. Few of them find most of what many find, and in a tenth of the time.
        let groups = random.of(&[1, 1, 1, 1, 2, 3]);
        let log_bytes: u64 = random.of(&[1 << 17, 1 << 18, 1 << 19, 1 << 20, 2 << 20]);
        let chunks = (log_bytes / bytes / producers).clamp(20, 2000) / u64::from(groups);
        let window = random.of(&[1, 4, 16, 64]);
        // Retries of all that is on the way must be known, and little more.
        let runs = (usize::try_from(producers).expect("few") * (window + 2)) * 8 / 7 + 8;
        let drawn = Self {
            spare,
            groups,
            drift: random.of(&[0, 0, 1000, 30_000]),
            lease_reads: Random::new(seed, "leases").one_in(3),
            election_slack: Random::new(seed, "slack").of(&[0, 100 * MS, 100 * MS, 1000 * MS]),
            older: Random::new(seed, "older").of(&[0, 0, 1, 3]),
            preferred: Random::new(seed, "preferred").of(&[None, None, None, Some(NodeId(1))]),
            producers,
            chunks,
            window,
            pause: random.of(&[0, 1, 2]) * (5000 * MS / chunks),
            burst: random.of(&[1, 1, 8]),
            restart_one_in: random.of(&[10, u64::MAX, u64::MAX]),
            chunk,
            consumers: random.below(4),
            members,
            reset,
            sources: Random::new(seed, "sources").of(&[0, 0, 1, 2]),
            shard_requests: Random::new(seed, "shards").of(&[usize::MAX, usize::MAX, 64, 8]),
            network: NetworkWeather {
                latency: (least, least + random.scaled(1, 4 * least)),
                spike_one_in: random.of(&[100, 1000, 100_000]),
                spike: random.scaled(MS, 80 * MS),
                kib: random.of(&[100, 300, 3000]),
                capacity: usize::try_from(capacity).expect("it fits"),
                piece: usize::try_from(piece).expect("it fits"),
                chops: random.of(&[true, true, false]),
            },
            disk: DiskWeather {
                latency: (quick, quick + random.scaled(1, 4 * quick)),
                read: random.of(&[0, 0, 2 * MS, 200 * MS]),
                spike_one_in: random.of(&[20, 200, 100_000]),
                spike: random.scaled(MS, 100 * MS),
                prepare: random.scaled(MS, 300 * MS),
            },
            log: LogConfig {
                segment_bytes: random.of(&[SMALL_SEGMENT, SMALL_SEGMENT, 2 << 20, 4 << 20]),
                segments_ahead: random.of(&[1, 2]),
                segments_stock: Random::new(seed, "stock").of(&[0, 0, 1, 3]),
                stock_bytes: 1 << 20,
            },
            snapshots: SnapshotConfig {
                records: kept.of(&[u64::MAX, 10, 50, 200]),
                send_bytes: kept.of(&[64 << 10, 1 << 20, u64::MAX]),
                // What two snapshots have goes at once, or when there is more than a segment of it.
                retain_bytes: if stays {
                    u64::MAX
                } else {
                    kept.of(&[u64::MAX, 0, 0, 2 << 20])
                },
                ..SnapshotConfig::NEVER
            },
            runs_max: Random::new(seed, "runs").of(&[RUNS_MAX, runs, 4 * runs]),
            buffers: random.of(&[4, 5, 8]),
            turn: random.scaled(US, 200 * US),
            stall_one_in: random.of(&[1000, u64::MAX, u64::MAX]),
            stall: random.scaled(MS, 400 * MS),
            wires: WireWeather {
                latency: (10 * US, random.scaled(20 * US, 20 * MS)),
                capacity: random.of(&[8 << 10, 64 << 10, 1 << 20]),
                piece: random.of(&[100, 4 << 10, 64 << 10]),
            },
            scrub: random.of(&[0, 0, 1 << 20]),
            ..calm
        };
        if Random::new(seed, "forgets").one_in(8) && !stays {
            drawn.forgetful(&mut Random::new(seed, "forgetful"))
        } else {
            drawn
        }
    }

    /// The same, with a log of several segments that are let go at once: their files are used again.
    fn forgetful(self, random: &mut Random) -> Self {
        let large = random.between(50_000, 400_000);
        let log_bytes = random.between(6 << 20, 12 << 20);
        let chunks = log_bytes / large * 2 / self.producers;
        Self {
            groups: 1,
            chunk: ChunkWeather {
                large_one_in: 2,
                large,
                ..self.chunk
            },
            chunks,
            pause: 5000 * MS / chunks,
            log: LogConfig {
                segment_bytes: SMALL_SEGMENT,
                ..self.log
            },
            snapshots: SnapshotConfig {
                records: random.of(&[3, 10]),
                retain_bytes: 0,
                ..self.snapshots
            },
            ..self
        }
    }
}
