//! Nodes that come to a cluster, or go from it, while it runs.

use quorate_client::NodeId;
use quorate_engine::config::{Config, NodeConfig};

use super::Local;
use crate::local::{LocalError, Ports};

impl Local {
    /// Writes the files of a further node, which waits to be added to the group, on free ports. Starts nothing. Its id was never
    /// used in this directory.
    ///
    /// # Errors
    /// There are no free ports, or the files cannot be written.
    ///
    /// # Panics
    /// Never: a cluster has a node.
    pub fn grow(&mut self) -> Result<NodeId, LocalError> {
        let unused = |&id: &NodeId| !self.paths(id).config.exists();
        let node = (1..).map(NodeId).find(unused).expect("ids do not end");
        let places = Ports::Auto.choose(1)?;
        let place = |place: NodeConfig| NodeConfig { id: node, ..place };
        let first = self.spec.configs.first().expect("a cluster has a node");
        let config = Config {
            node,
            data: self.paths(node).data,
            join: true,
            nodes: places.into_iter().map(place).collect(),
            ..first.clone()
        };
        self.spec.configs.push(config);
        self.spec.write()?;
        Ok(node)
    }

    /// A node that does not run, and was removed from the group, is not looked at any more. Its files stay.
    ///
    /// # Panics
    /// It runs.
    pub fn forget(&mut self, node: NodeId) {
        assert!(self.process_id(node).is_none(), "it does not run");
        self.spec.configs.retain(|config| config.node != node);
    }

    /// Where a node is.
    ///
    /// # Panics
    /// The cluster has no such node.
    #[must_use]
    pub fn place(&self, node: NodeId) -> &NodeConfig {
        self.node(node)
    }
}
