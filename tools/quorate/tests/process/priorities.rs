//! A leader with more to do than it may have in flight: those of low priority wait, those of higher priority go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quorate_bench::{Generator, Load};
use quorate_client::{Event, Producer, ProducerOptions};

use crate::world::{SOON, World, wait_for};

/// What is of priority 0 may have three quarters of these in flight.
const SHARD_REQUESTS: usize = 256;

#[test]
fn low_priority_is_shed_while_higher_priority_goes_on() {
    let mut world = World::start_with(|config| {
        config.shards.count = 1;
        config.limits.shard_requests = SHARD_REQUESTS;
    });
    let low = Load {
        batch: 1,
        producers: 8,
        in_flight: SHARD_REQUESTS / 4,
        ..Load::new(world.local.addresses())
    };
    let mut low = Generator::connect(&low).expect("the cluster serves");
    let mut options = ProducerOptions::new(world.local.addresses());
    options.priority = 7;
    options.give_up = Some(SOON);
    let mut high = Producer::connect(options).expect("the cluster serves");

    let before = world.local.wait_complete(SOON).expect("it serves").term;
    let (shedding, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut measured = thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let end = low.run(SOON, &mut |measured| {
                shedding.store(measured.events > 10_000, Ordering::Relaxed);
                over.load(Ordering::Relaxed)
            });
            end.expect("nobody is refused for good")
        });
        wait_for("the load", || {
            shedding.load(Ordering::Relaxed).then_some(())
        });
        for number in 0..500 {
            let event = Event {
                key: number,
                time: 0,
                topic: b"important",
                payload: b"goes on",
                priority: 7,
            };
            high.send(&event).expect("the producer goes on");
            high.flush().expect("it is acknowledged");
        }
        over.store(true, Ordering::Relaxed);
        loading.join().expect("the load says what went wrong")
    });
    assert!(
        measured.refusals > 0,
        "twice as much was sent as there is room for"
    );
    let stats = high.stats();
    let after = world.local.wait_complete(SOON).expect("it serves").term;
    // On a busy host the lead may have changed: that refuses everybody.
    assert!(
        stats.refusals == 0 || before != after,
        "there is room for who is more important, and it was refused {} times",
        stats.refusals
    );
    assert_eq!(stats.acked_events, 500);
    let drained = low
        .drain(&mut measured, SOON)
        .expect("nobody is refused for good");
    assert!(drained, "who was shed goes on in the end");
}
