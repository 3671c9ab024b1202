//! Pre-votes and votes: how a node comes to lead.
//!
//! ```text
//!   Follower --silence, or the leader's sockets reset--> PreCandidate --majority would vote--> Candidate
//!   Candidate --own vote durable, majority voted--> Leader
//!   any --a later term, or an append of this term--> Follower
//! ```

use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::{NodeId, Position, Term};

use crate::role::Role;
use crate::{Envelope, Message, Note, Output, Raft};

/// Pre-votes to one peer whose answers are timed.
const ASKED_MAX: usize = 8;

impl Raft {
    /// Asks everybody whether an election would be won (thesis §9.6). Until a majority says so, no term changes: a node that
    /// was cut off does not depose the leader when it comes back.
    pub(crate) fn ask_pre_votes(&mut self, output: &mut Output) {
        assert!(!self.leads(), "a leader does not stand for election");
        assert!(!self.ballot.unsure(), "who is unsure does not stand");
        // It has waited for more than a leader's word: what it waited for last has led to no leader.
        if !self.timer.hinted(self.now) && !self.follows() {
            self.delays.in_vain();
        }
        self.timer.on_ask(self.now, self.delays.slack());
        self.role = Role::PreCandidate {
            granted: Vec::new(),
        };
        output.notes.push(Note::AsksPreVote {
            term: self.term().next(),
        });
        let peers: Vec<NodeId> = self.electors_up().collect();
        for peer in peers {
            self.send_pre_vote(peer, output);
        }
        self.campaign_if_granted(output);
    }

    pub(crate) fn send_pre_vote(&mut self, to: NodeId, output: &mut Output) {
        let now = self.now;
        let mut peers = self.peers.iter_mut();
        if let Some(peer) = peers.find(|peer| peer.id == to && peer.asked.len() < ASKED_MAX) {
            peer.asked.push_back(now);
        }
        let message = Message::PreVote {
            term: self.term().next(),
            last: self.last(),
        };
        output.send.push(Envelope { to, message });
    }

    pub(crate) fn send_vote(&self, to: NodeId, handed: bool, output: &mut Output) {
        assert!(
            self.ballot.is_durable(),
            "a candidate asks when its own vote is durable"
        );
        let message = Message::Vote {
            term: self.term(),
            last: self.last(),
            handed,
        };
        output.send.push(Envelope { to, message });
    }

    /// Somebody asks whether we would vote for it. Nothing changes here, whatever the answer, but a hinted deadline.
    pub(crate) fn on_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last: Position,
        output: &mut Output,
    ) {
        let granted = term > self.term()
            && self.is_behind(last)
            && !self.sticks(from, output)
            && !self.is_unsure(from, output)
            && !self.goes_first(from, last);
        if granted {
            self.timer
                .on_pre_vote_granted(self.now, self.delays.slack());
        }
        // A refusal carries our own term, so that an asker who is behind learns it.
        let term = if granted { term } else { self.term() };
        output.send.push(Envelope {
            to: from,
            message: Message::PreVoteReply { term, granted },
        });
    }

    pub(crate) fn on_pre_vote_reply(
        &mut self,
        from: NodeId,
        term: Term,
        granted: bool,
        output: &mut Output,
    ) {
        self.time_pre_vote(from);
        if !granted && term > self.term() {
            self.enter_term(term, output);
            return output.notes.push(Note::Follows { term, leader: None });
        }
        let answers_now = term == self.term().next();
        match &mut self.role {
            Role::PreCandidate { granted: all } if granted && answers_now => {
                grant(all, from);
                self.campaign_if_granted(output);
            }
            Role::PreCandidate { .. }
            | Role::Follower { .. }
            | Role::Candidate { .. }
            | Role::Leader(_) => {
                // A refusal, or an answer to a question that is no longer asked: after a win it must not win again.
                if granted && !answers_now {
                    output.notes.push(Note::IgnoredTerm { from, term });
                }
            }
        }
    }

    /// The oldest pre-vote on its way to a peer is answered. Who asks no more did not need the answer, and a peer that was away may
    /// give it late.
    fn time_pre_vote(&mut self, from: NodeId) {
        let mut peers = self.peers.iter_mut();
        let peer = peers.find(|peer| peer.id == from);
        if let Some(asked) = peer.and_then(|peer| peer.asked.pop_front())
            && matches!(self.role, Role::PreCandidate { .. })
        {
            self.delays.observe(self.now.since(asked));
        }
    }

    /// Somebody stands for election (Raft figure 2, RequestVote).
    pub(crate) fn on_vote(
        &mut self,
        from: NodeId,
        (term, last): (Term, Position),
        handed: bool,
        output: &mut Output,
    ) {
        if term < self.term() {
            output.notes.push(Note::IgnoredTerm { from, term });
            return self.refuse_vote(from, output);
        }
        if !handed && self.sticks(from, output) {
            return self.refuse_vote(from, output); // And the later term is not taken over: the leader stays.
        }
        if term > self.term() {
            self.enter_term(term, output);
            output.notes.push(Note::Follows { term, leader: None });
        }
        let free = self.ballot.vote().is_none_or(|vote| vote == from);
        if !free || !self.is_behind(last) || self.is_unsure(from, output) {
            return self.refuse_vote(from, output);
        }
        if self.ballot.vote().is_none() {
            self.ballot.cast(from, output);
            output.notes.push(Note::Voted {
                term,
                candidate: from,
            });
        }
        self.stand_back();
        self.timer.reset(self.now, self.delays.slack());
        self.ballot.owe_grant(from);
        self.send_owed_grant(output);
    }

    pub(crate) fn on_vote_reply(
        &mut self,
        from: NodeId,
        term: Term,
        granted: bool,
        output: &mut Output,
    ) {
        if term > self.term() {
            self.enter_term(term, output);
            return output.notes.push(Note::Follows { term, leader: None });
        }
        if term < self.term() {
            return output.notes.push(Note::IgnoredTerm { from, term });
        }
        match &mut self.role {
            Role::Candidate { granted: all, .. } => {
                if granted {
                    grant(all, from);
                    self.lead_if_elected(output);
                }
            }
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Leader(_) => {} // Decided already.
        }
    }

    /// Tells the candidate that has this node's vote, once that vote is durable.
    pub(crate) fn send_owed_grant(&mut self, output: &mut Output) {
        if let Some(to) = self.ballot.take_grant() {
            let message = Message::VoteReply {
                term: self.term(),
                granted: true,
            };
            output.send.push(Envelope { to, message });
        }
    }

    /// A candidate's own vote counts, and the others are asked, once it is durable: a candidate that forgot its vote in a
    /// crash could vote for somebody else in the same term.
    pub(crate) fn stand_when_durable(&mut self, output: &mut Output) {
        let durable = self.ballot.is_durable();
        let handed = match &mut self.role {
            Role::Candidate { asked, handed, .. } if durable && !*asked => {
                *asked = true;
                *handed
            }
            Role::Candidate { .. }
            | Role::Follower { .. }
            | Role::PreCandidate { .. }
            | Role::Leader(_) => return,
        };
        for peer in self.electors_up() {
            self.send_vote(peer, handed, output);
        }
        self.lead_if_elected(output);
    }

    /// Whether this node hears from a live leader, or is one: then nobody else is wanted (thesis §4.2.3).
    fn sticks(&self, candidate: NodeId, output: &mut Output) -> bool {
        let sticks = self.loyalty.holds(self.now) || self.hears_leader();
        if sticks {
            output.notes.push(Note::SticksToLeader { candidate });
        }
        sticks
    }

    /// Whether it knows who leads its term, dead or alive.
    fn follows(&self) -> bool {
        matches!(self.role, Role::Follower { leader: Some(_) })
    }

    fn hears_leader(&self) -> bool {
        let silence = match &self.role {
            Role::Follower {
                leader: Some(leader),
            } if leader.heard_since_tick => 0,
            Role::Follower {
                leader: Some(leader),
            } => self.now.since(leader.heard),
            Role::Leader(leader) => self.now.since(self.quorum_heard(leader)),
            Role::Follower { leader: None }
            | Role::PreCandidate { .. }
            | Role::Candidate { .. } => return false,
        };
        silence < self.config.election_min
    }

    /// Whether a log that ends at `last` has at least what ours has (Raft §5.4.1).
    fn is_behind(&self, last: Position) -> bool {
        last >= self.last() || canary::on(Canary::VoteWithoutLogCheck)
    }

    /// Two followers that lost the same leader may ask each other in the same moment; if both agreed, both would campaign and
    /// split the vote, which costs a full timeout. So among equals the higher name goes first. Only while hinted: beyond
    /// that, one that hears but is not heard could hold up the others for ever.
    fn goes_first(&self, other: NodeId, last: Position) -> bool {
        let asks = matches!(self.role, Role::PreCandidate { .. });
        asks && self.timer.hinted(self.now) && last == self.last() && other < self.config.id
    }

    fn campaign_if_granted(&mut self, output: &mut Output) {
        match &self.role {
            Role::PreCandidate { granted } if self.quorum_granted(granted) => {
                self.campaign(false, output);
            }
            Role::PreCandidate { .. }
            | Role::Follower { .. }
            | Role::Candidate { .. }
            | Role::Leader(_) => {}
        }
    }

    /// Stands for election in the next term.
    pub(crate) fn campaign(&mut self, handed: bool, output: &mut Output) {
        self.enter_term(self.term().next(), output);
        self.ballot.cast(self.config.id, output);
        self.role = Role::Candidate {
            granted: Vec::new(),
            asked: false,
            handed,
        };
        self.timer.reset(self.now, self.delays.slack());
        output.notes.push(Note::Campaigns { term: self.term() });
    }

    fn lead_if_elected(&mut self, output: &mut Output) {
        match &self.role {
            Role::Candidate {
                granted,
                asked: true,
                ..
            } if self.quorum_granted(granted) => self.lead(output),
            Role::Candidate { .. }
            | Role::Follower { .. }
            | Role::PreCandidate { .. }
            | Role::Leader(_) => {}
        }
    }

    fn refuse_vote(&self, to: NodeId, output: &mut Output) {
        let message = Message::VoteReply {
            term: self.term(),
            granted: false,
        };
        output.send.push(Envelope { to, message });
    }
}

/// The same node counts once, however often it answers.
fn grant(granted: &mut Vec<NodeId>, by: NodeId) {
    if !granted.contains(&by) {
        granted.push(by);
    }
}
