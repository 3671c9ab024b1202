//! Worlds of the true pipeline. A failure names its seed; `QUORATE_SEED=n` replays that one alone and tells what happened
//! before it, `QUORATE_SEEDS=from..to` runs others.

mod seeds;

use quorate_sim::{ChunkWeather, DiskWeather, Faults, Options, World};
use quorate_wire::{NodeId, Time};
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// From here on nothing goes wrong: everything must be acknowledged, and all logs must become equal.
fn must_converge(world: &mut World, nanoseconds: u64) {
    let done = |world: &World| world.producers().iter().all(quorate_sim::Producer::is_done);
    assert!(
        world.run_until(nanoseconds, done),
        "everything is acknowledged within {} s: {:?}; {:?}",
        nanoseconds / SECOND,
        world.options(),
        world
            .producers()
            .iter()
            .map(quorate_sim::Producer::refusals)
            .collect::<Vec<_>>()
    );
    let since: Time = world.now();
    assert!(
        world.run_until(10 * SECOND, |world| world.converged(since)),
        "all nodes have the same log within 10 s"
    );
    world.check_logs();
}

#[test]
fn a_calm_world_acknowledges_everything_and_converges() {
    each_seed("calm", 0..3, |seed, trace| {
        for nodes in [1, 3, 5] {
            let mut world = World::new(Options::calm(seed, nodes), trace.clone());
            world.start_all();
            must_converge(&mut world, 60 * SECOND);
            assert!(world.oracle().terms() <= 2, "a calm world elects once");
            for producer in world.producers() {
                assert_eq!(producer.acked().len(), 700);
            }
            for consumer in world.consumers() {
                assert!(consumer.fetched() > 0, "consumers see records");
                assert_eq!(consumer.unreadable(), 0);
            }
        }
    });
}

#[test]
fn a_world_of_faults_loses_and_doubles_nothing() {
    each_seed("faults", 0..20, |seed, trace| {
        let options = Options::drawn(seed);
        let mut world = World::new(options, trace.clone());
        world.say(&format!("{options:?}"));
        world.start_all();
        let mut faults = Faults::new(seed);
        faults.rage(&mut world, 5 * SECOND);
        faults.heal(&mut world);
        world
            .producers_mut()
            .iter_mut()
            .for_each(quorate_sim::Producer::stop);
        must_converge(&mut world, 120 * SECOND);
        if std::env::var("QUORATE_SHOW").is_ok() {
            panic!("{:?}", world.summary());
        }
    });
}

/// Virtual time until everything that producers have is acknowledged.
fn time_to_finish(world: &mut World, limit: u64) -> u64 {
    let start = world.now();
    let done = |world: &World| world.producers().iter().all(quorate_sim::Producer::is_done);
    assert!(world.run_until(limit, done), "everything is acknowledged");
    world.now().since(start)
}

/// Starts all nodes and waits for a leader.
fn elect(world: &mut World) -> NodeId {
    world.start_all();
    assert!(
        world.run_until(5 * SECOND, |world| world.leader().is_some()),
        "a leader is elected"
    );
    world.leader().expect("it was just seen")
}

/// A world whose producers have nothing to do until the first leader is there, and then much.
fn heavy(seed: u64) -> Options {
    Options {
        chunks: 1500,
        window: 32,
        pause: 0,
        chunk: ChunkWeather {
            events: 64,
            payload: 1000,
            large_one_in: 20,
            large: 300_000,
        },
        consumers: 0,
        buffers: 4,
        ..Options::calm(seed, 3)
    }
}

#[test]
fn a_slow_follower_slows_nobody() {
    each_seed("slow follower", 0..4, |seed, trace| {
        let mut times = Vec::new();
        for slow in [false, true] {
            let mut world = World::new(heavy(seed), trace.clone());
            let leader = elect(&mut world);
            let follower = world.names().into_iter().find(|&node| node != leader);
            let follower = follower.expect("three nodes");
            if slow {
                let weather = world.options().disk;
                world.node(follower).disk.set_weather(DiskWeather {
                    latency: (400 * MS, 900 * MS),
                    ..weather
                });
            }
            times.push(time_to_finish(&mut world, 300 * SECOND));
            let weather = world.options().disk;
            world.node(follower).disk.set_weather(weather);
            must_converge(&mut world, SECOND);
            assert_eq!(world.oracle().terms(), 1, "the leader stays");
        }
        let [quick, slow] = times[..] else {
            unreachable!("two worlds")
        };
        assert!(
            slow <= quick * 3 / 2 + 100 * MS,
            "{} ms with a slow follower, {} ms without",
            slow / MS,
            quick / MS
        );
    });
}

#[test]
fn a_silent_follower_slows_nobody() {
    each_seed("silent follower", 0..4, |seed, trace| {
        let mut times = Vec::new();
        for silent in [false, true] {
            let mut world = World::new(heavy(seed), trace.clone());
            let leader = elect(&mut world);
            let follower = world.names().into_iter().find(|&node| node != leader);
            let follower = follower.expect("three nodes");
            if silent {
                // The links stay, and nothing goes through: what is sent fills the buffers between.
                world.network().cut(leader, follower);
                world.network().cut(follower, leader);
            }
            times.push(time_to_finish(&mut world, 300 * SECOND));
            world.network().heal_all();
            must_converge(&mut world, SECOND);
        }
        let [quick, slow] = times[..] else {
            unreachable!("two worlds")
        };
        assert!(
            slow <= quick * 3 / 2 + 100 * MS,
            "{} ms with a silent follower, {} ms without",
            slow / MS,
            quick / MS
        );
    });
}
