//! What an observer sees of a pipeline. It changes nothing, and no decision depends on it.

use alloc::boxed::Box;

use quorate_raft::Raft;
use quorate_wire::{Generation, LogIndex, Name, Offset, SLOTS, Term};

use super::{Counts, Pipeline, Turns};
use crate::state::MemberList;

/// How a pipeline stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Its term; zero while the group forms.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it leads and knows what is committed.
    pub serves: bool,
    /// The last record that it has.
    pub last: LogIndex,
    /// The last one that is durable here.
    pub durable: LogIndex,
    /// The last one that is applied.
    pub applied: LogIndex,
    /// Offset after the last applied event.
    pub committed: Offset,
    /// Digest of the state at `applied`.
    pub digest: u64,
    /// Runs that are kept of all producers.
    pub runs: usize,
}

impl Pipeline {
    /// Whether it leads.
    #[must_use]
    pub const fn leads(&self) -> bool {
        self.led
    }

    /// How it stands now.
    #[must_use]
    pub fn view(&self) -> View {
        let raft = self.raft.as_ref();
        View {
            term: self.term(),
            leads: raft.is_some_and(Raft::leads),
            serves: raft.is_some_and(Raft::serves),
            last: self.state.last(),
            durable: raft.map_or(LogIndex(0), Raft::durable),
            applied: self.state.applied(),
            committed: self.state.committed(),
            digest: self.state.digest(),
            runs: self.state.runs(),
        }
    }

    /// Who belongs to the group, by the newest list in this node's log.
    #[must_use]
    pub fn members(&self) -> &MemberList {
        self.membership.list()
    }

    /// What it has done so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Traces turns from now on into this, if it is one, and gives back what has traced them until now.
    pub const fn trace(&mut self, turns: Option<Box<Turns>>) -> Option<Box<Turns>> {
        ::core::mem::replace(&mut self.traced, turns)
    }

    /// Term and `header_crc` of a record from [`View::applied`] to [`View::last`].
    #[must_use]
    pub fn record_at(&self, index: LogIndex) -> Option<(Term, u32)> {
        let term = self.raft.as_ref()?.term_at(index)?;
        Some((term, self.state.header_crc(index)?))
    }

    /// The generation of a consumer group, and the offsets of its slots, at [`View::applied`], if there is one of this name.
    #[must_use]
    pub fn slot_offsets(&self, name: &Name) -> Option<(Generation, [Offset; SLOTS])> {
        let group = self.state.consumer_group(name)?;
        Some((group.generation, group.offsets))
    }

    /// One number for what it knows of all producers and ids of events, and keeps under names, at [`View::applied`].
    #[must_use]
    pub fn tables_digest(&self) -> u64 {
        self.state.producers_digest() ^ self.state.named_digest() ^ self.state.ids_digest()
    }
}
