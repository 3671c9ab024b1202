//! The configuration of a node: a TOML file in which every key has a default but `cluster`, `node` and `nodes`.
//!
//! Owns: the keys, their defaults and bounds, and the sentence for whoever wrote a wrong one. Never: opens a socket or a data
//! directory. Called by: the node at its start, and the command line, which writes files for local clusters.
//! `docs/configuration.md` lists every key; a test holds it against this file.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use quorate_wire::limits::WINDOW_REQUESTS_MAX;
use quorate_wire::{ClusterName, ErrorCode, NodeId};
use serde::{Deserialize, Serialize};

use self::file::File;
pub(crate) use self::file::split_address;

/// What a node is told at its start. Whoever holds one holds a configuration that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The cluster.
    pub cluster: ClusterName,
    /// This node.
    pub node: NodeId,
    /// The data directory.
    pub data: PathBuf,
    /// Which cores the threads get.
    pub pin: Pin,
    /// This node forms no group: it waits to be added to one.
    pub join: bool,
    /// The nodes that form the group, by rising id, this one among them; of a node that joins one, perhaps only itself.
    pub nodes: Vec<NodeConfig>,
    /// Bounds towards clients.
    pub limits: Limits,
    /// Raft's times.
    pub raft: RaftConfig,
    /// The log's files and memory.
    pub log: LogConfig,
    /// Snapshots of the state.
    pub snapshot: SnapshotConfig,
    /// The threads that face clients.
    pub shards: ShardsConfig,
    /// The thread that faces disk and peers.
    pub pipeline: PipelineConfig,
}

/// One node of the cluster, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node.
    pub id: NodeId,
    /// Where clients connect, `host:port`.
    pub client: String,
    /// Where peers connect, `host:port`.
    pub peer: String,
}

/// Which cores the pipeline and shard threads get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// A core for each thread, if the host has that many for all nodes on it; none otherwise.
    #[default]
    Auto,
    /// None: the operating system moves the threads.
    Off,
    /// These: the pipeline's first, then one for each shard.
    Cores(Vec<usize>),
}

/// Bounds towards clients. At each of them the client is told; memory does not grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections of the node.
    pub connections: usize,
    /// Bytes of chunks in flight on one connection.
    pub connection_bytes: usize,
    /// Requests in flight on one connection: at most so many as a producer's retries are remembered for.
    pub connection_requests: usize,
    /// Fetches in flight on one connection.
    pub connection_fetches: usize,
    /// Bytes of answers that one connection has not taken yet; beyond it, it is closed as a slow reader.
    pub connection_output_bytes: usize,
    /// Events that one connection may send in a second; zero: as many as it likes.
    pub connection_events_per_second: u64,
    /// Bytes of chunks that one connection may send in a second; zero: as many as it likes.
    pub connection_bytes_per_second: u64,
    /// Requests in flight on one shard.
    pub shard_requests: usize,
    /// Fetches in flight on one shard.
    pub shard_fetches: usize,
    /// Bytes of chunks in flight on one shard.
    pub shard_bytes: usize,
    /// How long a client may take to greet.
    pub hello_ms: u64,
    /// How long a frame may take from its first byte to its last.
    pub frame_ms: u64,
    /// The longest that a fetch waits for a record.
    pub fetch_wait_ms: u64,
    /// How long a node that is told to stop waits for the answers in flight.
    pub stop_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connection_bytes: 16 << 20,
            connection_requests: WINDOW_REQUESTS_MAX,
            connection_fetches: 4,
            connection_output_bytes: 20 << 20,
            connection_events_per_second: 0,
            connection_bytes_per_second: 0,
            shard_requests: 16_384,
            shard_fetches: 1024,
            shard_bytes: 64 << 20,
            hello_ms: 5000,
            frame_ms: 10_000,
            fetch_wait_ms: 30_000,
            stop_ms: 5000,
        }
    }
}

/// Raft's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RaftConfig {
    /// How often a leader that has nothing to say says that it lives.
    pub heartbeat_ms: u64,
    /// The shortest silence after which a node asks for an election.
    pub election_min_ms: u64,
    /// The longest.
    pub election_max_ms: u64,
    /// By how much both grow at most where links or peers show to be slow; zero: they stay.
    pub election_slack_ms: u64,
    /// Whether reads may be answered by a lease instead of a round.
    pub lease_reads: bool,
    /// The lead goes to the highest one that can lead.
    pub priority: u8,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 50,
            election_min_ms: 150,
            election_max_ms: 300,
            election_slack_ms: 100,
            lease_reads: false,
            priority: 1,
        }
    }
}

/// The log's files and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Size of a segment file.
    pub segment_mib: u64,
    /// Segments that are filled with zeros ahead of need, while the log works.
    pub segments_ahead: usize,
    /// Further ones that are filled while there is time.
    pub segments_stock: usize,
    /// How fast.
    pub stock_mib_per_second: u64,
    /// Memory for the end of the log.
    pub memory_mib: usize,
    /// How much of the log the scrubber reads in a second; zero: nothing.
    pub scrub_mib_per_second: u64,
    /// The oldest segments go, once two snapshots have what they amount to, while so many bytes are left; zero: not for that.
    pub retain_bytes: u64,
    /// They go when their last record is so old; zero: not for that.
    pub retain_hours: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_mib: 64,
            segments_ahead: 2,
            segments_stock: 2,
            stock_mib_per_second: 16,
            memory_mib: 32,
            scrub_mib_per_second: 4,
            retain_bytes: 0,
            retain_hours: 0,
        }
    }
}

/// Snapshots of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotConfig {
    /// One is taken after so much log,
    pub log_mib: u64,
    /// or after so many records.
    pub records: u64,
    /// How much of one is sent to the other nodes in a second.
    pub send_mib_per_second: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            log_mib: 512,
            records: 5_000_000,
            send_mib_per_second: 64,
        }
    }
}

/// The threads that face clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardsConfig {
    /// How many.
    pub count: usize,
    /// How long each looks for work before it sleeps; zero: it sleeps at once.
    pub spin_us: u64,
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self {
            count: 1,
            spin_us: 0,
        }
    }
}

/// The thread that faces disk and peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// How long it looks for work before it sleeps; zero: it sleeps at once.
    pub spin_us: u64,
}

/// What flags and the environment say in place of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `node`.
    pub node: Option<NodeId>,
    /// In place of `data`.
    pub data: Option<PathBuf>,
    /// In place of `pin`.
    pub pin: Option<Pin>,
}

/// A configuration that cannot be used, and the sentence that says which key and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ConfigError {
    sentence: String,
}

impl ConfigError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
        }
    }

    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::ConfigInvalid
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, has a key that does not exist, or a value out of its bounds.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("{}: {error}", path.display())))?;
        Self::parse(&text, overrides)
            .map_err(|error| ConfigError::new(format!("{}: {error}", path.display())))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn parse(text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                let before = text.get(..span.start).unwrap_or(text);
                1 + before.matches('\n').count()
            });
            // The parser's sentence may run over several lines; a log line is one.
            let message = error.message().trim().replace('\n', "; ");
            ConfigError::new(format!("line {line}: {message}"))
        })?;
        file.check(overrides)
    }

    /// The file that says the same.
    ///
    /// # Panics
    /// Never: every value of a configuration has a form in TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&File::of(self)).expect("every value has a form in TOML")
    }

    /// This node's own entry.
    ///
    /// # Panics
    /// Never: a configuration lists its own node.
    #[must_use]
    pub fn this(&self) -> &NodeConfig {
        self.nodes
            .iter()
            .find(|node| node.id == self.node)
            .expect("the node is in the list: it was checked")
    }
}

impl std::str::FromStr for Pin {
    type Err = ConfigError;

    /// As a flag has it: `auto`, `off`, or cores with commas between them.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            list => list
                .split(',')
                .map(|core| core.trim().parse().ok())
                .collect::<Option<Vec<usize>>>()
                .map(Self::Cores)
                .ok_or_else(|| {
                    ConfigError::new(format!(
                        "`pin` takes auto, off, or cores with commas between them, not `{text}`"
                    ))
                }),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Cores(cores) => write!(f, "cores {cores:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
