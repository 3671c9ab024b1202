//! Clients that speak the protocol and use it wrong: each gets what the protocol's page says, and nobody else notices.

use std::time::Duration;

use quorate_client::{
    Clause, ClientError, Committed, Consumer, ConsumerOptions, Epoch, ErrorCode, Event, Filter,
    GroupConsumer, Name, Names, Offset, Producer, ProducerId, ProducerOptions, ReadFrom, Sequence,
};
use quorate_wire::FrameKind;
use quorate_wire::client::Fetch;
use zerocopy::IntoBytes as _;

use crate::load::Load;
use crate::raw::{Client, Heard, frame, hello};
use crate::world::{SOON, World, wait_for};

const ID: ProducerId = ProducerId(4711);

/// A producer of this id that begins with a sequence.
fn producer(world: &World, epoch: u32, first: u64) -> Producer {
    let mut options = ProducerOptions::new(world.local.addresses());
    (options.producer, options.epoch) = (Some(ID), Epoch(epoch));
    (options.first, options.give_up) = (Sequence(first), Some(SOON));
    Producer::connect(options).expect("it serves")
}

/// Sends events with these payloads. Gives the offset of the first one.
fn send(producer: &mut Producer, payloads: &[&str]) -> Result<Offset, ClientError> {
    for payload in payloads {
        producer.send(&Event {
            key: 1,
            time: 0,
            topic: b"misuse",
            payload: payload.as_bytes(),
            priority: 0,
        })?;
    }
    producer.flush()?;
    let first = producer.take_acks().next();
    Ok(first.expect("it was acknowledged").offset)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(end: Result<T, ClientError>, code: ErrorCode, is: u64) {
    let error = end.expect_err("it is refused");
    let ClientError::Refused { expected, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((error.code(), *expected), (Some(code), is), "{error}");
}

fn payloads(world: &World) -> Vec<String> {
    let options = ConsumerOptions::new(world.local.addresses());
    let mut consumer = Consumer::connect(options).expect("it serves");
    let mut found = Vec::new();
    loop {
        let batch = consumer
            .fetch(Duration::from_millis(200))
            .expect("it serves");
        let texts = batch
            .events()
            .map(|(_, event)| String::from_utf8_lossy(event.payload).into_owned());
        found.extend(texts);
        if batch.is_empty() {
            return found;
        }
    }
}

#[test]
fn producers_that_jump_or_share_an_id_double_nothing_and_lose_nothing_unsaid() {
    let world = World::start();
    let end = send(&mut producer(&world, 0, 7), &["of nobody"]);
    assert_refused(end, ErrorCode::ProducerUnknown, 0);
    let mut first = producer(&world, 0, 0);
    assert_eq!(send(&mut first, &["a", "b", "c"]).ok(), Some(Offset(0)));
    let end = send(&mut producer(&world, 0, 5), &["behind a gap"]);
    assert_refused(end, ErrorCode::SequenceGap, 3);
    // The same id and epoch is the same producer: its sequences are there already.
    let end = send(&mut producer(&world, 0, 0), &["x", "y", "z"]);
    assert_eq!(end.ok(), Some(Offset(0)));
    // A chunk that ends elsewhere than any that was sent is no retry.
    let end = send(&mut producer(&world, 0, 2), &["over", "the end"]);
    assert_refused(end, ErrorCode::SequenceTooOld, 0);
    let mut second = producer(&world, 1, 0);
    assert_eq!(send(&mut second, &["d"]).ok(), Some(Offset(3)));
    assert_refused(send(&mut first, &["too late"]), ErrorCode::EpochFenced, 1);
    let end = send(&mut producer(&world, 2, 1), &["no first one"]);
    assert_refused(end, ErrorCode::SequenceGap, 0);
    assert_eq!(send(&mut second, &["e"]).ok(), Some(Offset(4)));
    assert_eq!(payloads(&world), ["a", "b", "c", "d", "e"]);
}

#[test]
fn places_outside_the_log_are_refused_with_what_can_be_read() {
    let mut world = World::start();
    send(&mut producer(&world, 0, 0), &["a", "b", "c"]).expect("it serves");
    // Each node says what it knows.
    world.local.wait_settled(SOON).expect("all come to the end");
    let mut options = ConsumerOptions::new(world.local.addresses());
    options.from = ReadFrom::Offset(Offset(4));
    options.patience = Duration::from_secs(2);
    let mut consumer = Consumer::connect(options.clone()).expect("it serves");
    assert_refused(consumer.fetch(Duration::ZERO), ErrorCode::OffsetPastEnd, 3);
    let mut names = Names::new(&options).expect("there is chance");
    let name = Name::new("misuse").expect("it is a name");
    assert_refused(
        names.set_cursor(name, Offset(4), false),
        ErrorCode::CursorPastEnd,
        3,
    );
    names
        .set_cursor(name, Offset(3), false)
        .expect("the end is a place");
    assert_refused(
        names.set_cursor(name, Offset(2), false),
        ErrorCode::CursorBehind,
        3,
    );
    // Nothing matches, and the reader gets to the end all the same.
    options.from = ReadFrom::Start;
    options.filter = (Filter::default().with(&Clause::Topic(b"nobody's"))).expect("it has room");
    let mut consumer = Consumer::connect(options).expect("it serves");
    let batch = wait_for("the end", || {
        let batch = consumer.fetch(Duration::ZERO).expect("it serves");
        (batch.next_offset() == Offset(3)).then_some(batch)
    });
    assert!(batch.is_empty());
}

#[test]
fn a_subscriber_that_gives_no_credit_is_pushed_nothing_and_costs_nobody_anything() {
    let mut world = World::start();
    let leader = world.leader();
    let load = Load::start(world.local.addresses());
    load.wait_acked(1_000);
    let mut client = Client::connect(world.local.address(leader));
    let subscribe = Fetch::new(ReadFrom::Start, 1);
    client.say(&hello());
    client.say(&frame(FrameKind::Subscribe, subscribe.as_bytes(), &[]));
    assert_eq!(client.hear(), Heard::Frame(FrameKind::HelloReply));
    assert_eq!(
        client.hear(),
        Heard::Frame(FrameKind::Push),
        "one record, that is owed"
    );
    load.wait_acked(5_000);
    client.say(&frame(FrameKind::Status, &[], &[]));
    assert_eq!(
        client.hear(),
        Heard::Frame(FrameKind::StatusReply),
        "and no push before it"
    );
    client.say(&frame(FrameKind::Unsubscribe, &[], &[]));
    assert_eq!(client.hear(), Heard::Frame(FrameKind::Unsubscribed));
    assert!(load.finish().complete);
}

#[test]
fn a_member_that_stalls_loses_its_slots_and_what_it_commits_then_counts_for_nothing() {
    let world = World::start();
    let sent: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    send(&mut producer(&world, 0, 0), &sent).expect("it serves");
    let join = || {
        let options = ConsumerOptions::new(world.local.addresses());
        let name = Name::new("stalled").expect("it is a name");
        GroupConsumer::join(name, Duration::from_millis(500), options).expect("there is chance")
    };
    let mut stalls = join();
    let given = wait_for("its events", || {
        let polled = stalls.poll(Duration::from_millis(50)).expect("it serves");
        let given = polled.events().count();
        (given > 0).then_some(given)
    });
    let mut other = join();
    let taken = wait_for("the slots of who stalls", || {
        let polled = other.poll(Duration::from_millis(50)).expect("it serves");
        let taken = polled.events().count();
        (taken > 0).then_some(taken)
    });
    assert_eq!(
        (given, taken),
        (100, 100),
        "one key, one slot: given out, not committed, given out again"
    );
    wait_for("a commit in the generation of who is left", || {
        other.poll(Duration::ZERO).expect("it serves");
        matches!(other.commit(), Ok(Committed::Done(_))).then_some(())
    });
    assert_eq!(stalls.commit().ok(), Some(Committed::Fenced));
}
