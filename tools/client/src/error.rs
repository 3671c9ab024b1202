//! What can go wrong, with the data that a program decides by and a sentence for people.

use std::io;
use std::time::Duration;

use quorate_wire::{
    ChunkError, ErrorCode, EventError, FrameError, LogIndex, RecordError, Sequence,
};

/// Why a call of the client failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A node refused for good. A producer ends with it: it cannot know what a later chunk would mean.
    #[error("refused with {code}: {text}")]
    Refused {
        /// The stable code; `docs/errors.md` says what to do.
        code: ErrorCode,
        /// The node's sentence.
        text: String,
        /// What the node expected, for the codes that say so: a sequence, an epoch or an offset.
        expected: u64,
        /// The other end of what can be read, for an offset that cannot.
        limit: u64,
    },
    /// Events are lost that were [accepted](crate::AckLevel::Accepted) only: the leader that had them in memory is gone. A
    /// producer of the next epoch can go on.
    #[error(
        "events from sequence {first} on were accepted, and are lost with the leader that had them in memory"
    )]
    AcceptedLost {
        /// The first lost one.
        first: Sequence,
    },
    /// No node answered in time.
    #[error("{} (tried {}): {last}", unserved(last), nodes.join(", "))]
    Unreachable {
        /// Addresses that were tried.
        nodes: Vec<String>,
        /// How the last attempt ended.
        last: LinkCause,
    },
    /// The time that the caller allowed is over.
    #[error("{what} took longer than {} ms; last trouble: {last}", after.as_millis())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
        /// How the last attempt ended.
        last: LinkCause,
    },
    /// The operating system refused something that no other node can make good.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A node sent bytes that are not the protocol.
    #[error("the node does not speak the protocol: {0}")]
    Protocol(FrameError),
    /// A node sent a record that fails its checks.
    #[error("the node sent a damaged record: {0}")]
    Damaged(RecordError),
    /// The producer was closed or dropped before the event was acknowledged.
    #[error("the producer was closed before the event was acknowledged")]
    Closed,
    /// A record does not follow the one before it, which may have come from another node: their logs differ.
    #[error("record {index} does not follow the record before it: the nodes' logs differ")]
    ChainBroken {
        /// The record.
        index: LogIndex,
    },
    /// The caller's event, or its encoded chunk, is over a limit.
    #[error("the event cannot be sent: {0}")]
    InvalidEvent(InvalidEvent),
}

/// What is wrong with what the caller wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The event is over a limit.
    #[error("{0}")]
    Event(EventError),
    /// The chunk of encoded events is over a limit.
    #[error("{0}")]
    Chunk(ChunkError),
}

impl ClientError {
    /// The stable code, where there is one: trouble on the way to a node has none.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable { last, .. } | Self::TimedOut { last, .. } => last.code(),
            Self::AcceptedLost { .. } => Some(ErrorCode::SequenceGap),
            Self::Io { .. } | Self::Closed => None,
            Self::Protocol(error) => Some(error.code()),
            Self::ChainBroken { .. } => Some(ErrorCode::ChainBroken),
            Self::Damaged(_) => Some(ErrorCode::RecordUnreadable),
            Self::InvalidEvent(InvalidEvent::Event(_)) => Some(ErrorCode::EventInvalid),
            Self::InvalidEvent(InvalidEvent::Chunk(_)) => Some(ErrorCode::ChunkInvalid),
        }
    }
}

/// Why a connection ended, or did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkCause {
    /// Nothing has failed yet.
    #[error("no attempt has failed yet")]
    None,
    /// The address is no `host:port`, or its host has no address.
    #[error("the address does not resolve")]
    Unresolved,
    /// The operating system's word for it.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// The connection did not come about in time.
    #[error("the node did not take the connection in time")]
    ConnectTimeout,
    /// The node closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// The node left a request without an answer for too long.
    #[error("the node did not answer in time")]
    Silent,
    /// The node's bytes were not the protocol.
    #[error("the node does not speak the protocol: {0}")]
    Frame(FrameError),
    /// The node refused, and said why.
    #[error("refused with {code}: {text}")]
    Refused {
        /// The stable code.
        code: ErrorCode,
        /// The node's sentence.
        text: String,
    },
}

impl LinkCause {
    /// The stable code, where there is one.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Frame(error) => Some(error.code()),
            Self::Refused { code, .. } => Some(*code),
            Self::None
            | Self::Unresolved
            | Self::Io(_)
            | Self::ConnectTimeout
            | Self::Closed
            | Self::Silent => None,
        }
    }
}

/// Whether nodes answered at all.
fn unserved(last: &LinkCause) -> &'static str {
    if matches!(last, LinkCause::Refused { .. }) {
        "no node does what is asked"
    } else {
        "no node answers"
    }
}
