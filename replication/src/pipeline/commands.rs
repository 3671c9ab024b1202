//! Commands on their way into the log, and the answers to those who wait for them.
//!
//! A command waits for the next group commit, and shares a record with all that came since the last one. Owns: that record
//! while it gathers, and who waits. Never: decides what a command does; see [`crate::state`].

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use quorate_wire::limits::RECORD_COMMANDS_MAX;
use quorate_wire::named::{CursorEntry, GroupsReply, MemberEntry};
use quorate_wire::{
    Command, ErrorCode, LogIndex, Name, RECORD_HEADER_BYTES, RecordHeader, RecordKind, Time,
};
use zerocopy::FromZeros;
use zerocopy::little_endian::{U32, U64};

use super::Pipeline;
use super::config::{FETCHES_WAITING_MAX, PENDING_RECORDS_MAX};
use super::fresh::{Reader, Wanted};
use crate::lane::{Answer, List, Listed, NamedAnswer, NamedAsk, Refusal, ShardId, Ticket};
use crate::seam::Seam;
use crate::state::{Cursor, Done};

/// Whom to answer.
pub(super) type Asker = (ShardId, Ticket);

/// Which list.
#[derive(Clone, Copy, Debug)]
enum Names {
    Cursors,
    Groups,
}

/// Somebody wants a part of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedList {
    pub(super) asker: Asker,
    of: Names,
    names: Listed,
}

/// Commands that are not yet committed.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// The commands of the next record, and who waits for each.
    open: Vec<(Command, Option<Asker>)>,
    body: Vec<u8>,
    /// When the first of them came; none also while a record of them finds no room.
    since: Option<Time>,
    /// Who waits for a command in the log: its record, and which of its commands. In the log's order.
    waiters: VecDeque<(LogIndex, usize, Asker)>,
}

impl Commands {
    /// When the first command of the next record came.
    pub(super) fn since(&self) -> Option<Time> {
        self.since
    }

    /// Whether commands wait for a record.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn is_full(&self) -> bool {
        self.open.len() == RECORD_COMMANDS_MAX
    }

    fn push(&mut self, command: Command, asker: Option<Asker>, now: Time) {
        self.body.extend_from_slice(&command.encode());
        self.open.push((command, asker));
        self.since.get_or_insert(now);
    }

    /// Who waits for this one, if anybody does. To be asked in the log's order.
    fn waiter(&mut self, applied: &Done) -> Option<Asker> {
        let place = (applied.index, applied.at);
        let waits = |&mut (index, at, _): &mut (LogIndex, usize, Asker)| (index, at) == place;
        self.waiters.pop_front_if(waits).map(|(_, _, asker)| asker)
    }

    /// Whether one of those that wait for a record raises the edition.
    pub(super) fn raises(&self) -> bool {
        let mut open = self.open.iter();
        open.any(|(command, _)| matches!(command, Command::Raise { .. }))
    }

    /// Forgets everything, and says who waited.
    fn clear(&mut self) -> impl Iterator<Item = Asker> {
        self.body.clear();
        self.since = None;
        let open = self.open.drain(..).filter_map(|(_, asker)| asker);
        let waiting = self.waiters.drain(..).map(|(_, _, asker)| asker);
        waiting.chain(open)
    }
}

impl Pipeline {
    /// Answers what is asked about the named part of the state, now or when a command is committed.
    pub(super) fn named(&mut self, asker: Asker, ask: &NamedAsk, now: Time, seam: &mut impl Seam) {
        let answer = match ask {
            NamedAsk::Command(command) => match self.cannot_take(command) {
                None => {
                    self.hear(command, now);
                    let command = self.within_log(*command);
                    return self.commands.push(command, Some(asker), now);
                }
                Some(refusal) => Err(refusal),
            },
            NamedAsk::Heartbeat(name, member) => self.heartbeat(*name, *member, now),
            NamedAsk::Cursors(list) => {
                return self.list(asker, (Names::Cursors, *list), seam);
            }
            NamedAsk::Groups(list) => return self.list(asker, (Names::Groups, *list), seam),
        };
        Self::answer_or_refuse(asker, answer, seam);
    }

    /// Answers with a part of a list, now or when it is known to be fresh.
    fn list(&mut self, asker: Asker, (of, list): (Names, List), seam: &mut impl Seam) {
        let asked = AskedList {
            asker,
            of,
            names: list.names,
        };
        if let Err(refusal) = self.has_state() {
            Self::refuse(asker.1, refusal, asker.0, seam);
        } else if !list.linearizable {
            self.answer_list(asked, seam);
        } else if self.fresh.len() >= FETCHES_WAITING_MAX {
            Self::refuse(asker.1, Refusal::new(ErrorCode::Overloaded), asker.0, seam);
        } else {
            self.fresh.push(Reader::Here(Wanted::List(asked)));
        }
    }

    /// Answers with a part of a list, as it is now.
    pub(super) fn answer_list(&self, asked: AskedList, seam: &mut impl Seam) {
        let answer = match asked.of {
            Names::Cursors => self.cursors(asked.names),
            Names::Groups => self.consumer_groups(asked.names),
        };
        Self::answer_or_refuse(asked.asker, answer, seam);
    }

    fn answer_or_refuse(asker: Asker, answer: Result<NamedAnswer, Refusal>, seam: &mut impl Seam) {
        match answer {
            Ok(answer) => Self::answer_named(asker, answer, seam),
            Err(refusal) => Self::refuse(asker.1, refusal, asker.0, seam),
        }
    }

    /// Appends a command of the leader's own, if there is room for it.
    pub(super) fn propose_command(&mut self, command: Command, now: Time) {
        if self.cannot_take(&command).is_none() {
            self.commands.push(command, None, now);
        }
    }

    /// Why a command is not appended, if so.
    fn cannot_take(&self, command: &Command) -> Option<Refusal> {
        if let Some(refusal) = self.cannot_serve() {
            return Some(refusal);
        }
        if self.commands.is_full() || self.state.pending() >= PENDING_RECORDS_MAX {
            return Some(Refusal::new(ErrorCode::Overloaded));
        }
        if let Some(refusal) = self.lacks_edition(command) {
            return Some(refusal);
        }
        match command {
            // What a node keeps is its own affair: the leader looks, and `apply` does not.
            Command::SetCursor { offset, .. } if *offset < self.log.start_offset() => {
                Some(Refusal {
                    expected: self.log.start_offset().0,
                    ..Refusal::new(ErrorCode::CursorBeforeStart)
                })
            }
            Command::SetCursor { .. }
            | Command::DeleteCursor { .. }
            | Command::Join { .. }
            | Command::Leave { .. }
            | Command::Commit { .. }
            | Command::Raise { .. }
            | Command::Expire { .. } => None,
            #[cfg(feature = "edition-2")]
            Command::DeleteGroup { .. } => None,
        }
    }

    /// The command, so that a new consumer group does not begin before the log does.
    fn within_log(&self, mut command: Command) -> Command {
        if let Command::Join { start, .. } = &mut command {
            *start = (*start).max(self.log.start_offset());
        }
        command
    }

    fn cursors(&self, listed: Listed) -> Result<NamedAnswer, Refusal> {
        let committed = self.state.committed();
        let entry = |(name, cursor): (Name, Cursor)| CursorEntry {
            name: name.to_bytes(),
            offset: U64::new(cursor.offset.0),
            set_at: U64::new(cursor.set_at),
        };
        let (entries, more) = match listed {
            Listed::One(name) => {
                let cursor = self.state.cursor(&name);
                let cursor = cursor.ok_or(Refusal::new(ErrorCode::NameUnknown))?;
                (vec![entry((name, cursor))], false)
            }
            Listed::After(name) => {
                let mut all = self.state.cursors(name).map(entry);
                let page = all.by_ref().take(CursorEntry::PAGE).collect();
                (page, all.next().is_some())
            }
        };
        Ok(NamedAnswer::Cursors {
            committed,
            entries,
            more,
        })
    }

    fn consumer_groups(&self, listed: Listed) -> Result<NamedAnswer, Refusal> {
        let found = match listed {
            Listed::One(name) => {
                let group = self.state.consumer_group(&name);
                let group = group.ok_or(Refusal::new(ErrorCode::NameUnknown))?;
                Some((name, group))
            }
            Listed::After(name) => self.state.consumer_groups(name).next(),
        };
        let mut reply = GroupsReply::new_zeroed();
        reply.committed.set(self.state.committed().0);
        let mut members = Vec::new();
        if let Some((name, group)) = found {
            reply.name = name.to_bytes();
            reply.generation.set(group.generation.0);
            reply.offsets = group.offsets.map(|offset| U64::new(offset.0));
            members.extend(group.members.iter().map(|member| MemberEntry {
                member: U64::new(member.id.0),
                slots: U64::new(member.slots.0),
                session_ms: U32::new(member.session_ms),
                reserved: U32::new(0),
            }));
        }
        let count = u32::try_from(members.len()).expect("members are bounded");
        reply.member_count.set(count);
        let group = reply;
        Ok(NamedAnswer::Group { group, members })
    }

    /// Whether this node knows of anything: one that forms or repairs does not.
    pub(super) fn has_state(&self) -> Result<(), Refusal> {
        match self.raft {
            Some(_) => Ok(()),
            None => Err(self
                .cannot_serve()
                .expect("without a core, nothing is served")),
        }
    }

    /// Makes a record of the commands that wait, behind the records of the open group, if there is room for it.
    pub(super) fn close_commands(&mut self, seam: &mut impl Seam) {
        if !self.commands.is_open() {
            return;
        }
        let needs = RECORD_HEADER_BYTES + self.commands.body.len();
        if !self.tail.open_has_room(needs) {
            self.propose(seam);
            self.seal();
        }
        let maker = self.maker(seam);
        let Some(room) = self.tail.reserve(needs) else {
            // Something must come back first, which is when this is tried again.
            self.commands.since = None;
            return;
        };
        let body = &self.commands.body;
        let header = maker.stamp(RecordKind::Commands, 0, body, &self.state);
        let (head, rest) = room.split_at_mut(RECORD_HEADER_BYTES);
        head.copy_from_slice(&header);
        rest.copy_from_slice(body);
        let header = RecordHeader::parse(&header).expect("a header stamped just now is sound");
        self.tail.push(&header);
        let Commands {
            open,
            body,
            since,
            waiters,
        } = &mut self.commands;
        let commands = open.iter().map(|(command, _)| *command);
        self.state.append_commands(&header, commands);
        for (at, (_, asker)) in open.drain(..).enumerate() {
            waiters.extend(asker.map(|asker| (header.index, at, asker)));
        }
        body.clear();
        *since = None;
    }

    /// Answers those who waited for commands that are applied now.
    pub(super) fn answer_commands(&mut self, applied: &[Done], seam: &mut impl Seam) {
        let term = self.term();
        for applied in applied {
            let Some((shard, ticket)) = self.commands.waiter(applied) else {
                continue;
            };
            match applied.outcome {
                Ok(value) => {
                    let answer = NamedAnswer::Applied { value, term };
                    Self::answer_named((shard, ticket), answer, seam);
                }
                Err(declined) => {
                    let refusal = Refusal {
                        expected: declined.expected,
                        ..Refusal::new(declined.code)
                    };
                    Self::refuse(ticket, refusal, shard, seam);
                }
            }
        }
    }

    fn answer_named((shard, ticket): Asker, answer: NamedAnswer, seam: &mut impl Seam) {
        Self::reply(ticket, Answer::Named(Box::new(answer)), shard, seam);
    }

    /// Tells everyone who waits for a command that this node cannot promise it any more.
    pub(super) fn fail_commands(&mut self, seam: &mut impl Seam) {
        let refusal = Refusal {
            leader: self.hint(),
            ..Refusal::new(ErrorCode::LeadershipLost)
        };
        for (shard, ticket) in self.commands.clear() {
            Self::refuse(ticket, refusal, shard, seam);
        }
    }
}
