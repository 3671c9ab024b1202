//! Start-up checks: what this host can do, and for what it cannot the cause and the cure.
//!
//! Owns: the questions. Never: changes anything but the limit on open files. Called by: a node before it starts, and by
//! whoever reports what figures were measured on.

mod disk;
mod kernel;
mod limits;

use std::fmt;
use std::io;
use std::path::Path;
use std::thread;

use quorate_wire::ErrorCode;

pub use disk::{device_of, disk_of};

/// Why a node does not start on this host or with this directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// Its stable code.
    pub code: ErrorCode,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  cure: {}", self.cause, self.cure)
    }
}

impl std::error::Error for ProbeError {}

impl ProbeError {
    /// Of a write into the data directory that failed.
    pub(crate) fn of_write(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        let (code, cause, cure) = match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => (
                ErrorCode::DataDiskFull,
                format!("there is no room left at {path}"),
                "make room, or give this node another directory: --data DIR",
            ),
            Some(libc::EROFS) => (
                ErrorCode::DataUnwritable,
                format!("{path} is on a file system that is mounted read-only"),
                "mount it read-write (dmesg says if the kernel did that after an error), or name another: --data DIR",
            ),
            _ => (
                ErrorCode::DataUnwritable,
                format!("{path} cannot be written: {error}"),
                "give this user the right to write there, or name another directory: --data DIR",
            ),
        };
        Self {
            code,
            cause,
            cure: cure.to_owned(),
        }
    }
}

/// What this host can do. Belongs beside every figure that was measured on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// What the data directory lies on: "ext4 on /dev/vda, scheduler none".
    pub disk: String,
    /// Writes go past the page cache, and complete when they are durable. A node does not start where they do not.
    pub direct: bool,
    /// Bytes that are free for data.
    pub free: u64,
    /// Bytes that this process may lock into memory; `None` for no limit.
    pub memlock: Option<u64>,
    /// Files that this process may open.
    pub nofile: u64,
    /// Cores that this process may run on.
    pub cores: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        let Self {
            kernel,
            disk,
            direct,
            free,
            memlock,
            nofile,
            cores,
        } = self;
        let direct = if *direct {
            "direct writes"
        } else {
            "no direct writes"
        };
        write!(
            f,
            "Linux {kernel}, {cores} cores; data on {disk}, {direct}, {} MiB free; {nofile} open files; ",
            free / MIB
        )?;
        match memlock {
            Some(bytes) => write!(f, "{} MiB of locked memory", bytes / MIB)?,
            None => write!(f, "any amount of locked memory")?,
        }
        // Whoever reads a limit wants to know whether to raise it.
        write!(f, " (without a limit, the log's writes cost less)")
    }
}

/// Checks this host, and the data directory `data`, which exists and must have `room` bytes free. Raises the limit on open
/// files as far as it may.
///
/// # Errors
/// The first reason not to start.
pub fn probe(data: &Path, room: u64) -> Result<Report, ProbeError> {
    let kernel = kernel::release();
    kernel::check_version(&kernel)?;
    kernel::check_ring()?;
    disk::check_direct(data)?;
    let disk = disk_of(data).map_err(|error| ProbeError::of_write(data, &error))?;
    let free = disk::check_room(data, room)?;
    Ok(Report {
        kernel,
        disk,
        direct: true,
        free,
        memlock: limits::memlock(),
        nofile: limits::raise_nofile(),
        cores: thread::available_parallelism().map_or(1, usize::from),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use quorate_wire::ErrorCode;

    use super::{ProbeError, probe};

    #[test]
    fn this_host_can_run_a_node() {
        let home = tempfile::tempdir().expect("there is room for a directory");
        let report = probe(home.path(), 1).expect("the tests need a host that can");
        assert!(report.direct && report.cores > 0 && report.free > 0);
        assert!(report.to_string().contains(&report.disk), "{report}");
        let left = std::fs::read_dir(home.path()).expect("it is there").count();
        assert_eq!(left, 0, "the probe leaves nothing behind");

        let refused = probe(home.path(), u64::MAX).expect_err("no disk is so large");
        assert_eq!(refused.code, ErrorCode::DataDiskFull);
        let refused = probe(&home.path().join("nowhere"), 0).expect_err("it is not there");
        assert_eq!(refused.code, ErrorCode::DataUnwritable);
    }

    #[test]
    fn a_failed_write_is_told_by_its_cause() {
        let of = |errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            ProbeError::of_write(Path::new("/data"), &error)
        };
        assert_eq!(of(libc::ENOSPC).code, ErrorCode::DataDiskFull);
        assert_eq!(of(libc::EROFS).code, ErrorCode::DataUnwritable);
        assert_eq!(of(libc::EACCES).code, ErrorCode::DataUnwritable);
        let text = of(libc::EROFS).to_string();
        assert!(
            text.contains("/data") && text.contains("\n  cure: "),
            "{text}"
        );
    }
}
