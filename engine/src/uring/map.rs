//! Maps a file into memory. Nothing of a ring, but all unsafe code of the crate is in this folder.

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, UncheckedAdvice};

/// The bytes of a file that nobody shortens meanwhile: of a directory that is locked, or of one that no node uses.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and the caller keeps writers away: a node by the lock on its data directory.
    unsafe { Mmap::map(file) }
}

/// Takes pages of a file's map away, in whole pages: whoever looks there gets them from the file again.
pub(crate) fn let_go(map: &Mmap, pages: Range<usize>) {
    // SAFETY: the map is a shared one of a file, and read-only: nothing but the file's bytes is in it, and nothing of it is lost. Where the
    // advice is not taken, the pages go with the map.
    let _ =
        unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, pages.start, pages.len()) };
}
