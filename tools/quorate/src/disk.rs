//! What a directory lies on: figures about durability mean nothing without it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Failure;

/// The file system and the device behind a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    filesystem: String,
    source: String,
}

impl Disk {
    /// Finds what `directory`, which exists, lies on.
    pub(crate) fn of(directory: &Path) -> Result<Self, Failure> {
        let read = |path: &str| std::fs::read_to_string(path);
        let path = directory
            .canonicalize()
            .map_err(|error| Failure::new(format!("{}: {error}", directory.display())))?;
        let mounts = read("/proc/self/mountinfo")
            .map_err(|error| Failure::new(format!("/proc/self/mountinfo: {error}")))?;
        Ok(Self::among(&mounts, &path).unwrap_or_else(|| Self {
            filesystem: "unknown".into(),
            source: "unknown".into(),
        }))
    }

    /// The mount that holds `path`: the one with the longest mount point above it, and of those the last one mounted.
    fn among(mounts: &str, path: &Path) -> Option<Self> {
        let holding = mounts.lines().filter_map(Mount::parse);
        let holding = holding.filter(|mount| path.starts_with(&mount.point));
        let mount = holding.max_by_key(|mount| mount.point.components().count())?;
        Some(mount.disk)
    }

    /// Whether its "disk" is memory: nothing on it survives the machine.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.filesystem.as_str(), "tmpfs" | "ramfs")
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.filesystem, self.source)
    }
}

struct Mount {
    point: PathBuf,
    disk: Disk,
}

impl Mount {
    /// Reads a line of `/proc/self/mountinfo` (proc(5)): the fifth field is the mount point; behind a lone `-` stand the file
    /// system and its source.
    fn parse(line: &str) -> Option<Self> {
        let point = line.split(' ').nth(4)?;
        let (_, about) = line.split_once(" - ")?;
        let mut about = about.split(' ');
        Some(Self {
            point: PathBuf::from(point.replace("\\040", " ")),
            disk: Disk {
                filesystem: about.next()?.into(),
                source: about.next()?.into(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Disk;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1024k
31 30 8:17 / /tmp/a\\040disk rw - xfs /dev/sdb1 rw
";

    #[test]
    fn the_deepest_mount_above_a_path_holds_it() {
        let of = |path: &str| {
            let disk = Disk::among(MOUNTS, Path::new(path)).expect("the root holds everything");
            (disk.to_string(), disk.is_memory())
        };
        assert_eq!(of("/var/tmp"), ("ext4 on /dev/vda".into(), false));
        assert_eq!(of("/tmpfile"), ("ext4 on /dev/vda".into(), false));
        assert_eq!(of("/tmp/x"), ("tmpfs on tmpfs".into(), true));
        assert_eq!(of("/tmp/a disk/x"), ("xfs on /dev/sdb1".into(), false));
        assert_eq!(Disk::among("", Path::new("/")), None);
        assert_eq!(Disk::among("nonsense\n", Path::new("/")), None);
    }

    #[test]
    fn the_disk_of_this_directory_is_known() {
        let disk = Disk::of(Path::new(".")).expect("/proc is mounted where tests run");
        assert_ne!(disk.to_string(), "unknown on unknown");
    }
}
