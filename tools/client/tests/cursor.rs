//! The cursor by script: no sockets, no clock; every byte and every moment is written here.

mod support;

use std::time::Duration;

use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::{Endpoint, LinkNumber};
use quorate_client::{Batch, ClientError, ErrorCode, Offset, Time};
use quorate_wire::client::{Fetch, FetchReply};
use quorate_wire::{Chunk, Frame, FrameKind};
use support::frames::{self, Refuse};
use support::log::Log;
use zerocopy::{FromBytes, IntoBytes};

const MS: u64 = 1_000_000;

/// A cursor and the test's side of its connection.
struct Script {
    cursor: Cursor,
    now: Time,
}

/// A fetch as the node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    correlation: u64,
    offset: u64,
    wait_ms: u32,
}

impl Script {
    /// A cursor of two nodes, greeted by the first, that waits for an event.
    fn new(wait_ms: u64) -> (Self, Asked) {
        let mut script = Self {
            cursor: Cursor::new(CursorConfig {
                nodes: (1..=2).map(frames::address).collect(),
                cluster: None,
                offset: Offset(0),
                bytes_max: 1 << 20,
                check_chunks: true,
                stick: false,
                connect_timeout: Duration::from_secs(1),
                request_timeout: Duration::from_secs(2),
                patience: Duration::from_secs(10),
                seed: 1,
            }),
            now: Time(0),
        };
        assert_eq!(script.wished_node(), None, "nobody has asked for anything");
        script.cursor.fetch(wait_ms * MS, script.now);
        script.greet(1);
        let asked = script.asked();
        (script, asked)
    }

    fn link(&self) -> LinkNumber {
        self.cursor.wish().expect("a connection is wished").number
    }

    fn wished_node(&self) -> Option<usize> {
        let wish = self.cursor.wish()?;
        (1..=9).find(|&node| frames::address(node) == wish.address)
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(ms * MS);
        self.cursor.tick(self.now);
    }

    fn written(&mut self) -> Vec<u8> {
        let bytes = self.cursor.output(self.now).to_vec();
        self.cursor.wrote(bytes.len());
        bytes
    }

    fn greet(&mut self, node: u32) {
        let link = self.link();
        self.cursor.connected(link, self.now);
        let bytes = self.written();
        let hello = Frame::parse(&bytes).expect("sound").expect("whole");
        self.give(&frames::welcome(hello.header.correlation, node, 1, 2));
    }

    fn asked(&mut self) -> Asked {
        let bytes = self.written();
        let frame = Frame::parse(&bytes).expect("sound").expect("one is asked");
        assert_eq!(frame.header.kind, FrameKind::Fetch);
        let fetch = Fetch::read_from_bytes(frame.message).expect("it has its length");
        Asked {
            correlation: frame.header.correlation,
            offset: fetch.offset.get(),
            wait_ms: fetch.wait_ms.get(),
        }
    }

    fn give(&mut self, bytes: &[u8]) {
        let link = self.link();
        let taken = self.cursor.received(link, bytes, self.now);
        assert_eq!(taken, bytes.len(), "whole frames are taken whole");
    }

    fn batch(&mut self) -> Batch {
        let end = self.cursor.take().expect("the call has ended");
        end.expect("it has ended well")
    }
}

/// A log with so many events, one a record.
fn log(events: u64) -> Log {
    let mut log = Log::default();
    for at in 0..events {
        let mut bytes = vec![0; quorate_wire::CHUNK_HEADER_BYTES];
        bytes.extend_from_slice(&frames::event(b"payload"));
        let id = quorate_client::ChunkId {
            producer: quorate_client::ProducerId(1),
            epoch: quorate_client::Epoch(0),
            first: quorate_client::Sequence(at),
            events: 1,
        };
        quorate_wire::seal_chunk(id, &mut bytes).expect("it is within its limits");
        let (chunk, _) = Chunk::parse(&bytes).expect("it is sound");
        log.take(&chunk).expect("it comes in sequence");
    }
    log
}

fn answer(asked: Asked, committed: u64, records: &[u8]) -> Vec<u8> {
    let reply = FetchReply {
        committed: committed.into(),
        start: 0.into(),
    };
    frames::frame(
        FrameKind::FetchReply,
        asked.correlation,
        reply.as_bytes(),
        records,
    )
}

#[test]
fn the_next_batch_is_asked_for_while_the_caller_looks_at_one() {
    let (mut script, asked) = Script::new(300);
    assert_eq!((asked.offset, asked.wait_ms), (0, 300));
    let log = log(3);
    script.give(&answer(
        asked,
        3,
        &log.records.concat()[..log.records[0].len()],
    ));
    assert_eq!(script.batch().next_offset(), Offset(1));
    let ahead = script.asked();
    assert_eq!((ahead.offset, ahead.wait_ms), (1, 0));
    let bytes = answer(ahead, 3, &log.from(1, 1 << 20));
    let taken = script.cursor.received(script.link(), &bytes, script.now);
    assert_eq!(taken, 0, "nobody has asked for it yet");
    script.pass(60_000);
    assert_eq!(
        script.wished_node(),
        Some(1),
        "the caller's silence is not the node's"
    );
    script.cursor.fetch(0, script.now);
    script.give(&bytes);
    assert_eq!(script.batch().next_offset(), Offset(3));
}

#[test]
fn a_node_that_has_nothing_yet_is_asked_again_for_the_rest_of_the_time() {
    let (mut script, asked) = Script::new(2_000);
    assert_eq!(asked.wait_ms, 1000, "long waits are asked for in pieces");
    script.pass(1_000);
    script.give(&answer(asked, 0, &[]));
    assert!(script.cursor.take().is_none());
    assert_eq!(script.written(), [], "not in the same moment");
    script.pass(1);
    let again = script.asked();
    assert_eq!(again.wait_ms, 999);
    script.pass(999);
    script.give(&answer(again, 0, &[]));
    assert!(script.batch().is_empty());
}

#[test]
fn a_large_answer_on_a_slow_way_is_no_silence() {
    let (mut script, asked) = Script::new(0);
    let bytes = answer(asked, 1, &log(1).records.concat());
    for part in 1..5 {
        let link = script.link();
        let part = bytes.get(..part * 10).expect("it is longer");
        assert_eq!(script.cursor.received(link, part, script.now), 0);
        script.pass(1_999);
    }
    assert_eq!(script.wished_node(), Some(1), "its bytes still come in");
    let link = script.link();
    let same = bytes.get(..40).expect("it is longer");
    assert_eq!(script.cursor.received(link, same, script.now), 0);
    script.pass(1_999);
    assert_eq!(script.wished_node(), Some(2), "nothing comes any more");
}

#[test]
fn a_node_that_is_behind_is_passed_over_and_one_that_refuses_ends_the_call() {
    let (mut script, asked) = Script::new(0);
    script.give(&answer(asked, 3, &log(3).records.concat()));
    assert_eq!(script.batch().next_offset(), Offset(3));
    script.cursor.fetch(0, script.now);
    let asked = script.asked();
    let refuse = Refuse::code(ErrorCode::OffsetPastEnd).expected(2);
    script.give(&frames::refused(asked.correlation, &refuse));
    assert!(script.cursor.take().is_none(), "another node has shown it");
    script.pass(10);
    script.greet(2);
    let asked = script.asked();
    let refuse = Refuse::code(ErrorCode::GroupUnknown);
    script.give(&frames::refused(asked.correlation, &refuse));
    let end = script.cursor.take().expect("the call has ended");
    let code = end.as_ref().err().and_then(ClientError::code);
    assert_eq!(code, Some(ErrorCode::GroupUnknown), "{end:?}");
}

#[test]
fn patience_ends_with_the_last_trouble() {
    let (mut script, _) = Script::new(0);
    for _ in 0..1000 {
        if script.cursor.take().is_some_and(|end| end.is_err()) {
            assert!(script.now.0 >= 10_000 * MS, "not before its time");
            assert_eq!(script.cursor.deadline(), None, "nothing is open");
            return;
        }
        let due = script.cursor.deadline().expect("a call is open");
        script.now = script.now.max(due);
        script.cursor.tick(script.now);
    }
    panic!("a call has an end");
}
