//! When a leader last heard of each member of each consumer group.
//!
//! Heartbeats are not in the log: they are too many, and say nothing that lasts. So a new leader gives every member a whole
//! session, from when it began to lead. Who is silent for longer is reported in the log, and goes when that is applied: each
//! node decides by log time then, and a member that had something in the log within its session stays. Owns: the leader's
//! memory. Never: changes the state.

use alloc::vec::Vec;

use hashbrown::HashMap;
use quorate_wire::named::HeartbeatReply;
use quorate_wire::{Command, ErrorCode, MemberId, Name, Time};
use zerocopy::little_endian::{U32, U64};

use super::Pipeline;
use crate::lane::{NamedAnswer, Refusal};
use crate::state::ConsumerGroup;

/// A member of a consumer group.
type Who = (Name, MemberId);

const MS: u64 = 1_000_000;

/// What a leader has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Nobody is expected to have said anything before this: the leadership began then.
    since: Time,
    at: HashMap<Who, Time>,
    /// Nobody is overdue before this.
    due: Time,
}

impl Heard {
    /// A leadership begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.at.clear();
        (self.since, self.due) = (now, now);
    }

    /// Nobody is overdue before this.
    pub(super) fn due(&self) -> Time {
        self.due
    }

    fn note(&mut self, who: Who, session_ms: u32, now: Time) {
        self.at.insert(who, now);
        self.due = self.due.min(now.after(u64::from(session_ms) * MS));
    }

    /// Who has been silent for longer than its session. Each is named once a session.
    fn overdue<'a>(
        &mut self,
        groups: impl Iterator<Item = (Name, &'a ConsumerGroup)>,
        now: Time,
    ) -> Vec<Who> {
        let known = core::mem::take(&mut self.at);
        self.due = Time(u64::MAX);
        let mut overdue = Vec::new();
        for (name, group) in groups {
            for member in &group.members {
                let who = (name, member.id);
                let session = u64::from(member.session_ms) * MS;
                let mut heard = known.get(&who).copied().unwrap_or(self.since);
                if now.since(heard) >= session {
                    overdue.push(who);
                    heard = now;
                }
                self.at.insert(who, heard);
                self.due = self.due.min(heard.after(session));
            }
        }
        overdue
    }
}

impl Pipeline {
    /// A command says that its member lives.
    pub(super) fn hear(&mut self, command: &Command, now: Time) {
        match *command {
            Command::Join {
                name,
                member,
                session_ms,
                ..
            } => self.heard.note((name, member), session_ms, now),
            Command::Commit { name, member, .. } => {
                let group = self.state.consumer_group(&name);
                if let Some(member) = group.and_then(|group| group.member(member)) {
                    let session_ms = member.session_ms;
                    self.heard.note((name, member.id), session_ms, now);
                }
            }
            Command::SetCursor { .. }
            | Command::DeleteCursor { .. }
            | Command::Leave { .. }
            | Command::Raise { .. }
            | Command::Expire { .. } => {}
            #[cfg(feature = "edition-2")]
            Command::DeleteGroup { .. } => {}
        }
    }

    /// A member is there, and hears how its consumer group stands.
    pub(super) fn heartbeat(
        &mut self,
        name: Name,
        member: MemberId,
        now: Time,
    ) -> Result<NamedAnswer, Refusal> {
        if let Some(refusal) = self.cannot_serve() {
            return Err(refusal);
        }
        let group = self.state.consumer_group(&name);
        let found = group.and_then(|group| Some((group, group.member(member)?)));
        let Some((group, member)) = found else {
            return Err(Refusal::new(ErrorCode::MemberUnknown));
        };
        let reply = HeartbeatReply {
            generation: U64::new(group.generation.0),
            slots: U64::new(member.slots.0),
            committed: U64::new(self.state.committed().0),
            session_ms: U32::new(member.session_ms),
            reserved: U32::new(0),
            offsets: group.offsets.map(|offset| U64::new(offset.0)),
        };
        let (who, session_ms) = ((name, member.id), member.session_ms);
        self.heard.note(who, session_ms, now);
        Ok(NamedAnswer::Heartbeat(reply))
    }

    /// Puts into the log who has been silent for too long.
    pub(super) fn expire_due(&mut self, now: Time) {
        let serves = self.raft.as_ref().is_some_and(quorate_raft::Raft::serves);
        if !serves || now < self.heard.due() {
            return;
        }
        let groups = self.state.consumer_groups(None);
        for (name, member) in self.heard.overdue(groups, now) {
            // Who finds no room is named again.
            self.propose_command(Command::Expire { name, member }, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::log::Replay;
    use crate::state::State;
    use quorate_wire::{
        GroupId, LogIndex, Offset, Position, Record, RecordHeader, RecordKind, Stamp, Term,
    };

    fn name() -> Name {
        Name::new("readers").expect("it is a name")
    }

    /// A state with a member of each of these sessions, numbered from 0.
    fn state(sessions: &[u32]) -> State {
        let mut state = State::default();
        let join = |(member, &session_ms)| Command::Join {
            name: name(),
            member: MemberId(member),
            start: Offset(0),
            session_ms,
        };
        let body: Vec<u8> = (0..)
            .zip(sessions)
            .flat_map(|member| join(member).encode().to_vec())
            .collect();
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(1),
            },
            base_offset: Offset(0),
            log_time: 1,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Commands,
            previous: 0,
        };
        let mut bytes = RecordHeader::stamp(&stamp, &body).to_vec();
        bytes.extend(body);
        state.append(&Record::parse(&bytes).expect("it was made just now").0);
        state.commit(LogIndex(1));
        state
    }

    #[test]
    fn a_new_leader_gives_everybody_a_whole_session() {
        let state = state(&[500, 2000]);
        let mut heard = Heard::default();
        let overdue = |heard: &mut Heard, ms| {
            let who = heard.overdue(state.consumer_groups(None), Time(ms * MS));
            who.into_iter()
                .map(|(_, member)| member.0)
                .collect::<Vec<_>>()
        };
        heard.begin(Time(10_000 * MS));
        assert_eq!(heard.due(), Time(10_000 * MS));
        assert_eq!(overdue(&mut heard, 10_000), vec![]);
        assert_eq!(heard.due(), Time(10_500 * MS));
        heard.note((name(), MemberId(0)), 500, Time(10_400 * MS));
        assert_eq!(overdue(&mut heard, 10_500), vec![]);
        assert_eq!(heard.due(), Time(10_900 * MS));
        assert_eq!(overdue(&mut heard, 10_900), [0]);
        assert_eq!(overdue(&mut heard, 10_901), vec![], "named once a session");
        assert_eq!(overdue(&mut heard, 12_000), [0, 1]);
    }

    #[test]
    fn who_is_a_member_no_more_is_forgotten() {
        let mut heard = Heard::default();
        heard.note((name(), MemberId(7)), 500, Time(0));
        let state = state(&[500]);
        assert_eq!(heard.overdue(state.consumer_groups(None), Time(0)).len(), 0);
        assert_eq!(heard.at.len(), 1);
        assert!(heard.at.contains_key(&(name(), MemberId(0))));
    }
}
