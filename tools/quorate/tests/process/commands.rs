//! `quorate cluster`, as a person uses it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{QUORATE, directory, turn, wait_for};

fn cluster(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(QUORATE);
    command.arg("cluster").args(arguments);
    command.arg("--dir").arg(directory.join("cluster"));
    command.output().expect("the program is built")
}

/// Runs a command that must succeed, and returns what it printed.
fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let output = cluster(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("results are text")
}

fn statuses(directory: &Path) -> Vec<Value> {
    let text = succeed(directory, &["status", "--json"]);
    serde_json::from_str(&text).expect("it is one array")
}

/// Takes the nodes down when a test fails in the middle: they outlive the commands, and would outlive the test.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let _ = cluster(self.0, &["down"]);
    }
}

#[test]
fn a_cluster_goes_up_and_down_and_up_again() {
    let _turn = turn();
    let home = directory();
    let home = home.path();
    let _down = Down(home);
    let said = succeed(home, &["up", "--ports", "auto", "--cluster", "flights"]);
    assert!(said.starts_with("3 of 3 nodes started; node "), "{said}");
    let up = statuses(home);
    assert!(
        up.iter()
            .all(|node| node["up"] == true && node["cluster"] == "flights"),
        "{up:?}"
    );
    let leaders = up.iter().filter(|node| node["role"] == "leader");
    assert_eq!(leaders.count(), 1, "{up:?}");
    assert!(succeed(home, &["up"]).starts_with("0 of 3 nodes started"));

    let refused = cluster(home, &["up", "--nodes", "5"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "the cluster has three nodes"
    );

    let process = up[1]["process"].to_string();
    let killed = Command::new("kill").args(["-9", &process]).status();
    assert!(killed.expect("kill is a program").success());
    wait_for("a node that is down", || {
        (statuses(home)[1]["up"] == false).then_some(())
    });
    let table = succeed(home, &["status"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("down"), "{table}");
    let said = succeed(home, &["up"]);
    assert!(said.starts_with("1 of 3 nodes started"), "{said}");

    assert_eq!(succeed(home, &["down"]), "3 of 3 nodes stopped\n");
    assert!(succeed(home, &["down"]).contains("no node"));
    let down = statuses(home);
    assert!(
        down.iter()
            .all(|node| node["up"] == false && node["process"].is_null()),
        "{down:?}"
    );
}

#[test]
fn one_node_is_a_cluster_too() {
    let _turn = turn();
    let home = directory();
    let home = home.path();
    let _down = Down(home);
    let said = succeed(home, &["up", "--nodes", "1", "--ports", "auto"]);
    assert!(
        said.starts_with("1 of 1 nodes started; node 1 leads"),
        "{said}"
    );
    assert_eq!(statuses(home).len(), 1);
    assert_eq!(succeed(home, &["down"]), "1 of 1 nodes stopped\n");
}

#[test]
fn a_taken_port_is_named_before_anything_is_started() {
    let _turn = turn();
    let home = directory();
    let home = home.path();
    let _down = Down(home);
    succeed(home, &["up", "--ports", "auto"]);
    succeed(home, &["down"]);
    let address = statuses(home)[2]["address"].clone();
    let address = address.as_str().expect("it is text").to_owned();
    let _listener = std::net::TcpListener::bind(&address).expect("its node is down");
    let refused = cluster(home, &["up"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(72), "{said}");
    assert!(said.contains(&address) && said.contains("(602)"), "{said}");
    assert!(said.contains("cure: "), "{said}");
    assert!(statuses(home).iter().all(|node| node["process"].is_null()));
}

#[test]
fn what_was_produced_is_verified_and_what_was_not_is_named() {
    let _turn = turn();
    let home = directory();
    let home = home.path();
    let _down = Down(home);
    succeed(home, &["up", "--nodes", "1", "--ports", "auto"]);
    let address = statuses(home)[0]["address"].clone();
    let address = address.as_str().expect("it is text").to_owned();
    let file = home.join("lines.csv");
    let run = |command: &str| {
        let mut verify = Command::new(QUORATE);
        verify.args([command, "--nodes", &address, "--key-column", "1", "--json"]);
        let output = verify.arg(&file).output().expect("the program is built");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("it is one object");
        (output.status.code(), summary)
    };
    std::fs::write(&file, "a,1\nb,1\na,2\n").expect("the directory is ours");
    assert_eq!(run("produce").0, Some(0));
    let (code, summary) = run("verify");
    assert_eq!((code, &summary["found"]), (Some(0), &3.into()), "{summary}");

    std::fs::write(&file, "a,2\na,1\na,3\n").expect("the directory is ours");
    let (code, summary) = run("verify");
    assert_eq!(code, Some(1), "{summary}");
    for (what, count) in [
        ("found", 2),
        ("lost", 1),
        ("out_of_order", 1),
        ("foreign", 1),
    ] {
        assert_eq!(summary[what], count, "{what} of {summary}");
    }
    assert_eq!(run("produce").0, Some(0));
    let (_, summary) = run("verify");
    assert_eq!(
        (&summary["lost"], &summary["doubled"]),
        (&0.into(), &2.into()),
        "{summary}"
    );
}
