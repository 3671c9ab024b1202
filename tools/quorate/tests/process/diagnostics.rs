//! What a node says of itself for whoever asks where its time goes.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};

use std::path::Path;

use quorate_client::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{QUORATE, World, wait_for};

const ONE: NodeId = NodeId(1);

/// Where a node's own log goes.
const SAID: &str = "node.log";

/// A node that was started with arguments of its own; it goes with the test.
struct Node(Child);

impl Node {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = Command::new(QUORATE);
        command.arg("node").arg("--config");
        command.arg(world.local.paths(ONE).config).args(arguments);
        let said = File::create(world.path().join(SAID)).expect("there is room");
        command.stderr(said);
        Self(command.spawn().expect("the program is built"))
    }

    /// Waits until the node's own log has these words.
    fn wait_until_it_says(&self, world: &World, words: &str) {
        let path = world.path().join(SAID);
        wait_for(words, || {
            let said = fs::read_to_string(&path).expect("it was made");
            said.contains(words).then_some(())
        });
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.0);
        kill_process(id, signal).expect("the node runs");
    }

    fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_for("the node ends", || {
            self.0.try_wait().expect("it is this process's child")
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps a node busy for a moment.
fn load(world: &World) {
    let mut command = Command::new(QUORATE);
    command.args(["bench", "--nodes", world.local.address(ONE)]);
    command.args(["--warm-up", "0.1", "--duration", "2"]);
    let done = command.output().expect("the program is built");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

/// The events of a trace, as a viewer reads them.
fn events(trace: &Path) -> Vec<Value> {
    let text = fs::read_to_string(trace).expect("the trace was written");
    let trace: Value = serde_json::from_str(&text).expect("it is one object");
    trace["traceEvents"].as_array().expect("a list").clone()
}

#[test]
fn a_trace_has_every_turn_with_its_phases_and_what_it_did() {
    let world = World::prepare_one();
    let file = world.path().join("turns.json");
    let out = file.to_str().expect("the test's paths are text");
    let node = Node::start(&world, &["--trace-turns", out]);
    node.wait_until_it_says(&world, "leads in term 1");
    load(&world);
    node.signal(Signal::USR1);
    node.wait_until_it_says(&world, "wrote the pipeline's turns");
    let events = events(&file);
    let named = |name| events.iter().filter(move |event| event["name"] == name);
    let turns = || named("turn").map(|turn| &turn["args"]);
    assert!(turns().count() > 10, "{} events", events.len());
    for (what, part) in [("writes", "write"), ("requests", "intake")] {
        assert!(turns().any(|did| did[what].as_u64() > Some(0)), "{what}");
        assert!(named(part).count() > 0, "{part}");
    }
    let mut sleeps = named("submit and sleep").map(|sleep| &sleep["args"]);
    assert!(sleeps.any(|why| why["woken by"] == "disk" && why["until"] == "raft"));
    let at = |turn: &Value| turn["ts"].as_f64().expect("a number");
    assert!(named("turn").is_sorted_by(|a, b| at(a) < at(b)));

    // The end of a node writes what came after the first one.
    let last = named("turn").map(at).fold(0.0, f64::max);
    assert_eq!(node.stop().code(), Some(0));
    let after = self::events(&file);
    let mut after = after.iter().filter(|event| event["name"] == "turn");
    assert!(after.all(|turn| at(turn) > last));
}

#[test]
fn a_trace_that_nobody_can_write_is_refused_at_once() {
    let world = World::prepare_one();
    let node = Node::start(&world, &["--trace-turns", "/nowhere/turns.json"]);
    node.wait_until_it_says(&world, "cure: give --trace-turns a file");
}

#[test]
fn a_profile_has_a_tower_for_each_thread() {
    let world = World::prepare_one();
    let page = world.path().join("flames.svg");
    let out = page.to_str().expect("the test's paths are text");
    let node = Node::start(&world, &["--profile", "600", "--profile-out", out]);
    node.wait_until_it_says(&world, "profiles seconds=600");
    load(&world);
    // One that ends early writes what it has.
    assert_eq!(node.stop().code(), Some(0));
    let svg = fs::read_to_string(&page).expect("the profile was written");
    for part in ["<svg", "<title>pipeline-0 (", "<title>shard-0 ("] {
        assert!(svg.contains(part), "{part} is not in the profile");
    }
}
