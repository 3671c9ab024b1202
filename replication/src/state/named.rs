//! What a command does, at the moment that its record is applied.

use quorate_wire::limits::NAME_BYTES_MAX;
use quorate_wire::{Command, Edition, ErrorCode, LogIndex, Name, Offset};

use super::consumers::ConsumerGroups;
use super::cursors::Cursors;
use super::mix;
use crate::snapshot::{Section, Writer};

/// The moment of a command: the same on every node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The [`life`] of a consumer group that begins now.
    pub(super) life: LogIndex,
    /// Log time of its record.
    pub(super) log_time: u64,
    /// Offset after the last event before it.
    pub(super) end: Offset,
}

/// Names the life of a consumer group that begins with a record: by that, if any may have been deleted before.
pub(super) fn life(edition: Edition, index: LogIndex) -> LogIndex {
    if edition >= Edition::SECOND {
        index
    } else {
        LogIndex(0)
    }
}

/// What came of a command: a number that it says the meaning of, or why nothing did.
pub type Outcome = Result<u64, Declined>;

/// Why a command did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declined {
    /// The stable code.
    pub code: ErrorCode,
    /// As in [`quorate_wire::client::ErrorMessage`].
    pub expected: u64,
}

impl Declined {
    pub(super) const fn new(code: ErrorCode) -> Self {
        Self::expecting(code, 0)
    }

    pub(super) const fn expecting(code: ErrorCode, expected: u64) -> Self {
        Self { code, expected }
    }
}

/// All that commands change.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) cursors: Cursors,
    pub(super) groups: ConsumerGroups,
}

impl Named {
    pub(super) fn apply(&mut self, command: &Command, at: Moment) -> Outcome {
        match command {
            Command::SetCursor {
                name,
                offset,
                reset,
            } => self.cursors.set(*name, *offset, *reset, at),
            Command::DeleteCursor { name } => self.cursors.delete(name, at),
            #[cfg(feature = "edition-2")]
            Command::DeleteGroup { name } => self.groups.delete(name, at),
            Command::Raise { .. } => unreachable!("it changes nothing that has a name"),
            Command::Join {
                name,
                member,
                start,
                session_ms,
            } => self.groups.join(*name, (*member, *session_ms), *start, at),
            Command::Leave { name, member } => self.groups.leave(name, *member, at),
            Command::Expire { name, member } => self.groups.expire(name, *member, at),
            Command::Commit {
                name,
                member,
                generation,
                slots,
                offset,
            } => {
                let who = (*member, *generation);
                self.groups.commit(name, who, (*slots, *offset), at)
            }
        }
    }

    /// See [`State::freeze`](super::State::freeze).
    pub(super) fn freeze(&mut self) {
        self.cursors.table.freeze();
        self.groups.table.freeze();
    }

    /// See [`State::thaw`](super::State::thaw).
    pub(super) fn thaw(&mut self) {
        self.cursors.table.thaw();
        self.groups.table.thaw();
    }

    /// See [`State::copy`](super::State::copy).
    pub(super) fn copy(&mut self, most: usize, writer: &mut Writer) -> bool {
        let more = self.cursors.table.copy(most, &mut |name, cursor| {
            writer.entry(Section::Cursors, |bytes| cursor.encode(name, bytes));
        });
        let groups = &mut self.groups.table;
        more || groups.copy(most, &mut |name, group| {
            writer.entry(Section::ConsumerGroups, |bytes| group.encode(name, bytes));
        })
    }

    /// One number for all that is kept.
    pub(super) fn fingerprint(&self) -> u64 {
        mix(self.cursors.fingerprint()) ^ self.groups.fingerprint()
    }
}

/// One number for what came of a command.
pub(super) fn fingerprint(outcome: &Outcome) -> u64 {
    match outcome {
        Ok(value) => mix(*value),
        Err(declined) => mix(mix(u64::from(declined.code.number())) ^ declined.expected),
    }
}

/// Mixes a name into a fingerprint.
pub(super) fn mix_name(print: u64, name: &Name) -> u64 {
    const WORDS: usize = NAME_BYTES_MAX / 8;
    let words: [[u8; 8]; WORDS] = zerocopy::transmute!(name.to_bytes());
    let words = words.into_iter().map(u64::from_le_bytes);
    words.fold(print, |print, word| mix(print ^ word))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use quorate_wire::{
        ClusterName, GroupId, MemberId, Position, Record, RecordHeader, RecordKind, Stamp, Term,
    };

    use quorate_wire::limits::RECORD_COMMANDS_MAX;

    use super::*;
    use crate::log::Replay;
    use crate::snapshot::Header;
    use crate::state::{Done, State};

    fn set(text: &str, offset: u64) -> Command {
        Command::SetCursor {
            name: Name::new(text).expect("it is a name"),
            offset: Offset(offset),
            reset: false,
        }
    }

    /// The record of these commands that comes next.
    fn record(state: &State, commands: &[Command]) -> Vec<u8> {
        let body: Vec<u8> = commands
            .iter()
            .flat_map(|it| it.encode().to_vec())
            .collect();
        let last = state.last();
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: last.next(),
            },
            base_offset: state.next_offset(),
            log_time: state.log_time() + 1,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Commands,
            previous: state.header_crc(last).expect("the end is known"),
        };
        let mut bytes = RecordHeader::stamp(&stamp, &body).to_vec();
        bytes.extend(body);
        bytes
    }

    fn follow(state: &mut State, bytes: &[u8]) {
        let (record, _) = Record::parse(bytes).expect("it was made just now");
        state.append(&record);
    }

    #[test]
    fn a_leader_and_who_replays_its_log_come_to_the_same() {
        let (mut leader, mut follower) = (State::default(), State::default());
        let commands = [set("a", 0), set("b", 1), set("a", 0)];
        let bytes = record(&leader, &commands);
        let header = RecordHeader::parse(&bytes).expect("it was made just now");
        leader.append_commands(&header, commands.into_iter());
        follow(&mut follower, &bytes);
        assert_eq!(leader.cursor(&Name::new("a").expect("a name")), None);
        let mut done = Vec::new();
        leader.apply(LogIndex(1), |one: Done| done.push(one.outcome));
        let past_end = Declined::expecting(ErrorCode::CursorPastEnd, 0);
        assert_eq!(done, [Ok(0), Err(past_end), Ok(0)]);
        follower.commit(LogIndex(1));
        assert_eq!(leader.digest(), follower.digest());
        assert_eq!(leader.named_digest(), follower.named_digest());
        assert_eq!(leader.cursors(None).count(), 1);
        assert_ne!(leader.named_digest(), State::default().named_digest());
    }

    #[test]
    fn void_commands_do_nothing() {
        let (mut one, mut other) = (State::default(), State::default());
        for (state, names) in [(&mut one, &["a", "b"][..]), (&mut other, &["a"])] {
            for text in names {
                let bytes = record(state, &[set(text, 0), set("c", 0)]);
                follow(state, &bytes);
            }
        }
        one.truncate(LogIndex(2));
        let bytes = record(&one, &[set("d", 0)]);
        for state in [&mut one, &mut other] {
            follow(state, &bytes);
            state.commit(LogIndex(2));
        }
        let names: Vec<Name> = one.cursors(None).map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["a", "c", "d"].map(|text| Name::new(text).expect("a name"))
        );
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn what_is_kept_comes_back_from_a_snapshot() {
        let mut state = State::default();
        let names = ["a", "b", "c", "d", "e"];
        let bytes = record(&state, &names.map(|text| set(text, 0)));
        follow(&mut state, &bytes);
        state.commit(LogIndex(1));
        let cluster = ClusterName::new("flights").expect("a name");
        let header = Header::new(cluster, GroupId(0), state.freeze());
        let mut writer = Writer::new(&header);
        let then = (state.digest(), state.named_digest());
        assert!(state.copy(2, &mut writer));
        let bytes = record(&state, &[set("bb", 0), set("d", 0)]);
        follow(&mut state, &bytes);
        state.commit(LogIndex(2));
        while state.copy(2, &mut writer) {}
        state.thaw();
        writer.end();
        let snapshot = writer.take(1 << 20).expect("a block").to_vec();
        let loaded = State::load(&snapshot, cluster, GroupId(0)).expect("it is sound");
        assert_eq!((loaded.digest(), loaded.named_digest()), then);
        assert_eq!(loaded.cursors(None).count(), names.len());
    }

    #[test]
    fn the_edition_rises_when_its_record_is_applied_and_never_falls() {
        let mut state = State::default();
        let raise = |edition| Command::Raise {
            edition: Edition(edition),
        };
        for raises in [raise(2), raise(1)] {
            let bytes = record(&state, &[raises]);
            follow(&mut state, &bytes);
        }
        let editions = |state: &State| (state.edition().0, state.newest_edition().0);
        assert_eq!(editions(&state), (1, 2));
        state.truncate(LogIndex(1));
        assert_eq!(editions(&state), (1, 1), "it was never committed");
        for raises in [raise(2), raise(1)] {
            let bytes = record(&state, &[raises]);
            follow(&mut state, &bytes);
        }
        state.commit(LogIndex(1));
        assert_eq!(editions(&state), (2, 2));
        state.commit(LogIndex(2));
        assert_eq!(editions(&state), (2, 2));
    }

    #[test]
    fn the_edition_comes_back_from_a_snapshot() {
        let mut state = State::default();
        let edition = Edition::BUILD;
        let bytes = record(&state, &[Command::Raise { edition }]);
        follow(&mut state, &bytes);
        state.commit(LogIndex(1));
        let cluster = ClusterName::new("flights").expect("a name");
        let header = Header::new(cluster, GroupId(0), state.freeze());
        let mut writer = Writer::new(&header);
        while state.copy(2, &mut writer) {}
        writer.end();
        let snapshot = writer.take(1 << 20).expect("a block").to_vec();
        let loaded = State::load(&snapshot, cluster, GroupId(0)).expect("it is sound");
        assert_eq!(loaded.edition(), edition);
        assert_eq!(loaded.digest(), state.digest());
    }

    /// The only member joins a consumer group and leaves it, and the group is deleted.
    fn life_of(name: Name) -> [Command; 3] {
        let member = MemberId(7);
        let join = Command::Join {
            name,
            member,
            start: Offset(0),
            session_ms: 10_000,
        };
        let leave = Command::Leave { name, member };
        [join, leave, Command::DeleteGroup { name }]
    }

    #[test]
    fn a_consumer_group_is_deleted_when_its_members_have_left() {
        let mut state = State::default();
        let name = Name::new("billing").expect("it is a name");
        let [join, leave, delete] = life_of(name);
        let bytes = record(&state, &[join, delete, leave, delete, delete]);
        follow(&mut state, &bytes);
        let mut done = Vec::new();
        state.apply(LogIndex(1), |one: Done| done.push(one.outcome));
        let has_members = Err(Declined::new(ErrorCode::GroupHasMembers));
        assert_eq!(done, [Ok(1), has_members, Ok(2), Ok(1), Ok(0)]);
        assert!(state.consumer_group(&name).is_none());
    }

    /// The first life has as many generations as one record can make.
    #[test]
    fn a_consumer_group_that_comes_back_has_later_generations_than_ever_before() {
        let mut state = State::default();
        let [join, leave, delete] = life_of(Name::new("billing").expect("it is a name"));
        let lives = [join, leave].repeat(RECORD_COMMANDS_MAX / 2);
        let raise = Command::Raise {
            edition: Edition::SECOND,
        };
        for commands in [&[raise], &lives[..], &[delete, join]] {
            let bytes = record(&state, commands);
            follow(&mut state, &bytes);
        }
        let mut done = Vec::new();
        state.apply(LogIndex(3), |one: Done| done.push(one.outcome));
        assert_eq!(done[256..], [Ok(768), Ok(1), Ok(769)]);
    }

    #[test]
    fn what_comes_of_a_command_is_part_of_the_digest() {
        let outcomes = [
            Ok(0),
            Ok(1),
            Err(Declined::new(ErrorCode::CursorsFull)),
            Err(Declined::expecting(ErrorCode::CursorBehind, 1)),
            Err(Declined::expecting(ErrorCode::CursorBehind, 2)),
        ];
        for (at, one) in outcomes.iter().enumerate() {
            for other in outcomes.iter().skip(at + 1) {
                assert_ne!(fingerprint(one), fingerprint(other));
            }
        }
    }
}
