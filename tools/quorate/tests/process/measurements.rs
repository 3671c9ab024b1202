//! `quorate bench`, as a person uses it: what it measures, what it says, and what it leaves behind.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::client::{Running, fail, json, path, quorate, run, succeed};
use crate::world::{directory, turn};

#[test]
fn a_measurement_measures_and_leaves_nothing() {
    let _turn = turn();
    let home = directory();
    let measure = |arguments: &[&str]| {
        let mut command = quorate(&["bench", "--duration", "0.5", "--warm-up", "0.1", "--json"]);
        command.args(["--stock", "1"]);
        let output = command.args(arguments).env("TMPDIR", home.path()).output();
        let output = output.expect("the program is built");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        json(&String::from_utf8_lossy(&output.stdout))
    };
    let report = measure(&[
        "--local",
        "3",
        "--event-size",
        "64",
        "--batch",
        "64",
        "--in-flight",
        "64",
    ]);
    for name in ["events_per_s", "samples", "rss_mib", "events"] {
        assert!(report[name].as_u64() > Some(0), "{name} is not in {report}");
    }
    assert!(
        report["server_cpu_us_per_event"].as_f64() > Some(0.0),
        "{report}"
    );
    assert_eq!(
        report["events"].as_u64(),
        report["samples"].as_u64().map(|requests| requests * 64)
    );
    assert!(
        report["durability"]
            .as_str()
            .is_some_and(|text| text.contains("2 of 3")),
        "{report}"
    );
    assert_eq!(
        home.path().read_dir().expect("it is ours").count(),
        0,
        "nothing is left"
    );

    assert!(report["host"]["naps"].as_u64() > Some(0), "{report}");
    assert_eq!(report["loop"], "closed", "{report}");
    let writes = report["writes"].as_array().expect("each node has some");
    assert_eq!(writes.len(), 3, "{report}");
    for one in writes {
        assert!(one["writes_per_s"].as_f64() > Some(1.0), "{report}");
        assert!(one["records_per_write"].as_f64() >= Some(1.0), "{report}");
        assert!(one["bytes_per_write"].as_f64() >= Some(4096.0), "{report}");
    }
    let leader = report["costs"]
        .as_array()
        .and_then(|costs| costs.iter().find(|cost| cost["role"] == "leader").cloned());
    let leader = leader.expect("one of the three leads");
    for name in ["voluntary_switches_per_s", "rss_mib"] {
        assert!(leader[name].as_u64() > Some(0), "{name} is not in {leader}");
    }

    let kept = home.path().join("kept");
    let report = measure(&["--local", "1", "--retain", "64", "--dir", path(&kept)]);
    assert_eq!(report["retain"], 64, "{report}");
    let config = std::fs::read_to_string(kept.join("node-1.toml")).expect("it is kept");
    for line in ["retain_bytes = 67108864", "log_mib = 64"] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    let verified = succeed("a:1", &["log", "verify", path(&kept.join("node-1"))]);
    assert!(verified.contains("damage    : none"), "{verified}");
}

#[test]
fn an_open_loop_is_measured_drawn_and_compared() {
    let _turn = turn();
    let home = directory();
    let file = |name: &str| home.path().join(name);
    let measured = succeed(
        "a:1",
        &[
            "bench",
            "--rate",
            "1k",
            "--batch",
            "1",
            "--producers",
            "2",
            "--consumers",
            "1",
            "--keys",
            "10",
            "--duration",
            "0.6",
            "--warm-up",
            "0.1",
            "--runs",
            "3",
            "--json",
            "--hgrm",
            path(&file("a.hgrm")),
            "--report",
            path(&file("a.html")),
        ],
    );
    let report = json(&measured);
    assert_eq!(report["rate"], 1_000, "{report}");
    assert_eq!(
        report["samples"], 1_800,
        "each request that was due has a latency: {report}"
    );
    assert!(
        report["consumed_events_per_s"].as_u64() > Some(0),
        "{report}"
    );
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(3), "{report}");
    let hgrm = std::fs::read_to_string(file("a.hgrm")).expect("it was written");
    assert!(hgrm.contains("Total count    =         1800]"), "{hgrm}");
    let page = std::fs::read_to_string(file("a.html")).expect("it was written");
    assert_eq!(page.matches("<svg ").count(), 3, "{page}");

    std::fs::write(file("a.json"), measured).expect("the directory is ours");
    let (a, empty) = (file("a.json"), file("a.hgrm"));
    let said = succeed(
        "a:1",
        &["bench", "compare", path(&a), path(&a), "--gate", "10%"],
    );
    assert!(
        said.contains("no difference that these runs can show"),
        "{said}"
    );
    let said = fail("a:1", &["bench", "compare", path(&a), path(&empty)], 1);
    assert!(said.contains("a.hgrm"), "{said}");
}

#[test]
fn an_outage_is_measured_and_loses_nothing() {
    let _turn = turn();
    for mode in ["kill", "freeze", "cut"] {
        let arguments = ["bench", "failover", "--mode", mode, "--runs", "1", "--json"];
        let output = run("a:1", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        if mode == "cut" && said.contains("no network namespaces") {
            // Where hosts cannot be cut, that is said, and what would let them.
            assert!(said.contains("cure: run it as root"), "{said}");
            continue;
        }
        assert!(output.status.success(), "{mode}: {said}");
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(
            (&report["mode"], &report["runs"]),
            (&mode.into(), &1.into())
        );
        assert!(report["worst_ms"].as_f64() > Some(0.0), "{report}");
        assert_eq!(report["histogram"][0]["count"], 1, "{report}");
        let outage = &report["outages"][0];
        assert_ne!(outage["from"], outage["to"], "{report}");
    }
}

#[test]
fn what_consumers_read_and_what_it_costs_is_measured() {
    let _turn = turn();
    let mut command = quorate(&["bench", "read", "--push", "--duration", "1", "--json"]);
    let output = command.output().expect("the program is built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let said = json(&String::from_utf8_lossy(&output.stdout));
    for figure in [
        &said["tail"]["events_per_s"],
        &said["cold"]["mb_per_s"],
        &said["alone"]["samples"],
        &said["beside"]["events_per_s"],
        &said["beside"]["samples"],
    ] {
        assert!(figure.as_u64().is_some_and(|figure| figure > 0), "{said}");
    }
}

#[test]
fn what_upkeep_costs_is_measured() {
    let _turn = turn();
    for work in ["rolling", "members"] {
        let arguments = ["bench", "upkeep", "--work", work, "--rate", "2k"];
        let output = run(
            "a:1",
            &[&arguments[..], &["--duration", "1", "--json"]].concat(),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{work}: {said}");
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(report["work"], work, "{report}");
        for part in ["alone", "beside"] {
            assert!(report[part]["samples"].as_u64() > Some(0), "{report}");
        }
        assert!(report["longest_ms"].as_f64() > Some(0.0), "{report}");
    }
}

#[test]
fn an_interrupted_measurement_cleans_up() {
    let _turn = turn();
    let home = directory();
    let mut command = quorate(&["bench", "--duration", "600"]);
    command.env("TMPDIR", home.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("the program is built"));
    let said = running.0.stderr.take().expect("it is a pipe");
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    assert!(
        said.any(|line| line.starts_with("measuring")),
        "it gets so far"
    );
    running.interrupt();
    assert_eq!(running.wait(), Some(130));
    assert_eq!(
        home.path().read_dir().expect("it is ours").count(),
        0,
        "nothing is left"
    );
}
