//! Term and vote, and what waits until they are durable.
//!
//! Nothing that promises something leaves before the promise is on the disk (TRAPS 2). The promises wait here and in the
//! roles as state, not as a queue: what is owed is worked out anew when the disk reports, so a promise of an earlier term is
//! gone the moment the term is.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{NodeId, Term};

use crate::{HardState, Note, Output, Recovered};

/// The hard state, and how much of it is durable.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    state: HardState,
    /// Highest version that is durable. Invariant: `durable <= state.version`.
    durable: u64,
    /// Whether the first step was made, which tells what there is to tell about the start.
    told: bool,
    /// A candidate that waits for the news that it has this node's vote. There is at most one: a term has one vote.
    grant: Option<NodeId>,
}

impl Ballot {
    /// What recovery found. The log and the hard state are written apart: after a crash the log may have records of a later
    /// `seen` term. In that term this node has promised nothing, or its hard state would say so; but it has to be written
    /// before the first promise, since the records that show it may yet become void.
    pub(crate) fn new(recovered: &Recovered, seen: Term) -> Self {
        let (term, mut vote, mut unsure) = (recovered.term, recovered.vote, recovered.unsure);
        if canary::on(Canary::VoteForgotten) {
            vote = None;
        }
        unsure &= !canary::on(Canary::UnsureVotes);
        assert!(
            vote.is_none() || term > Term(0),
            "nobody votes in term zero"
        );
        let state = if seen <= term {
            HardState {
                version: 0,
                term,
                vote,
                unsure,
            }
        } else {
            HardState {
                version: 1,
                term: seen,
                vote: None,
                unsure,
            }
        };
        Self {
            state,
            durable: 0,
            told: false,
            grant: None,
        }
    }

    /// Tells what there is to tell about the start: a write that is due, and that the log cannot be relied on.
    pub(crate) fn tell(&mut self, output: &mut Output) {
        if self.told {
            return;
        }
        self.told = true;
        output.hard_state = Some(self.state).filter(|_| !self.is_durable());
        if self.state.unsure {
            output.notes.push(Note::Unsure);
        }
    }

    pub(crate) fn term(&self) -> Term {
        self.state.term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.state.vote
    }

    /// Whether records may be missing that this node has acknowledged.
    pub(crate) fn unsure(&self) -> bool {
        self.state.unsure
    }

    /// Nothing is missing any more. What this node promises from here on waits until the disk says so too, like any promise.
    pub(crate) fn make_whole(&mut self, output: &mut Output) {
        assert!(self.state.unsure, "a node becomes whole once");
        self.state.unsure = false;
        self.change(self.state.term, self.state.vote, output);
    }

    /// Whether the hard state of now is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable == self.state.version
    }

    /// Takes over a later term, in which this node has not voted.
    pub(crate) fn enter(&mut self, term: Term, output: &mut Output) {
        assert!(term > self.state.term, "terms rise");
        self.grant = None;
        self.change(term, None, output);
    }

    /// Votes in the current term.
    pub(crate) fn cast(&mut self, vote: NodeId, output: &mut Output) {
        assert!(self.state.vote.is_none(), "a node votes once in a term");
        assert!(!self.state.unsure, "a node that is unsure does not vote");
        self.change(self.state.term, Some(vote), output);
    }

    /// The candidate that has this node's vote waits for the news.
    pub(crate) fn owe_grant(&mut self, candidate: NodeId) {
        assert_eq!(
            self.state.vote,
            Some(candidate),
            "only the one that has the vote is told so"
        );
        self.grant = Some(candidate);
    }

    /// The candidate that waits, once it may be told.
    pub(crate) fn take_grant(&mut self) -> Option<NodeId> {
        if self.is_durable() || canary::on(Canary::VoteBeforeDurable) {
            self.grant.take()
        } else {
            None
        }
    }

    /// The conversation with `peer` has ended: it will ask again.
    pub(crate) fn forget_grant(&mut self, peer: NodeId) {
        self.grant = self.grant.filter(|&candidate| candidate != peer);
    }

    /// The disk has `version`, and so all earlier ones.
    pub(crate) fn on_durable(&mut self, version: u64) {
        assert!(
            version <= self.state.version,
            "the disk cannot have what was not yet written"
        );
        self.durable = self.durable.max(version);
    }

    fn change(&mut self, term: Term, vote: Option<NodeId>, output: &mut Output) {
        self.state = HardState {
            version: self.state.version + 1,
            term,
            vote,
            unsure: self.state.unsure,
        };
        output.hard_state = Some(self.state);
    }
}
