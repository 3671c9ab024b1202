//! A node's side of the protocol, frame by frame.

use quorate_wire::client::{
    AckLevel, ErrorMessage, Hello, HelloReply, NodeEntry, ProduceReply, Stage, StageTimes,
    TracedReply,
};
use quorate_wire::{
    ClusterName, ErrorCode, Event, FrameHeader, FrameKind, GroupId, NodeId, PROTOCOL_VERSION,
    Record,
};
use zerocopy::IntoBytes;

/// The cluster of all tests.
pub const CLUSTER: &str = "test";

/// The address of a node in tests without sockets.
pub fn address(node: usize) -> String {
    format!("node{node}:9000")
}

/// The cluster of all tests.
pub fn cluster() -> ClusterName {
    ClusterName::new(CLUSTER).expect("the name is within its limits")
}

/// A frame from its parts; `tail` goes under the checksum if the kind wants it.
pub fn frame(kind: FrameKind, correlation: u64, message: &[u8], tail: &[u8]) -> Vec<u8> {
    let body = [message, tail].concat();
    let (checked, free) = body.split_at(kind.checked_bytes(body.len()));
    let header = FrameHeader::seal(kind, correlation, GroupId(0), &[checked], free.len());
    [header.as_slice(), &body].concat()
}

/// An encoded event.
pub fn event(payload: &[u8]) -> Vec<u8> {
    let event = Event {
        key: 1,
        time: 2,
        topic: b"topic",
        payload,
        priority: 0,
    };
    let mut bytes = vec![0; event.size()];
    let written = event.write(&mut bytes).expect("the event is within limits");
    assert_eq!(written, Some(bytes.len()));
    bytes
}

/// A greeting: what a node never sends.
pub fn hello(correlation: u64) -> Vec<u8> {
    let hello = Hello {
        cluster: cluster().to_bytes(),
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        flags: 0,
        reserved: [0; 5],
    };
    frame(FrameKind::Hello, correlation, hello.as_bytes(), &[])
}

/// The answer to a greeting, in a cluster of `count` nodes; leader 0 is none.
pub fn welcome(correlation: u64, node: u32, leader: u32, count: u32) -> Vec<u8> {
    welcome_with(correlation, node, leader, count, 1024, 8 << 20)
}

/// The same, with a window.
pub fn welcome_with(
    correlation: u64,
    node: u32,
    leader: u32,
    count: u32,
    window_requests: u32,
    window_bytes: u32,
) -> Vec<u8> {
    let nodes: Vec<_> = (1..=count)
        .map(|id| (id, address(usize::try_from(id).expect("ids are small"))))
        .collect();
    welcome_to(
        correlation,
        node,
        leader,
        &nodes,
        window_requests,
        window_bytes,
    )
}

/// The same, with addresses.
pub fn welcome_to(
    correlation: u64,
    node: u32,
    leader: u32,
    nodes: &[(u32, String)],
    window_requests: u32,
    window_bytes: u32,
) -> Vec<u8> {
    let body = welcome_body(
        cluster(),
        node,
        leader,
        nodes,
        window_requests,
        window_bytes,
    );
    frame(FrameKind::HelloReply, correlation, &body.0, &body.1)
}

/// The answer to a greeting, by a node of another cluster.
pub fn welcome_of(cluster: &str, correlation: u64, node: u32) -> Vec<u8> {
    let cluster = ClusterName::new(cluster).expect("the name is within its limits");
    let body = welcome_body(cluster, node, node, &[], 8, 1 << 20);
    frame(FrameKind::HelloReply, correlation, &body.0, &body.1)
}

fn welcome_body(
    cluster: ClusterName,
    node: u32,
    leader: u32,
    nodes: &[(u32, String)],
    window_requests: u32,
    window_bytes: u32,
) -> (Vec<u8>, Vec<u8>) {
    let reply = HelloReply {
        cluster: cluster.to_bytes(),
        node: node.into(),
        leader: leader.into(),
        leader_term: 1.into(),
        window_bytes: window_bytes.into(),
        window_requests: window_requests.into(),
        group_count: 1.into(),
        version: PROTOCOL_VERSION,
        node_count: u8::try_from(nodes.len()).expect("few nodes"),
        reserved: 0.into(),
    };
    let entry =
        |(id, address): &(u32, String)| NodeEntry::new(NodeId(*id), address).expect("it fits");
    let tail: Vec<u8> = nodes
        .iter()
        .flat_map(|node| entry(node).as_bytes().to_vec())
        .collect();
    (reply.as_bytes().to_vec(), tail)
}

/// A chunk is committed.
pub fn produced(correlation: u64, offset: u64) -> Vec<u8> {
    let reply = placed(offset, AckLevel::Quorum);
    frame(FrameKind::ProduceReply, correlation, reply.as_bytes(), &[])
}

/// Chunks side by side are committed, in one answer to the last request and to so many before it.
pub fn merged(correlation: u64, before: u32, offset: u64) -> Vec<u8> {
    let reply = ProduceReply {
        before: before.into(),
        ..placed(offset, AckLevel::Quorum)
    };
    frame(FrameKind::ProduceReply, correlation, reply.as_bytes(), &[])
}

/// A chunk has a place, and took so many nanoseconds for each stage.
pub fn traced(correlation: u64, offset: u64, level: AckLevel, stage: u64) -> Vec<u8> {
    let mut stages = StageTimes::NONE;
    for at in Stage::ALL {
        stages.set(at, stage);
    }
    let reply = TracedReply {
        reply: placed(offset, level),
        stages,
        reserved_too: 0.into(),
    };
    frame(FrameKind::TracedReply, correlation, reply.as_bytes(), &[])
}

fn placed(offset: u64, level: AckLevel) -> ProduceReply {
    ProduceReply {
        base_offset: offset.into(),
        term: 1.into(),
        level: level.to_byte(),
        reserved: [0; 3],
        before: 0.into(),
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub struct Refuse {
    code: ErrorCode,
    leader: u32,
    leader_term: u64,
    retry_after_ms: u32,
    expected: u64,
}

impl Refuse {
    pub fn code(code: ErrorCode) -> Self {
        Self {
            code,
            leader: 0,
            leader_term: 1,
            retry_after_ms: 0,
            expected: 0,
        }
    }

    pub fn leader(self, leader: u32) -> Self {
        Self { leader, ..self }
    }

    pub fn in_term(self, leader_term: u64) -> Self {
        Self {
            leader_term,
            ..self
        }
    }

    pub fn retry_after_ms(self, retry_after_ms: u32) -> Self {
        Self {
            retry_after_ms,
            ..self
        }
    }

    pub fn expected(self, expected: u64) -> Self {
        Self { expected, ..self }
    }

    pub fn text(&self) -> String {
        format!("refused for the sake of the test: {}", self.code)
    }
}

/// The frame of a refusal.
pub fn refused(correlation: u64, refuse: &Refuse) -> Vec<u8> {
    let message = ErrorMessage {
        code: refuse.code.number().into(),
        reserved: 0.into(),
        leader: refuse.leader.into(),
        leader_term: refuse.leader_term.into(),
        retry_after_ms: refuse.retry_after_ms.into(),
        reserved_too: 0.into(),
        expected: refuse.expected.into(),
        limit: 0.into(),
    };
    let text = refuse.text();
    frame(
        FrameKind::Error,
        correlation,
        message.as_bytes(),
        text.as_bytes(),
    )
}

/// Offset after the last of these records.
pub fn end(mut records: &[u8]) -> u64 {
    let mut end = 0;
    while let Ok((record, rest)) = Record::frame(records) {
        end = record.header().next_offset().0;
        records = rest;
    }
    end
}
