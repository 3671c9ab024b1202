//! What the way between a shard and a pipeline costs: the lanes alone, and with a pipeline that sleeps in its ring.

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quorate_engine::lane::{ShardLane, lanes};
use quorate_engine::uring::{Driver, DriverOptions, run};
use quorate_replication::lane::{Answer, Ask, Chunks, Reply, Request, ShardId, Ticket};
use quorate_replication::pipeline::Turn;
use quorate_replication::seam::Lanes;
use quorate_wire::client::AckLevel;
use quorate_wire::{Offset, Term, Time};

const CAPACITY: usize = 1_024;

fn request(correlation: u64) -> Request {
    Request {
        ticket: Ticket {
            connection: 0,
            correlation,
            chunks: Chunks::ONE,
        },
        ask: Ask::Greet,
    }
}

fn reply(ticket: Ticket) -> Reply {
    Reply {
        ticket,
        answer: Answer::Produced {
            base_offset: Offset(0),
            term: Term(1),
            level: AckLevel::Quorum,
            trace: None,
        },
    }
}

/// There and back on one thread: nobody sleeps.
fn through(criterion: &mut Criterion) {
    let (mut pipeline, mut shards) = lanes(1, CAPACITY).expect("descriptors are free");
    let mut shard = shards.pop().expect("one was asked for");
    let mut benches = criterion.benchmark_group("lane");
    for batch in [1, 64] {
        benches.throughput(Throughput::Elements(batch));
        benches.bench_function(format!("{batch} requests and replies"), |bencher| {
            bencher.iter(|| {
                for nth in 0..batch {
                    shard.try_put(request(nth)).expect("there is room");
                }
                shard.kick();
                while let Some((shard, request)) = pipeline.take() {
                    pipeline.put(shard, reply(request.ticket));
                }
                pipeline.flush();
                while let Some(reply) = shard.try_take() {
                    black_box(reply);
                }
            });
        });
    }
    benches.finish();
}

/// A driver on a thread of its own answers whatever comes; the shard's side spins for the answer.
fn wake(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("wake");
    for (name, spin) in [
        ("a pipeline that sleeps", Duration::ZERO),
        ("a pipeline that spins", Duration::from_millis(100)),
    ] {
        let home = tempfile::tempdir().expect("there is room");
        let (lanes, mut shards) = lanes(1, CAPACITY).expect("descriptors are free");
        let mut shard: ShardLane = shards.pop().expect("one was asked for");
        let driver = Driver::new(DriverOptions {
            directory: home.path().to_owned(),
            listener: None,
            peers: Vec::new(),
            lanes,
            spin,
            buffers: 0,
        });
        let driver = driver.expect("this host has a ring");
        let bell = Arc::clone(driver.wake());
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let echo = thread::spawn(move || {
            let ended = run(driver, &told, |driver| {
                while let Some((shard, request)) = driver.take() {
                    let ShardId(_) = shard;
                    driver.put(shard, reply(request.ticket));
                }
                Turn::IdleUntil(Time(u64::MAX))
            });
            ended.expect("the ring works");
        });
        benches.bench_function(name, |bencher| {
            bencher.iter(|| {
                shard.try_put(request(0)).expect("there is room");
                shard.kick();
                while shard.try_take().is_none() {
                    spin_loop();
                }
            });
        });
        stop.store(true, Ordering::Release);
        bell.ring();
        echo.join().expect("it ends without a panic");
    }
    benches.finish();
}

criterion_group!(benches, through, wake);
criterion_main!(benches);
