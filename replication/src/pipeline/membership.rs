//! Who belongs to the group, each with its disk. A node that has never been in a group is *forming*: only when it has met
//! all configured nodes does it write down their disks, and only then does it vote. So a wiped disk under an old id cannot
//! pass for the one that voted and acknowledged before (TRAPS 26).

use alloc::vec::Vec;

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

    /// The members, or nothing while forming.
    pub(super) fn members(&self) -> &[(NodeId, DiskId)] {
        &self.members
    }

    /// The members are written down.
    pub(super) fn formed(&mut self, members: Vec<(NodeId, DiskId)>) {
        assert!(self.members.is_empty(), "a group forms once");
        self.members = members;
    }

    /// The members to write down, if everybody has been met: for a group of one, at once.
    pub(super) fn complete(&self) -> Option<Vec<(NodeId, DiskId)>> {
        (self.members.is_empty() && self.met.len() == self.nodes.len()).then(|| {
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
        let disk = DiskId(hello.disk);
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
            (true, false) if !formed(&theirs, (self.node, self.disk)) => {
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
