//! The byte tables of the formats, written down a second time, apart from the types that encode them. The golden files and
//! `docs/protocol.md` are held against these.

use quorate_wire::FrameKind;

use crate::dump::Show;
use crate::dump::Show::{Bits, Bytes, Count, Text};

pub(crate) type Table = &'static [(&'static str, Show)];

pub(crate) const EVENT: Table = &[
    ("key", Bits(8)),
    ("time", Count(8)),
    ("payload_len", Count(4)),
    ("topic_len", Count(2)),
    ("priority", Count(1)),
    ("flags", Bits(1)),
];

pub(crate) const CHUNK: Table = &[
    ("producer", Bits(8)),
    ("first_sequence", Count(8)),
    ("epoch", Count(4)),
    ("event_count", Count(4)),
    ("events_len", Count(4)),
    ("crc", Bits(4)),
];

pub(crate) const RECORD: Table = &[
    ("magic", Text(4)),
    ("header_crc", Bits(4)),
    ("body_crc", Bits(4)),
    ("body_len", Count(4)),
    ("term", Count(8)),
    ("index", Count(8)),
    ("base_offset", Count(8)),
    ("log_time", Count(8)),
    ("group", Count(4)),
    ("event_count", Count(2)),
    ("kind", Count(1)),
    ("version", Count(1)),
    ("prev_header_crc", Bits(4)),
    ("flags", Bits(4)),
];

pub(crate) const FRAME: Table = &[
    ("magic", Text(4)),
    ("header_crc", Bits(4)),
    ("body_len", Count(4)),
    ("body_crc", Bits(4)),
    ("correlation", Count(8)),
    ("group", Count(4)),
    ("version", Count(1)),
    ("kind", Bits(1)),
    ("flags", Bits(2)),
];

pub(crate) const NODE_ENTRY: Table = &[
    ("node", Count(4)),
    ("address_len", Count(2)),
    ("reserved", Bits(2)),
    ("address", Text(56)),
];

pub(crate) const MEMBER: Table = &[
    ("node", Count(4)),
    ("reserved", Bits(4)),
    ("disk", Bytes(16)),
];

pub(crate) const COMMAND: Table = &[("kind", Count(2)), ("length", Count(2)), ("flags", Bits(4))];

pub(crate) const SET_CURSOR: Table = &[("name", Text(64)), ("offset", Count(8))];

pub(crate) const DELETE_CURSOR: Table = &[("name", Text(64))];

pub(crate) const JOIN: Table = &[
    ("name", Text(64)),
    ("member", Bits(8)),
    ("start", Count(8)),
    ("session_ms", Count(4)),
    ("reserved", Bits(4)),
];

pub(crate) const RAISE: Table = &[("edition", Count(1)), ("reserved", Bytes(7))];

/// Of `Leave` and `Expire`.
pub(crate) const MEMBER_NAMED: Table = &[("name", Text(64)), ("member", Bits(8))];

pub(crate) const COMMIT: Table = &[
    ("name", Text(64)),
    ("member", Bits(8)),
    ("generation", Count(8)),
    ("slots", Bits(8)),
    ("offset", Count(8)),
];

const COMMAND_REPLY: Table = &[("value", Count(8)), ("term", Count(8))];

/// Of `Cursors` and `Groups`.
const LISTED: Table = &[
    ("name", Text(64)),
    ("exact", Count(1)),
    ("consistency", Count(1)),
    ("reserved", Bytes(6)),
];

const CURSORS_REPLY: Table = &[
    ("committed", Count(8)),
    ("count", Count(4)),
    ("more", Count(1)),
    ("reserved", Bytes(3)),
];

const HEARTBEAT_REPLY: Table = &[
    ("generation", Count(8)),
    ("slots", Bits(8)),
    ("committed", Count(8)),
    ("session_ms", Count(4)),
    ("reserved", Bits(4)),
    ("offsets", Bytes(512)),
];

const GROUPS_REPLY: Table = &[
    ("name", Text(64)),
    ("generation", Count(8)),
    ("committed", Count(8)),
    ("member_count", Count(4)),
    ("reserved", Bits(4)),
    ("offsets", Bytes(512)),
];

pub(crate) const MEMBER_ENTRY: Table = &[
    ("member", Bits(8)),
    ("slots", Bits(8)),
    ("session_ms", Count(4)),
    ("reserved", Bits(4)),
];

pub(crate) const CURSOR_ENTRY: Table = &[
    ("name", Text(64)),
    ("offset", Count(8)),
    ("set_at", Count(8)),
];

const HELLO: Table = &[
    ("cluster", Text(16)),
    ("version_min", Count(1)),
    ("version_max", Count(1)),
    ("flags", Bits(1)),
    ("reserved", Bytes(5)),
];

const HELLO_REPLY: Table = &[
    ("cluster", Text(16)),
    ("node", Count(4)),
    ("leader", Count(4)),
    ("leader_term", Count(8)),
    ("window_bytes", Count(4)),
    ("window_requests", Count(4)),
    ("group_count", Count(4)),
    ("version", Count(1)),
    ("node_count", Count(1)),
    ("reserved", Bits(2)),
];

const PRODUCE: Table = &[
    ("acks", Count(1)),
    ("flags", Bits(1)),
    ("priority", Count(1)),
    ("reserved", Count(1)),
    ("timeout_ms", Count(4)),
];

const PRODUCE_REPLY: Table = &[
    ("base_offset", Count(8)),
    ("term", Count(8)),
    ("level", Count(1)),
    ("reserved", Bytes(3)),
    ("before", Count(4)),
];

const TRACED_REPLY: Table = &[
    ("base_offset", Count(8)),
    ("term", Count(8)),
    ("level", Count(1)),
    ("reserved", Bytes(3)),
    ("before", Count(4)),
    ("gate", Count(4)),
    ("lane", Count(4)),
    ("batch", Count(4)),
    ("own_write", Count(4)),
    ("follower_write", Count(4)),
    ("commit", Count(4)),
    ("reply", Count(4)),
    ("reserved_too", Bits(4)),
];

const FETCH: Table = &[
    ("position", Count(8)),
    ("at_least", Count(8)),
    ("bytes_max", Count(4)),
    ("wait_ms", Count(4)),
    ("from", Count(1)),
    ("consistency", Count(1)),
    ("filter_clauses", Count(2)),
    ("reserved", Bits(4)),
];

const CREDIT: Table = &[("bytes", Count(4)), ("reserved", Bits(4))];

const UNSUBSCRIBED: Table = &[("next", Count(8))];

const FETCH_REPLY: Table = &[
    ("committed", Count(8)),
    ("start", Count(8)),
    ("begin", Count(8)),
    ("next", Count(8)),
];

pub(crate) const CLAUSE: Table = &[
    ("kind", Count(1)),
    ("reserved", Bits(1)),
    ("value_len", Count(2)),
    ("reserved_too", Bits(4)),
];

const STATUS_REPLY: Table = &[
    ("cluster", Text(16)),
    ("node", Count(4)),
    ("leader", Count(4)),
    ("term", Count(8)),
    ("last_index", Count(8)),
    ("durable_index", Count(8)),
    ("commit_index", Count(8)),
    ("committed", Count(8)),
    ("digest", Bits(8)),
    ("log_bytes", Count(8)),
    ("producers", Count(8)),
    ("start_index", Count(8)),
    ("start_offset", Count(8)),
    ("ready_bytes", Count(8)),
    ("snapshot_index", Count(8)),
    ("snapshot_bytes", Count(8)),
    ("writes", Count(8)),
    ("written_records", Count(8)),
    ("written_bytes", Count(8)),
    ("commit_p99", Count(8)),
    ("catch_up_bytes", Count(8)),
    ("process", Count(4)),
    ("role", Count(1)),
    ("serves", Count(1)),
    ("peers_up", Count(1)),
    ("edition", Count(1)),
    ("build", Count(1)),
    ("priority", Count(1)),
    ("reserved", Bytes(6)),
];

const ERROR: Table = &[
    ("code", Count(2)),
    ("reserved", Bits(2)),
    ("leader", Count(4)),
    ("leader_term", Count(8)),
    ("retry_after_ms", Count(4)),
    ("reserved_too", Bits(4)),
    ("expected", Count(8)),
    ("limit", Count(8)),
];

const PEER_HELLO: Table = &[
    ("cluster", Text(16)),
    ("disk", Bytes(16)),
    ("node", Count(4)),
    ("to", Count(4)),
    ("nodes_crc", Bits(4)),
    ("member_count", Count(1)),
    ("version_min", Count(1)),
    ("version_max", Count(1)),
    ("joins", Count(1)),
    ("edition", Count(1)),
    ("group_edition", Count(1)),
    ("priority", Count(1)),
    ("reserved", Bytes(5)),
];

const VOTE: Table = &[
    ("term", Count(8)),
    ("last_term", Count(8)),
    ("last_index", Count(8)),
    ("handed", Count(1)),
    ("reserved", Bytes(7)),
];

const READ_INDEX_REPLY: Table = &[("index", Count(8))];

const TIMEOUT_NOW: Table = &[("term", Count(8))];

const VOTE_REPLY: Table = &[
    ("term", Count(8)),
    ("granted", Count(1)),
    ("reserved", Bytes(7)),
];

const APPEND: Table = &[
    ("term", Count(8)),
    ("session", Bits(8)),
    ("round", Count(8)),
    ("previous_term", Count(8)),
    ("previous_index", Count(8)),
    ("commit", Count(8)),
    ("entry_term", Count(8)),
    ("entry_count", Count(4)),
    ("reserved", Bits(4)),
];

const APPEND_REPLY: Table = &[
    ("term", Count(8)),
    ("session", Bits(8)),
    ("round", Count(8)),
    ("index", Count(8)),
    ("hint_term", Count(8)),
    ("hint_index", Count(8)),
    ("outcome", Count(1)),
    ("reserved", Bytes(7)),
];

const REPAIR: Table = &[
    ("first", Count(8)),
    ("last", Count(8)),
    ("bytes_max", Count(4)),
    ("reserved", Bits(4)),
];

const REPAIR_REPLY: Table = &[
    ("first", Count(8)),
    ("whole", Count(1)),
    ("reserved", Bytes(7)),
    ("start", Count(8)),
];

const SNAPSHOT_OFFER: Table = &[("term", Count(8)), ("index", Count(8)), ("bytes", Count(8))];

const SNAPSHOT_FETCH: Table = &[("index", Count(8)), ("position", Count(8))];

const SNAPSHOT_CHUNK: Table = &[
    ("index", Count(8)),
    ("position", Count(8)),
    ("bytes", Count(8)),
    ("crc", Bits(4)),
    ("reserved", Count(4)),
];

const AUDIT: Table = &[("index", Count(8))];

const AUDIT_REPLY: Table = &[
    ("index", Count(8)),
    ("applied", Count(8)),
    ("digest", Bits(8)),
    ("header_crc", Bits(4)),
    ("known", Count(1)),
    ("reserved", Bytes(3)),
];

const ADMIN: Table = &[
    ("op", Count(1)),
    ("peer_len", Count(1)),
    ("client_len", Count(1)),
    ("reserved", Bits(1)),
    ("node", Count(4)),
    ("by", Count(4)),
    ("reserved_too", Bits(4)),
    ("peer", Text(56)),
    ("client", Text(56)),
];

pub(crate) const ROSTER: Table = &[
    ("last_id", Count(4)),
    ("count", Count(1)),
    ("reserved", Bytes(3)),
];

pub(crate) const ROSTER_ENTRY: Table = &[
    ("node", Count(4)),
    ("role", Count(1)),
    ("peer_len", Count(1)),
    ("client_len", Count(1)),
    ("reserved", Bits(1)),
    ("disk", Bytes(16)),
    ("peer", Text(56)),
    ("client", Text(56)),
];

const ADMIN_REPLY: Table = &[
    ("node", Count(4)),
    ("leader", Count(4)),
    ("term", Count(8)),
    ("member_count", Count(1)),
    ("reserved", Bytes(7)),
];

pub(crate) const ADMIN_MEMBER: Table = &[
    ("node", Count(4)),
    ("role", Count(1)),
    ("up", Count(1)),
    ("reserved", Bits(2)),
    ("durable", Count(8)),
];

/// The message of a kind; empty if it has none.
pub(crate) fn message(kind: FrameKind) -> Table {
    match kind {
        FrameKind::Hello => HELLO,
        FrameKind::Status | FrameKind::Unsubscribe | FrameKind::ReadIndex | FrameKind::Command => {
            &[]
        }
        FrameKind::CommandReply => COMMAND_REPLY,
        FrameKind::Cursors | FrameKind::Groups => LISTED,
        FrameKind::Heartbeat => MEMBER_NAMED,
        FrameKind::HeartbeatReply => HEARTBEAT_REPLY,
        FrameKind::GroupsReply => GROUPS_REPLY,
        FrameKind::Audit => AUDIT,
        FrameKind::AuditReply => AUDIT_REPLY,
        FrameKind::CursorsReply => CURSORS_REPLY,
        FrameKind::Produce => PRODUCE,
        FrameKind::Fetch | FrameKind::Subscribe => FETCH,
        FrameKind::Credit => CREDIT,
        FrameKind::Unsubscribed => UNSUBSCRIBED,
        FrameKind::PeerHello => PEER_HELLO,
        FrameKind::PreVote | FrameKind::Vote => VOTE,
        FrameKind::PreVoteReply | FrameKind::VoteReply => VOTE_REPLY,
        FrameKind::Append => APPEND,
        FrameKind::AppendReply => APPEND_REPLY,
        FrameKind::Repair => REPAIR,
        FrameKind::RepairReply => REPAIR_REPLY,
        FrameKind::ReadIndexReply => READ_INDEX_REPLY,
        FrameKind::TimeoutNow => TIMEOUT_NOW,
        FrameKind::SnapshotOffer => SNAPSHOT_OFFER,
        FrameKind::SnapshotFetch => SNAPSHOT_FETCH,
        FrameKind::SnapshotChunk => SNAPSHOT_CHUNK,
        FrameKind::HelloReply => HELLO_REPLY,
        FrameKind::ProduceReply => PRODUCE_REPLY,
        FrameKind::TracedReply => TRACED_REPLY,
        FrameKind::FetchReply | FrameKind::Push => FETCH_REPLY,
        FrameKind::StatusReply => STATUS_REPLY,
        FrameKind::Admin => ADMIN,
        FrameKind::AdminReply => ADMIN_REPLY,
        FrameKind::Error => ERROR,
    }
}
