//! Nodes on hosts of their own, and links that are cut between them: the scenarios that Quorate was founded on.

use quorate_client::{NodeId, Role};

use crate::load::Load;
use crate::logs;
use crate::world::{World, wait_for};

/// Events of a scenario.
const MANY: u64 = 5_000;

/// Events enough to see that the cluster serves.
const SOME: u64 = 500;

fn others(world: &World, node: NodeId) -> Vec<NodeId> {
    let nodes = world.local.nodes().into_iter();
    nodes.filter(|&other| other != node).collect()
}

/// Waits until one of some nodes leads and serves.
fn wait_leader_among(world: &World, nodes: &[NodeId]) -> NodeId {
    wait_for("a leader among those who are connected", || {
        let leads = |node: &&NodeId| {
            let status = world.local.status(**node);
            status.is_ok_and(|status| status.role == Role::Leader && status.serves)
        };
        nodes.iter().find(leads).copied()
    })
}

#[test]
fn normal_replication_makes_three_equal_logs() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(MANY);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_leader_fails_and_rejoins() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let failed = world.leader();
    world.local.kill(failed);
    load.wait_acked(SOME);
    world.local.start(failed).expect("nobody else is there");
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_leader_whose_cable_is_pulled_acknowledges_nothing_and_rejoins() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let isolated = world.leader();
    world.hosts().isolate(isolated).expect("the link is ours");
    let rest = others(&world, isolated);
    let next = wait_leader_among(&world, &rest);
    load.wait_acked(SOME);
    assert_ne!(next, isolated);
    world
        .hosts()
        .join_again(isolated)
        .expect("the link is ours");
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

/// Its clients reach the old leader all the time, and it must not tell them that anything is safe.
#[test]
fn a_leader_cut_off_from_its_peers_steps_down_and_its_clients_lose_nothing() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let old = world.leader();
    let rest = others(&world, old);
    for &peer in &rest {
        world.hosts().cut(old, peer).expect("the route is ours");
        world.hosts().cut(peer, old).expect("the route is ours");
    }
    let next = wait_leader_among(&world, &rest);
    load.wait_acked(SOME);
    let steps_down = wait_for("the old leader to step down", || {
        let status = world.local.status(old).ok()?;
        (status.role != Role::Leader).then_some(status.commit_index)
    });
    let now = world.local.status(next).expect("it serves");
    assert!(
        now.commit_index > steps_down,
        "only the majority goes on: {} and {steps_down}",
        now.commit_index
    );
    for &peer in &rest {
        world.hosts().mend(old, peer).expect("it was cut");
        world.hosts().mend(peer, old).expect("it was cut");
    }
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

/// What the leader says arrives, and what it hears does not: pre-vote and check-quorum together find a way (TRAPS 22).
#[test]
fn a_link_that_carries_one_way_only_stops_nobody_for_long() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let leader = world.leader();
    let deaf = others(&world, leader);
    for &peer in &deaf {
        world.hosts().cut(peer, leader).expect("the route is ours");
    }
    load.wait_acked(SOME);
    for &peer in &deaf {
        world.hosts().mend(peer, leader).expect("it was cut");
    }
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn two_of_three_die_and_nothing_is_decided_until_one_is_back() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let survivor = world.leader();
    let dead = others(&world, survivor);
    for &node in &dead {
        world.local.kill(node);
    }
    let committed = world.wait_alone(survivor);
    let (last, _) = logs::longest(&world, &dead);
    assert!(
        committed <= last,
        "alone, it has decided {committed}; the dead have {last}"
    );
    for &node in &dead {
        world.local.start(node).expect("nobody else is there");
    }
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_follower_behind_a_slow_link_slows_nobody() {
    let Some(mut world) = World::start_on_hosts() else {
        return;
    };
    let follower = world.follower();
    // Less than the load sends: the follower falls behind, and what it answers comes late.
    world.hosts().slow(follower, 1).expect("the link is ours");
    let load = Load::start(world.local.addresses());
    load.wait_acked(MANY);
    world
        .hosts()
        .slow(follower, 1_000)
        .expect("the link is ours");
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
