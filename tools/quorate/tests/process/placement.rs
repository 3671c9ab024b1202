//! Of three nodes on two cores, the leader's threads have one and the followers' the other.

use std::fs;

use quorate_client::NodeId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::world::{World, wait_for};

/// The first two cores of this thread, which those that it starts have too; `None` if it has one.
fn take_two_cores() -> Option<()> {
    let all = sched_getaffinity(None).expect("it runs");
    let mut two = CpuSet::new();
    (0..CpuSet::MAX_CPU)
        .filter(|&core| all.is_set(core))
        .take(2)
        .for_each(|core| two.set(core));
    sched_setaffinity(None, &two).expect("they are its own");
    (two.count() == 2).then_some(())
}

/// The cores that a node's pipeline and its shard may run on, if that is the same for both.
fn cores_of(world: &World, node: NodeId) -> Option<String> {
    let process = world.local.process_id(node)?;
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let cores = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let status = fs::read_to_string(path.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        ["pipeline-0", "shard-0"]
            .contains(&name.trim())
            .then(|| line.trim().to_owned())
    });
    let mut cores: Vec<String> = cores.collect();
    let both = cores.len() == 2;
    cores.dedup();
    cores.pop().filter(|_| both && cores.is_empty())
}

/// The leader and its core, once all threads are in their places.
fn placed(world: &mut World) -> (NodeId, String) {
    wait_for("every thread to be in its place", || {
        let leader = world.leader();
        let core = cores_of(world, leader)?;
        let nodes = world.local.nodes().into_iter();
        let others = nodes.filter(|&node| node != leader);
        let others: Option<Vec<String>> = others.map(|node| cores_of(world, node)).collect();
        let is_one = |cores: &String| cores.parse::<usize>().is_ok();
        let apart = others?.iter().all(|other| is_one(other) && *other != core);
        (apart && is_one(&core)).then_some((leader, core))
    })
}

#[test]
fn of_three_nodes_on_two_cores_whoever_leads_has_one() {
    if take_two_cores().is_none() {
        return; // Nobody is pinned on a host with one.
    }
    let mut world = World::start();
    let (first, core) = placed(&mut world);
    world.local.kill(first);
    assert_ne!(world.leader(), first, "a dead node does not lead");
    world.local.start(first).expect("its ports are free again");
    world.wait_complete();
    assert_eq!(placed(&mut world).1, core);
}
