//! Consumer groups: who reads which slots, and how far each slot is done.
//!
//! ```text
//!   generation 7        leave of 2        generation 8
//!   1: slots 0-21      ------------>      1: slots 0-31
//!   2: slots 22-42                        3: slots 32-63
//!   3: slots 43-63
//! ```
//! Owns: the split of the slots, and the fence: what counts is a commit of the present generation, by the owner. Never: decides
//! that a member is dead; the leader does, and says so by a command that is held against log time here.

use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::limits::{
    CONSUMER_GROUPS_MAX, GROUP_MEMBERS_MAX, NAME_BYTES_MAX, NAME_IDLE_SECONDS, RECORD_COMMANDS_MAX,
    SESSION_MS_MAX, SESSION_MS_MIN, SNAPSHOT_ENTRY_BYTES_MAX,
};
use quorate_wire::{ErrorCode, Generation, MemberId, Name, Offset, SLOTS, Slots};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::kept::Kept;
use super::mix;
use super::named::{Declined, Moment, Outcome, mix_name};
use crate::snapshot::COUNT_MAX;

/// After so many nanoseconds of log time, a consumer group without members is forgotten.
const IDLE: u64 = NAME_IDLE_SECONDS * 1_000_000_000;

/// A record has fewer commands, or as many: each makes one generation.
const GENERATION_BITS: u32 = 8;

const _: () = assert!(RECORD_COMMANDS_MAX <= 1 << GENERATION_BITS);

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: MemberId,
    /// The slots that it reads.
    pub slots: Slots,
    /// For how long it may be silent, in milliseconds.
    pub session_ms: u32,
    /// Log time of its last command.
    seen: u64,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Rises with each change of the members.
    pub generation: Generation,
    /// In the order in which they joined. Invariant: each slot has one owner, if there is a member.
    pub members: Vec<Member>,
    /// Everything of a slot below this offset is done.
    pub offsets: [Offset; SLOTS],
    /// Log time of its last change.
    changed: u64,
}

/// A consumer group in a snapshot; its members follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawGroup {
    name: [u8; NAME_BYTES_MAX],
    generation: U64,
    changed: U64,
    members: U32,
    reserved: U32,
    offsets: [U64; SLOTS],
}

/// A member in a snapshot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawMember {
    id: U64,
    slots: U64,
    seen: U64,
    session_ms: U32,
    reserved: U32,
}

const _: () = assert!(
    size_of::<RawGroup>() + GROUP_MEMBERS_MAX * size_of::<RawMember>() <= SNAPSHOT_ENTRY_BYTES_MAX,
    "a consumer group is one entry of a snapshot"
);

impl ConsumerGroup {
    /// Appends it to a snapshot.
    pub(super) fn encode(&self, name: &Name, bytes: &mut Vec<u8>) {
        let members = u32::try_from(self.members.len()).expect("members are bounded");
        let raw = RawGroup {
            name: name.to_bytes(),
            generation: U64::new(self.generation.0),
            changed: U64::new(self.changed),
            members: U32::new(members),
            reserved: U32::new(0),
            offsets: self.offsets.map(|offset| U64::new(offset.0)),
        };
        bytes.extend_from_slice(raw.as_bytes());
        for member in &self.members {
            let raw = RawMember {
                id: U64::new(member.id.0),
                slots: U64::new(member.slots.0),
                seen: U64::new(member.seen),
                session_ms: U32::new(member.session_ms),
                reserved: U32::new(0),
            };
            bytes.extend_from_slice(raw.as_bytes());
        }
    }

    /// Reads what a snapshot has at the start of `bytes`.
    fn decode(bytes: &mut &[u8]) -> Option<(Name, Self)> {
        let (raw, rest) = RawGroup::ref_from_prefix(bytes).ok()?;
        let count = usize::try_from(raw.members.get()).ok()?;
        if count > GROUP_MEMBERS_MAX {
            return None;
        }
        let (members, rest) = <[RawMember]>::ref_from_prefix_with_elems(rest, count).ok()?;
        *bytes = rest;
        let members = members.iter().map(|raw| Member {
            id: MemberId(raw.id.get()),
            slots: Slots(raw.slots.get()),
            session_ms: raw.session_ms.get(),
            seen: raw.seen.get(),
        });
        let group = Self {
            generation: Generation(raw.generation.get()),
            members: members.collect(),
            offsets: raw.offsets.map(|offset| Offset(offset.get())),
            changed: raw.changed.get(),
        };
        group
            .is_sound()
            .then_some((Name::from_bytes(raw.name)?, group))
    }

    /// Whether each slot has one owner, each member a session, and no offset is beyond all logs.
    fn is_sound(&self) -> bool {
        let mut seen = Slots::NONE;
        let split = self.members.iter().all(|member| {
            let doubled = !seen.and(member.slots).is_empty();
            seen = seen.or(member.slots);
            let sessions = SESSION_MS_MIN..=SESSION_MS_MAX;
            !doubled && sessions.contains(&member.session_ms)
        });
        let whole = self.members.is_empty() || seen == Slots::ALL;
        let counts = self.offsets.iter().all(|offset| offset.0 <= COUNT_MAX);
        split && whole && counts && self.generation.0 <= COUNT_MAX
    }

    /// One that begins with a record. Its generations are above all that one of its name had before: of that one, each record has made
    /// so many at most. A member that has slept through its end knows what is new by that.
    fn new(start: Offset, at: Moment) -> Self {
        Self {
            generation: Generation(at.life.0 << GENERATION_BITS),
            members: Vec::new(),
            offsets: [start; SLOTS],
            changed: 0,
        }
    }

    /// A member, if it is one.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Whether it is remembered at a log time.
    fn lives(&self, now: u64) -> bool {
        !self.members.is_empty() || now.saturating_sub(self.changed) < IDLE
    }

    /// The members have changed.
    fn regroup(&mut self, at: Moment) -> Outcome {
        split(&mut self.members);
        self.generation.0 += 1;
        self.changed = at.log_time;
        Ok(self.generation.0)
    }

    fn remove(&mut self, id: MemberId, at: Moment) -> Outcome {
        self.members.retain(|member| member.id != id);
        self.regroup(at)
    }

    fn commit(
        &mut self,
        id: MemberId,
        generation: Generation,
        (slots, offset): (Slots, Offset),
        at: Moment,
    ) -> Outcome {
        let members = &mut self.members;
        let Some(member) = members.iter_mut().find(|member| member.id == id) else {
            return Err(Declined::new(ErrorCode::MemberUnknown));
        };
        if !canary::on(Canary::GenerationUnfenced) {
            if generation != self.generation {
                let expected = self.generation.0;
                return Err(Declined::expecting(ErrorCode::GenerationFenced, expected));
            }
            if !slots.without(member.slots).is_empty() {
                let expected = member.slots.0;
                return Err(Declined::expecting(ErrorCode::SlotsNotOwned, expected));
            }
        }
        if offset > at.end {
            return Err(Declined::expecting(ErrorCode::CursorPastEnd, at.end.0));
        }
        member.seen = at.log_time;
        self.changed = at.log_time;
        for slot in slots.iter() {
            if let Some(done) = self.offsets.get_mut(slot.number()) {
                *done = (*done).max(offset);
            }
        }
        Ok(self.generation.0)
    }

    fn fingerprint(&self, print: u64) -> u64 {
        let print = mix(mix(print ^ self.generation.0) ^ self.changed);
        let print = self.members.iter().fold(print, |print, member| {
            let print = mix(mix(print ^ member.id.0) ^ member.slots.0);
            mix(mix(print ^ u64::from(member.session_ms)) ^ member.seen)
        });
        self.offsets
            .iter()
            .fold(print, |print, offset| mix(print ^ offset.0))
    }
}

/// Splits the slots evenly, and leaves with each member as many of those that it has as that allows.
fn split(members: &mut [Member]) {
    let Some(least) = SLOTS.checked_div(members.len()) else {
        return;
    };
    // Who has most gets what does not divide evenly, and those who joined first among equals.
    let mut order: Vec<usize> = (0..members.len()).collect();
    let held = |&at: &usize| members.get(at).map_or(0, |member| member.slots.len());
    order.sort_by_key(|at| core::cmp::Reverse(held(at)));
    let quota = |rank: usize| least + usize::from(rank < SLOTS % members.len());
    let quotas: Vec<(usize, usize)> = (order.iter().enumerate())
        .map(|(rank, &at)| (at, quota(rank)))
        .collect();
    let mut free = Slots::ALL;
    for &(at, quota) in &quotas {
        let Some(member) = members.get_mut(at) else {
            continue;
        };
        member.slots = member.slots.iter().take(quota).collect();
        free = free.without(member.slots);
    }
    let mut free = free.iter();
    for &(at, quota) in &quotas {
        let Some(member) = members.get_mut(at) else {
            continue;
        };
        let missing = quota - member.slots.len();
        let more: Slots = free.by_ref().take(missing).collect();
        member.slots = member.slots.or(more);
    }
}

/// All consumer groups of a group. Those that have expired lie here until their room is needed, and are not there for anybody.
#[derive(Debug, Default)]
pub(super) struct ConsumerGroups {
    pub(super) table: Kept<ConsumerGroup>,
}

impl ConsumerGroups {
    /// The living consumer group of a name.
    pub(super) fn get(&self, name: &Name, now: u64) -> Option<&ConsumerGroup> {
        self.table.all().get(name).filter(|it| it.lives(now))
    }

    /// The living consumer groups behind a name, by name.
    pub(super) fn after(
        &self,
        name: Option<Name>,
        now: u64,
    ) -> impl Iterator<Item = (Name, &ConsumerGroup)> {
        let behind = self.table.after(name);
        behind
            .filter(move |(_, group)| group.lives(now))
            .map(|(name, group)| (*name, group))
    }

    /// Lets a member in, unless it is one already. A consumer group that is new begins at `start`, or at the end if that comes
    /// before it.
    pub(super) fn join(
        &mut self,
        name: Name,
        (id, session_ms): (MemberId, u32),
        start: Offset,
        at: Moment,
    ) -> Outcome {
        let now = at.log_time;
        let table = self.table.change();
        if !table.contains_key(&name) && table.len() >= CONSUMER_GROUPS_MAX {
            table.retain(|_, group| group.lives(now));
            if table.len() >= CONSUMER_GROUPS_MAX {
                return Err(Declined::new(ErrorCode::GroupsFull));
            }
        }
        let start = start.min(at.end);
        let group = table.entry(name);
        let group = group.or_insert_with(|| ConsumerGroup::new(start, at));
        if !group.lives(now) {
            // Its generation rises all the same: nobody is to be taken for a member of old.
            group.offsets = [start; SLOTS];
        }
        let joined = Member {
            id,
            slots: Slots::NONE,
            session_ms,
            seen: now,
        };
        if let Some(known) = group.members.iter_mut().find(|member| member.id == id) {
            (known.session_ms, known.seen) = (session_ms, now);
            return Ok(group.generation.0);
        }
        if group.members.len() >= GROUP_MEMBERS_MAX {
            return Err(Declined::new(ErrorCode::GroupsFull));
        }
        group.members.push(joined);
        group.regroup(at)
    }

    /// Forgets a consumer group without members. Says whether there was one.
    #[cfg(feature = "edition-2")]
    pub(super) fn delete(&mut self, name: &Name, at: Moment) -> Outcome {
        let known = self.get(name, at.log_time);
        if known.is_some_and(|group| !group.members.is_empty()) {
            return Err(Declined::new(ErrorCode::GroupHasMembers));
        }
        let known = known.is_some();
        self.table.change().remove(name);
        Ok(u64::from(known))
    }

    /// A member goes; zero comes of it if it was none.
    pub(super) fn leave(&mut self, name: &Name, id: MemberId, at: Moment) -> Outcome {
        match self.table.change().get_mut(name) {
            Some(group) if group.member(id).is_some() => group.remove(id, at),
            Some(_) | None => Ok(0),
        }
    }

    /// A leader has not heard of a member for long: it goes, unless it has said something in the log since. Zero comes of it
    /// then.
    pub(super) fn expire(&mut self, name: &Name, id: MemberId, at: Moment) -> Outcome {
        let silent = |member: &Member| {
            at.log_time.saturating_sub(member.seen) >= u64::from(member.session_ms) * 1_000_000
        };
        match self.table.change().get_mut(name) {
            Some(group) if group.member(id).is_some_and(silent) => group.remove(id, at),
            Some(_) | None => Ok(0),
        }
    }

    /// Everything below an offset in these slots is done.
    pub(super) fn commit(
        &mut self,
        name: &Name,
        (id, generation): (MemberId, Generation),
        done: (Slots, Offset),
        at: Moment,
    ) -> Outcome {
        match self.table.change().get_mut(name) {
            Some(group) => group.commit(id, generation, done, at),
            None => Err(Declined::new(ErrorCode::MemberUnknown)),
        }
    }

    /// Takes the consumer group that a snapshot has at the start of `bytes`.
    pub(super) fn load(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let (name, group) = ConsumerGroup::decode(bytes)?;
        let table = self.table.change();
        let fits = table.len() < CONSUMER_GROUPS_MAX;
        (fits && table.insert(name, group).is_none()).then_some(())
    }

    /// One number for all that is kept.
    pub(super) fn fingerprint(&self) -> u64 {
        self.table.all().iter().fold(0, |print, (name, group)| {
            group.fingerprint(mix_name(print, name))
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use quorate_wire::{LogIndex, Slot};

    use super::*;

    const SESSION: u32 = 1000;

    fn name() -> Name {
        Name::new("readers").expect("it is a name")
    }

    fn at(log_time: u64) -> Moment {
        Moment {
            life: LogIndex(0),
            log_time,
            end: Offset(1000),
        }
    }

    fn join(groups: &mut ConsumerGroups, id: u64, now: u64) -> Outcome {
        groups.join(name(), (MemberId(id), SESSION), Offset(0), at(now))
    }

    fn group(groups: &ConsumerGroups) -> &ConsumerGroup {
        groups.get(&name(), 0).expect("it is there")
    }

    fn slots(groups: &ConsumerGroups, id: u64) -> Slots {
        let member = group(groups).member(MemberId(id));
        member.map_or(Slots::NONE, |member| member.slots)
    }

    fn commit(groups: &mut ConsumerGroups, id: u64, of: u64, slots: Slots, to: u64) -> Outcome {
        let who = (MemberId(id), Generation(of));
        groups.commit(&name(), who, (slots, Offset(to)), at(5))
    }

    /// Each slot has one owner, and nobody has two more than another.
    fn is_even(groups: &ConsumerGroups) -> bool {
        let members = &group(groups).members;
        let all: Slots = members
            .iter()
            .flat_map(|member| member.slots.iter())
            .collect();
        let counts: Vec<usize> = members.iter().map(|member| member.slots.len()).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        counts.iter().sum::<usize>() == SLOTS
            && all == Slots::ALL
            && most
                .zip(least)
                .is_some_and(|(most, least)| most - least <= 1)
    }

    #[test]
    fn slots_are_split_evenly_and_stay_where_they_can() {
        let mut groups = ConsumerGroups::default();
        for id in 1..=7 {
            let before: Vec<Slots> = (1..id).map(|id| slots(&groups, id)).collect();
            assert_eq!(
                join(&mut groups, id, 1),
                Ok(id),
                "each change is a generation"
            );
            assert!(is_even(&groups), "{:?}", group(&groups));
            for (id, before) in (1..id).zip(before) {
                let now = slots(&groups, id);
                assert!(
                    now.without(before).is_empty(),
                    "nobody gains when one comes"
                );
            }
        }
        let before: Vec<Slots> = (1..=7).map(|id| slots(&groups, id)).collect();
        assert_eq!(groups.leave(&name(), MemberId(3), at(2)), Ok(8));
        assert!(is_even(&groups));
        for (id, before) in (1..=7).zip(before) {
            let now = slots(&groups, id);
            assert!(
                id == 3 || before.without(now).is_empty(),
                "nobody loses when one goes"
            );
        }
    }

    #[test]
    fn a_join_and_a_leave_can_be_said_again() {
        let mut groups = ConsumerGroups::default();
        assert_eq!(join(&mut groups, 1, 1), Ok(1));
        assert_eq!(join(&mut groups, 1, 2), Ok(1));
        assert_eq!(join(&mut groups, 2, 2), Ok(2));
        assert_eq!(groups.leave(&name(), MemberId(2), at(3)), Ok(3));
        assert_eq!(groups.leave(&name(), MemberId(2), at(3)), Ok(0));
        assert_eq!(slots(&groups, 1), Slots::ALL);
    }

    #[test]
    fn what_counts_is_a_commit_of_the_owner_in_the_present_generation() {
        let mut groups = ConsumerGroups::default();
        assert_eq!(join(&mut groups, 1, 1), Ok(1));
        assert_eq!(commit(&mut groups, 1, 1, Slots(3), 10), Ok(1));
        assert_eq!(join(&mut groups, 2, 1), Ok(2));
        let fenced = Declined::expecting(ErrorCode::GenerationFenced, 2);
        assert_eq!(commit(&mut groups, 1, 1, Slots(1), 11), Err(fenced));
        let (mine, others) = (slots(&groups, 1), slots(&groups, 2));
        let foreign = Declined::expecting(ErrorCode::SlotsNotOwned, mine.0);
        assert_eq!(commit(&mut groups, 1, 2, others, 11), Err(foreign));
        let unknown = Declined::new(ErrorCode::MemberUnknown);
        assert_eq!(commit(&mut groups, 3, 2, mine, 11), Err(unknown));
        let past = Declined::expecting(ErrorCode::CursorPastEnd, 1000);
        assert_eq!(commit(&mut groups, 1, 2, mine, 1001), Err(past));
        assert_eq!(commit(&mut groups, 2, 2, others, 20), Ok(2));
        assert_eq!(
            commit(&mut groups, 2, 2, others, 15),
            Ok(2),
            "it stays at 20"
        );
        for (slot, done) in Slot::all().zip(group(&groups).offsets) {
            let first = if slot.number() < 2 { 10 } else { 0 };
            let expected = if others.has(slot) { 20 } else { first };
            assert_eq!(done, Offset(expected), "slot {slot}");
        }
    }

    #[test]
    fn who_said_something_within_its_session_does_not_expire() {
        let mut groups = ConsumerGroups::default();
        let session = u64::from(SESSION) * 1_000_000;
        assert_eq!(join(&mut groups, 1, 7), Ok(1));
        assert_eq!(join(&mut groups, 2, 9), Ok(2));
        let mut expire = |now| groups.expire(&name(), MemberId(1), at(now));
        assert_eq!(expire(6 + session), Ok(0));
        assert_eq!(expire(7 + session), Ok(3));
        assert_eq!(expire(7 + session), Ok(0), "it is gone");
        assert_eq!(slots(&groups, 2), Slots::ALL);
    }

    #[test]
    fn a_consumer_group_begins_where_it_is_told() {
        let mut groups = ConsumerGroups::default();
        let start = |groups: &mut ConsumerGroups, text: &str, start| {
            let name = Name::new(text).expect("it is a name");
            let joined = groups.join(name, (MemberId(1), SESSION), Offset(start), at(1));
            assert_eq!(joined, Ok(1));
            groups.get(&name, 1).map(|group| group.offsets)
        };
        let all = |offset| Some([Offset(offset); SLOTS]);
        assert_eq!(start(&mut groups, "a", 7), all(7));
        assert_eq!(start(&mut groups, "b", u64::MAX), all(1000), "the end");
    }

    #[test]
    fn members_and_consumer_groups_are_bounded() {
        let mut groups = ConsumerGroups::default();
        let full = Err(Declined::new(ErrorCode::GroupsFull));
        for id in 1..=64 {
            assert_eq!(join(&mut groups, id, 1), Ok(id));
            assert!(is_even(&groups));
        }
        assert_eq!(join(&mut groups, 65, 1), full);
        let more = |groups: &mut ConsumerGroups, number: usize, now| {
            let name = Name::new(&alloc::format!("g{number}")).expect("a name");
            let id = MemberId(1);
            let joined = groups.join(name, (id, SESSION), Offset(0), at(now));
            joined.and_then(|_| groups.leave(&name, id, at(now)))
        };
        for number in 1..CONSUMER_GROUPS_MAX {
            assert_eq!(more(&mut groups, number, 1), Ok(2));
        }
        assert_eq!(more(&mut groups, 0, IDLE), full);
        assert_eq!(
            more(&mut groups, 0, IDLE + 1),
            Ok(2),
            "the others have expired"
        );
        assert_eq!(groups.table.all().len(), 2);
    }

    #[test]
    fn a_snapshot_gives_back_what_is_sound() {
        let mut groups = ConsumerGroups::default();
        for id in 1..=3 {
            assert_eq!(join(&mut groups, id, id), Ok(id));
        }
        let mine = slots(&groups, 2);
        assert_eq!(commit(&mut groups, 2, 3, mine, 9), Ok(3));
        let mut bytes = vec![];
        group(&groups).encode(&name(), &mut bytes);
        let mut loaded = ConsumerGroups::default();
        let mut rest = &bytes[..];
        assert_eq!(loaded.load(&mut rest), Some(()));
        assert!(rest.is_empty());
        assert_eq!(group(&loaded), group(&groups));
        assert_eq!(loaded.fingerprint(), groups.fingerprint());
        assert_eq!(loaded.load(&mut &bytes[..]), None, "one of a name");
        for end in 0..bytes.len() {
            assert_eq!(ConsumerGroups::default().load(&mut &bytes[..end]), None);
        }
        let slots_of_first = size_of::<RawGroup>() + 8;
        bytes[slots_of_first] ^= 1;
        assert_eq!(
            ConsumerGroups::default().load(&mut &bytes[..]),
            None,
            "a slot without owner"
        );
    }
}
