//! All that must hold for the members of a consumer group.

use std::collections::BTreeMap;
use std::ops::Range;

use quorate_client::member::Commit;
use quorate_replication::lane::Answer;
use quorate_replication::pipeline::Pipeline;
use quorate_wire::{Chunk, Generation, LogIndex, MemberId, Offset, ProducerId, SLOTS, Slot, Time};

use super::covered::Covered;
use super::exactly_once::Found;
use super::hold;
use super::listed::Lists;
use super::lives::{Lives, life};
use super::slot_offsets::SlotOffsets;
use super::slot_owner::SlotOwner;
use crate::member::consumer_group;

/// Of each slot, the latest generation that an owner has heard of, and who that is.
pub type Owners = Vec<Option<(Generation, MemberId)>>;

/// What members were told, given and promised.
#[derive(Debug, Default)]
pub struct Members {
    owner: SlotOwner,
    offsets: SlotOffsets,
    covered: Covered,
    lists: Lists,
    lives: Lives,
}

impl Members {
    /// A member hears that slots are its own, and where each goes on.
    pub fn told(
        &mut self,
        member: MemberId,
        generation: Generation,
        slots: impl IntoIterator<Item = (Slot, Offset)>,
    ) {
        let life = life(generation);
        hold("one life", self.lives.lives(life));
        let slots = slots.into_iter().map(|(slot, next)| {
            self.covered.told(life, slot, next);
            slot
        });
        hold("one owner", self.owner.told(member, generation, slots));
    }

    /// A member gets an event.
    pub fn given(&mut self, (of, member): (Generation, MemberId), offset: Offset) {
        self.covered.given((life(of), member), offset);
    }

    /// A member goes on behind events of a slot, since the log now begins at `start`.
    pub fn skipped(
        &mut self,
        (of, member): (Generation, MemberId),
        slot: Slot,
        left: Range<Offset>,
        start: Offset,
    ) {
        let who = (life(of), member);
        let verdict = self.covered.skipped(who, slot, left, start);
        hold("nothing is skipped", verdict);
    }

    /// A member asks for a commit. Says who owns what at this moment.
    pub fn asks(&mut self, member: MemberId, commit: &Commit) -> Owners {
        let who = (life(commit.generation), member);
        self.covered.asked(who, commit.slots, commit.offset);
        self.owner.owners()
    }

    /// A member hears that its commit is done, which it asked when the owners were these.
    pub fn committed(&mut self, member: MemberId, commit: &Commit, owners: &Owners) {
        let verdict = SlotOwner::committed(owners, member, commit.generation, commit.slots);
        hold("one owner", verdict);
        let life = life(commit.generation);
        self.offsets.acknowledged(life, commit.slots, commit.offset);
    }

    /// All nodes are asked how the consumer group stands.
    pub fn lists(&mut self, now: Time) {
        self.lists.asked(now, self.offsets.promised());
    }

    /// A node answers to what it was asked at this moment.
    pub fn listed(&self, asked: Time, answer: &Answer) {
        let verdict = self.lists.answered(asked, answer, &self.lives);
        hold("lists are linearizable", verdict);
    }

    /// A node is asked, now and then.
    pub(super) fn seen(&mut self, index: LogIndex, pipeline: &Pipeline) {
        if let Some((generation, offsets)) = pipeline.slot_offsets(&consumer_group()) {
            let life = life(generation);
            hold("one life", self.lives.lives(life));
            hold("done stays done", self.offsets.seen(index, (life, offsets)));
        }
    }

    /// The world has ended with these chunks in the log.
    pub(super) fn end(&self, chunks: &BTreeMap<ProducerId, Vec<Found>>) {
        let Some(done) = self.offsets.last() else {
            return;
        };
        hold("done stays done", self.offsets.end(&done));
        let events = chunks.values().flatten().flat_map(|found| {
            let (chunk, _) = Chunk::frame(&found.bytes).expect("it is in the log");
            let slots = chunk
                .events()
                .map(|event| Slot::of(event.key))
                .collect::<Vec<_>>();
            (0..).map(|at| found.offset.plus(at)).zip(slots)
        });
        hold("nothing is skipped", self.covered.end(events, &done));
    }

    /// Whether everything below this offset is done in all slots, as far as it was seen.
    pub fn is_done(&self, end: Offset) -> bool {
        let last = self.offsets.last();
        last.is_some_and(|(_, done)| done == [end; SLOTS])
    }

    /// An operator wants the consumer group to end.
    pub fn ends(&mut self) {
        self.lives.ends();
    }

    /// How often it began.
    #[must_use]
    pub fn lives(&self) -> usize {
        self.lives.count()
    }
}
