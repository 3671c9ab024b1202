//! Worlds of the true pipeline. A failure names its seed; `QUORATE_SEED=n` replays that one alone and tells what happened
//! before it, `QUORATE_SEEDS=from..to` runs others.

mod seeds;

use quorate_sim::{Faults, Options, World};
use quorate_wire::Time;
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
