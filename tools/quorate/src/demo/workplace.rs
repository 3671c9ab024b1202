//! The directory that a demonstration works in.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;
use crate::disk::Disk;

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
        let on_disk = |place: &PathBuf| Disk::of(place).is_ok_and(|disk| !disk.is_memory());
        let place = places.into_iter().find(on_disk).unwrap_or(usual);
        tempfile::Builder::new()
            .prefix("quorate-demo-")
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

#[cfg(test)]
mod tests {
    use super::Workplace;

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
