//! One record: the Raft entry, the unit on disk, the unit to a follower and the unit to a consumer, the same bytes everywhere.

mod kind;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32;
use crate::limits::{ALIGNMENT, RECORD_BYTES_MAX, RECORD_COMMANDS_MAX};
use crate::{
    Chunk, ChunkError, Command, CommandError, Edition, Event, GroupId, LogIndex, Offset, Position,
    Roster, RosterError, Term,
};

pub use kind::RecordKind;

/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 64;

/// The first four bytes of every record: `QRT1`.
pub const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"QRT1");

/// Where the bytes that `header_crc` covers begin.
const HEADER_CHECKED_FROM: usize = 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: U32,
    header_crc: U32,
    body_crc: U32,
    body_len: U32,
    term: U64,
    index: U64,
    base_offset: U64,
    log_time: U64,
    group: U32,
    event_count: U16,
    kind: u8,
    version: u8,
    prev_header_crc: U32,
    flags: U32,
}
const _: () = assert!(size_of::<RawHeader>() == RECORD_HEADER_BYTES);

/// A record's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Checksum over the header; the next record carries it as `previous`.
    pub header_crc: u32,
    /// Checksum over the body.
    pub body_crc: u32,
    /// Bytes of the body: a multiple of 8.
    pub body_len: u32,
    /// Term in which the record was made; it never changes.
    pub term: Term,
    /// Raft index.
    pub index: LogIndex,
    /// Offset of its first event; of the next event, if it has none.
    pub base_offset: Offset,
    /// The leader's clock in nanoseconds since 1970, never falling along the log.
    pub log_time: u64,
    /// The group that it belongs to.
    pub group: GroupId,
    /// Events in it.
    pub event_count: u16,
    /// What it is.
    pub kind: RecordKind,
    /// Its version: the first edition that knows all of its body. The header is the same in all of them.
    pub edition: Edition,
    /// `header_crc` of the record before it: the chain that shows lost and misdirected writes. Zero at index 1.
    pub previous: u32,
}

/// What a record's maker knows of it; checksums and lengths come from the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// See [`RecordHeader`].
    pub position: Position,
    /// See [`RecordHeader`].
    pub base_offset: Offset,
    /// See [`RecordHeader`].
    pub log_time: u64,
    /// See [`RecordHeader`].
    pub group: GroupId,
    /// See [`RecordHeader`].
    pub event_count: u16,
    /// See [`RecordHeader`].
    pub kind: RecordKind,
    /// See [`RecordHeader`].
    pub previous: u32,
}

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end inside the record.
    #[error("the record is cut: {bytes} bytes where {needed} are needed")]
    Cut {
        /// How many there are.
        bytes: usize,
        /// How many there should be.
        needed: usize,
    },
    /// The bytes do not begin with `QRT1`.
    #[error("no record: the magic is {found:#010x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// The header's checksum does not fit.
    #[error("the record header's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    HeaderChecksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// A version that this build does not read.
    #[error("record version {version}: this build reads up to {}", Edition::BUILD)]
    Version {
        /// The version.
        version: u8,
    },
    /// A kind that this build does not know.
    #[error("unknown record kind {kind}")]
    Kind {
        /// The kind.
        kind: u8,
    },
    /// Flags are set that this version does not know.
    #[error("unknown record flags {flags:#010x}")]
    Flags {
        /// The flags.
        flags: u32,
    },
    /// The body is too large, its length is no multiple of 8, or its kind takes no body, or takes one.
    #[error(
        "a record body of {bytes} bytes: a no-op has none, events at least one chunk, commands at least one command, a \
         record {RECORD_BYTES_MAX} bytes in all, in steps of 8"
    )]
    Length {
        /// The length of the body.
        bytes: usize,
    },
    /// The body's checksum does not fit.
    #[error("the record body's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    BodyChecksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// A chunk in the body is wrong.
    #[error("a chunk of the record: {0}")]
    Chunk(ChunkError),
    /// A command in the body is wrong.
    #[error("a command of the record: {0}")]
    Command(CommandError),
    /// The members in the body are wrong.
    #[error("the members of the record: {0}")]
    Roster(RosterError),
    /// Too many commands.
    #[error("more than {RECORD_COMMANDS_MAX} commands in a record")]
    Commands,
    /// The chunks hold another number of events than the header says.
    #[error("the record says {said} events, its chunks hold {held}")]
    Count {
        /// What the header says.
        said: u16,
        /// What the chunks say.
        held: u32,
    },
    /// Index zero, or offsets that would wrap around.
    #[error("the record's index or offset is out of range")]
    Range,
}

impl RecordHeader {
    /// Makes the header for a body.
    ///
    /// # Panics
    /// The body is over the limit or unaligned: the maker's own bug.
    #[must_use]
    pub fn stamp(stamp: &Stamp, body: &[u8]) -> [u8; RECORD_HEADER_BYTES] {
        assert!(
            body.len() <= RECORD_BYTES_MAX - RECORD_HEADER_BYTES
                && body.len().is_multiple_of(ALIGNMENT),
            "a record's body is aligned and bounded by whoever builds it"
        );
        let mut raw = RawHeader {
            magic: U32::new(RECORD_MAGIC),
            header_crc: U32::new(0),
            body_crc: U32::new(crc32(&[body])),
            body_len: U32::new(u32::try_from(body.len()).expect("a body is under 1 MiB")),
            term: U64::new(stamp.position.term.0),
            index: U64::new(stamp.position.index.0),
            base_offset: U64::new(stamp.base_offset.0),
            log_time: U64::new(stamp.log_time),
            group: U32::new(stamp.group.0),
            event_count: U16::new(stamp.event_count),
            kind: stamp.kind.to_byte(),
            version: edition_of(stamp.kind, body).0,
            prev_header_crc: U32::new(stamp.previous),
            flags: U32::new(0),
        };
        raw.header_crc = U32::new(raw.computed_crc());
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// Reads and checks the header at the start of `bytes`; the body need not be there.
    ///
    /// # Errors
    /// The bytes do not begin with a sound header.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let (raw, _) = RawHeader::ref_from_prefix(bytes).map_err(|_| RecordError::Cut {
            bytes: bytes.len(),
            needed: RECORD_HEADER_BYTES,
        })?;
        if raw.magic.get() != RECORD_MAGIC {
            return Err(RecordError::Magic {
                found: raw.magic.get(),
            });
        }
        let (found, computed) = (raw.header_crc.get(), raw.computed_crc());
        if found != computed {
            return Err(RecordError::HeaderChecksum { found, computed });
        }
        let kind = RecordKind::from_byte(raw.kind).ok_or(RecordError::Kind { kind: raw.kind })?;
        if raw.flags.get() != 0 {
            return Err(RecordError::Flags {
                flags: raw.flags.get(),
            });
        }
        let body = usize::try_from(raw.body_len.get()).expect("32 bits fit into a size");
        if body > RECORD_BYTES_MAX - RECORD_HEADER_BYTES || !body.is_multiple_of(ALIGNMENT) {
            return Err(RecordError::Length { bytes: body });
        }
        let in_range = raw.index.get() > 0
            && raw.index.get() < u64::MAX
            && raw
                .base_offset
                .get()
                .checked_add(u64::from(raw.event_count.get()))
                .is_some();
        if !in_range {
            return Err(RecordError::Range);
        }
        Ok(Self {
            header_crc: found,
            body_crc: raw.body_crc.get(),
            body_len: raw.body_len.get(),
            term: Term(raw.term.get()),
            index: LogIndex(raw.index.get()),
            base_offset: Offset(raw.base_offset.get()),
            log_time: raw.log_time.get(),
            group: GroupId(raw.group.get()),
            event_count: raw.event_count.get(),
            kind,
            edition: Edition(raw.version),
            previous: raw.prev_header_crc.get(),
        })
    }

    /// Bytes of the whole record.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + usize::try_from(self.body_len).expect("a body is under 1 MiB")
    }

    /// Term and index.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            term: self.term,
            index: self.index,
        }
    }

    /// Offset of the first event after this record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(u64::from(self.event_count))
    }
}

impl RawHeader {
    fn computed_crc(&self) -> u32 {
        let (_, checked) = self.as_bytes().split_at(HEADER_CHECKED_FROM);
        crc32(&[checked])
    }
}

/// A record, checked: header, body checksum, and the framing of its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    header: RecordHeader,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, checks it, and returns it with what follows it.
    ///
    /// # Errors
    /// The bytes do not begin with a sound record.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let (record, after) = Self::frame(bytes)?;
        record.check_version()?;
        record.check_sum()?;
        record.check_body()?;
        Ok((record, after))
    }

    /// The same for who only reads events: a record without any may be of a later version than this build knows.
    ///
    /// # Errors
    /// The bytes do not begin with a sound record, or events are in one of a later version.
    pub fn parse_events(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let (record, after) = Self::frame(bytes)?;
        record.check_sum()?;
        if record.header.event_count > 0 {
            record.check_version()?;
        }
        if record.header.edition <= Edition::BUILD {
            record.check_body()?;
        }
        Ok((record, after))
    }

    /// Reads the record at the start of `bytes`, checks its header only, and returns it with what follows it. For bytes that
    /// [`Record::parse`] has vouched for.
    ///
    /// # Errors
    /// The bytes do not begin with a sound header and enough bytes for it.
    pub fn frame(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let header = RecordHeader::parse(bytes)?;
        let size = header.record_bytes();
        let (bytes, after) = bytes.split_at_checked(size).ok_or(RecordError::Cut {
            bytes: bytes.len(),
            needed: size,
        })?;
        Ok((Self { header, bytes }, after))
    }

    fn check_version(&self) -> Result<(), RecordError> {
        let Edition(version) = self.header.edition;
        if (1..=Edition::BUILD.0).contains(&version) {
            Ok(())
        } else {
            Err(RecordError::Version { version })
        }
    }

    fn check_sum(&self) -> Result<(), RecordError> {
        let (found, computed) = (self.header.body_crc, crc32(&[self.body()]));
        if found == computed {
            Ok(())
        } else {
            Err(RecordError::BodyChecksum { found, computed })
        }
    }

    fn check_body(&self) -> Result<(), RecordError> {
        let (body, kind) = (self.body(), self.header.kind);
        if body.is_empty() != (kind == RecordKind::Noop) {
            return Err(RecordError::Length { bytes: body.len() });
        }
        let held = match kind {
            RecordKind::Events => events_of(body)?,
            RecordKind::Commands => check_commands(body, self.header.edition).map(|()| 0)?,
            RecordKind::Members => Roster::parse(body)
                .map(|_| 0)
                .map_err(RecordError::Roster)?,
            RecordKind::Noop => 0,
        };
        let said = self.header.event_count;
        if u32::from(said) == held {
            Ok(())
        } else {
            Err(RecordError::Count { said, held })
        }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// The whole record, header included.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(RECORD_HEADER_BYTES..).unwrap_or_default()
    }

    /// Its chunks, each with the offset of its first event; none for a record without events.
    pub fn chunks(&self) -> impl Iterator<Item = (Offset, Chunk<'a>)> + use<'a> {
        let mut rest = self.body_of(RecordKind::Events);
        let mut offset = self.header.base_offset;
        core::iter::from_fn(move || {
            let (chunk, after) = Chunk::frame(rest).ok()?;
            let first = offset;
            offset = offset.plus(u64::from(chunk.id().events));
            rest = after;
            Some((first, chunk))
        })
    }

    /// Its commands, in order; none for a record of another kind.
    pub fn commands(&self) -> impl Iterator<Item = Command> + use<'a> {
        let mut rest = self.body_of(RecordKind::Commands);
        core::iter::from_fn(move || {
            let (command, after) = Command::parse(rest).ok()?;
            rest = after;
            Some(command)
        })
    }

    /// The members that it names, if it does.
    #[must_use]
    pub fn roster(&self) -> Option<Roster<'a>> {
        Roster::parse(self.body_of(RecordKind::Members)).ok()
    }

    /// The body, if the record is of this kind.
    fn body_of(&self, kind: RecordKind) -> &'a [u8] {
        if self.header.kind == kind {
            self.body()
        } else {
            &[]
        }
    }

    /// Its events, each with its offset.
    pub fn events(&self) -> impl Iterator<Item = (Offset, Event<'a>)> + use<'a> {
        self.chunks()
            .flat_map(|(first, chunk)| (0..).map(move |at| first.plus(at)).zip(chunk.events()))
    }
}

/// How many events a body of chunks holds.
fn events_of(mut body: &[u8]) -> Result<u32, RecordError> {
    let mut held = 0;
    while !body.is_empty() {
        let (chunk, after) = Chunk::frame(body).map_err(RecordError::Chunk)?;
        held += chunk.id().events;
        body = after;
    }
    Ok(held)
}

/// The first edition that knows all of a body.
fn edition_of(kind: RecordKind, mut body: &[u8]) -> Edition {
    let mut edition = Edition::FIRST;
    if kind == RecordKind::Commands {
        while let Ok((command, rest)) = Command::parse(body) {
            (edition, body) = (edition.max(command.edition()), rest);
        }
    }
    edition
}

fn check_commands(mut body: &[u8], edition: Edition) -> Result<(), RecordError> {
    let mut held = 0;
    while !body.is_empty() {
        let command;
        (command, body) = Command::parse(body).map_err(RecordError::Command)?;
        if command.edition() > edition {
            let version = command.edition().0;
            return Err(RecordError::Version { version });
        }
        held += 1;
        if held > RECORD_COMMANDS_MAX {
            return Err(RecordError::Commands);
        }
    }
    Ok(())
}
