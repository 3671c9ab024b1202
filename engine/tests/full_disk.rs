//! A real file system without room, in the middle of what is written to it: nothing half done stays, and it goes on when there is room.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_engine::clock;
use quorate_engine::lane::lanes;
use quorate_engine::uring::{Driver, DriverOptions};
use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
use quorate_replication::seam::{
    FileId, OpId, SegmentId, SnapshotId, Storage, StorageError, StorageOp, StorageOutcome,
};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// Long enough for the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the small file system is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tmpfs,
    /// In a file, through a loop device.
    Ext4,
}

/// A file system of 16 MiB.
struct Small {
    path: PathBuf,
    _home: TempDir,
}

impl Small {
    /// `None`, with a word why, where this process may not mount.
    fn mount(kind: Kind) -> Option<Self> {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
        let path = home.path().join("small");
        fs::create_dir(&path).expect("the directory is ours");
        let image = home.path().join("image");
        let mut mount = Command::new("mount");
        match kind {
            Kind::Tmpfs => mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]),
            Kind::Ext4 => {
                let file = fs::File::create(&image).expect("the directory is ours");
                file.set_len(16 * MIB).expect("there is room");
                // No journal: the small disk is for the files.
                let mut make = Command::new("mkfs.ext4");
                make.args(["-q", "-m", "0", "-O", "^has_journal"]);
                if let Err(why) = ran(make.arg(&image)) {
                    return skip(kind, &why);
                }
                mount.args(["-t", "ext4", "-o", "loop"]).arg(&image)
            }
        };
        match ran(mount.arg(&path)) {
            Ok(()) => Some(Self { path, _home: home }),
            Err(why) => skip(kind, &why),
        }
    }

    /// Takes all room but for so many bytes, and some blocks.
    fn fill(&self, left: u64) -> PathBuf {
        let ballast = self.path.join("ballast");
        let stat = rustix::fs::statvfs(&self.path).expect("it is mounted");
        let free = stat.f_bavail * stat.f_frsize;
        let file = fs::File::create(&ballast).expect("it is writable");
        let bytes = free.saturating_sub(left);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .expect("there is so much");
        ballast
    }

    fn group(&self) -> PathBuf {
        let group = self.path.join("group");
        fs::create_dir(&group).expect("it is writable");
        group
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ended = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn ran(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn skip(kind: Kind, why: &str) -> Option<Small> {
    // Written past the harness, which hides what a passing test prints.
    let _written = writeln!(
        io::stderr(),
        "skipped: this host does not let us have a small file system ({kind:?}): {why}"
    );
    None
}

fn driver(directory: &Path) -> Driver {
    let (lanes, _shards) = lanes(1, 64).expect("descriptors are free");
    let options = DriverOptions {
        directory: directory.to_owned(),
        listener: None,
        peers: Vec::new(),
        lanes,
        spin: Duration::ZERO,
        buffers: 0,
    };
    Driver::new(options).expect("this host has a ring")
}

fn run(driver: &mut Driver, op: StorageOp) -> Result<StorageOutcome, StorageError> {
    driver.submit(OpId(1), op);
    let begun = Instant::now();
    let mut done = Vec::new();
    loop {
        driver.completed(&mut done);
        if let Some(done) = done.pop() {
            return done.result;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not complete");
        let soon = clock::now().after(100_000_000);
        driver.wait(Some(soon)).expect("the ring works");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

fn prepare(segment: u64, mib: u64, from: Option<u64>) -> StorageOp {
    StorageOp::Prepare {
        segment: SegmentId(segment),
        bytes: mib * MIB,
        from: from.map(SegmentId),
    }
}

fn bytes(length: usize) -> Slice {
    let mut buffer = Buffer::zeroed(length);
    buffer.fill(7);
    Slice::new(Arc::new(buffer), 0..length)
}

fn write(segment: u64, position: u64) -> StorageOp {
    StorageOp::Write {
        file: FileId::Segment(SegmentId(segment)),
        position,
        bytes: bytes(BLOCK_BYTES),
    }
}

fn append(position: u64) -> StorageOp {
    StorageOp::Append {
        position,
        bytes: bytes(256 << 10),
    }
}

fn a_full_disk_leaves_nothing_half_done(kind: Kind) {
    let Some(small) = Small::mount(kind) else {
        return;
    };
    let group = small.group();
    let mut driver = driver(&group);
    let prepared = |outcome| matches!(outcome, Ok(StorageOutcome::Prepared));
    assert!(prepared(run(&mut driver, prepare(1, 4, None))));
    assert!(run(&mut driver, write(1, 0)).is_ok());

    // A snapshot whose second part has room for some blocks only.
    let ballast = small.fill(300 << 10);
    assert!(run(&mut driver, append(0)).is_ok());
    let full = run(&mut driver, append(256 << 10)).err();
    assert_eq!(full, Some(StorageError::Full), "{kind:?}");
    assert_eq!(names(&group), ["segment-0000000001"], "nothing half done");
    // Another segment.
    let full = run(&mut driver, prepare(2, 4, None)).err();
    assert_eq!(full, Some(StorageError::Full), "{kind:?}");
    assert_eq!(names(&group), ["segment-0000000001"], "nothing half done");

    // What is prepared is written all the same, and a file is used again.
    fs::remove_file(&ballast).expect("it is there");
    assert!(prepared(run(&mut driver, prepare(2, 4, None))));
    let ballast = small.fill(0);
    assert!(run(&mut driver, write(2, 0)).is_ok());
    assert!(run(&mut driver, write(2, 4 * MIB - 4096)).is_ok());
    assert!(prepared(run(&mut driver, prepare(3, 4, Some(1)))));
    assert!(run(&mut driver, write(3, MIB)).is_ok());

    // With room, all goes on.
    fs::remove_file(&ballast).expect("it is there");
    assert!(run(&mut driver, append(0)).is_ok());
    assert!(run(&mut driver, append(256 << 10)).is_ok());
    let snapshot = SnapshotId(9);
    assert!(run(&mut driver, StorageOp::Publish { snapshot }).is_ok());
    let left = names(&group);
    assert_eq!(
        left,
        [
            "segment-0000000002",
            "segment-0000000003",
            "snapshot-0000000009"
        ]
    );
}

#[test]
fn a_full_disk_in_memory() {
    a_full_disk_leaves_nothing_half_done(Kind::Tmpfs);
}

#[test]
fn a_full_disk_with_ext4() {
    a_full_disk_leaves_nothing_half_done(Kind::Ext4);
}
