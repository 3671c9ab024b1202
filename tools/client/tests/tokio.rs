//! The producer and the consumer on tokio over real TCP, against nodes that fail on cue.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quorate_client::{
    AsyncConsumer, AsyncProducer, ClientError, ConsumerOptions, Epoch, ErrorCode, Event, LinkCause,
    NodeId, Offset, ProducerId, ProducerOptions, Sequence,
};
use support::node::{ClosedPort, Cluster, Faults};
use tokio::time::{Instant, timeout};

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

fn options(nodes: Vec<String>) -> ProducerOptions {
    let mut options = ProducerOptions::new(nodes);
    options.batch_events = 8;
    options.ready_timeout = WAIT;
    options.connect_timeout = IMPATIENT;
    options.request_timeout = WAIT;
    options
}

async fn producer(cluster: &Cluster) -> AsyncProducer {
    let connected = AsyncProducer::connect(options(cluster.addresses())).await;
    connected.expect("it connects")
}

async fn consumer(cluster: &Cluster) -> AsyncConsumer {
    let connected = AsyncConsumer::connect(ConsumerOptions::new(cluster.addresses())).await;
    connected.expect("it connects")
}

async fn produce(cluster: &Cluster, payloads: &[&str]) {
    let producer = producer(cluster).await;
    for payload in payloads {
        let sent = producer.send(&event(payload.as_bytes())).await;
        sent.expect("it is sent");
    }
    producer.close(WAIT).await.expect("all is acknowledged");
}

/// All events from an offset on, as text with their offsets.
async fn consume(consumer: &mut AsyncConsumer, until: u64) -> Vec<(u64, String)> {
    let deadline = Instant::now() + WAIT;
    let mut all = Vec::new();
    while consumer.offset().0 < until {
        assert!(Instant::now() < deadline, "only {all:?} so far");
        let batch = consumer.fetch(Duration::from_millis(200)).await;
        for (offset, event) in batch.expect("records").events() {
            let text = String::from_utf8(event.payload.to_vec()).expect("it is text");
            all.push((offset.0, text));
        }
    }
    all
}

#[tokio::test]
async fn what_is_produced_is_consumed_and_each_receipt_has_its_offset() {
    let cluster = Cluster::start(3);
    let mut options = options(vec![cluster.address(2)]);
    options.producer = Some(ProducerId(9));
    let producer = AsyncProducer::connect(options)
        .await
        .expect("a follower names the leader");
    let mut receipts = Vec::new();
    for number in 0..20_u64 {
        let payload = number.to_string();
        let receipt = producer.send(&event(payload.as_bytes())).await;
        let receipt = receipt.expect("it is sent");
        assert_eq!(receipt.sequence(), Sequence(number));
        receipts.push(receipt);
    }
    for (number, receipt) in (0..).zip(&mut receipts) {
        assert_eq!(receipt.offset().await.ok(), Some(Offset(number)));
        assert_eq!(receipt.offset().await.ok(), Some(Offset(number)), "again");
    }
    let stats = producer.stats();
    assert_eq!(stats.node, Some(NodeId(1)));
    assert_eq!((stats.acked_events, stats.resends), (20, 0));
    assert_eq!((stats.dropped_acks, stats.pending_chunks), (0, 0));
    let closed = producer.close(WAIT).await;
    assert_eq!(closed.expect("nothing is left to do"), stats);

    let mut consumer = consumer(&cluster).await;
    let expected: Vec<_> = (0..20).map(|number| (number, number.to_string())).collect();
    assert_eq!(consume(&mut consumer, 20).await, expected);
    assert_eq!(consumer.committed(), Offset(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_there_once_through_cuts_refusals_moves_and_a_dead_leader() {
    const EVENTS: u64 = 6_000;
    let cluster = Cluster::start(3);
    cluster.break_with(Faults {
        cut_each: 37,
        overloaded_each: 89,
        leader_moves_each: 101,
        ..Faults::default()
    });
    let mut options = options(cluster.addresses());
    options.batch_events = 4;
    options.window_requests = 16;
    let producer = AsyncProducer::connect(options).await.expect("it connects");
    let mut receipts = Vec::new();
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
        let receipt = producer.send(&event(payload.as_bytes())).await;
        receipts.push(receipt.expect("it is sent"));
    }
    producer.flush().await.expect("all is acknowledged");
    for (number, receipt) in (0..).zip(&mut receipts) {
        assert_eq!(receipt.offset().await.ok(), Some(Offset(number)));
    }
    let stats = producer.stats();
    assert_eq!(stats.acked_before, Sequence(EVENTS));
    assert!(stats.reconnects > 30 && stats.refusals > 2, "{stats:?}");
    let there = cluster.with_log(|log| log.sequences(producer.id()));
    assert!(
        there == (0..EVENTS).collect::<Vec<_>>(),
        "once each, in order"
    );
    let mut consumer = consumer(&cluster).await;
    let expected: Vec<_> = (0..EVENTS).map(|at| (at, at.to_string())).collect();
    assert!(consume(&mut consumer, EVENTS).await == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_send_by_one_producer() {
    const TASKS: u64 = 8;
    const EVENTS: u64 = 500;
    let cluster = Cluster::start(1);
    let mut options = options(cluster.addresses());
    // Less than there are tasks, so that they wait for each other's room.
    options.window_requests = 2;
    let producer = Arc::new(AsyncProducer::connect(options).await.expect("it connects"));
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let producer = Arc::clone(&producer);
        tasks.push(tokio::spawn(async move {
            for number in 0..EVENTS {
                let payload = format!("{task} {number}");
                let mut receipt = producer.send(&event(payload.as_bytes())).await?;
                if number % 100 == 0 {
                    receipt.offset().await?;
                }
            }
            Ok::<_, ClientError>(())
        }));
    }
    for task in tasks {
        task.await.expect("it does not panic").expect("it is sent");
    }
    producer.flush().await.expect("all is acknowledged");
    let mut consumer = consumer(&cluster).await;
    let mut next = [0; 8];
    for (_, text) in consume(&mut consumer, TASKS * EVENTS).await {
        let (task, number) = text.split_once(' ').expect("two numbers");
        let task: usize = task.parse().expect("a number");
        let expected = next.get_mut(task).expect("a task");
        assert_eq!(number, expected.to_string(), "of task {task}");
        *expected += 1;
    }
    assert_eq!(next, [EVENTS; 8]);
}

#[tokio::test]
async fn a_frozen_leader_does_not_hold_the_producer() {
    let cluster = Cluster::start(3);
    let mut options = options(cluster.addresses());
    options.request_timeout = IMPATIENT;
    let producer = AsyncProducer::connect(options).await.expect("it connects");
    producer.send(&event(b"before")).await.expect("it is sent");
    producer.flush().await.expect("it is acknowledged");
    cluster.freeze(1);
    cluster.lead(2);
    let mut receipt = producer.send(&event(b"after")).await.expect("it is sent");
    let ack = timeout(WAIT, receipt.ack()).await.expect("in time");
    // To each of them; on a busy host, others may seem to be frozen too.
    assert!(ack.expect("it is acknowledged").attempts >= 2);
    assert_eq!(producer.stats().node, Some(NodeId(2)));
}

#[tokio::test]
async fn an_open_chunk_goes_out_by_itself_when_it_has_lingered() {
    let cluster = Cluster::start(1);
    let producer = producer(&cluster).await;
    let mut receipt = producer.send(&event(b"lonely")).await.expect("it is sent");
    let offset = timeout(WAIT, receipt.offset()).await.expect("in time");
    assert_eq!(offset.ok(), Some(Offset(0)));
}

#[tokio::test]
async fn flush_does_not_wait_for_the_linger() {
    let cluster = Cluster::start(1);
    let mut options = options(cluster.addresses());
    options.linger = Duration::from_secs(3600);
    let producer = AsyncProducer::connect(options).await.expect("it connects");
    producer.send(&event(b"lonely")).await.expect("it is sent");
    assert_eq!(producer.stats().pending_chunks, 0, "not yet sealed");
    let flushed = timeout(WAIT, producer.flush()).await.expect("in time");
    flushed.expect("it is acknowledged");
    assert_eq!(cluster.with_log(|log| log.end()), 1);
}

#[tokio::test]
async fn a_send_that_was_dropped_has_taken_nothing() {
    let cluster = Cluster::start(1);
    let mut options = options(cluster.addresses());
    options.window_requests = 1;
    options.request_timeout = IMPATIENT;
    let producer = AsyncProducer::connect(options).await.expect("it connects");
    cluster.freeze(1);
    // A chunk in flight, and an open one that is full.
    for number in 0..16 {
        let payload = number.to_string();
        let event = event(payload.as_bytes());
        let sent = timeout(WAIT, producer.send(&event)).await;
        sent.expect("there is room").expect("it is sent");
    }
    let dropped = timeout(Duration::from_millis(20), producer.send(&event(b"16"))).await;
    assert!(dropped.is_err(), "there is no room");
    cluster.thaw(1);
    producer.send(&event(b"16")).await.expect("it is sent");
    let stats = producer.close(WAIT).await.expect("all is acknowledged");
    assert_eq!(stats.acked_events, 17);
    let mut consumer = consumer(&cluster).await;
    let expected: Vec<_> = (0..17).map(|number| (number, number.to_string())).collect();
    assert_eq!(consume(&mut consumer, 17).await, expected);
}

#[tokio::test]
async fn a_fetch_that_was_dropped_loses_nothing() {
    let cluster = Cluster::start(1);
    let mut consumer = consumer(&cluster).await;
    let mut all = Vec::new();
    for number in 0..20_u64 {
        let payload = number.to_string();
        produce(&cluster, &[payload.as_str()]).await;
        // Dropped at many moments, before and after the answer has come.
        for micros in [0, 1, 50, 200] {
            let fetch = consumer.fetch(Duration::from_millis(1));
            if let Ok(batch) = timeout(Duration::from_micros(micros), fetch).await {
                let batch = batch.expect("records");
                all.extend(batch.events().map(|(offset, _)| offset.0));
            }
        }
    }
    let rest = consume(&mut consumer, 20).await;
    all.extend(rest.into_iter().map(|(offset, _)| offset));
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_producer_that_is_closed_says_what_was_acknowledged() {
    let cluster = Cluster::start(1);
    let producer = producer(&cluster).await;
    producer.send(&event(b"there")).await.expect("it is sent");
    producer.flush().await.expect("it is acknowledged");
    cluster.freeze(1);
    let mut open = producer.send(&event(b"who knows")).await.expect("taken");
    let error = producer.close(Duration::from_millis(20)).await;
    let error = error.expect_err("the node is frozen");
    assert_eq!((error.stats.acked_before, error.events), (Sequence(1), 1));
    assert!(
        matches!(*error.error, ClientError::TimedOut { .. }),
        "{error}"
    );
    let never = timeout(WAIT, open.offset()).await.expect("in time");
    assert!(matches!(never, Err(ClientError::Closed)), "{never:?}");
}

#[tokio::test]
async fn a_fenced_producer_ends_and_tells_everybody_why() {
    let cluster = Cluster::start(1);
    let mut options = options(cluster.addresses());
    options.producer = Some(ProducerId(4));
    let old = AsyncProducer::connect(options.clone()).await;
    let old = old.expect("it connects");
    options.epoch = Epoch(1);
    let new = AsyncProducer::connect(options).await.expect("it connects");
    new.send(&event(b"new")).await.expect("it is sent");
    new.flush().await.expect("it is acknowledged");
    let mut receipt = old.send(&event(b"old")).await.expect("it is taken");
    let fenced = |error: ClientError| assert_eq!(error.code(), Some(ErrorCode::EpochFenced));
    fenced(receipt.offset().await.expect_err("fenced"));
    fenced(old.flush().await.expect_err("fenced"));
    fenced(old.send(&event(b"more")).await.expect_err("fenced"));
}

#[tokio::test]
async fn too_large_events_are_refused_and_the_producer_goes_on() {
    let cluster = Cluster::start(1);
    let producer = producer(&cluster).await;
    let oversize = vec![0; 2 << 20];
    let refused = producer.send(&event(&oversize)).await;
    let code = refused.map(|_| ()).map_err(|error| error.code());
    assert_eq!(code, Err(Some(ErrorCode::EventInvalid)));
    let large = vec![b'x'; 900_000];
    for _ in 0..20 {
        producer.send(&event(&large)).await.expect("it is sent");
    }
    let stats = producer.close(WAIT).await.expect("all is acknowledged");
    assert_eq!((stats.acked_events, stats.acked_chunks), (20, 20));
}

#[tokio::test]
async fn nobody_there_is_said_within_the_time_allowed() {
    let closed = ClosedPort::new();
    let closed = closed.address();
    for (address, cause) in [
        (
            closed.as_str(),
            LinkCause::Io(std::io::ErrorKind::ConnectionRefused),
        ),
        ("no port here", LinkCause::Unresolved),
    ] {
        let mut options = options(vec![address.to_owned()]);
        options.ready_timeout = Duration::from_millis(300);
        match AsyncProducer::connect(options).await {
            Err(ClientError::Unreachable { nodes, last }) => {
                assert_eq!((nodes, last), (vec![address.to_owned()], cause.clone()));
            }
            other => panic!("nobody should be reachable: {other:?}"),
        }
        let mut options = ConsumerOptions::new([address]);
        options.patience = Duration::from_millis(300);
        match AsyncConsumer::connect(options).await {
            Err(ClientError::Unreachable { last, .. }) => assert_eq!(last, cause),
            other => panic!("nobody should be reachable: {other:?}"),
        }
    }
    assert!(AsyncProducer::connect(options(Vec::new())).await.is_err());
}

#[tokio::test]
async fn a_waiting_consumer_gets_what_is_committed_meanwhile() {
    let cluster = Cluster::start(1);
    let mut consumer = consumer(&cluster).await;
    let (batch, ()) = tokio::join!(consumer.fetch(WAIT), produce(&cluster, &["news"]));
    assert_eq!(batch.expect("records").len(), 1);
}

#[tokio::test]
async fn a_consumer_goes_on_at_another_node_and_leaves_nothing_out() {
    let cluster = Cluster::start(3);
    produce(&cluster, &["a", "b"]).await;
    let mut options = ConsumerOptions::new(cluster.addresses());
    options.request_timeout = IMPATIENT;
    let mut consumer = AsyncConsumer::connect(options).await.expect("it connects");
    assert_eq!(consume(&mut consumer, 2).await.len(), 2);
    assert_eq!(consumer.node(), Some(NodeId(1)));
    cluster.kill(1);
    cluster.lead(2);
    produce(&cluster, &["c"]).await;
    assert_eq!(consume(&mut consumer, 3).await, [(2, "c".to_owned())]);
    let node = consumer.node().expect("it is connected");
    cluster.freeze(node.0);
    cluster.lead(if node.0 == 2 { 3 } else { 2 });
    produce(&cluster, &["d"]).await;
    assert_eq!(consume(&mut consumer, 4).await, [(3, "d".to_owned())]);
}

#[tokio::test]
async fn damage_is_told_and_the_next_call_asks_elsewhere() {
    let cluster = Cluster::start(2);
    produce(&cluster, &["a"]).await;
    cluster.break_with(Faults {
        garbled_by: 1,
        ..Faults::default()
    });
    let mut consumer = consumer(&cluster).await;
    let damaged = consumer.fetch(WAIT).await.map_err(|error| error.code());
    assert_eq!(damaged.err(), Some(Some(ErrorCode::RecordUnreadable)));
    assert_eq!(consume(&mut consumer, 1).await, [(0, "a".to_owned())]);
    assert_eq!(consumer.node(), Some(NodeId(2)));
}
