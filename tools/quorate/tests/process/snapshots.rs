//! Logs that end: old segments go, and a node that lacks what is gone gets a snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_client::{Consumer, ConsumerOptions, NodeId, ReadFrom};
use quorate_engine::config::Config;

use crate::audit::equal;
use crate::client::{json, succeed};
use crate::load::Load;
use crate::world::{SOON, World, small_segments, wait_for};

const SOME: u64 = 2_000;

/// A snapshot every thousand records, and nothing stays that two of them have.
pub(crate) fn forgetful(config: &mut Config) {
    small_segments(config);
    config.snapshot.log_mib = 1;
    config.snapshot.records = 1000;
    config.log.retain_bytes = 1;
}

pub(crate) fn group(world: &World, of: NodeId) -> PathBuf {
    let mut all = world.data().into_iter();
    let (_, data) = all
        .find(|(node, _)| *node == of)
        .expect("a node of this world");
    data.join("group-0")
}

/// The numbers of a directory's files of one kind.
pub(crate) fn numbers(group: &Path, kind: &str) -> Vec<u64> {
    let entries = std::fs::read_dir(group).expect("the node has made it");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut numbers: Vec<u64> = names
        .filter_map(|name| name.strip_prefix(kind)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until all nodes have everything, and fails unless they say the same of it.
pub(crate) fn check_equal(world: &mut World) {
    let statuses = world.local.wait_settled(SOON);
    let statuses = statuses.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(statuses.len(), 3);
    for pair in statuses.windows(2) {
        assert_eq!(
            (pair[0].commit_index, pair[0].committed, pair[0].digest),
            (pair[1].commit_index, pair[1].committed, pair[1].digest),
        );
    }
}

/// Where a node's log begins.
pub(crate) fn start(address: &str) -> u64 {
    let mut options = ConsumerOptions::new([address]);
    options.stick = true;
    options.from = ReadFrom::Start;
    let mut consumer = Consumer::connect(options).expect("it serves");
    let batch = consumer.fetch(Duration::ZERO).expect("it has a log");
    batch.offset().0
}

/// Fails unless an audit reads all that all nodes have, and finds it equal, although their logs do not begin at the same offset.
fn check_audit(world: &World) {
    let addresses = world.local.addresses();
    let starts: Vec<u64> = addresses.iter().map(|address| start(address)).collect();
    assert!(starts.iter().any(|start| *start != starts[0]), "{starts:?}");
    let full = equal(&addresses.join(","), &["--full"]);
    assert_eq!(full["from"].as_u64(), starts.into_iter().max(), "{full}");
    assert!(full["records"].as_u64() > Some(0), "{full}");
}

#[test]
fn a_node_that_lacks_what_the_others_released_gets_a_snapshot() {
    let mut world = World::start_with(forgetful);
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let away = world.follower();
    world.local.kill(away);
    let had = numbers(&group(&world, away), "segment-");
    let nodes = world.local.nodes().into_iter();
    let others: Vec<NodeId> = nodes.filter(|&node| node != away).collect();
    let last = had.last().copied().expect("it had a log");
    wait_for("the others release what it lacks", || {
        let released =
            |node: &NodeId| numbers(&group(&world, *node), "segment-").first() > Some(&last);
        others.iter().all(released).then_some(())
    });
    world.local.start(away).expect("its ports are free again");
    world.wait_complete();
    load.wait_acked(SOME);
    let sent = load.finish();
    assert!(sent.complete);
    check_equal(&mut world);
    let said = world.local.log_tail(away);
    let installed =
        std::fs::read_to_string(world.local.paths(away).log).expect("it has said something");
    assert!(
        installed.contains("fetches its snapshot"),
        "it has been given a snapshot:\n{said}"
    );
    check_audit(&world);
    let kept = numbers(&group(&world, away), "snapshot-");
    assert!((1..=2).contains(&kept.len()), "{kept:?}");
    for status in world.local.statuses() {
        assert!(status.start_index.0 > 0 && status.start_offset.0 > 0);
        assert!(status.snapshot_index >= status.start_index);
        assert!(status.snapshot_bytes >= 4096 && status.ready_bytes > 0);
    }
    // All begin with their snapshots when they are started again.
    world.stop();
    let data = group(&world, away).display().to_string();
    let verified = json(&succeed("", &["log", "verify", &data, "--json"]));
    assert!(verified["start_index"].as_u64() > Some(0), "{verified}");
    let newest = verified["snapshots"].as_array().and_then(|all| all.last());
    let newest = newest.expect("it has one");
    assert!(newest["index"].as_u64() >= verified["start_index"].as_u64());
    assert!(newest["damage"].is_null(), "{verified}");
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    check_equal(&mut world);
}
