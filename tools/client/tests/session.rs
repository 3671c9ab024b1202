//! The session by script: no sockets, no clock; every byte and every moment is written here.

mod support;

use std::time::Duration;

use quorate_client::session::{Endpoint, Failure, LinkNumber, Session, SessionConfig};
use quorate_client::{
    Ack, AckLevel, ChunkId, ClusterName, Epoch, ErrorCode, Event, EventId, LinkCause, NodeId,
    Offset, ProducerId, Sequence, Time,
};
use quorate_wire::client::{Produce, Stage};
use quorate_wire::{Chunk, Frame, FrameKind};
use support::frames::{self, Refuse};
use zerocopy::FromBytes;

const MS: u64 = 1_000_000;

fn config(nodes: usize) -> SessionConfig {
    SessionConfig {
        nodes: (1..=nodes).map(frames::address).collect(),
        cluster: None,
        producer: ProducerId(77),
        epoch: Epoch(3),
        first: Sequence(0),
        acks: AckLevel::Quorum,
        priority: 0,
        all_timeout: Duration::from_secs(1),
        trace_one_in: 0,
        window_requests: 4,
        window_bytes: 1 << 20,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(2),
        give_up: None,
        acks_max: 1000,
        seed: 1,
    }
}

/// A session and the test's side of its connection.
struct Script {
    session: Session,
    now: Time,
}

/// A produce request as the node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    correlation: u64,
    id: ChunkId,
}

impl Script {
    fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config, Time(0)),
            now: Time(0),
        }
    }

    /// Connected and greeted by node 1, which leads.
    fn led(config: SessionConfig) -> Self {
        let mut script = Self::new(config);
        script.greet(1, 1);
        script
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(ms * MS);
        self.session.tick(self.now);
    }

    fn push(&mut self, chunks: usize) {
        for _ in 0..chunks {
            let mut buffer = self.session.buffer();
            buffer.extend_from_slice(&frames::event(b"payload"));
            buffer.extend_from_slice(&frames::event(b"another"));
            let pushed = self.session.push(2, buffer, self.now);
            pushed.expect("the chunk is within its limits");
        }
    }

    fn link(&self) -> LinkNumber {
        self.session.wish().expect("a connection is wished").number
    }

    fn wished_node(&self) -> Option<usize> {
        let wish = self.session.wish()?;
        (1..=9).find(|&node| frames::address(node) == wish.address)
    }

    fn give(&mut self, bytes: &[u8]) {
        let link = self.link();
        let taken = self.session.received(link, bytes, self.now);
        assert_eq!(taken, bytes.len(), "whole frames are taken whole");
    }

    /// Everything that the session writes, frame by frame.
    fn write(&mut self) -> Vec<(FrameKind, u64, Option<ChunkId>)> {
        let mut bytes = Vec::new();
        loop {
            let output = self.session.output(self.now);
            if output.is_empty() {
                break;
            }
            bytes.extend_from_slice(output);
            let length = output.len();
            self.session.wrote(length);
        }
        let mut rest = bytes.as_slice();
        let mut written = Vec::new();
        while let Some(frame) = Frame::parse(rest).expect("the session writes sound frames") {
            let id = (frame.header.kind == FrameKind::Produce)
                .then(|| Chunk::parse(frame.tail).expect("the chunk is sound").0.id());
            written.push((frame.header.kind, frame.header.correlation, id));
            rest = rest.get(frame.bytes()..).unwrap_or_default();
        }
        assert!(rest.is_empty(), "the session writes whole frames");
        written
    }

    fn sent(&mut self) -> Vec<Sent> {
        let written = self.write().into_iter();
        written
            .map(|(_, correlation, id)| Sent {
                correlation,
                id: id.expect("only chunks are written after the greeting"),
            })
            .collect()
    }

    /// Connects, and lets `node` answer the greeting.
    fn greet(&mut self, node: u32, leader: u32) {
        let link = self.link();
        self.session.connected(link, self.now);
        let written = self.write();
        assert_eq!(written.len(), 1, "nothing goes out before the answer");
        for (kind, correlation, _) in written {
            assert_eq!(kind, FrameKind::Hello);
            self.give(&frames::welcome(correlation, node, leader, 3));
        }
    }

    fn ack(&mut self, sent: Sent, offset: u64) {
        self.give(&frames::produced(sent.correlation, offset));
    }

    fn refuse(&mut self, sent: Sent, code: ErrorCode) {
        self.give(&frames::refused(sent.correlation, &Refuse::code(code)));
    }

    fn acks(&mut self) -> Vec<Ack> {
        std::iter::from_fn(|| self.session.take_ack()).collect()
    }

    /// What was acknowledged: first sequence, offset, attempts.
    fn acked(&mut self) -> Vec<(u64, u64, u32)> {
        let acks = self.acks().into_iter();
        acks.map(|ack| (ack.first.0, ack.offset.0, ack.attempts))
            .collect()
    }

    fn refused_for(&self) -> ErrorCode {
        match self.session.failure() {
            Some(Failure::Refused { code, .. }) => *code,
            other => panic!("the session should have been refused: {other:?}"),
        }
    }
}

fn firsts(sent: &[Sent]) -> Vec<u64> {
    sent.iter().map(|sent| sent.id.first.0).collect()
}

fn all<const N: usize>(sent: Vec<Sent>) -> [Sent; N] {
    let count = sent.len();
    sent.try_into()
        .unwrap_or_else(|_| panic!("{count} chunks were sent, not {N}"))
}

#[test]
fn chunks_go_out_in_sequence_and_up_to_the_window() {
    let mut script = Script::led(config(3));
    assert!(script.session.has_room(1000));
    script.push(4);
    assert!(!script.session.has_room(1000), "the window is full");
    let sent: [_; 4] = all(script.sent());
    assert_eq!(firsts(&sent), [0, 2, 4, 6]);
    assert_eq!(sent[0].id.producer, ProducerId(77));
    assert_eq!(sent[0].id.epoch, Epoch(3));
    assert_eq!(sent[0].id.events, 2);
    script.now = script.now.after(MS);
    script.ack(sent[0], 100);
    let acks = script.acks();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].latency(), Duration::from_millis(1));
    assert_eq!(acks[0].first, Sequence(0));
    assert_eq!(acks[0].offset, Offset(100));
    assert_eq!(acks[0].events, 2);
    assert!(script.session.has_room(1000));
    assert!(
        script.session.buffer().capacity() > 32,
        "the acknowledged chunk's buffer comes back"
    );
}

#[test]
fn the_byte_window_holds_back_but_always_takes_one() {
    let mut config = config(1);
    config.window_bytes = 120;
    let mut script = Script::led(config);
    assert!(script.session.has_room(5000));
    script.push(1);
    assert_eq!(script.session.pending_bytes(), 112);
    assert!(script.session.has_room(8));
    assert!(!script.session.has_room(16));
    assert_eq!(script.sent().len(), 1, "one chunk always fits");
}

#[test]
fn the_nodes_window_counts_too() {
    let mut script = Script::new(config(3));
    let link = script.link();
    script.session.connected(link, script.now);
    for (_, correlation, _) in script.write() {
        script.give(&frames::welcome_with(correlation, 1, 1, 3, 2, 1 << 20));
    }
    script.push(4);
    let sent: [_; 2] = all(script.sent());
    script.ack(sent[0], 0);
    assert_eq!(firsts(&script.sent()), [4]);
}

#[test]
fn acknowledgements_are_reported_in_order() {
    let mut script = Script::led(config(3));
    script.push(3);
    let sent: [_; 3] = all(script.sent());
    script.ack(sent[2], 4);
    script.ack(sent[1], 2);
    assert_eq!(script.acked(), []);
    script.ack(sent[0], 0);
    assert_eq!(script.acked(), [(0, 0, 1), (2, 2, 1), (4, 4, 1)]);
}

#[test]
fn one_answer_may_stand_for_several_requests() {
    let mut script = Script::led(config(1));
    script.push(4);
    let [one, two, three, four] = all(script.sent());
    script.give(&frames::merged(four.correlation, 1, 26));
    assert_eq!(script.acked(), [], "those before them are not answered");
    script.give(&frames::merged(two.correlation, 1, 10));
    assert_eq!(
        script.acked(),
        [(0, 10, 1), (2, 12, 1), (4, 26, 1), (6, 28, 1)]
    );
    assert_eq!(
        (one.correlation + 2, script.session.in_flight()),
        (three.correlation, 0)
    );
}

#[test]
fn one_answer_for_more_than_was_asked_costs_the_connection() {
    for before in [1, 2, u32::MAX] {
        let mut script = Script::led(config(2));
        script.push(2);
        let [one, _] = all(script.sent());
        script.give(&frames::merged(one.correlation, before, 10));
        assert_eq!(
            script.wished_node(),
            Some(2),
            "{before} before it were never asked"
        );
        assert_eq!(script.acked(), []);
    }
}

#[test]
fn a_known_leader_is_followed_at_once_and_gets_everything_again() {
    let mut script = Script::led(config(3));
    script.push(3);
    let before: [_; 3] = all(script.sent());
    script.ack(before[0], 10);
    let refuse = Refuse::code(ErrorCode::NotLeader).leader(3);
    script.give(&frames::refused(before[1].correlation, &refuse));
    assert_eq!(script.wished_node(), Some(3), "without a pause");
    script.greet(3, 3);
    let after: [_; 2] = all(script.sent());
    assert_eq!(firsts(&after), [2, 4], "all but the acknowledged one");
    assert!(after[0].correlation > before[2].correlation);
    script.ack(after[0], 12);
    script.ack(after[1], 14);
    assert_eq!(script.acked(), [(0, 10, 1), (2, 12, 2), (4, 14, 2)]);
    assert_eq!(script.session.counters().resends, 2);
}

#[test]
fn a_leader_that_nobody_has_told_of_yet_is_asked_for_at_once() {
    let mut script = Script::led(config(3));
    script.push(1);
    let [sent] = all(script.sent());
    let refuse = Refuse::code(ErrorCode::ShuttingDown).leader(4);
    script.give(&frames::refused(sent.correlation, &refuse));
    assert_eq!(script.wished_node(), Some(2), "which knows it");
}

#[test]
fn a_greeting_that_names_another_leader_is_followed() {
    let mut script = Script::new(config(3));
    script.push(1);
    script.greet(1, 2);
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(script.session.node(), None);
    script.greet(2, 2);
    assert_eq!(firsts(&script.sent()), [0]);
}

#[test]
fn without_a_known_leader_the_next_node_is_asked_after_a_pause() {
    let mut script = Script::led(config(3));
    script.push(3);
    let sent: [_; 3] = all(script.sent());
    script.refuse(sent[0], ErrorCode::NotLeader);
    assert_eq!(script.session.wish(), None, "a pause");
    let until = script.session.deadline().expect("the pause ends");
    let pause = until.since(script.now);
    assert!((5 * MS..=10 * MS).contains(&pause), "{pause} ns");
    script.pass(10);
    assert_eq!(script.wished_node(), Some(2));
    script.greet(2, 0);
    let probe: [_; 1] = all(script.sent());
    assert_eq!(
        probe[0].id.first,
        Sequence(0),
        "one chunk, to see whether it leads"
    );
    script.refuse(probe[0], ErrorCode::NotLeader);
    script.pass(20);
    assert_eq!(script.wished_node(), Some(3));
}

#[test]
fn after_a_refusal_it_goes_back_when_the_rest_is_answered() {
    let mut script = Script::led(config(1));
    script.push(4);
    let sent: [_; 4] = all(script.sent());
    script.refuse(sent[0], ErrorCode::Overloaded);
    script.refuse(sent[1], ErrorCode::SequenceGap);
    script.refuse(sent[2], ErrorCode::SequenceGap);
    script.pass(10);
    assert_eq!(
        script.sent(),
        [],
        "the node still owes the answer to the last one"
    );
    script.refuse(sent[3], ErrorCode::SequenceGap);
    let probe: [_; 1] = all(script.sent());
    assert_eq!(firsts(&probe), [0]);
    script.ack(probe[0], 50);
    let rest: [_; 3] = all(script.sent());
    assert_eq!(firsts(&rest), [2, 4, 6]);
    for (sent, offset) in rest.into_iter().zip([52, 54, 56]) {
        script.ack(sent, offset);
    }
    assert_eq!(
        script.acked(),
        [(0, 50, 2), (2, 52, 2), (4, 54, 2), (6, 56, 2)]
    );
    assert_eq!(script.session.failure(), None);
}

#[test]
fn the_node_says_how_long_to_wait() {
    let mut script = Script::led(config(1));
    script.push(1);
    let sent: [_; 1] = all(script.sent());
    let refuse = Refuse::code(ErrorCode::Overloaded).retry_after_ms(300);
    script.give(&frames::refused(sent[0].correlation, &refuse));
    script.pass(299);
    assert_eq!(script.sent(), []);
    script.pass(1);
    assert_eq!(firsts(&script.sent()), [0]);
}

#[test]
fn a_late_success_counts_and_a_late_refusal_does_not() {
    let mut script = Script::led(config(1));
    script.push(3);
    let sent: [_; 3] = all(script.sent());
    // The second is refused first: the gap is no fault of the producer's, the first one has no answer yet.
    script.refuse(sent[1], ErrorCode::SequenceGap);
    script.ack(sent[0], 0);
    script.refuse(sent[2], ErrorCode::SequenceGap);
    let probe: [_; 1] = all(script.sent());
    assert_eq!(firsts(&probe), [2]);
    script.refuse(probe[0], ErrorCode::LeadershipLost);
    script.pass(10);
    let again: [_; 1] = all(script.sent());
    script.ack(again[0], 2);
    let third: [_; 1] = all(script.sent());
    script.ack(third[0], 4);
    assert_eq!(script.acked(), [(0, 0, 1), (2, 2, 3), (4, 4, 2)]);
}

#[test]
fn refusals_of_earlier_sends_concern_nobody() {
    let mut script = Script::led(config(2));
    script.push(4);
    let sent: [_; 4] = all(script.sent());
    script.refuse(sent[2], ErrorCode::SequenceGap);
    script.ack(sent[0], 0);
    // The second is now the first one pending: for its present send this answer would be the end.
    script.refuse(sent[1], ErrorCode::SequenceGap);
    script.refuse(sent[3], ErrorCode::ShuttingDown);
    assert_eq!(script.session.failure(), None);
    assert_eq!(script.wished_node(), Some(1));
    assert_eq!(firsts(&script.sent()), [2]);
}

#[test]
fn latency_counts_from_the_first_send() {
    let mut script = Script::led(config(1));
    script.push(1);
    script.pass(3);
    let sent: [_; 1] = all(script.sent());
    script.refuse(sent[0], ErrorCode::Overloaded);
    script.pass(20);
    let again: [_; 1] = all(script.sent());
    script.pass(2);
    script.ack(again[0], 0);
    let latencies: Vec<_> = script.acks().iter().map(Ack::latency).collect();
    assert_eq!(latencies, [Duration::from_millis(22)]);
}

#[test]
fn an_old_correlations_success_is_taken_while_the_chunk_waits_to_be_sent_again() {
    let mut script = Script::led(config(1));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.refuse(sent[0], ErrorCode::LeadershipLost);
    // The record made it into the log after all, and with it the second chunk.
    script.ack(sent[1], 2);
    assert_eq!(script.acked(), [], "the first one's offset is not known");
    script.pass(10);
    let again: [_; 1] = all(script.sent());
    assert_eq!(
        firsts(&again),
        [0],
        "only the one without an acknowledgement"
    );
    script.ack(again[0], 0);
    assert_eq!(script.acked(), [(0, 0, 2), (2, 2, 1)]);
    assert_eq!(script.sent(), []);
}

#[test]
fn a_lost_connection_leads_to_another_node_at_once() {
    let mut script = Script::led(config(3));
    script.push(3);
    let before: [_; 3] = all(script.sent());
    script.ack(before[0], 0);
    let link = script.link();
    script.session.lost(link, LinkCause::Closed, script.now);
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(script.session.in_flight(), 0);
    // Node 2 has not noticed yet that node 1 is dead: one look shows it, then its word is not acted upon.
    script.greet(2, 1);
    assert_eq!(script.wished_node(), Some(1));
    let refused = LinkCause::Io(std::io::ErrorKind::ConnectionRefused);
    script.session.lost(script.link(), refused, script.now);
    script.greet(2, 1);
    let probe: [_; 1] = all(script.sent());
    script.refuse(probe[0], ErrorCode::NotLeader);
    script.pass(20);
    assert_eq!(script.wished_node(), Some(3));
    script.greet(3, 3);
    let after: [_; 2] = all(script.sent());
    // Both were in the log already: a retry gets its first offset.
    script.ack(after[0], 2);
    script.ack(after[1], 4);
    assert_eq!(script.acked(), [(0, 0, 1), (2, 2, 3), (4, 4, 2)]);
}

#[test]
fn half_written_frames_die_with_their_connection() {
    let mut script = Script::led(config(2));
    script.push(2);
    let length = script.session.output(script.now).len();
    script.session.wrote(length / 3);
    let link = script.link();
    script.session.lost(link, LinkCause::Closed, script.now);
    script.greet(2, 2);
    assert_eq!(firsts(&script.sent()), [0, 2]);
}

#[test]
fn a_frozen_leader_is_left_after_the_request_timeout() {
    let mut script = Script::led(config(3));
    script.pass(60_000);
    assert_eq!(script.wished_node(), Some(1), "idle is not silent");
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.pass(1_500);
    script.ack(sent[0], 0);
    script.pass(1_999);
    assert_eq!(
        script.wished_node(),
        Some(1),
        "the answer counts as a sign of life"
    );
    let deadline = script.session.deadline().expect("patience ends");
    assert_eq!(deadline, script.now.after(MS));
    script.pass(1);
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(script.session.trouble(), &LinkCause::Silent);
    // A second look would cost a whole connect timeout.
    script.greet(2, 1);
    assert_eq!(script.wished_node(), Some(2));
    let probe: [_; 1] = all(script.sent());
    assert_eq!(firsts(&probe), [2]);
    let refuse = Refuse::code(ErrorCode::NotLeader).leader(1);
    script.give(&frames::refused(probe[0].correlation, &refuse));
    script.pass(10);
    assert_eq!(script.wished_node(), Some(3));
    script.greet(3, 3);
    let sent: [_; 1] = all(script.sent());
    assert_eq!(firsts(&sent), [2]);
    // It has come back, and was elected.
    let refuse = refuse.in_term(2);
    script.give(&frames::refused(sent[0].correlation, &refuse));
    assert_eq!(script.wished_node(), Some(1));
}

#[test]
fn a_large_chunk_on_a_slow_way_is_no_silence() {
    let mut script = Script::led(config(2));
    script.push(1);
    for _ in 0..5 {
        assert!(!script.session.output(script.now).is_empty());
        script.session.wrote(1);
        script.pass(1_999);
    }
    assert_eq!(script.wished_node(), Some(1), "its bytes still go out");
    script.pass(2_000);
    assert_eq!(script.wished_node(), Some(2), "nothing moves any more");
    assert_eq!(script.session.trouble(), &LinkCause::Silent);
}

#[test]
fn further_requests_do_not_hide_a_silence() {
    let mut script = Script::led(config(2));
    for _ in 0..3 {
        script.push(1);
        assert_eq!(script.sent().len(), 1);
        script.pass(700);
    }
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(script.session.trouble(), &LinkCause::Silent);
}

#[test]
fn a_leader_that_dropped_one_connection_is_asked_again_at_once() {
    let mut script = Script::led(config(3));
    script.push(1);
    script.sent();
    script
        .session
        .lost(script.link(), LinkCause::Closed, script.now);
    script.greet(2, 1);
    script.greet(1, 1);
    assert_eq!(firsts(&script.sent()), [0], "no time has passed");
}

#[test]
fn a_node_that_takes_the_connection_and_never_greets_is_left() {
    let mut script = Script::new(config(2));
    let link = script.link();
    script.pass(400);
    script.session.connected(link, script.now);
    script.pass(599);
    assert_eq!(script.wished_node(), Some(1));
    script.pass(1);
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(script.session.trouble(), &LinkCause::Silent);
    script.pass(1000);
    assert_eq!(script.session.trouble(), &LinkCause::ConnectTimeout);
}

#[test]
fn nodes_that_all_fail_are_tried_in_turn_with_growing_pauses() {
    let mut script = Script::new(config(3));
    let mut tried = 0;
    while script.now < Time(1_000 * MS) {
        match script.session.wish() {
            Some(wish) => {
                let (link, cause) = (wish.number, LinkCause::Closed);
                script.session.lost(link, cause, script.now);
                tried += 1;
            }
            None => {
                let due = script.session.deadline().expect("the pause ends");
                assert!(due > script.now, "a pause takes time");
                script.now = due;
                script.session.tick(due);
            }
        }
    }
    assert!((10..20).contains(&tried), "{tried} attempts in a second");
}

#[test]
fn two_nodes_that_point_at_each_other_are_no_tight_loop() {
    let mut script = Script::new(config(2));
    let mut greeted = 0;
    while script.now < Time(1_000 * MS) {
        match script.wished_node() {
            Some(1) => script.greet(1, 2),
            Some(_) => script.greet(2, 1),
            None => {
                script.now = script.session.deadline().expect("the pause ends");
                script.session.tick(script.now);
                continue;
            }
        }
        greeted += 1;
    }
    assert!(
        (8..20).contains(&greeted),
        "{greeted} greetings in a second"
    );
}

#[test]
fn refusals_for_good_end_the_session_with_code_and_sentence() {
    for code in [
        ErrorCode::EpochFenced,
        ErrorCode::ChunkInvalid,
        ErrorCode::SequenceTooOld,
    ] {
        let mut script = Script::led(config(3));
        script.push(2);
        let sent: [_; 2] = all(script.sent());
        let refuse = Refuse::code(code).expected(9);
        script.give(&frames::refused(sent[0].correlation, &refuse));
        let failure = Failure::Refused {
            code,
            text: refuse.text(),
            expected: 9,
        };
        assert_eq!(script.session.failure(), Some(&failure));
        assert_eq!(script.session.wish(), None);
        assert_eq!(script.session.deadline(), None);
        script.now = script.now.after(10_000 * MS);
        script.session.tick(script.now);
        assert!(script.session.output(script.now).is_empty());
        assert_eq!(script.session.pending_chunks(), 2);
    }
}

#[test]
fn a_missing_chunk_is_believed_when_it_is_still_missing_a_second_later() {
    for code in [ErrorCode::SequenceGap, ErrorCode::ProducerUnknown] {
        let mut script = Script::led(config(2));
        script.push(1);
        let mut node = 1;
        while script.session.failure().is_none() {
            let probe: [_; 1] = all(script.sent());
            script.refuse(probe[0], code);
            if script.session.failure().is_some() {
                break;
            }
            assert!(script.now < Time(1_300 * MS), "it must end");
            script.pass(200);
            node = 3 - node;
            script.greet(node, node);
        }
        assert!(
            script.now >= Time(1_000 * MS),
            "a deposed leader may say it"
        );
    }
}

#[test]
fn a_deposed_leader_that_misses_what_was_acknowledged_is_left() {
    let mut script = Script::led(config(2));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.ack(sent[0], 0);
    script.refuse(sent[1], ErrorCode::SequenceGap);
    script.pass(200);
    script.greet(2, 2);
    let sent: [_; 1] = all(script.sent());
    script.ack(sent[0], 2);
    assert_eq!(script.session.pending_chunks(), 0);
}

#[test]
fn an_acknowledgement_says_its_level_and_how_long_its_stages_took() {
    let mut script = Script::led(SessionConfig {
        acks: AckLevel::All,
        trace_one_in: 2,
        ..config(1)
    });
    script.push(3);
    let sent: [_; 3] = all(script.sent());
    let levels = [AckLevel::All, AckLevel::Quorum, AckLevel::All];
    for (at, (sent, level)) in (0..).zip(sent.iter().zip(levels)) {
        script.give(&frames::traced(sent.correlation, at * 2, level, 500 + at));
    }
    let acks = std::iter::from_fn(|| script.session.take_ack());
    let told: Vec<_> = acks
        .map(|ack| {
            (
                ack.level,
                ack.stages.and_then(|times| times.get(Stage::Commit)),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (AckLevel::All, Some(500)),
            (AckLevel::Quorum, Some(501)),
            (AckLevel::All, Some(502))
        ]
    );
}

#[test]
fn every_request_asks_for_the_level_and_some_for_their_stages() {
    let mut script = Script::led(SessionConfig {
        acks: AckLevel::All,
        all_timeout: Duration::from_millis(700),
        trace_one_in: 2,
        ..config(1)
    });
    script.push(4);
    let output = script.session.output(script.now).to_vec();
    let mut rest = output.as_slice();
    let mut flags = Vec::new();
    while let Some(frame) = Frame::parse(rest).expect("the session writes sound frames") {
        let asks = Produce::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((asks.acks, asks.timeout_ms.get()), (1, 700));
        flags.push(asks.flags);
        rest = rest.get(frame.bytes()..).unwrap_or_default();
    }
    assert_eq!(flags, [1, 0, 1, 0]);
    // A node that waits for the last disk is not silent.
    script.session.wrote(output.len());
    script.pass(2_500);
    assert!(script.session.node().is_some());
    script.pass(300);
    assert!(script.session.node().is_none());
}

#[test]
fn a_node_that_promises_less_than_was_asked_for_is_left() {
    let mut script = Script::led(config(2));
    script.push(1);
    let sent: [_; 1] = all(script.sent());
    script.give(&frames::traced(
        sent[0].correlation,
        0,
        AckLevel::Accepted,
        1,
    ));
    assert_eq!(script.session.take_ack(), None);
    assert!(script.session.node().is_none());
}

#[test]
fn what_was_only_accepted_may_be_lost_and_the_session_says_from_where_on() {
    let mut script = Script::led(SessionConfig {
        acks: AckLevel::Accepted,
        ..config(1)
    });
    script.push(3);
    let sent: [_; 3] = all(script.sent());
    for (at, sent) in (0..).zip(&sent[..2]) {
        script.give(&frames::traced(
            sent.correlation,
            at * 2,
            AckLevel::Accepted,
            1,
        ));
    }
    assert_eq!(script.session.acks(), 2);
    let mut asked = sent[2].correlation;
    while script.session.failure().is_none() {
        let refuse = Refuse::code(ErrorCode::SequenceGap).expected(2);
        script.give(&frames::refused(asked, &refuse));
        if script.session.failure().is_none() {
            script.pass(200);
            script.greet(1, 1);
            let again: [_; 1] = all(script.sent());
            asked = again[0].correlation;
        }
    }
    let first = Sequence(2);
    let lost = Failure::AcceptedLost { first };
    assert_eq!(script.session.failure(), Some(&lost));
    assert_eq!(script.session.pending_chunks(), 1);
}

#[test]
fn an_unknown_producer_behind_a_refused_first_chunk_is_no_end() {
    let mut script = Script::led(config(1));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.refuse(sent[1], ErrorCode::ProducerUnknown);
    script.refuse(sent[0], ErrorCode::Overloaded);
    script.pass(10);
    assert_eq!(firsts(&script.sent()), [0]);
    assert_eq!(script.session.failure(), None);
}

#[test]
fn another_cluster_is_refused_from_both_sides() {
    let mut script = Script::new(config(1));
    let link = script.link();
    script.session.connected(link, script.now);
    for (_, correlation, _) in script.write() {
        let refuse = Refuse::code(ErrorCode::ClusterMismatch);
        script.give(&frames::refused(correlation, &refuse));
    }
    assert_eq!(script.refused_for(), ErrorCode::ClusterMismatch);

    let mut meant = config(1);
    meant.cluster = ClusterName::new("other");
    let mut script = Script::new(meant);
    script.greet(1, 1);
    assert_eq!(script.refused_for(), ErrorCode::ClusterMismatch);

    // None was named: then the first one that answered is meant.
    let mut script = Script::led(config(2));
    script
        .session
        .lost(script.link(), LinkCause::Closed, script.now);
    let link = script.link();
    script.session.connected(link, script.now);
    for (_, correlation, _) in script.write() {
        script.give(&frames::welcome_of("other", correlation, 2));
    }
    assert_eq!(script.refused_for(), ErrorCode::ClusterMismatch);
}

#[test]
fn a_node_that_has_no_connections_left_is_passed_over() {
    let mut script = Script::new(config(2));
    let link = script.link();
    script.session.connected(link, script.now);
    script.write();
    script.give(&frames::refused(
        0,
        &Refuse::code(ErrorCode::TooManyConnections),
    ));
    assert_eq!(script.wished_node(), Some(2));
    assert_eq!(
        script.session.trouble().code(),
        Some(ErrorCode::TooManyConnections)
    );
}

#[test]
fn any_flipped_bit_from_the_node_costs_the_connection_and_nothing_else() {
    let sound = frames::produced(2, 0);
    for at in 0..sound.len() {
        let mut script = Script::led(config(2));
        script.push(1);
        let sent: [_; 1] = all(script.sent());
        assert_eq!(sent[0].correlation, 2);
        let mut bytes = sound.clone();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x40;
        }
        script.give(&bytes);
        assert_eq!(script.acked(), [], "byte {at}");
        assert_eq!(script.wished_node(), Some(2), "byte {at}");
        script.greet(2, 2);
        let again: [_; 1] = all(script.sent());
        script.ack(again[0], 5);
        assert_eq!(script.acked(), [(0, 5, 2)]);
    }
}

#[test]
fn answers_to_nothing_cost_the_connection() {
    let unasked = [
        frames::produced(999, 0),
        frames::produced(1, 0),
        frames::refused(999, &Refuse::code(ErrorCode::Overloaded)),
        frames::welcome(1, 1, 1, 3),
        frames::hello(5),
    ];
    for bytes in unasked {
        let mut script = Script::led(config(2));
        script.push(1);
        script.sent();
        script.give(&bytes);
        assert_eq!(script.wished_node(), Some(2));
    }
    let mut script = Script::led(config(2));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.ack(sent[1], 2);
    script.ack(sent[1], 2);
    assert_eq!(script.wished_node(), Some(2), "one answer, one request");
}

#[test]
fn a_cluster_that_contradicts_itself_ends_the_session() {
    let mut script = Script::led(config(1));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    script.ack(sent[0], 10);
    script.ack(sent[1], 11);
    assert!(
        matches!(script.session.failure(), Some(Failure::Protocol(_))),
        "the second chunk begins inside the first"
    );
}

#[test]
fn events_that_have_ids_are_where_their_chunks_were_taken() {
    let mut script = Script::led(SessionConfig {
        producer: ProducerId::NONE,
        ..config(1)
    });
    for number in [b"1", b"2"] {
        let mut buffer = script.session.buffer();
        buffer.extend_from_slice(&EventId::of(number).0);
        buffer.extend_from_slice(&frames::event(b"payload"));
        let pushed = script.session.push(1, buffer, script.now);
        pushed.expect("the chunk is within its limits");
    }
    // The first one was refused by a node that took the second one, and is taken later.
    let sent: [_; 2] = all(script.sent());
    script.ack(sent[0], 11);
    script.ack(sent[1], 10);
    assert_eq!(script.session.failure(), None, "they are in no order");
    assert_eq!(script.acked(), [(0, 11, 1), (1, 10, 1)]);
}

#[test]
fn answers_may_come_in_pieces() {
    let mut script = Script::led(config(1));
    script.push(2);
    let sent: [_; 2] = all(script.sent());
    let mut bytes = frames::produced(sent[0].correlation, 0);
    bytes.extend_from_slice(&frames::produced(sent[1].correlation, 2));
    let link = script.link();
    let mut held: Vec<u8> = Vec::new();
    for byte in bytes {
        held.push(byte);
        let taken = script.session.received(link, &held, script.now);
        held.drain(..taken);
    }
    assert_eq!(script.acked(), [(0, 0, 1), (2, 2, 1)]);
}

#[test]
fn news_of_an_earlier_connection_is_ignored() {
    let mut script = Script::led(config(3));
    script.push(1);
    let sent: [_; 1] = all(script.sent());
    let old = script.link();
    script.session.lost(old, LinkCause::Closed, script.now);
    let wished = script.link();
    script.session.lost(old, LinkCause::Closed, script.now);
    script.session.connected(old, script.now);
    let late = frames::produced(sent[0].correlation, 0);
    script.session.received(old, &late, script.now);
    assert_eq!(script.link(), wished);
    script.greet(2, 2);
    script.session.received(old, &late, script.now);
    assert_eq!(script.link(), wished, "it says nothing of this one");
    assert_eq!(script.acked(), []);
}

#[test]
fn a_chunk_may_be_given_up_when_the_caller_wants_that() {
    let mut config = config(1);
    config.give_up = Some(Duration::from_millis(500));
    let mut script = Script::led(config);
    script.pass(1000);
    script.push(1);
    script.sent();
    script.pass(499);
    assert_eq!(script.session.failure(), None);
    assert_eq!(script.session.deadline(), Some(script.now.after(MS)));
    script.pass(1);
    let after = Duration::from_millis(500);
    assert_eq!(script.session.failure(), Some(&Failure::GaveUp { after }));
}

#[test]
fn acknowledgements_that_nobody_takes_do_not_pile_up() {
    let mut config = config(1);
    config.acks_max = 2;
    let mut script = Script::led(config);
    script.push(3);
    for (sent, offset) in script.sent().into_iter().zip([0, 2, 4]) {
        script.ack(sent, offset);
    }
    assert_eq!(script.session.counters().dropped_acks, 1);
    assert_eq!(script.acked(), [(2, 2, 1), (4, 4, 1)]);
}

#[test]
fn chunks_over_a_limit_are_refused_here_and_cost_no_sequence() {
    let mut script = Script::led(config(1));
    let buffer = script.session.buffer();
    assert!(script.session.push(0, buffer, script.now).is_err());
    let mut buffer = script.session.buffer();
    buffer.extend_from_slice(&[0; 7]);
    assert!(script.session.push(1, buffer, script.now).is_err());
    assert_eq!(script.session.next_sequence(), Sequence(0));
    assert_eq!(script.session.pending_chunks(), 0);
    let event = frames::event(b"");
    let (parsed, _) = Event::parse(&event).expect("the helper encodes soundly");
    assert_eq!(parsed.payload, b"");
    assert_eq!(script.session.node(), Some(NodeId(1)));
}
