//! The greeting that every connection begins with, and the refusals that can answer anything.

use std::time::Duration;

use quorate_wire::client::{ErrorMessage, Hello, HelloReply, NodeEntry, error_text};
use quorate_wire::{
    ClusterName, ErrorCode, Frame, FrameError, FrameHeader, FrameKind, GroupId, Leader, NodeId,
    PROTOCOL_VERSION, PROTOCOL_VERSION_MIN,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{ClientError, LinkCause};

/// The group of everything that clients ask today.
pub(crate) const GROUP: GroupId = GroupId(0);

/// An answer that nobody has asked for.
pub(crate) const UNASKED: FrameError = FrameError::Invalid {
    what: "an answer to no request",
};

/// That an answer is of this kind.
pub(crate) fn expect_kind(frame: &Frame<'_>, kind: FrameKind) -> Result<(), FrameError> {
    if frame.header.kind == kind {
        return Ok(());
    }
    Err(FrameError::Kind {
        kind: frame.header.kind.to_byte(),
        flags: 0,
    })
}

/// Appends a frame without a tail to `out`.
pub(crate) fn write_frame<M: IntoBytes + Immutable>(
    out: &mut Vec<u8>,
    kind: FrameKind,
    correlation: u64,
    message: &M,
) {
    write_frame_with(out, kind, correlation, message, &[]);
}

/// Appends a frame whose tail is under the frame's checksum to `out`.
pub(crate) fn write_frame_with<M: IntoBytes + Immutable>(
    out: &mut Vec<u8>,
    kind: FrameKind,
    correlation: u64,
    message: &M,
    tail: &[u8],
) {
    let message = message.as_bytes();
    let header = FrameHeader::seal(kind, correlation, GROUP, &[message, tail], 0);
    out.extend_from_slice(&header);
    out.extend_from_slice(message);
    out.extend_from_slice(tail);
}

/// Appends the greeting to `out`.
pub(crate) fn write_hello(out: &mut Vec<u8>, cluster: Option<ClusterName>, correlation: u64) {
    let hello = Hello {
        cluster: cluster.map_or([0; ClusterName::BYTES], ClusterName::to_bytes),
        version_min: PROTOCOL_VERSION_MIN,
        version_max: PROTOCOL_VERSION,
        flags: Hello::MERGED,
        reserved: [0; 5],
    };
    write_frame(out, FrameKind::Hello, correlation, &hello);
}

/// A node's answer to the greeting, checked.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) cluster: ClusterName,
    pub(crate) node: NodeId,
    pub(crate) leader: Option<Leader>,
    pub(crate) window_requests: usize,
    pub(crate) window_bytes: usize,
    pub(crate) nodes: Vec<(NodeId, String)>,
}

impl Welcome {
    pub(crate) fn parse(frame: &Frame<'_>) -> Result<Self, FrameError> {
        let invalid = |what| FrameError::Invalid { what };
        let reply = HelloReply::ref_from_bytes(frame.message)
            .map_err(|_| invalid("the answer to the greeting is cut"))?;
        if !(PROTOCOL_VERSION_MIN..=PROTOCOL_VERSION).contains(&reply.version) {
            return Err(FrameError::Version {
                version: reply.version,
            });
        }
        let entries = NodeEntry::parse_all(frame.tail, reply.node_count)?;
        let nodes = entries.iter().map(|entry| {
            let id = node_id(entry.node.get()).ok_or(invalid("a listed node has no id"))?;
            let address = entry
                .address()
                .ok_or(invalid("a listed address is no text"))?;
            Ok((id, address.to_owned()))
        });
        let size = |value: u32| usize::try_from(value).expect("32 bits fit into a size");
        let welcome = Self {
            cluster: ClusterName::from_bytes(reply.cluster)
                .ok_or(invalid("the cluster has no name"))?,
            node: node_id(reply.node.get()).ok_or(invalid("the node has no id"))?,
            leader: Leader::from_fields(reply.leader, reply.leader_term),
            window_requests: size(reply.window_requests.get()),
            window_bytes: size(reply.window_bytes.get()),
            nodes: nodes.collect::<Result<_, FrameError>>()?,
        };
        if welcome.window_requests == 0 || welcome.window_bytes == 0 {
            return Err(invalid("the node allows no requests"));
        }
        Ok(welcome)
    }

    /// Why this node is not to be talked to, if the caller, or an earlier node, meant another cluster.
    pub(crate) fn mismatch(&self, meant: Option<ClusterName>) -> Option<Refusal> {
        let meant = meant.filter(|&meant| meant != self.cluster)?;
        let Self { node, cluster, .. } = self;
        Some(Refusal {
            code: ErrorCode::ClusterMismatch,
            text: format!(
                "node {node} belongs to cluster {cluster}, the client means cluster {meant}"
            ),
            leader: None,
            retry_after: Duration::ZERO,
            expected: 0,
            limit: 0,
        })
    }
}

/// An error frame, checked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) text: String,
    pub(crate) leader: Option<Leader>,
    pub(crate) retry_after: Duration,
    pub(crate) expected: u64,
    pub(crate) limit: u64,
}

impl Refusal {
    pub(crate) fn parse(frame: &Frame<'_>) -> Result<Self, FrameError> {
        let invalid = |what| FrameError::Invalid { what };
        let message = ErrorMessage::ref_from_bytes(frame.message)
            .map_err(|_| invalid("the refusal is cut"))?;
        Ok(Self {
            code: ErrorCode::from_number(message.code.get())
                .ok_or(invalid("a refusal with an unknown code"))?,
            text: error_text(frame.tail).to_owned(),
            leader: Leader::from_fields(message.leader, message.leader_term),
            retry_after: Duration::from_millis(u64::from(message.retry_after_ms.get())),
            expected: message.expected.get(),
            limit: message.limit.get(),
        })
    }

    /// Whether it only says that this connection is over: bytes were garbled on the way, or the client was too slow.
    pub(crate) fn ends_connection_only(&self) -> bool {
        let passing = [
            ErrorCode::FrameMagic,
            ErrorCode::FrameHeaderChecksum,
            ErrorCode::FrameBodyChecksum,
            ErrorCode::FrameTimeout,
            ErrorCode::HelloExpected,
        ];
        self.code.retry() || passing.contains(&self.code)
    }

    pub(crate) fn into_cause(self) -> LinkCause {
        LinkCause::Refused {
            code: self.code,
            text: self.text,
        }
    }
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code,
            text: refusal.text,
            expected: refusal.expected,
            limit: refusal.limit,
        }
    }
}

/// The node of a field, where zero means none.
pub(crate) fn node_id(field: u32) -> Option<NodeId> {
    (field != 0).then_some(NodeId(field))
}
