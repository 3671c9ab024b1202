//! Logs that are damaged, and repaired from the other nodes.

#[allow(dead_code, reason = "each test uses its part of it")]
mod harm;
mod seeds;

use std::cell::Cell;

use harm::{Found, damage, records};
use quorate_replication::pipeline::{Reopen, StartError};
use quorate_replication::seam::{FileId, SegmentId};
use quorate_sim::{Options, Random, Trace, World, recover};
use quorate_wire::{ErrorCode, NodeId, Time};
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// A world with small segments, so that there are several.
fn options(seed: u64) -> Options {
    let mut options = Options::calm(seed, 3);
    options.log.segment_bytes = 2 << 20;
    options.chunks = 3000;
    options.chunk.large_one_in = 4;
    options.chunk.large = 40_000;
    options
}

/// All nodes have run for a while, until their logs have so much; producers have more to do.
fn running(seed: u64, mib: u64, trace: &Trace) -> World {
    let mut world = World::new(options(seed), trace.clone());
    grow(&mut world, mib);
    world
}

fn grow(world: &mut World, mib: u64) {
    world.oracle().expect_marred();
    world.start_all();
    let long = |world: &World| {
        let group = &world.groups()[0];
        let mut nodes = group.names().into_iter();
        nodes.all(|node| {
            let status = group.status(node, Time(0));
            status.is_some_and(|status| status.log_bytes.get() > mib << 20)
        })
    };
    assert!(world.run_until(60 * SECOND, long), "the logs grow");
}

fn all_names(world: &World) -> [NodeId; 3] {
    world.names().try_into().expect("three nodes")
}

fn leader(world: &mut World) -> NodeId {
    assert!(world.run_until(10 * SECOND, |world| world.leader().is_some()));
    world.leader().expect("it was just seen")
}

fn follower(world: &mut World) -> NodeId {
    let leader = leader(world);
    let mut names = world.names().into_iter();
    names.find(|&node| node != leader).expect("three nodes")
}

/// Changes a bit of each of a run of records: those from `from` percent of the log to `to` percent.
fn damage_run(world: &mut World, node: NodeId, from: usize, to: usize) {
    let records = records(world, node);
    let (from, to) = (records.len() * from / 100, records.len() * to / 100);
    for record in &records[from..to.max(from + 1)] {
        damage(world, node, record);
    }
}

fn repaired(world: &World, node: NodeId) -> bool {
    let reopened = world.groups()[0].reopened();
    reopened
        .iter()
        .any(|&(who, why)| who == node && matches!(why, Reopen::Repaired { .. }))
}

#[test]
fn a_group_of_one_whose_log_is_damaged_does_not_start_and_says_that_nobody_else_has_it() {
    each_seed("alone", 0..1, |seed, trace| {
        let mut options = options(seed);
        options.nodes = 1;
        let mut world = World::new(options, trace.clone());
        grow(&mut world, 1);
        let node = leader(&mut world);
        world.crash(node, false);
        damage_run(&mut world, node, 50, 50);
        let error = world.groups_mut()[0]
            .start(node)
            .expect_err("it is damaged");
        assert!(matches!(error, StartError::DamagedAlone(_)), "{error}");
        assert_eq!(error.code(), ErrorCode::LogDamaged);
    });
}

#[test]
fn a_damaged_record_is_repaired_on_a_follower_and_on_the_leader() {
    each_seed("one damaged", 0..4, |seed, trace| {
        let mut world = running(seed, 1, trace);
        let node = if seed % 2 == 0 {
            follower(&mut world)
        } else {
            leader(&mut world)
        };
        world.crash(node, false);
        damage_run(&mut world, node, 40, if seed < 2 { 40 } else { 60 });
        world.start(node);
        recover(&mut world);
        assert!(repaired(&world, node));
    });
}

#[test]
fn three_nodes_that_are_damaged_in_different_places_heal_each_other() {
    each_seed("all damaged", 0..2, |seed, trace| {
        let mut world = running(seed, 1, trace);
        world.run_for(SECOND);
        for node in all_names(&world) {
            world.crash(node, false);
        }
        for (at, node) in all_names(&world).into_iter().enumerate() {
            damage_run(
                &mut world,
                node,
                20 * at + 10,
                20 * at + 10 + 5 * usize::try_from(seed).expect("small"),
            );
        }
        world.start_all();
        recover(&mut world);
        for node in all_names(&world) {
            assert!(repaired(&world, node), "{node}");
        }
    });
}

#[test]
fn a_lost_segment_is_repaired() {
    each_seed("lost segment", 0..3, |seed, trace| {
        let mut world = running(seed, 5, trace);
        let node = follower(&mut world);
        world.crash(node, false);
        let last = records(&mut world, node).pop().expect("there are records");
        let last = last.segment;
        assert!(last > SegmentId(2), "there are several segments: {last:?}");
        let lost = FileId::Segment(SegmentId(1 + seed % 2));
        let disk = world.node(node).disk.disk_mut();
        match seed {
            0 => disk.remove(lost),
            1 => disk.mar(lost, 0..4096).fill(0),
            _ => disk.bytes_mut(lost).fill(0xaa),
        }
        world.start(node);
        recover(&mut world);
        assert!(repaired(&world, node));
    });
}

#[test]
fn a_node_whose_end_is_damaged_does_not_vote_until_it_has_caught_up() {
    each_seed("damaged end", 0..2, |seed, trace| {
        let mut world = running(seed, 1, trace);
        let leader = leader(&mut world);
        let [one, other] = {
            let mut others = world.names();
            others.retain(|&node| node != leader);
            <[NodeId; 2]>::try_from(others).expect("two others")
        };
        // The other follower is behind: only the leader and one follower have the last records.
        world.crash(other, false);
        world.run_for(SECOND);
        world.crash(leader, false);
        world.crash(one, false);
        damage_run(&mut world, one, 99, 100);
        world.start(one);
        world.start(other);
        world.run_for(5 * SECOND);
        assert_eq!(
            world.leader(),
            None,
            "what was acknowledged is on neither of them"
        );
        world.start(leader);
        recover(&mut world);
    });
}

#[test]
fn without_a_whole_copy_a_node_stays_out_until_one_comes_back() {
    each_seed("no whole copy", 0..2, |seed, trace| {
        let mut world = running(seed, 1, trace);
        world.run_for(SECOND);
        let [one, two, three] = all_names(&world);
        for node in [one, two, three] {
            world.crash(node, false);
        }
        damage_run(&mut world, one, 50, 55);
        damage_run(&mut world, two, 50, 55);
        world.start(one);
        world.start(two);
        world.run_for(10 * SECOND);
        assert_eq!(world.leader(), None, "records are missing on both");
        for node in [one, two] {
            let status = world.groups()[0].status(node, Time(0)).expect("it answers");
            assert_eq!(status.role, 4, "it repairs");
        }
        world.start(three);
        recover(&mut world);
        assert!(repaired(&world, one) && repaired(&world, two));
    });
}

/// How often a node has found damage while it ran.
fn found(world: &World, node: NodeId) -> usize {
    let reopened = world.groups()[0].reopened().iter();
    let found = reopened.filter(|&&(who, why)| who == node && matches!(why, Reopen::Damaged(_)));
    found.count()
}

#[test]
fn the_scrubber_finds_what_nobody_asks_for() {
    each_seed("scrubber", 0..2, |seed, trace| {
        let mut world = World::new(
            Options {
                scrub: 8 << 20,
                ..options(seed)
            },
            trace.clone(),
        );
        grow(&mut world, 1);
        let node = if seed % 2 == 0 {
            follower(&mut world)
        } else {
            leader(&mut world)
        };
        damage_run(&mut world, node, 30, 40);
        let healed = |world: &World| repaired(world, node);
        assert!(
            world.run_until(10 * SECOND, healed),
            "it is found, and repaired"
        );
        assert_eq!(found(&world, node), 1);
        recover(&mut world);
    });
}

#[test]
fn a_read_for_a_peer_finds_damage_and_the_node_goes_on() {
    each_seed("damage for a peer", 0..2, |seed, trace| {
        let mut world = running(seed, 1, trace);
        let [one, _, three] = all_names(&world);
        world.crash(three, false);
        damage_run(&mut world, three, 40, 60);
        // The first one to be asked is damaged itself, and does not know.
        damage_run(&mut world, one, 50, 51);
        world.start(three);
        let healed = |world: &World| repaired(world, one) && repaired(world, three);
        assert!(world.run_until(20 * SECOND, healed), "both are repaired");
        assert_eq!(found(&world, one), 1);
        recover(&mut world);
    });
}

#[test]
fn a_crash_at_any_moment_of_a_repair_is_survived() {
    each_seed("crash while repairing", 0..4, |seed, trace| {
        let mut world = running(seed, 3, trace);
        let node = follower(&mut world);
        world.crash(node, false);
        if seed % 2 == 0 {
            world
                .node(node)
                .disk
                .disk_mut()
                .remove(FileId::Segment(SegmentId(1)));
        } else {
            damage_run(&mut world, node, 20, 70);
        }
        let mut crashes = 0;
        for nth in 1..20 {
            world.start(node);
            world.node(node).crash_on_completion(nth, nth % 3 == 0);
            world.run_for(SECOND);
            if world.running(false).contains(&node) {
                crashes += 1;
            } else {
                world.node(node).spare();
                world.crash(node, false);
            }
        }
        assert!(crashes > 5, "{crashes} crashes");
        world.start(node);
        recover(&mut world);
    });
}

#[test]
fn a_hole_that_was_never_committed_is_given_up_when_all_others_are_whole() {
    let gave_up = Cell::new(0);
    each_seed("given up", 0..4, |seed, trace| {
        let mut world = running(seed, 1, trace);
        let old = leader(&mut world);
        let names = world.names();
        let others: Vec<NodeId> = names.into_iter().filter(|&it| it != old).collect();
        for &other in &others {
            world.cut(old, other, true);
        }
        let before = records(&mut world, old).len();
        world.run_for(100 * MS);
        world.crash(old, false);
        // The others have a leader, and other records where the old one's are.
        world.run_for(2 * SECOND);
        let after = records(&mut world, old);
        world.network().heal_all();
        if let Some(stale) = after.get(before + 2) {
            damage(&mut world, old, stale);
        }
        world.start(old);
        recover(&mut world);
        let given = world.groups()[0].reopened().iter();
        let given = given.filter(|&&(who, why)| who == old && why == Reopen::GaveUp);
        gave_up.set(gave_up.get() + given.count());
    });
    assert!(
        gave_up.get() > 0,
        "nothing was given up: this proves nothing"
    );
}

/// Damages a stopped node's disk somehow.
fn harm(world: &mut World, node: NodeId, random: &mut Random) {
    let all = records(world, node);
    let Some(last) = all.last() else {
        return;
    };
    let any = FileId::Segment(SegmentId(random.between(1, last.segment.0)));
    for _ in 0..random.between(1, 3) {
        let Found { segment, range, .. } = all[random.below(all.len())].clone();
        let file = FileId::Segment(segment);
        let disk = world.node(node).disk.disk_mut();
        if disk.bytes(file).is_none() {
            continue;
        }
        let block = range.start - range.start % 4096;
        // That a log's very end was never written is what zeros up to it say: nobody can tell that from a loss.
        let zeros = |to: usize| {
            let end = if segment == last.segment {
                last.range.start
            } else {
                to
            };
            block..end.clamp(block, to)
        };
        match random.below(6) {
            0 | 1 => disk.mar(file, range)[random.below(64)] ^= 1,
            2 => disk.mar(file, zeros(block + 4096)).fill(0),
            3 => disk.mar(file, block..block + 4096).fill(0xee),
            4 => {
                if let Some(bytes) = disk.bytes(file) {
                    let end = (block + (256 << 10)).min(bytes.len());
                    disk.mar(file, zeros(end)).fill(0);
                }
            }
            _ if disk.bytes(any).is_some() => match random.below(3) {
                0 => disk.remove(any),
                1 => disk.mar(any, 0..4096).fill(0),
                _ => disk.mar(any, 0..4096)[random.below(104)] ^= 8,
            },
            _ => {}
        }
    }
}

#[test]
fn one_damaged_disk_after_the_other_heals_whatever_else_happens() {
    each_seed("harm", 0..2, |seed, trace| {
        let mut random = Random::new(seed, "harm");
        let mut world = running(seed, 2, trace);
        for _ in 0..6 {
            let nodes = world.names();
            let node = random.of(&nodes);
            // Records of a leader that nobody follows become void.
            if let Some(leader) = world.leader()
                && random.one_in(2)
            {
                for &other in nodes.iter().filter(|&&other| other != leader) {
                    world.cut(leader, other, random.one_in(2));
                }
                world.run_for(random.between(10, 600) * MS);
                if random.one_in(2) {
                    world.network().heal_all();
                    world.run_for(random.between(1, 400) * MS);
                }
            }
            world.crash(node, random.one_in(2));
            harm(&mut world, node, &mut random);
            if random.one_in(2) {
                world.run_for(random.between(1, 500) * MS);
            }
            world.network().heal_all();
            world.start(node);
            if random.one_in(2) {
                let nth = random.between(1, 30);
                world.node(node).crash_on_completion(nth, random.one_in(2));
                world.run_for(random.between(1, 500) * MS);
                world.start(node);
            }
            world.node(node).spare();
            // One copy of a record at a time.
            let whole = |world: &World| {
                let since = Time(world.now().0.saturating_sub(100 * MS));
                let group = &world.groups()[0];
                let status = group.status(node, since);
                let lead = group
                    .leader()
                    .and_then(|leader| group.status(leader, since));
                status.zip(lead).is_some_and(|(status, lead)| {
                    status.role != 4 && status.commit_index.get() + 20 > lead.commit_index.get()
                })
            };
            assert!(
                world.run_until(60 * SECOND, whole),
                "node {node} comes back"
            );
        }
        recover(&mut world);
    });
}
