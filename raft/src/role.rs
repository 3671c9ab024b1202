//! What a node is to its group. State that exists in one role only lives in that variant.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, NodeId, SessionId, Time};

use crate::progress::Progress;
use crate::transfer::Transfer;

/// The role of this node in its current term.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Follows a leader, or waits for one.
    Follower {
        leader: Option<Followed>,
    },
    /// Asks whether an election in the next term would be won.
    PreCandidate {
        granted: Vec<NodeId>,
    },
    /// Stands for election in the current term.
    Candidate {
        granted: Vec<NodeId>,
        /// Whether its own vote is durable, and so counts, and the others were asked for theirs.
        asked: bool,
        /// The leader handed its lead over to this node.
        handed: bool,
    },
    Leader(Leader),
}

/// The leader of the current term, as a follower sees it.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) id: NodeId,
    /// The latest session in which it spoke.
    pub(crate) session: SessionId,
    /// The latest append of the session that fitted: what an acknowledgement answers. A refused one is answered by its
    /// refusal; counting it here would make a later acknowledgement look like its success.
    pub(crate) round: u64,
    /// When it last spoke; what arrives between two ticks is dated at the second.
    pub(crate) heard: Time,
    pub(crate) heard_since_tick: bool,
    /// The tick that dated its word before the last one.
    pub(crate) spoke: Time,
    /// Our log agrees with the leader's up to here: the end of the furthest append of this leader that fitted. Records after
    /// it may be in our log, but nothing is known about them (TRAPS 11, 14).
    pub(crate) verified: LogIndex,
    /// What the session's last acknowledgement said.
    pub(crate) replied: LogIndex,
    /// A heartbeat or a probe waits for its answer.
    pub(crate) owed: bool,
    /// What the leader called committed in the first append of the session whose commit index has not yet turned out to lie in
    /// an earlier term: what an unsure node has to reach.
    pub(crate) goal: Option<LogIndex>,
}

impl Followed {
    pub(crate) fn new(id: NodeId, session: SessionId, now: Time) -> Self {
        Self {
            id,
            session,
            round: 0,
            heard: now,
            heard_since_tick: true,
            spoke: now,
            verified: LogIndex(0),
            replied: LogIndex(0),
            owed: false,
            goal: None,
        }
    }

    /// The leader speaks in a new session: it knows of no answer that was given in an earlier one. What was verified stays
    /// true as long as it leads.
    pub(crate) fn start_session(&mut self, session: SessionId) {
        assert!(session > self.session, "sessions rise");
        self.session = session;
        self.round = 0;
        self.replied = LogIndex(0);
        self.owed = false;
        self.goal = None;
    }
}

/// State that a leader has.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// Its no-op: the first record of its term. Only records from here on are committed by counting (TRAPS 9).
    pub(crate) noop: LogIndex,
    /// One for each other member.
    pub(crate) progress: Vec<(NodeId, Progress)>,
    /// Whether it may take leases: never again once it has told somebody to stand, who may do so at any time.
    pub(crate) takes_leases: bool,
    pub(crate) transfer: Option<Transfer>,
}

impl Leader {
    /// How far a member is.
    pub(crate) fn progress_of(&self, peer: NodeId) -> Option<&Progress> {
        let mut progress = self.progress.iter();
        progress
            .find(|(id, _)| *id == peer)
            .map(|(_, progress)| progress)
    }

    /// The same, to be changed.
    pub(crate) fn progress_of_mut(&mut self, peer: NodeId) -> Option<&mut Progress> {
        let mut progress = self.progress.iter_mut();
        progress
            .find(|(id, _)| *id == peer)
            .map(|(_, progress)| progress)
    }
}
