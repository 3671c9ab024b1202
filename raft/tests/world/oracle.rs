//! The observer: sees every node and every disk, and knows what must hold (Raft figure 3).

use std::collections::BTreeMap;

use quorate_raft::{Member, Members};
use quorate_wire::{LogIndex, Term};

use super::quorums;
use crate::node::{Disk, Node, Record, length};

pub(crate) struct Oracle {
    /// The members of the group's beginning.
    formed: Members,
    /// Election safety: who led each term.
    leaders: BTreeMap<Term, usize>,
    /// Log matching: each position that was ever filled, with its record and the term before it.
    records: BTreeMap<(Term, LogIndex), (Record, Term)>,
    /// What was ever committed, and the first term that said so.
    committed: Vec<Record>,
    committed_in: Vec<Term>,
    /// How far each node has said that it is committed: survives its crash, as the superblock might.
    commits: Vec<LogIndex>,
    /// Each node's log at the last look.
    logs: Vec<Vec<Record>>,
    led: Vec<Option<Term>>,
    /// Reads that wait: where, and how much was committed when they were asked.
    reads: BTreeMap<u64, (usize, usize)>,
    reads_answered: u64,
}

impl Oracle {
    pub(crate) fn new(nodes: usize, formed: Members) -> Self {
        Self {
            formed,
            leaders: BTreeMap::new(),
            records: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            commits: vec![LogIndex(0); nodes],
            logs: vec![Vec::new(); nodes],
            led: vec![None; nodes],
            reads: BTreeMap::new(),
            reads_answered: 0,
        }
    }

    pub(crate) fn committed(&self) -> &[Record] {
        &self.committed
    }

    pub(crate) fn committed_at(&self, place: usize) -> LogIndex {
        self.commits[place]
    }

    pub(crate) fn terms(&self) -> u64 {
        u64::try_from(self.leaders.len()).expect("fits")
    }

    /// A node has made a step.
    pub(crate) fn see(&mut self, place: usize, node: &Node) {
        self.see_leader(place, node);
        self.see_log(place, node);
    }

    /// Somebody wants to read at a node.
    pub(crate) fn ask(&mut self, id: u64, place: usize) {
        self.reads.insert(id, (place, self.committed.len()));
    }

    pub(crate) fn open_reads(&self) -> usize {
        self.reads.len()
    }

    pub(crate) fn reads_answered(&self) -> u64 {
        self.reads_answered
    }

    /// A read sees everything that was committed, anywhere, before it was asked (TRAPS 28).
    pub(crate) fn see_reads(&mut self, node: &Node) {
        for read in &node.output.reads {
            let asked = self.reads.remove(&read.id);
            let (_, committed) = asked.expect("each read is answered once");
            if let Some(at) = read.at {
                self.reads_answered += 1;
                assert!(
                    at >= length(&self.committed[..committed]),
                    "a read sees up to {at}, and {committed} records were committed before it"
                );
                assert!(at <= node.raft.commit(), "what is read is committed");
            }
        }
    }

    fn see_leader(&mut self, place: usize, node: &Node) {
        let leads = node.raft.leads().then(|| node.raft.term());
        if let Some(term) = leads.filter(|_| self.led[place] != leads) {
            let first = *self.leaders.entry(term).or_insert(place);
            assert_eq!(first, place, "one leader in term {term}");
            // Leader completeness: it has everything that was committed in earlier terms.
            let earlier = self
                .committed_in
                .partition_point(|&committed_in| committed_in < term);
            assert_eq!(
                node.log.get(..earlier),
                self.committed.get(..earlier),
                "the leader of term {term} has what was committed before"
            );
        }
        self.led[place] = leads;
    }

    fn see_log(&mut self, place: usize, node: &Node) {
        let seen = &mut self.logs[place];
        let leads = node.raft.leads();
        // Only the end of a log changes in a step, at the place that the output names or by one proposal.
        let same = match (node.output.append, node.output.noop) {
            (Some(kept), _) => usize::try_from(kept.first.0 - 1).expect("fits"),
            (None, _) => seen.len().min(node.log.len()),
        };
        assert!(
            !leads || node.log.len() >= seen.len(),
            "a leader only appends"
        );
        seen.truncate(same);
        for record in &node.log[same..] {
            let before = seen.last().map_or(Term(0), |record| record.term);
            seen.push(*record);
            let known = self
                .records
                .entry((record.term, length(seen)))
                .or_insert((*record, before));
            assert_eq!(
                *known,
                (*record, before),
                "a term and an index name one record, and what is before it"
            );
        }
        assert_eq!(
            seen.len(),
            node.log.len(),
            "every change of the log is told"
        );
        quorums::check(&self.formed, seen, same, self.committed.len());
        let held = length(seen).min(self.commits[place]);
        assert_eq!(
            held, self.commits[place],
            "what a node has called committed stays in its log"
        );
    }

    /// A node has called more committed.
    pub(crate) fn see_commit<'a>(
        &mut self,
        place: usize,
        node: &Node,
        disks: impl Iterator<Item = &'a Disk> + Clone,
    ) {
        let known = self.committed.len();
        let commit = usize::try_from(node.raft.commit().0).expect("fits");
        let common = known.min(commit);
        assert_eq!(
            node.log[..common],
            self.committed[..common],
            "what is committed never changes"
        );
        for at in known..commit {
            let here = |log: &[Record]| log.get(at) == Some(&node.log[at]);
            let has = |disk: &Disk| here(&disk.log) || disk.lost.iter().any(|log| here(log));
            let copies: Vec<_> = disks.clone().map(has).collect();
            let of = |voter: &&Member| copies[usize::try_from(voter.0.0).expect("fits") - 1];
            let members = node.raft.members();
            for voters in [&members.voters, &members.outgoing] {
                let (copies, nodes) = (voters.iter().filter(of).count(), voters.len());
                assert!(
                    copies * 2 > nodes || nodes == 0,
                    "record {} is committed with {copies} durable copies of {nodes}",
                    at + 1
                );
            }
            self.committed.push(node.log[at]);
            self.committed_in.push(node.raft.term());
        }
        self.commits[place] = self.commits[place].max(node.raft.commit());
    }

    /// A node has crashed: its log is what its disk has. What it knew to be committed may be missing from this one disk, or
    /// void records may still stand in its place.
    pub(crate) fn see_crash(&mut self, place: usize, disk: &Disk) {
        self.led[place] = None;
        self.reads.retain(|_, read| read.0 != place);
        self.logs[place].clone_from(&disk.log);
        let kept = disk
            .log
            .iter()
            .zip(&self.committed)
            .take_while(|(here, known)| here == known)
            .count();
        self.commits[place] = self.commits[place].min(length(&self.committed[..kept]));
    }
}
