//! `quorate demo`: what it shows, and that it leaves nothing behind however it ends.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::{QUORATE, directory, turn, wait_for};

fn demo(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(QUORATE);
    command.arg("demo").args(arguments).env("TMPDIR", home);
    command
}

fn is_empty(home: &Path) -> bool {
    let entries = fs::read_dir(home).expect("the directory is ours");
    entries.count() == 0
}

/// Processes that were started with something in this directory.
fn processes(home: &Path) -> usize {
    let home = home.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let commands = entries.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands
        .filter(|command| command.windows(home.len()).any(|part| part == home))
        .count()
}

#[test]
fn the_demonstration_loses_nothing_and_leaves_nothing() {
    let _turn = turn();
    let home = directory();
    let output = demo(home.path(), &["--json"]).output();
    let output = output.expect("the program is built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("it is one object");
    assert_eq!(shown["events"], 83_161);
    assert_eq!(shown["acked"], 83_161);
    for none in ["lost", "duplicated", "different"] {
        assert_eq!(shown[none], 0, "{shown}");
    }
    assert_eq!(shown["identical"], true);
    let digests = shown["digests"].as_array().expect("it is a list");
    assert_eq!(digests.len(), 3);
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{shown}"
    );
    assert!(
        shown["failover_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{shown}"
    );
    assert!(is_empty(home.path()) && processes(home.path()) == 0);
}

#[test]
fn a_file_is_replayed_and_kept() {
    let _turn = turn();
    let home = directory();
    let file = home.path().join("orders.csv");
    let orders: Vec<String> = (0..5_000)
        .map(|order| format!("{order},customer {}", order % 50))
        .collect();
    fs::write(&file, orders.join("\n")).expect("the directory is ours");
    let keep = home.path().join("kept");
    let arguments = [
        "--input",
        file.to_str().expect("it is text"),
        "--key-column",
        "2",
        "--keep",
        keep.to_str().expect("it is text"),
        "--rate",
        "10000",
    ];
    let output = demo(home.path(), &arguments).output();
    let output = output.expect("the program is built");
    let (shown, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}");
    assert!(
        shown.contains("5,000") && shown.contains("identical byte for byte"),
        "{shown}"
    );
    assert!(keep.join("node-3.log").exists() && keep.join("node-1/group-0").exists());
    assert_eq!(processes(home.path()), 0);
}

#[test]
fn too_few_events_and_other_nonsense_are_refused() {
    let home = directory();
    for arguments in [
        ["--events", "10"].as_slice(),
        &["--events", "0"],
        &["--rate", "0"],
        &["--key-column", "1"],
    ] {
        let output = demo(home.path(), arguments).output();
        let output = output.expect("the program is built");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = demo(home.path(), &["--input", "/nowhere"]).output();
    assert_eq!(output.expect("the program is built").status.code(), Some(1));
    assert!(is_empty(home.path()));
}

/// Starts a demonstration, and waits until its nodes run.
fn running(home: &Path) -> Child {
    let child = demo(home, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is built");
    wait_for("three nodes", || (processes(home) == 3).then_some(()));
    child
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.expect("kill is a program").success());
}

#[test]
fn an_interrupted_demonstration_cleans_up() {
    let _turn = turn();
    for name in ["-INT", "-TERM"] {
        let home = directory();
        let mut child = running(home.path());
        signal(&child, name);
        let status = child.wait().expect("it is our child");
        assert_eq!(status.code(), Some(1), "{name}");
        assert!(is_empty(home.path()), "{name}");
        assert_eq!(processes(home.path()), 0, "{name}");
    }
}

#[test]
fn nodes_do_not_outlive_a_demonstration_that_is_killed() {
    let _turn = turn();
    let home = directory();
    let mut child = running(home.path());
    signal(&child, "-KILL");
    child.wait().expect("it is our child");
    wait_for("the nodes' end", || {
        (processes(home.path()) == 0).then_some(())
    });
}
