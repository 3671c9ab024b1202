//! Commands: what clients change in the replicated state, other than by events. A record of commands holds them side by side.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ALIGNMENT, NAME_BYTES_MAX};
use crate::{ErrorCode, Name, Offset};

/// Bytes of a command's header.
pub const COMMAND_HEADER_BYTES: usize = 8;

/// Most bytes of one command, header included.
pub const COMMAND_BYTES_MAX: usize = COMMAND_HEADER_BYTES + size_of::<RawSetCursor>();

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

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawDeleteCursor {
    name: [u8; NAME_BYTES_MAX],
}
const _: () = assert!(size_of::<RawDeleteCursor>().is_multiple_of(ALIGNMENT));

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
}

impl CommandError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Cut { .. } | Self::Kind { .. } | Self::Length { .. } | Self::Flags { .. } => {
                ErrorCode::MessageInvalid
            }
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
        }
    }

    const fn flags(&self) -> u32 {
        match self {
            Self::SetCursor { reset: true, .. } => RESET,
            Self::SetCursor { reset: false, .. } | Self::DeleteCursor { .. } => 0,
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
                let fields: &RawDeleteCursor = read(kind, fields)?;
                Self::DeleteCursor {
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

fn name(bytes: [u8; NAME_BYTES_MAX]) -> Result<Name, CommandError> {
    Name::from_bytes(bytes).ok_or(CommandError::Name)
}
