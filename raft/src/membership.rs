//! How the members of a group change: a record at a time, in force from the moment that it is appended (Raft §6).
//!
//! ```text
//!   driver: Propose, Configured --joint, both majorities--> committed --Propose, Configured--> the new voters alone
//!   follower: what it keeps of an append, Configured         a truncation goes back to the members before
//! ```
//! Who leads and is to go leads on until the last record is committed, by the copies of others; then it hands over.

use alloc::vec::Vec;

use quorate_wire::LogIndex;

use crate::members::Members;
use crate::progress::Progress;
use crate::raft::Peer;
use crate::role::{Leader, Role};
use crate::{Note, Output, Raft};

impl Raft {
    /// The members that count: those of the newest record in the log that names some.
    #[must_use]
    pub fn members(&self) -> &Members {
        self.configurations.now()
    }

    /// That record; zero for the members of the group's beginning.
    #[must_use]
    pub fn members_at(&self) -> LogIndex {
        self.configurations.at()
    }

    /// Whether this node's votes and copies count.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        let me = (self.config.id, self.config.disk);
        self.members().electors().any(|member| member == me)
    }

    /// Whether this node stands for election: as a voter, or as one who has to go by a record that may not be committed yet. It may
    /// be the only one who has that record, and the others need one who has it (thesis §4.2.2).
    pub(crate) fn stands(&self) -> bool {
        let me = (self.config.id, self.config.disk);
        self.configurations.may_count(me) && !self.unsure()
    }

    /// Whether this node leads, and may append a record that names other members: one change at a time, and none before a record
    /// of its own term is committed (TRAPS 23).
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.serves() && self.members_at() <= self.commit && self.transfers_to().is_none()
    }

    /// Whether this node leads a group that it no longer belongs to: it is to hand over.
    #[must_use]
    pub fn must_go(&self) -> bool {
        self.leads() && !self.is_voter() && self.members_at() <= self.commit
    }

    pub(crate) fn on_configured(&mut self, at: LogIndex, members: Members, output: &mut Output) {
        assert!(
            at <= self.terms.last().index,
            "members come with a record that was just appended"
        );
        let leads = self.leads();
        assert!(
            !leads || self.members_at() <= self.commit && self.serves(),
            "the members change once at a time"
        );
        self.configurations.push(at, members, leads);
        self.configurations.committed(self.commit);
        output.notes.push(Note::Members { at });
        self.adopt(output);
        // Fewer may be a quorum now.
        self.count_copies(output);
        self.settle_reads(output);
    }

    /// Other members count from now on.
    pub(crate) fn adopt(&mut self, output: &mut Output) {
        let members = self.configurations.now();
        for peer in &mut self.peers {
            let (known, shown) = (members.disk_of(peer.id), peer.shown);
            if known.is_some() && shown.is_some() && shown != known {
                peer.shown = None;
                output.notes.push(Note::WrongDisk { peer: peer.id });
            }
        }
        let peers = &mut self.peers;
        peers.retain(|peer| peer.shown.is_some() || members.disk_of(peer.id).is_some());
        for (id, _) in members.all().filter(|member| member.0 != self.config.id) {
            if peers.iter().all(|peer| peer.id != id) {
                peers.push(Peer::new(id));
            }
        }
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        leader
            .progress
            .retain(|(id, _)| members.disk_of(*id).is_some());
        self.talk_to_new_members();
    }

    /// A leader keeps account of every other member, and talks to those that are up.
    pub(crate) fn talk_to_new_members(&mut self) {
        let (me, now, next) = (self.config.id, self.now, self.terms.last().index);
        let Role::Leader(leader) = &mut self.role else {
            unreachable!("only a leader opens conversations");
        };
        let members = self.configurations.now().all().map(|member| member.0);
        let new = members.filter(|&id| id != me && leader.progress_of(id).is_none());
        let new: Vec<_> = new.collect();
        let progress = new.iter().map(|&id| (id, Progress::new(now)));
        leader.progress.extend(progress);
        for id in new {
            if self.is_up(id) {
                self.open_talk(id, next);
            }
        }
    }

    /// The highest value that a quorum has reached, this node with `own`.
    pub(crate) fn reached<T: Copy + Default + Ord>(
        &self,
        leader: &Leader,
        own: T,
        of: impl Fn(&Progress) -> T,
    ) -> T {
        self.members().reached(|node| {
            if node == self.config.id {
                own
            } else {
                leader.progress_of(node).map_or_else(T::default, &of)
            }
        })
    }
}
