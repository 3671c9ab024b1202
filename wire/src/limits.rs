//! Bounds of everything that a format can carry. Every length is held against one of these before anything is allocated.

use crate::client::{ErrorMessage, Fetch, HelloReply, NodeEntry};
use crate::named::{GroupsReply, MemberEntry};
use crate::peer::{Member, PeerHello};

/// Alignment of everything inside a record, in bytes.
pub const ALIGNMENT: usize = 8;

/// Most bytes of one record, header included.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Most bytes of one chunk, header included: it fits into a record of its own.
pub const CHUNK_BYTES_MAX: usize = RECORD_BYTES_MAX - crate::RECORD_HEADER_BYTES;

/// Most bytes of one event, header and padding included: it fits into a chunk of its own.
pub const EVENT_BYTES_MAX: usize = CHUNK_BYTES_MAX - crate::CHUNK_HEADER_BYTES;

/// Most events of one chunk.
pub const CHUNK_EVENTS_MAX: u32 = 16_384;

/// A record takes no further chunk once it holds this many events.
pub const RECORD_EVENTS_FULL: u32 = 64;

/// Most chunks of a run: what one answer can stand for. As many as a record takes, if each has one event.
pub const RUN_CHUNKS_MAX: u32 = RECORD_EVENTS_FULL;

/// Most bytes of a run's frames.
pub const RUN_BYTES_MAX: usize = 64 << 10;

/// Most chunks that a producer may have in flight; of so many, a retry is certain to get its first offset.
pub const WINDOW_REQUESTS_MAX: usize = 1024;

/// Longest time that a producer may have a node wait for the last voters' disks, in milliseconds.
pub const ALL_TIMEOUT_MS_MAX: u32 = 60_000;

/// How long a producer is known after its last chunk, in seconds of log time. A constant of the version: nodes that differed in it
/// would tell a retry from a new chunk differently.
pub const PRODUCER_LIFE_SECONDS: u64 = 24 * 60 * 60;

/// Most producers that a group knows.
pub const PRODUCERS_MAX: usize = 100_000;

/// Most runs that a group keeps of all its producers together: committed events of a producer, of which neither sequences nor offsets
/// have a gap. A constant of the version, as above.
pub const RUNS_MAX: usize = 1 << 20;

/// Most ids of events that a group knows.
pub const EVENT_IDS_MAX: usize = 1 << 19;

/// How long an id is known after its event, in seconds of log time. A constant of the version, as above.
pub const EVENT_ID_LIFE_SECONDS: u64 = 60 * 60;

/// Longest topic of an event, in bytes.
pub const TOPIC_BYTES_MAX: usize = 255;

/// Most bytes of records in one append to a peer, or in one answer to a fetch or a repair.
pub const RECORDS_BYTES_MAX: usize = 1 << 20;

/// Most clauses of a filter.
pub const FILTER_CLAUSES_MAX: usize = 16;

/// Most bytes of a filter.
pub const FILTER_BYTES_MAX: usize = 960;

/// Most subscriptions of one connection.
pub const SUBSCRIPTIONS_MAX: usize = 16;

/// How long nothing is pushed at most to a subscription that has credit, in milliseconds.
pub const SUBSCRIPTION_PULSE_MS: usize = 500;

/// Longest text of an error, in bytes.
pub const ERROR_TEXT_BYTES_MAX: usize = 512;

/// Most voters of a group.
pub const NODES_MAX: usize = 7;

/// Most members of a group: voters, those who voted before a change, and learners.
pub const MEMBERS_MAX: usize = 16;

/// Longest address of a node as text, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 56;

/// Most bytes of a message and of a tail under the frame's own checksum: all of a body but records and chunks.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Most bytes of a frame's body.
pub const FRAME_BODY_BYTES_MAX: usize = RECORDS_BYTES_MAX + MESSAGE_BYTES_MAX;

/// Most bytes of entries in one piece of a snapshot.
pub const SNAPSHOT_PIECE_BYTES_MAX: usize = 64 << 10;

/// Most bytes of a part of a snapshot, as it is written and as it is sent.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 256 << 10;

/// Most bytes of one entry of a snapshot.
pub const SNAPSHOT_ENTRY_BYTES_MAX: usize = 32 << 10;

/// Longest name of a cursor or a consumer group, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Marks of applied records that a node keeps for audits: of the last ones, and again of some before them.
pub const AUDIT_MARKS: usize = 1024;

/// Those before are at records whose indexes are multiples of this.
pub const AUDIT_APART: u64 = 1024;

/// Most commands of one record.
pub const RECORD_COMMANDS_MAX: usize = 256;

/// Most cursors that a group keeps.
pub const CURSORS_MAX: usize = 10_000;

/// A cursor that was not set for so many seconds of log time is forgotten, and a consumer group without members: seven days.
pub const NAME_IDLE_SECONDS: u64 = 7 * 24 * 3600;

const _: () = assert!(
    SNAPSHOT_ENTRY_BYTES_MAX <= SNAPSHOT_PIECE_BYTES_MAX,
    "an entry fits into a piece"
);
/// Most consumer groups that a group keeps.
pub const CONSUMER_GROUPS_MAX: usize = 1000;

/// Most members of a consumer group: one for each slot.
pub const GROUP_MEMBERS_MAX: usize = crate::SLOTS;

/// The shortest session of a member, in milliseconds: so long it may be silent.
pub const SESSION_MS_MIN: u32 = 500;

/// The longest session of a member, in milliseconds.
pub const SESSION_MS_MAX: u32 = 600_000;

const _: () = assert!(CHUNK_BYTES_MAX.is_multiple_of(ALIGNMENT));
const _: () = assert!(EVENT_BYTES_MAX.is_multiple_of(ALIGNMENT));
const _: () = assert!(
    crate::RECORD_HEADER_BYTES + RECORD_COMMANDS_MAX * crate::COMMAND_BYTES_MAX <= RECORD_BYTES_MAX,
    "a record has room for its commands"
);
const _: () = assert!(
    RECORDS_BYTES_MAX >= RECORD_BYTES_MAX,
    "a record must fit into one append"
);
const _: () = assert!(
    CHUNK_EVENTS_MAX + RECORD_EVENTS_FULL <= u16::MAX as u32,
    "a record counts its events in 16 bits"
);
const _: () = assert!(
    size_of::<HelloReply>() + MEMBERS_MAX * size_of::<NodeEntry>() <= MESSAGE_BYTES_MAX,
    "an answer to a greeting lists all nodes"
);
const _: () = assert!(
    size_of::<PeerHello>() + NODES_MAX * size_of::<Member>() <= MESSAGE_BYTES_MAX,
    "a peer's greeting lists all members"
);
const _: () = assert!(
    size_of::<Fetch>() + FILTER_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "a fetch carries its filter"
);
const _: () = assert!(
    size_of::<GroupsReply>() + GROUP_MEMBERS_MAX * size_of::<MemberEntry>() <= MESSAGE_BYTES_MAX,
    "an answer about a consumer group lists all of its members"
);
const _: () = assert!(
    size_of::<ErrorMessage>() + ERROR_TEXT_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "a refusal carries its sentence"
);
