//! The commands of a client, as a person uses them: produce, consume, status, log, bench.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use quorate_cli::local::free_addresses;
use quorate_client::key_of;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{QUORATE, World, directory, wait_for};

pub(crate) fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(QUORATE);
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("QUORATE_NODES");
    command
}

pub(crate) fn run(nodes: &str, arguments: &[&str]) -> Output {
    let output = quorate(arguments).env("QUORATE_NODES", nodes).output();
    output.expect("the program is built")
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn succeed(nodes: &str, arguments: &[&str]) -> String {
    let output = run(nodes, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("results are text")
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Runs a command that must fail with a status, and returns what it said.
pub(crate) fn fail(nodes: &str, arguments: &[&str], status: i32) -> String {
    let output = run(nodes, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    said
}

fn addresses(world: &World) -> String {
    world.local.addresses().join(",")
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str()
        .expect("the build lies in a place with a plain name")
}

/// Writes so many orders into a file, with a header.
fn orders(directory: &Path, count: u64) -> String {
    let name = directory.join("orders.csv");
    let mut text = String::from("id,user\n");
    for id in 0..count {
        text.push_str(&format!("{id},\"user {}\"\n", id % 7));
    }
    fs::write(&name, text).expect("the directory is ours");
    path(&name).to_owned()
}

#[test]
fn what_is_produced_is_consumed() {
    let world = World::start();
    let nodes = addresses(&world);
    let file = orders(world.path(), 5_000);
    let produced = succeed(
        &nodes,
        &[
            "produce",
            &file,
            "--skip-header",
            "--key-column",
            "2",
            "--topic",
            "orders",
            "--batch",
            "32",
            "--json",
        ],
    );
    let produced = json(&produced);
    assert_eq!(
        (&produced["events"], &produced["acked"]),
        (&5_000.into(), &5_000.into())
    );
    assert_eq!(
        (&produced["first_offset"], &produced["next_offset"]),
        (&0.into(), &5_000.into())
    );
    assert!(
        produced["latency_us"]["p50"].as_u64() > Some(0),
        "{produced}"
    );

    let lines = fs::read_to_string(&file).expect("it was written");
    let (_, events) = lines.split_once('\n').expect("it has a header");
    assert_eq!(succeed(&nodes, &["consume"]), events);
    for address in world.local.addresses() {
        // A node may learn of the last commit a heartbeat later.
        wait_for("the last event on each node", || {
            (succeed(&nodes, &["consume", "--node", &address]) == events).then_some(())
        });
    }
    let some = succeed(
        &nodes,
        &["consume", "--from", "9", "--count", "2", "--format", "json"],
    );
    let some: Vec<Value> = some.lines().map(json).collect();
    assert_eq!(some.len(), 2);
    assert_eq!(
        (&some[1]["offset"], &some[1]["payload"]),
        (&10.into(), &"10,\"user 3\"".into())
    );
    assert_eq!(some[1]["key"], format!("{:016x}", key_of(b"user 3")));
    assert_eq!(some[1]["topic"], "orders");
    let last = succeed(&nodes, &["consume", "--from", "4999", "--format", "detail"]);
    assert!(
        last.starts_with("4999\t") && last.ends_with("\torders\t4999,\"user 1\"\n"),
        "{last}"
    );
    let mine = events.lines().filter(|line| line.ends_with("\"user 3\""));
    let mine: String = mine.map(|line| format!("{line}\n")).collect();
    let by_key = ["consume", "--filter-key", "user 3", "--filter-topic", "ord"];
    assert_eq!(succeed(&nodes, &by_key), mine);
    assert_eq!(succeed(&nodes, &["consume", "--filter-topic", "x"]), "");
    let all = [
        "consume",
        "--from-time",
        "0",
        "--consistency",
        "at-least:5000",
    ];
    assert_eq!(succeed(&nodes, &all), events);
    assert_eq!(succeed(&nodes, &["consume", "--from", "end"]), "");
    let said = fail(&nodes, &["consume", "--from", "5001"], 1);
    assert!(said.contains("OffsetPastEnd (401)"), "{said}");
}

#[test]
fn a_line_that_has_no_key_ends_the_command_and_those_before_it_are_safe() {
    let world = World::start();
    let nodes = addresses(&world);
    let file = world.path().join("mixed.log");
    fs::write(&file, "user=1 a\nuser=2 b\nnobody\nuser=3 c\n").expect("the directory is ours");
    let arguments = ["produce", path(&file), "--key-regex", "user=([0-9]+)"];
    let said = fail(&nodes, &arguments, 1);
    assert!(said.contains("mixed.log: line 3 has nothing"), "{said}");
    assert_eq!(succeed(&nodes, &["consume"]), "user=1 a\nuser=2 b\n");
    let arguments = ["produce", path(&file), "--key-regex", "user=([0-9]+)|$"];
    succeed(&nodes, &arguments);
    assert_eq!(
        succeed(&nodes, &["consume", "--from", "2"]).lines().count(),
        4
    );
}

/// A command that goes on until it is told to stop; killed with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    fn start(nodes: &str, arguments: &[&str]) -> Self {
        let mut command = quorate(arguments);
        command.env("QUORATE_NODES", nodes);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().expect("the program is built"))
    }

    pub(crate) fn interrupt(&self) {
        let id = i32::try_from(self.0.id()).expect("ids are positive");
        let process = Pid::from_raw(id).expect("ids are positive");
        kill_process(process, Signal::INT).expect("it runs");
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        let status = wait_for("the end of a command", || {
            self.0.try_wait().expect("it is our child")
        });
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_slow_pipe_flows_and_ctrl_c_keeps_what_was_taken() {
    let world = World::start();
    let nodes = addresses(&world);
    let mut consumer = Running::start(&nodes, &["consume", "--follow"]);
    let mut producer = Running::start(&nodes, &["produce", "--json"]);
    let seen = consumer.0.stdout.take().expect("it is a pipe");
    let mut seen = BufReader::new(seen).lines();
    let mut pipe = producer.0.stdin.take().expect("it is a pipe");
    for number in 0..3 {
        // Half a line is no event yet.
        write!(pipe, "event ").expect("it is read");
        writeln!(pipe, "{number}").expect("it is read");
        let line = seen.next().expect("it follows").expect("it is text");
        assert_eq!(line, format!("event {number}"));
    }
    write!(pipe, "never finished").expect("it is read");
    producer.interrupt();
    assert_eq!(producer.wait(), Some(130));
    let mut summary = String::new();
    let mut out = producer.0.stdout.take().expect("it is a pipe");
    out.read_to_string(&mut summary).expect("it is text");
    assert_eq!(
        (&json(&summary)["events"], &json(&summary)["acked"]),
        (&3.into(), &3.into())
    );

    consumer.interrupt();
    assert_eq!(
        consumer.wait(),
        Some(0),
        "Ctrl-C is the usual end of following"
    );
    assert!(seen.next().is_none(), "only three events were finished");
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let world = World::start();
    let nodes = addresses(&world);
    let file = orders(world.path(), 20_000);
    succeed(&nodes, &["produce", &file, "--topic", &"x".repeat(200)]);
    let mut consumer = Running::start(&nodes, &["consume", "--format", "json"]);
    drop(consumer.0.stdout.take());
    assert_eq!(consumer.wait(), Some(0));
}

#[test]
fn status_has_a_row_for_each_node_and_fails_without_a_leader() {
    let mut world = World::start();
    let nodes = addresses(&world);
    let one = world.local.addresses().remove(0);
    let rows = json(&succeed(&one, &["status", "--json"]));
    let rows = rows.as_array().expect("it is an array").clone();
    let ids: Vec<_> = rows.iter().map(|row| row["node"].clone()).collect();
    assert_eq!(ids, [1, 2, 3], "one node names the others");
    assert_eq!(
        rows.iter()
            .filter(|row| row["serves"] == true && row["role"] == "leader")
            .count(),
        1
    );

    let follower = world.follower();
    world.local.kill(follower);
    let table = succeed(&nodes, &["status"]);
    assert_eq!(
        table.lines().filter(|line| line.ends_with("down")).count(),
        1,
        "{table}"
    );
    let leader = world.leader();
    world.local.kill(leader);
    let output = wait_for("a node that no longer follows", || {
        let output = run(&nodes, &["status", "--json"]);
        (output.status.code() == Some(1)).then_some(output)
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no leader takes events (1 of 3 nodes answer)"),
        "{said}"
    );
    let rows = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows}");
}

#[test]
fn a_log_is_looked_at_when_its_node_rests() {
    let mut world = World::start();
    let nodes = addresses(&world);
    let file = orders(world.path(), 2_000);
    succeed(&nodes, &["produce", &file, "--skip-header"]);
    let data = world.data();
    let (_, first) = data.first().expect("there are three nodes");
    let said = fail(&nodes, &["log", "verify", path(first)], 1);
    assert!(said.contains("is in use by process"), "{said}");
    world
        .local
        .wait_settled(crate::world::SOON)
        .expect("nobody produces");
    world.stop();

    for (_, data) in &data {
        let verified = json(&succeed(&nodes, &["log", "verify", path(data), "--json"]));
        assert_eq!(verified["sound"], true, "{verified}");
        assert_eq!(verified["events"], 2_000, "{verified}");
    }
    let group = first.join("group-0");
    let dumped = succeed(&nodes, &["log", "dump", path(&group), "--events", "--json"]);
    let records: Vec<Value> = dumped.lines().map(json).collect();
    let live = records.iter().filter(|record| record["void"] == false);
    let events = live.flat_map(|record| record["events"].as_array().expect("it was asked for"));
    let payloads: Vec<&str> = events
        .map(|event| event["payload"].as_str().expect("it is text"))
        .collect();
    let lines = fs::read_to_string(&file).expect("it was written");
    assert_eq!(payloads, lines.lines().skip(1).collect::<Vec<_>>());
    let index = records[0]["index"].as_u64().expect("it is a number") + 1;
    let arguments = [
        "log",
        "dump",
        path(first),
        "--from",
        &index.to_string(),
        "--count",
        "3",
    ];
    assert_eq!(
        succeed(&nodes, &arguments).lines().count(),
        4,
        "a heading and three records"
    );

    let position = records[2]["position"].as_u64().expect("it is a number");
    flip(&group.join("segment-0000000001"), position + 200);
    let said = fail(&nodes, &["log", "verify", path(first)], 71);
    assert!(said.contains("[LogDamaged (702)]"), "{said}");
    let output = run(&nodes, &["log", "verify", path(first), "--json"]);
    let verified = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(verified["damage"][0]["position"], position, "{verified}");
    fail(&nodes, &["log", "dump", path(first)], 71);
}

/// Flips a bit of a file.
fn flip(file: &Path, at: u64) {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .expect("the node has written it");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)
        .expect("it is long enough");
    file.write_all_at(&[byte[0] ^ 1], at).expect("it is ours");
}

#[test]
fn nonsense_is_refused_before_anything_is_done() {
    for arguments in [
        ["produce", "--key-column", "0"].as_slice(),
        &["produce", "--key-column", "1", "--key-regex", "a"],
        &["produce", "--key-regex", "("],
        &["produce", "--batch", "0"],
        &["produce", "--in-flight", "1025"],
        &["produce", "--nodes", "localhost"],
        &["consume", "--from", "first"],
        &["consume", "--format", "xml"],
        &["status", "--nodes", ":9001"],
        &["log", "verify"],
        &["log", "dump", ".", "--from", "-1"],
        &["bench", "--local", "2"],
        &["bench", "--local", "3", "--nodes", "a:1"],
        &["bench", "--event-size", "1048576"],
        &["bench", "--rate", "0"],
        &["bench", "--retain", "63"],
        &["bench", "--keys", "100000", "--event-size", "1000000"],
        &["bench", "sweep"],
        &["bench", "sweep", "--rates", "1k", "--in-flights", "4"],
        &["bench", "compare", "only-one.json"],
        &["bench", "failover", "--mode", "shout"],
        &["bench", "failover", "--runs", "0"],
    ] {
        fail("a:1", arguments, 2);
    }
    let home = directory();
    let said = fail("a:1", &["log", "verify", path(home.path())], 1);
    assert!(said.contains("is no data directory of a node"), "{said}");
    for (arguments, cure) in [
        (&["produce", "/nowhere/at/all"][..], "may read"),
        (
            &["produce", "/nowhere/at/all", "--id-column", "1"],
            "may read",
        ),
        (&["verify", "/nowhere/at/all"], "may read"),
        (&["demo", "--input", "/nowhere/at/all"], "may read"),
        (
            &["produce", "/dev/null", "--resume", "/nowhere/at/all"],
            "may write",
        ),
    ] {
        let said = fail("a:1", arguments, 1);
        assert!(said.contains("/nowhere/at/all: No such file"), "{said}");
        let cured = said.lines().last().expect("it says something");
        assert!(cured.contains("cure: ") && cured.contains(cure), "{said}");
    }
}

#[test]
fn nodes_that_do_not_answer_are_named() {
    let address = free_addresses(1).expect("there are thousands")[0].to_string();
    for arguments in [
        ["produce", "/dev/null", "--patience", "1"].as_slice(),
        &["consume", "--patience", "1"],
        &["status"],
    ] {
        let said = fail(&address, arguments, 1);
        assert!(
            said.contains(&address) && said.contains("cure: start"),
            "{said}"
        );
    }
}
