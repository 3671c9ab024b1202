//! All that a node's pipeline is handed for one turn.

use quorate_replication::lane::{Reply, Request, ShardId};
use quorate_replication::seam::{
    Clock, Lanes, LinkId, Network, NetworkEvent, OpId, Receive, Send, Storage, StorageDone,
    StorageOp,
};
use quorate_wire::{NodeId, Time};

use crate::clock::Clocks;
use crate::lanes::MemoryLanes;
use crate::network::Port;
use crate::slow_disk::SlowDisk;

/// All that a node's pipeline is handed for one turn.
#[derive(Debug)]
pub struct MemorySeam<'a> {
    /// What its clocks show.
    pub clocks: Clocks,
    /// Its disk.
    pub disk: &'a mut SlowDisk,
    /// Its side of the network.
    pub port: Port<'a>,
    /// Its lanes.
    pub lanes: &'a mut MemoryLanes,
}

impl Clock for MemorySeam<'_> {
    fn now(&self) -> Time {
        self.clocks.now()
    }

    fn wall(&self) -> u64 {
        self.clocks.wall()
    }
}

impl Storage for MemorySeam<'_> {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        self.disk.submit(id, op);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        self.disk.completed(done);
    }
}

impl Network for MemorySeam<'_> {
    fn connect(&mut self, peer: NodeId) {
        self.port.connect(peer);
    }

    fn send(&mut self, link: LinkId, send: Send) {
        self.port.send(link, send);
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        self.port.receive(link, receive);
    }

    fn close(&mut self, link: LinkId) {
        self.port.close(link);
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        self.port.happened(events);
    }
}

impl Lanes for MemorySeam<'_> {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        self.lanes.take()
    }

    fn put(&mut self, shard: ShardId, reply: Reply) {
        self.lanes.put(shard, reply);
    }
}
