//! What can be asked, and what is answered.

use quorate_wire::client::{AckLevel, Produce, ProduceReply};
use quorate_wire::named::{
    CommandReply, CursorEntry, CursorsReply, GroupsReply, Heartbeat, HeartbeatReply, Listed,
    MemberEntry,
};
use quorate_wire::{
    Command, Frame, FrameError, FrameHeader, FrameKind, Generation, MemberId, Name, Offset, SLOTS,
    Slots,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::greeting::{GROUP, expect_kind};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Apply this command.
    Command(Command),
    /// Append this chunk, whose events have ids, unless they are known.
    Produce(Vec<u8>),
    /// Where is this cursor?
    Cursor(Name),
    /// Which cursors come after this name, or from the first on?
    CursorsAfter(Option<Name>),
    /// A member of a consumer group is there: how does that stand?
    Heartbeat(Name, MemberId),
    /// How does this consumer group stand?
    Group(Name),
    /// Which consumer group comes after this name, or is the first?
    GroupAfter(Option<Name>),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The command is committed and applied; it says what this number is.
    Applied(u64),
    /// The chunk's first event has this offset, perhaps since long ago.
    Placed(Offset),
    /// Cursors, by name.
    Cursors(CursorPage),
    /// How a member's consumer group stands.
    Standing(Standing),
    /// A consumer group, or none.
    Group(Option<GroupStanding>),
}

/// How a consumer group stands for one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The generation.
    pub generation: Generation,
    /// The member's slots.
    pub slots: Slots,
    /// Offset after the last event that the leader knows to be committed.
    pub committed: Offset,
    /// Of each slot, the offset below which everything is done.
    pub offsets: [Offset; SLOTS],
}

/// How a consumer group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    /// Its name.
    pub name: Name,
    /// The generation.
    pub generation: Generation,
    /// Offset after the last event that the node knows to be committed.
    pub committed: Offset,
    /// Of each slot, the offset below which everything is done.
    pub offsets: [Offset; SLOTS],
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its name.
    pub member: MemberId,
    /// Its slots.
    pub slots: Slots,
    /// For how long it may be silent, in milliseconds.
    pub session_ms: u32,
}

/// A part of the list of cursors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorPage {
    /// Offset after the last event that the node knows to be committed.
    pub committed: Offset,
    /// The cursors, by name.
    pub cursors: Vec<NamedCursor>,
    /// Whether there are further ones behind the last.
    pub more: bool,
}

/// A cursor that the cluster keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedCursor {
    /// Its name.
    pub name: Name,
    /// The offset that its consumer wants next.
    pub offset: Offset,
    /// Log time of the command that last set it, in nanoseconds since 1970.
    pub set_at: u64,
}

impl Question {
    /// Whether the leader alone can answer it.
    pub(super) const fn is_for_leader(&self) -> bool {
        match self {
            Self::Command(_) | Self::Produce(_) | Self::Heartbeat(..) => true,
            Self::Cursor(_) | Self::CursorsAfter(_) | Self::Group(_) | Self::GroupAfter(_) => false,
        }
    }

    const fn answer_kind(&self) -> FrameKind {
        match self {
            Self::Command(_) => FrameKind::CommandReply,
            Self::Produce(_) => FrameKind::ProduceReply,
            Self::Cursor(_) | Self::CursorsAfter(_) => FrameKind::CursorsReply,
            Self::Heartbeat(..) => FrameKind::HeartbeatReply,
            Self::Group(_) | Self::GroupAfter(_) => FrameKind::GroupsReply,
        }
    }

    /// Adds its frame to `out`.
    pub(super) fn write(&self, correlation: u64, linearizable: bool, out: &mut Vec<u8>) {
        let mut frame = |kind, body: &[u8]| {
            out.extend_from_slice(&FrameHeader::seal(kind, correlation, GROUP, &[body], 0));
            out.extend_from_slice(body);
        };
        let listed = |name: Option<Name>, exact| Listed {
            name: name.map_or([0; _], Name::to_bytes),
            exact,
            consistency: match linearizable {
                true => Listed::LINEARIZABLE,
                false => 0,
            },
            reserved: [0; 6],
        };
        match *self {
            Self::Produce(ref chunk) => write_produce(chunk, correlation, out),
            Self::Command(command) => frame(FrameKind::Command, &command.encode()),
            Self::Cursor(name) => frame(FrameKind::Cursors, listed(Some(name), 1).as_bytes()),
            Self::CursorsAfter(name) => frame(FrameKind::Cursors, listed(name, 0).as_bytes()),
            Self::Group(name) => frame(FrameKind::Groups, listed(Some(name), 1).as_bytes()),
            Self::GroupAfter(name) => frame(FrameKind::Groups, listed(name, 0).as_bytes()),
            Self::Heartbeat(name, member) => {
                let heartbeat = Heartbeat {
                    name: name.to_bytes(),
                    member: member.0.into(),
                };
                frame(FrameKind::Heartbeat, heartbeat.as_bytes());
            }
        }
    }

    /// Reads its answer.
    pub(super) fn read(&self, frame: &Frame<'_>) -> Result<Answer, FrameError> {
        expect_kind(frame, self.answer_kind())?;
        match self {
            Self::Produce(_) => {
                let reply: &ProduceReply = message(frame)?;
                Ok(Answer::Placed(Offset(reply.base_offset.get())))
            }
            Self::Command(_) => {
                let reply: &CommandReply = message(frame)?;
                Ok(Answer::Applied(reply.value.get()))
            }
            Self::Cursor(_) | Self::CursorsAfter(_) => read_cursors(frame).map(Answer::Cursors),
            Self::Heartbeat(..) => {
                let reply: &HeartbeatReply = message(frame)?;
                Ok(Answer::Standing(Standing {
                    generation: Generation(reply.generation.get()),
                    slots: Slots(reply.slots.get()),
                    committed: Offset(reply.committed.get()),
                    offsets: reply.offsets.map(|offset| Offset(offset.get())),
                }))
            }
            Self::Group(_) | Self::GroupAfter(_) => read_group(frame).map(Answer::Group),
        }
    }
}

/// Asks for a chunk to be put on a quorum of disks.
fn write_produce(chunk: &[u8], correlation: u64, out: &mut Vec<u8>) {
    let produce = Produce {
        acks: AckLevel::Quorum.to_byte(),
        flags: 0,
        priority: 0,
        reserved: 0,
        timeout_ms: 0.into(),
    };
    let parts = [produce.as_bytes()];
    let kind = FrameKind::Produce;
    out.extend_from_slice(&FrameHeader::seal(
        kind,
        correlation,
        GROUP,
        &parts,
        chunk.len(),
    ));
    out.extend_from_slice(produce.as_bytes());
    out.extend_from_slice(chunk);
}

fn message<'a, T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned>(
    frame: &Frame<'a>,
) -> Result<&'a T, FrameError> {
    T::ref_from_bytes(frame.message).map_err(|_| FrameError::Invalid {
        what: "the answer is cut",
    })
}

fn read_cursors(frame: &Frame<'_>) -> Result<CursorPage, FrameError> {
    let reply: &CursorsReply = message(frame)?;
    let entries = CursorEntry::parse_all(frame.tail, reply.count.get())?;
    let cursors = entries.iter().map(|entry| {
        let name = Name::from_bytes(entry.name).ok_or(FrameError::Invalid {
            what: "a cursor has no name",
        })?;
        Ok(NamedCursor {
            name,
            offset: Offset(entry.offset.get()),
            set_at: entry.set_at.get(),
        })
    });
    Ok(CursorPage {
        committed: Offset(reply.committed.get()),
        cursors: cursors.collect::<Result<_, FrameError>>()?,
        more: reply.more != 0,
    })
}

fn read_group(frame: &Frame<'_>) -> Result<Option<GroupStanding>, FrameError> {
    let reply: &GroupsReply = message(frame)?;
    let Some(name) = Name::from_bytes(reply.name) else {
        return Ok(None);
    };
    let members = MemberEntry::parse_all(frame.tail, reply.member_count.get())?;
    let members = members.iter().map(|entry| GroupMember {
        member: MemberId(entry.member.get()),
        slots: Slots(entry.slots.get()),
        session_ms: entry.session_ms.get(),
    });
    Ok(Some(GroupStanding {
        name,
        generation: Generation(reply.generation.get()),
        committed: Offset(reply.committed.get()),
        offsets: reply.offsets.map(|offset| Offset(offset.get())),
        members: members.collect(),
    }))
}
