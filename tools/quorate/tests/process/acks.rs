//! Levels of acknowledgement and stage times, from the command line to the disks.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{QUORATE, World};

const LINES: u64 = 2_000;

fn json(nodes: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(QUORATE);
    command.args(arguments).arg("--json");
    let output = command.env("QUORATE_NODES", nodes).output();
    let output = output.expect("the program is built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn produce(nodes: &str, file: &Path, acks: &str) -> Value {
    let file = file.to_str().expect("paths here are text");
    json(nodes, &["produce", file, "--acks", acks, "--trace-stages"])
}

/// The stages that some request has told of.
fn stages(report: &Value) -> Vec<&str> {
    let stages = report["stages"].as_array().expect("it is a list");
    let names = stages.iter().map(|stage| stage["stage"].as_str());
    names.map(|name| name.expect("it has a name")).collect()
}

#[test]
fn events_are_as_safe_as_was_asked_for_and_the_answer_says_so() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let file = world.path().join("lines");
    std::fs::write(&file, "an event\n".repeat(2_000)).expect("the directory is ours");

    for (acks, known) in [
        ("quorum", &["gate", "lane", "batch", "commit", "reply"][..]),
        ("all", &["own_write", "follower_write", "commit"]),
        ("accepted", &["gate", "lane", "reply"]),
    ] {
        let report = produce(&nodes, &file, acks);
        assert_eq!(report["acks"], acks, "{report}");
        assert_eq!(report["acked"], LINES, "{report}");
        assert_eq!(report["acked_not_on_all"], 0, "{report}");
        let found = stages(&report);
        assert!(known.iter().all(|name| found.contains(name)), "{report}");
    }

    let bench = ["bench", "--nodes", &nodes, "--acks", "all", "--duration"];
    let report = json(&nodes, &[&bench[..], &["0.3", "--warm-up", "0.1"]].concat());
    assert_eq!(report["acks"], "all", "{report}");
    assert!(stages(&report).contains(&"commit"), "{report}");

    // One disk is gone: what all shall have is committed, and not on all.
    let follower = world.follower();
    world.local.kill(follower);
    let report = produce(&nodes, &file, "all");
    assert_eq!(report["acked"], LINES, "{report}");
    assert_eq!(report["acked_not_on_all"], LINES, "{report}");
}
