//! A node's log is damaged while it is stopped, and repaired from the other nodes when it starts.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use quorate_client::NodeId;
use quorate_engine::files::DataDir;
use quorate_replication::log::{Inspected, inspect};
use quorate_wire::GroupId;

use crate::load::Load;
use crate::logs;
use crate::world::World;

const SOME: u64 = 2_000;

fn data(world: &World, of: NodeId) -> PathBuf {
    let mut all = world.data().into_iter();
    all.find(|(node, _)| *node == of)
        .expect("a node of this world")
        .1
}

/// Changes bytes of some records in the middle of a stopped node's log.
fn damage(world: &World, node: NodeId) {
    let path = data(world, node);
    let mut places = Vec::new();
    let open = DataDir::inspect(&path).expect("its node is stopped");
    let summary = inspect(&open.group(GroupId(0)), &mut |found| {
        if let Inspected::Record {
            segment, position, ..
        } = found
        {
            places.push((segment, position));
        }
    });
    assert_eq!(summary.expect("it can be read").damaged, 0);
    drop(open);
    assert!(places.len() > 20, "there are records to damage");
    for tenth in [2, 5, 6] {
        let (segment, position) = places[places.len() * tenth / 10];
        let name = format!("group-0/segment-{:010}", segment.0);
        let file = OpenOptions::new().write(true).open(path.join(name));
        let file = file.expect("the node has written it");
        file.write_all_at(&[0xee; 40], position + 20)
            .expect("it is long enough");
    }
}

#[test]
fn a_damaged_log_is_repaired_from_the_other_nodes() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let node = world.follower();
    world.local.kill(node);
    damage(&world, node);
    world.local.start(node).expect("its ports are free again");
    load.wait_acked(SOME);
    world.wait_complete();
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn all_nodes_are_damaged_in_different_places_and_heal_each_other() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let nodes = world.local.nodes();
    for &node in &nodes {
        world.local.kill(node);
    }
    let lost = data(&world, nodes[0]).join("group-0/segment-0000000001");
    std::fs::remove_file(lost).expect("it is there");
    damage(&world, nodes[1]);
    world.local.start_all().expect("their ports are free again");
    load.wait_acked(SOME);
    world.wait_complete();
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
