//! A roster: the members of a group, as a record of the log names them.

use core::net::SocketAddr;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ADDRESS_BYTES_MAX, MEMBERS_MAX, NODES_MAX};
use crate::{Address, DiskId, NodeId};

/// The head of a roster.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RosterHead {
    /// The highest id that a member ever had. An id is used once: a node that comes new has a higher one.
    pub last_id: U32,
    /// How many entries follow.
    pub count: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// One member.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RosterEntry {
    /// The node.
    pub node: U32,
    /// What it is: [`MemberRole`].
    pub role: u8,
    /// Length of the address for peers.
    pub peer_len: u8,
    /// Length of the address for clients.
    pub client_len: u8,
    /// Zero.
    pub reserved: u8,
    /// The disk that counts.
    pub disk: [u8; 16],
    /// Where peers find it: an IP address and a port, padded with zeros.
    pub peer: [u8; ADDRESS_BYTES_MAX],
    /// Where clients find it, `host:port`, padded with zeros.
    pub client: [u8; ADDRESS_BYTES_MAX],
}
const _: () = assert!(size_of::<RosterEntry>() == 136);

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MemberRole {
    /// It gets the log, and counts for nothing.
    Learner = 0,
    /// It votes.
    Voter = 1,
    /// It voted before the change that is under way, and will not after it.
    Leaving = 2,
    /// It votes before and after the change.
    Staying = 3,
}

impl MemberRole {
    /// The role of a byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Learner),
            1 => Some(Self::Voter),
            2 => Some(Self::Leaving),
            3 => Some(Self::Staying),
            _ => None,
        }
    }

    /// Whether it votes when the change is over.
    #[must_use]
    pub const fn votes(self) -> bool {
        matches!(self, Self::Voter | Self::Staying)
    }

    /// Whether it voted before a change that is under way.
    #[must_use]
    pub const fn voted(self) -> bool {
        matches!(self, Self::Leaving | Self::Staying)
    }
}

/// Why a roster is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// It has another length than it says.
    #[error("a roster of {bytes} bytes, which is not what its head says")]
    Length {
        /// How many there are.
        bytes: usize,
    },
    /// A field is out of range.
    #[error("the roster's {0}")]
    Field(&'static str),
}

impl RosterEntry {
    /// An entry.
    #[must_use]
    pub const fn new(
        (node, disk): (NodeId, DiskId),
        role: MemberRole,
        peer: Address,
        client: Address,
    ) -> Self {
        let (peer, peer_len) = peer.to_field();
        let (client, client_len) = client.to_field();
        Self {
            node: U32::new(node.0),
            role: role as u8,
            peer_len,
            client_len,
            reserved: 0,
            disk: disk.0,
            peer,
            client,
        }
    }

    /// The node with its disk.
    #[must_use]
    pub fn member(&self) -> (NodeId, DiskId) {
        (NodeId(self.node.get()), DiskId(self.disk))
    }

    /// What it is.
    ///
    /// # Panics
    /// Never for an entry of a roster that was checked.
    #[must_use]
    pub fn role(&self) -> MemberRole {
        MemberRole::from_byte(self.role).expect("a roster's roles were checked")
    }

    /// The same member in another role.
    #[must_use]
    pub const fn with_role(self, role: MemberRole) -> Self {
        Self {
            role: role as u8,
            ..self
        }
    }

    /// Where peers find it; `None` if what is there is no address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        let address = Address::from_field(self.peer, self.peer_len)?;
        address.as_str().parse().ok()
    }

    /// Where clients find it; `None` if what is there is no text.
    #[must_use]
    pub fn client(&self) -> Option<Address> {
        Address::from_field(self.client, self.client_len)
    }
}

/// A roster that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roster<'a> {
    /// The highest id that a member ever had.
    pub last_id: NodeId,
    /// The members, by rising id.
    pub entries: &'a [RosterEntry],
}

impl<'a> Roster<'a> {
    /// Reads a roster.
    ///
    /// # Errors
    /// The bytes are no sound roster.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RosterError> {
        let length = RosterError::Length { bytes: bytes.len() };
        let (head, rest) = RosterHead::ref_from_prefix(bytes).map_err(|_| length)?;
        let entries = <[RosterEntry]>::ref_from_bytes(rest).map_err(|_| length)?;
        if entries.len() != usize::from(head.count) {
            return Err(length);
        }
        if entries.len() > MEMBERS_MAX {
            return Err(RosterError::Field("members are too many"));
        }
        let last_id = head.last_id.get();
        let nodes = || entries.iter().map(|entry| entry.node.get());
        let rising = core::iter::once(0).chain(nodes()).zip(nodes());
        if rising.into_iter().any(|(before, node)| before >= node) {
            return Err(RosterError::Field("members do not rise"));
        }
        if nodes().next_back().is_some_and(|node| node > last_id) {
            return Err(RosterError::Field("last id is not the last"));
        }
        if head.reserved != [0; 3] || entries.iter().any(|entry| entry.reserved != 0) {
            return Err(RosterError::Field("reserved bytes are not zero"));
        }
        let roles = || {
            entries
                .iter()
                .map(|entry| MemberRole::from_byte(entry.role))
        };
        let count = |of: fn(MemberRole) -> bool| roles().flatten().filter(|&role| of(role)).count();
        let (votes, voted) = (count(MemberRole::votes), count(MemberRole::voted));
        if roles().any(|role| role.is_none())
            || !(1..=NODES_MAX).contains(&votes)
            || voted > NODES_MAX
        {
            return Err(RosterError::Field("voters are none or too many"));
        }
        if entries
            .iter()
            .any(|entry| entry.peer().is_none() || entry.client().is_none())
        {
            return Err(RosterError::Field("addresses are none"));
        }
        Ok(Self {
            last_id: NodeId(last_id),
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn entry(node: u8, role: MemberRole) -> RosterEntry {
        let member = (NodeId(u32::from(node)), DiskId([node; 16]));
        let [peer, client] = ["127.0.0.1:7001", "host:9001"].map(Address::new);
        let (peer, client) = peer.zip(client).expect("they are short");
        RosterEntry::new(member, role, peer, client)
    }

    fn roster(last_id: u32, entries: &[RosterEntry]) -> Vec<u8> {
        let head = RosterHead {
            last_id: U32::new(last_id),
            count: u8::try_from(entries.len()).expect("a few"),
            reserved: [0; 3],
        };
        [head.as_bytes(), entries.as_bytes()].concat()
    }

    #[test]
    fn a_roster_comes_back() {
        use MemberRole::{Learner, Leaving, Staying, Voter};
        let entries = [(1, Staying), (2, Leaving), (4, Voter), (9, Learner)];
        let entries = entries.map(|(node, role)| entry(node, role));
        let bytes = roster(9, &entries);
        let read = Roster::parse(&bytes).expect("it is sound");
        assert_eq!((read.last_id, read.entries), (NodeId(9), &entries[..]));
        let last = read.entries.last().expect("there are some");
        assert_eq!(last.peer(), "127.0.0.1:7001".parse().ok());
        assert_eq!(last.client(), Address::new("host:9001"));
    }

    #[test]
    fn what_is_no_roster_is_refused() {
        use MemberRole::{Learner, Leaving, Voter};
        let why = |last_id, entries: &[RosterEntry]| {
            Roster::parse(&roster(last_id, entries)).expect_err("it is unsound")
        };
        let (one, two) = (entry(1, Voter), entry(2, Voter));
        for (last_id, entries) in [
            (2, vec![two, one]),
            (2, vec![one, one]),
            (1, vec![one, two]),
            (2, vec![entry(0, Voter)]),
            (2, vec![]),
            (2, vec![entry(1, Learner), entry(2, Leaving)]),
            (2, vec![RosterEntry { role: 4, ..one }]),
            (2, vec![RosterEntry { reserved: 1, ..one }]),
            (
                2,
                vec![RosterEntry {
                    peer_len: 57,
                    ..one
                }],
            ),
            (
                2,
                vec![RosterEntry {
                    peer_len: 13,
                    ..one
                }],
            ),
            (
                2,
                vec![RosterEntry {
                    client_len: 5,
                    ..one
                }],
            ),
            (99, (1..=17).map(|node| entry(node, Learner)).collect()),
            (99, (1..=8).map(|node| entry(node, Voter)).collect()),
        ] {
            assert!(matches!(why(last_id, &entries), RosterError::Field(_)));
        }
        let whole = roster(2, &[one, two]);
        for cut in [0, 7, 8, 143, whole.len() - 1] {
            let length = RosterError::Length { bytes: cut };
            assert_eq!(
                Roster::parse(whole.get(..cut).expect("it is shorter")),
                Err(length)
            );
        }
    }
}
