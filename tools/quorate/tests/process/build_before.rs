//! Nodes of two builds are one cluster: each is replaced under load, and what is new is used when all have it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate_client::{ConsumerOptions, Edition, GroupConsumer, Name, NodeId, Status};
use quorate_engine::config::Config;

use crate::audit::equal;
use crate::client::{fail, json, succeed};
use crate::load::Load;
use crate::logs;
use crate::snapshots::{check_equal, forgetful, group, numbers};
use crate::world::{QUORATE, SOON, World, directory, small_segments, turn, wait_for};

/// Enough events for records in flight everywhere.
const SOME: u64 = 1_000;

/// The program of the build before: built without what came since, so that it cannot know it.
fn build_before() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let target = target.expect("it lies in the build's directory");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "quorate"])
        .args(["--bin", "quorate-one-back"])
        .args(["--no-default-features", "--features", "one-back"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the test was started by cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    target.join("debug/quorate-one-back")
}

/// A cluster of the build before that serves.
fn old_world(adjust: fn(&mut Config)) -> World {
    let before = build_before();
    let mut world = World::prepare_in(directory(), turn(), adjust);
    world.local.run_from_now_on(before);
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    world
}

/// A consumer group that nobody is a member of any more.
fn forsaken_group(nodes: Vec<String>) {
    let mut options = ConsumerOptions::new(&nodes);
    options.patience = SOON;
    let name = Name::new("forsaken").expect("it is a name");
    let consumer = GroupConsumer::join(name, SOON, options).expect("the cluster serves");
    consumer.leave().expect("it was a member");
}

/// Whether a node says that the group uses an edition, and that its build has another one at most.
fn is_at(status: &Status, used: u8, own: u8) -> bool {
    (status.edition, status.build) == (Edition(used), Edition(own))
}

fn start_with(world: &mut World, node: NodeId, program: &Path) {
    world.local.run_from_now_on(program);
    world.local.start(node).expect("its ports are free again");
}

fn wait_raised(world: &World) {
    wait_for("the group uses the new edition everywhere", || {
        let statuses = world.local.statuses();
        let all = statuses.len() == 3 && statuses.iter().all(|status| is_at(status, 2, 2));
        all.then_some(())
    });
}

/// Starts the build before on a node's directory, which has a later edition: it ends at once, says why, and changes nothing there.
/// Returns its log from then on.
fn refuses(world: &mut World, node: NodeId, before: &Path) -> String {
    let paths = world.local.paths(node);
    let (was, said) = (content(&paths.data), text(&paths.log).len());
    start_with(world, node, before);
    let ending = world.local.wait_ended(node, Duration::from_secs(30));
    let ending = ending.expect("it does not run");
    let said = text(&paths.log).split_off(said);
    assert_eq!(ending.code(), Some(72), "{said}");
    assert!(said.contains("DataVersion"), "{said}");
    let is = content(&paths.data);
    let changed = is
        .iter()
        .filter(|&(path, bytes)| was.get(path) != Some(bytes));
    let changed: Vec<&PathBuf> = changed.map(|file| file.0).collect();
    assert!(changed.is_empty() && is.len() == was.len(), "{changed:?}");
    said
}

fn text(log: &Path) -> String {
    fs::read_to_string(log).expect("it has said something")
}

/// The files of a directory, and of those in it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let all = paths.flat_map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    all.collect()
}

/// What a directory holds, but for who has it.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files(directory).into_iter();
    let files = files.filter(|path| !path.ends_with("lock"));
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("it can be read");
        (path, bytes)
    };
    files.map(read).collect()
}

fn move_snapshots(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the test can write there");
    let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
    for path in files(from) {
        let name = name(&path).expect("the node names its files");
        if name.starts_with("snapshot-") {
            fs::rename(&path, to.join(name)).expect("it is one disk");
        }
    }
}

/// Whether a segment lies ready whose file was used before and is as it was: it says that it is vacant (`docs/log-format.md`).
fn has_used_one_ready(data: &Path) -> bool {
    files(data).into_iter().any(|path| {
        let mut head = [0; 108];
        // The node may be taking it away just now.
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        read.is_ok() && head.starts_with(b"QRL1") && head[104] & 1 == 1
    })
}

/// Stops a node at a time when a used file lies ready on its disk.
fn stop_with_used_one_ready(world: &mut World, node: NodeId) {
    let data = world.local.paths(node).data;
    wait_for("a used file to lie ready", || {
        if !has_used_one_ready(&data) {
            return None;
        }
        stop(world, node);
        // The log may have come to it meanwhile.
        if has_used_one_ready(&data) {
            return Some(());
        }
        world.local.start(node).expect("its ports are free again");
        None
    });
}

fn stop(world: &mut World, node: NodeId) {
    let ending = world.local.stop(node, SOON).expect("it stops");
    assert_eq!(ending.code(), Some(0), "{}", world.local.log_tail(node));
}

#[test]
fn a_new_build_takes_the_place_of_the_one_before_node_by_node_under_load() {
    let mut world = old_world(small_segments);
    let nodes = world.local.addresses().join(",");
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    forsaken_group(world.local.addresses());
    let delete = ["groups", "forsaken", "--delete"];
    let mut old = world.local.nodes();
    while let Some(node) = old.pop() {
        let statuses = world.local.statuses();
        assert!(
            statuses.iter().all(|status| status.edition == Edition(1)),
            "a node of the build before is there: {statuses:?}"
        );
        stop(&mut world, node);
        load.wait_acked(SOME);
        start_with(&mut world, node, Path::new(QUORATE));
        world.wait_complete();
        load.wait_acked(SOME);
        if !old.is_empty() {
            // Whoever leads must know the command to say so; the build before does not.
            quorate_client::transfer(&world.local.addresses(), Some(node), SOON)
                .expect("all nodes are up");
            let said = fail(&nodes, &delete, 1);
            assert!(said.contains("EditionNotRaised"), "{said}");
            load.wait_acked(SOME);
        }
    }
    wait_raised(&world);
    succeed(&nodes, &delete);
    let said = fail(&nodes, &delete, 1);
    assert!(said.contains("there is no consumer group"), "{said}");
    load.wait_acked(SOME);
    // What the old nodes wrote and what they got is what all others have.
    for node in world.local.nodes() {
        let log = std::fs::read_to_string(world.local.paths(node).log).expect("it has a log");
        assert!(!log.contains("do not fit"), "node {node}:\n{log}");
    }
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

#[test]
fn the_build_before_does_not_come_back_once_the_new_edition_is_used() {
    let before = build_before();
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    wait_raised(&world);
    let follower = world.follower();
    stop(&mut world, follower);
    let said = refuses(&mut world, follower, &before);
    assert!(said.contains("edition 2"), "{said}");
    load.wait_acked(SOME);
    start_with(&mut world, follower, Path::new(QUORATE));
    world.wait_complete();
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}

/// Files are used again there too, but none as it is.
#[test]
fn the_build_before_comes_back_to_a_log_that_lost_its_beginning_while_the_edition_is_not_raised() {
    let before = build_before();
    let mut world = old_world(forgetful);
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let node = world.follower();
    stop(&mut world, node);
    start_with(&mut world, node, Path::new(QUORATE));
    world.wait_complete();
    let data = group(&world, node);
    let last = numbers(&data, "segment-").pop();
    let last = last.expect("it has a log");
    wait_for("nothing is left that the build before wrote", || {
        (numbers(&data, "segment-").first() > Some(&last)).then_some(())
    });
    stop(&mut world, node);
    start_with(&mut world, node, &before);
    world.wait_complete();
    load.wait_acked(SOME);
    assert!(load.finish().complete);
    check_equal(&mut world);
    let statuses = world.local.statuses();
    let all = statuses.len() == 3 && statuses.iter().all(|status| is_at(status, 1, 1));
    assert!(all, "{statuses:?}");
    equal(&world.local.addresses().join(","), &["--full"]);
}

/// What is in such files are records that are gone: whoever does not know that takes them for damage.
#[test]
fn the_build_before_leaves_alone_a_disk_whose_files_were_used_again_as_they_are() {
    const UNKNOWN: &str = "is of version 2, which this build does not read [DataVersion (609)]";
    const CURE: &str = "start the build of Quorate that wrote it, or a later one";
    let before = build_before();
    let mut world = World::start_with(forgetful);
    wait_raised(&world);
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let follower = world.follower();
    stop_with_used_one_ready(&mut world, follower);
    let said = refuses(&mut world, follower, &before);
    let found = said.find("the snapshot at index ");
    let rest = found.and_then(|at| said.get(at..)).unwrap_or_default();
    assert!(rest.contains(UNKNOWN) && rest.contains(CURE), "{said}");
    // The log speaks for itself, also if no snapshot speaks first.
    let aside = world.path().join("snapshots");
    let group = group(&world, follower);
    move_snapshots(&group, &aside);
    let said = refuses(&mut world, follower, &before);
    let unknown = said.contains(&format!("of the log {UNKNOWN}"));
    assert!(unknown && said.contains(CURE), "{said}");
    move_snapshots(&aside, &group);
    // The build that it is of reads all of it.
    let group = group.display().to_string();
    let verified = json(&succeed("", &["log", "verify", &group, "--json"]));
    let begins = verified["start_index"].as_u64() > Some(0);
    assert!(begins && verified["ready"].as_u64() > Some(0), "{verified}");
    load.wait_acked(SOME);
    start_with(&mut world, follower, Path::new(QUORATE));
    world.wait_complete();
    load.wait_acked(SOME);
    assert!(load.finish().complete);
    check_equal(&mut world);
    equal(&world.local.addresses().join(","), &["--full"]);
}
