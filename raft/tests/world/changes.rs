//! How the members of a world's group change.

use quorate_raft::{Input, Member, Members};

use super::{Place, World};
use crate::node::{Disk, Node, Record, formed};

impl World {
    /// A leader goes on with a change of the members, or begins one.
    pub(super) fn change(&mut self) {
        let leads = |node: &Node| node.raft.must_go() || node.raft.may_change();
        let Some(place) = self.one_where(leads) else {
            return;
        };
        if self.go(place) || !self.may_change(place) {
            return;
        }
        let members = self.members(place);
        let members = if members.change() {
            members.changed()
        } else {
            self.draw_change(&members)
        };
        if survives(&members, &self.unsure()) {
            self.name(place, &members);
        }
    }

    /// The nodes that may have lost what they have acknowledged.
    pub(super) fn unsure(&self) -> Vec<Member> {
        let places = self.configs.iter().zip(&self.places);
        let unsure = places.filter(|(_, place)| disk(place).unsure);
        unsure.map(|(config, _)| (config.id, config.disk)).collect()
    }

    /// The members by the newest committed list, and by all that may yet be committed.
    pub(super) fn lists_in_force(&self) -> Vec<Members> {
        let committed = self.oracle.committed();
        let newest = committed.iter().rev().find_map(Record::members);
        let logs = self.places.iter().flat_map(|place| {
            let memory = match place {
                Place::Runs(node) => &node.log[..],
                Place::Crashed(_) => &[],
            };
            [&disk(place).log[..], memory]
        });
        let open = logs.filter_map(|log| log.get(committed.len()..)).flatten();
        let open = open.filter_map(Record::members);
        let begun = newest.unwrap_or_else(|| self.formed[0].clone());
        [begun].into_iter().chain(open).collect()
    }

    /// Ends a change that is under way, and a lead that is to end. Says whether there was something to end.
    pub(super) fn end_change(&mut self, place: usize) -> bool {
        if self.go(place) {
            return true;
        }
        let members = self.members(place);
        if !members.change() {
            return false;
        }
        if self.may_change(place) {
            self.name(place, &members.changed());
        }
        true
    }

    fn may_change(&self, place: usize) -> bool {
        self.running(place)
            .is_some_and(|node| node.raft.may_change())
    }

    pub(super) fn members(&self, place: usize) -> Members {
        let node = self.running(place).expect("it runs");
        node.raft.members().clone()
    }

    /// Who leads a group that it does not belong to hands over.
    fn go(&mut self, place: usize) -> bool {
        let node = self.running(place).expect("it runs");
        if !node.raft.must_go() {
            return false;
        }
        if node.raft.transfers_to().is_none()
            && let Some(to) = node.raft.successor(None)
        {
            self.input(place, Input::Transfer { to }, &[]);
            self.gather(place);
        }
        true
    }

    fn name(&mut self, place: usize, members: &Members) {
        let node = self.running(place).expect("it runs");
        let record = Record::naming(node.raft.term(), members);
        self.changes += 1;
        self.input(place, Input::Propose, &[record]);
        self.gather(place);
    }

    /// Another group: with one more learner or one less, or other voters.
    fn draw_change(&mut self, members: &Members) -> Members {
        let everybody = formed(u32::try_from(self.places.len()).expect("fits")).voters;
        let mut next = members.clone();
        let member = everybody[self.chance.below(everybody.len())];
        let is_in = |list: &[Member]| list.contains(&member);
        match (is_in(&members.voters), is_in(&members.learners)) {
            (false, false) => next.learners.push(member),
            (false, true) if self.chance.one_in(8) => next.learners.retain(|one| *one != member),
            (promoted, _) => {
                next.outgoing.clone_from(&members.voters);
                if promoted {
                    next.voters.retain(|one| *one != member);
                }
                // Some come or go at the same time, also all.
                for one in members.learners.clone() {
                    if one == member || self.chance.one_in(2) {
                        next.learners.retain(|learner| *learner != one);
                        next.voters.push(one);
                    }
                }
                for one in members.voters.clone() {
                    if self.chance.one_in(4) {
                        next.voters.retain(|voter| *voter != one);
                    }
                }
                if next.voters.is_empty() {
                    next.voters.push(member);
                }
            }
        }
        next
    }
}

/// Whether a group with these members goes on although so many may have lost what they have acknowledged.
pub(super) fn survives(members: &Members, unsure: &[Member]) -> bool {
    let minority = |voters: &Vec<Member>| {
        let lost = voters.iter().filter(|voter| unsure.contains(voter)).count();
        lost == 0 || lost * 2 < voters.len()
    };
    minority(&members.voters) && minority(&members.outgoing)
}

const fn disk(place: &Place) -> &Disk {
    match place {
        Place::Runs(node) => &node.disk,
        Place::Crashed(disk) => disk,
    }
}
