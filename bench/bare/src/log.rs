//! The log: a file of zeros, written from its beginning to its end, and again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::buffer::BLOCK;

/// Zeros are written in pieces of this length.
const PIECE: usize = 1 << 20;

/// Where the next write goes.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) file: File,
    bytes: u64,
    position: u64,
}

impl Log {
    /// Fills a new file with zeros, to its end and to the disk: later writes change no metadata.
    pub(crate) fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut zeros = File::create(path)?;
        let piece = vec![0; PIECE];
        for _ in 0..bytes / u64::try_from(PIECE).expect("it is a megabyte") {
            zeros.write_all(&piece)?;
        }
        zeros.sync_all()?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(path)?;
        // However this process ends, nothing is left of the file.
        std::fs::remove_file(path)?;
        Ok(Self {
            file,
            bytes: zeros.metadata()?.len(),
            position: 0,
        })
    }

    /// The position of a write of so many bytes, which are whole blocks. At the end it goes back to the beginning: a yardstick
    /// has no use for what it wrote.
    pub(crate) fn place(&mut self, bytes: usize) -> u64 {
        assert!(bytes.is_multiple_of(BLOCK), "only whole blocks are written");
        let bytes = u64::try_from(bytes).expect("a size fits into 64 bits");
        if self.position + bytes > self.bytes {
            self.position = 0;
        }
        let place = self.position;
        self.position += bytes;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn writes_follow_each_other_and_begin_again() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("there is a place for directories");
        let mut log = Log::create(&dir.path().join("log"), 1 << 20).expect("the disk has room");
        assert_eq!(log.file.metadata().expect("it is open").len(), 1 << 20);
        assert_eq!(log.place(4_096), 0);
        assert_eq!(log.place(1 << 19), 4_096);
        assert_eq!(log.place(1 << 19), 0, "it would end behind the end");
    }
}
