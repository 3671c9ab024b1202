//! The configuration of a node: a TOML file in which every key has a default but `cluster`, `node` and `nodes`.
//!
//! Owns: the keys, their defaults and bounds, and the sentence for whoever wrote a wrong one. Never: opens a socket or a data
//! directory. Called by: the node at its start, and the command line, which writes files for local clusters.
//! `docs/configuration.md` lists every key; a test holds it against this file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use quorate_wire::limits::{ADDRESS_BYTES_MAX, CHUNK_BYTES_MAX, NODES_MAX};
use quorate_wire::{ClusterName, ErrorCode, NodeId};
use serde::{Deserialize, Serialize};

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
    /// All nodes of the cluster, by rising id, this one among them.
    pub nodes: Vec<NodeConfig>,
    /// Bounds towards clients.
    pub limits: Limits,
    /// Raft's times.
    pub raft: RaftConfig,
    /// The log's files and memory.
    pub log: LogConfig,
    /// The threads that face clients.
    pub shards: ShardsConfig,
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
    /// Requests in flight on one connection.
    pub connection_requests: usize,
    /// Fetches in flight on one connection.
    pub connection_fetches: usize,
    /// Bytes of answers that one connection has not taken yet; beyond it, it is closed as a slow reader.
    pub connection_output_bytes: usize,
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
            connection_requests: 4096,
            connection_fetches: 4,
            connection_output_bytes: 20 << 20,
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
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 50,
            election_min_ms: 150,
            election_max_ms: 300,
        }
    }
}

/// The log's files and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Size of a segment file.
    pub segment_mib: u64,
    /// Segments that are filled with zeros ahead of need.
    pub segments_ahead: usize,
    /// Memory for the end of the log.
    pub memory_mib: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_mib: 64,
            segments_ahead: 2,
            memory_mib: 32,
        }
    }
}

/// The threads that face clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardsConfig {
    /// How many.
    pub count: usize,
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self { count: 1 }
    }
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
        let file = File {
            cluster: self.cluster.to_string(),
            node: Some(self.node.0),
            data: Some(self.data.clone()),
            pin: PinText::from(&self.pin),
            limits: self.limits.clone(),
            raft: self.raft.clone(),
            log: self.log.clone(),
            shards: self.shards.clone(),
            nodes: self
                .nodes
                .iter()
                .map(|node| NodeText {
                    id: node.id.0,
                    client: Some(node.client.clone()),
                    peer: Some(node.peer.clone()),
                })
                .collect(),
        };
        toml::to_string(&file).expect("every value has a form in TOML")
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

/// The file's own shape.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    node: Option<u32>,
    data: Option<PathBuf>,
    #[serde(default)]
    pin: PinText,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    raft: RaftConfig,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    shards: ShardsConfig,
    nodes: Vec<NodeText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    id: u32,
    client: Option<String>,
    peer: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`pin` takes \"auto\", \"off\" or a list of cores"
)]
enum PinText {
    Word(PinWord),
    Cores(Vec<usize>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PinWord {
    Auto,
    Off,
}

impl Default for PinText {
    fn default() -> Self {
        Self::Word(PinWord::Auto)
    }
}

impl From<&Pin> for PinText {
    fn from(pin: &Pin) -> Self {
        match pin {
            Pin::Auto => Self::Word(PinWord::Auto),
            Pin::Off => Self::Word(PinWord::Off),
            Pin::Cores(cores) => Self::Cores(cores.clone()),
        }
    }
}

impl From<PinText> for Pin {
    fn from(text: PinText) -> Self {
        match text {
            PinText::Word(PinWord::Auto) => Self::Auto,
            PinText::Word(PinWord::Off) => Self::Off,
            PinText::Cores(cores) => Self::Cores(cores),
        }
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

impl File {
    fn check(self, overrides: &Overrides) -> Result<Config, ConfigError> {
        let cluster = ClusterName::new(&self.cluster).ok_or_else(|| {
            ConfigError::new(format!(
                "`cluster` takes 1 to 16 printable characters without spaces, not `{}`",
                self.cluster
            ))
        })?;
        let node = overrides
            .node
            .or(self.node.map(NodeId))
            .ok_or_else(|| ConfigError::new("`node` is missing: which of `nodes` is this one?"))?;
        let nodes = check_nodes(self.nodes, node)?;
        check_limits(&self.limits)?;
        check_raft(&self.raft)?;
        within("log.segment_mib", self.log.segment_mib, 4, 4096)?;
        within("log.segments_ahead", self.log.segments_ahead, 1, 16)?;
        within("log.memory_mib", self.log.memory_mib, 8, 4096)?;
        within("shards.count", self.shards.count, 1, 64)?;
        let pin = overrides.pin.clone().unwrap_or_else(|| self.pin.into());
        let threads = crate::pin::threads(self.shards.count);
        if let Pin::Cores(cores) = &pin
            && cores.len() != threads
        {
            return Err(ConfigError::new(format!(
                "`pin` lists {} cores for {threads} threads: one pipeline, then {} of the shards",
                cores.len(),
                self.shards.count
            )));
        }
        let data = overrides
            .data
            .clone()
            .or(self.data)
            .unwrap_or_else(|| PathBuf::from(format!("./quorate-data/node-{node}")));
        Ok(Config {
            cluster,
            node,
            data,
            pin,
            nodes,
            limits: self.limits,
            raft: self.raft,
            log: self.log,
            shards: self.shards,
        })
    }
}

fn check_nodes(listed: Vec<NodeText>, this: NodeId) -> Result<Vec<NodeConfig>, ConfigError> {
    if listed.len().is_multiple_of(2) || listed.len() > NODES_MAX {
        return Err(ConfigError::new(format!(
            "`nodes` takes 1, 3, 5 or 7 nodes, not {}: an even number tolerates no more failures than one less",
            listed.len()
        )));
    }
    let mut ids = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut nodes = Vec::with_capacity(listed.len());
    for text in listed {
        let id = text.id;
        if id == 0 || !ids.insert(id) {
            return Err(ConfigError::new(format!(
                "`nodes` has the id {id} twice, or as 0: ids are 1 and up, each once"
            )));
        }
        let client = check_address(id, "client", text.client, 9000)?;
        let peer = check_address(id, "peer", text.peer, 9100)?;
        for address in [&client, &peer] {
            if !addresses.insert(address.clone()) {
                return Err(ConfigError::new(format!(
                    "`nodes` has the address {address} twice"
                )));
            }
        }
        nodes.push(NodeConfig {
            id: NodeId(id),
            client,
            peer,
        });
    }
    if !ids.contains(&this.0) {
        return Err(ConfigError::new(format!(
            "`node` is {this}, which is not in `nodes`"
        )));
    }
    nodes.sort_by_key(|node| node.id);
    Ok(nodes)
}

/// An address that was left out is on loopback: a node is reachable from elsewhere only if its file says so.
fn check_address(
    id: u32,
    key: &str,
    address: Option<String>,
    port_base: u32,
) -> Result<String, ConfigError> {
    let address = address.unwrap_or_else(|| format!("127.0.0.1:{}", port_base + id));
    let fits = address.len() <= ADDRESS_BYTES_MAX
        && split_address(&address).is_some_and(|(host, _)| {
            !host.is_empty()
                && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'))
        });
    if fits {
        Ok(address)
    } else {
        Err(ConfigError::new(format!(
            "`{key}` of node {id} takes host:port of at most {ADDRESS_BYTES_MAX} characters, not `{address}`"
        )))
    }
}

/// Host and port of an address; `None` if it is none.
pub(crate) fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    (port > 0).then_some((host, port))
}

fn check_limits(limits: &Limits) -> Result<(), ConfigError> {
    let chunk = CHUNK_BYTES_MAX;
    within("limits.connections", limits.connections, 1, 65_536)?;
    within(
        "limits.connection_bytes",
        limits.connection_bytes,
        chunk,
        1 << 30,
    )?;
    within(
        "limits.connection_requests",
        limits.connection_requests,
        1,
        65_536,
    )?;
    within(
        "limits.connection_fetches",
        limits.connection_fetches,
        1,
        256,
    )?;
    within(
        "limits.connection_output_bytes",
        limits.connection_output_bytes,
        4 << 20,
        1 << 30,
    )?;
    within("limits.shard_requests", limits.shard_requests, 1, 1 << 20)?;
    within("limits.shard_fetches", limits.shard_fetches, 1, 8192)?;
    within("limits.shard_bytes", limits.shard_bytes, chunk, 1 << 36)?;
    within("limits.hello_ms", limits.hello_ms, 1, 600_000)?;
    within("limits.frame_ms", limits.frame_ms, 1, 600_000)?;
    within("limits.fetch_wait_ms", limits.fetch_wait_ms, 0, 600_000)?;
    within("limits.stop_ms", limits.stop_ms, 0, 600_000)
}

fn check_raft(raft: &RaftConfig) -> Result<(), ConfigError> {
    within("raft.heartbeat_ms", raft.heartbeat_ms, 1, 10_000)?;
    within(
        "raft.election_min_ms",
        raft.election_min_ms,
        2 * raft.heartbeat_ms,
        60_000,
    )?;
    within(
        "raft.election_max_ms",
        raft.election_max_ms,
        raft.election_min_ms + 1,
        120_000,
    )
}

fn within<T: PartialOrd + fmt::Display>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    if value < least || value > most {
        return Err(ConfigError::new(format!(
            "`{key}` takes {least} to {most}, not {value}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
