//! What a core says about itself. Nothing here changes anything.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{LogIndex, NodeId, Position, Term, Time};

use crate::progress::Progress;
use crate::role::Role;
use crate::{Mark, Raft};

/// A role, for status pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes or pre-votes.
    Candidate,
    /// Leads.
    Leader,
}

impl Raft {
    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.ballot.term()
    }

    /// Whether this node leads in the current term. It may not serve yet.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads the current term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower { leader } => leader.as_ref().map(|leader| leader.id),
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
            Role::Leader(_) => Some(self.config.id),
        }
    }

    /// Whether this node may have lost records that it acknowledged: then it neither votes nor stands.
    #[must_use]
    pub fn unsure(&self) -> bool {
        self.ballot.unsure()
    }

    /// The role, for status pages.
    #[must_use]
    pub fn role(&self) -> RoleName {
        match &self.role {
            Role::Follower { .. } => RoleName::Follower,
            Role::PreCandidate { .. } | Role::Candidate { .. } => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Where the log ends.
    #[must_use]
    pub fn last(&self) -> Position {
        self.terms.last()
    }

    /// All records up to here are committed. May be above [`durable`](Self::durable): a majority can do without this node.
    #[must_use]
    pub fn commit(&self) -> LogIndex {
        self.commit
    }

    /// All records up to here are durable on this node.
    #[must_use]
    pub fn durable(&self) -> LogIndex {
        self.durable
    }

    /// The end of the log, for a write that is submitted now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            truncations: self.truncations,
            last: self.terms.last().index,
        }
    }

    /// Whether this node leads and the no-op of its term is committed: only from then on it knows what is committed
    /// (TRAPS 17).
    #[must_use]
    pub fn serves(&self) -> bool {
        match &self.role {
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => false,
            Role::Leader(leader) => {
                self.commit >= leader.noop || canary::on(Canary::ServesTooEarly)
            }
        }
    }

    /// All records up to here are durable on every voter, as far as this node has heard in the present sessions; zero unless it
    /// leads.
    #[must_use]
    pub fn on_all(&self) -> LogIndex {
        let Role::Leader(leader) = &self.role else {
            return LogIndex(0);
        };
        let copy = |node| {
            if node == self.config.id {
                self.durable
            } else {
                leader
                    .progress_of(node)
                    .map_or(LogIndex(0), Progress::matched)
            }
        };
        let copies = self.members().electors().map(|member| copy(member.0));
        copies.min().expect("a group that is led has a voter")
    }

    /// All records up to here are durable on so many followers that the leader's own copy makes a majority; zero unless this
    /// node leads, and where nobody follows.
    #[must_use]
    pub fn on_followers(&self) -> LogIndex {
        let Role::Leader(leader) = &self.role else {
            return LogIndex(0);
        };
        // With the leader as the one who has everything, a majority has what enough followers have.
        let reached = self.reached(leader, LogIndex(u64::MAX), Progress::matched);
        if reached == LogIndex(u64::MAX) {
            LogIndex(0)
        } else {
            reached
        }
    }

    /// When the next `Tick` is needed at the latest: the election deadline, or on a leader its next heartbeat or the moment
    /// at which it would have to step down; at once, if reads wait for one to hold the lease against.
    #[must_use]
    pub fn deadline(&self) -> Time {
        match &self.role {
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                self.timer.deadline()
            }
            Role::Leader(_) if !self.reads.is_empty() && self.holds_lease() => self.now,
            Role::Leader(leader) => leader
                .progress
                .iter()
                .filter_map(|(_, peer)| peer.deadline(self.now, self.config.heartbeat))
                .chain(leader.transfer.map(|transfer| transfer.until))
                .fold(
                    self.quorum_heard(leader).after(self.quorum_timeout()),
                    Time::min,
                ),
        }
    }

    /// The record before the log begins.
    #[must_use]
    pub fn start(&self) -> Position {
        self.terms.start()
    }

    /// The peers that lack records which have been released: they need a snapshot.
    pub fn behind(&self) -> impl Iterator<Item = NodeId> + '_ {
        let progress = match &self.role {
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => &[][..],
            Role::Leader(leader) => &leader.progress,
        };
        let behind = progress
            .iter()
            .filter(|(_, progress)| progress.needs_snapshot());
        behind.map(|(peer, _)| *peer)
    }

    /// Term of the record at `index`, or `None` if there is no such record, or it has been released. Index zero has term zero.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.terms.term_at(index)
    }

    /// For each other member: who it is, whether it is up, and up to where its log has shown in the latest session to be durable (zero
    /// unless this node leads).
    pub fn peer_progress(&self) -> impl Iterator<Item = (NodeId, bool, LogIndex)> + '_ {
        let peers = self.members().all().map(|member| member.0);
        peers.filter(|&id| id != self.config.id).map(|id| {
            let progress = match &self.role {
                Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => None,
                Role::Leader(leader) => leader.progress_of(id),
            };
            let matched = progress.map_or(LogIndex(0), Progress::matched);
            (id, self.is_up(id), matched)
        })
    }
}
