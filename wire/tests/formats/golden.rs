//! Golden files: what the encoders write, byte for byte, and what the parsers read back.
//!
//! A format never changes under its version. `QUORATE_UPDATE=1 cargo test -p quorate-wire` writes the files of a new one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Once;

use quorate_wire::admin::{Admin, AdminAsk, AdminMember, AdminReply};
use quorate_wire::audit::{Audit, AuditReply};
use quorate_wire::client::{
    Credit, ErrorMessage, Fetch, FetchReply, Hello, HelloReply, NodeEntry, Produce, ProduceReply,
    ReadFrom, Stage, StatusReply, TracedReply, Unsubscribed, error_text,
};
use quorate_wire::filter::{CLAUSE_HEADER_BYTES, Filter};
use quorate_wire::named::{
    CommandReply, CursorEntry, CursorsReply, GroupsReply, Heartbeat, HeartbeatReply, Listed,
    MemberEntry,
};
use quorate_wire::peer::{
    AppendMessage, AppendReplyMessage, Member, PeerHello, ReadIndexReplyMessage, RepairMessage,
    RepairReplyMessage, SnapshotChunkMessage, SnapshotFetchMessage, SnapshotOfferMessage,
    TimeoutNowMessage, VoteMessage, VoteReplyMessage,
};
use quorate_wire::{
    Chunk, Command, ErrorCode, Event, FRAME_HEADER_BYTES, Frame, FrameKind, Offset, Record,
    RecordKind,
};
use zerocopy::FromBytes;

use crate::vectors::{self, Holds, Vector};
use crate::{dump, samples, tables};

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(format!("{name}.hex"))
}

/// A golden file's text; all of them are written first if that was asked for.
pub(crate) fn file(name: &str) -> String {
    static UPDATE: Once = Once::new();
    UPDATE.call_once(|| {
        if std::env::var_os("QUORATE_UPDATE").is_some_and(|value| value == "1") {
            for vector in vectors::all() {
                let text = vector.content.render(&vector.title);
                std::fs::write(path(&vector.name), text).expect("the folder can be written");
            }
        }
    });
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; cure: QUORATE_UPDATE=1 cargo test -p quorate-wire",
            path.display()
        )
    })
}

#[test]
fn encoders_write_the_golden_files() {
    for Vector {
        name,
        title,
        content,
        ..
    } in vectors::all()
    {
        let written = content.render(&title);
        let golden = file(&name);
        assert_eq!(dump::read(&golden), content.bytes, "bytes of {name}");
        assert_eq!(golden, written, "text of {name}");
    }
}

#[test]
fn no_golden_file_is_without_its_encoder() {
    let folder = path("x");
    let folder = folder.parent().expect("a file has a folder");
    let found: BTreeSet<PathBuf> = std::fs::read_dir(folder)
        .expect("the golden folder exists")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    let known: BTreeSet<PathBuf> = vectors::all()
        .iter()
        .map(|vector| path(&vector.name))
        .collect();
    assert_eq!(found, known);
}

#[test]
fn parsers_read_the_golden_files() {
    for vector in vectors::all() {
        let bytes = dump::read(&file(&vector.name));
        match vector.holds {
            Holds::Event => {
                let (event, after) = Event::parse(&bytes).expect("it is an event");
                assert_eq!(event, samples::flight(0));
                assert!(after.is_empty());
            }
            Holds::Chunk => read_chunk(&bytes),
            Holds::Record => {
                let (record, after) = Record::parse(&bytes).expect("it is a record");
                assert!(after.is_empty());
                match record.header().kind {
                    RecordKind::Events => read_events(&record),
                    RecordKind::Noop => assert_eq!(record.events().count(), 0),
                    RecordKind::Commands => {
                        assert_eq!(record.events().count(), 0);
                        let count = match vector.name.as_str() {
                            "record_member_commands_v1" => 4,
                            "record_commands_v1" => 2,
                            _ => 1,
                        };
                        assert_eq!(record.commands().count(), count);
                    }
                    RecordKind::Members => {
                        let roster = record.roster().expect("it names members");
                        assert_eq!(roster, samples::roster(&samples::entries()));
                    }
                }
            }
            Holds::Frame(kind) => {
                let frame = Frame::parse(&bytes).expect("it is a frame");
                let frame = frame.expect("all of it is there");
                assert_eq!(frame.header.kind, kind);
                assert_eq!(frame.bytes(), bytes.len());
                assert_eq!(frame.message.len(), kind.message_bytes());
                read_message(&frame);
            }
        }
    }
}

fn read_chunk(bytes: &[u8]) {
    let (chunk, after) = Chunk::parse(bytes).expect("it is a chunk");
    assert!(after.is_empty());
    if let Some(ids) = chunk.ids() {
        assert_eq!(ids, [samples::FLIGHT_ID]);
        assert_eq!(chunk.events().next(), Some(samples::flight(0)));
        return;
    }
    assert_eq!(chunk.id(), samples::chunk_id(0x5d1f_60a7_93c2_4be8, 128, 2));
    let events: Vec<Event> = chunk.events().collect();
    assert_eq!(events, [samples::flight(0), samples::flight(1)]);
}

fn read_events(record: &Record) {
    let events: Vec<(Offset, Event)> = record.events().collect();
    let expected = [(2048, 0), (2049, 1), (2050, 2)];
    assert_eq!(
        events,
        expected.map(|(offset, flight)| (Offset(offset), samples::flight(flight)))
    );
    for (_, chunk) in record.chunks() {
        chunk.check().expect("the producer's seal holds");
    }
    let noop = Record::parse(&samples::noop().bytes)
        .map(|(noop, _)| noop.header().header_crc)
        .expect("it is a record");
    assert_eq!(record.header().previous, noop, "the chain holds");
}

fn read<M: FromBytes>(frame: &Frame) -> M {
    M::read_from_bytes(frame.message).expect("the gate has checked its length")
}

/// Reads one field of each message, and the whole of each tail.
fn read_message(frame: &Frame) {
    match frame.header.kind {
        FrameKind::Hello => assert_eq!(read::<Hello>(frame).version_max, 1),
        FrameKind::Produce => {
            assert_eq!(read::<Produce>(frame).timeout_ms.get(), 1000);
            let (chunk, after) = Chunk::parse(frame.tail).expect("it is a chunk");
            assert!(after.is_empty());
            assert!(chunk.events().eq([samples::flight(2)]));
        }
        FrameKind::Fetch => {
            let fetch = read::<Fetch>(frame);
            assert_eq!(fetch.from(), Ok(ReadFrom::Offset(Offset(2049))));
            let clauses = usize::from(fetch.filter_clauses.get());
            let filter = Filter::parse(frame.tail, clauses).expect("it is sound");
            assert!(filter.matches(&samples::flight(0)) && !filter.matches(&samples::flight(1)));
        }
        FrameKind::Status | FrameKind::Unsubscribe => {}
        FrameKind::Subscribe => assert_eq!(read::<Fetch>(frame).from(), Ok(ReadFrom::Tail)),
        FrameKind::Credit => assert_eq!(read::<Credit>(frame).bytes.get(), 131_072),
        FrameKind::Push => assert_eq!(read::<FetchReply>(frame).begin.get(), 2048),
        FrameKind::Unsubscribed => assert_eq!(read::<Unsubscribed>(frame).next.get(), 2051),
        FrameKind::Audit => assert_eq!(read::<Audit>(frame).index.get(), 42),
        FrameKind::AuditReply => assert_eq!(read::<AuditReply>(frame).applied.get(), 57),
        FrameKind::Admin => {
            let asked = read::<Admin>(frame).ask();
            assert_eq!(asked, Ok(AdminAsk::Change(samples::addition())));
        }
        FrameKind::AdminReply => {
            let reply = read::<AdminReply>(frame);
            let members = AdminMember::parse_all(frame.tail, reply.member_count);
            let members = members.expect("the list is whole").iter();
            assert!(members.map(|member| member.node.get()).eq(1..=4));
        }
        FrameKind::Command => {
            let (command, after) = Command::parse(frame.tail).expect("it is a command");
            assert!(after.is_empty());
            assert!(matches!(
                command,
                Command::SetCursor {
                    offset: Offset(2049),
                    reset: false,
                    ..
                }
            ));
        }
        FrameKind::CommandReply => assert_eq!(read::<CommandReply>(frame).value.get(), 2049),
        FrameKind::Cursors => assert_eq!(read::<Listed>(frame).consistency, 2),
        FrameKind::Groups => assert_eq!(read::<Listed>(frame).exact, 1),
        FrameKind::Heartbeat => {
            assert_eq!(read::<Heartbeat>(frame).member.get(), samples::MEMBER.0);
        }
        FrameKind::HeartbeatReply => {
            assert_eq!(read::<HeartbeatReply>(frame).offsets[63].get(), 2049);
        }
        FrameKind::GroupsReply => {
            let reply = read::<GroupsReply>(frame);
            let members = MemberEntry::parse_all(frame.tail, reply.member_count.get());
            let members = members.expect("the list is whole");
            assert!(
                members
                    .iter()
                    .map(|member| member.slots.get())
                    .eq([u64::MAX])
            );
        }
        FrameKind::CursorsReply => {
            let reply = read::<CursorsReply>(frame);
            let entries = CursorEntry::parse_all(frame.tail, reply.count.get());
            let entries = entries.expect("the list is whole");
            assert!(entries.iter().map(|entry| entry.offset.get()).eq([2030]));
        }
        FrameKind::PeerHello => {
            let hello = read::<PeerHello>(frame);
            let members = Member::parse_all(frame.tail, hello.member_count);
            let members = members.expect("the list is whole");
            assert!(members.iter().map(|member| member.node.get()).eq(1..=3));
        }
        FrameKind::PreVote | FrameKind::Vote => {
            assert_eq!(read::<VoteMessage>(frame).last_index.get(), 40);
        }
        FrameKind::PreVoteReply | FrameKind::VoteReply => {
            assert_eq!(read::<VoteReplyMessage>(frame).granted, 1);
        }
        FrameKind::Append => {
            let append = read::<AppendMessage>(frame);
            let (noop, rest) = Record::parse(frame.tail).expect("the first record");
            let (events, rest) = Record::parse(rest).expect("the second record");
            assert!(rest.is_empty());
            assert_eq!(append.entry_count.get(), 2);
            assert_eq!(
                noop.header().index.previous().0,
                append.previous_index.get()
            );
            assert_eq!(events.header().previous, noop.header().header_crc);
        }
        FrameKind::AppendReply => assert_eq!(read::<AppendReplyMessage>(frame).index.get(), 42),
        FrameKind::Repair => assert_eq!(read::<RepairMessage>(frame).last.get(), 57),
        FrameKind::RepairReply => {
            assert_eq!(read::<RepairReplyMessage>(frame).whole, 1);
            let (noop, _) = Record::parse(frame.tail).expect("the first record");
            assert_eq!(noop.header().index.0, 41);
        }
        FrameKind::ReadIndex => {}
        FrameKind::ReadIndexReply => {
            assert_eq!(read::<ReadIndexReplyMessage>(frame).index.get(), 42);
        }
        FrameKind::SnapshotOffer => {
            assert_eq!(read::<SnapshotOfferMessage>(frame).index.get(), 40);
        }
        FrameKind::SnapshotFetch => {
            assert_eq!(read::<SnapshotFetchMessage>(frame).position.get(), 262_144);
        }
        FrameKind::SnapshotChunk => {
            let crc = read::<SnapshotChunkMessage>(frame).crc.get();
            assert_eq!(crc, quorate_wire::checksum::crc32(&[frame.tail]));
        }
        FrameKind::TimeoutNow => assert_eq!(read::<TimeoutNowMessage>(frame).term.get(), 2),
        FrameKind::HelloReply => {
            let reply = read::<HelloReply>(frame);
            let nodes = NodeEntry::parse_all(frame.tail, reply.node_count);
            let nodes = nodes.expect("the list is whole").iter();
            let addresses: Vec<&str> = nodes.filter_map(NodeEntry::address).collect();
            assert_eq!(
                addresses,
                ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"]
            );
        }
        FrameKind::ProduceReply => assert_eq!(read::<ProduceReply>(frame).base_offset.get(), 2050),
        FrameKind::TracedReply => {
            let stages = read::<TracedReply>(frame).stages;
            assert_eq!(stages.get(Stage::Batch), Some(48_000));
            assert_eq!(stages.get(Stage::OwnWrite), None);
        }
        FrameKind::FetchReply => {
            assert_eq!(read::<FetchReply>(frame).next.get(), 2051);
            let (record, after) = Record::parse(frame.tail).expect("it is a record");
            assert!(after.is_empty());
            read_events(&record);
        }
        FrameKind::StatusReply => assert_eq!(read::<StatusReply>(frame).process.get(), 4711),
        FrameKind::Error => {
            let code = ErrorCode::from_number(read::<ErrorMessage>(frame).code.get());
            assert_eq!(code, Some(ErrorCode::NotLeader));
            assert_eq!(error_text(frame.tail), "node 2 leads group 0, not node 1");
        }
    }
}

#[test]
fn the_tables_are_as_wide_as_the_types() {
    let width = |table: tables::Table| table.iter().map(|(_, show)| show.width()).sum::<usize>();
    for &kind in FrameKind::ALL {
        assert_eq!(
            width(tables::message(kind)),
            kind.message_bytes(),
            "{kind:?}"
        );
    }
    assert_eq!(width(tables::FRAME), FRAME_HEADER_BYTES);
    assert_eq!(width(tables::NODE_ENTRY), size_of::<NodeEntry>());
    assert_eq!(width(tables::CLAUSE), CLAUSE_HEADER_BYTES);
    assert_eq!(width(tables::MEMBER), size_of::<Member>());
}
