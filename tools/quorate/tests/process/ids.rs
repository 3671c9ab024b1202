//! `quorate produce --id-column`: several processes that say the same things, while leaders are killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::{QUORATE, World};

const LINES: u64 = 3_000;

fn lines(from: u64, to: u64) -> String {
    let line = |number| format!("order {number},key {},{}\n", number % 7, "x".repeat(30));
    (from..to).map(line).collect()
}

fn produce(nodes: &str, file: &Path) -> Child {
    let mut command = Command::new(QUORATE);
    command.arg("produce").arg(file).args(["--id-column", "1"]);
    command.args([
        "--key-column",
        "2",
        "--batch",
        "8",
        "--patience",
        "60",
        "--json",
    ]);
    let child = command.env("QUORATE_NODES", nodes).stdout(Stdio::piped());
    child.spawn().expect("it is built")
}

fn acked(child: Child) -> Value {
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    said["acked"].clone()
}

#[test]
fn what_several_say_is_in_the_log_once_while_leaders_are_killed() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let directory = world.path().to_owned();
    let file = |name: &str, from, to| {
        let path = directory.join(name);
        fs::write(&path, lines(from, to)).expect("the build can write here");
        path
    };
    // They overlap, not at the edges of chunks.
    let half = LINES / 2;
    let files = [
        file("first.csv", 0, half + 101),
        file("second.csv", half - 303, LINES),
        file("third.csv", 7, LINES - 7),
    ];
    let senders: Vec<Child> = files.iter().map(|file| produce(&nodes, file)).collect();
    for _ in 0..2 {
        let leader = world.leader();
        world.local.kill(leader);
        world.leader();
        world.local.start(leader).expect("its ports are free again");
    }
    let said: Vec<Value> = senders.into_iter().map(acked).collect();
    assert_eq!(said, [half + 101, half + 303, LINES - 14]);
    let all = file("all.csv", 0, LINES);
    assert_eq!(acked(produce(&nodes, &all)), LINES);
    let mut verify = Command::new(QUORATE);
    verify
        .arg("verify")
        .arg(&all)
        .args(["--key-column", "2", "--json"]);
    let output = verify.env("QUORATE_NODES", &nodes).output();
    let output = output.expect("it is built");
    let verified: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    for (what, count) in [
        ("found", LINES),
        ("lost", 0),
        ("doubled", 0),
        ("foreign", 0),
    ] {
        assert_eq!(verified[what], count, "{verified}");
    }
}
