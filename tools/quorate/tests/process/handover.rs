//! The lead changes hands because somebody wants it to: no client has an error, and nobody waits for silence.

use quorate_client::NodeId;
use quorate_engine::config::Config;

use crate::load::Load;
use crate::logs;
use crate::world::{QUORATE, SOON, World, small_segments, wait_for};

/// Enough events for records in flight everywhere.
const SOME: u64 = 1_000;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figure is for whoever asks for it, and depends on the host"
)]
fn all_nodes_are_restarted_one_by_one_under_load() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    // Whoever leads goes first, so that each restart but the last is one of a leader.
    for _ in 0..world.local.nodes().len() {
        let before = world.local.wait_serving(SOON).expect("all are up");
        let leader = before.node;
        let ending = world.local.stop(leader, SOON).expect("it stops");
        let log = world.local.log_tail(leader);
        assert_eq!(ending.code(), Some(0), "{log}");
        let next = world.local.wait_serving(SOON).expect("two are up");
        assert_ne!(next.node, leader, "who has stopped does not lead");
        // On a busy host, another one may have begun to lead in between.
        let handed = log.contains("hands its lead over");
        assert!(handed || next.term.0 > before.term.0 + 1, "{log}");
        load.wait_acked(SOME);
        world.local.start(leader).expect("its ports are free again");
        world.wait_complete();
        // It knows from before that nothing is in what lies ready.
        let log = world.local.log_tail(leader);
        let recovered = log.lines().rfind(|line| line.contains("recovered the log"));
        let unread = recovered.and_then(|line| line.split("segments_ready_unread=").nth(1));
        assert!(
            unread.is_some_and(|unread| !unread.starts_with('0')),
            "{log}"
        );
        load.wait_acked(SOME);
    }
    let sent = load.finish();
    println!(
        "longest time without an acknowledgement: {:?}",
        sent.longest_gap
    );
    logs::check(&mut world, &[sent]);
}

#[test]
fn the_lead_goes_where_an_operator_wants_it() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let addresses = world.local.addresses();
    for node in world.local.nodes() {
        let group = quorate_client::transfer(&addresses, Some(node), SOON);
        let group = group.expect("all nodes are up");
        assert_eq!(group.leader, Some(node));
        load.wait_acked(SOME);
    }
    let before = world.leader();
    let group = quorate_client::transfer(&addresses, None, SOON).expect("all nodes are up");
    assert!(group.leader.is_some_and(|leader| leader != before));
    let sent = load.finish();

    let group = quorate_client::members(&addresses, SOON).expect("all nodes are up");
    let members: Vec<_> = group.members.iter().map(|member| member.node).collect();
    assert_eq!(members, world.local.nodes());
    assert!(
        group
            .members
            .iter()
            .all(|member| member.role.votes() && member.up)
    );

    // A node that is down cannot lead.
    let follower = world.follower();
    world.local.kill(follower);
    let output = std::process::Command::new(QUORATE)
        .args(["admin", "transfer", &follower.to_string()])
        .args(["--nodes", &addresses.join(",")])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("311") && said.contains("quorate admin members"),
        "{said}"
    );
    world
        .local
        .start(follower)
        .expect("its ports are free again");
    world.wait_complete();
    logs::check(&mut world, &[sent]);
}

#[test]
fn the_lead_goes_to_the_node_of_the_highest_priority_whenever_it_can_lead() {
    fn third(config: &mut Config) {
        small_segments(config);
        config.raft.priority = if config.node == NodeId(3) { 9 } else { 1 };
    }
    let mut world = World::start_with(third);
    let load = Load::start(world.local.addresses());
    let preferred = |world: &mut World| {
        wait_for("the preferred node leads", || {
            (world.leader() == NodeId(3)).then_some(())
        });
    };
    preferred(&mut world);
    load.wait_acked(SOME);
    world.local.kill(NodeId(3));
    load.wait_acked(SOME);
    assert_ne!(world.leader(), NodeId(3));
    world.local.start(NodeId(3)).expect("its ports are free");
    preferred(&mut world);
    load.wait_acked(SOME);
    let statuses = world.local.statuses();
    let of = |node| statuses.iter().find(|status| status.node == node);
    assert_eq!(of(NodeId(3)).map(|status| status.priority), Some(9));
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
