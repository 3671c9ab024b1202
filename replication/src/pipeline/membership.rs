//! Who belongs to the group, each with its disk. A node that has never been in a group is *forming*: only when it has the list of
//! all members' disks does it vote. So a wiped disk under an old id cannot pass for the one that voted and acknowledged before
//! (TRAPS 26).
//!
//! One node makes the list, the *founder*: the first configured one, when it has met all others. They take it over from whoever
//! has it. Did each make its own, a disk that is wiped while the others are still meeting could stand on one list and not on
//! another, and two majorities would share no disk.

use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::peer::{Member, PeerHello};
use quorate_wire::{ClusterName, DiskId, ErrorCode, NodeId, PROTOCOL_VERSION, checksum};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// What this node knows of the group's members.
#[derive(Debug)]
pub(super) struct Membership {
    cluster: ClusterName,
    node: NodeId,
    disk: DiskId,
    nodes: Vec<NodeId>,
    nodes_crc: u32,
    /// Empty while forming.
    members: Vec<(NodeId, DiskId)>,
    /// While forming: who has been met, this node included.
    met: Vec<(NodeId, DiskId)>,
}

/// A peer that may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeted {
    pub(super) peer: NodeId,
    pub(super) disk: DiskId,
    /// The members to write down now, if this greeting completes them.
    pub(super) forms: Option<Vec<(NodeId, DiskId)>>,
}

/// A peer that may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) peer: Option<NodeId>,
    pub(super) code: ErrorCode,
}

impl Membership {
    pub(super) fn new(
        cluster: ClusterName,
        (node, disk): (NodeId, DiskId),
        nodes: Vec<NodeId>,
        members: Vec<(NodeId, DiskId)>,
    ) -> Self {
        let ids: Vec<U32> = nodes.iter().map(|node| U32::new(node.0)).collect();
        let nodes_crc = checksum::crc32(&[ids.as_bytes()]);
        Self {
            cluster,
            node,
            disk,
            nodes,
            nodes_crc,
            members,
            met: alloc::vec![(node, disk)],
        }
    }

    /// The disk that this node runs on.
    pub(super) const fn disk(&self) -> DiskId {
        self.disk
    }

    /// The members, or nothing while forming.
    pub(super) fn members(&self) -> &[(NodeId, DiskId)] {
        &self.members
    }

    /// The members are written down.
    pub(super) fn formed(&mut self, members: Vec<(NodeId, DiskId)>) {
        assert!(self.members.is_empty(), "a group forms once");
        self.members = members;
    }

    /// The members to write down, if this node founds the group and has met everybody: in a group of one, at once.
    pub(super) fn complete(&self) -> Option<Vec<(NodeId, DiskId)>> {
        let founds = self.members.is_empty() && self.nodes.first() == Some(&self.node);
        (founds && self.met.len() == self.nodes.len()).then(|| {
            let mut members = self.met.clone();
            members.sort_unstable_by_key(|&(node, _)| node);
            members
        })
    }

    /// The greeting for a peer, and the members that go with it.
    pub(super) fn hello(&self, to: NodeId) -> (PeerHello, Vec<Member>) {
        let members: Vec<Member> = self
            .members
            .iter()
            .map(|&(node, disk)| Member::new(node, disk))
            .collect();
        let hello = PeerHello {
            cluster: self.cluster.to_bytes(),
            disk: self.disk.0,
            node: U32::new(self.node.0),
            to: U32::new(to.0),
            nodes_crc: U32::new(self.nodes_crc),
            member_count: u8::try_from(members.len()).expect("a group has at most seven members"),
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            reserved: 0,
        };
        (hello, members)
    }

    /// Judges a greeting.
    pub(super) fn greeted(
        &mut self,
        hello: &PeerHello,
        members: &[Member],
    ) -> Result<Greeted, Refused> {
        let peer = NodeId(hello.node.get());
        let refuse = |code| {
            Err(Refused {
                peer: Some(peer),
                code,
            })
        };
        if hello.cluster != self.cluster.to_bytes() {
            return refuse(ErrorCode::ClusterMismatch);
        }
        if hello.to.get() != self.node.0 || peer == self.node || !self.nodes.contains(&peer) {
            return refuse(ErrorCode::NodeMismatch);
        }
        if !(hello.version_min..=hello.version_max).contains(&PROTOCOL_VERSION) {
            return refuse(ErrorCode::FrameVersion);
        }
        if hello.nodes_crc.get() != self.nodes_crc {
            return refuse(ErrorCode::MembersMismatch);
        }
        let mut disk = DiskId(hello.disk);
        if canary::on(Canary::WipedDiskVotes)
            && let Some(&(_, known)) = self.members.iter().find(|&&(node, _)| node == peer)
        {
            disk = known;
        }
        let theirs: Vec<(NodeId, DiskId)> = members
            .iter()
            .map(|member| (NodeId(member.node.get()), DiskId(member.disk)))
            .collect();
        match self.forms(peer, disk, theirs) {
            Ok(forms) => Ok(Greeted { peer, disk, forms }),
            Err(code) => refuse(code),
        }
    }

    fn forms(
        &mut self,
        peer: NodeId,
        disk: DiskId,
        theirs: Vec<(NodeId, DiskId)>,
    ) -> Result<Option<Vec<(NodeId, DiskId)>>, ErrorCode> {
        let formed = |members: &[(NodeId, DiskId)], member| members.contains(&member);
        match (self.members.is_empty(), theirs.is_empty()) {
            (false, _) if !formed(&self.members, (peer, disk)) => Err(ErrorCode::DiskMismatch),
            (false, false) if theirs != self.members => Err(ErrorCode::MembersMismatch),
            (false, _) => Ok(None),
            (true, false)
                if !formed(&theirs, (self.node, self.disk))
                    && !canary::on(Canary::WipedDiskVotes) =>
            {
                Err(ErrorCode::DiskMismatch)
            }
            (true, false) if !formed(&theirs, (peer, disk)) => Err(ErrorCode::DiskMismatch),
            (true, false) => Ok(Some(theirs)),
            (true, true) => {
                self.met.retain(|&(node, _)| node != peer);
                self.met.push((peer, disk));
                Ok(self.complete())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "flights";

    fn disk(of: u8) -> DiskId {
        DiskId([of; 16])
    }

    fn node(id: u8, disk: DiskId, members: &[(NodeId, DiskId)]) -> Membership {
        let cluster = ClusterName::new(CLUSTER).expect("a name");
        let nodes = (1..=3).map(NodeId).collect();
        Membership::new(
            cluster,
            (NodeId(u32::from(id)), disk),
            nodes,
            members.to_vec(),
        )
    }

    fn trio() -> Vec<(NodeId, DiskId)> {
        (1..=3u8)
            .map(|id| (NodeId(u32::from(id)), disk(id)))
            .collect()
    }

    fn greet(from: &Membership, to: &mut Membership) -> Result<Greeted, Refused> {
        let (hello, members) = from.hello(to.node);
        to.greeted(&hello, &members)
    }

    fn code(result: Result<Greeted, Refused>) -> Option<ErrorCode> {
        result.err().map(|refused| refused.code)
    }

    #[test]
    fn a_group_forms_when_everybody_has_met() {
        let (two, three) = (node(2, disk(2), &[]), node(3, disk(3), &[]));
        let mut one = node(1, disk(1), &[]);
        assert_eq!(greet(&two, &mut one).expect("welcome").forms, None);
        assert_eq!(
            greet(&three, &mut one).expect("welcome").forms,
            Some(trio())
        );
    }

    /// The founder has met the third node's old disk, the second node its new one.
    #[test]
    fn a_disk_that_is_wiped_while_the_others_meet_stands_on_no_second_list() {
        let founder = node(1, disk(1), &trio());
        let forming = node(1, disk(1), &[]);
        let (mut two, mut wiped) = (node(2, disk(2), &[]), node(3, disk(9), &[]));
        assert_eq!(greet(&forming, &mut two).expect("welcome").forms, None);
        assert_eq!(greet(&wiped, &mut two).expect("welcome").forms, None);
        assert_eq!(
            greet(&founder, &mut two).expect("welcome").forms,
            Some(trio())
        );
        two.formed(trio());
        assert_eq!(code(greet(&wiped, &mut two)), Some(ErrorCode::DiskMismatch));
        assert_eq!(code(greet(&two, &mut wiped)), Some(ErrorCode::DiskMismatch));
    }

    #[test]
    fn a_node_that_crashed_while_forming_takes_the_members_over() {
        let one = node(1, disk(1), &trio());
        let mut two = node(2, disk(2), &[]);
        assert_eq!(greet(&one, &mut two).expect("welcome").forms, Some(trio()));
    }

    #[test]
    fn a_wiped_disk_under_an_old_id_is_refused_by_both_sides() {
        let mut one = node(1, disk(1), &trio());
        let mut wiped = node(2, disk(9), &[]);
        assert_eq!(code(greet(&wiped, &mut one)), Some(ErrorCode::DiskMismatch));
        assert_eq!(code(greet(&one, &mut wiped)), Some(ErrorCode::DiskMismatch));
    }

    #[test]
    fn a_stranger_is_refused() {
        let mut one = node(1, disk(1), &[]);
        let other = Membership::new(
            ClusterName::new("other").expect("a name"),
            (NodeId(2), disk(2)),
            (1..=3).map(NodeId).collect(),
            Vec::new(),
        );
        assert_eq!(
            code(greet(&other, &mut one)),
            Some(ErrorCode::ClusterMismatch)
        );
        let larger = Membership::new(
            ClusterName::new(CLUSTER).expect("a name"),
            (NodeId(2), disk(2)),
            (1..=5).map(NodeId).collect(),
            Vec::new(),
        );
        assert_eq!(
            code(greet(&larger, &mut one)),
            Some(ErrorCode::MembersMismatch)
        );
        let itself = node(1, disk(2), &[]);
        assert_eq!(
            code(greet(&itself, &mut one)),
            Some(ErrorCode::NodeMismatch)
        );
    }
}
