//! Commands: what clients change in the replicated state, other than by events. A record of commands holds them side by side.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ALIGNMENT, NAME_BYTES_MAX, SESSION_MS_MAX, SESSION_MS_MIN};
use crate::{Edition, ErrorCode, Generation, MemberId, Name, Offset, Slots};

/// Bytes of a command's header.
pub const COMMAND_HEADER_BYTES: usize = 8;

/// Most bytes of one command, header included.
pub const COMMAND_BYTES_MAX: usize = COMMAND_HEADER_BYTES + size_of::<RawCommit>();

/// [`RawHeader::flags`] of `SetCursor`: the cursor may move back.
const RESET: u32 = 1;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    kind: U16,
    length: U16,
    flags: U32,
}
const _: () = assert!(size_of::<RawHeader>() == COMMAND_HEADER_BYTES);

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSetCursor {
    name: [u8; NAME_BYTES_MAX],
    offset: U64,
}
const _: () = assert!(size_of::<RawSetCursor>().is_multiple_of(ALIGNMENT));

/// Of `DeleteCursor` and `DeleteGroup`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawName {
    name: [u8; NAME_BYTES_MAX],
}
const _: () = assert!(size_of::<RawName>().is_multiple_of(ALIGNMENT));

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRaise {
    edition: u8,
    reserved: [u8; 7],
}
const _: () = assert!(size_of::<RawRaise>().is_multiple_of(ALIGNMENT));

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawJoin {
    name: [u8; NAME_BYTES_MAX],
    member: U64,
    start: U64,
    session_ms: U32,
    reserved: U32,
}
const _: () = assert!(size_of::<RawJoin>().is_multiple_of(ALIGNMENT));

/// Of `Leave` and `Expire`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawMember {
    name: [u8; NAME_BYTES_MAX],
    member: U64,
}
const _: () = assert!(size_of::<RawMember>().is_multiple_of(ALIGNMENT));

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawCommit {
    name: [u8; NAME_BYTES_MAX],
    member: U64,
    generation: U64,
    slots: U64,
    offset: U64,
}
const _: () = assert!(size_of::<RawCommit>().is_multiple_of(ALIGNMENT));

/// A change of the replicated state. Done twice, it does no more than done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Puts a named cursor to an offset; makes it, if there is none of this name.
    SetCursor {
        /// Which.
        name: Name,
        /// Where to.
        offset: Offset,
        /// Whether it may move back.
        reset: bool,
    },
    /// Forgets a cursor.
    DeleteCursor {
        /// Which.
        name: Name,
    },
    /// Lets a member into a consumer group; makes it, if there is none of this name.
    Join {
        /// The consumer group.
        name: Name,
        /// The member.
        member: MemberId,
        /// Where a consumer group that is new begins.
        start: Offset,
        /// For how long the member may be silent, in milliseconds.
        session_ms: u32,
    },
    /// A member leaves its consumer group.
    Leave {
        /// The consumer group.
        name: Name,
        /// The member.
        member: MemberId,
    },
    /// Everything below an offset is done in these slots.
    Commit {
        /// The consumer group.
        name: Name,
        /// The member.
        member: MemberId,
        /// The generation in which it owns the slots.
        generation: Generation,
        /// The slots.
        slots: Slots,
        /// The offset.
        offset: Offset,
    },
    /// Forgets a consumer group that has no members.
    #[cfg(feature = "edition-2")]
    DeleteGroup {
        /// Which.
        name: Name,
    },
    /// All members have this edition: the group uses it from now on. A leader says so, not a client.
    Raise {
        /// The edition.
        edition: Edition,
    },
    /// A member has been silent for too long. A leader says so, not a client.
    Expire {
        /// The consumer group.
        name: Name,
        /// The member.
        member: MemberId,
    },
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The bytes end inside the command.
    #[error("the command is cut: {bytes} bytes where {needed} are needed")]
    Cut {
        /// How many there are.
        bytes: usize,
        /// How many there should be.
        needed: usize,
    },
    /// A kind that this build does not know.
    #[error("unknown command kind {kind}")]
    Kind {
        /// The kind.
        kind: u16,
    },
    /// The length is not that of its kind.
    #[error("a command of kind {kind} says that it has {bytes} bytes")]
    Length {
        /// The kind.
        kind: u16,
        /// What it says.
        bytes: usize,
    },
    /// Flags are set that its kind does not know.
    #[error("a command of kind {kind} with unknown flags {flags:#010x}")]
    Flags {
        /// The kind.
        kind: u16,
        /// The flags.
        flags: u32,
    },
    /// The name is none.
    #[error("a name is 1 to {NAME_BYTES_MAX} printable ASCII characters without spaces")]
    Name,
    /// Editions begin at 1.
    #[error("no edition has the number 0")]
    Edition,
    /// The session is too short or too long.
    #[error("a session of {ms} ms: it takes {SESSION_MS_MIN} to {SESSION_MS_MAX}")]
    Session {
        /// How long it is.
        ms: u32,
    },
}

impl CommandError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Cut { .. }
            | Self::Kind { .. }
            | Self::Length { .. }
            | Self::Flags { .. }
            | Self::Edition
            | Self::Session { .. } => ErrorCode::MessageInvalid,
            Self::Name => ErrorCode::NameInvalid,
        }
    }
}

/// A command's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommandBytes {
    bytes: [u8; COMMAND_BYTES_MAX],
    length: usize,
}

impl CommandBytes {
    fn new(kind: u16, flags: u32, fields: &[u8]) -> Self {
        let length = COMMAND_HEADER_BYTES + fields.len();
        let header = RawHeader {
            kind: U16::new(kind),
            length: U16::new(u16::try_from(length).expect("a command is small")),
            flags: U32::new(flags),
        };
        let mut bytes = [0; COMMAND_BYTES_MAX];
        let all = header.as_bytes().iter().chain(fields);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = *from;
        }
        Self { bytes, length }
    }
}

impl core::ops::Deref for CommandBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for CommandBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Command {
    const fn kind(&self) -> u16 {
        match self {
            Self::SetCursor { .. } => 1,
            Self::DeleteCursor { .. } => 2,
            Self::Join { .. } => 3,
            Self::Leave { .. } => 4,
            Self::Commit { .. } => 5,
            Self::Expire { .. } => 6,
            Self::Raise { .. } => 7,
            #[cfg(feature = "edition-2")]
            Self::DeleteGroup { .. } => 8,
        }
    }

    const fn flags(&self) -> u32 {
        match self {
            Self::SetCursor { reset: true, .. } => RESET,
            Self::SetCursor { reset: false, .. }
            | Self::DeleteCursor { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Commit { .. }
            | Self::Raise { .. }
            | Self::Expire { .. } => 0,
            #[cfg(feature = "edition-2")]
            Self::DeleteGroup { .. } => 0,
        }
    }

    /// The edition that it takes.
    #[must_use]
    pub const fn edition(&self) -> Edition {
        match self {
            Self::SetCursor { .. }
            | Self::DeleteCursor { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Commit { .. }
            | Self::Raise { .. }
            | Self::Expire { .. } => Edition::FIRST,
            #[cfg(feature = "edition-2")]
            Self::DeleteGroup { .. } => Edition::SECOND,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> CommandBytes {
        let made = |fields: &[u8]| CommandBytes::new(self.kind(), self.flags(), fields);
        match *self {
            Self::SetCursor { name, offset, .. } => {
                let fields = RawSetCursor {
                    name: name.to_bytes(),
                    offset: U64::new(offset.0),
                };
                made(fields.as_bytes())
            }
            Self::DeleteCursor { name } => made(&name.to_bytes()),
            #[cfg(feature = "edition-2")]
            Self::DeleteGroup { name } => made(&name.to_bytes()),
            Self::Raise { edition } => {
                let fields = RawRaise {
                    edition: edition.0,
                    reserved: [0; 7],
                };
                made(fields.as_bytes())
            }
            Self::Join {
                name,
                member,
                start,
                session_ms,
            } => {
                let fields = RawJoin {
                    name: name.to_bytes(),
                    member: U64::new(member.0),
                    start: U64::new(start.0),
                    session_ms: U32::new(session_ms),
                    reserved: U32::new(0),
                };
                made(fields.as_bytes())
            }
            Self::Leave { name, member } | Self::Expire { name, member } => {
                let fields = RawMember {
                    name: name.to_bytes(),
                    member: U64::new(member.0),
                };
                made(fields.as_bytes())
            }
            Self::Commit {
                name,
                member,
                generation,
                slots,
                offset,
            } => {
                let fields = RawCommit {
                    name: name.to_bytes(),
                    member: U64::new(member.0),
                    generation: U64::new(generation.0),
                    slots: U64::new(slots.0),
                    offset: U64::new(offset.0),
                };
                made(fields.as_bytes())
            }
        }
    }

    /// Reads the command at the start of `bytes`, checks all of it, and returns it with what follows it.
    ///
    /// # Errors
    /// The bytes do not begin with a sound command.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), CommandError> {
        let cut = |needed| CommandError::Cut {
            bytes: bytes.len(),
            needed,
        };
        let (header, _) =
            RawHeader::ref_from_prefix(bytes).map_err(|_| cut(COMMAND_HEADER_BYTES))?;
        let length = usize::from(header.length.get());
        let (command, after) = bytes.split_at_checked(length).ok_or(cut(length))?;
        let fields = command.get(COMMAND_HEADER_BYTES..).unwrap_or_default();
        let (kind, flags) = (header.kind.get(), header.flags.get());
        let command = match kind {
            1 => {
                let fields: &RawSetCursor = read(kind, fields)?;
                Self::SetCursor {
                    name: name(fields.name)?,
                    offset: Offset(fields.offset.get()),
                    reset: flags & RESET != 0,
                }
            }
            2 => {
                let fields: &RawName = read(kind, fields)?;
                Self::DeleteCursor {
                    name: name(fields.name)?,
                }
            }
            3 => read_join(kind, fields)?,
            4 => {
                let fields: &RawMember = read(kind, fields)?;
                Self::Leave {
                    name: name(fields.name)?,
                    member: MemberId(fields.member.get()),
                }
            }
            5 => {
                let fields: &RawCommit = read(kind, fields)?;
                Self::Commit {
                    name: name(fields.name)?,
                    member: MemberId(fields.member.get()),
                    generation: Generation(fields.generation.get()),
                    slots: Slots(fields.slots.get()),
                    offset: Offset(fields.offset.get()),
                }
            }
            6 => {
                let fields: &RawMember = read(kind, fields)?;
                Self::Expire {
                    name: name(fields.name)?,
                    member: MemberId(fields.member.get()),
                }
            }
            7 => {
                let fields: &RawRaise = read(kind, fields)?;
                if fields.edition == 0 {
                    return Err(CommandError::Edition);
                }
                Self::Raise {
                    edition: Edition(fields.edition),
                }
            }
            #[cfg(feature = "edition-2")]
            8 => {
                let fields: &RawName = read(kind, fields)?;
                Self::DeleteGroup {
                    name: name(fields.name)?,
                }
            }
            _ => return Err(CommandError::Kind { kind }),
        };
        // Flags that are not known are none of the command's own.
        if command.flags() == flags {
            Ok((command, after))
        } else {
            Err(CommandError::Flags { kind, flags })
        }
    }
}

fn read<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    kind: u16,
    fields: &[u8],
) -> Result<&T, CommandError> {
    T::ref_from_bytes(fields).map_err(|_| CommandError::Length {
        kind,
        bytes: COMMAND_HEADER_BYTES + fields.len(),
    })
}

fn read_join(kind: u16, fields: &[u8]) -> Result<Command, CommandError> {
    let fields: &RawJoin = read(kind, fields)?;
    let session_ms = fields.session_ms.get();
    if !(SESSION_MS_MIN..=SESSION_MS_MAX).contains(&session_ms) {
        return Err(CommandError::Session { ms: session_ms });
    }
    Ok(Command::Join {
        name: name(fields.name)?,
        member: MemberId(fields.member.get()),
        start: Offset(fields.start.get()),
        session_ms,
    })
}

fn name(bytes: [u8; NAME_BYTES_MAX]) -> Result<Name, CommandError> {
    Name::from_bytes(bytes).ok_or(CommandError::Name)
}
