//! A group's files.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::Mmap;
use quorate_replication::buffer::BLOCK_BYTES;
use quorate_replication::seam::{FileId, Files, FilesError, SegmentId, SnapshotId};
use rustix::fs::{Advice, fadvise};

use super::{
    PREPARING, SEGMENT, SNAPSHOT_PREPARING, SUPERBLOCK, file_name, preparing_name, segment_of,
    snapshot_of,
};
use crate::uring::{let_go, map};

/// A file is read, and let go of, in pieces of this size, one at a time: who writes to the same disk meanwhile waits for one at most.
const PIECE_BYTES: usize = 256 << 10;

/// A start leaves the host to others after each piece for as long as that took, until it has rested for so long in all: a start that
/// reads little is not felt by who shares disk and processors, and one that reads much does not take much longer.
const REST_MAX: Duration = Duration::from_millis(500);

/// What is read faster than that was in memory, and cost no disk anything.
const FROM_MEMORY: Duration = Duration::from_micros(100);

/// Stands for bytes that cannot be read. Not zero: zeros at a log's end say that something was never written.
const LOST: u8 = 0xff;

/// A group's files, under the lock of their data directory.
#[derive(Debug)]
pub struct GroupFiles {
    directory: PathBuf,
    lock: Arc<File>,
    rests: Arc<Rests>,
}

/// How long has been rested.
#[derive(Debug, Default)]
struct Rests(Mutex<Duration>);

impl Rests {
    /// A piece took so long.
    fn rest(&self, took: Duration) {
        let mut rested = self.0.lock().expect("who rests does not panic");
        if *rested < REST_MAX {
            thread::sleep(took);
            *rested += took;
        }
    }
}

/// The bytes of a segment: the file itself, mapped, unless a part of it cannot be read.
pub struct SegmentBytes {
    held: Held,
    rests: Arc<Rests>,
    /// Keeps those out who would change the file.
    _lock: Arc<File>,
}

enum Held {
    Map(Mmap),
    Memory(Vec<u8>),
}

impl AsRef<[u8]> for SegmentBytes {
    fn as_ref(&self) -> &[u8] {
        match &self.held {
            Held::Map(map) => map,
            Held::Memory(bytes) => bytes,
        }
    }
}

/// To take away the map of a large file at once keeps a processor for milliseconds.
impl Drop for SegmentBytes {
    fn drop(&mut self) {
        let Held::Map(map) = &self.held else { return };
        for at in (0..map.len()).step_by(PIECE_BYTES) {
            let begun = Instant::now();
            let_go(map, at..map.len().min(at + PIECE_BYTES));
            self.rests.rest(begun.elapsed());
        }
    }
}

impl fmt::Debug for SegmentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentBytes({})", self.as_ref().len())
    }
}

impl GroupFiles {
    pub(super) fn new(directory: PathBuf, lock: Arc<File>) -> Self {
        Self {
            directory,
            lock,
            rests: Arc::default(),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes snapshots and segments whose preparation did not end; but the segment that comes next, since its file will do for it. (To
    /// take a large file away can hold up everybody's writes: the file system may tell the disk at once what has become free.)
    pub(super) fn remove_leftovers(&self) -> io::Result<()> {
        let mut segments = Vec::new();
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            segments.extend(segment_of(&name));
            let segment = name.starts_with(SEGMENT) && name.ends_with(PREPARING);
            if segment || name == SNAPSHOT_PREPARING {
                leftovers.push(name.into_owned());
            }
        }
        let newest = segments.into_iter().max();
        let next = newest.map(|newest| preparing_name(SegmentId(newest.0 + 1)));
        for name in leftovers {
            if Some(&name) != next.as_ref() {
                fs::remove_file(self.directory.join(name))?;
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
    fn list<T: Ord>(&self, of: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, FilesError> {
        let list = || {
            File::open(&self.directory)?.sync_all()?;
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                found.extend(entry?.file_name().to_str().and_then(&of));
            }
            found.sort_unstable();
            Ok(found)
        };
        list().map_err(|error| files_error(&self.directory, &error))
    }

    fn bytes(&self, file: FileId) -> Result<SegmentBytes, FilesError> {
        let path = self.directory.join(file_name(file));
        let held = durable(&path).and_then(|file| {
            let map = map(&file)?;
            let unreadable = unreadable(&file, &map, &self.rests)?;
            Ok(unreadable.map_or(Held::Map(map), Held::Memory))
        });
        Ok(SegmentBytes {
            rests: Arc::clone(&self.rests),
            held: held.map_err(|error| files_error(&path, &error))?,
            _lock: Arc::clone(&self.lock),
        })
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
        self.list(segment_of)
    }

    fn segment(&self, segment: SegmentId) -> Result<SegmentBytes, FilesError> {
        self.bytes(FileId::Segment(segment))
    }

    fn head(&self, segment: SegmentId, bytes: usize) -> Result<(Vec<u8>, u64), FilesError> {
        let path = self.directory.join(file_name(FileId::Segment(segment)));
        let head = || {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            let mut head = Vec::with_capacity(bytes);
            let most = u64::try_from(bytes).expect("a size fits into 64 bits");
            file.take(most).read_to_end(&mut head)?;
            Ok((head, length))
        };
        head().map_err(|error| files_error(&path, &error))
    }

    fn snapshots(&self) -> Result<Vec<SnapshotId>, FilesError> {
        self.list(snapshot_of)
    }

    fn snapshot(&self, snapshot: SnapshotId) -> Result<SegmentBytes, FilesError> {
        self.bytes(FileId::Snapshot(snapshot))
    }

    fn remove(&mut self, file: FileId) -> Result<(), FilesError> {
        let path = self.directory.join(file_name(file));
        fs::remove_file(&path)
            .and_then(|()| File::open(&self.directory)?.sync_all())
            .map_err(|error| files_error(&path, &error))
    }
}

/// Opens a file whose bytes are on the disk: what recovery reads, it counts as a durable copy. No write of an earlier process
/// is still on its way: a process that ends gives up the data directory's lock only after its ring has finished.
fn durable(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    file.sync_data()?;
    Ok(file)
}

/// Reads a file once, so that a mapping of it does not end the process where the device fails. If it does fail: the file's bytes,
/// with what cannot be read in place of every block that cannot. The map gets its pages meanwhile, piece by piece: to get them
/// when they are looked at, one after another, would keep a processor for milliseconds.
fn unreadable(file: &File, map: &Mmap, rests: &Rests) -> io::Result<Option<Vec<u8>>> {
    // The kernel may read ahead by many megabytes, and other nodes' writes to this disk would wait for all of them: a node that
    // starts is in less of a hurry than those that serve. Where no advice is taken, it does.
    let advise = |advice| {
        let _ = fadvise(file, 0, None, advice);
    };
    advise(Advice::Random);
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let begun = Instant::now();
        match file.read_at(&mut piece, at) {
            Ok(0) => {
                advise(Advice::Normal);
                return Ok(None);
            }
            Ok(bytes) => {
                let start = usize::try_from(at).expect("a segment fits into memory");
                // Kernels before 5.14 do not know this; then they come when they are looked at.
                let _ = map.advise_range(memmap2::Advice::PopulateRead, start, bytes);
                at += u64::try_from(bytes).expect("a piece is small");
                let took = begun.elapsed();
                if took > FROM_MEMORY {
                    rests.rest(took);
                }
            }
            Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
            Err(error) => return Err(error),
        }
    }
    let length = usize::try_from(file.metadata()?.len()).expect("a segment fits into memory");
    let mut bytes = vec![0; length];
    for (block, at) in bytes
        .chunks_mut(BLOCK_BYTES)
        .zip((0..).step_by(BLOCK_BYTES))
    {
        match file.read_exact_at(block, at) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EIO) => block.fill(LOST),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(bytes))
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
            "segment-0000000011.preparing",
            "segment-0000000003.bak",
        ] {
            fs::write(files.directory().join(name), name).expect("it is writable");
        }
        let files = data.create_group(GroupId(0)).expect("it is writable");
        let segments = files.segments().expect("they can be listed");
        assert_eq!(segments, [SegmentId(2), SegmentId(10)]);
        let bytes = files.segment(SegmentId(10)).expect("it is there");
        assert_eq!(bytes.as_ref(), b"segment-0000000010");
        let head = files.head(SegmentId(10), 7).expect("it is there");
        assert_eq!(head, (b"segment".to_vec(), 18));
        let whole = files.head(SegmentId(10), 100).expect("it is there");
        assert_eq!(whole, (b"segment-0000000010".to_vec(), 18));
        assert!(
            !files
                .directory()
                .join("segment-0000000003.preparing")
                .exists()
        );
        assert!(files.directory().join("segment-0000000003.bak").exists());
        // The next one's file is used again.
        let next = files.directory().join("segment-0000000011.preparing");
        assert!(next.exists());

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
