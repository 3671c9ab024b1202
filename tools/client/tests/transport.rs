//! The blocking producer, the consumer and the status question over real TCP, against nodes that fail on cue.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use quorate_client::{
    ClientError, Consumer, ConsumerOptions, Epoch, ErrorCode, Event, LinkCause, NodeId, Offset,
    Producer, ProducerId, ProducerOptions, ReadFrom, RecordKind, Role, Sequence, status,
};
use support::frames;
use support::node::{ClosedPort, Cluster, Faults};

/// Longer than anything takes on the busiest host.
const WAIT: Duration = Duration::from_secs(60);

/// For whoever is to give up a node that answers nothing.
const IMPATIENT: Duration = Duration::from_secs(1);

fn event(payload: &[u8]) -> Event<'_> {
    Event {
        key: 1,
        time: 2,
        topic: b"topic",
        payload,
        priority: 0,
    }
}

fn producer(nodes: Vec<String>) -> ProducerOptions {
    let mut options = ProducerOptions::new(nodes);
    options.batch_events = 8;
    options.ready_timeout = WAIT;
    options.connect_timeout = IMPATIENT;
    options.request_timeout = WAIT;
    options
}

fn produce(cluster: &Cluster, payloads: &[&str]) -> ProducerId {
    let mut producer = Producer::connect(producer(cluster.addresses())).expect("it connects");
    for payload in payloads {
        producer
            .send(&event(payload.as_bytes()))
            .expect("it is sent");
    }
    producer.flush().expect("all is acknowledged");
    producer.id()
}

/// All events from an offset on, as text with their offsets.
fn consume(consumer: &mut Consumer, until: u64) -> Vec<(u64, String)> {
    let deadline = Instant::now() + WAIT;
    let mut all = Vec::new();
    while consumer.offset().0 < until {
        assert!(Instant::now() < deadline, "only {all:?} so far");
        let batch = consumer.fetch(Duration::from_millis(200)).expect("records");
        for (offset, event) in batch.events() {
            let text = String::from_utf8(event.payload.to_vec()).expect("it is text");
            all.push((offset.0, text));
        }
    }
    all
}

#[test]
fn what_is_produced_is_consumed() {
    let cluster = Cluster::start(3);
    let mut options = producer(vec![cluster.address(2)]);
    options.producer = Some(ProducerId(9));
    let mut producer = Producer::connect(options).expect("a follower names the leader");
    for number in 0..20_u64 {
        let payload = number.to_string();
        let sequence = producer.send(&event(payload.as_bytes()));
        assert_eq!(sequence.expect("it is sent"), Sequence(number));
    }
    producer.flush().expect("all is acknowledged");
    let acks: Vec<_> = producer
        .take_acks()
        .map(|ack| (ack.first.0, ack.events, ack.offset.0))
        .collect();
    assert_eq!(acks, [(0, 8, 0), (8, 8, 8), (16, 4, 16)]);
    let stats = producer.stats();
    assert_eq!(stats.node, Some(NodeId(1)));
    assert_eq!((stats.acked_chunks, stats.acked_events), (3, 20));
    assert_eq!((stats.resends, stats.pending_chunks), (0, 0));
    assert_eq!(stats, producer.close(WAIT).expect("nothing is left to do"));

    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let expected: Vec<_> = (0..20).map(|number| (number, number.to_string())).collect();
    assert_eq!(consume(&mut consumer, 20), expected);
    assert_eq!(consumer.committed(), Offset(20));
}

#[test]
fn each_event_is_there_once_through_cuts_refusals_moves_and_a_dead_leader() {
    const EVENTS: u64 = 6_000;
    let cluster = Cluster::start(3);
    cluster.break_with(Faults {
        cut_each: 37,
        overloaded_each: 89,
        leader_moves_each: 101,
        ..Faults::default()
    });
    let mut options = producer(cluster.addresses());
    options.batch_events = 4;
    options.window_requests = 16;
    let mut producer = Producer::connect(options).expect("it connects");
    let mut dead = 0;
    for number in 0..EVENTS {
        if number == EVENTS / 3 {
            dead = cluster.leader();
            cluster.kill(dead);
            cluster.lead(dead % 3 + 1);
            cluster.break_with(Faults {
                cut_each: 37,
                ..Faults::default()
            });
        }
        if number == 2 * EVENTS / 3 {
            cluster.restart(dead);
            cluster.lead(dead);
        }
        let payload = number.to_string();
        producer
            .send(&event(payload.as_bytes()))
            .expect("it is sent");
    }
    producer.flush().expect("all is acknowledged");
    let mut next = 0;
    for ack in producer.take_acks() {
        assert_eq!((ack.first.0, ack.offset.0), (next, next));
        next += u64::from(ack.events);
    }
    assert_eq!(next, EVENTS, "every event was acknowledged, in order");
    let stats = producer.stats();
    assert!(stats.reconnects > 30 && stats.refusals > 2, "{stats:?}");
    let repeated = cluster.with_log(|log| log.repeated);
    assert!(repeated > 10, "only {repeated} chunks came twice");
    let there = cluster.with_log(|log| log.sequences(producer.id()));
    assert!(
        there == (0..EVENTS).collect::<Vec<_>>(),
        "once each, in order"
    );

    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let expected: Vec<_> = (0..EVENTS).map(|at| (at, at.to_string())).collect();
    assert!(consume(&mut consumer, EVENTS) == expected);
}

#[test]
fn a_frozen_leader_does_not_hold_the_producer() {
    let cluster = Cluster::start(3);
    let mut options = producer(cluster.addresses());
    options.request_timeout = IMPATIENT;
    let mut producer = Producer::connect(options).expect("it connects");
    producer.send(&event(b"before")).expect("it is sent");
    producer.flush().expect("it is acknowledged");
    cluster.freeze(1);
    cluster.lead(2);
    let start = Instant::now();
    producer.send(&event(b"after")).expect("it is sent");
    producer.flush().expect("it is acknowledged");
    let taken = start.elapsed();
    assert!(taken >= IMPATIENT, "{taken:?}");
    assert!(taken < WAIT, "{taken:?}");
    assert_eq!(producer.stats().node, Some(NodeId(2)));
    let attempts: Vec<_> = producer.take_acks().map(|ack| ack.attempts).collect();
    // The second one was sent to each of them; on a busy host, others may seem to be frozen too.
    assert!(attempts.len() == 2 && attempts[1] >= 2, "{attempts:?}");
}

#[test]
fn a_caller_that_slept_does_not_blame_the_node() {
    let cluster = Cluster::start(1);
    let mut options = producer(cluster.addresses());
    options.connect_timeout = WAIT;
    options.request_timeout = Duration::from_millis(20);
    let mut producer = Producer::connect(options).expect("it connects");
    for _ in 0..8 {
        producer.send(&event(b"a full chunk")).expect("it is sent");
    }
    cluster.wait_answered(2);
    // Longer than the request timeout: the answer is there all the while.
    std::thread::sleep(Duration::from_millis(60));
    producer.flush().expect("it is acknowledged");
    assert_eq!(producer.stats().reconnects, 0);
}

#[test]
fn an_open_chunk_goes_out_when_it_has_lingered() {
    let cluster = Cluster::start(1);
    let mut options = producer(cluster.addresses());
    options.linger = Duration::from_millis(100);
    let mut producer = Producer::connect(options).expect("it connects");
    producer.send(&event(b"lonely")).expect("it is sent");
    assert_eq!(producer.stats().pending_chunks, 0, "not yet sealed");
    let deadline = Instant::now() + WAIT;
    while producer.poll(Duration::from_millis(5)).expect("it lives") == 0 {
        assert!(Instant::now() < deadline, "nothing was acknowledged");
    }
    assert_eq!(producer.take_acks().count(), 1);
}

#[test]
fn a_producer_that_is_closed_says_what_was_acknowledged() {
    let cluster = Cluster::start(1);
    let mut done = Producer::connect(producer(cluster.addresses())).expect("it connects");
    for _ in 0..9 {
        done.send(&event(b"in the log")).expect("it is sent");
    }
    let stats = done.close(WAIT).expect("all is acknowledged");
    assert_eq!((stats.acked_events, stats.acked_before), (9, Sequence(9)));

    let mut cut = Producer::connect(producer(cluster.addresses())).expect("it connects");
    cut.send(&event(b"in the log")).expect("it is sent");
    cut.flush().expect("it is acknowledged");
    cluster.freeze(1);
    for _ in 0..9 {
        cut.send(&event(b"who knows")).expect("it is sent");
    }
    let error = cut.close(Duration::from_millis(20)).expect_err("frozen");
    assert_eq!((error.stats.acked_before, error.events), (Sequence(1), 9));
    assert!(
        matches!(*error.error, ClientError::TimedOut { .. }),
        "{error}"
    );
}

#[test]
fn encoded_events_are_sent_as_they_are() {
    let cluster = Cluster::start(1);
    let mut producer = Producer::connect(producer(cluster.addresses())).expect("it connects");
    producer.send(&event(b"first")).expect("it is sent");
    let chunk = [frames::event(b"second"), frames::event(b"third")].concat();
    let sequence = producer.send_encoded(2, &chunk).expect("it is sent");
    assert_eq!(sequence, Sequence(1), "behind the open chunk");
    let refused = producer.send_encoded(1, &[0; 3]);
    let code = refused.map_err(|error| error.code());
    assert_eq!(code, Err(Some(ErrorCode::ChunkInvalid)));
    producer.flush().expect("all is acknowledged");
    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let expected = [(0, "first"), (1, "second"), (2, "third")];
    assert_eq!(
        consume(&mut consumer, 3),
        expected.map(|(at, text)| (at, text.to_owned()))
    );

    // Two events announced, one there: a node refuses it, and that is the producer's end.
    let lie = frames::event(b"one");
    let sent = producer.send_encoded(2, &lie);
    let ended = sent.and_then(|_| producer.flush());
    let ended = ended.map_err(|error| error.code());
    assert_eq!(ended, Err(Some(ErrorCode::EventInvalid)));
    let ended = producer.send(&event(b"more")).map_err(|error| error.code());
    assert_eq!(ended, Err(Some(ErrorCode::EventInvalid)));
}

#[test]
fn large_events_get_chunks_of_their_own_and_too_large_ones_are_refused() {
    let cluster = Cluster::start(1);
    let mut producer = Producer::connect(producer(cluster.addresses())).expect("it connects");
    let large = vec![b'x'; 900_000];
    let topic = [b't'; 256];
    producer.send(&event(b"small")).expect("it is sent");
    for (payload, topic) in [(vec![0; 2 << 20], &b"topic"[..]), (vec![0], &topic)] {
        let oversize = Event {
            payload: &payload,
            topic,
            ..event(b"")
        };
        let refused = producer.send(&oversize).map_err(|error| error.code());
        assert_eq!(refused, Err(Some(ErrorCode::EventInvalid)));
    }
    for _ in 0..20 {
        producer.send(&event(&large)).expect("it is sent");
    }
    producer.flush().expect("all is acknowledged");
    let sizes: Vec<_> = producer.take_acks().map(|ack| ack.events).collect();
    assert_eq!(sizes, [1; 21]);
    assert_eq!(cluster.with_log(|log| log.end()), 21);
}

#[test]
fn a_fenced_producer_ends_with_the_nodes_code() {
    let cluster = Cluster::start(1);
    let mut options = producer(cluster.addresses());
    options.producer = Some(ProducerId(4));
    let mut old = Producer::connect(options.clone()).expect("it connects");
    options.epoch = Epoch(1);
    let mut new = Producer::connect(options).expect("it connects");
    new.send(&event(b"new")).expect("it is sent");
    new.flush().expect("it is acknowledged");
    old.send(&event(b"old")).expect("it is sent");
    match old.flush() {
        Err(ClientError::Refused { code, expected, .. }) => {
            assert_eq!((code, expected), (ErrorCode::EpochFenced, 1));
        }
        other => panic!("it should have been fenced: {other:?}"),
    }
}

#[test]
fn nobody_there_is_said_within_the_time_allowed() {
    let closed = ClosedPort::new();
    let closed = closed.address();
    for (address, cause) in [
        (
            closed.as_str(),
            LinkCause::Io(std::io::ErrorKind::ConnectionRefused),
        ),
        ("no port here", LinkCause::Unresolved),
    ] {
        let mut options = producer(vec![address.to_owned()]);
        options.ready_timeout = Duration::from_millis(300);
        match Producer::connect(options) {
            Err(ClientError::Unreachable { nodes, last }) => {
                assert_eq!((nodes, last), (vec![address.to_owned()], cause.clone()));
            }
            other => panic!("nobody should be reachable: {other:?}"),
        }
        let mut options = ConsumerOptions::new([address]);
        options.patience = Duration::from_millis(300);
        match Consumer::connect(options) {
            Err(ClientError::Unreachable { last, .. }) => assert_eq!(last, cause),
            other => panic!("nobody should be reachable: {other:?}"),
        }
        match status(address, WAIT) {
            Err(ClientError::Unreachable { last, .. }) => assert_eq!(last, cause),
            other => panic!("nobody should be reachable: {other:?}"),
        }
    }
    assert!(Producer::connect(producer(Vec::new())).is_err());
    assert!(Consumer::connect(ConsumerOptions::new(Vec::<String>::new())).is_err());
}

#[test]
fn an_address_that_fails_at_once_costs_no_time_limit() {
    let cluster = Cluster::start(1);
    // Neither can be dialled, and that is known without waiting.
    let nodes = ["no port here".to_owned(), "nor here".to_owned()];
    let nodes = nodes.into_iter().chain([cluster.address(1)]);
    let patient = Duration::from_secs(3600);
    let mut options = producer(nodes.clone().collect());
    options.connect_timeout = patient;
    Producer::connect(options).expect("the third address is a node");
    let mut options = ConsumerOptions::new(nodes);
    options.connect_timeout = patient;
    Consumer::connect(options).expect("the third address is a node");
}

#[test]
fn a_consumer_starts_at_its_offset_and_gets_each_record_once() {
    let cluster = Cluster::start(3);
    let id = produce(&cluster, &["a", "b", "c", "d"]);
    cluster.lead(2);
    produce(&cluster, &["e", "f"]);
    let mut options = ConsumerOptions::new(cluster.addresses());
    options.from = ReadFrom::Offset(Offset(2));
    let mut consumer = Consumer::connect(options).expect("it connects");
    let batch = consumer.fetch(WAIT).expect("records");
    assert_eq!(batch.len(), 4);
    assert_eq!(
        (batch.offset(), batch.next_offset()),
        (Offset(2), Offset(6))
    );
    assert_eq!(batch.committed(), Offset(6));
    let first: Vec<_> = batch
        .events()
        .map(|(at, event)| (at.0, event.payload))
        .collect();
    assert_eq!(
        first,
        [(2, &b"c"[..]), (3, b"d"), (4, b"e"), (5, b"f")],
        "the first two are in the record, and were not asked for"
    );
    let kinds: Vec<_> = batch.records().map(|record| record.header().kind).collect();
    let (events, noop) = (RecordKind::Events, RecordKind::Noop);
    assert_eq!(kinds, [events, noop, events]);
    let chunks = batch.records().flat_map(|record| record.chunks());
    let ids: Vec<_> = chunks.map(|(_, chunk)| chunk.id().producer).collect();
    assert_eq!(ids.first(), Some(&id));
    let bytes: Vec<_> = batch
        .records()
        .map(|record| record.bytes().to_vec())
        .collect();
    let stored = cluster.with_log(|log| log.records.clone());
    assert_eq!(Some(bytes.as_slice()), stored.get(1..));

    let empty = consumer.fetch(Duration::ZERO).expect("nothing yet");
    assert!(empty.is_empty());
    assert_eq!(empty.records().count(), 0);
    assert_eq!(consumer.offset(), Offset(6));
}

#[test]
fn a_waiting_consumer_gets_what_is_committed_meanwhile() {
    let cluster = Cluster::start(1);
    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let batch = std::thread::scope(|scope| {
        let fetched = scope.spawn(|| consumer.fetch(WAIT).expect("records"));
        produce(&cluster, &["news"]);
        fetched.join().expect("it does not panic")
    });
    assert_eq!(batch.len(), 1, "records without events do not end the wait");
}

#[test]
fn a_consumer_goes_on_at_another_node_and_leaves_nothing_out() {
    let cluster = Cluster::start(3);
    produce(&cluster, &["a", "b"]);
    let mut options = ConsumerOptions::new(cluster.addresses());
    options.request_timeout = IMPATIENT;
    let mut consumer = Consumer::connect(options).expect("it connects");
    assert_eq!(consume(&mut consumer, 2).len(), 2);
    assert_eq!(consumer.node(), Some(NodeId(1)));
    cluster.kill(1);
    cluster.lead(2);
    produce(&cluster, &["c"]);
    assert_eq!(consume(&mut consumer, 3), [(2, "c".to_owned())]);
    let node = consumer.node().expect("it is connected");
    cluster.freeze(node.0);
    cluster.lead(if node.0 == 2 { 3 } else { 2 });
    produce(&cluster, &["d"]);
    assert_eq!(consume(&mut consumer, 4), [(3, "d".to_owned())]);
}

#[test]
fn small_batches_come_in_sequence() {
    let cluster = Cluster::start(2);
    let payloads: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let payloads: Vec<_> = payloads.iter().map(String::as_str).collect();
    produce(&cluster, &payloads);
    let mut options = ConsumerOptions::new(cluster.addresses());
    options.bytes_max = 1;
    let mut consumer = Consumer::connect(options).expect("it connects");
    let all = consume(&mut consumer, 100);
    let texts: Vec<_> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, payloads);
}

#[test]
fn a_consumer_that_sticks_to_its_node_goes_nowhere_else() {
    let cluster = Cluster::start(2);
    produce(&cluster, &["a"]);
    let mut options = ConsumerOptions::new([cluster.address(2), cluster.address(1)]);
    options.stick = true;
    options.patience = Duration::from_millis(100);
    let mut consumer = Consumer::connect(options).expect("it connects");
    assert_eq!(consume(&mut consumer, 1).len(), 1);
    cluster.kill(2);
    match consumer.fetch(Duration::ZERO) {
        Err(ClientError::Unreachable { nodes, .. }) => assert_eq!(nodes, [cluster.address(2)]),
        other => panic!("its node is dead: {other:?}"),
    }
    cluster.restart(2);
    produce(&cluster, &["b"]);
    assert_eq!(consume(&mut consumer, 2), [(1, "b".to_owned())]);
    assert_eq!(consumer.node(), Some(NodeId(2)));
}

#[test]
fn damage_is_told_and_the_next_call_asks_elsewhere() {
    let cluster = Cluster::start(2);
    produce(&cluster, &["a"]);
    cluster.break_with(Faults {
        garbled_by: 1,
        ..Faults::default()
    });
    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let damaged = consumer.fetch(WAIT).map_err(|error| error.code());
    assert_eq!(damaged.err(), Some(Some(ErrorCode::RecordUnreadable)));
    assert_eq!(consume(&mut consumer, 1), [(0, "a".to_owned())]);
    assert_eq!(consumer.node(), Some(NodeId(2)));
}

#[test]
fn a_node_that_is_behind_is_passed_over_and_an_offset_past_the_end_is_refused() {
    let cluster = Cluster::start(2);
    produce(&cluster, &["a", "b"]);
    let mut consumer =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    assert_eq!(consume(&mut consumer, 2).len(), 2);
    cluster.break_with(Faults {
        behind: Some((2, 1)),
        ..Faults::default()
    });
    cluster.kill(1);
    cluster.restart(1);
    produce(&cluster, &["c"]);
    assert_eq!(consume(&mut consumer, 3), [(2, "c".to_owned())]);

    let mut options = ConsumerOptions::new(cluster.addresses());
    options.from = ReadFrom::Offset(Offset(100));
    let mut lost = Consumer::connect(options).expect("it connects");
    match lost.fetch(Duration::ZERO) {
        Err(ClientError::Refused { code, expected, .. }) => {
            assert_eq!((code, expected), (ErrorCode::OffsetPastEnd, 3));
        }
        other => panic!("the offset is past the end: {other:?}"),
    }
}

#[test]
fn a_node_says_how_it_is() {
    let cluster = Cluster::start(3);
    produce(&cluster, &["a", "b"]);
    let address = cluster.address(1);
    let leader = status(&address, WAIT).expect("it answers");
    assert_eq!(leader.address, address);
    assert_eq!(leader.cluster, frames::cluster());
    assert_eq!((leader.node, leader.leader), (NodeId(1), Some(NodeId(1))));
    assert_eq!((leader.role, leader.serves), (Role::Leader, true));
    assert_eq!(leader.committed, Offset(2));
    assert_eq!(leader.process, 42);
    let nodes: Vec<_> = leader
        .nodes
        .into_iter()
        .map(|(_, address)| address)
        .collect();
    assert_eq!(nodes, cluster.addresses());
    let follower = status(&cluster.address(3), WAIT).expect("it answers");
    assert_eq!((follower.role, follower.serves), (Role::Follower, false));
    assert_eq!(follower.role.to_string(), "follower");

    cluster.freeze(2);
    let frozen = status(&cluster.address(2), Duration::from_millis(50));
    assert!(
        matches!(frozen, Err(ClientError::TimedOut { .. })),
        "{frozen:?}"
    );
}

#[test]
fn whoever_speaks_something_else_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
    let address = listener.local_addr().expect("it listens").to_string();
    let web = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the question comes");
        let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        std::io::Write::write_all(&mut stream, page).expect("it is sent");
        stream
    });
    let answer = status(&address, WAIT).map_err(|error| error.code());
    assert_eq!(answer, Err(Some(ErrorCode::FrameMagic)));
    web.join().expect("it does not panic");
}
