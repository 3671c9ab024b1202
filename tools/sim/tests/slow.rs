//! Worlds in which something is slow, and nothing is wrong: one leader is enough.

mod seeds;

use quorate_sim::{DiskWeather, NetworkWeather, Options, Trace, World};
use quorate_wire::{NodeId, Time};
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

/// The leader's memory has no more what a node has missed, and producers go on.
#[test]
fn who_has_fallen_behind_is_caught_up_beside_the_load() {
    each_seed("catching up", 0..2, |seed, trace| {
        let calm = busy(seed);
        let mut options = Options {
            pause: 5 * MS,
            buffers: 4,
            ..calm
        };
        options.chunk.large_one_in = 2;
        let mut world = elects(options, trace, 5 * SECOND).expect("a leader is elected");
        let leader = world.leader().expect("it was elected");
        let mut others = world.names().into_iter().filter(|&id| id != leader);
        let behind = others.next_back().expect("there are three");
        let status = |world: &World, id: NodeId| {
            let since = Time(world.now().0 - 100 * MS);
            world.groups()[0].status(id, since).copied()
        };
        let log = |world: &World| status(world, leader).expect("it runs").log_bytes.get();
        world.run_for(200 * MS);
        let before = log(&world);
        world.crash(behind, false);
        world.run_for(1500 * MS);
        assert!(log(&world) - before > 8 << 20, "more than the memory has");
        world.start(behind);
        let mut governed = 0;
        let arrived = (0..200).any(|_| {
            world.run_for(10 * MS);
            let [led, follows] = [leader, behind].map(|id| status(&world, id));
            let (Some(led), Some(follows)) = (led, follows) else {
                return false;
            };
            let lacks = led.last_index.get() - follows.last_index.get();
            governed += u64::from(led.catch_up_bytes.get() > 0 && led.commit_p99.get() > 0);
            lacks < 64
        });
        assert!(arrived, "it is faster than the producers");
        assert!(governed > 0, "the load is known");
    });
}
