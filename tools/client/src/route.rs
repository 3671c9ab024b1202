//! The way to a node: which addresses are known, which one is next, and when.
//!
//! Owns: the list of nodes, distrust of those that just failed, and the back-off. Never: a socket or a clock. Called by: the
//! producer's session and the consumer.

use quorate_wire::limits::MEMBERS_MAX;
use quorate_wire::{Leader, NodeId, Term, Time};

/// The first pause of a row; it doubles from there.
const PAUSE_NS_MIN: u64 = 10_000_000;

/// The longest pause.
const PAUSE_NS_MAX: u64 = 200_000_000;

/// For so long after a node failed, other nodes' word that it leads is not acted upon, unless it leads in a later term than any
/// that was known then: it takes them an election to learn better.
const DISTRUST_NS: u64 = 500_000_000;

#[derive(Debug)]
struct Entry {
    address: String,
    /// Which node answered there, or was said to.
    id: Option<NodeId>,
    /// Whether the caller named the address: such a one is never replaced by what nodes say of each other.
    configured: bool,
    failed: Option<Failed>,
}

/// When a node last failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    at: Time,
    /// The latest term that was known then.
    term: Term,
}

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A connection that worked: the node may be well, and if others say that it leads, that is worth a look. If it died, the
    /// next attempt shows it at once.
    Connection,
    /// The node takes no connection, or does not answer: a further attempt would cost its whole time limit.
    Node,
}

/// Where to go, and when.
#[derive(Debug)]
pub(crate) struct Route {
    entries: Vec<Entry>,
    /// Index of the entry that is dialled or connected.
    at: usize,
    /// Dials that may still happen without a pause. Refilled by progress, so that nodes which all fail at once, or which point at
    /// each other, are not dialled in a tight loop.
    at_once: usize,
    /// Pauses since the last progress.
    pauses: u32,
    /// The latest term that a node was said to lead in.
    term: Term,
    chance: u64,
}

impl Route {
    /// A route over the caller's addresses, beginning with the first. `seed` spreads the pauses of many clients.
    ///
    /// # Panics
    /// There is no address: the callers check that.
    pub(crate) fn new(addresses: &[String], seed: u64) -> Self {
        assert!(!addresses.is_empty(), "a route leads somewhere");
        let entry = |address: &String| Entry {
            address: address.clone(),
            id: None,
            configured: true,
            failed: None,
        };
        Self {
            entries: addresses.iter().map(entry).collect(),
            at: 0,
            at_once: addresses.len(),
            pauses: 0,
            term: Term(0),
            chance: seed,
        }
    }

    /// The address that is dialled or connected.
    pub(crate) fn address(&self) -> &str {
        &self.here().address
    }

    /// All addresses known.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|entry| entry.address.clone())
            .collect()
    }

    /// How many addresses are known.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The node at this address said who it is, and who the others are.
    pub(crate) fn learn(&mut self, here: NodeId, nodes: &[(NodeId, String)]) {
        for entry in &mut self.entries {
            if entry.id == Some(here) {
                entry.id = None;
            }
        }
        let at = self.at;
        if let Some(entry) = self.entries.get_mut(at) {
            entry.id = Some(here);
        }
        for (id, address) in nodes {
            self.learn_one(*id, address, nodes);
        }
    }

    fn learn_one(&mut self, id: NodeId, address: &str, nodes: &[(NodeId, String)]) {
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.id == Some(id)) {
            if !known.configured && known.address != address {
                address.clone_into(&mut known.address);
            }
            return;
        }
        let same = |entry: &&mut Entry| entry.address == address;
        if let Some(known) = self.entries.iter_mut().find(same) {
            known.id = Some(id);
            return;
        }
        let new = Entry {
            address: address.to_owned(),
            id: Some(id),
            configured: false,
            failed: None,
        };
        let learned = self.entries.iter().filter(|entry| !entry.configured);
        if learned.count() < MEMBERS_MAX {
            self.entries.push(new);
            return;
        }
        // Over the years more nodes come than there ever are at a time.
        let here = self.at;
        let gone = |entry: &Entry| nodes.iter().all(|(node, _)| entry.id != Some(*node));
        let mut entries = self.entries.iter_mut().enumerate();
        let old = entries.find(|(at, entry)| *at != here && !entry.configured && gone(entry));
        if let Some((_, old)) = old {
            *old = new;
        }
    }

    /// Something was acknowledged or read: the next trouble starts from the beginning.
    pub(crate) fn progress(&mut self) {
        self.pauses = 0;
        self.at_once = self.entries.len();
    }

    /// The node here failed: goes on to another one, at once while there are untried ones. Returns when to dial.
    pub(crate) fn lost(&mut self, loss: Loss, now: Time) -> Time {
        match loss {
            Loss::Node => self.distrust(now),
            Loss::Connection => {}
        }
        self.at = self.after_here(now);
        self.at_once_or_later(now)
    }

    /// The node here may be as it should, but is not the one to talk to: goes on to another one after a pause. If it named a leader
    /// that came to the group since somebody last said who is in it, the next one says so now: that needs no pause.
    pub(crate) fn elsewhere(&mut self, leader: Option<Leader>, now: Time) -> Time {
        self.at = self.after_here(now);
        let is_new = |leader: Leader| {
            let mut entries = self.entries.iter();
            entries.all(|entry| entry.id != Some(leader.node))
        };
        if leader.is_some_and(is_new) {
            self.at_once_or_later(now)
        } else {
            self.pause(now)
        }
    }

    /// Goes to the node that `hint` gave.
    pub(crate) fn towards(&mut self, leader: usize, now: Time) -> Time {
        assert!(leader < self.entries.len(), "the hint is of this route");
        self.at = leader;
        self.at_once_or_later(now)
    }

    /// Where the named leader is, if that is known, is not here, and has not failed since it was elected, or just now.
    pub(crate) fn hint(&mut self, leader: Option<Leader>, now: Time) -> Option<usize> {
        let leader = leader?;
        self.term = self.term.max(leader.term);
        let here = self.at;
        let mut entries = self.entries.iter_mut().enumerate();
        let (at, entry) = entries.find(|(_, entry)| entry.id == Some(leader.node))?;
        entry.failed.take_if(|failed| failed.term < leader.term);
        (at != here && self.trusted(at, now)).then_some(at)
    }

    /// The node here is not to be tried again soon.
    pub(crate) fn distrust(&mut self, now: Time) {
        let failed = Failed {
            at: now,
            term: self.term,
        };
        let at = self.at;
        if let Some(entry) = self.entries.get_mut(at) {
            entry.failed = Some(failed);
        }
    }

    /// The end of the next pause: doubling, and between half of it and all of it by chance.
    pub(crate) fn pause(&mut self, now: Time) -> Time {
        let longest = PAUSE_NS_MIN
            .saturating_mul(1 << self.pauses.min(16))
            .min(PAUSE_NS_MAX);
        self.pauses = self.pauses.saturating_add(1);
        let half = longest / 2;
        now.after(half + self.draw() % (half + 1))
    }

    fn at_once_or_later(&mut self, now: Time) -> Time {
        if self.at_once == 0 {
            return self.pause(now);
        }
        self.at_once -= 1;
        now
    }

    /// The next entry in turn, those that just failed last.
    fn after_here(&self, now: Time) -> usize {
        let count = self.entries.len();
        let turn = || (1..count).map(|step| (self.at + step) % count);
        turn()
            .find(|&at| self.trusted(at, now))
            .or_else(|| turn().next())
            .unwrap_or(self.at)
    }

    fn trusted(&self, at: usize, now: Time) -> bool {
        let failed = self.entries.get(at).and_then(|entry| entry.failed);
        failed.is_none_or(|failed| now.since(failed.at) >= DISTRUST_NS)
    }

    fn here(&self) -> &Entry {
        self.entries
            .get(self.at)
            .expect("the position is always one of the entries, which are never removed")
    }

    /// SplitMix64: enough to keep clients from marching in step.
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn route(count: usize) -> Route {
        let addresses: Vec<_> = (1..=count).map(|at| format!("node{at}:9000")).collect();
        Route::new(&addresses, 7)
    }

    fn leader(node: u32, term: u64) -> Option<Leader> {
        let (node, term) = (NodeId(node), Term(term));
        Some(Leader { node, term })
    }

    #[test]
    fn a_full_round_of_failures_is_at_once_then_it_pauses_and_doubles() {
        let mut route = route(3);
        let now = Time(0);
        let at_once: Vec<_> = (0..3).map(|_| route.lost(Loss::Node, now)).collect();
        assert_eq!(at_once, vec![now; 3]);
        for longest in [10, 20, 40, 80, 160, 200, 200] {
            let until = route.lost(Loss::Node, now);
            assert!(
                until.0 >= longest * MS / 2 && until.0 <= longest * MS,
                "{until} for a pause of {longest} ms"
            );
        }
        route.progress();
        assert_eq!(route.lost(Loss::Node, now), now);
    }

    #[test]
    fn nodes_that_just_failed_come_last() {
        let mut route = route(3);
        route.lost(Loss::Node, Time(0));
        assert_eq!(route.address(), "node2:9000");
        route.elsewhere(None, Time(MS));
        assert_eq!(
            route.address(),
            "node3:9000",
            "node 1 has failed a moment ago"
        );
        route.elsewhere(None, Time(2 * MS));
        assert_eq!(route.address(), "node2:9000");
        route.elsewhere(None, Time(DISTRUST_NS));
        route.elsewhere(None, Time(DISTRUST_NS));
        assert_eq!(route.address(), "node1:9000", "it is trusted again");
    }

    #[test]
    fn a_leader_that_just_failed_is_no_hint() {
        let mut route = route(2);
        route.learn(NodeId(1), &[]);
        route.lost(Loss::Node, Time(0));
        route.learn(NodeId(2), &[(NodeId(1), "elsewhere:1".to_owned())]);
        let now = Time(DISTRUST_NS);
        assert_eq!(route.hint(leader(1, 0), Time(MS)), None);
        assert_eq!(route.hint(leader(1, 0), now), Some(0));
        assert_eq!(route.hint(leader(2, 0), now), None, "we are there");
        assert_eq!(route.hint(None, now), None);
    }

    #[test]
    fn a_leader_that_was_elected_since_it_failed_is_a_hint() {
        let mut route = route(3);
        route.learn(NodeId(1), &[]);
        assert_eq!(route.hint(leader(1, 4), Time(0)), None, "we are there");
        route.lost(Loss::Node, Time(0));
        route.learn(NodeId(2), &[]);
        assert_eq!(route.hint(leader(1, 4), Time(MS)), None, "it may be dead");
        assert_eq!(route.hint(leader(1, 3), Time(MS)), None, "older news still");
        assert_eq!(route.hint(leader(1, 6), Time(MS)), Some(0));
        // It fails again: what is said of term 6 counts for nothing from now on.
        route.towards(0, Time(MS));
        route.lost(Loss::Node, Time(2 * MS));
        assert_eq!(route.hint(leader(1, 6), Time(3 * MS)), None);
        assert_eq!(route.hint(leader(1, 7), Time(3 * MS)), Some(0));
    }

    #[test]
    fn a_leader_that_only_lost_its_connection_is_a_hint() {
        let mut route = route(2);
        route.learn(NodeId(1), &[]);
        route.lost(Loss::Connection, Time(0));
        assert_eq!(route.address(), "node2:9000");
        assert_eq!(route.hint(leader(1, 1), Time(0)), Some(0));
    }

    #[test]
    fn the_callers_addresses_stay_and_learned_ones_follow_the_nodes_word() {
        let mut route = route(1);
        let list = |port: u16| {
            vec![
                (NodeId(1), "inside:1".to_owned()),
                (NodeId(2), format!("b:{port}")),
            ]
        };
        route.learn(NodeId(1), &list(2));
        route.learn(NodeId(1), &list(3));
        assert_eq!(route.addresses(), ["node1:9000", "b:3"]);
    }

    #[test]
    fn the_list_stays_bounded_whatever_nodes_say() {
        let mut route = route(1);
        for id in 2..100 {
            route.learn(NodeId(1), &[(NodeId(id), format!("n:{id}"))]);
        }
        assert_eq!(route.addresses().len(), 1 + MEMBERS_MAX);
        // Who is named no more makes room for who is.
        assert!(route.addresses().contains(&"n:99".to_owned()));
        assert!(!route.addresses().contains(&"n:2".to_owned()));
    }
}
