//! What of a node faces clients: who accepts them, and the shards.

use quorate_replication::lane::ShardId;
use rustix::thread::Pid;

use super::NodeError;
use crate::config::Config;
use crate::lane::ShardLane;
use crate::pin::Placement;
use crate::shard::{Acceptor, Listener, Shard, ShardConfig};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Front {
    acceptor: Acceptor,
    shards: Vec<Shard>,
}

impl Front {
    pub(super) fn open(
        config: &Config,
        listener: Listener,
        lanes: Vec<ShardLane>,
        placement: &Placement,
    ) -> Result<Self, NodeError> {
        let mut shards = Vec::new();
        let mut halls = Vec::new();
        for (at, lane) in lanes.into_iter().enumerate() {
            let config = ShardConfig::new(config, ShardId(at), placement.shard(at));
            let (shard, hall) = Shard::start(config, lane)
                .map_err(|error| NodeError::host("starting a shard", &error))?;
            shards.push(shard);
            halls.push(hall);
        }
        let acceptor = listener
            .accept_for(halls, config.limits.connections)
            .map_err(|error| NodeError::host("starting the acceptor", &error))?;
        Ok(Self { acceptor, shards })
    }

    /// Its shards' threads.
    pub(super) fn threads(&self) -> Vec<Pid> {
        self.shards.iter().map(Shard::id).collect()
    }

    /// Lets nobody in any more, and waits until those who are in have their answers.
    pub(super) fn close(self) {
        drop(self.acceptor);
        self.shards.iter().for_each(Shard::stop);
        self.shards.into_iter().for_each(Shard::join);
    }
}
