//! All that a node's pipeline is handed for one turn. What goes through it is told to the trace.

use quorate_replication::lane::{Answer, Ask, Reply, Request, ShardId};
use quorate_replication::seam::{
    Clock, FileId, Lanes, LinkId, Network, NetworkEvent, OpId, Pace, Part, Receive, Send, Storage,
    StorageDone, StorageOp,
};
use std::net::SocketAddr;

use quorate_wire::client::ReadFrom;
use quorate_wire::{NodeId, Time};

use crate::clock::Clocks;
use crate::lanes::MemoryLanes;
use crate::network::Port;
use crate::slow_disk::SlowDisk;
use crate::trace::Trace;

/// All that a node's pipeline is handed for one turn.
#[derive(Debug)]
pub struct MemorySeam<'a> {
    /// Whose turn it is.
    pub node: NodeId,
    /// Where it is told.
    pub trace: &'a Trace,
    /// What its clocks show.
    pub clocks: Clocks,
    /// Its disk.
    pub disk: &'a mut SlowDisk,
    /// Its side of the network.
    pub port: Port<'a>,
    /// Its lanes.
    pub lanes: &'a mut MemoryLanes,
}

impl MemorySeam<'_> {
    fn tell(&self, numbers: [u64; 3], what: std::fmt::Arguments<'_>) {
        self.trace.tell(self.node, numbers, what);
    }
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
        match &op {
            StorageOp::Write {
                file,
                position,
                bytes,
            } => {
                let (number, name) = name(*file);
                let numbers = [number, *position, bytes.len() as u64];
                let bytes = bytes.len() >> 10;
                self.tell(
                    numbers,
                    format_args!("#{} write {name}{number}:{position} {bytes}K", id.0),
                );
            }
            StorageOp::Read {
                file,
                position,
                length,
                ..
            } => {
                let (number, name) = name(*file);
                let numbers = [number, *position, *length as u64];
                let bytes = length >> 10;
                self.tell(
                    numbers,
                    format_args!("#{} read {name}{number}:{position} {bytes}K", id.0),
                );
            }
            StorageOp::Prepare {
                segment,
                bytes,
                from,
            } => {
                let old = from.map_or(0, |from| from.0);
                self.tell(
                    [1, segment.0, *bytes],
                    format_args!("#{} prepare seg {} of {old}", id.0, segment.0),
                );
            }
            StorageOp::Reuse { segment, from, .. } => {
                self.tell(
                    [26, segment.0, from.0],
                    format_args!("#{} reuse seg {} of {}", id.0, segment.0, from.0),
                );
            }
            StorageOp::Append { position, bytes } => {
                let kib = bytes.len() >> 10;
                self.tell(
                    [22, *position, bytes.len() as u64],
                    format_args!("#{} append snap :{position} {kib}K", id.0),
                );
            }
            StorageOp::Publish { snapshot } => {
                let index = snapshot.0;
                self.tell(
                    [23, index, 0],
                    format_args!("#{} publish snap {index}", id.0),
                );
            }
            StorageOp::Remove { file } => {
                let (number, name) = name(*file);
                self.tell(
                    [24, number, 0],
                    format_args!("#{} remove {name}{number}", id.0),
                );
            }
        }
        self.disk.submit(id, op);
    }

    fn pace(&mut self, pace: Pace) {
        self.tell([25, 0, 0], format_args!("prepares at {pace:?}"));
        self.disk.pace(pace);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        let from = done.len();
        self.disk.completed(done);
        for StorageDone { id, result } in done.iter().skip(from) {
            match result {
                Ok(_) => self.tell([2, id.0, 0], format_args!("#{} done", id.0)),
                Err(error) => self.tell([2, id.0, 1], format_args!("#{} fails: {error}", id.0)),
            }
        }
    }
}

impl Network for MemorySeam<'_> {
    fn locate(&mut self, peer: NodeId, at: SocketAddr) {
        self.port.locate(peer, at);
    }

    fn connect(&mut self, peer: NodeId) {
        self.tell([3, u64::from(peer.0), 0], format_args!("dials {peer}"));
        self.port.connect(peer);
    }

    fn send(&mut self, link: LinkId, send: Send) {
        let length = |part: &Part| match part {
            Part::Head(range) => range.len(),
            Part::Records(records) => records.len(),
        };
        let bytes: usize = send.parts.iter().map(length).sum();
        let numbers = [4, link.0, bytes as u64];
        match self.port.peer(link) {
            Some(peer) => self.tell(numbers, format_args!("sends {peer} {bytes} B")),
            None => self.tell(numbers, format_args!("sends nobody {bytes} B")),
        }
        self.port.send(link, send);
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        self.port.receive(link, receive);
    }

    fn close(&mut self, link: LinkId) {
        self.tell([5, link.0, 0], format_args!("closes link {}", link.0));
        self.port.close(link);
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        let from = events.len();
        self.port.happened(events);
        for event in events.iter().skip(from) {
            match event {
                NetworkEvent::Accepted { link } => {
                    self.tell([6, link.0, 0], format_args!("accepts link {}", link.0));
                }
                NetworkEvent::Connected { peer, link } => {
                    self.tell([7, link.0, 0], format_args!("link {} to {peer}", link.0));
                }
                NetworkEvent::ConnectFailed { peer } => {
                    self.tell(
                        [8, u64::from(peer.0), 0],
                        format_args!("cannot reach {peer}"),
                    );
                }
                NetworkEvent::Received { link, bytes, .. } => {
                    let numbers = [9, link.0, *bytes as u64];
                    match self.port.peer(*link) {
                        Some(peer) => self.tell(numbers, format_args!("from {peer} {bytes} B")),
                        None => self.tell(numbers, format_args!("from link {} {bytes} B", link.0)),
                    }
                }
                NetworkEvent::Sent { .. } => {}
                NetworkEvent::Closed { link } => {
                    self.tell([10, link.0, 0], format_args!("link {} ends", link.0));
                }
            }
        }
    }
}

impl Lanes for MemorySeam<'_> {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        let (shard, request) = self.lanes.take()?;
        let connection = request.ticket.connection;
        match &request.ask {
            Ask::Greet => self.tell([11, connection, 0], format_args!("c{connection} greets")),
            Ask::Produce(chunk) => {
                let (producer, first) = (chunk.id.producer, chunk.id.first.0);
                let numbers = [12, connection, first];
                self.tell(
                    numbers,
                    format_args!("c{connection} produces {producer}:{first}"),
                );
            }
            Ask::Fetch(fetch) => {
                let (kind, position) = match fetch.from {
                    ReadFrom::Offset(offset) => (13, offset.0),
                    ReadFrom::Time(time) => (18, time),
                    ReadFrom::Tail => (19, 0),
                    ReadFrom::Start => (20, 0),
                };
                let numbers = [kind, connection, position];
                self.tell(
                    numbers,
                    format_args!("c{connection} fetches {:?}", fetch.from),
                );
            }
            // Asked so often that nobody would read on.
            Ask::Status | Ask::Audit(_) | Ask::Admin(_) => {}
            Ask::Named(ask) => {
                self.tell([24, connection, 0], format_args!("c{connection}: {ask:?}"));
            }
        }
        Some((shard, request))
    }

    fn put(&mut self, shard: ShardId, reply: Reply) {
        let connection = reply.ticket.connection;
        match &reply.answer {
            Answer::Greeting { leader, .. } => {
                let leader = leader.map_or(0, |leader| leader.node.0);
                let numbers = [14, connection, u64::from(leader)];
                self.tell(numbers, format_args!("tells c{connection}: {leader} leads"));
            }
            Answer::Produced { base_offset, .. } => {
                let numbers = [15, connection, base_offset.0];
                self.tell(
                    numbers,
                    format_args!("tells c{connection}: at {base_offset}"),
                );
            }
            Answer::Fetched(fetched) => {
                let bytes = fetched.records.len();
                let numbers = [16, connection, bytes as u64];
                self.tell(numbers, format_args!("gives c{connection} {bytes} B"));
            }
            Answer::Status(_) | Answer::Audited(_) | Answer::Admin(_) => {}
            Answer::Named(answer) => {
                self.tell(
                    [25, connection, 0],
                    format_args!("tells c{connection}: {answer:?}"),
                );
            }
            Answer::Refused(refusal) => {
                let code = refusal.code;
                let numbers = [17, connection, u64::from(code.number())];
                self.tell(numbers, format_args!("refuses c{connection}: {code}"));
            }
        }
        self.lanes.put(shard, reply);
    }
}

fn name(file: FileId) -> (u64, &'static str) {
    match file {
        FileId::Superblock => (0, "super"),
        FileId::Segment(segment) => (segment.0, "seg "),
        FileId::Snapshot(snapshot) => (snapshot.0, "snap "),
    }
}
