//! Messages between clients and nodes: the fixed part of each frame's body.

mod produce;
mod reading;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ADDRESS_BYTES_MAX, ERROR_TEXT_BYTES_MAX, MEMBERS_MAX};
use crate::{ClusterName, FrameError, NodeId};

pub use produce::{AckLevel, Produce, ProduceReply, Stage, StageTimes, TracedReply};
pub use reading::{Consistency, Credit, Fetch, FetchReply, ReadFrom, Unsubscribed};

/// A client's greeting: the first frame of every connection.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Hello {
    /// The cluster that the client means, or all zeros for any.
    pub cluster: [u8; ClusterName::BYTES],
    /// Lowest protocol version that it speaks.
    pub version_min: u8,
    /// Highest protocol version that it speaks.
    pub version_max: u8,
    /// Bits: [`Hello::MERGED`].
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl Hello {
    /// Flag: one [`ProduceReply`] may answer several requests.
    pub const MERGED: u8 = 1;
}

/// The answer to [`Hello`]. The tail is `node_count` times [`NodeEntry`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct HelloReply {
    /// The cluster.
    pub cluster: [u8; ClusterName::BYTES],
    /// The answering node.
    pub node: U32,
    /// The leader of group 0, or zero if none is known.
    pub leader: U32,
    /// The term that it leads in, or zero.
    pub leader_term: U64,
    /// Most bytes of requests in flight on this connection.
    pub window_bytes: U32,
    /// Most requests in flight on this connection.
    pub window_requests: U32,
    /// Groups of the cluster.
    pub group_count: U32,
    /// The protocol version that the node chose.
    pub version: u8,
    /// How many nodes the tail lists.
    pub node_count: u8,
    /// Zero.
    pub reserved: U16,
}

/// One node of the cluster, and where clients find it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct NodeEntry {
    /// The node.
    pub node: U32,
    /// Length of the address.
    pub address_len: U16,
    /// Zero.
    pub reserved: U16,
    /// `host:port`, padded with zeros.
    pub address: [u8; ADDRESS_BYTES_MAX],
}
const _: () = assert!(size_of::<NodeEntry>() == 64);

impl NodeEntry {
    /// An entry, or `None` if the address is too long.
    #[must_use]
    pub fn new(node: NodeId, address: &str) -> Option<Self> {
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        bytes
            .get_mut(..address.len())?
            .copy_from_slice(address.as_bytes());
        let address_len = u16::try_from(address.len()).ok()?;
        Some(Self {
            node: U32::new(node.0),
            address_len: U16::new(address_len),
            reserved: U16::new(0),
            address: bytes,
        })
    }

    /// The address as text, or `None` if it is none.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let bytes = self.address.get(..usize::from(self.address_len.get()))?;
        core::str::from_utf8(bytes).ok()
    }

    /// The entries of a [`HelloReply`]'s tail.
    ///
    /// # Errors
    /// The tail is not `count` entries long, or lists more nodes than a cluster has.
    pub fn parse_all(tail: &[u8], count: u8) -> Result<&[Self], FrameError> {
        if usize::from(count) > MEMBERS_MAX {
            return Err(FrameError::Invalid {
                what: "the list of nodes is too long",
            });
        }
        let entries = <[Self]>::ref_from_bytes(tail).map_err(|_| FrameError::Invalid {
            what: "the list of nodes is cut",
        })?;
        if entries.len() == usize::from(count) {
            Ok(entries)
        } else {
            Err(FrameError::Invalid {
                what: "the list of nodes has another length than it says",
            })
        }
    }
}

/// How a node is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct StatusReply {
    /// The cluster.
    pub cluster: [u8; ClusterName::BYTES],
    /// The node.
    pub node: U32,
    /// The leader that it knows, or zero.
    pub leader: U32,
    /// Its term.
    pub term: U64,
    /// Its last record.
    pub last_index: U64,
    /// Its last durable record.
    pub durable_index: U64,
    /// The last committed record that it knows.
    pub commit_index: U64,
    /// Offset after the last committed event.
    pub committed: U64,
    /// Digest of the state at `commit_index`.
    pub digest: U64,
    /// Bytes of log on its disk.
    pub log_bytes: U64,
    /// Producers that the group knows.
    pub producers: U64,
    /// The record before its log begins; zero if nothing has been released.
    pub start_index: U64,
    /// The first offset that its log has.
    pub start_offset: U64,
    /// Bytes of segments that lie ready on its disk.
    pub ready_bytes: U64,
    /// The last record that its newest snapshot covers; zero if it has none.
    pub snapshot_index: U64,
    /// Bytes of that.
    pub snapshot_bytes: U64,
    /// Writes to its log since it began to run.
    pub writes: U64,
    /// Records in them.
    pub written_records: U64,
    /// Bytes of them, with what fills their last blocks.
    pub written_bytes: U64,
    /// For how long at most 99 of 100 of a leader's records waited for their commit just now, in nanoseconds; zero without a load.
    pub commit_p99: U64,
    /// Bytes a second by which a leader catches its peers up at most; zero: there is no bound.
    pub catch_up_bytes: U64,
    /// Process id.
    pub process: U32,
    /// 0 forming, 1 follower, 2 candidate, 3 leader.
    pub role: u8,
    /// Whether it answers produce requests.
    pub serves: u8,
    /// Peers that it is connected with.
    pub peers_up: u8,
    /// The edition that the group uses at `commit_index`.
    pub edition: u8,
    /// The latest edition that the node's build has.
    pub build: u8,
    /// Its priority as a leader.
    pub priority: u8,
    /// Zero.
    pub reserved: [u8; 6],
}
const _: () = assert!(size_of::<StatusReply>() == 184);

/// A refusal. The tail is a sentence, UTF-8, at most [`ERROR_TEXT_BYTES_MAX`] bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ErrorMessage {
    /// [`ErrorCode`](crate::ErrorCode).
    pub code: U16,
    /// Zero.
    pub reserved: U16,
    /// The leader, for `NotLeader` and for who was removed from the group; zero if none is known.
    pub leader: U32,
    /// The term that it leads in, or zero.
    pub leader_term: U64,
    /// When to try again, in milliseconds; zero if the code says all.
    pub retry_after_ms: U32,
    /// Zero.
    pub reserved_too: U32,
    /// What was expected: the next sequence for `SequenceGap`, the epoch for `EpochFenced`, the end for `OffsetPastEnd` and
    /// `OffsetNotReached`, the start for `OffsetBeforeStart`.
    pub expected: U64,
    /// The other end of what can be read, for `OffsetPastEnd` and `OffsetBeforeStart`; else zero.
    pub limit: U64,
}
const _: () = assert!(size_of::<ErrorMessage>() == 40);

/// The sentence of an error's tail: cut at the limit between two characters, replaced if it is not UTF-8.
#[must_use]
pub fn error_text(tail: &[u8]) -> &str {
    let text = tail.get(..ERROR_TEXT_BYTES_MAX).unwrap_or(tail);
    let whole = match core::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => text.get(..error.valid_up_to()),
        Ok(_) | Err(_) => Some(text),
    };
    whole
        .and_then(|whole| core::str::from_utf8(whole).ok())
        .unwrap_or("(the text of this error is not UTF-8)")
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use zerocopy::IntoBytes;

    use super::{NodeEntry, error_text};
    use crate::NodeId;
    use crate::limits::{ADDRESS_BYTES_MAX, ERROR_TEXT_BYTES_MAX, MEMBERS_MAX};

    #[test]
    fn an_address_takes_what_its_field_holds() {
        let longest = "x".repeat(ADDRESS_BYTES_MAX);
        for address in ["", "127.0.0.1:9001", longest.as_str()] {
            let entry = NodeEntry::new(NodeId(1), address).expect("it fits");
            assert_eq!(entry.address(), Some(address));
        }
        assert_eq!(NodeEntry::new(NodeId(1), &"x".repeat(57)), None);
    }

    #[test]
    fn a_length_beyond_the_field_is_no_address() {
        let mut entry = NodeEntry::new(NodeId(1), "127.0.0.1:9001").expect("it fits");
        entry.address_len.set(57);
        assert_eq!(entry.address(), None);
        let mut entry = NodeEntry::new(NodeId(1), "é").expect("it fits");
        entry.address_len.set(1);
        assert_eq!(entry.address(), None, "half a character");
    }

    #[test]
    fn a_list_of_nodes_has_the_length_it_says() {
        let entry = NodeEntry::new(NodeId(1), "127.0.0.1:9001").expect("it fits");
        let tail: Vec<u8> = entry.as_bytes().repeat(3);
        assert_eq!(NodeEntry::parse_all(&tail, 3).map(<[_]>::len), Ok(3));
        assert_eq!(NodeEntry::parse_all(&[], 0).map(<[_]>::len), Ok(0));
        assert!(NodeEntry::parse_all(&tail, 2).is_err());
        assert!(NodeEntry::parse_all(&tail, 4).is_err());
        assert!(NodeEntry::parse_all(tail.get(1..).expect("it is longer"), 3).is_err());
        let tail = entry.as_bytes().repeat(MEMBERS_MAX + 1);
        assert!(NodeEntry::parse_all(&tail, 17).is_err());
    }

    #[test]
    fn an_error_text_is_cut_between_characters() {
        assert_eq!(error_text("no lead\u{e9}r".as_bytes()), "no lead\u{e9}r");
        assert_eq!(error_text(b"\xff"), "(the text of this error is not UTF-8)");
        let long = "x".repeat(ERROR_TEXT_BYTES_MAX - 1) + "\u{e9}";
        assert_eq!(error_text(long.as_bytes()).len(), ERROR_TEXT_BYTES_MAX - 1);
        assert_eq!(error_text(&[b'x'; 2 * ERROR_TEXT_BYTES_MAX]).len(), 512);
    }
}
