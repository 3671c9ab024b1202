//! Every layout once, with real-looking values.

use quorate_wire::admin::{AdminAsk, AdminMember, AdminReply};
use quorate_wire::audit::{Audit, AuditReply};
use quorate_wire::checksum::crc32;
use quorate_wire::client::{
    AckLevel, Consistency, Credit, ErrorMessage, Fetch, FetchReply, Hello, HelloReply, NodeEntry,
    Produce, ProduceReply, ReadFrom, Stage, StageTimes, StatusReply, TracedReply, Unsubscribed,
};
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
    ClusterName, DiskId, ErrorCode, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GroupId, NodeId,
    Offset, Tail,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use crate::dump::{Annotated, Show};
use crate::{samples, tables};

/// What a vector holds, and so how it is parsed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Event,
    Chunk,
    Record,
    Frame(FrameKind),
}

/// One golden file.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) holds: Holds,
    pub(crate) content: Annotated,
}

pub(crate) fn all() -> Vec<Vector> {
    let one = |name: &str, title: &str, holds, content| Vector {
        name: name.to_owned(),
        title: title.to_owned(),
        holds,
        content,
    };
    let mut all = vec![
        one(
            "event_v1",
            "An event: the first flight of the file.",
            Holds::Event,
            samples::event(&samples::flight(0)),
        ),
        one(
            "chunk_v1",
            "A chunk of two events, sequences 128 and 129 of its producer's epoch 1.",
            Holds::Chunk,
            samples::first_chunk(),
        ),
        one(
            "chunk_ids_v1",
            "A chunk of one event that its source knows by an id, and of no producer.",
            Holds::Chunk,
            samples::chunk_with_ids(),
        ),
        one(
            "record_noop_v1",
            "A no-op record: the first of term 3.",
            Holds::Record,
            samples::noop(),
        ),
        one(
            "record_events_v1",
            "A record of two chunks of two producers: offsets 2048 to 2050.",
            Holds::Record,
            samples::events(),
        ),
    ];
    all.push(one(
        "record_commands_v1",
        "A record of two commands: a cursor moves on, and another one is deleted.",
        Holds::Record,
        samples::commands(),
    ));
    all.push(one(
        "record_member_commands_v1",
        "A record of commands of a member: it joins, commits and leaves; and it expires.",
        Holds::Record,
        samples::member_commands(),
    ));
    all.push(one(
        "record_raise_v1",
        "A record that raises the group's edition to 2: builds of edition 1 read it.",
        Holds::Record,
        samples::raise(),
    ));
    all.push(one(
        "record_delete_group_v2",
        "A record of a command that came with edition 2: builds of edition 1 do not read it.",
        Holds::Record,
        samples::delete_group(),
    ));
    all.push(one(
        "record_members_v1",
        "A record that names members: node 4 takes the place of node 1, and node 5 is a learner.",
        Holds::Record,
        samples::members(),
    ));
    all.extend(FrameKind::ALL.iter().map(|&kind| frame(kind)));
    all
}

fn frame(kind: FrameKind) -> Vector {
    let (title, message, tail) = body(kind);
    let checked: &[&[u8]] = match kind.tail() {
        Tail::None | Tail::Checked => &[&message, &tail.bytes],
        Tail::SelfChecked => &[&message],
    };
    let checked_len: usize = checked.iter().map(|part| part.len()).sum();
    let correlation = match kind.to_byte() {
        0x21..=0x27 => 0,
        _ => 7,
    };
    let head = FrameHeader::seal(
        kind,
        correlation,
        GroupId(0),
        checked,
        message.len() + tail.bytes.len() - checked_len,
    );
    assert_eq!(head.len(), FRAME_HEADER_BYTES);
    let name = format!("{kind:?}");
    let mut content = Annotated::table("frame", &head, tables::FRAME);
    if !message.is_empty() {
        content = content.then(Annotated::table(&name, &message, tables::message(kind)));
    }
    Vector {
        name: format!("frame_{}_v1", snake(&name)),
        title: format!("{name}: {title}"),
        holds: Holds::Frame(kind),
        content: content.then(tail),
    }
}

/// `HelloReply` becomes `hello_reply`.
fn snake(name: &str) -> String {
    name.chars()
        .enumerate()
        .flat_map(|(at, letter)| {
            let bar = (at > 0 && letter.is_uppercase()).then_some('_');
            bar.into_iter().chain(letter.to_lowercase())
        })
        .collect()
}

fn cluster() -> [u8; 16] {
    ClusterName::new("airport")
        .expect("it is a name")
        .to_bytes()
}

fn disk(node: u8) -> DiskId {
    let mut id = *b"\x8f\x21\xd4\x5a\xe6\x07\x4c\xb9\x93\x6e\x10\xf8\x2b\xc5\x7d\0";
    id[15] = node;
    DiskId(id)
}

/// Title, message and tail of a kind's sample.
fn body(kind: FrameKind) -> (&'static str, Vec<u8>, Annotated) {
    let bytes = |message: &dyn AsBytes| message.to_vec();
    let none = Annotated::default;
    match kind {
        FrameKind::Hello => (
            "a client greets any node of cluster `airport`.",
            bytes(&Hello {
                cluster: cluster(),
                version_min: 1,
                version_max: 1,
                flags: 0,
                reserved: [0; 5],
            }),
            none(),
        ),
        FrameKind::HelloReply => (
            "node 1 answers, and names node 2 as leader of term 7.",
            bytes(&HelloReply {
                cluster: cluster(),
                node: U32::new(1),
                leader: U32::new(2),
                leader_term: U64::new(7),
                window_bytes: U32::new(8 << 20),
                window_requests: U32::new(1024),
                group_count: U32::new(1),
                version: 1,
                node_count: 3,
                reserved: U16::new(0),
            }),
            nodes(),
        ),
        FrameKind::Produce => (
            "one chunk of one event, for every voter's disk; the frame's body checksum covers the message, the chunk has its own.",
            bytes(&Produce {
                acks: AckLevel::All.to_byte(),
                flags: 0,
                priority: 7,
                reserved: 0,
                timeout_ms: U32::new(1000),
            }),
            samples::second_chunk(),
        ),
        FrameKind::ProduceReply => (
            "the event has offset 2050, and is on every voter's disk.",
            bytes(&produced(AckLevel::All)),
            none(),
        ),
        FrameKind::TracedReply => (
            "a majority has the event, and the leader's own disk was still writing.",
            bytes(&TracedReply {
                reply: produced(AckLevel::Quorum),
                stages: stages(),
                reserved_too: U32::new(0),
            }),
            none(),
        ),
        FrameKind::Fetch => (
            "records from offset 2049 on with flights of one key, at most 64 KiB, once all before 2051 is committed.",
            bytes(&Fetch {
                wait_ms: U32::new(500),
                filter_clauses: U16::new(2),
                ..Fetch::new(ReadFrom::Offset(Offset(2049)), 65_536)
                    .with(Consistency::AtLeast(Offset(2051)))
            }),
            samples::filter(),
        ),
        FrameKind::FetchReply => (
            "one record; it begins one event before the asked offset.",
            bytes(&FetchReply {
                committed: U64::new(2051),
                start: U64::new(0),
                begin: U64::new(2049),
                next: U64::new(2051),
            }),
            samples::events(),
        ),
        FrameKind::Admin => {
            let ask = AdminAsk::Change(samples::addition());
            ("node 4 shall be added.", bytes(&ask.message()), none())
        }
        FrameKind::AdminReply => ("it is.", bytes(&admin_reply()), admin_members()),
        FrameKind::Status => ("a client asks.", Vec::new(), none()),
        FrameKind::Subscribe => (
            "everything from the tail on; 256 KiB may be pushed.",
            bytes(&Fetch::new(ReadFrom::Tail, 262_144)),
            none(),
        ),
        FrameKind::Credit => (
            "128 KiB more may be pushed.",
            bytes(&Credit {
                bytes: U32::new(131_072),
                reserved: U32::new(0),
            }),
            none(),
        ),
        FrameKind::Unsubscribe => ("push no more.", Vec::new(), none()),
        FrameKind::Push => (
            "one record; the subscription had begun at the tail.",
            bytes(&FetchReply {
                committed: U64::new(2051),
                start: U64::new(0),
                begin: U64::new(2048),
                next: U64::new(2051),
            }),
            samples::events(),
        ),
        FrameKind::Unsubscribed => (
            "read on from offset 2051.",
            bytes(&Unsubscribed {
                next: U64::new(2051),
            }),
            none(),
        ),
        FrameKind::StatusReply => ("node 2 leads.", bytes(&status()), none()),
        FrameKind::Audit => (
            "what did your log amount to at record 42?",
            bytes(&Audit {
                index: U64::new(42),
            }),
            none(),
        ),
        FrameKind::AuditReply => (
            "to this; 15 further records are applied.",
            bytes(&AuditReply {
                index: U64::new(42),
                applied: U64::new(57),
                digest: U64::new(0x5e6f_1d0c_22a9_b384),
                header_crc: U32::new(0xd106_ce1c),
                known: 1,
                reserved: [0; 3],
            }),
            none(),
        ),
        FrameKind::Command => (
            "the cursor `billing` moves on to offset 2049.",
            Vec::new(),
            samples::set_cursor(),
        ),
        FrameKind::CommandReply => (
            "it is there.",
            bytes(&CommandReply {
                value: U64::new(2049),
                term: U64::new(3),
            }),
            none(),
        ),
        FrameKind::Cursors => (
            "which cursors come after `billing`?",
            bytes(&Listed {
                name: samples::name("billing"),
                exact: 0,
                consistency: Listed::LINEARIZABLE,
                reserved: [0; 6],
            }),
            none(),
        ),
        FrameKind::Heartbeat => (
            "a member of `billing` is there.",
            bytes(&Heartbeat {
                name: samples::name("billing"),
                member: U64::new(samples::MEMBER.0),
            }),
            none(),
        ),
        FrameKind::HeartbeatReply => (
            "in generation 3 it has the lower half of the slots.",
            bytes(&HeartbeatReply {
                generation: U64::new(3),
                slots: U64::new(0xffff_ffff),
                committed: U64::new(2051),
                session_ms: U32::new(10_000),
                reserved: U32::new(0),
                offsets: [U64::new(2049); 64],
            }),
            none(),
        ),
        FrameKind::Groups => (
            "how does `billing` stand?",
            bytes(&Listed {
                name: samples::name("billing"),
                exact: 1,
                consistency: 0,
                reserved: [0; 6],
            }),
            none(),
        ),
        FrameKind::GroupsReply => (
            "it has one member.",
            bytes(&GroupsReply {
                name: samples::name("billing"),
                generation: U64::new(1),
                committed: U64::new(2051),
                member_count: U32::new(1),
                reserved: U32::new(0),
                offsets: [U64::new(2049); 64],
            }),
            member_entry(),
        ),
        FrameKind::CursorsReply => (
            "one does.",
            bytes(&CursorsReply {
                committed: U64::new(2051),
                count: U32::new(1),
                more: 0,
                reserved: [0; 3],
            }),
            cursor_entry(),
        ),
        FrameKind::Error => (
            "node 1 does not lead; node 2 does, in term 7.",
            bytes(&ErrorMessage {
                code: U16::new(ErrorCode::NotLeader.number()),
                reserved: U16::new(0),
                leader: U32::new(2),
                leader_term: U64::new(7),
                retry_after_ms: U32::new(0),
                reserved_too: U32::new(0),
                expected: U64::new(0),
                limit: U64::new(0),
            }),
            Annotated::default().field("text", b"node 2 leads group 0, not node 1", Show::Text),
        ),
        FrameKind::PeerHello
        | FrameKind::PreVote
        | FrameKind::PreVoteReply
        | FrameKind::Vote
        | FrameKind::VoteReply
        | FrameKind::Append
        | FrameKind::AppendReply
        | FrameKind::Repair
        | FrameKind::RepairReply
        | FrameKind::ReadIndex
        | FrameKind::ReadIndexReply
        | FrameKind::TimeoutNow
        | FrameKind::SnapshotOffer
        | FrameKind::SnapshotFetch
        | FrameKind::SnapshotChunk => peer_body(kind),
    }
}

fn produced(level: AckLevel) -> ProduceReply {
    ProduceReply {
        base_offset: U64::new(2050),
        term: U64::new(3),
        level: level.to_byte(),
        reserved: [0; 3],
        before: U32::new(0),
    }
}

fn stages() -> StageTimes {
    let mut stages = StageTimes::NONE;
    for (stage, nanoseconds) in [
        (Stage::Gate, 2_100),
        (Stage::Lane, 31_000),
        (Stage::Batch, 48_000),
        (Stage::FollowerWrite, 390_000),
        (Stage::Commit, 402_000),
        (Stage::Reply, 28_500),
    ] {
        stages.set(stage, nanoseconds);
    }
    stages
}

fn status() -> StatusReply {
    StatusReply {
        cluster: cluster(),
        node: U32::new(2),
        leader: U32::new(2),
        term: U64::new(3),
        last_index: U64::new(42),
        durable_index: U64::new(42),
        commit_index: U64::new(42),
        committed: U64::new(2051),
        digest: U64::new(0x90d1_4c7e_25ab_f336),
        log_bytes: U64::new(67_108_864),
        producers: U64::new(2),
        start_index: U64::new(17),
        start_offset: U64::new(832),
        ready_bytes: U64::new(402_653_184),
        snapshot_index: U64::new(40),
        snapshot_bytes: U64::new(4096),
        writes: U64::new(12),
        written_records: U64::new(25),
        written_bytes: U64::new(90_112),
        commit_p99: U64::new(1_179_648),
        catch_up_bytes: U64::new(33_554_432),
        process: U32::new(4711),
        role: 3,
        serves: 1,
        peers_up: 2,
        edition: 1,
        build: 2,
        priority: 1,
        reserved: [0; 6],
    }
}

fn member_entry() -> Annotated {
    let entry = MemberEntry {
        member: U64::new(samples::MEMBER.0),
        slots: U64::new(u64::MAX),
        session_ms: U32::new(10_000),
        reserved: U32::new(0),
    };
    Annotated::table("member entry", entry.as_bytes(), tables::MEMBER_ENTRY)
}

fn cursor_entry() -> Annotated {
    let entry = CursorEntry {
        name: samples::name("reports"),
        offset: U64::new(2030),
        set_at: U64::new(1_795_170_600_000_000_000),
    };
    Annotated::table("cursor entry", entry.as_bytes(), tables::CURSOR_ENTRY)
}

fn nodes() -> Annotated {
    (1..=3).fold(Annotated::default(), |nodes, node| {
        let entry = NodeEntry::new(NodeId(node), &format!("127.0.0.1:900{node}"));
        let entry = entry.expect("the address is short");
        nodes.then(Annotated::table(
            "node entry",
            entry.as_bytes(),
            tables::NODE_ENTRY,
        ))
    })
}

fn members() -> Annotated {
    (1..=3u8).fold(Annotated::default(), |members, node| {
        let member = Member::new(NodeId(u32::from(node)), disk(node));
        members.then(Annotated::table(
            "member",
            member.as_bytes(),
            tables::MEMBER,
        ))
    })
}

fn admin_reply() -> AdminReply {
    AdminReply {
        node: U32::new(1),
        leader: U32::new(2),
        term: U64::new(3),
        member_count: 4,
        reserved: [0; 7],
    }
}

fn admin_members() -> Annotated {
    (1..=4u32).fold(Annotated::default(), |members, node| {
        let member = AdminMember {
            node: U32::new(node),
            role: u8::from(node < 4),
            up: 1,
            reserved: U16::new(0),
            durable: U64::new(if node == 1 { 42 } else { 0 }),
        };
        members.then(Annotated::table(
            "member",
            member.as_bytes(),
            tables::ADMIN_MEMBER,
        ))
    })
}

fn peer_body(kind: FrameKind) -> (&'static str, Vec<u8>, Annotated) {
    let bytes = |message: &dyn AsBytes| message.to_vec();
    let none = Annotated::default;
    let vote = |term: u64, handed: u8| VoteMessage {
        term: U64::new(term),
        last_term: U64::new(2),
        last_index: U64::new(40),
        handed,
        reserved: [0; 7],
    };
    let reply = VoteReplyMessage {
        term: U64::new(3),
        granted: 1,
        reserved: [0; 7],
    };
    match kind {
        FrameKind::PeerHello => {
            let nodes: Vec<u8> = (1..=3u32).flat_map(u32::to_le_bytes).collect();
            let hello = PeerHello {
                cluster: cluster(),
                disk: disk(1).0,
                node: U32::new(1),
                to: U32::new(2),
                nodes_crc: U32::new(crc32(&[&nodes])),
                member_count: 3,
                version_min: 1,
                version_max: 1,
                joins: 0,
                edition: 2,
                group_edition: 1,
                priority: 1,
                reserved: [0; 5],
            };
            (
                "node 1 greets node 2; the group is formed.",
                bytes(&hello),
                members(),
            )
        }
        FrameKind::PreVote => (
            "would you vote for me in term 3?",
            bytes(&vote(3, 0)),
            none(),
        ),
        FrameKind::PreVoteReply => ("in term 3 I would.", bytes(&reply), none()),
        FrameKind::Vote => (
            "vote for me in term 3: the leader wants it.",
            bytes(&vote(3, 1)),
            none(),
        ),
        FrameKind::VoteReply => ("you have my vote in term 3.", bytes(&reply), none()),
        FrameKind::Append => ("records 41 and 42.", bytes(&append()), {
            samples::noop().then(samples::events())
        }),
        FrameKind::AppendReply => (
            "durable up to record 42.",
            bytes(&AppendReplyMessage {
                term: U64::new(3),
                session: append().session,
                round: append().round,
                index: U64::new(42),
                hint_term: U64::new(0),
                hint_index: U64::new(0),
                outcome: 1,
                reserved: [0; 7],
            }),
            none(),
        ),
        FrameKind::Repair => (
            "records 41 to 57 are missing here.",
            bytes(&RepairMessage {
                first: U64::new(41),
                last: U64::new(57),
                bytes_max: U32::new(1_048_576),
                reserved: U32::new(0),
            }),
            none(),
        ),
        FrameKind::RepairReply => (
            "here are the first two of them.",
            bytes(&RepairReplyMessage {
                first: U64::new(41),
                whole: 1,
                reserved: [0; 7],
                start: U64::new(30),
            }),
            samples::noop().then(samples::events()),
        ),
        FrameKind::ReadIndex => (
            "up to where must a read see that is asked now?",
            Vec::new(),
            none(),
        ),
        FrameKind::ReadIndexReply => (
            "up to record 42.",
            bytes(&ReadIndexReplyMessage {
                index: U64::new(42),
            }),
            none(),
        ),
        FrameKind::TimeoutNow => (
            "node 2 shall lead, after term 2.",
            bytes(&TimeoutNowMessage { term: U64::new(2) }),
            none(),
        ),
        FrameKind::SnapshotOffer => (
            "the log begins behind what node 2 has: here is what the records up to 40 amount to.",
            bytes(&SnapshotOfferMessage {
                term: U64::new(2),
                index: U64::new(40),
                bytes: U64::new(266_240),
            }),
            none(),
        ),
        FrameKind::SnapshotFetch => (
            "the second part of it.",
            bytes(&SnapshotFetchMessage {
                index: U64::new(40),
                position: U64::new(262_144),
            }),
            none(),
        ),
        FrameKind::SnapshotChunk => (
            "its beginning stands for the part.",
            bytes(&SnapshotChunkMessage {
                index: U64::new(40),
                position: U64::new(262_144),
                bytes: U64::new(266_240),
                crc: U32::new(crc32(&[b"QRN1"])),
                reserved: U32::new(0),
            }),
            none().field("part", b"QRN1", Show::Bytes),
        ),
        FrameKind::Hello
        | FrameKind::Produce
        | FrameKind::Fetch
        | FrameKind::Status
        | FrameKind::Subscribe
        | FrameKind::Credit
        | FrameKind::Unsubscribe
        | FrameKind::Push
        | FrameKind::Unsubscribed
        | FrameKind::Admin
        | FrameKind::AdminReply
        | FrameKind::HelloReply
        | FrameKind::ProduceReply
        | FrameKind::TracedReply
        | FrameKind::FetchReply
        | FrameKind::StatusReply
        | FrameKind::Audit
        | FrameKind::AuditReply
        | FrameKind::Command
        | FrameKind::CommandReply
        | FrameKind::Cursors
        | FrameKind::CursorsReply
        | FrameKind::Heartbeat
        | FrameKind::HeartbeatReply
        | FrameKind::Groups
        | FrameKind::GroupsReply
        | FrameKind::Error => unreachable!("clients' kinds have their own samples"),
    }
}

fn append() -> AppendMessage {
    AppendMessage {
        term: U64::new(3),
        session: U64::new(0x6e02_c1f5_88d9_3a47),
        round: U64::new(12),
        previous_term: U64::new(2),
        previous_index: U64::new(40),
        commit: U64::new(40),
        entry_term: U64::new(3),
        entry_count: U32::new(2),
        reserved: U32::new(0),
    }
}

/// Any message as bytes.
trait AsBytes {
    fn to_vec(&self) -> Vec<u8>;
}

impl<M: IntoBytes + zerocopy::Immutable> AsBytes for M {
    fn to_vec(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}
