//! What a follower does with a leader's appends, and what it answers.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{LogIndex, NodeId};

use crate::role::{Followed, Role};
use crate::{Append, AppendReply, Appended, Envelope, Message, Note, Outcome, Output, Raft};

impl Raft {
    /// AppendEntries (Raft figure 2).
    pub(crate) fn on_append(&mut self, from: NodeId, append: &Append, output: &mut Output) {
        if append.term < self.term() {
            output.notes.push(Note::IgnoredTerm {
                from,
                term: append.term,
            });
            return self.refuse_append(from, append, output); // Carries our term: a deposed leader learns that it is.
        }
        if append.term > self.term() {
            self.enter_term(append.term, output);
        }
        if !self.follow(from, append, output) {
            return;
        }
        let previous = append.previous;
        // What is released was committed: the leader has the same.
        let released = previous.index < self.terms.start().index;
        if !released && self.terms.term_at(previous.index) != Some(previous.term) {
            assert!(
                previous.index > self.commit,
                "a leader has every committed record"
            );
            return self.refuse_append(from, append, output);
        }
        let verified = self.keep(append, output);
        self.on_fit(append, verified, output);
    }

    /// The acknowledgement is worked out from what is so now: it cannot say more than the leader's appends covered, nor more
    /// than the disk has, and it cannot outlive the term in which it was true (TRAPS 1, 3, 11).
    pub(crate) fn gather_reply(&mut self, output: &mut Output) {
        let Role::Follower {
            leader: Some(leader),
        } = &mut self.role
        else {
            return;
        };
        if !self.ballot.is_durable() {
            return; // Also an acknowledgement promises to stay in the term that it names.
        }
        let durable = if canary::on(Canary::AckBeforeDurable) {
            leader.verified
        } else if canary::on(Canary::AckPastVerified) {
            self.durable
        } else {
            leader.verified.min(self.durable)
        };
        if !leader.owed && durable <= leader.replied {
            return;
        }
        leader.owed = false;
        leader.replied = leader.replied.max(durable);
        let (term, session, round) = (self.ballot.term(), leader.session, leader.round);
        let reply = AppendReply {
            term,
            session,
            round,
            outcome: Outcome::Durable(durable),
        };
        output.send.push(Envelope {
            to: leader.id,
            message: Message::AppendReply(reply),
        });
    }

    /// Acknowledges `from` as the leader of the current term. Says whether the append is of its present session.
    fn follow(&mut self, from: NodeId, append: &Append, output: &mut Output) -> bool {
        assert!(!self.leads(), "a term has one leader, and it is this node");
        match &mut self.role {
            Role::Follower {
                leader: Some(leader),
            } => {
                assert_eq!(leader.id, from, "a term has one leader");
                if append.session < leader.session {
                    output.notes.push(Note::IgnoredSession {
                        from,
                        session: append.session,
                    });
                    return false;
                }
                if append.session > leader.session {
                    leader.start_session(append.session);
                }
                leader.heard = self.now;
                leader.heard_since_tick = true;
            }
            Role::Follower { leader: None }
            | Role::PreCandidate { .. }
            | Role::Candidate { .. }
            | Role::Leader(_) => {
                self.role = Role::Follower {
                    leader: Some(Followed::new(from, append.session, self.now)),
                };
                output.notes.push(Note::Follows {
                    term: append.term,
                    leader: Some(from),
                });
            }
        }
        self.timer.reset(self.now, self.delays.slack());
        self.loyalty.renew();
        true
    }

    /// Keeps those records of a fitting append that are not here yet. Returns up to where the logs now agree.
    fn keep(&mut self, append: &Append, output: &mut Output) -> LogIndex {
        let (previous, entries) = (append.previous, append.entries);
        let end = previous.index.plus(u64::from(entries.count));
        if entries.count == 0 {
            return end;
        }
        assert!(
            entries.term >= previous.term && entries.term <= append.term,
            "terms never fall along a log"
        );
        let known = previous.index.max(self.terms.start().index).min(end);
        if known == end {
            return end;
        }
        // What is here with the same term is the same record. An append that was overtaken by later ones is all here, and
        // takes nothing away from what came after it (TRAPS 10).
        let here = match self.terms.term_at(known.next()) {
            Some(_) if canary::on(Canary::TruncateWithoutConflict) => known,
            Some(term) if term == entries.term => self.terms.run_end(known.next()).min(end),
            Some(_) | None => known,
        };
        if here == end {
            return end;
        }
        let first = here.next();
        let truncates = first <= self.terms.last().index;
        if truncates {
            self.truncate(first, output);
        }
        self.terms.append(entries.term, end.0 - here.0);
        output.append = Some(Appended {
            first,
            last: end,
            truncates,
        });
        end
    }

    fn truncate(&mut self, first: LogIndex, output: &mut Output) {
        assert!(first > self.commit, "a committed record never becomes void");
        self.terms.truncate(first);
        self.truncations += 1;
        self.durable = self.durable.min(first.previous());
        output.notes.push(Note::Truncated { first });
        if self.configurations.truncate(first) {
            let at = self.members_at();
            output.notes.push(Note::MembersBack { at });
            self.adopt(output);
        }
    }

    /// The logs agree up to `end`.
    fn on_fit(&mut self, append: &Append, end: LogIndex, output: &mut Output) {
        let Role::Follower {
            leader: Some(leader),
        } = &mut self.role
        else {
            unreachable!("who takes an append follows its leader");
        };
        leader.round = leader.round.max(append.round);
        leader.verified = leader.verified.max(end);
        // Records are acknowledged when they are durable; a heartbeat or a probe wants to know now what is.
        leader.owed |= append.entries.count == 0;
        leader.goal.get_or_insert(append.commit);
        let commit = if canary::on(Canary::CommitPastVerified) {
            append.commit.min(self.terms.last().index)
        } else {
            append.commit.min(leader.verified)
        };
        self.raise_commit(commit, output);
        self.become_whole(output);
    }

    fn refuse_append(&self, to: NodeId, append: &Append, output: &mut Output) {
        let hint = self.terms.last_within(append.previous);
        let hint = hint.unwrap_or(self.terms.start());
        let outcome = Outcome::Conflict {
            refused: append.previous.index,
            hint,
        };
        let reply = AppendReply {
            term: self.term(),
            session: append.session,
            round: append.round,
            outcome,
        };
        output.send.push(Envelope {
            to,
            message: Message::AppendReply(reply),
        });
    }
}
