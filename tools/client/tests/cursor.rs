//! The cursor by script: no sockets, no clock; every byte and every moment is written here.

mod support;

use std::time::Duration;

use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::{Endpoint, LinkNumber};
use quorate_client::{
    Batch, Clause, ClientError, Consistency, ErrorCode, Filter, LinkCause, Offset, ReadFrom, Time,
};
use quorate_wire::client::{Credit, Fetch, FetchReply};
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
    from: ReadFrom,
    offset: u64,
    wait_ms: u32,
}

impl Script {
    /// A cursor of two nodes, greeted by the first, that waits for an event.
    fn new(wait_ms: u64) -> (Self, Asked) {
        Self::with(ReadFrom::Offset(Offset(0)), Filter::default(), wait_ms)
    }

    fn with(from: ReadFrom, filter: Filter, wait_ms: u64) -> (Self, Asked) {
        Self::reads(from, filter, wait_ms, false)
    }

    fn reads(from: ReadFrom, filter: Filter, wait_ms: u64, push: bool) -> (Self, Asked) {
        let mut script = Self {
            cursor: Cursor::new(CursorConfig {
                nodes: (1..=2).map(frames::address).collect(),
                cluster: None,
                from,
                filter,
                push,
                consistency: Consistency::Any,
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
        let kinds = [FrameKind::Fetch, FrameKind::Subscribe];
        assert!(kinds.contains(&frame.header.kind));
        let fetch = Fetch::read_from_bytes(frame.message).expect("it has its length");
        Asked {
            correlation: frame.header.correlation,
            from: fetch.from().expect("it is one of the kinds"),
            offset: fetch.position.get(),
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
    let next = frames::end(records).max(asked.offset);
    answer_of(asked, committed, (asked.offset, next), records)
}

fn answer_of(asked: Asked, committed: u64, (begin, next): (u64, u64), records: &[u8]) -> Vec<u8> {
    let reply = FetchReply {
        committed: committed.into(),
        start: 0.into(),
        begin: begin.into(),
        next: next.into(),
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
fn what_one_node_has_no_more_another_may_have() {
    let begins_at = |asked: &Asked, start| {
        let refuse = Refuse::code(ErrorCode::OffsetBeforeStart).expected(start);
        frames::refused(asked.correlation, &refuse)
    };
    let (mut script, asked) = Script::new(0);
    script.give(&begins_at(&asked, 7));
    assert!(script.cursor.take().is_none(), "the others are asked first");
    assert_eq!(script.wished_node(), Some(2));
    script.greet(2);
    let asked = script.asked();
    script.give(&answer(asked, 3, &log(3).from(0, 1 << 20)));
    assert_eq!(script.batch().next_offset(), Offset(3));

    // None has it: the one that has most says from where on it can be read.
    let (mut script, asked) = Script::new(0);
    script.give(&begins_at(&asked, 7));
    script.greet(2);
    let asked = script.asked();
    script.give(&begins_at(&asked, 5));
    let end = script.cursor.take().expect("the call has ended");
    assert!(matches!(
        end,
        Err(ClientError::Refused {
            code: ErrorCode::OffsetBeforeStart,
            expected: 5,
            ..
        })
    ));
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

#[test]
fn a_place_that_the_node_finds_is_asked_for_until_it_has_said_where_it_is() {
    let (mut script, asked) = Script::with(ReadFrom::Time(77), Filter::default(), 0);
    assert_eq!(asked.from, ReadFrom::Time(77));
    script
        .cursor
        .lost(script.link(), LinkCause::Closed, script.now);
    script.greet(2);
    let asked = script.asked();
    assert_eq!(asked.from, ReadFrom::Time(77), "no node has said it yet");
    let log = log(4);
    script.give(&answer_of(asked, 4, (2, 3), &log.records[2]));
    let batch = script.batch();
    assert_eq!((batch.offset(), batch.len()), (Offset(2), 1));
    assert_eq!(script.asked().from, ReadFrom::Offset(Offset(3)));
}

#[test]
fn a_tail_without_events_is_waited_at_by_its_offset() {
    let (mut script, asked) = Script::with(ReadFrom::Tail, Filter::default(), 500);
    assert_eq!(asked.from, ReadFrom::Tail);
    script.give(&answer_of(asked, 9, (9, 9), &[]));
    script.pass(1);
    let again = script.asked();
    assert_eq!(again.from, ReadFrom::Offset(Offset(9)));
    assert_eq!(script.cursor.offset(), Offset(9));
}

#[test]
fn what_a_filter_leaves_out_is_passed_by_and_its_events_are_not_given_out() {
    let filter = Filter::default().with(&Clause::Key(1)).expect("a clause");
    let (mut script, asked) = Script::with(ReadFrom::Offset(Offset(0)), filter, 500);
    script.give(&answer_of(asked, 9, (0, 5), &[]));
    script.pass(0);
    let again = script.asked();
    assert_eq!(again.from, ReadFrom::Offset(Offset(5)), "at once");
    let log = log(8);
    script.give(&answer_of(again, 9, (5, 8), &log.records[6]));
    let batch = script.batch();
    let offsets: Vec<_> = batch.events().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [Offset(6)], "events of tests have key 1");
    assert_eq!((batch.len(), batch.next_offset()), (1, Offset(8)));
    let other = Filter::default().with(&Clause::Key(2)).expect("a clause");
    let (mut script, asked) = Script::with(ReadFrom::Offset(Offset(0)), other, 0);
    script.give(&answer(asked, 8, &log.records.concat()));
    let batch = script.batch();
    assert_eq!((batch.len(), batch.next_offset()), (0, Offset(8)));
    assert_eq!(batch.events().count(), 0);
}

#[test]
fn a_node_that_leaves_wanted_events_out_is_not_believed() {
    let (mut script, asked) = Script::new(0);
    script.give(&answer_of(asked, 9, (0, 5), &[]));
    let end = script.cursor.take().expect("the call has ended");
    assert!(matches!(end, Err(ClientError::Protocol(_))), "{end:?}");
}

/// A push of the subscription.
fn push(asked: Asked, committed: u64, (begin, next): (u64, u64), records: &[u8]) -> Vec<u8> {
    let reply = FetchReply {
        committed: committed.into(),
        start: 0.into(),
        begin: begin.into(),
        next: next.into(),
    };
    let correlation = asked.correlation;
    frames::frame(FrameKind::Push, correlation, reply.as_bytes(), records)
}

fn subscribed(wait_ms: u64) -> (Script, Asked) {
    Script::reads(ReadFrom::Tail, Filter::default(), wait_ms, true)
}

#[test]
fn a_subscription_brings_one_batch_after_another_without_questions() {
    let (mut script, asked) = subscribed(500);
    let log = log(4);
    script.give(&push(asked, 4, (1, 2), &log.records[1]));
    let batch = script.batch();
    assert_eq!(
        (batch.offset(), batch.next_offset()),
        (Offset(1), Offset(2))
    );
    assert_eq!(script.written(), [], "nothing is asked");
    script.cursor.fetch(500 * MS, script.now);
    assert_eq!(script.written(), []);
    script.give(&push(asked, 4, (2, 2), &[]));
    assert!(script.cursor.take().is_none(), "that was a sign of life");
    script.give(&push(asked, 4, (2, 4), &log.records[2..].concat()));
    assert_eq!(script.batch().len(), 2);
    script.cursor.fetch(100 * MS, script.now);
    script.pass(99);
    assert!(script.cursor.take().is_none());
    script.pass(1);
    assert!(script.batch().is_empty(), "nothing came in time");
}

#[test]
fn credit_is_given_back_when_half_of_it_is_used() {
    let (mut script, asked) = subscribed(500);
    let mut log = log(0);
    let mut sequence = 0;
    let mut pushed = 0;
    let credit = loop {
        let mut bytes = vec![0; quorate_wire::CHUNK_HEADER_BYTES];
        bytes.extend_from_slice(&frames::event(&[7; 500_000]));
        let id = quorate_client::ChunkId {
            producer: quorate_client::ProducerId(1),
            epoch: quorate_client::Epoch(0),
            first: quorate_client::Sequence(sequence),
            events: 1,
        };
        quorate_wire::seal_chunk(id, &mut bytes).expect("it is within its limits");
        let (chunk, _) = Chunk::parse(&bytes).expect("it is sound");
        log.take(&chunk).expect("it comes in sequence");
        let record = log.records.last().expect("it was just taken");
        script.give(&push(asked, 99, (sequence, sequence + 1), record));
        script.batch();
        sequence += 1;
        pushed += record.len();
        let written = script.written();
        if let Some(frame) = Frame::parse(&written).expect("sound") {
            assert_eq!(frame.header.kind, FrameKind::Credit);
            assert_eq!(frame.header.correlation, asked.correlation);
            break Credit::read_from_bytes(frame.message).expect("it has its length");
        }
        script.cursor.fetch(500 * MS, script.now);
    };
    assert_eq!(usize::try_from(credit.bytes.get()).ok(), Some(pushed));
    assert!(pushed > 2 << 20 && pushed < 3 << 20, "{pushed} of 4 MiB");
}

#[test]
fn a_subscription_that_ends_is_begun_anew_at_another_node_where_it_was() {
    let (mut script, asked) = subscribed(5_000);
    let log = log(4);
    script.give(&push(asked, 4, (1, 2), &log.records[1]));
    script.batch();
    script.cursor.fetch(5_000 * MS, script.now);
    let refuse = Refuse::code(ErrorCode::ShuttingDown);
    script.give(&frames::refused(asked.correlation, &refuse));
    script.pass(10);
    script.greet(2);
    let asked = script.asked();
    assert_eq!(asked.from, ReadFrom::Offset(Offset(2)));
    script.pass(2_000);
    script.give(&push(asked, 4, (2, 2), &[]));
    script.pass(2_499);
    assert_eq!(
        script.wished_node(),
        Some(2),
        "it may be silent for so long"
    );
    script.pass(1);
    assert_eq!(script.wished_node(), Some(1), "the node is silent");
}

#[test]
fn a_silent_node_is_noticed_however_short_the_calls() {
    let (mut script, asked) = subscribed(100);
    let log = log(4);
    script.give(&push(asked, 4, (1, 2), &log.records[1]));
    script.batch();
    for _ in 0..24 {
        script.cursor.fetch(100 * MS, script.now);
        script.pass(100);
        assert!(script.batch().is_empty());
        assert_eq!(script.wished_node(), Some(1));
        // The time between two calls is not the node's.
        script.pass(1_000);
    }
    script.cursor.fetch(200 * MS, script.now);
    script.pass(100);
    assert_eq!(script.wished_node(), Some(2), "2.5 s without a word");
}
