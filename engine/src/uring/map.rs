//! Maps a file into memory. Nothing of a ring, but all unsafe code of the crate is in this folder.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The bytes of a file that nobody shortens meanwhile: of a directory that is locked, or of one that no node uses.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and the caller keeps writers away: a node by the lock on its data directory.
    unsafe { Mmap::map(file) }
}
