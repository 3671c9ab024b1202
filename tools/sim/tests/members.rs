//! Worlds whose members change: nodes are added, promoted, removed and replaced, under load, while others crash and links break.

mod harm;
mod seeds;

use std::net::SocketAddr;

use harm::{damage_at, records};
use quorate_replication::pipeline::{Reopen, SnapshotConfig};
use quorate_sim::{DiskWeather, Group, Options, Random, World, recover};
use quorate_wire::admin::{AdminAsk, Change};
use quorate_wire::{Address, ErrorCode, MemberRole, NodeId};
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn options(seed: u64, nodes: u32, spare: u32) -> Options {
    Options {
        spare,
        chunks: u64::MAX,
        pause: 20 * MS,
        consumers: 1,
        ..Options::calm(seed, nodes)
    }
}

fn add(node: u32) -> Change {
    let peer: SocketAddr = format!("10.0.0.{node}:7001").parse().expect("an address");
    Change::Add {
        node: NodeId(node),
        peer,
        peer_text: Address::new(&peer.to_string()).expect("it is short"),
        // Where the simulator's clients find it.
        client: Address::new(&quorate_sim::address(NodeId(node))).expect("it is short"),
    }
}

const fn promote(node: u32) -> Change {
    Change::Promote { node: NodeId(node) }
}

const fn remove(node: u32) -> Change {
    Change::Remove { node: NodeId(node) }
}

/// The voters that the leader knows; none while they change.
fn voters(world: &World) -> Vec<u32> {
    let roster = world.groups()[0].roster();
    if roster.changes() {
        return Vec::new();
    }
    let voters = roster
        .entries
        .iter()
        .filter(|it| it.role() == MemberRole::Voter);
    voters.map(|entry| entry.member().0.0).collect()
}

/// Who votes at the end; then the world goes on without faults, and is held against everything that was promised.
fn ends_with(world: &mut World) -> Vec<u32> {
    let led = world.run_until(10 * SECOND, |world| !voters(world).is_empty());
    assert!(led, "somebody leads");
    let voters = voters(world);
    recover(world);
    voters
}

/// An operator asks for a change again and again, until it is done. Between two attempts, `meanwhile` happens.
fn change_while(world: &mut World, change: Change, mut meanwhile: impl FnMut(&mut World)) {
    for _ in 0..100 {
        if let Some(leader) = world.leader() {
            world.groups_mut()[0].operate(leader, AdminAsk::Change(change));
        }
        meanwhile(world);
        world.run_until(300 * MS, |world| world.groups()[0].operated().is_some());
        if world.groups()[0].operated() == Some(Ok(())) {
            return;
        }
        world.run_for(20 * MS);
    }
    panic!("liveness: {change:?} is done within 30 s");
}

fn change(world: &mut World, change: Change) {
    change_while(world, change, |_| {});
}

fn started(options: Options, trace: &quorate_sim::Trace) -> World {
    let mut world = World::new(options, trace.clone());
    world.start_all();
    let led = world.run_until(5 * SECOND, |world| world.leader().is_some());
    assert!(led, "a healthy group elects");
    world
}

#[test]
fn three_become_five_and_other_three() {
    each_seed("3 -> 5 -> 3", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 2), trace);
        for next in [add(4), add(5), promote(4), promote(5)] {
            change(&mut world, next);
        }
        assert_eq!(voters(&world), [1, 2, 3, 4, 5]);
        world.run_for(300 * MS);
        for next in [remove(1), remove(2)] {
            change(&mut world, next);
        }
        assert_eq!(voters(&world), [3, 4, 5]);
        // Who is gone is not needed, and does not disturb.
        world.run_for(500 * MS);
        for (node, told) in [(1, Err(ErrorCode::ShuttingDown)), (3, Ok(()))] {
            world.groups_mut()[0].look(NodeId(node));
            world.run_for(50 * MS);
            let answer = world.groups()[0].operated();
            assert_eq!(answer, Some(told), "what node {node} has grows old or not");
        }
        let terms = world.summary().terms;
        world.run_for(2 * SECOND);
        assert_eq!(world.summary().terms, terms, "nobody disturbs");
        assert_eq!(ends_with(&mut world), [3, 4, 5]);
    });
}

#[test]
fn a_node_that_is_added_while_it_starts_is_met_soon() {
    each_seed("added while it starts", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 1), trace);
        let new = NodeId(4);
        world.crash(new, false);
        let leader = world.leader().expect("it was elected");
        world.groups_mut()[0].operate(leader, AdminAsk::Change(add(4)));
        world.run_for(90 * MS);
        world.start(new);
        let added = |world: &World| world.groups()[0].operated() == Some(Ok(()));
        assert!(
            world.run_until(100 * MS, added),
            "whoever was not there at once is not left alone for as long as one who stays away"
        );
        assert_eq!(ends_with(&mut world), [1, 2, 3]);
    });
}

#[test]
fn members_change_while_nodes_crash_and_links_break() {
    each_seed("changes under faults", 0..4, |seed, trace| {
        let mut world = started(options(seed, 3, 2), trace);
        let mut random = Random::new(seed, "operator's bad luck");
        let mut trouble = |world: &mut World| {
            let names = world.names();
            let mut any = || random.of(&names);
            let (one, other) = (any(), any());
            match random.below(4) {
                0 => {
                    let victim = world.leader().unwrap_or(one);
                    if world.running(true).contains(&victim) {
                        world.crash(victim, random.one_in(2));
                    }
                }
                1 if one != other => world.cut(one, other, random.one_in(2)),
                2 => world.network().heal_all(),
                _ => world.start_all(),
            }
        };
        for next in [add(4), promote(4), add(5), promote(5), remove(2), remove(1)] {
            change_while(&mut world, next, &mut trouble);
        }
        world.network().heal_all();
        world.start_all();
        assert_eq!(ends_with(&mut world), [3, 4, 5]);
    });
}

#[test]
fn a_leader_that_is_removed_hands_over() {
    each_seed("the leader goes", 0..4, |seed, trace| {
        let busy = Options {
            pause: MS,
            ..options(seed, 3, 0)
        };
        let mut world = started(busy, trace);
        world.run_for(200 * MS);
        let leader = world.leader().expect("it was elected");
        let terms = world.summary().terms;
        change(&mut world, remove(leader.0));
        let led = world.run_until(SECOND, |world| {
            world.leader().is_some_and(|now| now != leader)
        });
        assert!(led, "another one leads");
        assert_eq!(world.summary().terms, terms + 1, "the first that was asked");
        let acked = |world: &World| -> Vec<_> {
            let producers = world.producers().iter();
            producers.map(|producer| producer.acked().len()).collect()
        };
        // What the old leader has answered has arrived.
        world.run_for(MS);
        let before = acked(&world);
        let all_go_on = |world: &World| {
            let mut each = before.iter().zip(acked(world));
            // One of them asks for less, which is not counted.
            each.all(|(&was, now)| was == 0 || now > was)
        };
        let at_once = world.run_until(2 * MS, all_go_on);
        assert!(at_once, "who is removed tells its clients where to go");
        assert_eq!(ends_with(&mut world).len(), 2);
    });
}

#[test]
fn who_was_removed_comes_back_seldom() {
    each_seed("the removed one", 0..2, |seed, trace| {
        let few = Options {
            chunks: 10,
            ..options(seed, 3, 0)
        };
        let mut world = started(few, trace);
        change(&mut world, remove(3));
        world.run_for(65 * SECOND);
        let sent_away = world.oracle().sent_away();
        assert!(
            (2..=6).contains(&sent_away),
            "by two nodes, {sent_away} times in a minute"
        );
        assert_eq!(ends_with(&mut world), [1, 2]);
    });
}

#[test]
fn a_founder_that_was_away_when_it_was_removed_is_told_so() {
    each_seed("the one that was away", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 0), trace);
        world.run_for(200 * MS);
        // The lowest of all: the others would dial it, if it were a member.
        let away = NodeId(1);
        world.crash(away, false);
        change(&mut world, remove(1));
        world.start(away);
        world.run_for(5 * SECOND);
        let told = world.oracle().sent_away();
        assert!(told > 0, "it serves readers what it had, for ever");
        assert_eq!(ends_with(&mut world), [2, 3]);
    });
}

#[test]
fn who_was_removed_still_knows_it_after_a_start() {
    each_seed("the removed one, alone", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 0), trace);
        let gone = NodeId(3);
        change(&mut world, remove(3));
        let told = world.run_until(5 * SECOND, |world| {
            world.groups()[0].seen().knows_removed(gone)
        });
        assert!(told, "it hears that it is no member any more");
        world.run_for(200 * MS);
        world.crash(gone, true);
        for other in [NodeId(1), NodeId(2)] {
            world.cut(gone, other, true);
        }
        world.start(gone);
        world.run_for(SECOND);
        assert!(
            world.oracle().knows_removed(gone),
            "it serves readers what it had, until somebody tells it again"
        );
        assert_eq!(ends_with(&mut world), [1, 2]);
    });
}

/// The others commit the first change without the leader's disk. So the second one comes into a group that waits for that disk, and
/// the core counts it already.
#[test]
fn a_leader_that_steps_down_while_its_disk_is_busy_keeps_the_members_that_it_has_named() {
    each_seed("named, and not written", 0..3, |seed, trace| {
        let quiet = Options {
            producers: 0,
            ..options(seed, 3, 2)
        };
        let mut world = started(quiet, trace);
        world.run_for(200 * MS);
        let leader = world.leader().expect("it was elected");
        let others = [1, 2, 3].map(NodeId).into_iter();
        let others: Vec<NodeId> = others.filter(|&id| id != leader).collect();
        let durable = |world: &mut World| {
            let pipeline = world.node(leader).pipeline().expect("it runs");
            pipeline.durable().expect("it has a core")
        };
        let before = durable(&mut world);
        let slow = DiskWeather {
            latency: (2 * SECOND, 2 * SECOND),
            ..quiet.disk
        };
        world.node(leader).disk.set_weather(slow);
        for new in [4, 5] {
            let asked = AdminAsk::Change(add(new));
            world.groups_mut()[0].operate(leader, asked);
            let named = world.run_until(300 * MS, |world| {
                let group = &world.groups()[0];
                let entry = group.roster().entry(NodeId(new)).is_some();
                entry && (new == 5 || group.operated() == Some(Ok(())))
            });
            assert!(named, "node {new} is added without the leader's disk");
        }
        for &other in &others {
            world.crash(other, false);
        }
        let steps_down = world.run_until(SECOND, |world| world.leader().is_none());
        assert!(steps_down, "it is alone");
        assert_eq!(durable(&mut world), before, "its disk is still at it");
        world.node(leader).disk.set_weather(quiet.disk);
        // With one of them, it leads again: it alone has all that was named.
        world.start(others[0]);
        let leads = world.run_until(10 * SECOND, |world| world.leader() == Some(leader));
        assert!(leads, "nobody else can");
        assert_eq!(world.groups()[0].roster().entries.len(), 5);
        world.start_all();
        assert_eq!(ends_with(&mut world), [1, 2, 3]);
    });
}

#[test]
fn a_lost_disk_is_replaced_by_another_node() {
    each_seed("replace", 0..3, |seed, trace| {
        let mut world = started(options(seed, 3, 1), trace);
        world.run_for(200 * MS);
        let lost = NodeId(1 + u32::try_from(seed % 3).expect("small"));
        world.crash(lost, true);
        change(&mut world, add(4));
        let new = NodeId(4);
        change(&mut world, Change::Replace { old: lost, new });
        // Its disk comes back empty, under the old name: nobody wants it.
        world.wipe(lost);
        world.start(lost);
        world.run_for(SECOND);
        let voters = ends_with(&mut world);
        assert!(!voters.contains(&lost.0) && voters.contains(&4));
    });
}

fn repaired(world: &World, node: NodeId) -> bool {
    let mut reopened = world.groups()[0].reopened().iter();
    let hurt = reopened.any(|&(who, why)| who == node && matches!(why, Reopen::Repaired { .. }));
    hurt && !world.groups()[0]
        .reopened()
        .contains(&(node, Reopen::GaveUp))
}

/// What is damaged lies before the record that names the fourth: so nobody who lacks it knows of that one.
#[test]
fn what_all_founders_lack_comes_from_one_whom_their_logs_do_not_name_any_more() {
    each_seed("a fourth helps", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 1), trace);
        world.run_for(200 * MS);
        change(&mut world, add(4));
        world.run_for(SECOND);
        let founders = [1, 2, 3].map(NodeId);
        world.oracle().expect_marred();
        for founder in founders {
            world.crash(founder, false);
            damage_at(&mut world, founder, 5);
        }
        world.start_all();
        let all = |world: &World| founders.iter().all(|&founder| repaired(world, founder));
        assert!(world.run_until(10 * SECOND, all), "they are repaired");
        recover(&mut world);
    });
}

/// It knows of no founders, and its log does not say any more who belongs to its group.
#[test]
fn a_voter_that_lost_who_the_members_are_gives_nothing_up_before_it_has_asked() {
    each_seed("a voter asks", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 1), trace);
        world.run_for(200 * MS);
        change(&mut world, add(4));
        change(&mut world, promote(4));
        world.run_for(SECOND);
        world.oracle().expect_marred();
        world.crash(NodeId(4), false);
        damage_at(&mut world, NodeId(4), 5);
        world.start(NodeId(4));
        let whole = world.run_until(10 * SECOND, |world| repaired(world, NodeId(4)));
        assert!(whole, "it is repaired");
        recover(&mut world);
    });
}

/// Nothing tells it that they were removed: that lies behind its first hole, and those who have its second one are away.
#[test]
fn who_was_removed_stands_for_nobody_in_a_repair() {
    each_seed("removed and asked", 0..2, |seed, trace| {
        let mut world = started(options(seed, 3, 2), trace);
        world.run_for(200 * MS);
        for next in [add(4), add(5), promote(4), promote(5), remove(1), remove(2)] {
            change(&mut world, next);
        }
        world.run_for(SECOND);
        for away in [3, 4, 5] {
            world.crash(NodeId(away), false);
        }
        let node = NodeId(3);
        world.oracle().expect_marred();
        let last = records(&mut world, node).last().map(|record| record.index);
        let last = last.expect("it has records");
        for index in [5, last.0 - 2] {
            damage_at(&mut world, node, index);
        }
        world.start(node);
        world.run_for(10 * SECOND);
        assert!(
            !world.groups()[0]
                .reopened()
                .contains(&(node, Reopen::GaveUp))
        );
        for back in [4, 5] {
            world.start(NodeId(back));
        }
        let whole = world.run_until(10 * SECOND, |world| repaired(world, node));
        assert!(whole, "it is repaired");
        assert_eq!(ends_with(&mut world), [3, 4, 5]);
    });
}

#[test]
fn a_voter_that_does_not_know_yet_where_anybody_is_is_found() {
    each_seed("a voter without a list", 0..3, |seed, trace| {
        let mut world = started(options(seed, 1, 1), trace);
        let entries = |world: &World| world.groups()[0].roster().entries.len();
        let leader = NodeId(1);
        world.groups_mut()[0].operate(leader, AdminAsk::Change(add(2)));
        assert!(world.run_until(SECOND, |world| entries(world) == 2));
        // What names it does not get there, and its vote is needed all the same.
        world.cut(leader, NodeId(2), false);
        let asked = AdminAsk::Change(promote(2));
        let begins = |world: &mut World| {
            world.groups_mut()[0].operate(leader, asked);
            world.run_until(5 * MS, |world| world.groups()[0].roster().changes())
        };
        assert!((0..20).any(|_| begins(&mut world)), "it is promoted");
        world.run_for(5 * MS);
        world.crash(leader, true);
        world.network().heal_all();
        world.start(leader);
        assert_eq!(ends_with(&mut world), [1, 2]);
    });
}

#[test]
fn a_node_that_comes_late_gets_a_snapshot_and_the_members_with_it() {
    each_seed("members in snapshots", 0..2, |seed, trace| {
        let mut forgetful = options(seed, 3, 2);
        forgetful.log.segment_bytes = (1 << 20) + (64 << 10);
        forgetful.log.segments_ahead = 1;
        forgetful.chunk.large_one_in = 2;
        forgetful.pause = 60 * MS;
        forgetful.snapshots = SnapshotConfig {
            records: 20,
            send_bytes: 1 << 20,
            retain_bytes: 2 << 20,
            ..SnapshotConfig::NEVER
        };
        let mut world = started(forgetful, trace);
        world.run_for(3 * SECOND);
        change(&mut world, add(4));
        change(&mut world, promote(4));
        change(&mut world, remove(1));
        // What named the members is gone from the logs.
        world.run_for(4 * SECOND);
        change(&mut world, add(5));
        change(&mut world, promote(5));
        for id in world.names() {
            world.crash(id, false);
            world.run_for(500 * MS);
            world.start(id);
        }
        assert_eq!(ends_with(&mut world), [2, 3, 4, 5]);
        let reopened = world.groups().iter().flat_map(Group::reopened);
        let installed = |why: &Reopen| matches!(why, Reopen::Installed { .. });
        assert!(
            reopened
                .clone()
                .any(|(id, why)| id.0 == 5 && installed(why))
        );
    });
}
