//! Who changes the members of groups: adds spare nodes, promotes, removes and replaces, and asks again where no answer comes.
//!
//! Owns: the bound. However it goes, each list has as many voters as there were founders, so that the nodes whose disks may be lost
//! stay a minority; and nobody goes while something is damaged that only it may have whole. Never: waits for an answer.

use quorate_wire::admin::{AdminAsk, Change};
use quorate_wire::{Address, MemberRole, NodeId, RosterEntry};

use crate::damage;
use crate::random::Random;
use crate::terminal::address;
use crate::world::World;

const MS: u64 = 1_000_000;

/// A change of a group's members that an operator wants.
#[derive(Debug)]
pub(crate) struct Errand {
    group: usize,
    change: Change,
    /// So often it is still asked for.
    left: u64,
    random: Random,
}

impl Errand {
    /// What an operator wants of a group as its leader knows it, if there is a leader and something to want.
    pub(crate) fn draw(mut random: Random, world: &World) -> Option<Self> {
        let at = random.below(world.groups().len());
        let group = world.groups().get(at)?;
        let roster = group.roster();
        let those = |counts: fn(MemberRole) -> bool| {
            let entries = roster.entries.iter().filter(move |it| counts(it.role()));
            entries.map(RosterEntry::member).map(|it| it.0)
        };
        let voters: Vec<NodeId> = those(MemberRole::votes).collect();
        let learners: Vec<NodeId> = those(|role| role == MemberRole::Learner).collect();
        let names = group.names().into_iter();
        let spare: Vec<NodeId> = names.filter(|&node| node > roster.last_id).collect();
        let old = (!voters.is_empty()).then(|| random.of(&voters))?;
        let change = match (learners.first(), random.below(4)) {
            (None, 0..3) | (Some(_), 0) if !spare.is_empty() => add(random.of(&spare)),
            (Some(_), 1) => Change::Promote {
                node: random.of(&learners),
            },
            (Some(_), 2) => Change::Replace {
                old,
                new: random.of(&learners),
            },
            (Some(&node), _) if random.one_in(8) => Change::Remove { node },
            (_, _) => Change::Remove { node: old },
        };
        Some(Self {
            group: at,
            change,
            left: random.between(1, 4),
            random,
        })
    }

    /// Asks, if that may be done now. Says in how many nanoseconds to ask again, if that is to be.
    pub(crate) fn ask(&mut self, world: &mut World) -> Option<u64> {
        self.left -= 1;
        let change = self.change;
        if let Some(leader) = self.may_be(world) {
            let group = world.groups_mut().get_mut(self.group);
            group?.operate(leader, AdminAsk::Change(change));
        }
        (self.left > 0).then(|| self.random.scaled(20 * MS, 2000 * MS))
    }

    /// Whom to ask, if the change keeps the bound.
    fn may_be(&self, world: &World) -> Option<NodeId> {
        let group = world.groups().get(self.group)?;
        let (leader, roster) = (group.leader()?, group.roster());
        let votes = |node| roster.entry(node).is_some_and(|it| it.role().votes());
        let goes = match self.change {
            Change::Add { .. } | Change::Promote { .. } => return Some(leader),
            Change::Remove { node } => node,
            Change::Replace { old, .. } => old,
        };
        let comes = match self.change {
            Change::Replace { new, .. } => !votes(new),
            Change::Add { .. } | Change::Promote { .. } | Change::Remove { .. } => false,
        };
        let founders = usize::try_from(world.options().nodes).expect("a few");
        let enough = comes || !votes(goes) || roster.votes() > founders;
        let mut stay = world.sound(group);
        stay.remove(&goes);
        (enough && damage::is_unhurt(group, &stay)).then_some(leader)
    }
}

/// To add a node, where the simulator's nodes and clients find it.
fn add(node: NodeId) -> Change {
    let peer: std::net::SocketAddr = ([10, 0, 0, u8::try_from(node.0).expect("few")], 7001).into();
    Change::Add {
        node,
        peer,
        peer_text: Address::new(&peer.to_string()).expect("it is short"),
        client: Address::new(&address(node)).expect("it is short"),
    }
}

/// The node that a change takes away, if it takes one.
pub(crate) const fn takes(change: &Change) -> Option<NodeId> {
    match *change {
        Change::Add { .. } | Change::Promote { .. } => None,
        Change::Remove { node } | Change::Replace { old: node, .. } => Some(node),
    }
}
