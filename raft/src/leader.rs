//! What a leader does: append, send, count copies, and notice that it no longer has a majority.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{LogIndex, NodeId, Position, SessionId, Time};

use crate::progress::{Progress, Ready, View};
use crate::role::{Leader, Role};
use crate::{AppendReply, Note, Outcome, Output, Raft};

impl Raft {
    /// Takes up the lead of the current term.
    pub(crate) fn lead(&mut self, output: &mut Output) {
        let term = self.term();
        assert_eq!(
            self.ballot.vote(),
            Some(self.config.id),
            "who leads has voted for itself"
        );
        assert!(
            self.ballot.is_durable(),
            "who leads has its own vote on the disk"
        );
        // Records of earlier terms are committed by committing one of this term behind them (Raft §8, TRAPS 9, 17).
        self.terms.append(term, 1);
        let noop = self.terms.last();
        assert_eq!(
            noop.term, term,
            "the first record of a leader is of its own term"
        );
        output.noop = Some(Position {
            term,
            index: noop.index,
        });
        output.notes.push(Note::BecameLeader { term });
        self.role = Role::Leader(Leader {
            noop: noop.index,
            progress: alloc::vec::Vec::new(),
            takes_leases: self.config.lease_reads,
            transfer: None,
        });
        self.talk_to_new_members();
    }

    /// Opens a conversation with a member by asking whether it has everything before `next`, under a name that this core has never
    /// used: also a want of an earlier leadership of this node cannot be answered into this one.
    pub(crate) fn open_talk(&mut self, peer: NodeId, next: LogIndex) {
        let Role::Leader(leader) = &mut self.role else {
            unreachable!("only a leader opens conversations");
        };
        self.session = SessionId(self.session.0 + 1);
        let progress = leader.progress_of_mut(peer);
        let progress = progress.expect("a leader keeps account of every member");
        progress.open(self.session, next);
    }

    pub(crate) fn on_propose(&mut self) {
        assert!(
            self.leads(),
            "only a leader appends; who was told so may have been deposed since (TRAPS 18)"
        );
        assert!(
            self.transfers_to().is_none(),
            "a leader that hands its lead over appends nothing"
        );
        self.terms.append(self.ballot.term(), 1);
    }

    pub(crate) fn on_append_reply(
        &mut self,
        from: NodeId,
        reply: &AppendReply,
        output: &mut Output,
    ) {
        if reply.term > self.term() {
            self.enter_term(reply.term, output);
            return output.notes.push(Note::Follows {
                term: reply.term,
                leader: None,
            });
        }
        if reply.term < self.term() {
            return output.notes.push(Note::IgnoredTerm {
                from,
                term: reply.term,
            });
        }
        let ours = match &mut self.role {
            Role::Leader(leader) => leader.progress_of_mut(from),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        };
        let Some(peer) = ours.filter(|peer| peer.converses(reply.session, reply.round)) else {
            return output.notes.push(Note::IgnoredSession {
                from,
                session: reply.session,
            });
        };
        let before = peer.answered_to();
        peer.hear(reply.round, self.now, self.config.election_max);
        let left = peer.answered_to().filter(|&left| Some(left) != before);
        if let Some(left) = left {
            self.delays.observe(self.now.since(left));
        }
        match reply.outcome {
            Outcome::Durable(durable) => {
                if peer.on_durable(reply.round, durable, &self.config) {
                    self.count_copies(output);
                }
            }
            Outcome::Conflict { refused, hint } => {
                peer.on_conflict(reply.round, refused, hint, &self.terms)
            }
        }
        self.settle_reads(output);
        self.advance_transfer(output);
    }

    /// Commits what a majority has durably. The own copy is one like any other: both followers together can do without it.
    pub(crate) fn count_copies(&mut self, output: &mut Output) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let reached = self.reached(leader, self.durable, Progress::matched);
        // Copies of an earlier term's record prove nothing: a later leader may still overwrite them (Raft figure 8).
        if canary::on(Canary::PriorTermCounted) {
            self.raise_commit(reached, output);
        } else if reached >= leader.noop && reached > self.commit {
            assert_eq!(
                self.terms.term_at(reached),
                Some(self.term()),
                "after its no-op a leader has its own records"
            );
            self.raise_commit(reached, output);
        }
    }

    pub(crate) fn on_ready(&mut self, peer: NodeId, ready: &Ready, output: &mut Output) {
        if let Some((leader, view)) = self.leading()
            && let Some(progress) = leader.progress_of_mut(peer)
        {
            progress.send_ready(peer, &view, ready, output);
        }
    }

    pub(crate) fn gather_appends(&mut self, output: &mut Output) {
        if let Some((leader, view)) = self.leading() {
            for (peer, progress) in &mut leader.progress {
                progress.gather(*peer, &view, output);
            }
        }
    }

    /// A leader that a majority does not answer may have been replaced without knowing it: it stops leading, so that its
    /// clients look elsewhere (thesis §6.2).
    pub(crate) fn check_quorum(&mut self, output: &mut Output) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if self.now.since(self.quorum_heard(leader)) >= self.quorum_timeout() {
            output.notes.push(Note::LostQuorum { term: self.term() });
            self.stand_back();
        }
    }

    /// After so long without a majority, a leader stops leading.
    pub(crate) fn quorum_timeout(&self) -> u64 {
        self.config.election_max + self.delays.slack()
    }

    /// The latest moment from which on a quorum has been heard, this node among it if it votes.
    pub(crate) fn quorum_heard(&self, leader: &Leader) -> Time {
        self.reached(leader, self.now, |peer| peer.heard(self.now))
    }

    /// A leader's own state, and what sending needs to see of the rest.
    fn leading(&mut self) -> Option<(&mut Leader, View<'_>)> {
        let reads_due = if self.holds_lease() {
            0 // The next tick answers them.
        } else {
            self.reads.last_waiting()
        };
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        let view = View {
            term: self.ballot.term(),
            commit: self.commit,
            reads_asked: self.reads.asked(),
            reads_due,
            now: self.now,
            terms: &self.terms,
            config: &self.config,
        };
        Some((leader, view))
    }
}
