//! What operators ask a node to do, and what it answers.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::NODES_MAX;
use crate::{FrameError, NodeId};

const MEMBERS: u8 = 1;
const TRANSFER: u8 = 2;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAsk {
    /// Who belongs to the group? Any node answers, from what it knows.
    Members,
    /// Hand the lead over: the leader does, and answers when another one leads.
    Transfer {
        /// To this node; `None`: to whom the leader chooses.
        to: Option<NodeId>,
    },
}

impl AdminAsk {
    /// As a message.
    #[must_use]
    pub const fn message(self) -> Admin {
        let (op, node) = match self {
            Self::Members => (MEMBERS, None),
            Self::Transfer { to } => (TRANSFER, to),
        };
        Admin {
            op,
            reserved: [0; 3],
            node: U32::new(match node {
                Some(node) => node.0,
                None => 0,
            }),
        }
    }
}

/// An operator's wish.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Admin {
    /// 1 members, 2 transfer.
    pub op: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The node that it is about, or zero.
    pub node: U32,
}

impl Admin {
    /// What is asked.
    ///
    /// # Errors
    /// There is no such operation.
    pub fn ask(&self) -> Result<AdminAsk, FrameError> {
        let node = Some(NodeId(self.node.get())).filter(|node| node.0 > 0);
        match self.op {
            MEMBERS => Ok(AdminAsk::Members),
            TRANSFER => Ok(AdminAsk::Transfer { to: node }),
            _ => Err(FrameError::Invalid {
                what: "an operator asks for members, 1, or for a transfer of the lead, 2",
            }),
        }
    }
}

/// It is done, and so is the group now. The tail is `member_count` times [`AdminMember`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AdminReply {
    /// Who answers.
    pub node: U32,
    /// The leader that it knows, or zero.
    pub leader: U32,
    /// Its term.
    pub term: U64,
    /// Members in the tail.
    pub member_count: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// A member of the group, as the answering node sees it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AdminMember {
    /// The node.
    pub node: U32,
    /// 1: its disk counts, and it votes.
    pub voter: u8,
    /// 1: the answering node is connected with it, or is it.
    pub up: u8,
    /// Zero.
    pub reserved: U16,
    /// Its log has shown to be durable up to here. Known to the leader; the others know their own.
    pub durable: U64,
}

impl AdminMember {
    /// The members of a tail.
    ///
    /// # Errors
    /// The tail is not `count` members long, or lists more of them than a group has.
    pub fn parse_all(tail: &[u8], count: u8) -> Result<&[Self], FrameError> {
        <[Self]>::ref_from_bytes(tail)
            .ok()
            .filter(|members| members.len() <= NODES_MAX && members.len() == usize::from(count))
            .ok_or(FrameError::Invalid {
                what: "the list of members has another length than it says",
            })
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::{Admin, AdminAsk, AdminMember};
    use crate::NodeId;
    use crate::limits::NODES_MAX;

    #[test]
    fn what_is_asked_comes_back_as_it_went() {
        for ask in [
            AdminAsk::Members,
            AdminAsk::Transfer { to: None },
            AdminAsk::Transfer {
                to: Some(NodeId(3)),
            },
        ] {
            assert_eq!(ask.message().ask(), Ok(ask));
        }
        let other = Admin {
            op: 9,
            ..AdminAsk::Members.message()
        };
        assert!(other.ask().is_err());
    }

    #[test]
    fn a_list_of_members_has_the_length_it_says() {
        let member = [0u8; size_of::<AdminMember>()];
        let tail = member.as_bytes().repeat(3);
        assert_eq!(AdminMember::parse_all(&tail, 3).map(<[_]>::len), Ok(3));
        assert!(AdminMember::parse_all(&tail, 2).is_err());
        let tail = member.as_bytes().repeat(NODES_MAX + 1);
        assert!(AdminMember::parse_all(&tail, 8).is_err());
    }
}
