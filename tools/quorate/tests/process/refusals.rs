//! Starts that must not succeed: exit status 72, and a sentence with its code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use quorate_client::{ErrorCode, NodeId, Role};

use crate::load::Load;
use crate::logs;
use crate::world::{QUORATE, SOON, World, small_segments, wait_for};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

/// Runs a node that is expected to refuse.
fn run(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(QUORATE);
    command.arg("node").arg("--config").arg(config);
    command.args(arguments);
    command.output().expect("the program is built")
}

fn assert_refused(output: &Output, code: ErrorCode, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(72), "{said}");
    for word in [code.to_string().as_str(), "cure: "].iter().chain(words) {
        assert!(said.contains(word), "{word} is not in\n{said}");
    }
    assert!(output.stdout.is_empty(), "results only on standard output");
}

#[test]
fn a_port_in_use() {
    let world = World::prepare(small_segments);
    for address in [
        world.local.address(ONE).to_owned(),
        world.local.spec().configs[0].this().peer.clone(),
    ] {
        let _listener = TcpListener::bind(&address).expect("the port was just found free");
        let output = run(&world.local.paths(ONE).config, &[]);
        assert_refused(&output, ErrorCode::AddressInUse, &[&address]);
    }
}

#[test]
fn a_configuration_with_an_unknown_key_or_a_wrong_value() {
    let world = World::prepare(small_segments);
    let config = world.local.paths(ONE).config;
    let text = fs::read_to_string(&config).expect("the cluster was made");
    for (changed, words) in [
        (format!("colour = \"red\"\n{text}"), "colour"),
        (
            text.replace("segment_mib = 4", "segment_mib = 3"),
            "segment_mib",
        ),
        (text.replace("segment_mib", "segment_mb"), "segment_mb"),
        ("cluster = ".to_owned(), "line 1"),
    ] {
        fs::write(&config, changed).expect("the file is ours");
        assert_refused(&run(&config, &[]), ErrorCode::ConfigInvalid, &[words]);
    }
    fs::remove_file(&config).expect("the file is ours");
    let name = config.display().to_string();
    assert_refused(&run(&config, &[]), ErrorCode::ConfigInvalid, &[&name]);
}

#[test]
fn a_data_directory_that_cannot_be_made() {
    let world = World::prepare(small_segments);
    let file = world.path().join("file");
    fs::write(&file, "no directory").expect("the directory is ours");
    let data = file.join("data").display().to_string();
    let output = run(&world.local.paths(ONE).config, &["--data", &data]);
    assert_refused(&output, ErrorCode::DataUnwritable, &[&data]);
}

#[test]
fn a_data_directory_of_another_cluster_or_another_node_or_in_use() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(100);
    let sent = load.finish();
    let of = |node| world.local.paths(node).data.display().to_string();
    let (data_one, data_two) = (of(ONE), of(TWO));

    // Node 2's files, on other ports, so that the directory is what is refused.
    let paths = world.local.paths(ONE);
    let text = fs::read_to_string(&paths.config).expect("the cluster was made");
    let other_ports = text.replace("127.0.0.1:", "127.0.0.2:");
    let config = world.path().join("other.toml");
    fs::write(&config, &other_ports).expect("the directory is ours");
    assert_refused(&run(&config, &[]), ErrorCode::DataInUse, &[&data_one]);

    world.local.stop(ONE, SOON).expect("it stops");
    world.local.stop(TWO, SOON).expect("it stops");
    let output = run(&config, &["--data", &data_two]);
    assert_refused(&output, ErrorCode::DataOfAnotherNode, &["node 2"]);
    let renamed = other_ports.replace("cluster = \"local\"", "cluster = \"other\"");
    assert_ne!(renamed, other_ports);
    fs::write(&config, renamed).expect("the file is ours");
    let output = run(&config, &[]);
    assert_refused(
        &output,
        ErrorCode::DataOfAnotherCluster,
        &["local", "other"],
    );

    // Nothing was harmed by being refused.
    world.local.start_all().expect("the ports are free");
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_wiped_disk_under_an_old_id_does_not_vote() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(100);
    let sent = load.finish();
    let wiped = world.follower();
    world.local.stop(wiped, SOON).expect("it stops");
    let data = world.local.paths(wiped).data;
    let aside = world.path().join("aside");
    fs::rename(&data, &aside).expect("both are on one disk");
    fs::remove_file(&world.local.paths(wiped).log).expect("it was started");

    world.local.start(wiped).expect("its ports are free");
    wait_for("a word about the other disk", || {
        let log = fs::read_to_string(world.local.paths(wiped).log).ok()?;
        let code = ErrorCode::DiskMismatch;
        (log.contains(code.name()) || log.contains(&code.number().to_string())).then_some(())
    });
    // With one of the two others gone, the wiped node's vote would make a leader; it must not.
    let leader = world.leader();
    world.local.kill(leader);
    std::thread::sleep(Duration::from_secs(2));
    for status in world.local.statuses() {
        assert!(
            status.role != Role::Leader && !status.serves,
            "node {} leads with a vote of a wiped disk",
            status.node
        );
    }

    // The disk comes back, and with it the node.
    world.local.kill(wiped);
    fs::remove_dir_all(&data).expect("it is the new one");
    fs::rename(&aside, &data).expect("both are on one disk");
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    logs::check(&mut world, &[sent]);
}

#[test]
fn a_node_in_the_foreground_stops_cleanly_on_either_signal() {
    let mut world = World::start();
    for signal in ["TERM", "INT"] {
        let node = world.follower();
        let process = world.local.process_id(node).expect("it runs");
        let status = Command::new("kill")
            .args([format!("-{signal}"), process.to_string()])
            .status();
        assert!(status.expect("kill is a program").success());
        let ending = world.local.wait_ended(node, SOON).expect("it stops");
        let log = world.local.log_tail(node);
        assert_eq!(ending.code(), Some(0), "{signal}: {ending}\n{log}");
        world.local.start(node).expect("its ports are free");
        world.wait_complete();
    }
}
