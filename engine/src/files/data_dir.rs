//! A node's data directory: one process uses it at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_wire::{ErrorCode, GroupId};
use rustix::fs::{FlockOperation, flock};

use super::{GroupFiles, LOCK, group_name};
use crate::probe::ProbeError;

/// A data directory whose lock this process holds, until this and all that came from it are dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: Arc<File>,
}

impl DataDir {
    /// Opens a node's data directory, and creates it if it is not there. No other process may use it meanwhile.
    ///
    /// # Errors
    /// It cannot be created or written, or another process uses it.
    pub fn open(path: &Path) -> Result<Self, ProbeError> {
        create_directory(path).map_err(|error| unwritable(path, &error))?;
        let lock_path = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| unwritable(&lock_path, &error))?;
        acquire(&mut lock, path, FlockOperation::NonBlockingLockExclusive)?;
        let written = lock
            .set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|error| unwritable(&lock_path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }

    /// Opens a data directory to look at: creates and changes nothing, and keeps nodes out while it is open.
    ///
    /// # Errors
    /// It is not there or cannot be read, or a node uses it.
    pub fn inspect(path: &Path) -> Result<Self, ProbeError> {
        let mut lock = File::open(path.join(LOCK)).map_err(|error| ProbeError {
            code: ErrorCode::DataUnwritable,
            cause: format!("{} is no data directory of a node: {error}", path.display()),
            cure: "name the directory that the node's configuration has as `data`".to_owned(),
        })?;
        acquire(&mut lock, path, FlockOperation::NonBlockingLockShared)?;
        Ok(Self {
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A group's files, to run it: its directory is created if it is not there, and what an interrupted preparation left
    /// behind is removed.
    ///
    /// # Errors
    /// The directory cannot be created or cleaned.
    pub fn create_group(&self, group: GroupId) -> Result<GroupFiles, ProbeError> {
        let directory = self.path.join(group_name(group));
        create_directory(&directory).map_err(|error| unwritable(&directory, &error))?;
        let files = self.group(group);
        files
            .remove_leftovers()
            .map_err(|error| unwritable(&directory, &error))?;
        Ok(files)
    }

    /// A group's files, as they are.
    #[must_use]
    pub fn group(&self, group: GroupId) -> GroupFiles {
        GroupFiles::new(self.path.join(group_name(group)), Arc::clone(&self.lock))
    }
}

fn acquire(lock: &mut File, path: &Path, how: FlockOperation) -> Result<(), ProbeError> {
    flock(&*lock, how).map_err(|error| {
        if error != rustix::io::Errno::WOULDBLOCK {
            return ProbeError {
                code: ErrorCode::DataUnsupported,
                cause: format!("{} cannot be locked: {error}", path.display()),
                cure: "put the data directory on a local file system such as ext4 or xfs"
                    .to_owned(),
            };
        }
        let mut holder = String::new();
        let read = lock
            .rewind()
            .and_then(|()| lock.read_to_string(&mut holder));
        let holder = match (read, holder.trim()) {
            (Err(_), _) | (Ok(_), "") => "another process".to_owned(),
            (Ok(_), holder) => format!("process {holder}"),
        };
        ProbeError {
            code: ErrorCode::DataInUse,
            cause: format!("{} is in use by {holder}", path.display()),
            cure: "stop that process, or give this node another directory: --data DIR".to_owned(),
        }
    })
}

/// Creates a directory, durable with its name, unless it is there.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // An empty parent is the working directory, which is there.
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_directory(parent)?;
    match fs::create_dir(path) {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> ProbeError {
    ProbeError::of_write(path, error)
}

#[cfg(test)]
mod tests {
    use quorate_wire::{ErrorCode, GroupId};

    use super::DataDir;

    #[test]
    fn one_process_uses_a_directory_at_a_time() {
        let home = tempfile::tempdir().expect("there is room for a directory");
        let path = home.path().join("some/where");
        let first = DataDir::open(&path).expect("nobody has it");
        let refused = DataDir::open(&path).expect_err("it is taken");
        assert_eq!(refused.code, ErrorCode::DataInUse);
        let holder = format!("process {}", std::process::id());
        assert!(refused.cause.contains(&holder), "{refused}");
        let refused = DataDir::inspect(&path).expect_err("a node has it");
        assert_eq!(refused.code, ErrorCode::DataInUse);

        // Files that came from it keep the lock as well.
        let files = first.create_group(GroupId(0)).expect("it is writable");
        drop(first);
        assert!(DataDir::open(&path).is_err(), "the files are still in use");
        drop(files);
        let one = DataDir::inspect(&path).expect("no node has it");
        let two = DataDir::inspect(&path).expect("many may look");
        assert!(DataDir::open(&path).is_err(), "it is being looked at");
        drop((one, two));
        let _again = DataDir::open(&path).expect("nobody has it any more");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named_with_a_cure() {
        let home = tempfile::tempdir().expect("there is room for a directory");
        let file = home.path().join("file");
        std::fs::write(&file, b"").expect("it is writable");
        let refused = DataDir::open(&file.join("data")).expect_err("a file holds no directory");
        assert_eq!(refused.code, ErrorCode::DataUnwritable);
        assert!(!refused.cure.is_empty());
        let refused = DataDir::inspect(home.path()).expect_err("no node was there");
        assert_eq!(refused.code, ErrorCode::DataUnwritable);
    }
}
