//! What recovery starts from: the newest sound snapshot that the log behind it can join, or nothing.

use alloc::vec::Vec;

use super::Replay;
use super::error::RecoveryError;
use super::superblock::Superblock;
use crate::seam::{FileId, Files, SnapshotId};
use crate::snapshot::{Pieces, SnapshotError};
use crate::state::Applied;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Basis {
    /// What the snapshot covers; nothing if there is none.
    pub(super) applied: Applied,
    /// The snapshots that are sound, by rising index, with their lengths.
    pub(super) sound: Vec<(SnapshotId, u64)>,
    /// Those that are not, and why.
    pub(super) unsound: Vec<(SnapshotId, SnapshotError)>,
}

/// Looks through the snapshots, and has `replay` begin with the newest sound one. One that ends before the log begins leads nowhere.
pub(super) fn find(
    files: &impl Files,
    superblock: &Superblock,
    replay: &mut impl Replay,
) -> Result<Basis, RecoveryError> {
    let mut basis = Basis {
        applied: Applied::default(),
        sound: Vec::new(),
        unsound: Vec::new(),
    };
    let mut begun = false;
    for id in files
        .snapshots()
        .map_err(RecoveryError::Files)?
        .into_iter()
        .rev()
    {
        let bytes = files.snapshot(id).map_err(RecoveryError::Files)?;
        let bytes = bytes.as_ref();
        let joins = id.0 >= superblock.start().0;
        let checked = check(bytes, id).and_then(|()| {
            if !begun && joins {
                basis.applied = replay.begin(bytes, &superblock.identity)?;
                begun = true;
            }
            Ok(())
        });
        match checked {
            Ok(()) => basis.sound.insert(0, (id, bytes.len() as u64)),
            // What this build does not know is not damaged.
            Err(SnapshotError::Version { found }) => {
                return Err(RecoveryError::Version {
                    file: FileId::Snapshot(id),
                    found,
                });
            }
            Err(why) => basis.unsound.push((id, why)),
        }
    }
    Ok(basis)
}

/// Whether all of it is sound, and it is the one that its name says.
pub(super) fn check(bytes: &[u8], id: SnapshotId) -> Result<(), SnapshotError> {
    let (header, mut pieces) = Pieces::of(bytes)?;
    if header.index().0 != id.0 {
        return Err(SnapshotError::Field {
            field: "index",
            at: 0,
        });
    }
    while pieces.next_piece()?.is_some() {}
    Ok(())
}
