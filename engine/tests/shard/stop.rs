//! The stop of a shard, and the end of its pipeline.

use std::time::Instant;

use quorate_engine::config::Limits;
use quorate_wire::{ErrorCode, FrameKind};

use crate::support::{PATIENCE, Rig, chunk, fetch, produce};

#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let mut rig = Rig::with_defaults();
    let mut client = rig.client();
    let mut silent = rig.client();
    rig.pipeline.hold();
    let frames: Vec<u8> = (0..10)
        .flat_map(|at| produce(at, &chunk(at, 1, 8)))
        .collect();
    client.send(&frames);
    rig.pipeline.wait_until_it_holds(10);
    rig.stop();
    // Once a new chunk is refused, the stop has begun; until then it may still be taken.
    let mut taken = 10;
    loop {
        client.send(&produce(taken, &chunk(taken, 1, 8)));
        rig.pipeline.hold();
        if is_refused(&mut client) {
            break;
        }
        taken += 1;
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

/// Whether the request that was just sent is refused: looks for an answer for a moment only.
fn is_refused(client: &mut crate::support::Client) -> bool {
    let moment = std::time::Duration::from_millis(20);
    client
        .socket
        .set_read_timeout(Some(moment))
        .expect("it is a time");
    let read = client.try_read();
    client
        .socket
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    match read {
        Ok(Some(received)) => {
            assert_eq!(received.error().0, ErrorCode::ShuttingDown);
            true
        }
        Ok(None) => panic!("the connection ended before its answers came"),
        Err(_) => false,
    }
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
    let mut at = 2;
    while !is_refused({
        client.send(&produce(at, &chunk(0, 1, 8)));
        &mut client
    }) {
        at += 1;
        assert!(
            at < 1000,
            "the shard does not notice that its pipeline is gone"
        );
    }
    rig.stop();
    client.expect_silence();
    rig.join();
}
