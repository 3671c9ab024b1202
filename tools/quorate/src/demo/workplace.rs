//! The directory that a demonstration or a measurement works in.

use std::path::{Path, PathBuf};

use quorate_engine::probe::disk_of;
use tempfile::TempDir;

use crate::Failure;

/// A directory for nodes: kept, or gone with this value.
#[derive(Debug)]
pub(crate) enum Workplace {
    /// Removed when this is dropped.
    Temporary(TempDir),
    /// The caller's, and there to stay.
    Kept(PathBuf),
}

impl Workplace {
    /// `keep`, or a temporary directory on a disk, if the host has one for temporary files: in memory nothing is durable.
    pub(crate) fn new(keep: Option<&Path>) -> Result<Self, Failure> {
        let failed =
            |place: &Path, error| Failure::new(format!("making {}: {error}", place.display()));
        if let Some(keep) = keep {
            std::fs::create_dir_all(keep).map_err(|error| failed(keep, error))?;
            return Ok(Self::Kept(keep.to_owned()));
        }
        let usual = std::env::temp_dir();
        let places = [usual.clone(), "/var/tmp".into(), ".".into()];
        let on_disk = |place: &PathBuf| disk_of(place).is_ok_and(|disk| !is_memory(&disk));
        let place = places.into_iter().find(on_disk).unwrap_or(usual);
        tempfile::Builder::new()
            .prefix("quorate-")
            .tempdir_in(&place)
            .map(Self::Temporary)
            .map_err(|error| failed(&place, error))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }
}

/// Whether a "disk" is memory: nothing on it survives the machine.
pub(crate) fn is_memory(disk: &str) -> bool {
    disk.starts_with("tmpfs ") || disk.starts_with("ramfs ")
}

#[cfg(test)]
mod tests {
    use super::{Workplace, is_memory};

    #[test]
    fn a_disk_in_memory_is_none() {
        assert!(is_memory("tmpfs on tmpfs"));
        assert!(!is_memory("ext4 on /dev/vda"));
    }

    #[test]
    fn only_what_is_kept_stays() {
        let temporary = Workplace::new(None).expect("there is a place for directories");
        let path = temporary.path().to_owned();
        assert!(path.is_dir());
        let keep = path.join("a/b");
        drop(Workplace::new(Some(&keep)).expect("the directory is ours"));
        assert!(keep.is_dir());
        drop(temporary);
        assert!(!path.exists());
    }
}
