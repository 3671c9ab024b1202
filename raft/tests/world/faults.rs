//! What goes wrong in a world, and how it is put right again.

use quorate_wire::LogIndex;

use super::changes::survives;
use super::{Item, Place, World, pair};
use crate::node::{MS, Node, length};

impl World {
    pub(super) fn cut(&mut self, one: usize, other: usize) {
        if self.connections.remove(&pair(one, other)).is_none() {
            return;
        }
        for (from, to) in [(one, other), (other, one)] {
            let link = self.links.entry((from, to)).or_default();
            // Of what was on the way a first part still arrives.
            let lost = self.chance.below(link.len() + 1);
            for _ in 0..lost {
                match link.back() {
                    Some(Item::Message(..)) => drop(link.pop_back()),
                    Some(Item::Up { .. } | Item::Down) | None => break,
                }
            }
            link.push_back(Item::Down);
        }
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let both_run = self.running(one).is_some() && self.running(other).is_some();
        if one == other || !both_run || self.connections.contains_key(&pair(one, other)) {
            return;
        }
        self.connection += 1;
        let connection = self.connection;
        self.connections.insert(pair(one, other), connection);
        for way in [(one, other), (other, one)] {
            self.links
                .entry(way)
                .or_default()
                .push_back(Item::Up { connection });
        }
    }

    pub(super) fn connect_one(&mut self) {
        let missing: Vec<_> = (0..self.places.len())
            .flat_map(|other| (0..other).map(move |one| (one, other)))
            .filter(|pair| !self.connections.contains_key(pair))
            .filter(|pair| self.running(pair.0).is_some() && self.running(pair.1).is_some())
            .collect();
        if !missing.is_empty() {
            let (one, other) = missing[self.chance.below(missing.len())];
            self.connect(one, other);
        }
    }

    pub(super) fn connect_all(&mut self) {
        for one in 0..self.places.len() {
            (0..one).for_each(|other| self.connect(one, other));
        }
    }

    pub(super) fn crash(&mut self, place: usize) {
        for other in 0..self.places.len() {
            self.cut(place, other);
            self.links.remove(&(other, place));
            self.views.remove(&(place, other));
        }
        let Place::Runs(node) = &mut self.places[place] else {
            return;
        };
        // Writes that were on their way happened or not, each kind in its own order; the first that did not may be torn.
        let hard = self.chance.below(node.hard_writes.len() + 1);
        if let Some(hard) = node.hard_writes.iter().take(hard).next_back() {
            node.disk.store(*hard);
        }
        for _ in 0..self.chance.below(node.log_writes.len() + 1) {
            let write = node.log_writes.pop_front().expect("there are so many");
            node.disk.write(write.log);
        }
        if let Some(torn) = node.log_writes.front() {
            let same = node
                .disk
                .log
                .iter()
                .zip(&torn.log)
                .take_while(|(here, there)| here == there)
                .count();
            let more = self.chance.below(torn.log.len() - same + 1);
            if more > 0 {
                node.disk.write(torn.log[..same + more].to_vec());
            }
        }
        let disk = std::mem::take(&mut node.disk);
        self.oracle.see_crash(place, &disk);
        self.places[place] = Place::Crashed(disk);
    }

    /// The end of a node's log rots, and recovery sees that: the node comes back unsure. More than a minority of such nodes is
    /// more than a group is built to survive.
    pub(super) fn rot(&mut self, place: usize) {
        let member = (self.configs[place].id, self.configs[place].disk);
        let mut unsure = self.unsure();
        unsure.push(member);
        let lists = self.lists_in_force();
        if !lists.iter().all(|list| survives(list, &unsure)) {
            return;
        }
        self.crash(place);
        let Place::Crashed(disk) = &mut self.places[place] else {
            unreachable!("it just crashed")
        };
        let older = self.chance.one_in(3);
        let most = if older { &disk.before } else { &disk.log }.len();
        let kept = [self.chance.below(most + 1), most.saturating_sub(1)][self.chance.below(2)];
        disk.lose_end(older, kept);
        self.oracle.see_crash(place, disk);
        if self.chance.one_in(2) {
            self.restart(place);
        }
    }

    /// A node releases some of what is committed.
    pub(super) fn release(&mut self, place: usize) {
        let Some(node) = self.running(place) else {
            return;
        };
        let (start, most) = (
            node.raft.start().index,
            node.raft.commit().min(node.raft.durable()),
        );
        if most > start {
            let upto = LogIndex(start.0 + 1 + self.chance.up_to(most.0 - start.0 - 1));
            self.step(place, |node| node.release(upto));
        }
    }

    /// A peer that lacks what its leader has released gets a snapshot: it comes back with it, as from a restart.
    pub(super) fn install(&mut self) {
        let Some(leader) = self.one_where(|node| node.raft.behind().next().is_some()) else {
            return;
        };
        let node = self.running(leader).expect("it runs");
        let behind: Vec<_> = node.raft.behind().collect();
        let (start, most) = (
            node.raft.start().index,
            node.raft.commit().min(node.raft.durable()),
        );
        let log = node.log.clone();
        let upto = usize::try_from(start.0 + self.chance.up_to(most.0 - start.0)).expect("fits");
        let peer = behind[self.chance.below(behind.len())];
        let place = usize::try_from(peer.0).expect("fits") - 1;
        self.crash(place);
        let Place::Crashed(disk) = &mut self.places[place] else {
            unreachable!("it just crashed")
        };
        disk.install(&log, upto);
        self.oracle.see_crash(place, disk);
        self.restart(place);
        self.snapshots += 1;
    }

    pub(super) fn depose(&mut self) {
        let Some(leader) = self.one_where(|node| node.raft.leads()) else {
            return;
        };
        match self.chance.below(6) {
            0 | 1 => return self.crash(leader),
            2 if self.weather.stands_still => {
                self.still[leader] = self.now.after(self.chance.up_to(400 * MS));
                return;
            }
            _ => {}
        }
        for other in 0..self.places.len() {
            if !self.chance.one_in(4) {
                self.cut(leader, other);
            }
        }
    }

    pub(super) fn restart_one(&mut self) {
        let down: Vec<_> = (0..self.places.len())
            .filter(|&place| self.running(place).is_none())
            .collect();
        if !down.is_empty() {
            let place = down[self.chance.below(down.len())];
            self.restart(place);
        }
    }

    pub(super) fn restart(&mut self, place: usize) {
        self.still[place] = self.now;
        let Place::Crashed(disk) = &mut self.places[place] else {
            return;
        };
        let disk = std::mem::take(disk);
        let known = self.oracle.committed_at(place).min(length(&disk.log));
        let start = u64::try_from(disk.start).expect("fits");
        let commit = LogIndex(self.chance.up_to(known.0).max(start));
        let now = self.clock(place);
        let start = (self.configs[place].clone(), self.formed[place].clone());
        let node = Node::start(start, disk, commit, now);
        self.places[place] = Place::Runs(Box::new(node));
    }
}
