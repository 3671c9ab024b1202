//! A disk without room.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_client::{ErrorCode, NodeId, Status};
use quorate_engine::config::Config;

use crate::load::{Load, flood};
use crate::logs;
use crate::world::{QUORATE, World, directory, small_segments, turn, wait_for};

/// A file system of a few megabytes.
struct Small {
    path: PathBuf,
}

impl Small {
    /// `None`, with a word why, where this process may not mount.
    fn mount(path: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(path).expect("the directory is ours");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(path)
            .output();
        let output = mounted.expect("mount is a program");
        if output.status.success() {
            return Some(Self {
                path: path.to_owned(),
            });
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // Written past the harness, which hides what a passing test prints.
        let _ = writeln!(
            io::stderr(),
            "skipped: this host does not let us mount a small file system: {said}"
        );
        None
    }

    /// Takes all its room.
    fn fill(&self) {
        let file = std::fs::File::create(self.path.join("ballast")).expect("it is writable");
        let stat = rustix::fs::fstatvfs(&file).expect("it is mounted");
        let bytes = stat.f_bavail * stat.f_frsize;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .expect("there is so much");
    }

    fn resize(&self, mib: u32) {
        let mounted = Command::new("mount")
            .args(["-o", &format!("remount,size={mib}m")])
            .arg(&self.path)
            .status();
        assert!(mounted.expect("mount is a program").success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[test]
fn a_node_does_not_start_on_a_disk_without_room() {
    let world = World::prepare(small_segments);
    let Some(small) = Small::mount(&world.path().join("small"), 2) else {
        return;
    };
    let data = small.path.join("data");
    let output = Command::new(QUORATE)
        .arg("node")
        .arg("--config")
        .arg(world.local.paths(NodeId(1)).config)
        .arg("--data")
        .arg(data)
        .output()
        .expect("the program is built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(72), "{said}");
    let full = ErrorCode::DataDiskFull.to_string();
    // Kernels before 6.6 cannot write directly to memory.
    let unsupported = ErrorCode::DataUnsupported.to_string();
    assert!(
        said.contains(&full) || said.contains(&unsupported),
        "{said}"
    );
}

#[test]
fn a_cluster_whose_disks_fill_up_says_so_and_keeps_what_it_acknowledged() {
    let turn = turn();
    let home = directory();
    // Three nodes begin with two segments of 4 MiB each; a few more fit.
    let Some(small) = Small::mount(&home.path().join("cluster"), 40) else {
        return;
    };
    let mut world = World::prepare_in(home, turn, small_segments);
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    let processes = |world: &World| -> Vec<Option<u32>> {
        let nodes = world.local.nodes();
        nodes
            .iter()
            .map(|node| world.local.process_id(*node))
            .collect()
    };
    let before = processes(&world);
    let (sent, error) = flood(world.local.addresses(), Duration::from_secs(6));
    assert_eq!(error.code(), Some(ErrorCode::DiskFull), "{error}");
    assert!(!sent.offsets.is_empty());
    assert_eq!(processes(&world), before, "a full disk stops no node");

    // A node may have had no room for what the two others have; with room, all go on.
    small.resize(160);
    let load = Load::start(world.local.addresses());
    load.wait_acked(1_000);
    let after = load.finish();
    logs::check(&mut world, &[sent, after]);
}

/// A snapshot every thousand records, and the log stays.
fn frugal(config: &mut Config) {
    small_segments(config);
    config.log.segments_stock = 0;
    config.snapshot.log_mib = 1;
    config.snapshot.records = 1000;
}

/// One disk has room for the log that is prepared, and none for a snapshot.
#[test]
fn a_snapshot_without_room_is_given_up_and_the_log_goes_on() {
    let mut world = World::prepare(frugal);
    let full = NodeId(2);
    let Some(small) = Small::mount(&world.local.paths(full).data, 16) else {
        return;
    };
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    wait_for("a segment lies ready", || {
        let status = world.local.status(full).ok()?;
        (status.ready_bytes > 0).then_some(())
    });
    small.fill();
    let load = Load::start(world.local.addresses());
    wait_for("a snapshot finds no room", || {
        let said = std::fs::read_to_string(world.local.paths(full).log).ok()?;
        said.contains("no room for a snapshot").then_some(())
    });
    load.wait_acked(1_000);
    small.resize(200);
    wait_for("all nodes have snapshots", || {
        let statuses = world.local.statuses();
        let have = |status: &Status| status.snapshot_index.0 > 0;
        (statuses.len() == 3 && statuses.iter().all(have)).then_some(())
    });
    load.wait_acked(1_000);
    let sent = load.finish();
    assert!(sent.complete);
    logs::check(&mut world, &[sent]);
}
