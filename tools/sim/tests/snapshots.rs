//! Worlds whose logs end: segments go as soon as two snapshots have what they amount to, and nodes that were away get a snapshot.

#[allow(dead_code, reason = "each test uses its part of it")]
mod harm;
mod seeds;

use harm::{damage, records};
use quorate_client::member::Reset;
use quorate_replication::log::{Inspected, inspect};
use quorate_replication::pipeline::{Reopen, SnapshotConfig};
use quorate_replication::seam::FileId;
use quorate_sim::{DiskWeather, Options, World, recover};
use quorate_wire::NodeId;
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// Logs of many small segments, none of which stays.
fn forgetful(seed: u64) -> Options {
    let long = Options::long(seed);
    Options {
        snapshots: SnapshotConfig {
            send_bytes: 1 << 20,
            retain_bytes: 0,
            ..long.snapshots
        },
        ..long
    }
}

/// How often a snapshot of another node was installed.
fn installed(world: &World) -> usize {
    let all = world.groups().iter().flat_map(quorate_sim::Group::reopened);
    all.filter(|(_, why)| matches!(why, Reopen::Installed { .. }))
        .count()
}

/// A node that is away while the others go on.
fn away(world: &mut World, id: NodeId, nanoseconds: u64) {
    world.crash(id, false);
    world.run_for(nanoseconds);
    world.start(id);
}

/// Damages the last record but one of a stopped node's log: it is missing, and the one behind it says so.
fn damage_near_the_end(world: &mut World, node: NodeId) {
    let records = records(world, node);
    damage(world, node, &records[records.len() - 2]);
}

#[test]
fn a_node_that_lacks_what_is_gone_gets_a_snapshot_and_then_the_log() {
    each_seed("snapshots", 0..4, |seed, trace| {
        let mut world = World::new(forgetful(seed), trace.clone());
        world.start_all();
        world.run_for(300 * MS);
        // One after the other, the leader among them.
        for id in world.names() {
            away(&mut world, id, 2 * SECOND);
            world.run_for(SECOND);
        }
        recover(&mut world);
        assert!(installed(&world) > 0, "somebody has got a snapshot");
    });
}

#[test]
fn members_whose_place_the_log_has_let_go_go_on_where_they_are_told() {
    each_seed("resets", 0..2, |seed, trace| {
        let options = Options {
            chunks: 300,
            members: 4,
            reset: [Reset::Earliest, Reset::Latest][usize::from(seed % 2 == 1)],
            ..forgetful(seed)
        };
        let mut world = World::new(options, trace.clone());
        world.start_all();
        world.run_for(8 * SECOND);
        recover(&mut world);
        let groups = world.groups().iter();
        let members = groups.flat_map(quorate_sim::Group::members);
        let skips = members.map(quorate_sim::GroupMember::skips).sum::<u64>();
        assert!(skips > 0, "some came too late");
    });
}

/// Another leader has another snapshot, and offers it while the first one's is half there (TRAPS 31).
#[test]
fn a_snapshot_that_is_on_its_way_survives_broken_links_and_a_new_leader() {
    each_seed("broken transfers", 0..4, |seed, trace| {
        let mut options = forgetful(seed);
        options.snapshots.send_bytes = 8 << 10;
        let mut world = World::new(options, trace.clone());
        world.start_all();
        world.run_for(300 * MS);
        let behind = world.names()[usize::try_from(seed % 3).expect("small")];
        away(&mut world, behind, 2 * SECOND);
        for _ in 0..6 {
            world.run_for(150 * MS);
            let others = world.names().into_iter().filter(|&id| id != behind);
            for other in others.collect::<Vec<_>>() {
                world.cut(behind, other, true);
            }
            world.run_for(100 * MS);
            world.network().heal_all();
            if let Some(leader) = world.leader().filter(|&leader| leader != behind) {
                away(&mut world, leader, 50 * MS);
            }
        }
        recover(&mut world);
        assert!(installed(&world) > 0, "somebody has got a snapshot");
    });
}

/// A node that was away comes back damaged where the log has been let go meanwhile, and the third is out: it needs nobody for what
/// its own snapshot has.
#[test]
fn a_hole_that_others_have_let_go_is_left_behind() {
    each_seed("let go", 0..4, |seed, trace| {
        let options = Options {
            chunks: 300,
            ..forgetful(seed)
        };
        let mut world = World::new(options, trace.clone());
        world.oracle().expect_marred();
        world.start_all();
        world.run_for(1500 * MS);
        let names = world.names();
        let hurt = names[usize::try_from(seed % 3).expect("small")];
        world.crash(hurt, false);
        world.run_for(4 * SECOND);
        let out = names.into_iter().find(|&id| id != hurt).expect("three");
        world.crash(out, false);
        // A record; and the header, which is looked at, so that all of the log is.
        let disk = world.node(hurt).disk.disk_mut();
        let mut first = None;
        let looked = inspect(disk, &mut |what| {
            if let Inspected::Segment(header) = what {
                first.get_or_insert(header.segment);
            }
        });
        looked.expect("it can be read");
        let first = FileId::Segment(first.expect("there is one"));
        for at in [100, 4200] {
            disk.mar(first, at..at + 1)[0] ^= 4;
        }
        world.start(hurt);
        let later = |world: &World| {
            let mut reopened = world.groups()[0].reopened().iter();
            let later = |why: &Reopen| matches!(why, Reopen::BeginsLater { .. });
            reopened.any(|(who, why)| *who == hurt && later(why))
        };
        assert!(world.run_until(10 * SECOND, later), "it needs no record");
        let leads = |world: &World| world.leader().is_some_and(|leader| leader != out);
        assert!(
            world.run_until(10 * SECOND, leads),
            "two of three are enough"
        );
        world.start(out);
        recover(&mut world);
    });
}

/// Two of five come back damaged at the ends of logs of which the others have kept nothing: behind their holes there is no segment
/// to begin with, and each lacks what the other lacks. The three that are whole have all that was committed.
#[test]
fn holes_that_others_have_let_go_are_given_up_when_a_majority_is_whole() {
    each_seed("two holes", 0..2, |seed, trace| {
        let options = Options {
            nodes: 5,
            chunks: 300,
            ..forgetful(seed)
        };
        let mut world = World::new(options, trace.clone());
        world.oracle().expect_marred();
        world.start_all();
        world.run_for(1500 * MS);
        let hurt = [world.names()[0], world.names()[3]];
        for id in hurt {
            world.crash(id, false);
        }
        world.run_for(4 * SECOND);
        for id in hurt {
            damage_near_the_end(&mut world, id);
        }
        for id in hurt {
            world.start(id);
        }
        let gave_up = |world: &World| {
            let reopened = world.groups()[0].reopened();
            let gave = |id| reopened.contains(&(id, Reopen::GaveUp));
            hurt.into_iter().all(gave)
        };
        assert!(world.run_until(20 * SECOND, gave_up), "a majority is whole");
        recover(&mut world);
    });
}

/// Its disk takes its time to put records back, and it lends no snapshot meanwhile. The simulator counts turns that nobody asked for.
#[test]
fn a_node_that_repairs_its_log_rests_though_a_peer_asks_for_a_snapshot() {
    each_seed("asked while it repairs", 0..1, |seed, trace| {
        let options = Options {
            chunks: 2000,
            ..forgetful(seed)
        };
        let mut world = World::new(options, trace.clone());
        world.oracle().expect_marred();
        world.start_all();
        world.run_for(300 * MS);
        let lender = world.leader().expect("a calm world has one");
        let others = world.names().into_iter().filter(|&id| id != lender);
        let others: Vec<NodeId> = others.collect();
        away(&mut world, others[0], 2 * SECOND);
        let receives = |line: &String| line.contains("fetches its snapshot");
        let receives = world.run_until(2 * SECOND, |_| trace.lines().iter().any(receives));
        assert!(receives, "it needs a snapshot");
        world.cut(others[0], others[1], true);
        world.crash(lender, false);
        damage_near_the_end(&mut world, lender);
        let slow = DiskWeather {
            latency: (3 * SECOND, 3 * SECOND),
            ..options.disk
        };
        world.node(lender).disk.set_weather(slow);
        world.start(lender);
        world.run_for(6 * SECOND);
        world.network().heal_all();
        world.node(lender).disk.set_weather(options.disk);
        recover(&mut world);
    });
}
