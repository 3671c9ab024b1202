//! What a node says of itself for whoever asks where its time goes.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};

use quorate_client::NodeId;
use rustix::process::{Pid, Signal, kill_process};

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
