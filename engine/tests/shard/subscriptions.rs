//! Subscriptions: credit, their end, and their bounds.

use quorate_engine::config::Limits;
use quorate_wire::client::{Credit, Fetch, ReadFrom};
use quorate_wire::limits::SUBSCRIPTIONS_MAX;
use quorate_wire::{ErrorCode, FrameKind, Offset};
use zerocopy::IntoBytes;

use crate::support::{Client, Rig, frame};

fn subscribe(correlation: u64, credit: u32) -> Vec<u8> {
    let message = Fetch::new(ReadFrom::Offset(Offset(3)), credit);
    let kind = FrameKind::Subscribe;
    frame(kind, correlation, 0, message.as_bytes(), &[])
}

fn credit(correlation: u64, bytes: u32) -> Vec<u8> {
    let message = Credit {
        bytes: bytes.into(),
        reserved: 0.into(),
    };
    frame(FrameKind::Credit, correlation, 0, message.as_bytes(), &[])
}

fn unsubscribe(correlation: u64) -> Vec<u8> {
    frame(FrameKind::Unsubscribe, correlation, 0, &[], &[])
}

fn pushed(client: &mut Client, correlation: u64) -> usize {
    let push = client.read();
    let found = (push.kind, push.correlation);
    assert_eq!(found, (FrameKind::Push, correlation), "{push:?}");
    push.tail.len()
}

#[test]
fn as_much_is_pushed_as_there_is_credit_for() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&subscribe(5, 100));
    assert_eq!([pushed(&mut client, 5), pushed(&mut client, 5)], [80, 20]);
    client.expect_answer(6);
    client.send(&credit(5, 50));
    assert_eq!(pushed(&mut client, 5), 50);
    client.expect_answer(7);
    client.send(&[unsubscribe(5), credit(5, 50)].concat());
    let last = client.read();
    assert_eq!((last.kind, last.correlation), (FrameKind::Unsubscribed, 5));
    client.expect_answer(8);
}

#[test]
fn without_credit_the_pipeline_hears_nothing() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    rig.pipeline.hold();
    client.send(&[subscribe(1, 0), subscribe(2, 1)].concat());
    rig.pipeline.wait_until_it_holds(1);
    rig.pipeline.answer();
    assert_eq!(pushed(&mut client, 2), 1);
    client.expect_answer(9);
}

#[test]
fn they_are_bounded_and_have_correlations_of_their_own() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    for correlation in 0..SUBSCRIPTIONS_MAX as u64 {
        client.send(&subscribe(correlation, 0));
    }
    client.send(&subscribe(99, 0));
    client.expect_refusal(99, ErrorCode::Overloaded);
    client.send(&subscribe(3, 0));
    client.expect_refusal(3, ErrorCode::SubscriptionExists);
}

#[test]
fn a_shard_that_has_no_room_feeds_them_later() {
    let rig = Rig::start(Limits {
        shard_fetches: 1,
        ..Limits::default()
    });
    let mut clients = [rig.client(), rig.client(), rig.client()];
    rig.pipeline.hold();
    for client in &mut clients {
        client.send(&subscribe(1, 160));
    }
    rig.pipeline.wait_until_it_holds(1);
    rig.pipeline.answer();
    for client in &mut clients {
        assert_eq!([pushed(client, 1), pushed(client, 1)], [80, 80]);
    }
}

#[test]
fn a_reader_that_does_not_read_is_paused_and_not_closed() {
    let rig = Rig::start(Limits {
        connection_output_bytes: 8 << 20,
        ..Limits::default()
    });
    let mut slow = rig.client();
    slow.send(&subscribe(1, u32::MAX));
    let mut other = rig.client();
    for correlation in 0..200 {
        other.expect_answer(correlation);
    }
    assert_eq!(rig.counters().connections_slow.get(), 0);
    assert_eq!(pushed(&mut slow, 1), 80);
}

#[test]
fn a_stop_ends_them_with_its_reason() {
    let mut rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&subscribe(4, 10));
    assert_eq!(pushed(&mut client, 4), 10);
    rig.stop();
    client.expect_refusal(4, ErrorCode::ShuttingDown);
    client.expect_silence();
    rig.join();
}
