//! The simulator's parts keep the contract of the seam: the same suites as the engine's, on a virtual disk, links, lanes and clock.

use quorate_replication::contract::lanes::Shards;
use quorate_replication::contract::network::Peers;
use quorate_replication::contract::{self, Pump};
use quorate_replication::lane::{Reply, Request, ShardId};
use quorate_replication::seam::{
    Clock, LinkId, NetworkEvent, OpId, Pace, Receive, Send, Storage, StorageDone, StorageOp,
};
use quorate_sim::{MemoryLanes, Network, NodeClock, Options, Random, SlowDisk};
use quorate_wire::{NodeId, Time};

const SHARDS: usize = 2;
const CAPACITY: usize = 8;
const MS: u64 = 1_000_000;

/// A node's disk, lanes and clock.
struct Host {
    now: Time,
    disk: SlowDisk,
    clock: NodeClock,
    lanes: MemoryLanes,
}

impl Host {
    fn new(seed: u64) -> Self {
        let weather = Options::drawn(seed).disk;
        let mut disk = SlowDisk::new(Random::new(seed, "disk"), weather);
        disk.disk_mut().allow_rewrites();
        let mut clock = NodeClock::default();
        clock.set_rate(1_030_000);
        Self {
            now: Time(MS),
            disk,
            clock,
            lanes: MemoryLanes::new(SHARDS, CAPACITY),
        }
    }
}

impl Pump for Host {
    fn pump(&mut self) {
        let next = self.disk.next().unwrap_or(self.now.after(MS));
        self.now = next.max(self.now);
        self.disk.advance(self.now);
    }
}

impl Clock for Host {
    fn now(&self) -> Time {
        self.clock.read(self.now).now()
    }

    fn wall(&self) -> u64 {
        self.clock.read(self.now).wall()
    }
}

impl Storage for Host {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        self.disk.submit(id, op);
    }

    fn pace(&mut self, pace: Pace) {
        self.disk.pace(pace);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        self.disk.completed(done);
    }
}

impl Shards for Host {
    type Lanes = MemoryLanes;

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn pipeline(&mut self) -> &mut MemoryLanes {
        &mut self.lanes
    }

    fn try_put(&mut self, shard: ShardId, request: Request) -> Result<(), Request> {
        self.lanes.ask_by(shard, request)
    }

    fn try_take(&mut self, shard: ShardId) -> Option<Reply> {
        self.lanes.take_reply(shard)
    }
}

/// Two hosts of a network, and a third one that is down.
struct Two {
    now: Time,
    network: Network,
    /// Which host speaks.
    node: NodeId,
}

impl Two {
    fn new(seed: u64) -> Self {
        let nodes = [1, 2, 3].map(NodeId);
        let mut network = Network::new(seed, Options::calm(seed, 3).network, &nodes);
        network.allow_careless_use();
        network.start(NodeId(1));
        network.start(NodeId(2));
        Self {
            now: Time(MS),
            network,
            node: NodeId(1),
        }
    }
}

impl Peers for Two {
    type Network = Self;

    fn network(&mut self, node: NodeId) -> &mut Self {
        self.node = node;
        self
    }

    fn pump(&mut self) {
        let next = self.network.next().unwrap_or(self.now.after(MS));
        self.now = next.max(self.now);
        self.network.advance(self.now);
    }
}

impl quorate_replication::seam::Network for Two {
    fn locate(&mut self, _: NodeId, _: std::net::SocketAddr) {}

    fn connect(&mut self, peer: NodeId) {
        self.network.port(self.node).connect(peer);
    }

    fn send(&mut self, link: LinkId, send: Send) {
        self.network.port(self.node).send(link, send);
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        self.network.port(self.node).receive(link, receive);
    }

    fn close(&mut self, link: LinkId) {
        self.network.port(self.node).close(link);
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        self.network.port(self.node).happened(events);
    }
}

macro_rules! keeps {
    ($world:ident: $($suite:ident :: $promise:ident),* $(,)?) => {
        $(
            #[test]
            fn $promise() {
                for seed in 0..2 {
                    contract::$suite::$promise(&mut $world::new(seed));
                }
            }
        )*
    };
}

keeps! { Host:
    clock::goes_on_and_never_back,
    clock::shows_the_date,
    lanes::order_is_kept,
    lanes::a_full_lane_refuses,
    lanes::a_busy_shard_delays_nobody,
    storage::a_prepared_segment_is_zeros,
    storage::written_bytes_come_back,
    storage::what_a_buffer_holds_is_written,
    storage::buffers_come_back,
    storage::each_operation_completes_once,
    storage::a_segment_is_prepared_once,
    storage::segments_are_prepared_beside_writes,
    storage::a_file_is_used_again,
    storage::a_file_is_used_again_as_it_is,
    storage::a_slow_preparation_is_hurried,
    storage::a_write_past_the_end_is_refused,
    storage::a_read_past_the_end_is_short,
    storage::a_missing_file_is_an_error,
    storage::many_segments_are_written_and_read,
    storage::a_snapshot_is_there_once_it_is_published,
    storage::a_snapshot_that_is_begun_anew_replaces_the_other,
    storage::a_removed_file_is_gone,
}

keeps! { Two:
    network::a_link_has_two_ends,
    network::a_dial_to_nobody_fails,
    network::bytes_arrive_in_order,
    network::large_sends_arrive_whole,
    network::both_directions_flow,
    network::a_slow_receiver_loses_nothing,
    network::a_link_ends_once,
    network::a_link_that_ended_takes_nothing,
    network::a_sender_learns_of_the_end,
}

/// What a write has completed survives the loss of power: the contract's one promise that needs a host to die.
#[test]
fn completed_writes_survive_a_crash() {
    use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
    use quorate_replication::seam::{FileId, SegmentId};
    use std::sync::Arc;
    for seed in 0..20 {
        let mut host = Host::new(seed);
        let segment = SegmentId(1);
        let bytes = 2 * BLOCK_BYTES as u64;
        host.submit(
            OpId(1),
            StorageOp::Prepare {
                segment,
                bytes,
                from: None,
            },
        );
        let done = |host: &mut Host| {
            let mut done = Vec::new();
            while done.is_empty() {
                host.pump();
                host.completed(&mut done);
            }
        };
        done(&mut host);
        let write = |block: u64| {
            let mut buffer = Buffer::zeroed(BLOCK_BYTES);
            buffer.fill(7);
            StorageOp::Write {
                file: FileId::Segment(segment),
                position: block * BLOCK_BYTES as u64,
                bytes: Slice::new(Arc::new(buffer), 0..BLOCK_BYTES),
            }
        };
        host.submit(OpId(2), write(0));
        done(&mut host);
        // A second one is under way: each of its sectors may be there or not.
        host.submit(OpId(3), write(1));
        host.disk.crash();
        let bytes = host.disk.disk().bytes(FileId::Segment(segment));
        let (first, second) = bytes.expect("it was prepared").split_at(BLOCK_BYTES);
        assert!(first.iter().all(|&byte| byte == 7), "seed {seed}");
        for sector in second.chunks(512) {
            let whole = [0, 7].map(|byte| sector.iter().all(|&it| it == byte));
            assert!(whole.contains(&true), "seed {seed}: a sector is torn");
        }
    }
}
