//! Which nodes a local cluster has, and the configuration files that say so.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_client::{ClusterName, NodeId};
use quorate_engine::config::{
    Config, Limits, LogConfig, NodeConfig, Overrides, Pin, PipelineConfig, RaftConfig,
    ShardsConfig, SnapshotConfig,
};

use super::LocalError;

/// A cluster on this host: each node's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its directory.
    pub dir: PathBuf,
    /// What its nodes are told, by id.
    pub configs: Vec<Config>,
}

/// A node's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePaths {
    /// Its configuration.
    pub config: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// What it writes to standard error.
    pub log: PathBuf,
    /// Its process, if it is detached.
    pub pid: PathBuf,
}

impl NodePaths {
    fn of(dir: &Path, node: NodeId) -> Self {
        Self {
            config: dir.join(format!("node-{node}.toml")),
            data: dir.join(format!("node-{node}")),
            log: dir.join(format!("node-{node}.log")),
            pid: dir.join(format!("node-{node}.pid")),
        }
    }
}

impl Spec {
    /// A cluster with the usual configuration.
    pub(super) fn new(dir: &Path, cluster: ClusterName, nodes: &[NodeConfig]) -> Self {
        let config = |node: &NodeConfig| Config {
            cluster,
            node: node.id,
            data: NodePaths::of(dir, node.id).data,
            pin: Pin::Auto,
            join: false,
            nodes: nodes.to_vec(),
            limits: Limits::default(),
            raft: RaftConfig::default(),
            log: LogConfig::default(),
            snapshot: SnapshotConfig::default(),
            shards: ShardsConfig::default(),
            pipeline: PipelineConfig::default(),
        };
        Self {
            dir: dir.to_owned(),
            configs: nodes.iter().map(config).collect(),
        }
    }

    /// The files of a node.
    #[must_use]
    pub fn paths(&self, node: NodeId) -> NodePaths {
        NodePaths::of(&self.dir, node)
    }

    /// Whether a cluster was made in the directory.
    pub(super) fn exists(dir: &Path) -> bool {
        NodePaths::of(dir, NodeId(1)).config.exists()
    }

    /// Writes the nodes' configuration files.
    pub(super) fn write(&self) -> Result<(), LocalError> {
        for config in &self.configs {
            let path = self.paths(config.node).config;
            fs::write(&path, config.to_toml()).map_err(LocalError::io("writing", &path))?;
        }
        Ok(())
    }

    /// Reads the cluster back from its files, and checks that they speak of the same one.
    pub(super) fn read(dir: &Path) -> Result<Self, LocalError> {
        if !Self::exists(dir) {
            return Err(LocalError::NoCluster {
                dir: dir.to_owned(),
            });
        }
        let first = read_config(dir, NodeId(1))?;
        let nodes: Vec<NodeId> = first.nodes.iter().map(|node| node.id).collect();
        let mut configs = Vec::with_capacity(nodes.len());
        for node in nodes {
            let config = read_config(dir, node)?;
            let agrees = config.cluster == first.cluster
                && config.nodes == first.nodes
                && config.node == node;
            if !agrees {
                return Err(LocalError::Layout {
                    path: NodePaths::of(dir, node).config,
                    what: "speaks of another cluster or node than node-1.toml does".into(),
                });
            }
            configs.push(config);
        }
        Ok(Self {
            dir: dir.to_owned(),
            configs,
        })
    }
}

fn read_config(dir: &Path, node: NodeId) -> Result<Config, LocalError> {
    let path = NodePaths::of(dir, node).config;
    Config::load(&path, &Overrides::default()).map_err(LocalError::Config)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use quorate_client::{ClusterName, NodeId};

    use super::Spec;
    use crate::local::{LocalError, Ports};

    fn spec(dir: &Path) -> Spec {
        let cluster = ClusterName::new("flights").expect("it is a name");
        let nodes = Ports::Usual.choose(3).expect("nothing is looked for");
        let mut spec = Spec::new(dir, cluster, &nodes);
        for config in &mut spec.configs {
            config.log.segment_mib = 16;
        }
        spec
    }

    #[test]
    fn a_cluster_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let spec = spec(dir.path());
        assert!(matches!(
            Spec::read(dir.path()),
            Err(LocalError::NoCluster { .. })
        ));
        spec.write().expect("the directory is there");
        assert_eq!(Spec::read(dir.path()).expect("it was just written"), spec);
    }

    #[test]
    fn files_that_disagree_are_refused() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let spec = spec(dir.path());
        spec.write().expect("the directory is there");
        let path = spec.paths(NodeId(2)).config;
        let text = fs::read_to_string(&path).expect("it was just written");
        for changed in [
            text.replace("9103", "9104"),
            text.replace("node = 2", "node = 3"),
            text.replace("\"flights\"", "\"trains\""),
        ] {
            assert_ne!(changed, text);
            fs::write(&path, changed).expect("the file is ours");
            let refused = Spec::read(dir.path());
            assert!(
                matches!(&refused, Err(LocalError::Layout { path: which, .. }) if *which == path),
                "{refused:?}"
            );
        }
        fs::remove_file(&path).expect("the file is ours");
        assert!(matches!(Spec::read(dir.path()), Err(LocalError::Config(_))));
    }
}
