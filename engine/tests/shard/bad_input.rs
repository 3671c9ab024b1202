//! A client that talks nonsense: each kind of it has its code, and costs that connection at most.

use std::io::Write;

use quorate_engine::config::Limits;
use quorate_wire::checksum::crc32;
use quorate_wire::client::{Fetch, FetchReply, Hello, ProduceReply, ReadFrom};
use quorate_wire::peer::VoteMessage;
use quorate_wire::{ErrorCode, FRAME_HEADER_BYTES, FrameKind};
use zerocopy::{FromZeros, IntoBytes};

use crate::support::{Client, Rig, chunk, fetch, frame, produce, status, wait_for};

/// Writes the checksum that the header's bytes have now.
fn reseal(frame: &mut [u8]) {
    let crc = crc32(&[&frame[8..FRAME_HEADER_BYTES]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// A status frame with a header that was changed, and then sealed as if it were right.
fn with_header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = status(1);
    change(&mut bytes);
    reseal(&mut bytes);
    bytes
}

/// What ends a connection, with its code.
fn fatal_cases() -> Vec<(&'static str, ErrorCode, Vec<u8>)> {
    let mut flipped = status(1);
    flipped[17] ^= 1;
    let mut hello_flipped = crate::support::hello([0; 16], 1, 1);
    hello_flipped[40] ^= 1;
    let body_flipped = {
        let mut bytes = fetch(1, 0, 1, 0);
        bytes[40] ^= 1;
        bytes
    };
    let vote = frame(
        FrameKind::Vote,
        1,
        0,
        VoteMessage::new_zeroed().as_bytes(),
        &[],
    );
    let produced = ProduceReply::new_zeroed();
    let reply = frame(FrameKind::ProduceReply, 1, 0, produced.as_bytes(), &[]);
    let fetched = FetchReply::new_zeroed();
    let large_reply = frame(FrameKind::FetchReply, 1, 0, fetched.as_bytes(), &[0; 4096]);
    vec![
        (
            "another protocol",
            ErrorCode::FrameMagic,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
        (
            "four bytes of another protocol",
            ErrorCode::FrameMagic,
            b"\x16\x03\x01\x02".to_vec(),
        ),
        (
            "a flipped bit in the header",
            ErrorCode::FrameHeaderChecksum,
            flipped,
        ),
        (
            "another version",
            ErrorCode::FrameVersion,
            with_header(|header| header[28] = 2),
        ),
        (
            "an unknown kind",
            ErrorCode::FrameKind,
            with_header(|header| header[29] = 0x7f),
        ),
        (
            "flags",
            ErrorCode::FrameKind,
            with_header(|header| header[30] = 1),
        ),
        ("a peer's kind", ErrorCode::FrameKind, vote),
        ("a node's kind", ErrorCode::FrameKind, reply),
        (
            "the start of a node's kind",
            ErrorCode::FrameKind,
            large_reply[..64].to_vec(),
        ),
        (
            "an oversized length",
            ErrorCode::FrameTooLarge,
            with_header(|header| header[8..12].copy_from_slice(&u32::MAX.to_le_bytes())),
        ),
        (
            "an oversized chunk",
            ErrorCode::FrameTooLarge,
            with_header(|header| {
                header[8..12].copy_from_slice(&((1_u32 << 20) + 9).to_le_bytes());
                header[29] = FrameKind::Produce.to_byte();
            }),
        ),
        (
            "a body where none belongs",
            ErrorCode::FrameLength,
            with_header(|header| header[8] = 8),
        ),
        (
            "a flipped bit in the body",
            ErrorCode::FrameBodyChecksum,
            body_flipped,
        ),
        (
            "a flipped bit in a greeting",
            ErrorCode::FrameBodyChecksum,
            hello_flipped,
        ),
    ]
}

#[test]
fn what_is_no_frame_of_ours_ends_the_connection_with_its_code() {
    let rig = Rig::with_defaults();
    let mut other = rig.client();
    for (what, code, bytes) in fatal_cases() {
        let mut client = rig.client();
        client.send(&bytes);
        let text = client.expect_end(code);
        assert!(!text.is_empty(), "{what} has no sentence");
        other.expect_answer(1);
    }
    assert!(rig.pipeline.seen().is_empty(), "nothing came near the log");
}

#[test]
fn before_the_greeting_it_has_the_same_codes() {
    let rig = Rig::with_defaults();
    for (what, code, bytes) in fatal_cases() {
        let mut client = Client::connect(rig.address);
        client.send(&bytes);
        let text = client.expect_end(code);
        assert!(!text.is_empty(), "{what} has no sentence");
    }
}

#[test]
fn a_produce_request_without_sense_ends_the_connection() {
    let rig = Rig::with_defaults();
    for (acks, flags) in [(3, 0), (0xff, 0), (0, 2), (1, 0x81)] {
        let mut client = rig.client();
        let asks = [acks, flags, 0, 0, 0, 0, 0, 0];
        client.send(&frame(FrameKind::Produce, 1, 0, &asks, &chunk(0, 1, 8)));
        client.expect_end(ErrorCode::MessageInvalid);
    }
    assert!(rig.pipeline.seen().is_empty(), "nothing came near the log");
}

#[test]
fn a_client_that_is_told_may_finish_its_sentence() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&[b'?'; 8]);
    client.expect_end(ErrorCode::FrameMagic);
    // A socket that was closed at once would answer this with a reset, which may overtake the reason on its way.
    client.send(&vec![b'!'; 1 << 20]);
    drop(client);
    wait_for("it is gone", || {
        rig.counters().connections_closed.get() == 1
    });
}

#[test]
fn a_client_that_left_after_its_nonsense_is_told() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&[b'?'; 8]);
    client.close_write_side();
    client.expect_end(ErrorCode::FrameMagic);
    wait_for("it is gone", || {
        rig.counters().connections_closed.get() == 1
    });
}

#[test]
fn what_came_before_the_nonsense_counts() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&[produce(1, &chunk(0, 1, 8)), b"nonsense".to_vec()].concat());
    client.expect_end(ErrorCode::FrameMagic);
    wait_for("the chunk is there", || rig.pipeline.seen().len() == 1);
}

#[test]
fn a_bad_chunk_costs_its_request_only() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    let good = chunk(0, 2, 10);
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    let mut bad_event = good.clone();
    bad_event[32 + 23] = 1;
    let crc = crc32(&[&bad_event[..28], &bad_event[32..]]);
    bad_event[28..32].copy_from_slice(&crc.to_le_bytes());
    let cases = [
        (ErrorCode::ChunkChecksum, flipped),
        (ErrorCode::EventInvalid, bad_event),
        (ErrorCode::ChunkInvalid, good[..good.len() - 8].to_vec()),
        (ErrorCode::ChunkInvalid, good[..16].to_vec()),
        (ErrorCode::ChunkInvalid, Vec::new()),
        (
            ErrorCode::ChunkInvalid,
            [good.clone(), good.clone()].concat(),
        ),
    ];
    for (at, (code, bytes)) in (1..).zip(cases) {
        client.send(&produce(at, &bytes));
        client.expect_refusal(at, code);
        client.expect_answer(at + 100);
    }
    assert!(rig.pipeline.seen().is_empty(), "nothing came near the log");
    client.send(&produce(50, &good));
    assert_eq!(client.read().correlation, 50);
}

#[test]
fn there_is_one_group() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&frame(FrameKind::Produce, 1, 1, &[0; 8], &chunk(0, 1, 8)));
    client.expect_refusal(1, ErrorCode::GroupUnknown);
    let mut other = fetch(2, 0, 1, 0);
    other[24] = 9;
    reseal(&mut other);
    client.send(&other);
    let text = client.expect_refusal(2, ErrorCode::GroupUnknown);
    assert!(text.contains("group 9"), "{text}");
    assert!(rig.pipeline.seen().is_empty());
}

#[test]
fn a_read_from_nowhere_ends_the_connection() {
    let cases: [fn(&mut Fetch); 2] = [|fetch| fetch.from = 4, |fetch| fetch.consistency = 3];
    for change in cases {
        let rig = Rig::with_defaults();
        let mut message = Fetch::new(ReadFrom::Start, 1);
        change(&mut message);
        let mut client = rig.client();
        client.send(&frame(FrameKind::Fetch, 1, 0, message.as_bytes(), &[]));
        client.expect_end(ErrorCode::MessageInvalid);
    }
}

#[test]
fn a_filter_that_is_none_costs_its_request_only() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    let filtered = |correlation, clauses: u16, filter: &[u8]| {
        let mut message = Fetch::new(ReadFrom::Start, 1);
        message.filter_clauses = clauses.into();
        let body = [message.as_bytes(), filter].concat();
        frame(FrameKind::Fetch, correlation, 0, &body, &[])
    };
    let no_slots = [4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let unknown = [9, 0, 0, 0, 0, 0, 0, 0];
    let cases = [(1, &no_slots[..]), (1, &unknown), (2, &unknown), (1, &[])];
    for (correlation, (clauses, filter)) in (1..).zip(cases) {
        client.send(&filtered(correlation, clauses, filter));
        client.expect_refusal(correlation, ErrorCode::FilterInvalid);
    }
    client.send(&filtered(9, 0, &unknown));
    client.expect_refusal(9, ErrorCode::FilterInvalid);
    assert!(rig.pipeline.seen().is_empty());
}

#[test]
fn half_a_frame_and_silence_is_too_late() {
    let rig = Rig::start(Limits {
        frame_ms: 50,
        ..Limits::default()
    });
    let whole = produce(1, &chunk(0, 64, 64));
    for cut in [1, FRAME_HEADER_BYTES, whole.len() - 1] {
        let mut client = rig.client();
        client.send(&[&whole[..], &whole[..cut]].concat());
        assert_eq!(client.read().correlation, 1);
        let text = client.expect_end(ErrorCode::FrameTimeout);
        assert!(text.contains("50 ms"), "{text}");
    }
    // A frame that dribbles in is as late as one that stands still.
    let mut client = rig.client();
    let mut sent = 0;
    let late = loop {
        if client.socket.write_all(&whole[sent..=sent]).is_err() {
            break true;
        }
        sent += 1;
        if sent == whole.len() {
            break false;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.socket.set_nonblocking(true).expect("it is a socket");
        let is_over = client.socket.peek(&mut [0]).is_ok();
        client
            .socket
            .set_nonblocking(false)
            .expect("it is a socket");
        if is_over {
            break true;
        }
    };
    assert!(late, "the frame came to its end after {sent} ms");
    client.expect_end(ErrorCode::FrameTimeout);
}

#[test]
fn the_hello_of_this_test_is_as_long_as_it_should_be() {
    // `fatal_cases` flips bits at fixed places: they must be where it thinks they are.
    assert_eq!(size_of::<Hello>(), 24);
    assert_eq!(fetch(1, 0, 1, 0).len(), 64);
}
