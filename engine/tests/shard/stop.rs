//! The stop of a shard, and the end of its pipeline.

use std::time::{Duration, Instant};

use quorate_engine::config::Limits;
use quorate_wire::{ErrorCode, FrameKind};

use crate::support::{Client, PATIENCE, Rig, chunk, fetch, produce};

#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let mut rig = Rig::start(Limits {
        stop_ms: 60_000,
        ..Limits::default()
    });
    let mut client = rig.client();
    let mut silent = rig.client();
    rig.pipeline.hold();
    let frames: Vec<u8> = (0..10)
        .flat_map(|at| produce(at, &chunk(at, 1, 8)))
        .collect();
    client.send(&frames);
    rig.pipeline.wait_until_it_holds(10);
    rig.stop();
    let (taken, sent) = send_until_refused(&mut client, 10);
    for at in taken + 1..sent {
        client.expect_refusal(at, ErrorCode::ShuttingDown);
    }
    rig.pipeline.answer();
    for at in 0..taken {
        let answer = client.read();
        assert_eq!(
            (answer.kind, answer.correlation),
            (FrameKind::ProduceReply, at)
        );
    }
    client.expect_silence();
    silent.expect_silence();
    rig.join();
}

/// Sends one chunk after the other, from this correlation on, until one is refused since the shard stops: until it has heard of
/// that, it may still take some. Says which one is refused, and which one would be next: those between will be refused too.
fn send_until_refused(client: &mut Client, first: u64) -> (u64, u64) {
    let moment = Duration::from_millis(20);
    let socket = client.socket.try_clone().expect("a handle is to be had");
    let patience = |time| socket.set_read_timeout(Some(time)).expect("it is a time");
    for at in first..1000 {
        client.send(&produce(at, &chunk(at, 1, 8)));
        patience(moment);
        let read = client.try_read();
        patience(PATIENCE);
        match read {
            Ok(Some(received)) => {
                assert_eq!(received.error().0, ErrorCode::ShuttingDown);
                return (received.correlation, at + 1);
            }
            Ok(None) => panic!("the connection ended before its answers came"),
            Err(_) => {}
        }
    }
    panic!("the shard goes on");
}

#[test]
fn a_fetch_that_waits_is_told() {
    let mut rig = Rig::with_defaults();
    let mut client = rig.client();
    rig.pipeline.hold();
    client.send(&fetch(3, 0, 1, 30_000));
    rig.pipeline.wait_until_it_holds(1);
    rig.stop();
    client.expect_refusal(3, ErrorCode::ShuttingDown);
    client.expect_silence();
    rig.join();
}

#[test]
fn a_pipeline_that_does_not_answer_delays_the_stop_for_so_long_only() {
    let mut rig = Rig::start(Limits {
        stop_ms: 50,
        ..Limits::default()
    });
    let mut client = rig.client();
    rig.pipeline.hold();
    client.send(&produce(1, &chunk(0, 1, 8)));
    rig.pipeline.wait_until_it_holds(1);
    let told = Instant::now();
    rig.stop();
    client.expect_silence();
    drop(client);
    rig.join();
    assert!(
        told.elapsed() < PATIENCE,
        "the stop waited for {:?}",
        told.elapsed()
    );
}

#[test]
fn a_client_that_does_not_leave_does_not_keep_the_shard() {
    let mut rig = Rig::with_defaults();
    let _stays = rig.client();
    rig.stop();
    rig.join();
}

#[test]
fn without_a_pipeline_nothing_is_taken() {
    let mut rig = Rig::with_defaults();
    let mut client = rig.client();
    rig.pipeline.hold();
    client.send(&produce(1, &chunk(0, 1, 8)));
    rig.pipeline.wait_until_it_holds(1);
    rig.pipeline.die();
    // What was in flight is lost with the pipeline; what comes after is refused.
    let (refused, sent) = send_until_refused(&mut client, 2);
    for at in refused + 1..sent {
        client.expect_refusal(at, ErrorCode::ShuttingDown);
    }
    rig.stop();
    client.expect_silence();
    rig.join();
}
