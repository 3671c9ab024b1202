//! Worlds of the true pipeline. A failure names its seed; `QUORATE_SEED=n` replays that one alone and tells what happened
//! before it, `QUORATE_SEEDS=from..to` runs others.

mod seeds;

use std::cell::Cell;

use quorate_sim::{
    Case, ChunkWeather, DiskWeather, Group, IdSource, Keep, Options, Profile, Trace, Way, World,
    recover, run,
};
use quorate_wire::admin::AdminAsk;
use quorate_wire::{ErrorCode, NodeId, Time};
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// Everything that producers have is acknowledged within so long; then the world must serve and converge.
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
            .map(quorate_sim::Producer::counters)
            .collect::<Vec<_>>()
    );
    recover(world);
}

#[test]
fn a_calm_world_acknowledges_everything_and_converges() {
    each_seed("calm", 0..1, |seed, trace| {
        for nodes in [1, 3, 5] {
            let mut world = World::new(Options::calm(seed, nodes), trace.clone());
            world.start_all();
            must_converge(&mut world, 60 * SECOND);
            assert!(world.oracle().terms() <= 2, "a calm world elects once");
            for producer in world.producers() {
                assert_eq!(producer.counters().acked_chunks, 700);
            }
            let (appends, reads) = world.oracle().history().counts();
            assert_eq!(appends, 700 * world.producers().len());
            assert!(reads > 2 * world.consumers().len(), "{reads} reads");
            for consumer in world.consumers() {
                assert!(consumer.fetched() > 0, "consumers see records");
                assert_eq!(consumer.unreadable(), 0);
            }
        }
    });
}

#[test]
fn what_is_known_of_producers_is_bounded_and_enough_for_every_retry() {
    each_seed("runs", 0..3, |seed, trace| {
        let options = Options {
            runs_max: 70,
            ..Options::calm(seed, 3)
        };
        let mut world = World::new(options, trace.clone());
        let mut leader = elect(&mut world);
        // Retries come when leaders go.
        for _ in 0..4 {
            world.run_for(100 * MS);
            world.crash(leader, false);
            world.run_for(SECOND);
            world.start(leader);
            assert!(world.run_until(5 * SECOND, |world| world.leader().is_some()));
            leader = world.leader().expect("it was just seen");
        }
        world.run_for(SECOND);
        for node in world.names() {
            let view = world.node(node).pipeline().expect("it runs").view();
            assert!((50..=70).contains(&view.runs), "{} runs", view.runs);
        }
        must_converge(&mut world, 60 * SECOND);
    });
}

#[test]
fn who_is_shed_comes_again_and_everybody_gets_through() {
    each_seed("shedding", 0..2, |seed, trace| {
        let options = Options {
            shard_requests: 8,
            pause: 0,
            chunks: 300,
            ..Options::calm(seed, 3)
        };
        let mut world = World::new(options, trace.clone());
        world.start_all();
        must_converge(&mut world, 60 * SECOND);
        let refusals = world.producers().iter().map(|it| it.counters().refusals);
        assert!(refusals.sum::<u64>() > 20, "some are shed");
    });
}

/// Members of a consumer group are given up while the lead cannot change hands: what makes a record of that waits, and the node with it.
/// The simulator counts turns that nobody asked for.
#[test]
fn a_node_that_can_do_nothing_sleeps() {
    each_seed("sleeps", 0..2, |seed, trace| {
        let options = Options {
            producers: 1,
            members: 6,
            ..Options::calm(seed, 3)
        };
        let mut world = World::new(options, trace.clone());
        let leader = elect(&mut world);
        let names = world.names();
        let slow = names.into_iter().find(|&id| id != leader).expect("three");
        let latency = (400 * MS, 800 * MS);
        let weather = DiskWeather {
            latency,
            ..options.disk
        };
        world.node(slow).disk.set_weather(weather);
        for _ in 0..60 {
            let to = Some(slow);
            world.groups_mut()[0].operate(leader, AdminAsk::Transfer { to });
            world.run_for(200 * MS);
        }
        world.node(slow).disk.set_weather(options.disk);
        must_converge(&mut world, 60 * SECOND);
    });
}

/// The peers hear the leader, so it stays: its clients find no way before another node leads.
#[test]
fn clients_that_are_cut_off_from_a_node_go_on_by_another_way() {
    each_seed("cut clients", 0..2, |seed, trace| {
        let ways: [&[Way]; 3] = [&[Way::Up], &[Way::Down], &[Way::Up, Way::Down]];
        for ways in ways {
            let options = Options {
                chunks: u64::MAX,
                pause: 20 * MS,
                ..Options::calm(seed, 3)
            };
            let mut world = World::new(options, trace.clone());
            let leader = elect(&mut world);
            let others = world.names().into_iter().filter(|&node| node != leader);
            let others: Vec<NodeId> = others.collect();
            world.cut_clients(others[0], ways);
            let before = acked(&world);
            world.run_for(SECOND);
            assert!(acked(&world) > before, "the leader is not cut off");
            world.cut_clients(leader, ways);
            world.run_for(MS);
            let (before, reads) = (acked(&world), fetched(&world));
            world.run_for(5 * SECOND);
            assert_eq!(world.leader(), Some(leader));
            assert_eq!(acked(&world), before, "nobody else acknowledges");
            assert!(fetched(&world) > reads, "others let read");
            let to = Some(others[1]);
            world.groups_mut()[0].operate(leader, AdminAsk::Transfer { to });
            world.run_for(5 * SECOND);
            assert!(acked(&world) > before, "they find who leads now");
            world.groups_mut()[0].heal_clients(leader);
            world.groups_mut()[0].heal_clients(others[0]);
            recover(&mut world);
        }
    });
}

fn acked(world: &World) -> usize {
    world.producers().iter().map(|it| it.acked().len()).sum()
}

fn fetched(world: &World) -> u64 {
    let consumers = world.consumers().iter();
    consumers.map(quorate_sim::Consumer::fetched).sum()
}

#[test]
fn an_id_is_in_the_log_once_whoever_says_it_and_through_new_leaders() {
    let mixed = Cell::new(0);
    each_seed("ids", 0..3, |seed, trace| {
        let options = Options {
            sources: 3,
            producers: 1,
            chunks: 200,
            ..Options::calm(seed, 3)
        };
        let mut world = World::new(options, trace.clone());
        let mut leader = elect(&mut world);
        for _ in 0..3 {
            world.run_for(200 * MS);
            world.crash(leader, false);
            world.run_for(SECOND);
            world.start(leader);
            assert!(world.run_until(5 * SECOND, |world| world.leader().is_some()));
            leader = world.leader().expect("it was just seen");
        }
        must_converge(&mut world, 60 * SECOND);
        let sources = world.groups().iter().flat_map(Group::sources);
        mixed.set(mixed.get() + sources.map(IdSource::mixed).sum::<u64>());
        assert!(world.oracle().ids().said() > 100, "they have said much");
    });
    assert!(mixed.get() > 20, "{} chunks were mixed", mixed.get());
}

/// Whoever sleeps through the end of its consumer group reads in the next one.
#[test]
fn a_consumer_group_that_is_deleted_comes_back_and_reads_everything_anew() {
    let lives = Cell::new(0);
    each_seed("lives", 0..8, |seed, trace| {
        let mut options = Options::calm(seed, 3);
        (options.members, options.chunks) = (1, 300);
        let mut world = World::new(options, trace.clone());
        let leader = elect(&mut world);
        for _ in 0..200 {
            world.run_for(100 * MS);
            world.groups_mut()[0].forget(leader);
        }
        must_converge(&mut world, 60 * SECOND);
        lives.set(lives.get() + world.oracle().members().lives());
    });
    assert!(lives.get() > 16, "{} lives", lives.get());
}

#[test]
fn a_consumer_group_reads_everything_whatever_its_members_do() {
    let fences = Cell::new(0);
    each_seed("members", 0..3, |seed, trace| {
        let mut options = Options::calm(seed, 3);
        (options.members, options.chunks) = (3, 300);
        let mut world = World::new(options, trace.clone());
        world.start_all();
        must_converge(&mut world, 60 * SECOND);
        let members = world.groups().iter().flat_map(Group::members);
        let (committed, fenced) = members.fold((0, 0), |(committed, fenced), member| {
            (committed + member.committed(), fenced + member.fenced())
        });
        assert!(committed > 5, "{committed} commits");
        fences.set(fences.get() + fenced);
    });
    assert!(fences.get() > 0, "members come and go");
}

#[test]
fn a_world_of_faults_loses_and_doubles_nothing() {
    each_seed("faults", 0..10, |seed, trace| {
        let outcome = run(&Case::new(seed, Profile::Faults), trace);
        if let Some(violation) = outcome.violation {
            panic!("{violation:?}");
        }
        if std::env::var("QUORATE_SHOW").is_ok() {
            panic!("{outcome:?}");
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
        chunks: 400,
        window: 32,
        pause: 0,
        chunk: ChunkWeather {
            events: 8,
            payload: 200,
            large_one_in: 8,
            large: 200_000,
        },
        consumers: 0,
        buffers: 4,
        ..Options::calm(seed, 3)
    }
}

#[test]
fn a_slow_follower_slows_nobody() {
    each_seed("slow follower", 0..2, |seed, trace| {
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
fn who_is_far_behind_the_end_finds_what_comes_next_read() {
    each_seed("read ahead", 0..2, |seed, trace| {
        let options = Options {
            consumers: 4,
            ..heavy(seed)
        };
        let mut world = World::new(options, trace.clone());
        elect(&mut world);
        time_to_finish(&mut world, 300 * SECOND);
        let ahead = world.names().into_iter().map(|node| {
            let pipeline = world.node(node).pipeline().expect("it runs");
            pipeline.counts().read_ahead
        });
        let ahead: u64 = ahead.sum();
        assert!(ahead > 0, "nothing was read ahead");
        must_converge(&mut world, SECOND);
    });
}

#[test]
fn silent_followers_slow_nobody() {
    each_seed("silent followers", 0..2, |seed, trace| {
        let mut times = Vec::new();
        for silent in [0, 2] {
            let options = Options {
                nodes: 5,
                ..heavy(seed)
            };
            let mut world = World::new(options, trace.clone());
            let leader = elect(&mut world);
            let others = world.names().into_iter().filter(|&node| node != leader);
            for follower in others.take(silent) {
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
            "{} ms with silent followers, {} ms without",
            slow / MS,
            quick / MS
        );
    });
}

#[test]
fn a_full_disk_stops_one_node_and_none_of_the_others() {
    each_seed("full disk", 0..2, |seed, trace| {
        let mut world = World::new(heavy(seed), trace.clone());
        let leader = elect(&mut world);
        let follower = world.names().into_iter().find(|&node| node != leader);
        let follower = follower.expect("three nodes");
        world.node(follower).disk.disk_mut().set_room(0);
        time_to_finish(&mut world, 300 * SECOND);
        assert!(world.oracle().accidents().1 > 0, "the disk was full");
        let since = world.now();
        world.run_for(SECOND);
        let commit = |world: &World, node| {
            let group = world.groups().first().expect("a world has a group");
            let status = group.status(node, since).expect("it answers");
            (status.commit_index.get(), status.durable_index.get())
        };
        let (full, whole) = (commit(&world, follower), commit(&world, leader));
        assert!(
            full.1 < whole.1,
            "the full disk lacks records: {full:?} {whole:?}"
        );
        // The node comes back with what it had, and catches up once there is room.
        if seed % 2 == 0 {
            world.crash(follower, false);
            world.start(follower);
            world.run_for(SECOND);
        }
        world.node(follower).disk.disk_mut().set_room(u64::MAX);
        must_converge(&mut world, SECOND);
    });
}

#[test]
fn a_wiped_disk_under_an_old_id_takes_no_part() {
    each_seed("wiped disk", 0..2, |seed, trace| {
        let mut world = World::new(Options::calm(seed, 3), trace.clone());
        let leader = elect(&mut world);
        let wiped = if seed % 2 == 0 {
            leader
        } else {
            world
                .names()
                .into_iter()
                .find(|&node| node != leader)
                .expect("three nodes")
        };
        world.run_for(SECOND);
        world.crash(wiped, false);
        world.wipe(wiped);
        world.start(wiped);
        time_to_finish(&mut world, 60 * SECOND);
        world.run_for(5 * SECOND);
        let refused = world
            .refused()
            .iter()
            .filter(|&&(_, code)| code == ErrorCode::DiskMismatch);
        assert!(refused.count() > 0, "the wiped disk is refused");
        let group = world.groups().first().expect("a world has a group");
        let status = group.status(wiped, Time(0)).expect("it answers");
        assert_eq!(
            (
                status.role,
                status.term.get(),
                status.last_index.get(),
                status.peers_up
            ),
            (0, 0, 0, 0),
            "the wiped disk has not voted, and has nothing"
        );
        // The other two are no quorum without one another: the wiped disk does not stand in.
        let others: Vec<NodeId> = world
            .names()
            .into_iter()
            .filter(|&node| node != wiped)
            .collect();
        world.crash(*others.first().expect("two others"), false);
        world.run_for(10 * SECOND);
        assert_eq!(world.leader(), None, "one disk of three is no quorum");
    });
}

#[test]
fn one_seed_makes_one_world() {
    each_seed("twice the same", 3..5, |seed, _| {
        let runs = [(); 2].map(|()| {
            let trace = Trace::keeping(Keep::Everything);
            let outcome = run(&Case::new(seed, Profile::Faults), &trace);
            (outcome.trace_hash, trace.lines())
        });
        let [one, other] = runs;
        assert_eq!(one, other);
    });
}
