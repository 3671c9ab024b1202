//! `quorate produce --resume`, killed in the middle.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::world::{QUORATE, World, wait_for};

const LINES: u64 = 300_000;

fn command(nodes: &str, name: &str, file: &Path) -> Command {
    let mut command = Command::new(QUORATE);
    command.arg(name).arg(file).args(["--key-column", "2"]);
    command.env("QUORATE_NODES", nodes).stdin(Stdio::null());
    command
}

fn produce(nodes: &str, file: &Path, state: &Path) -> Command {
    let mut command = command(nodes, "produce", file);
    command.args(["--batch", "16", "--json", "--resume"]);
    command.arg(state);
    command
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn lines(from: u64, to: u64) -> String {
    let line = |number| format!("{number},key {},{}\n", number % 7, "x".repeat(30));
    (from..to).map(line).collect()
}

fn verified(nodes: &str, file: &Path) -> Value {
    let output = command(nodes, "verify", file).arg("--json").output();
    json(&output.expect("the program is built"))
}

fn assert_each_once(verified: &Value, lines: u64) {
    assert_eq!(verified["found"], lines, "{verified}");
    for what in ["lost", "doubled", "out_of_order", "foreign"] {
        assert_eq!(verified[what], 0, "{verified}");
    }
}

/// Waits until the state says that so many lines are acknowledged, and kills the command.
fn kill_after(mut child: Child, state: &Path, acked: u64) {
    wait_for("the state to move on", || {
        let text = fs::read_to_string(state).ok()?;
        let state: Value = serde_json::from_str(&text).ok()?;
        (state["acked"].as_u64()? >= acked).then_some(())
    });
    child.kill().expect("it is our child");
    let status = child.wait().expect("it is our child");
    assert_eq!(status.signal(), Some(9), "it had ended before");
}

#[test]
fn a_producer_that_is_killed_goes_on_where_it_stopped_and_doubles_no_line() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let (file, state) = (world.path().join("lines"), world.path().join("state"));
    fs::write(&file, lines(0, LINES)).expect("the directory is ours");
    for acked in [1, LINES / 4, LINES / 2] {
        let child = produce(&nodes, &file, &state)
            .stdout(Stdio::piped())
            .spawn();
        kill_after(child.expect("the program is built"), &state, acked);
        if acked > 1 {
            // What the killed one left in flight is asked of another leader.
            let leader = world.leader();
            world.local.kill(leader);
            world.leader();
            world.local.start(leader).expect("its port is free");
        }
    }
    let output = produce(&nodes, &file, &state).output();
    let produced = json(&output.expect("the program is built"));
    let number = |name: &str| produced[name].as_u64().expect("it is a number");
    assert_eq!(number("resumed") + number("events"), LINES, "{produced}");
    assert!(number("resumed") >= LINES / 2, "{produced}");
    assert_eq!(number("events"), number("acked"), "{produced}");
    assert_each_once(&verified(&nodes, &file), LINES);

    // All is there: nothing more to do, until there are further lines.
    let again = produce(&nodes, &file, &state).output();
    assert_eq!(json(&again.expect("the program is built"))["events"], 0);
    fs::write(&file, lines(0, LINES + 10)).expect("the directory is ours");
    let more = produce(&nodes, &file, &state).output();
    assert_eq!(json(&more.expect("the program is built"))["acked"], 10);
    assert_each_once(&verified(&nodes, &file), LINES + 10);

    fs::write(&file, lines(5, LINES)).expect("the directory is ours");
    let other = produce(&nodes, &file, &state).output();
    let other = other.expect("the program is built");
    let said = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert!(said.contains("is of another input"), "{said}");
}
