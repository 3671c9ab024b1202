//! Worlds in which something is slow, and nothing is wrong: one leader is enough.

mod seeds;

use quorate_sim::{DiskWeather, NetworkWeather, Options, Trace, World};
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// A world under load that goes on for longer than it is looked at.
fn busy(seed: u64) -> Options {
    Options {
        chunks: u64::MAX,
        pause: 50 * MS,
        ..Options::calm(seed, 3)
    }
}

/// Whether the world has a leader within so long.
fn elects(options: Options, trace: &Trace, within: u64) -> Option<World> {
    let mut world = World::new(options, trace.clone());
    world.start_all();
    let elected = world.run_until(within, |world| world.leader().is_some());
    elected.then_some(world)
}

fn must_stay(mut world: World) {
    let terms = world.oracle().terms();
    let acked = |world: &World| -> u64 {
        let producers = world.producers().iter();
        producers.map(|it| it.counters().acked_chunks).sum()
    };
    let before = acked(&world);
    world.run_until(10 * SECOND, |_| false);
    assert_eq!(world.oracle().terms(), terms, "no term is needed");
    assert!(acked(&world) > before, "it serves");
}

#[test]
fn disks_that_take_their_time_elect_nobody() {
    each_seed("slow disks", 0..2, |seed, trace| {
        let calm = busy(seed);
        let options = Options {
            disk: DiskWeather {
                latency: (100 * MS, 200 * MS),
                ..calm.disk
            },
            ..calm
        };
        must_stay(elects(options, trace, 20 * SECOND).expect("a leader is elected"));
    });
}

#[test]
fn where_a_round_trip_takes_longer_than_an_election_timeout_the_timeouts_grow() {
    each_seed("slow links", 0..2, |seed, trace| {
        let calm = busy(seed);
        let options = Options {
            network: NetworkWeather {
                latency: (250 * MS, 300 * MS),
                spike_one_in: u64::MAX,
                ..calm.network
            },
            ..calm
        };
        must_stay(elects(options, trace, 30 * SECOND).expect("a leader is elected"));
        let fixed = Options {
            election_slack: 0,
            ..options
        };
        assert!(
            elects(fixed, trace, 30 * SECOND).is_none(),
            "with timeouts that stay, votes come too late"
        );
    });
}

#[test]
fn threads_that_get_their_turn_late_elect_nobody() {
    each_seed("starved", 0..2, |seed, trace| {
        let calm = busy(seed);
        let options = Options {
            stall_one_in: 50,
            stall: 90 * MS,
            ..calm
        };
        must_stay(elects(options, trace, 20 * SECOND).expect("a leader is elected"));
    });
}
