//! What operators ask a node to do, and what it answers.

use core::net::SocketAddr;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ADDRESS_BYTES_MAX, MEMBERS_MAX};
use crate::{Address, FrameError, NodeId};

const MEMBERS: u8 = 1;
const TRANSFER: u8 = 2;
const ADD: u8 = 3;
const PROMOTE: u8 = 4;
const REMOVE: u8 = 5;
const REPLACE: u8 = 6;

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
    /// Change the members: the leader does, and answers when that is committed.
    Change(Change),
}

/// A change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add a learner.
    Add {
        /// The node.
        node: NodeId,
        /// Where peers find it.
        peer: SocketAddr,
        /// The same as text, as it goes into the log.
        peer_text: Address,
        /// Where clients find it.
        client: Address,
    },
    /// Make a voter of a learner that has caught up.
    Promote {
        /// The learner.
        node: NodeId,
    },
    /// Remove a member.
    Remove {
        /// The member.
        node: NodeId,
    },
    /// Remove a voter, and make a voter of a learner that has caught up, at once.
    Replace {
        /// The voter.
        old: NodeId,
        /// The learner.
        new: NodeId,
    },
}

impl AdminAsk {
    /// As a message.
    #[must_use]
    pub fn message(self) -> Admin {
        let mut admin = Admin::new_zeroed();
        match self {
            Self::Members => admin.op = MEMBERS,
            Self::Transfer { to } => {
                admin.op = TRANSFER;
                admin.node.set(to.map_or(0, |to| to.0));
            }
            Self::Change(Change::Add {
                node,
                peer_text,
                client,
                ..
            }) => {
                admin.op = ADD;
                admin.node.set(node.0);
                (admin.peer, admin.peer_len) = peer_text.to_field();
                (admin.client, admin.client_len) = client.to_field();
            }
            Self::Change(Change::Promote { node }) => {
                admin.op = PROMOTE;
                admin.node.set(node.0);
            }
            Self::Change(Change::Remove { node }) => {
                admin.op = REMOVE;
                admin.node.set(node.0);
            }
            Self::Change(Change::Replace { old, new }) => {
                admin.op = REPLACE;
                admin.node.set(old.0);
                admin.by.set(new.0);
            }
        }
        admin
    }
}

/// An operator's wish.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Admin {
    /// 1 members, 2 transfer, 3 add, 4 promote, 5 remove, 6 replace.
    pub op: u8,
    /// Add: length of the address for peers.
    pub peer_len: u8,
    /// Add: length of the address for clients.
    pub client_len: u8,
    /// Zero.
    pub reserved: u8,
    /// The node that it is about, or zero.
    pub node: U32,
    /// Replace: by which one.
    pub by: U32,
    /// Zero.
    pub reserved_too: U32,
    /// Add: where peers find the node, an IP address and a port.
    pub peer: [u8; ADDRESS_BYTES_MAX],
    /// Add: where clients find it, `host:port`.
    pub client: [u8; ADDRESS_BYTES_MAX],
}

impl Admin {
    /// What is asked.
    ///
    /// # Errors
    /// There is no such operation, or it lacks something.
    pub fn ask(&self) -> Result<AdminAsk, FrameError> {
        let some = |id: U32| Some(NodeId(id.get())).filter(|node| node.0 > 0);
        let named = |id| {
            some(id).ok_or(FrameError::Invalid {
                what: "the operator's wish names no node",
            })
        };
        Ok(match self.op {
            MEMBERS => AdminAsk::Members,
            TRANSFER => AdminAsk::Transfer {
                to: some(self.node),
            },
            ADD => AdminAsk::Change(self.addition(named(self.node)?)?),
            PROMOTE => AdminAsk::Change(Change::Promote {
                node: named(self.node)?,
            }),
            REMOVE => AdminAsk::Change(Change::Remove {
                node: named(self.node)?,
            }),
            REPLACE => AdminAsk::Change(Change::Replace {
                old: named(self.node)?,
                new: named(self.by)?,
            }),
            _ => {
                return Err(FrameError::Invalid {
                    what: "an operator's wish is none of 1 to 6",
                });
            }
        })
    }

    fn addition(&self, node: NodeId) -> Result<Change, FrameError> {
        let invalid = FrameError::Invalid {
            what: "a node is added with an IP address and port for its peers, and an address for clients",
        };
        let peer_text = Address::from_field(self.peer, self.peer_len).ok_or(invalid)?;
        let client = Address::from_field(self.client, self.client_len).ok_or(invalid)?;
        Ok(Change::Add {
            node,
            peer: peer_text.as_str().parse().map_err(|_| invalid)?,
            peer_text,
            client,
        })
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
    /// What it is: [`MemberRole`](crate::MemberRole).
    pub role: u8,
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
            .filter(|members| members.len() <= MEMBERS_MAX && members.len() == usize::from(count))
            .ok_or(FrameError::Invalid {
                what: "the list of members has another length than it says",
            })
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::{Admin, AdminAsk, AdminMember, Change};
    use crate::limits::MEMBERS_MAX;
    use crate::{Address, NodeId};

    #[test]
    fn what_is_asked_comes_back_as_it_went() {
        for ask in [
            AdminAsk::Members,
            AdminAsk::Transfer { to: None },
            AdminAsk::Transfer {
                to: Some(NodeId(3)),
            },
            AdminAsk::Change(add()),
            AdminAsk::Change(Change::Promote { node: NodeId(4) }),
            AdminAsk::Change(Change::Remove { node: NodeId(4) }),
            AdminAsk::Change(Change::Replace {
                old: NodeId(3),
                new: NodeId(4),
            }),
        ] {
            assert_eq!(ask.message().ask(), Ok(ask));
        }
    }

    fn add() -> Change {
        let address = |text| Address::new(text).expect("it is short");
        Change::Add {
            node: NodeId(4),
            peer: "10.0.0.4:7001".parse().expect("an address"),
            peer_text: address("10.0.0.4:7001"),
            client: address("four.example:9001"),
        }
    }

    #[test]
    fn a_wish_that_lacks_something_is_none() {
        let add = AdminAsk::Change(add()).message();
        let other = |op| Admin {
            op,
            ..AdminAsk::Members.message()
        };
        for wrong in [
            other(9),
            other(4),
            other(6),
            Admin { peer_len: 9, ..add },
            Admin {
                peer: add.client,
                peer_len: add.client_len,
                ..add
            },
            Admin {
                client_len: 57,
                ..add
            },
        ] {
            assert!(wrong.ask().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_list_of_members_has_the_length_it_says() {
        let member = [0u8; size_of::<AdminMember>()];
        let tail = member.as_bytes().repeat(3);
        assert_eq!(AdminMember::parse_all(&tail, 3).map(<[_]>::len), Ok(3));
        assert!(AdminMember::parse_all(&tail, 2).is_err());
        let tail = member.as_bytes().repeat(MEMBERS_MAX + 1);
        assert!(AdminMember::parse_all(&tail, 17).is_err());
    }
}
