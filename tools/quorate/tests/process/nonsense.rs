//! Clients that do not speak the protocol, or stop speaking it: each gets its code, and the node does not notice.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};

use quorate_client::{ChunkId, Epoch, ErrorCode, Event, ProducerId, Sequence};
use quorate_engine::config::Config;
use quorate_wire::limits::CHUNK_BYTES_MAX;
use quorate_wire::{CHUNK_HEADER_BYTES, FRAME_HEADER_BYTES, FrameKind, checksum, seal_chunk};

use crate::load::Load;
use crate::logs;
use crate::raw::{Client, Heard, frame, hello};
use crate::world::{World, small_segments, wait_for};

fn impatient(config: &mut Config) {
    small_segments(config);
    config.limits.connections = 40;
    config.limits.hello_ms = 1500;
    config.limits.frame_ms = 1500;
}

fn chunk() -> Vec<u8> {
    let event = Event {
        key: 1,
        time: 2,
        topic: b"nonsense",
        payload: b"sense",
        priority: 0,
    };
    let mut bytes = vec![0; CHUNK_HEADER_BYTES + event.size()];
    event
        .write(&mut bytes[CHUNK_HEADER_BYTES..])
        .expect("it is within its limits");
    let id = ChunkId {
        producer: ProducerId(4),
        epoch: Epoch(0),
        first: Sequence(0),
        events: 1,
    };
    seal_chunk(id, &mut bytes).expect("it is within its limits");
    bytes
}

/// A frame header with other bytes in it, and a checksum that fits them.
fn patched(mut frame: Vec<u8>, at: usize, patch: &[u8]) -> Vec<u8> {
    frame[at..at + patch.len()].copy_from_slice(patch);
    let crc = checksum::crc32(&[&frame[8..FRAME_HEADER_BYTES]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame
}

/// The same bytes with one of them changed.
fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 0x10;
    bytes
}

#[test]
fn each_kind_of_nonsense_has_its_code_and_costs_one_connection() {
    let mut world = World::start_with(impatient);
    let leader = world.leader();
    let address = world.local.address(leader).to_owned();
    let process = world.local.process_id(leader);
    let load = Load::start(world.local.addresses());

    let produce = |chunk: &[u8]| frame(FrameKind::Produce, &[0; 8], chunk);
    let too_large = u32::try_from(CHUNK_BYTES_MAX + 4096).expect("it is small");
    let greeted: [(&str, Vec<u8>, ErrorCode); 8] = [
        (
            "the magic",
            b"GET / HTTP/1.1\r\n\r\n".repeat(4),
            ErrorCode::FrameMagic,
        ),
        (
            "the header's checksum",
            flipped(produce(&chunk()), 20),
            ErrorCode::FrameHeaderChecksum,
        ),
        (
            "the version",
            patched(produce(&chunk()), 28, &[9]),
            ErrorCode::FrameVersion,
        ),
        (
            "the kind",
            patched(produce(&chunk()), 29, &[0x77]),
            ErrorCode::FrameKind,
        ),
        (
            "a node's kind",
            patched(produce(&[]), 29, &[FrameKind::ProduceReply.to_byte()]),
            ErrorCode::FrameLength,
        ),
        (
            "a length",
            patched(produce(&chunk()), 8, &(too_large * 2).to_le_bytes()),
            ErrorCode::FrameTooLarge,
        ),
        (
            "the body's checksum",
            patched(hello(), 12, &[1, 2, 3, 4]),
            ErrorCode::FrameBodyChecksum,
        ),
        (
            "half a frame and silence",
            produce(&chunk())[..40].to_vec(),
            ErrorCode::FrameTimeout,
        ),
    ];
    for (what, bytes, code) in &greeted {
        let mut client = Client::connect(&address);
        client.say(&hello());
        assert_eq!(client.hear(), Heard::Frame(FrameKind::HelloReply), "{what}");
        client.say(bytes);
        assert_eq!(client.hear(), Heard::Refused(*code), "{what}");
        assert_eq!(client.hear(), Heard::End, "{what}");
    }
    let ungreeted: [(&str, Vec<u8>); 2] =
        [("silence", Vec::new()), ("no greeting", produce(&chunk()))];
    for (what, bytes) in &ungreeted {
        let mut client = Client::connect(&address);
        client.say(bytes);
        assert_eq!(
            client.hear(),
            Heard::Refused(ErrorCode::HelloExpected),
            "{what}"
        );
        assert_eq!(client.hear(), Heard::End, "{what}");
    }

    assert_eq!(world.local.process_id(leader), process, "the node lives");
    load.wait_acked(100);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_bad_chunk_costs_one_request_and_never_reaches_the_log() {
    let mut world = World::start();
    let leader = world.leader();
    let mut client = Client::connect(world.local.address(leader));
    client.say(&hello());
    assert_eq!(client.hear(), Heard::Frame(FrameKind::HelloReply));
    for (bytes, code) in [
        (
            flipped(chunk(), CHUNK_HEADER_BYTES + 30),
            ErrorCode::ChunkChecksum,
        ),
        (
            chunk()[..CHUNK_HEADER_BYTES].to_vec(),
            ErrorCode::ChunkInvalid,
        ),
        (Vec::new(), ErrorCode::ChunkInvalid),
    ] {
        client.say(&frame(FrameKind::Produce, &[0; 8], &bytes));
        assert_eq!(client.hear(), Heard::Refused(code));
    }
    client.say(&frame(FrameKind::Produce, &[0; 8], &chunk()));
    assert_eq!(
        client.hear(),
        Heard::Frame(FrameKind::ProduceReply),
        "the connection goes on"
    );
    drop(client);
    logs::check(&mut world, &[]);
}

#[test]
fn random_bytes_harm_nobody() {
    let mut world = World::start_with(impatient);
    let load = Load::start(world.local.addresses());
    let processes: Vec<_> = world
        .local
        .nodes()
        .iter()
        .map(|node| world.local.process_id(*node))
        .collect();
    // Knuth's generator: the same bytes on each run.
    let mut state: u64 = 0x5eed;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()[0]
    };
    for round in 0..200 {
        let mut bytes = if round % 2 == 0 { Vec::new() } else { hello() };
        bytes.extend((0..usize::from(random()) * 8).map(|_| random()));
        for config in &world.local.spec().configs {
            for address in [&config.this().client, &config.this().peer] {
                let mut stream = TcpStream::connect(address).expect("the node listens");
                // The node may have closed before the last byte is written.
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
    load.wait_acked(100);
    let sent = load.finish();
    let after: Vec<_> = world
        .local
        .nodes()
        .iter()
        .map(|node| world.local.process_id(*node))
        .collect();
    assert_eq!(after, processes, "all nodes live");
    logs::check(&mut world, &[sent]);
}

#[test]
fn more_connections_than_allowed_are_told_so() {
    let mut world = World::start_with(impatient);
    let leader = world.leader();
    let address = world.local.address(leader).to_owned();
    let load = Load::start(world.local.addresses());
    load.wait_acked(100);
    let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(&address)).collect();
    for client in &mut clients {
        client.say(&hello());
    }
    let mut greeted = 0;
    for client in &mut clients {
        let heard = client.hear();
        if heard == Heard::Frame(FrameKind::HelloReply) {
            greeted += 1;
        } else {
            assert_eq!(heard, Heard::Refused(ErrorCode::TooManyConnections));
        }
    }
    assert!(
        greeted > 0 && greeted < 40,
        "{greeted} of 60 were taken, beside the load"
    );
    load.wait_acked(100);
    drop(clients);
    wait_for("room for a new client", || {
        let mut client = Client::connect(&address);
        client.say(&hello());
        (client.hear() == Heard::Frame(FrameKind::HelloReply)).then_some(())
    });
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
