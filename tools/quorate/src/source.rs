//! A file or standard input, read without ever waiting for it: what is not there yet is said to be so.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::interrupt::Interrupt;
use crate::lines;

/// Bytes that one read takes.
const READ_BYTES: usize = 256 << 10;

/// How long a wait for the first bytes goes on before it looks whether the process was asked to stop.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Bytes from a file or from standard input. A read that would have to wait fails with `WouldBlock`.
#[derive(Debug)]
struct Source {
    file: File,
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if !wait(&self.file, Duration::ZERO)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.read(to)
    }
}

/// Waits until there is something to read, or its end, or until the time is over. A signal ends it early.
fn wait(file: &File, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// An input, and the means to wait for it.
pub(crate) struct Opened {
    /// Its bytes: as they are, or decompressed if they begin as gzip does.
    pub(crate) bytes: Box<dyn BufRead>,
    /// Waits for it.
    pub(crate) waiter: Waiter,
}

/// Waits for an input that somebody else reads.
#[derive(Debug)]
pub(crate) struct Waiter {
    file: File,
}

impl Waiter {
    /// Waits until there is something to read, or its end, or until the time is over.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait(&self.file, timeout)
    }
}

/// Opens a file, or standard input for `-`, and waits until it has begun. `None`: the process was asked to stop before that.
pub(crate) fn open(path: &Path, interrupt: &Interrupt) -> io::Result<Option<Opened>> {
    let file = if path.as_os_str() == "-" {
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let waiter = Waiter {
        file: file.try_clone()?,
    };
    while !waiter.wait(LOOK_EACH)? {
        if interrupt.is_asked() {
            return Ok(None);
        }
    }
    let bytes = lines::decoded(BufReader::with_capacity(READ_BYTES, Source { file }))?;
    Ok(Some(Opened { bytes, waiter }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
    use std::path::Path;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::open;
    use crate::interrupt::Interrupt;

    #[test]
    fn a_file_is_all_there() {
        let mut file = tempfile::NamedTempFile::new().expect("there is a place for files");
        file.write_all(b"one\ntwo\n").expect("it can be written");
        let opened = open(file.path(), &Interrupt::default()).expect("it can be read");
        let mut text = String::new();
        let mut bytes = opened.expect("nobody interrupts").bytes;
        bytes.read_to_string(&mut text).expect("it can be read");
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn a_pipe_says_when_there_is_nothing_yet() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .expect("the directory is ours");
        let opening = {
            let path = path.clone();
            std::thread::spawn(move || std::fs::OpenOptions::new().write(true).open(path))
        };
        // The first bytes have to be there before it is opened.
        let writing = std::thread::spawn(move || {
            let mut pipe = opening.join().expect("it does not panic")?;
            pipe.write_all(b"one\n").map(|()| pipe)
        });
        let opened = open(&path, &Interrupt::default()).expect("it can be read");
        let mut opened = opened.expect("nobody interrupts");
        let mut pipe = writing
            .join()
            .expect("it does not panic")
            .expect("it is read");
        let mut line = String::new();
        opened.bytes.read_line(&mut line).expect("a line is there");
        assert_eq!(line, "one\n");
        let nothing = opened
            .bytes
            .read_line(&mut line)
            .map_err(|error| error.kind());
        assert_eq!(nothing, Err(ErrorKind::WouldBlock));
        assert!(
            !opened
                .waiter
                .wait(Duration::ZERO)
                .expect("it can be polled")
        );

        pipe.write_all(b"two\n").expect("it is read");
        assert!(
            opened
                .waiter
                .wait(Duration::from_secs(20))
                .expect("it can be polled")
        );
        line.clear();
        opened.bytes.read_line(&mut line).expect("a line is there");
        assert_eq!(line, "two\n");
        drop(pipe);
        assert!(
            opened
                .waiter
                .wait(Duration::from_secs(20))
                .expect("it can be polled")
        );
        assert_eq!(opened.bytes.read_line(&mut line).expect("it has ended"), 0);
    }

    #[test]
    fn a_directory_is_no_input() {
        let refused = open(Path::new("/"), &Interrupt::default());
        assert!(refused.is_err());
    }
}
