//! What a peer sends to a node: a pipeline whose group is not formed yet, so that nothing is believed, but everything is read.

use quorate_replication::lane::{Reply, Request, ShardId};
use quorate_replication::log::LogConfig;
use quorate_replication::pipeline::{Depth, NodePlace, Pipeline, PipelineConfig, SnapshotConfig};
use quorate_replication::seam::{
    Clock, Lanes, LinkId, Network, NetworkEvent, OpId, Pace, Receive, Send, Storage, StorageDone,
    StorageOp,
};
use std::net::SocketAddr;

use quorate_wire::checksum::crc32;
use quorate_wire::peer::PeerHello;
use quorate_wire::{
    ClusterName, DiskId, FrameHeader, FrameKind, GroupId, NodeId, PROTOCOL_VERSION, Time,
};
use zerocopy::IntoBytes;

use crate::files::Memory;
use crate::script::Script;

const CLUSTER: &str = "flights";
const LINK: LinkId = LinkId(1);

/// A world in which nothing happens but what one peer sends.
#[derive(Default)]
struct Wire {
    events: Vec<NetworkEvent>,
    receive: Option<Receive>,
    closed: bool,
}

impl Clock for Wire {
    fn now(&self) -> Time {
        Time(0)
    }

    fn wall(&self) -> u64 {
        0
    }
}

impl Storage for Wire {
    fn submit(&mut self, _: OpId, _: StorageOp) {}

    fn pace(&mut self, _: Pace) {}

    fn completed(&mut self, _: &mut Vec<StorageDone>) {}
}

impl Network for Wire {
    fn locate(&mut self, _: NodeId, _: SocketAddr) {}

    fn connect(&mut self, _: NodeId) {}

    fn send(&mut self, link: LinkId, send: Send) {
        self.events.push(NetworkEvent::Sent { link, send });
    }

    fn receive(&mut self, _: LinkId, receive: Receive) {
        assert!(
            receive.from < receive.memory.len(),
            "there is room to receive into"
        );
        self.receive = Some(receive);
    }

    fn close(&mut self, link: LinkId) {
        assert!(!self.closed, "a link is closed once");
        self.closed = true;
        self.events.push(NetworkEvent::Closed { link });
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        events.append(&mut self.events);
    }
}

impl Lanes for Wire {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        None
    }

    fn put(&mut self, _: ShardId, _: Reply) {}
}

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let mut script = Script(data);
    let how = script.byte();
    let mut bytes = if how & 1 == 0 { Vec::new() } else { hello() };
    bytes.extend(script.stream());
    let mut disk = Memory::default();
    let (mut pipeline, _) =
        Pipeline::start(&mut disk, config(), Depth::BehindSnapshot, Time(0)).expect("a fresh disk starts");
    let mut wire = Wire::default();
    wire.events.push(NetworkEvent::Accepted { link: LINK });
    let step = if how & 2 == 0 { bytes.len() } else { 100 };
    let mut sent = bytes.chunks(step.max(1));
    let mut rest: &[u8] = &[];
    for _ in 0..10_000 {
        pipeline.turn(&mut wire);
        if rest.is_empty() {
            let Some(next) = sent.next() else { break };
            rest = next;
        }
        let Some(mut receive) = wire.receive.take() else {
            break;
        };
        let room = &mut receive.memory[receive.from..];
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        wire.events.push(NetworkEvent::Received {
            link: LINK,
            receive,
            bytes: count,
        });
    }
}

fn config() -> PipelineConfig {
    PipelineConfig {
        cluster: ClusterName::new(CLUSTER).expect("a name"),
        node: NodeId(1),
        group: GroupId(0),
        nodes: (1..=3).map(NodeId).map(NodePlace::nowhere).collect(),
        joins: false,
        fresh_disk: DiskId([1; 16]),
        seed: 1,
        process: 1,
        log: LogConfig {
            segment_bytes: 1 << 20,
            segments_ahead: 1,
            segments_stock: 0,
            stock_bytes: 1 << 20,
        },
        heartbeat: 50_000_000,
        election_min: 150_000_000,
        election_max: 300_000_000,
        election_slack: 0,
        lease_reads: false,
        scrub_bytes: 0,
        scrub_rest: 0,
        snapshots: SnapshotConfig::NEVER,
        runs_max: quorate_wire::limits::RUNS_MAX,
        edition: quorate_wire::Edition::BUILD,
        priority: 1,
        buffers: 4,
    }
}

/// A greeting that is welcome.
fn hello() -> Vec<u8> {
    let nodes: Vec<u8> = (1..=3u32).flat_map(u32::to_le_bytes).collect();
    let hello = PeerHello {
        cluster: ClusterName::new(CLUSTER).expect("a name").to_bytes(),
        disk: [2; 16],
        node: 2.into(),
        to: 1.into(),
        nodes_crc: crc32(&[&nodes]).into(),
        member_count: 0,
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        joins: 0,
        edition: quorate_wire::Edition::BUILD.0,
        group_edition: 1,
        priority: 1,
        reserved: [0; 5],
    };
    let body = hello.as_bytes();
    let mut frame = FrameHeader::seal(FrameKind::PeerHello, 0, GroupId(0), &[body], 0).to_vec();
    frame.extend_from_slice(body);
    frame
}
