//! The files of a group that a driver has open.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use quorate_replication::seam::{FileId, StorageError};
use rustix::fs::{Mode, OFlags};

use super::ops::STORAGE_MAX;
use crate::files::file_name;

/// Files that are kept open: more than can be busy, so that an idle one can always make room.
const FILES_MAX: usize = STORAGE_MAX + 8;

#[derive(Debug)]
struct OpenFile {
    id: FileId,
    file: File,
    bytes: u64,
    /// Ops on it that the kernel has.
    busy: usize,
    /// When it was last used, on the table's own count.
    used: u64,
}

/// The files. They are opened at their first use.
#[derive(Debug)]
pub(super) struct OpenFiles {
    directory: PathBuf,
    files: Vec<OpenFile>,
    uses: u64,
}

impl OpenFiles {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            files: Vec::new(),
            uses: 0,
        }
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes a file that is already open.
    pub(super) fn insert(&mut self, id: FileId, file: File, bytes: u64) {
        assert!(
            !self.files.iter().any(|open| open.id == id),
            "a file is opened once"
        );
        if self.files.len() >= FILES_MAX {
            self.make_room();
        }
        self.files.push(OpenFile {
            id,
            file,
            bytes,
            busy: 0,
            used: self.uses,
        });
    }

    /// The descriptor of a file for one op, and the file's length. [`OpenFiles::put_back`] ends it.
    pub(super) fn borrow(&mut self, id: FileId) -> Result<(RawFd, u64), StorageError> {
        let found = self.files.iter().position(|open| open.id == id);
        let at = if let Some(at) = found {
            at
        } else {
            let (file, bytes) = self.open(id)?;
            self.insert(id, file, bytes);
            self.files.len() - 1
        };
        self.uses += 1;
        let open = &mut self.files[at];
        open.used = self.uses;
        open.busy += 1;
        Ok((open.file.as_raw_fd(), open.bytes))
    }

    /// The op is over.
    pub(super) fn put_back(&mut self, id: FileId) {
        let open = self
            .files
            .iter_mut()
            .find(|open| open.id == id)
            .expect("a busy file stays open");
        assert!(open.busy > 0, "a file is put back as often as borrowed");
        open.busy -= 1;
    }

    /// Another file will have this name, or none.
    pub(super) fn forget(&mut self, id: FileId) {
        if let Some(at) = self.files.iter().position(|open| open.id == id) {
            assert!(self.files[at].busy == 0, "a file in use keeps its name");
            self.files.swap_remove(at);
        }
    }

    fn open(&self, id: FileId) -> Result<(File, u64), StorageError> {
        let path = self.directory.join(file_name(id));
        let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(os_error)?);
        let bytes = rustix::fs::fstat(&file).map_err(os_error)?.st_size;
        let bytes = u64::try_from(bytes).expect("a file's length is not negative");
        Ok((file, bytes))
    }

    fn make_room(&mut self) {
        let idle = (0..self.files.len())
            .filter(|&at| self.files[at].busy == 0)
            .min_by_key(|&at| self.files[at].used)
            .expect("more files are open than can be busy");
        self.files.swap_remove(idle);
    }
}

/// What an error of a system call means to the pipeline.
pub(super) fn os_error(error: rustix::io::Errno) -> StorageError {
    storage_error(error.raw_os_error())
}

/// What an error number means to the pipeline.
pub(super) const fn storage_error(errno: i32) -> StorageError {
    match errno {
        libc::ENOSPC | libc::EDQUOT => StorageError::Full,
        errno => StorageError::Os { errno },
    }
}
