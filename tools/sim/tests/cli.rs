//! The binary: its statuses, its JSON, and the lines that it prints for those who replay.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate-sim"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the simulator runs")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

#[test]
fn a_campaign_tells_in_json_what_it_did() {
    let output = sim(&[
        "run",
        "--seeds",
        "0..2",
        "--profile",
        "calm",
        "--jobs",
        "2",
        "--json",
    ]);
    assert_eq!(status(&output), 0);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(json["seeds"], 2);
    assert_eq!(json["violations"], 0);
    assert_eq!(json["failures"], Value::Array(Vec::new()));
    for number in [
        "virtual_seconds",
        "wall_seconds",
        "virtual_seconds_per_second",
    ] {
        assert!(json[number].as_f64().is_some_and(|it| it > 0.0), "{number}");
    }
}

#[test]
fn a_trace_has_a_column_for_each_node_and_says_how_it_ended() {
    let output = sim(&["run", "--seeds", "3..4", "--profile", "calm", "--trace"]);
    assert_eq!(status(&output), 0);
    let text = text(&output);
    let heading = text.lines().find(|line| line.contains("node 1"));
    let heading = heading.expect("a heading");
    assert!(heading.contains("node 3") && heading.ends_with("clients"));
    assert!(text.contains("leads in term"));
    assert!(
        text.lines()
            .last()
            .is_some_and(|last| last.contains("seed 3: "))
    );
}

#[test]
fn one_seed_is_one_trace_in_two_processes() {
    let output = sim(&["meta", "5", "--profile", "faults", "--only", "0,1,2"]);
    assert_eq!(status(&output), 0, "{}", text(&output));
    assert!(text(&output).contains("all equal"));
}

#[test]
fn what_finds_nothing_is_not_shrunk() {
    let output = sim(&["shrink", "1", "--profile", "calm"]);
    assert_eq!(status(&output), 0);
    assert!(text(&output).contains("finds nothing"));
}

#[test]
fn bad_usage_has_its_own_status() {
    for arguments in [
        &["run"][..],
        &["run", "--seeds", "5..5"],
        &["run", "--seeds", "five"],
        &["run", "--seeds", "0..1", "--jobs", "0"],
        &["run", "--seeds", "0..1", "--json", "--trace"],
        &["soak"],
        &["fly"],
    ] {
        assert_eq!(status(&sim(arguments)), 2, "{arguments:?}");
    }
    let help = sim(&["--help"]);
    assert_eq!(status(&help), 0);
    assert!(text(&help).contains("quorate-sim run --seeds 17..18 --trace"));
}
