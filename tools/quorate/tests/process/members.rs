//! The members of a running cluster change: nodes come, go, and take the place of others, and no client has an error.

use std::fs;

use quorate_cli::local::{Local, free_addresses};
use quorate_client::{MemberRole, NodeId};
use serde_json::Value;

use crate::audit::equal;
use crate::client::{fail, json, succeed};
use crate::load::Load;
use crate::logs;
use crate::world::{QUORATE, SOON, World, wait_for};

/// Enough events for records in flight everywhere.
const SOME: u64 = 1_000;

/// A further node runs, and waits to be added. Says where it is, as arguments of `quorate admin`.
fn another(world: &mut World) -> (NodeId, [String; 4]) {
    let node = world.local.grow().expect("there are free ports");
    world.local.start(node).expect("its ports are free");
    let place = world.local.place(node);
    let (peer, client) = (place.peer.clone(), place.client.clone());
    let flags = ["--address", "--client-address"].map(str::to_owned);
    let [address, client_address] = flags;
    (node, [address, peer, client_address, client])
}

fn admin(nodes: &str, what: &str, of: &[&str], place: &[String]) {
    let mut arguments = vec!["admin", what];
    arguments.extend(of);
    arguments.extend(place.iter().map(String::as_str));
    succeed(nodes, &arguments);
}

/// The voters, as the command shows them; nobody else belongs to the group.
fn voters(nodes: &str) -> Vec<u64> {
    let members = json(&succeed(nodes, &["admin", "members", "--json"]));
    let members = members["members"].as_array().expect("a list").iter();
    let voter = |member: &serde_json::Value| {
        assert_eq!(member["role"], "voter", "{member}");
        member["node"].as_u64().expect("an id")
    };
    members.map(voter).collect()
}

#[test]
fn a_change_that_cannot_be_says_why_and_what_to_do() {
    let world = World::start();
    let nodes = world.local.addresses().join(",");
    let nobody = free_addresses(1).expect("there are thousands")[0].to_string();
    let waits = format!("node 4 at {nobody} waits: ");
    for (arguments, words) in [
        (
            &["remove", "9"][..],
            &["NotAMember (312): the node is no"][..],
        ),
        (
            &["add", "2", "--address", &nobody],
            &["MembersRefused (315): the group cannot"],
        ),
        // A leader waits for 3 s each time. What is asked last is cut short, and is not what is said.
        (
            &["add", "4", "--address", &nobody, "--within", "8000"],
            &["NodeUnreachable (316): the leader does not", &waits],
        ),
    ] {
        let said = fail(&nodes, &[&["admin"], arguments].concat(), 1);
        let cure = said.lines().last().expect("it says something");
        for words in words {
            assert!(said.contains(words), "{arguments:?}: {said}");
        }
        assert!(cure.contains("cure: ") && !cure.contains("docs/"), "{said}");
    }
    let peer = world.local.place(NodeId(1)).peer.clone();
    let said = fail(&peer, &["consume", "--patience", "1"], 1);
    assert!(said.contains("not a client port"), "{said}");
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figure is for whoever asks for it, and depends on the host"
)]
fn three_become_five_and_other_three_under_load() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    for _ in 0..2 {
        let (node, place) = another(&mut world);
        let node = node.to_string();
        admin(&nodes, "add", &[&node], &place);
        load.wait_acked(SOME);
        admin(&nodes, "promote", &[&node], &[]);
        load.wait_acked(SOME);
    }
    assert_eq!(voters(&nodes), [1, 2, 3, 4, 5]);
    world.wait_complete();
    // The leader goes, and one more founder.
    let leader = world.leader();
    let other = (1..=3).map(NodeId).find(|&node| node != leader);
    let mut founders = vec![NodeId(1), NodeId(2), NodeId(3)];
    for gone in [leader, other.expect("there are three")] {
        founders.retain(|&node| node != gone);
        let remaining = world.local.address(NodeId(5)).to_owned();
        admin(&remaining, "remove", &[&gone.to_string()], &[]);
        load.wait_acked(SOME);
        wait_for("the removed node hears of it", || {
            let log = fs::read_to_string(world.local.paths(gone).log).expect("it has a log");
            log.contains("NotAMember").then_some(())
        });
        let named = format!("{},{remaining}", world.local.address(gone));
        let audited = equal(&named, &[]);
        let audited = audited["nodes"].as_array().expect("a row each").iter();
        let audited: Vec<&Value> = audited.map(|row| &row["node"]).collect();
        assert!(audited.iter().all(|node| **node != gone.0), "{audited:?}");
        let ending = world.local.stop(gone, SOON).expect("it stops");
        assert_eq!(ending.code(), Some(0), "{}", world.local.log_tail(gone));
        let log = fs::read_to_string(world.local.paths(gone).log).expect("it has a log");
        assert_eq!(log.matches("NotAMember").count(), 1, "it says so once");
        world.local.forget(gone);
        load.wait_acked(SOME);
    }
    // The producer was told of the founders only: where the others are it has learned.
    for founder in founders.drain(..).filter(|node| node.0 <= 3) {
        world.local.kill(founder);
        load.wait_acked(SOME);
        world.local.start(founder).expect("its ports are free");
    }
    world.wait_complete();
    let sent = load.finish();
    println!(
        "longest time without an acknowledgement: {:?}",
        sent.longest_gap
    );
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_leader_that_is_elsewhere_leads_all_the_same() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let (node, place) = another(&mut world);
    admin(&nodes, "add", &[&node.to_string()], &place);
    admin(&nodes, "promote", &[&node.to_string()], &[]);
    let group = quorate_client::transfer(&world.local.addresses(), Some(node), SOON);
    assert_eq!(group.expect("all are up").leader, Some(node));
    // To whoever looks into the directory, there are three nodes.
    let config = world.local.paths(node).config;
    fs::rename(&config, config.with_extension("elsewhere")).expect("it is there");
    let dir = config.parent().expect("it lies in the cluster's directory");
    let mut rest = Local::open(dir, QUORATE, None).expect("it is a cluster");
    assert_eq!(rest.nodes(), [1, 2, 3].map(NodeId));
    assert_eq!(rest.wait_serving(SOON).expect("it leads").node, node);
}

#[test]
fn a_node_whose_disk_is_lost_is_replaced_under_load() {
    let mut world = World::start();
    let nodes = world.local.addresses().join(",");
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    // Not node 1: of two nodes the one with the higher id dials, and who is to be refused has to come.
    let leader = world.leader();
    let lost = [NodeId(2), NodeId(3)].into_iter().find(|&it| it != leader);
    let lost = lost.expect("one of them follows");
    world.local.kill(lost);
    fs::remove_dir_all(world.local.paths(lost).data).expect("it is there");
    let (new, place) = another(&mut world);
    let (old, by) = (lost.to_string(), new.to_string());
    admin(&nodes, "replace", &[&old, &by], &place);
    load.wait_acked(SOME);
    // A further failure is survived: the new node's disk counts.
    let leader = world.leader();
    world.local.kill(leader);
    load.wait_acked(SOME);
    world.local.start(leader).expect("its ports are free again");
    // The old node with its empty disk is wanted by nobody.
    world.local.start(lost).expect("its ports are free again");
    wait_for("the wiped node is refused", || {
        let log = fs::read_to_string(world.local.paths(lost).log).expect("it has a log");
        let refused = ["NotAMember", "DiskMismatch"];
        refused.iter().any(|code| log.contains(code)).then_some(())
    });
    world.local.kill(lost);
    world.local.forget(lost);
    world.wait_complete();
    let group = quorate_client::members(&world.local.addresses(), SOON).expect("all are up");
    assert!(
        group
            .members
            .iter()
            .all(|it| it.role == MemberRole::Voter && it.up)
    );
    assert!(group.members.iter().all(|it| it.node != lost));
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
