//! Frames, and the messages and lists in them.

use quorate_wire::audit::{Audit, AuditReply};
use quorate_wire::admin::{Admin, AdminMember, AdminReply};
use quorate_wire::client::{
    Credit, ErrorMessage, Fetch, FetchReply, Hello, HelloReply, NodeEntry, Produce, ProduceReply, Stage, StatusReply, Unsubscribed,
    TracedReply, error_text,
};
use quorate_wire::named::{
    CommandReply, CursorsReply, GroupsReply, Heartbeat, HeartbeatReply, Listed,
};
use quorate_wire::peer::{
    AppendMessage, AppendReplyMessage, Member, PeerHello, ReadIndexReplyMessage, RepairMessage, RepairReplyMessage, SnapshotChunkMessage, SnapshotFetchMessage, SnapshotOfferMessage, TimeoutNowMessage,
    VoteMessage, VoteReplyMessage,
};
use quorate_wire::{Frame, FrameKind};
use zerocopy::FromBytes;

use crate::record;
use crate::script::Script;

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let bytes = Script(data).stream();
    let mut rest = bytes.as_slice();
    while let Ok(Some(frame)) = Frame::parse(rest) {
        let length = frame.bytes();
        assert_eq!(
            Frame::parse(&rest[..length - 1]),
            Ok(None),
            "a part of a frame is no frame, and no error"
        );
        open(&frame);
        rest = &rest[length..];
    }
}

fn open(frame: &Frame<'_>) {
    let (message, tail) = (frame.message, frame.tail);
    let read = match frame.header.kind {
        FrameKind::Hello => Hello::ref_from_bytes(message).is_ok(),
        FrameKind::Fetch | FrameKind::Subscribe => Fetch::ref_from_bytes(message).is_ok(),
        FrameKind::Status => message.is_empty(),
        FrameKind::Produce => Produce::ref_from_bytes(message).is_ok(),
        FrameKind::PeerHello => PeerHello::ref_from_bytes(message)
            .map(|hello| list(tail, hello.member_count, Member::parse_all))
            .is_ok(),
        FrameKind::PreVote | FrameKind::Vote => VoteMessage::ref_from_bytes(message).is_ok(),
        FrameKind::PreVoteReply | FrameKind::VoteReply => {
            VoteReplyMessage::ref_from_bytes(message).is_ok()
        }
        FrameKind::Append => AppendMessage::ref_from_bytes(message).is_ok(),
        FrameKind::AppendReply => AppendReplyMessage::ref_from_bytes(message).is_ok(),
        FrameKind::Repair => RepairMessage::ref_from_bytes(message).is_ok(),
        FrameKind::RepairReply => RepairReplyMessage::ref_from_bytes(message).is_ok(),
        FrameKind::ReadIndex => message.is_empty(),
        FrameKind::ReadIndexReply => ReadIndexReplyMessage::ref_from_bytes(message).is_ok(),
        FrameKind::SnapshotOffer => SnapshotOfferMessage::ref_from_bytes(message).is_ok(),
        FrameKind::SnapshotFetch => SnapshotFetchMessage::ref_from_bytes(message).is_ok(),
        FrameKind::SnapshotChunk => SnapshotChunkMessage::ref_from_bytes(message).is_ok(),
        FrameKind::TimeoutNow => TimeoutNowMessage::ref_from_bytes(message).is_ok(),
        FrameKind::HelloReply => HelloReply::ref_from_bytes(message)
            .map(|hello| {
                for entry in list(tail, hello.node_count, NodeEntry::parse_all) {
                    let _text = entry.address();
                }
            })
            .is_ok(),
        FrameKind::ProduceReply => ProduceReply::ref_from_bytes(message).is_ok(),
        FrameKind::TracedReply => TracedReply::ref_from_bytes(message)
            .map(|traced| Stage::ALL.map(|stage| traced.stages.get(stage)))
            .is_ok(),
        FrameKind::Command => message.is_empty(),
        FrameKind::Cursors | FrameKind::Groups => Listed::ref_from_bytes(message).is_ok(),
        FrameKind::Heartbeat => Heartbeat::ref_from_bytes(message).is_ok(),
        FrameKind::CommandReply => CommandReply::ref_from_bytes(message).is_ok(),
        FrameKind::CursorsReply => CursorsReply::ref_from_bytes(message).is_ok(),
        FrameKind::HeartbeatReply => HeartbeatReply::ref_from_bytes(message).is_ok(),
        FrameKind::GroupsReply => GroupsReply::ref_from_bytes(message).is_ok(),
        FrameKind::Credit => Credit::ref_from_bytes(message).is_ok(),
        FrameKind::Unsubscribed => Unsubscribed::ref_from_bytes(message).is_ok(),
        FrameKind::Unsubscribe => message.is_empty(),
        FrameKind::FetchReply | FrameKind::Push => FetchReply::ref_from_bytes(message).is_ok(),
        FrameKind::Audit => Audit::ref_from_bytes(message).is_ok(),
        FrameKind::AuditReply => AuditReply::ref_from_bytes(message).is_ok(),
        FrameKind::Admin => Admin::read_from_bytes(message).map(|admin| admin.ask()).is_ok(),
        FrameKind::AdminReply => AdminReply::ref_from_bytes(message)
            .map(|reply| list(tail, reply.member_count, AdminMember::parse_all))
            .is_ok(),
        FrameKind::StatusReply => StatusReply::ref_from_bytes(message).is_ok(),
        FrameKind::Error => ErrorMessage::ref_from_bytes(message)
            .map(|_| error_text(tail))
            .is_ok(),
    };
    assert!(read, "a frame has room for its message");
    record::open_all(tail);
}

fn list<'a, T, E>(
    tail: &'a [u8],
    count: u8,
    parse: impl Fn(&'a [u8], u8) -> Result<&'a [T], E>,
) -> &'a [T] {
    let all = parse(tail, count).unwrap_or_default();
    assert!(
        all.is_empty() || all.len() == usize::from(count),
        "a list has as many entries as it says"
    );
    all
}
