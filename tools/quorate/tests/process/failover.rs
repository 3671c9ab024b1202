//! Nodes are killed with SIGKILL, and nothing that was acknowledged is lost, doubled or moved.

use quorate_client::{Consumer, ConsumerOptions, Offset};

use crate::load::{Load, Sent};
use crate::logs;
use crate::world::{SOON, World};

/// Enough events for records in flight everywhere.
const SOME: u64 = 2_000;

#[test]
fn a_leader_is_killed_under_load_and_the_client_goes_on() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let killed = world.leader();
    world.local.kill(killed);
    load.wait_acked(SOME);
    let next = world.leader();
    assert_ne!(next, killed, "a dead node does not lead");
    world.local.start(killed).expect("its ports are free again");
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn one_leader_after_the_other_is_killed() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    for _ in 0..4 {
        load.wait_acked(SOME / 4);
        let leader = world.leader();
        world.local.kill(leader);
        load.wait_acked(SOME / 4);
        world.local.start(leader).expect("its ports are free again");
        world.wait_complete();
    }
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_follower_is_killed_and_catches_up() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let follower = world.follower();
    world.local.kill(follower);
    // More than the leader's window and memory of the log's end: the follower catches up from the leader's disk.
    load.wait_acked(4 * SOME);
    world
        .local
        .start(follower)
        .expect("its ports are free again");
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn all_nodes_are_killed_under_load_and_come_back_with_everything() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    for node in world.local.nodes() {
        world.local.kill(node);
    }
    let acked = load.acked();
    world.local.start_all().expect("their ports are free again");
    load.wait_acked(SOME);
    let sent = load.finish();
    assert!(u64::try_from(sent.offsets.len()).expect("it is a count") > acked);
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_cluster_that_was_killed_at_rest_serves_what_it_acknowledged_on_every_node() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let before = load.finish();
    for node in world.local.nodes() {
        world.local.kill(node);
    }
    world.local.start_all().expect("their ports are free again");
    world.wait_complete();
    for node in world.local.nodes() {
        let read = read_all(world.local.address(node), before.offsets.len());
        assert_eq!(read, before.offsets, "node {node}");
    }
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let after = load.finish();
    assert_follows(&before, &after);
    logs::check(&mut world, &[before, after]);
}

#[test]
fn a_cluster_without_a_quorum_acknowledges_nothing_and_recovers() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let survivor = world.leader();
    let mut killed = world.local.nodes();
    killed.retain(|node| *node != survivor);
    for &node in &killed {
        world.local.kill(node);
    }
    world.wait_alone(survivor);
    let acked = load.acked();
    let (_, events) = logs::longest(&world, &killed);
    assert!(
        acked <= events,
        "{acked} events are acknowledged, and one disk of three is no quorum: the others have {events}"
    );
    for node in killed {
        world.local.start(node).expect("its ports are free again");
    }
    load.wait_acked(SOME);
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

/// The offsets of a node's first events, read from that node only.
fn read_all(address: &str, count: usize) -> Vec<Offset> {
    let mut options = ConsumerOptions::new([address]);
    options.stick = true;
    options.patience = SOON;
    let mut consumer = Consumer::connect(options).expect("the node serves");
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let batch = consumer.fetch(SOON).expect("the events are committed");
        assert!(
            !batch.is_empty(),
            "{} of {count} events came",
            offsets.len()
        );
        offsets.extend(batch.events().map(|(offset, _)| offset));
    }
    offsets
}

fn assert_follows(before: &Sent, after: &Sent) {
    let last = before.offsets.last().expect("some were sent");
    let first = after.offsets.first().expect("some were sent");
    assert!(
        first > last,
        "{first} was given out again: {last} was the last one"
    );
}
