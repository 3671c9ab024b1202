//! Who belongs to the group, each with its disk. A node that has never been in a group is *forming*: only when it has the list of
//! all founders' disks does it vote. So a wiped disk under an old id cannot pass for the one that voted and acknowledged before
//! (TRAPS 26).
//!
//! One node makes the list, the first *founder*: the first configured one, when it has met all others. They take it over from whoever
//! has it. Did each make its own, a disk that is wiped while the others are still meeting could stand on one list and not on
//! another, and two majorities would share no disk.
//!
//! A node that *joins* a group has no such list: it follows whoever leads the cluster, and learns from the log who belongs to it. An id
//! is used once: to be none of the members, and to have an id that is not above all that were used, is to be one no more.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::client::NodeEntry;
use quorate_wire::peer::{Member, PeerHello};
use quorate_wire::{
    ClusterName, DiskId, Edition, ErrorCode, LogIndex, MemberRole, NodeId, PROTOCOL_VERSION,
    PROTOCOL_VERSION_MIN, RosterEntry, checksum, common_version,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::config::NodePlace;
use crate::state::MemberList;

/// What this node knows of the group's members.
#[derive(Debug)]
pub(super) struct Membership {
    cluster: ClusterName,
    node: NodeId,
    disk: DiskId,
    /// As configured.
    nodes: Vec<NodePlace>,
    nodes_crc: u32,
    /// This node waits to be told of its group, and founds none.
    joins: bool,
    /// Those who formed the group. Empty while forming, and on a node that has joined.
    founders: Vec<(NodeId, DiskId)>,
    /// While forming: who has been met, this node included.
    met: Vec<(NodeId, DiskId)>,
    /// Who belongs to the group by the newest list in the log; nobody while forming, or before a node that joins has heard.
    list: MemberList,
    /// The newest list that is committed, and its record.
    settled: (LogIndex, MemberList),
    /// For clients: where the members are, if the log tells.
    entries: Option<Arc<[NodeEntry]>>,
}

/// A peer that may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeted {
    pub(super) peer: NodeId,
    pub(super) disk: DiskId,
    /// The founders to write down now, if this greeting completes them.
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
        nodes: Vec<NodePlace>,
        founders: Vec<(NodeId, DiskId)>,
        joins: bool,
    ) -> Self {
        let ids: Vec<U32> = nodes.iter().map(|place| U32::new(place.node.0)).collect();
        let nodes_crc = checksum::crc32(&[ids.as_bytes()]);
        let mut membership = Self {
            cluster,
            node,
            disk,
            nodes,
            nodes_crc,
            joins,
            founders: Vec::new(),
            met: alloc::vec![(node, disk)],
            list: MemberList::default(),
            settled: Default::default(),
            entries: None,
        };
        if !founders.is_empty() {
            membership.formed(founders);
        }
        membership
    }

    /// The disk that this node runs on.
    pub(super) const fn disk(&self) -> DiskId {
        self.disk
    }

    /// Those who formed the group, as a list of members.
    pub(super) fn founding(&self) -> MemberList {
        let entry = |&(node, disk): &(NodeId, DiskId)| {
            let known = self.nodes.iter().find(|place| place.node == node);
            let place = known.map_or_else(|| NodePlace::nowhere(node), Clone::clone);
            RosterEntry::new((node, disk), MemberRole::Voter, place.peer, place.client)
        };
        MemberList {
            last_id: self
                .founders
                .iter()
                .map(|founder| founder.0)
                .max()
                .unwrap_or_default(),
            entries: self.founders.iter().map(entry).collect(),
        }
    }

    /// Who belongs to the group, by the newest list in the log.
    pub(super) fn list(&self) -> &MemberList {
        &self.list
    }

    /// Whether nothing is known of a group, and one is to be formed.
    pub(super) fn forms(&self) -> bool {
        !self.joins && self.list.entries.is_empty()
    }

    /// Where the members are, for clients, if the log tells.
    pub(super) fn entries(&self) -> Option<Arc<[NodeEntry]>> {
        self.entries.clone()
    }

    /// The configured nodes.
    pub(super) fn nodes(&self) -> &[NodePlace] {
        &self.nodes
    }

    /// The founders are written down.
    pub(super) fn formed(&mut self, founders: Vec<(NodeId, DiskId)>) {
        assert!(self.founders.is_empty(), "a group forms once");
        self.founders = founders;
        self.list = self.founding();
        self.settled.1 = self.list.clone();
    }

    /// The log's newest list is this one; there may be none.
    pub(super) fn learn(&mut self, newest: Option<&(LogIndex, MemberList)>) {
        match newest {
            Some((_, list)) => {
                self.list.clone_from(list);
                let entries = list.entries.iter();
                let entry = |entry: &RosterEntry| {
                    NodeEntry::new(entry.member().0, entry.client()?.as_str())
                };
                self.entries = Some(entries.filter_map(entry).collect());
            }
            None => {
                (self.list, self.entries) = (self.founding(), None);
            }
        }
    }

    /// The newest committed list is this one. Says whether that is news.
    pub(super) fn settle(&mut self, at: LogIndex, list: &MemberList) -> bool {
        let news = at > self.settled.0;
        if news {
            self.settled = (at, list.clone());
        }
        news
    }

    /// Whether a node was a member, and is none any more.
    pub(super) fn is_past(&self, node: NodeId) -> bool {
        self.settled.1.is_past(node) && self.list.is_past(node)
    }

    /// The founders to write down, if this node founds the group and has met everybody: in a group of one, at once.
    pub(super) fn complete(&self) -> Option<Vec<(NodeId, DiskId)>> {
        let first = self.nodes.first().map(|place| place.node);
        let founds = self.forms() && first == Some(self.node);
        (founds && self.met.len() == self.nodes.len()).then(|| {
            let mut members = self.met.clone();
            members.sort_unstable_by_key(|&(node, _)| node);
            members
        })
    }

    /// The greeting for a peer, and the founders that go with it. Of the editions, the first is the build's, the second the group's.
    pub(super) fn hello(
        &self,
        to: NodeId,
        (own, used): (Edition, Edition),
    ) -> (PeerHello, Vec<Member>) {
        let members: Vec<Member> = self
            .founders
            .iter()
            .map(|&(node, disk)| Member::new(node, disk))
            .collect();
        let joined = self.founders.is_empty() && !self.forms();
        let hello = PeerHello {
            cluster: self.cluster.to_bytes(),
            disk: self.disk.0,
            node: U32::new(self.node.0),
            to: U32::new(to.0),
            nodes_crc: U32::new(self.nodes_crc),
            member_count: u8::try_from(members.len()).expect("a group has at most seven founders"),
            version_min: PROTOCOL_VERSION_MIN,
            version_max: PROTOCOL_VERSION,
            joins: u8::from(joined),
            edition: own.0,
            group_edition: used.0,
            priority: 0,
            reserved: [0; 5],
        };
        (hello, members)
    }

    /// Judges a greeting.
    pub(super) fn greeted(
        &mut self,
        hello: &PeerHello,
        members: &[Member],
        (own, used): (Edition, Edition),
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
        if hello.to.get() != self.node.0 || peer == self.node {
            return refuse(ErrorCode::NodeMismatch);
        }
        if common_version(hello.version_min, hello.version_max).is_none() {
            return refuse(ErrorCode::FrameVersion);
        }
        // Who was removed hears that, whatever it can read.
        if self.is_past(peer) {
            return refuse(ErrorCode::NotAMember);
        }
        if hello.edition < used.0 || own.0 < hello.group_edition {
            return refuse(ErrorCode::EditionTooOld);
        }
        let mut disk = DiskId(hello.disk);
        if canary::on(Canary::WipedDiskVotes)
            && let Some(known) = self.list.disk_of(peer)
        {
            disk = known;
        }
        let theirs: Vec<(NodeId, DiskId)> = members
            .iter()
            .map(|member| (NodeId(member.node.get()), DiskId(member.disk)))
            .collect();
        let joined = hello.joins == 1;
        let judged = if !self.forms() {
            self.knows((peer, disk), &theirs, joined).map(|()| None)
        } else if theirs.is_empty() && !joined {
            self.meets((peer, disk), hello.nodes_crc.get())
        } else {
            self.takes_over((peer, disk), theirs)
        };
        match judged {
            Ok(forms) => Ok(Greeted { peer, disk, forms }),
            Err(code) => refuse(code),
        }
    }

    /// This node knows its group, or waits to be told of it.
    fn knows(
        &self,
        peer: (NodeId, DiskId),
        founders: &[(NodeId, DiskId)],
        joined: bool,
    ) -> Result<(), ErrorCode> {
        let both = !founders.is_empty() && !self.founders.is_empty();
        if both && founders != self.founders {
            return Err(ErrorCode::MembersMismatch);
        }
        match self.list.disk_of(peer.0) {
            Some(known) if known != peer.1 => Err(ErrorCode::DiskMismatch),
            Some(_) => Ok(()),
            None if self.is_past(peer.0) => Err(ErrorCode::NotAMember),
            // It forms a group of its own.
            None if founders.is_empty() && !joined => Err(ErrorCode::NodeMismatch),
            // The log may not have told yet.
            None => Ok(()),
        }
    }

    /// Both form.
    fn meets(
        &mut self,
        peer: (NodeId, DiskId),
        nodes_crc: u32,
    ) -> Result<Option<Vec<(NodeId, DiskId)>>, ErrorCode> {
        if nodes_crc != self.nodes_crc {
            return Err(ErrorCode::MembersMismatch);
        }
        self.met.retain(|&(node, _)| node != peer.0);
        self.met.push(peer);
        Ok(self.complete())
    }

    /// This node forms, and the peer is in a group.
    fn takes_over(
        &self,
        peer: (NodeId, DiskId),
        founders: Vec<(NodeId, DiskId)>,
    ) -> Result<Option<Vec<(NodeId, DiskId)>>, ErrorCode> {
        if founders.is_empty() {
            return Ok(None); // It has joined, and cannot tell who formed the group.
        }
        let known = founders.iter().find(|founder| founder.0 == peer.0);
        let own = founders.contains(&(self.node, self.disk));
        if !own && !canary::on(Canary::WipedDiskVotes)
            || known.is_some_and(|known| known.1 != peer.1)
        {
            return Err(ErrorCode::DiskMismatch);
        }
        Ok(Some(founders))
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
        make(id, disk, members, 3, false)
    }

    fn make(
        id: u8,
        disk: DiskId,
        founders: &[(NodeId, DiskId)],
        nodes: u32,
        joins: bool,
    ) -> Membership {
        let cluster = ClusterName::new(CLUSTER).expect("a name");
        let nodes = (1..=nodes).map(NodeId).map(NodePlace::nowhere).collect();
        let me = (NodeId(u32::from(id)), disk);
        Membership::new(cluster, me, nodes, founders.to_vec(), joins)
    }

    fn trio() -> Vec<(NodeId, DiskId)> {
        (1..=3u8)
            .map(|id| (NodeId(u32::from(id)), disk(id)))
            .collect()
    }

    fn greet(from: &Membership, to: &mut Membership) -> Result<Greeted, Refused> {
        greet_with(from, to, [Edition::FIRST; 3])
    }

    /// With the editions of the two builds, and that of the group as the one that greets knows it; the other knows of the first.
    fn greet_with(
        from: &Membership,
        to: &mut Membership,
        [own, used, other]: [Edition; 3],
    ) -> Result<Greeted, Refused> {
        let (hello, members) = from.hello(to.node, (own, used));
        to.greeted(&hello, &members, (other, Edition::FIRST))
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
            (1..=3).map(NodeId).map(NodePlace::nowhere).collect(),
            Vec::new(),
            false,
        );
        assert_eq!(
            code(greet(&other, &mut one)),
            Some(ErrorCode::ClusterMismatch)
        );
        let larger = make(2, disk(2), &[], 5, false);
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

    #[test]
    fn who_lacks_the_groups_edition_is_refused_by_both_sides() {
        let (one, mut two) = (node(1, disk(1), &trio()), node(2, disk(2), &trio()));
        let (old, new) = (Edition(1), Edition(2));
        for fine in [[old, old, new], [new, old, old], [new, new, new]] {
            assert!(greet_with(&one, &mut two, fine).is_ok());
        }
        let refused = greet_with(&one, &mut two, [new, new, old]);
        assert_eq!(code(refused), Some(ErrorCode::EditionTooOld));
        let (hello, members) = one.hello(NodeId(2), (old, old));
        let refused = two.greeted(&hello, &members, (new, new));
        assert_eq!(code(refused), Some(ErrorCode::EditionTooOld));
    }

    #[test]
    fn a_version_that_both_speak_is_found() {
        let (one, mut two) = (node(1, disk(1), &trio()), node(2, disk(2), &trio()));
        let editions = (Edition::FIRST, Edition::FIRST);
        let (hello, members) = one.hello(NodeId(2), editions);
        for (min, max, fine) in [
            (1, 1, true),
            (1, 9, true),
            (2, 9, false),
            (0, 0, false),
            (9, 1, false),
        ] {
            let hello = PeerHello {
                version_min: min,
                version_max: max,
                ..hello
            };
            let greeted = two.greeted(&hello, &members, editions);
            assert_eq!(greeted.is_ok(), fine, "{min} to {max}");
        }
    }

    #[test]
    fn who_joins_is_heard_and_hears_whoever_knows_the_group() {
        let (mut one, mut new) = (node(1, disk(1), &trio()), make(4, disk(4), &[], 4, true));
        assert_eq!(greet(&new, &mut one).expect("welcome").forms, None);
        assert_eq!(greet(&one, &mut new).expect("welcome").forms, None);
        let other = make(4, disk(4), &[], 4, false);
        assert_eq!(code(greet(&other, &mut one)), Some(ErrorCode::NodeMismatch));
    }

    #[test]
    fn who_was_a_member_is_told_once_that_is_committed() {
        let mut one = node(1, disk(1), &trio());
        let two = node(2, disk(2), &trio());
        let list = one.founding().changing(None, Some(NodeId(2))).changed();
        one.learn(Some(&(LogIndex(7), list.clone())));
        assert!(greet(&two, &mut one).is_ok(), "it may yet come back");
        assert!(one.settle(LogIndex(7), &list) && !one.settle(LogIndex(7), &list));
        assert_eq!(code(greet(&two, &mut one)), Some(ErrorCode::NotAMember));
        one.learn(None);
        assert!(greet(&two, &mut one).is_ok());
    }
}
