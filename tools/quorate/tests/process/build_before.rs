//! Nodes of two builds are one cluster: each is replaced under load, and what is new is used when all have it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate_client::{ConsumerOptions, Edition, GroupConsumer, Name, NodeId, Status};

use crate::client::{fail, succeed};
use crate::load::Load;
use crate::logs;
use crate::world::{QUORATE, SOON, World, directory, small_segments, turn, wait_for};

/// Enough events for records in flight everywhere.
const SOME: u64 = 1_000;

/// The program of the build before: built without what came since, so that it cannot know it.
fn build_before() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let target = target.expect("it lies in the build's directory");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "quorate"])
        .args(["--bin", "quorate-one-back"])
        .args(["--no-default-features", "--features", "one-back"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the test was started by cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    target.join("debug/quorate-one-back")
}

/// A cluster of the build before that serves.
fn old_world() -> World {
    let before = build_before();
    let mut world = World::prepare_in(directory(), turn(), small_segments);
    world.local.run_from_now_on(before);
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    world
}

/// A consumer group that nobody is a member of any more.
fn forsaken_group(nodes: Vec<String>) {
    let mut options = ConsumerOptions::new(&nodes);
    options.patience = SOON;
    let name = Name::new("forsaken").expect("it is a name");
    let consumer = GroupConsumer::join(name, SOON, options).expect("the cluster serves");
    consumer.leave().expect("it was a member");
}

/// Whether a node says that the group uses an edition, and that its build has another one at most.
fn is_at(status: &Status, used: u8, own: u8) -> bool {
    (status.edition, status.build) == (Edition(used), Edition(own))
}

fn start_with(world: &mut World, node: NodeId, program: &Path) {
    world.local.run_from_now_on(program);
    world.local.start(node).expect("its ports are free again");
}

fn stop(world: &mut World, node: NodeId) {
    let ending = world.local.stop(node, SOON).expect("it stops");
    assert_eq!(ending.code(), Some(0), "{}", world.local.log_tail(node));
}

#[test]
fn a_new_build_takes_the_place_of_the_one_before_node_by_node_under_load() {
    let mut world = old_world();
    let nodes = world.local.addresses().join(",");
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    forsaken_group(world.local.addresses());
    let delete = ["groups", "forsaken", "--delete"];
    let mut old = world.local.nodes();
    while let Some(node) = old.pop() {
        let statuses = world.local.statuses();
        assert!(
            statuses.iter().all(|status| status.edition == Edition(1)),
            "a node of the build before is there: {statuses:?}"
        );
        stop(&mut world, node);
        load.wait_acked(SOME);
        start_with(&mut world, node, Path::new(QUORATE));
        world.wait_complete();
        load.wait_acked(SOME);
        if !old.is_empty() {
            // Whoever leads must know the command to say so; the build before does not.
            quorate_client::transfer(&world.local.addresses(), Some(node), SOON)
                .expect("all nodes are up");
            let said = fail(&nodes, &delete, 1);
            assert!(said.contains("EditionNotRaised"), "{said}");
            load.wait_acked(SOME);
        }
    }
    wait_for("the group uses the new edition everywhere", || {
        let statuses = world.local.statuses();
        let all = statuses.len() == 3 && statuses.iter().all(|status| is_at(status, 2, 2));
        all.then_some(())
    });
    succeed(&nodes, &delete);
    let said = fail(&nodes, &delete, 1);
    assert!(said.contains("there is no consumer group"), "{said}");
    load.wait_acked(SOME);
    // What the old nodes wrote and what they got is what all others have.
    for node in world.local.nodes() {
        let log = std::fs::read_to_string(world.local.paths(node).log).expect("it has a log");
        assert!(!log.contains("do not fit"), "node {node}:\n{log}");
    }
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn the_build_before_does_not_come_back_once_the_new_edition_is_used() {
    let before = build_before();
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    wait_for("the group uses the new edition everywhere", || {
        let statuses = world.local.statuses();
        let all = statuses.len() == 3 && statuses.iter().all(|status| is_at(status, 2, 2));
        all.then_some(())
    });
    let follower = world.follower();
    stop(&mut world, follower);
    start_with(&mut world, follower, &before);
    let ending = world.local.wait_ended(follower, Duration::from_secs(30));
    let ending = ending.expect("it does not run");
    let log = world.local.log_tail(follower);
    assert_eq!(ending.code(), Some(72), "{log}");
    assert!(
        log.contains("DataVersion") && log.contains("edition 2"),
        "{log}"
    );
    load.wait_acked(SOME);
    start_with(&mut world, follower, Path::new(QUORATE));
    world.wait_complete();
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
