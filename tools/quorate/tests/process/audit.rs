//! `quorate audit`, while the cluster runs.

use std::process::Command;

use serde_json::Value;

use crate::load::Load;
use crate::world::{QUORATE, World, wait_for};

fn audit(nodes: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(QUORATE);
    command.args(["audit", "--json"]).args(arguments);
    let output = command.env("QUORATE_NODES", nodes).output();
    let output = output.expect("the program is built");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Audits, and fails unless all is equal.
pub(crate) fn equal(nodes: &str, arguments: &[&str]) -> Value {
    let (status, result, said) = audit(nodes, arguments);
    assert_eq!(status, Some(0), "{result} {said}");
    let result: Value = serde_json::from_str(&result).expect("it is JSON");
    assert_eq!(result["equal"], true, "{result}");
    result
}

#[test]
fn replicas_are_compared_while_they_take_events_and_through_a_failover() {
    let mut world = World::start();
    let addresses = world.local.addresses();
    let nodes = addresses.join(",");
    let load = Load::start(addresses.clone());
    load.wait_acked(5_000);
    // One address is enough: it names the others.
    let first = equal(addresses.first().expect("three"), &[]);
    assert_eq!(first["nodes"].as_array().map(Vec::len), Some(3), "{first}");
    assert!(first["index"].as_u64() > Some(0), "{first}");
    let leader = world.leader();
    world.local.kill(leader);
    let (status, _, said) = audit(&nodes, &["--patience", "1"]);
    assert_eq!(
        status,
        Some(1),
        "a replica that is away is not compared: {said}"
    );
    world.leader();
    world.local.start(leader).expect("its port is free");
    wait_for("an audit of all three", || {
        let (status, ..) = audit(&nodes, &["--patience", "1"]);
        (status == Some(0)).then_some(())
    });
    let sent = load.finish();
    let full = equal(&nodes, &["--full"]);
    let records = full["records"].as_u64().expect("all were read");
    assert!(records > 0 && sent.complete, "{full}");
    let rows = full["nodes"].as_array().expect("a row each");
    assert!(rows.iter().all(|row| row["differs"] == false), "{full}");
}
