//! What a client asks, and what it gets.

use std::thread;

use quorate_wire::client::{AckLevel, FetchReply, Produce, Stage, TracedReply};
use quorate_wire::limits::CHUNK_BYTES_MAX;
use quorate_wire::{FrameKind, Offset, Sequence};
use zerocopy::FromBytes;

use crate::support::{Client, Rig, chunk, fetch, frame, merging_hello, produce, status};

#[test]
fn chunks_in_flight_keep_their_order() {
    const CHUNKS: u64 = 1024;
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    let bytes: Vec<u8> = (0..CHUNKS)
        .flat_map(|at| produce(at, &chunk(4 * at, 4, 60)))
        .collect();
    let mut writer = client.socket.try_clone().expect("a socket has two ends");
    let writing = thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
    for at in 0..CHUNKS {
        let answer = client.read();
        assert_eq!(
            (answer.correlation, answer.produced()),
            (at, Offset(4 * at))
        );
    }
    writing
        .join()
        .expect("it does not panic")
        .expect("the shard reads");
    let seen: Vec<_> = rig.pipeline.seen().iter().map(|id| id.first).collect();
    let sent: Vec<_> = (0..CHUNKS).map(|at| Sequence(4 * at)).collect();
    assert_eq!(seen, sent);
}

#[test]
fn a_chunk_gets_the_level_that_was_reached_and_on_request_its_way() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    for (at, level) in (0..).zip(AckLevel::ALL) {
        let asks = [level.to_byte(), Produce::TRACE, 0, 0, 0, 0, 0, 0];
        client.send(&frame(FrameKind::Produce, at, 0, &asks, &chunk(at, 1, 8)));
        let answer = client.read();
        assert_eq!(
            (answer.kind, answer.correlation),
            (FrameKind::TracedReply, at)
        );
        let traced = TracedReply::read_from_bytes(&answer.message).expect("it has its length");
        assert_eq!(AckLevel::from_byte(traced.reply.level), Some(level));
        assert_eq!(traced.reply.base_offset.get(), at);
        // The played pipeline has no stages of its own.
        let known = Stage::ALL.map(|stage| traced.stages.get(stage).is_some());
        assert_eq!(known, [true, false, false, false, false, false, true]);
    }
    client.send(&produce(9, &chunk(9, 1, 8)));
    assert_eq!(client.read().kind, FrameKind::ProduceReply);
}

#[test]
fn one_answer_stands_for_several_requests_if_the_client_says_so() {
    let rig = Rig::with_defaults();
    let produced = |firsts: std::ops::Range<u64>| -> Vec<u8> {
        firsts
            .flat_map(|at| produce(at, &chunk(at, 1, 3)))
            .collect()
    };
    let mut plain = rig.client();
    plain.send(&produced(0..4));
    for at in 0..4 {
        assert_eq!(plain.read().produced_all(), (at..=at, at));
    }
    let mut client = Client::connect(rig.address);
    client.send(&[merging_hello(), produced(4..8)].concat());
    assert_eq!(client.read().kind, FrameKind::HelloReply);
    // The played pipeline answers the first one of a run by itself.
    assert_eq!(client.read().produced_all(), (4..=4, 4));
    assert_eq!(client.read().produced_all(), (5..=7, 5));
    let seen = rig.pipeline.seen();
    assert_eq!(
        seen.iter().map(|id| id.first.0).collect::<Vec<_>>(),
        (0..8).collect::<Vec<_>>()
    );
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    let bytes: Vec<u8> = (0..3)
        .flat_map(|at| produce(at, &chunk(at, 1, 3)))
        .collect();
    for byte in &bytes {
        client.send(std::slice::from_ref(byte));
    }
    for at in 0..3 {
        assert_eq!(client.read().correlation, at);
    }
    assert_eq!(rig.pipeline.seen().len(), 3);
}

#[test]
fn the_largest_chunk_passes_between_small_ones() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    // One event whose size, with its header of 24 bytes, its topic of one and the padding, fills the chunk.
    let largest = chunk(1, 1, CHUNK_BYTES_MAX - 32 - 32 + 7);
    assert_eq!(largest.len(), CHUNK_BYTES_MAX);
    for round in 0..4 {
        let frames = [
            produce(round, &chunk(0, 1, 8)),
            produce(round + 10, &largest),
            produce(round + 20, &chunk(2, 1, 150_000)),
            status(round + 30),
        ];
        let mut writer = client.socket.try_clone().expect("a socket has two ends");
        let writing =
            thread::spawn(move || std::io::Write::write_all(&mut writer, &frames.concat()));
        for expected in [round, round + 10, round + 20, round + 30] {
            assert_eq!(client.read().correlation, expected);
        }
        writing
            .join()
            .expect("it does not panic")
            .expect("the shard reads");
    }
    assert_eq!(rig.pipeline.seen().len(), 12);
}

#[test]
fn records_and_status_are_answered() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&fetch(5, 17, 64, 1000));
    let answer = client.read();
    assert_eq!(
        (answer.kind, answer.correlation),
        (FrameKind::FetchReply, 5)
    );
    let reply = FetchReply::read_from_bytes(&answer.message).expect("it has its length");
    assert_eq!(reply.begin.get(), 17);
    assert_eq!(answer.tail, [7; 64]);
    client.expect_answer(6);
}

#[test]
fn a_client_that_closed_its_side_gets_its_answers() {
    let rig = Rig::with_defaults();
    rig.pipeline.answer();
    let mut client = rig.client();
    rig.pipeline.hold();
    client.send(&[produce(1, &chunk(0, 1, 8)), status(2)].concat());
    client.close_write_side();
    rig.pipeline.wait_until_it_holds(2);
    rig.pipeline.answer();
    assert_eq!(client.read().correlation, 1);
    assert_eq!(client.read().correlation, 2);
    client.expect_silence();
}

#[test]
fn two_requests_of_one_name_get_two_answers() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&[status(7), status(7)].concat());
    assert_eq!(
        [client.read().correlation, client.read().correlation],
        [7, 7]
    );
    client.expect_answer(8);
}
