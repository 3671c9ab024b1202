//! A disk without room.

use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_client::{ErrorCode, NodeId};

use crate::world::{QUORATE, World, small_segments};

/// A file system of a few megabytes.
struct Small {
    path: PathBuf,
}

impl Small {
    /// `None`, with a word why, where this process may not mount.
    fn mount(path: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir(path).expect("the directory is ours");
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
        eprintln!("skipped: this host does not let us mount a small file system: {said}");
        None
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
