//! Lanes under load: nothing is lost, nothing is late, and nobody sleeps over anything.

use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use quorate_engine::clock;
use quorate_engine::lane::{PipelineLanes, ShardLane, lanes};
use quorate_engine::uring::{Driver, DriverOptions};
use quorate_replication::lane::{Answer, Ask, Chunks, Reply, Request, Ticket};
use quorate_replication::seam::Lanes;

const SHARDS: usize = 2;
const REQUESTS: u64 = 1_000_000;
const CAPACITY: usize = 128;
const DEADLINE: Duration = Duration::from_secs(240);

/// A small generator (xorshift): the same load at each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn request(connection: u64, correlation: u64) -> Request {
    Request {
        ticket: Ticket {
            connection,
            correlation,
            chunks: Chunks::ONE,
        },
        ask: Ask::Greet,
    }
}

/// Answers a request, if there is one.
fn answer(driver: &mut Driver) -> bool {
    let Some((shard, request)) = driver.take() else {
        return false;
    };
    let ticket = request.ticket;
    let answer = Answer::Greeting {
        leader: None,
        nodes: None,
    };
    driver.put(shard, Reply { ticket, answer });
    true
}

fn driver(directory: &Path, lanes: PipelineLanes) -> Driver {
    Driver::new(DriverOptions {
        directory: directory.to_owned(),
        listener: None,
        peers: Vec::new(),
        lanes,
        spin: Duration::ZERO,
        buffers: 0,
    })
    .expect("this host has a ring")
}

/// Asks in batches of any size, and sleeps whenever it has nothing else to do.
fn shard(mut lane: ShardLane, seed: u64) {
    let mut draw = Draw(seed);
    let mut asked = 0;
    let mut answered = 0;
    while answered < REQUESTS {
        let batch = draw.below(2 * u64::try_from(CAPACITY).expect("it is small"));
        for _ in 0..batch {
            if asked == REQUESTS || lane.try_put(request(seed, asked)).is_err() {
                break;
            }
            asked += 1;
        }
        lane.kick();
        // Sometimes all are waited for, so that both sides fall asleep; sometimes one is.
        let enough = if draw.below(3) == 0 {
            asked
        } else {
            answered + 1
        };
        while answered < enough.min(asked) {
            block_on(lane.wait());
            while let Some(reply) = lane.try_take() {
                assert_eq!(reply.ticket.correlation, answered, "replies keep order");
                answered += 1;
            }
        }
    }
}

/// Answers all, sleeping whenever there is nothing.
fn pipeline(mut driver: Driver) {
    let mut left = REQUESTS * u64::try_from(SHARDS).expect("it is small");
    loop {
        while answer(&mut driver) {
            left -= 1;
        }
        // A wake-up that is lost is not made good by a deadline.
        let until = if left == 0 { Some(clock::now()) } else { None };
        driver.wait(until).expect("the ring works");
        if left == 0 {
            return;
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    let home = tempfile::tempdir().expect("there is room");
    let (pipeline_lanes, shard_lanes) = lanes(SHARDS, CAPACITY).expect("descriptors are free");
    let driver = driver(home.path(), pipeline_lanes);
    let (over, ended) = mpsc::channel();
    for (lane, seed) in shard_lanes.into_iter().zip(1..) {
        let over = over.clone();
        thread::spawn(move || {
            shard(lane, seed);
            over.send(()).expect("the test waits");
        });
    }
    thread::spawn(move || {
        pipeline(driver);
        over.send(()).expect("the test waits");
    });
    for _ in 0..=SHARDS {
        ended
            .recv_timeout(DEADLINE)
            .expect("all requests are answered before the deadline");
    }
}

#[test]
fn a_request_that_comes_as_the_pipeline_falls_asleep_is_seen() {
    const ROUNDS: u64 = 100;
    const SPINS_MAX: u64 = 500;
    let home = tempfile::tempdir().expect("there is room");
    let (pipeline_lanes, mut shard_lanes) = lanes(1, 1).expect("a descriptor is free");
    let mut lane = shard_lanes.pop().expect("one was asked for");
    let mut driver = driver(home.path(), pipeline_lanes);
    let (over, ended) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..ROUNDS * SPINS_MAX {
            while !answer(&mut driver) {
                driver.wait(None).expect("the ring works");
            }
        }
    });
    thread::spawn(move || {
        for correlation in 0..ROUNDS * SPINS_MAX {
            lane.try_put(request(0, correlation)).expect("it has room");
            lane.kick();
            while lane.try_take().is_none() {
                std::hint::spin_loop();
            }
            // The pipeline is on its way to sleep: the next request meets it at each place of that way.
            for spin in 0..correlation % SPINS_MAX {
                black_box(spin);
            }
        }
        over.send(()).expect("the test waits");
    });
    ended
        .recv_timeout(DEADLINE)
        .expect("no request is slept over");
}

#[test]
fn whoever_waits_is_told_of_the_end() {
    let (pipeline, mut shards) = lanes(1, 1).expect("a descriptor is free");
    let shard = shards.pop().expect("one was asked for");
    let waiter = thread::spawn(move || {
        block_on(shard.wait());
        assert!(shard.is_closed(), "nothing else happened");
    });
    drop(pipeline);
    waiter.join().expect("it was told");
}
