//! A group's files.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use quorate_replication::seam::{FileId, Files, FilesError, SegmentId};

use super::{PREPARING, SEGMENT, SUPERBLOCK, file_name, segment_of};
use crate::uring::map;

/// A group's files, under the lock of their data directory.
#[derive(Debug)]
pub struct GroupFiles {
    directory: PathBuf,
    lock: Arc<File>,
}

/// The bytes of a segment: the file itself, mapped.
pub struct SegmentBytes {
    map: Mmap,
    /// Keeps those out who would change the file.
    _lock: Arc<File>,
}

impl AsRef<[u8]> for SegmentBytes {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl fmt::Debug for SegmentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentBytes({})", self.map.len())
    }
}

impl GroupFiles {
    pub(super) const fn new(directory: PathBuf, lock: Arc<File>) -> Self {
        Self { directory, lock }
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes segments whose preparation did not end.
    pub(super) fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(SEGMENT) && name.ends_with(PREPARING) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let preparing = self.directory.join(format!("{SUPERBLOCK}{PREPARING}"));
        let mut file = File::create(&preparing)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&preparing, path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// The names are made durable first: recovery builds on what it finds.
    fn list(&self) -> io::Result<Vec<SegmentId>> {
        File::open(&self.directory)?.sync_all()?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            segments.extend(entry?.file_name().to_str().and_then(segment_of));
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

impl Files for GroupFiles {
    type Bytes = SegmentBytes;

    fn superblock(&self) -> Result<Option<Vec<u8>>, FilesError> {
        let path = self.directory.join(file_name(FileId::Superblock));
        match durable(&path).and_then(|file| read_all(&file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files_error(&path, &error)),
        }
    }

    /// Under a new name first: whoever stops in the middle finds the old one, or none.
    fn store_superblock(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        let path = self.directory.join(file_name(FileId::Superblock));
        self.replace(&path, bytes)
            .map_err(|error| files_error(&path, &error))
    }

    fn segments(&self) -> Result<Vec<SegmentId>, FilesError> {
        self.list()
            .map_err(|error| files_error(&self.directory, &error))
    }

    fn segment(&self, segment: SegmentId) -> Result<SegmentBytes, FilesError> {
        let path = self.directory.join(file_name(FileId::Segment(segment)));
        let map = durable(&path).and_then(|file| map(&file));
        Ok(SegmentBytes {
            map: map.map_err(|error| files_error(&path, &error))?,
            _lock: Arc::clone(&self.lock),
        })
    }
}

/// Opens a file whose bytes are on the disk: what recovery reads, it counts as a durable copy. No write of an earlier process
/// is still on its way: a process that ends gives up the data directory's lock only after its ring has finished.
fn durable(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    file.sync_data()?;
    Ok(file)
}

fn read_all(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn files_error(path: &Path, error: &io::Error) -> FilesError {
    FilesError {
        path: path.display().to_string(),
        cause: error.to_string(),
        errno: error.raw_os_error(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_replication::seam::{Files, SegmentId};
    use quorate_wire::GroupId;

    use crate::files::DataDir;

    #[test]
    fn files_come_back_and_leftovers_go() {
        let home = tempfile::tempdir().expect("there is room for a directory");
        let data = DataDir::open(home.path()).expect("nobody has it");
        let mut files = data.create_group(GroupId(0)).expect("it is writable");
        assert_eq!(files.superblock().expect("it can be read"), None);
        assert!(files.segments().expect("they can be listed").is_empty());

        for bytes in [b"one".as_slice(), b"another".as_slice()] {
            files.store_superblock(bytes).expect("it is writable");
            assert_eq!(
                files.superblock().expect("it can be read").as_deref(),
                Some(bytes)
            );
        }
        for name in [
            "segment-0000000010",
            "segment-0000000002",
            "segment-0000000003.preparing",
            "segment-0000000003.bak",
        ] {
            fs::write(files.directory().join(name), name).expect("it is writable");
        }
        let files = data.create_group(GroupId(0)).expect("it is writable");
        let segments = files.segments().expect("they can be listed");
        assert_eq!(segments, [SegmentId(2), SegmentId(10)]);
        let bytes = files.segment(SegmentId(10)).expect("it is there");
        assert_eq!(bytes.as_ref(), b"segment-0000000010");
        assert!(
            !files
                .directory()
                .join("segment-0000000003.preparing")
                .exists()
        );
        assert!(files.directory().join("segment-0000000003.bak").exists());

        let missing = files.segment(SegmentId(3)).expect_err("it is not there");
        assert!(missing.path.ends_with("segment-0000000003"), "{missing}");
        assert_eq!(missing.errno, Some(libc::ENOENT));
    }

    #[test]
    fn an_empty_segment_has_no_bytes() {
        let home = tempfile::tempdir().expect("there is room for a directory");
        let data = DataDir::open(home.path()).expect("nobody has it");
        let files = data.create_group(GroupId(7)).expect("it is writable");
        fs::write(home.path().join("group-7/segment-0000000001"), b"").expect("it is writable");
        let bytes = files.segment(SegmentId(1)).expect("it is there");
        assert!(bytes.as_ref().is_empty());
    }
}
