//! Events, chunks and records of real flights, each with how to read its bytes.

use quorate_wire::admin::Change;
use quorate_wire::checksum::key_of;
use quorate_wire::filter::{CLAUSE_HEADER_BYTES, Clause};
use quorate_wire::limits::ALIGNMENT;
use quorate_wire::{
    Address, CHUNK_HEADER_BYTES, COMMAND_HEADER_BYTES, ChunkId, Command, DiskId,
    EVENT_HEADER_BYTES, Edition, Epoch, Event, EventId, Generation, GroupId, LogIndex, MemberId,
    MemberRole, Name, NodeId, Offset, Position, ProducerId, RECORD_HEADER_BYTES, RecordHeader,
    RecordKind, Roster, RosterEntry, RosterHead, Sequence, Slots, Stamp, Term, seal_chunk,
};

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::dump::{Annotated, Show};
use crate::tables;

/// Three departures of 2013-01-01: tail number, nanoseconds since 1970, the line of the file.
const FLIGHTS: [(&str, u64, &str); 3] = [
    (
        "N14228",
        1_357_035_420_000_000_000,
        "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
    ),
    (
        "N24211",
        1_357_036_380_000_000_000,
        "2013,1,1,533,529,4,850,830,20,UA,1714,N24211,LGA,IAH,227,1416,5,29,2013-01-01T10:00:00Z",
    ),
    (
        "N619AA",
        1_357_036_920_000_000_000,
        "2013,1,1,542,540,2,923,850,33,AA,1141,N619AA,JFK,MIA,160,1089,5,40,2013-01-01T10:00:00Z",
    ),
];

pub(crate) fn flight(number: usize) -> Event<'static> {
    let (tail, time, line) = FLIGHTS[number];
    Event {
        key: key_of(tail.as_bytes()),
        time,
        topic: b"flights",
        payload: line.as_bytes(),
        priority: 1,
    }
}

/// What a source may call the first flight.
pub(crate) const FLIGHT_ID: EventId = EventId(*b"N14228 2013 0515");

pub(crate) fn event(event: &Event) -> Annotated {
    let mut bytes = vec![0; event.size()];
    assert_eq!(event.write(&mut bytes), Ok(Some(event.size())));
    let (head, rest) = bytes.split_at(EVENT_HEADER_BYTES);
    let (topic, rest) = rest.split_at(event.topic.len());
    let (payload, padding) = rest.split_at(event.payload.len());
    assert!(padding.len() < ALIGNMENT, "padding is short");
    Annotated::table("event", head, tables::EVENT)
        .field("topic", topic, Show::Text)
        .field("payload", payload, Show::Text)
        .field("padding", padding, Show::Bytes)
}

pub(crate) fn chunk_bytes(id: ChunkId, events: &[Event]) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    for event in events {
        let at = bytes.len();
        bytes.resize(at + event.size(), 0);
        assert_eq!(event.write(&mut bytes[at..]), Ok(Some(event.size())));
    }
    seal_chunk(id, &mut bytes).expect("the sample is within its limits");
    bytes
}

pub(crate) fn chunk(id: ChunkId, events: &[Event]) -> Annotated {
    let bytes = chunk_bytes(id, events);
    let (head, rest) = bytes.split_at(CHUNK_HEADER_BYTES);
    let chunk = events.iter().fold(
        Annotated::table("chunk", head, tables::CHUNK),
        |chunk, one| chunk.then(event(one)),
    );
    assert_eq!(
        chunk.bytes[CHUNK_HEADER_BYTES..],
        *rest,
        "events lie side by side"
    );
    chunk
}

/// Flights of one tail number, by topic and key.
pub(crate) fn filter() -> Annotated {
    let topic = clause(&Clause::Topic(b"flights"), |clause, value| {
        let (value, padding) = value.split_at(b"flights".len());
        let clause = clause.field("value", value, Show::Text);
        clause.field("padding", padding, Show::Bytes)
    });
    let key = Clause::Key(key_of(b"N14228"));
    topic.then(clause(&key, |clause, value| {
        clause.field("value", value, Show::Bits)
    }))
}

fn clause(clause: &Clause<'_>, value: impl FnOnce(Annotated, &[u8]) -> Annotated) -> Annotated {
    let mut bytes = vec![0; clause.size()];
    assert_eq!(clause.write(&mut bytes), Ok(Some(clause.size())));
    let (head, rest) = bytes.split_at(CLAUSE_HEADER_BYTES);
    value(Annotated::table("clause", head, tables::CLAUSE), rest)
}

/// Two flights of one producer.
pub(crate) fn first_chunk() -> Annotated {
    chunk(
        chunk_id(0x5d1f_60a7_93c2_4be8, 128, 2),
        &[flight(0), flight(1)],
    )
}

/// One flight of another producer.
pub(crate) fn second_chunk() -> Annotated {
    chunk(chunk_id(0xa3e4_0c19_7b52_d806, 0, 1), &[flight(2)])
}

/// One flight of a source that has ids and no sequences.
pub(crate) fn chunk_with_ids() -> Annotated {
    let event = event(&flight(0));
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    bytes.extend(FLIGHT_ID.0);
    bytes.extend_from_slice(&event.bytes);
    let id = chunk_id(ProducerId::NONE.0, 7, 1);
    seal_chunk(id, &mut bytes).expect("the sample is within its limits");
    let (head, _) = bytes.split_at(CHUNK_HEADER_BYTES);
    let chunk = Annotated::table("chunk", head, tables::CHUNK);
    let chunk = chunk.field("id", &FLIGHT_ID.0, Show::Bytes).then(event);
    assert_eq!(chunk.bytes, bytes, "an id comes before its event");
    chunk
}

pub(crate) fn chunk_id(producer: u64, first: u64, events: u32) -> ChunkId {
    ChunkId {
        producer: ProducerId(producer),
        epoch: Epoch(1),
        first: Sequence(first),
        events,
    }
}

fn stamp(index: u64, kind: RecordKind, event_count: u16, previous: u32) -> Stamp {
    Stamp {
        position: Position {
            term: Term(3),
            index: LogIndex(index),
        },
        base_offset: Offset(2048),
        log_time: 1_795_170_600_000_000_000 + index * 1_000_000,
        group: GroupId(0),
        event_count,
        kind,
        previous,
    }
}

fn record(stamp: &Stamp, body: Annotated) -> Annotated {
    let head = RecordHeader::stamp(stamp, &body.bytes);
    assert_eq!(head.len(), RECORD_HEADER_BYTES);
    Annotated::table("record", &head, tables::RECORD).then(body)
}

/// A leader's first record of its term.
pub(crate) fn noop() -> Annotated {
    record(
        &stamp(41, RecordKind::Noop, 0, 0x1c9b_7a52),
        Annotated::default(),
    )
}

/// A name as formats carry it.
pub(crate) fn name(text: &str) -> [u8; 64] {
    Name::new(text).expect("it is a name").to_bytes()
}

fn command(heading: &str, command: Command, fields: tables::Table) -> Annotated {
    let bytes = command.encode();
    let (head, rest) = bytes.split_at(COMMAND_HEADER_BYTES);
    Annotated::table("command", head, tables::COMMAND).then(Annotated::table(heading, rest, fields))
}

/// A cursor moves on.
pub(crate) fn set_cursor() -> Annotated {
    let set = Command::SetCursor {
        name: Name::new("billing").expect("it is a name"),
        offset: Offset(2049),
        reset: false,
    };
    command("SetCursor", set, tables::SET_CURSOR)
}

/// A record of all that a member says.
pub(crate) fn member_commands() -> Annotated {
    let (name, member) = (Name::new("billing").expect("it is a name"), MEMBER);
    let join = Command::Join {
        name,
        member,
        start: Offset(0),
        session_ms: 10_000,
    };
    let commit = Command::Commit {
        name,
        member,
        generation: Generation(3),
        slots: Slots(0xffff_ffff),
        offset: Offset(2049),
    };
    let (leave, expire) = (
        Command::Leave { name, member },
        Command::Expire { name, member },
    );
    let body = command("Join", join, tables::JOIN)
        .then(command("Commit", commit, tables::COMMIT))
        .then(command("Leave", leave, tables::MEMBER_NAMED))
        .then(command("Expire", expire, tables::MEMBER_NAMED));
    let before = RecordHeader::parse(&noop().bytes).expect("the no-op is sound");
    record(&stamp(42, RecordKind::Commands, 0, before.header_crc), body)
}

/// The member of all samples.
pub(crate) const MEMBER: MemberId = MemberId(0x5eed_40b1_97c2_d03a);

/// A record of two commands.
pub(crate) fn commands() -> Annotated {
    let delete = Command::DeleteCursor {
        name: Name::new("old-reports").expect("it is a name"),
    };
    let body = set_cursor().then(command("DeleteCursor", delete, tables::DELETE_CURSOR));
    let before = RecordHeader::parse(&noop().bytes).expect("the no-op is sound");
    record(&stamp(42, RecordKind::Commands, 0, before.header_crc), body)
}

/// A record that raises the edition.
pub(crate) fn raise() -> Annotated {
    let raise = Command::Raise {
        edition: Edition::SECOND,
    };
    one_command("Raise", raise, tables::RAISE)
}

/// A record of a later version.
pub(crate) fn delete_group() -> Annotated {
    let delete = Command::DeleteGroup {
        name: Name::new("billing").expect("it is a name"),
    };
    one_command("DeleteGroup", delete, tables::DELETE_CURSOR)
}

fn one_command(title: &str, sample: Command, fields: tables::Table) -> Annotated {
    let before = RecordHeader::parse(&noop().bytes).expect("the no-op is sound");
    let stamp = stamp(42, RecordKind::Commands, 0, before.header_crc);
    record(&stamp, command(title, sample, fields))
}

/// Members on the way from nodes 1 to 3 to nodes 2 to 4; node 5 learns.
pub(crate) fn entries() -> Vec<RosterEntry> {
    let entry = |(node, role): (u8, MemberRole)| {
        let member = (NodeId(u32::from(node)), DiskId([node; 16]));
        let address = |text: String| Address::new(&text).expect("it is short");
        let peer = address(format!("10.0.0.{node}:7001"));
        let client = address(format!("node-{node}.example:9001"));
        RosterEntry::new(member, role, peer, client)
    };
    let roles = [
        (1, MemberRole::Leaving),
        (2, MemberRole::Staying),
        (3, MemberRole::Staying),
        (4, MemberRole::Voter),
        (5, MemberRole::Learner),
    ];
    roles.into_iter().map(entry).collect()
}

pub(crate) fn roster(entries: &[RosterEntry]) -> Roster<'_> {
    Roster {
        last_id: NodeId(5),
        entries,
    }
}

/// The record that names them.
pub(crate) fn members() -> Annotated {
    let entries = entries();
    let head = RosterHead {
        last_id: U32::new(5),
        count: u8::try_from(entries.len()).expect("a few"),
        reserved: [0; 3],
    };
    let head = Annotated::table("roster", head.as_bytes(), tables::ROSTER);
    let body = entries.iter().fold(head, |body, entry| {
        let entry = Annotated::table("member", entry.as_bytes(), tables::ROSTER_ENTRY);
        body.then(entry)
    });
    let before = RecordHeader::parse(&noop().bytes).expect("the no-op is sound");
    record(&stamp(42, RecordKind::Members, 0, before.header_crc), body)
}

/// Node 4 is to be added.
pub(crate) fn addition() -> Change {
    let address = |text| Address::new(text).expect("it is short");
    Change::Add {
        node: NodeId(4),
        peer: "10.0.0.4:7001".parse().expect("it is an address"),
        peer_text: address("10.0.0.4:7001"),
        client: address("node-4.example:9001"),
    }
}

/// The record after it: both chunks.
pub(crate) fn events() -> Annotated {
    let before = RecordHeader::parse(&noop().bytes).expect("the no-op is sound");
    record(
        &stamp(42, RecordKind::Events, 3, before.header_crc),
        first_chunk().then(second_chunk()),
    )
}
