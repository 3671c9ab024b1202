//! The file's own shape, and every check between it and a [`Config`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use quorate_wire::limits::{
    ADDRESS_BYTES_MAX, CHUNK_BYTES_MAX, MEMBERS_MAX, NODES_MAX, WINDOW_REQUESTS_MAX,
};
use quorate_wire::{ClusterName, NodeId};
use serde::{Deserialize, Serialize};

use super::{
    Config, ConfigError, Limits, LogConfig, NodeConfig, Overrides, Pin, PipelineConfig, RaftConfig,
    ShardsConfig, SnapshotConfig,
};

/// The longest that a thread spins: whoever means more than a disk takes means that it never sleeps, and a heartbeat is late.
const SPIN_US_MAX: u64 = 10_000;

/// The file's own shape.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    cluster: String,
    node: Option<u32>,
    data: Option<PathBuf>,
    #[serde(default)]
    join: bool,
    #[serde(default)]
    pin: PinText,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    raft: RaftConfig,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    snapshot: SnapshotConfig,
    #[serde(default)]
    shards: ShardsConfig,
    #[serde(default)]
    pipeline: PipelineConfig,
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

impl File {
    /// The file that says the same.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            cluster: config.cluster.to_string(),
            node: Some(config.node.0),
            data: Some(config.data.clone()),
            join: config.join,
            pin: PinText::from(&config.pin),
            limits: config.limits.clone(),
            raft: config.raft.clone(),
            log: config.log.clone(),
            snapshot: config.snapshot.clone(),
            shards: config.shards.clone(),
            pipeline: config.pipeline.clone(),
            nodes: config
                .nodes
                .iter()
                .map(|node| NodeText {
                    id: node.id.0,
                    client: Some(node.client.clone()),
                    peer: Some(node.peer.clone()),
                })
                .collect(),
        }
    }

    pub(super) fn check(self, overrides: &Overrides) -> Result<Config, ConfigError> {
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
        let nodes = check_nodes(self.nodes, node, self.join)?;
        check_limits(&self.limits)?;
        check_raft(&self.raft)?;
        within("log.segment_mib", self.log.segment_mib, 4, 4096)?;
        within("log.segments_ahead", self.log.segments_ahead, 1, 16)?;
        within("log.segments_stock", self.log.segments_stock, 0, 256)?;
        let stock = self.log.stock_mib_per_second;
        within("log.stock_mib_per_second", stock, 1, 4096)?;
        within("log.memory_mib", self.log.memory_mib, 8, 4096)?;
        let scrub = self.log.scrub_mib_per_second;
        within("log.scrub_mib_per_second", scrub, 0, 4096)?;
        let retain = self.log.retain_bytes;
        within("log.retain_bytes", retain, 0, 1 << 60)?;
        within("log.retain_hours", self.log.retain_hours, 0, 1 << 20)?;
        let snapshot = &self.snapshot;
        within("snapshot.log_mib", snapshot.log_mib, 1, 1 << 20)?;
        within("snapshot.records", snapshot.records, 1000, 1 << 40)?;
        let rate = snapshot.send_mib_per_second;
        within("snapshot.send_mib_per_second", rate, 1, 4096)?;
        within("shards.count", self.shards.count, 1, 64)?;
        within("shards.spin_us", self.shards.spin_us, 0, SPIN_US_MAX)?;
        within("pipeline.spin_us", self.pipeline.spin_us, 0, SPIN_US_MAX)?;
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
            join: self.join,
            nodes,
            limits: self.limits,
            raft: self.raft,
            log: self.log,
            snapshot: self.snapshot,
            shards: self.shards,
            pipeline: self.pipeline,
        })
    }
}

fn check_nodes(
    listed: Vec<NodeText>,
    this: NodeId,
    join: bool,
) -> Result<Vec<NodeConfig>, ConfigError> {
    let forms = !listed.len().is_multiple_of(2) && listed.len() <= NODES_MAX;
    if !forms && !join || listed.len() > MEMBERS_MAX {
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
        WINDOW_REQUESTS_MAX,
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
    )?;
    within("raft.election_slack_ms", raft.election_slack_ms, 0, 120_000)
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
