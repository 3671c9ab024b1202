//! The disk behind the data directory.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use quorate_replication::buffer::{BLOCK_BYTES, Buffer};
use quorate_wire::ErrorCode;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::ProbeError;

/// Writes one block as a pipeline writes its log, and removes it again.
pub(super) fn check_direct(data: &Path) -> Result<(), ProbeError> {
    let path = data.join(format!("probe-{}", std::process::id()));
    let written = write_direct(&path);
    let removed = fs::remove_file(&path);
    match written {
        Ok(()) => removed.map_err(|error| ProbeError::of_write(&path, &error)),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Err(ProbeError {
            code: ErrorCode::DataUnsupported,
            cause: format!(
                "{} is on a file system that cannot write directly to its disk (O_DIRECT with RWF_DSYNC): {}",
                data.display(),
                disk_of(data).unwrap_or_else(|_| "an unknown one".to_owned())
            ),
            cure:
                "put the data directory on ext4, xfs or another file system on a disk: --data DIR"
                    .to_owned(),
        }),
        Err(error) => Err(ProbeError::of_write(&path, &error.into())),
    }
}

fn write_direct(path: &Path) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::DIRECT | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let block = Buffer::zeroed(BLOCK_BYTES);
    let written = rustix::io::pwritev2(&file, &[IoSlice::new(&block)], 0, ReadWriteFlags::DSYNC)?;
    if written == block.len() {
        Ok(())
    } else {
        Err(Errno::NOSPC)
    }
}

/// Checks that so many bytes are free, and says how many are.
pub(super) fn check_room(data: &Path, room: u64) -> Result<u64, ProbeError> {
    let file_system =
        rustix::fs::statvfs(data).map_err(|error| ProbeError::of_write(data, &error.into()))?;
    let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    if free >= room {
        return Ok(free);
    }
    Err(ProbeError {
        code: ErrorCode::DataDiskFull,
        cause: format!(
            "{} has {} MiB free, and this node needs {} MiB to begin",
            data.display(),
            free >> 20,
            room >> 20
        ),
        cure: "make room, or give this node another directory: --data DIR".to_owned(),
    })
}

/// What a directory lies on, such as "ext4 on /dev/vda, scheduler none": the mount with the longest path above it, and how the
/// kernel orders what it has for that disk, if it says so.
///
/// # Errors
/// The directory is not there, or the host does not say what is mounted.
pub fn disk_of(directory: &Path) -> io::Result<String> {
    let Some((device, disk)) = mount_here(directory)? else {
        return Ok("an unknown file system".to_owned());
    };
    Ok(match scheduler_of(&device) {
        Some(scheduler) => format!("{disk}, scheduler {scheduler}"),
        None => disk,
    })
}

/// The numbers of the device that a directory lies on, such as "254:0"; `None` if the host does not say.
#[must_use]
pub fn device_of(directory: &Path) -> Option<String> {
    Some(mount_here(directory).ok()??.0)
}

fn mount_here(directory: &Path) -> io::Result<Option<(String, String)>> {
    let path = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(mount_of(&mounts, &path))
}

/// The scheduler of a block device, by its numbers. A part of a disk has that of the disk.
fn scheduler_of(device: &str) -> Option<String> {
    let read = |at| fs::read_to_string(format!("/sys/dev/block/{device}/{at}queue/scheduler"));
    let all = read("").or_else(|_| read("../")).ok()?;
    chosen(&all).map(str::to_owned)
}

/// Which of several stands in brackets; one alone may stand without.
fn chosen(all: &str) -> Option<&str> {
    let mut words = all.split_whitespace();
    let first = words.clone().next();
    words
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
        .or(first)
}

/// The numbers of the device, and what it is.
fn mount_of(mounts: &str, path: &Path) -> Option<(String, String)> {
    // Of two mounts at one place the later hides the earlier: `max_by_key` gives the last.
    mounts
        .lines()
        .filter_map(parse_mount)
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, mount)| mount)
}

/// A line of `mountinfo` (proc(5)): the third field has the device's numbers, the fifth is where, and behind a lone `-` stand the file
/// system and its source.
fn parse_mount(line: &str) -> Option<(PathBuf, (String, String))> {
    let device = line.split(' ').nth(2)?;
    let point = line.split(' ').nth(4)?;
    let (_, about) = line.split_once(" - ")?;
    let mut about = about.split(' ');
    let (kind, source) = (about.next()?, about.next()?);
    Some((
        PathBuf::from(unescape(point)),
        (device.to_owned(), format!("{kind} on {}", unescape(source))),
    ))
}

/// The kernel writes blanks and backslashes in names as a backslash and three octal digits.
fn unescape(name: &str) -> String {
    let mut pieces = name.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(&piece[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(piece);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check_direct, chosen, mount_of};
    use quorate_wire::ErrorCode;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:5 / /data rw shared:2 - tmpfs tmpfs rw
31 22 259:1 / /data rw shared:3 - xfs /dev/nvme0n1 rw
32 22 259:2 / /data\\040two rw - ext4 /dev/sdb rw
33 22 0:6 / /proc rw - proc proc rw
";

    #[test]
    fn a_directory_lies_on_the_nearest_mount() {
        for (path, device, disk) in [
            ("/home/node", "254:0", "ext4 on /dev/vda"),
            ("/database", "254:0", "ext4 on /dev/vda"),
            ("/data/node-1", "259:1", "xfs on /dev/nvme0n1"),
            ("/data two/node-1", "259:2", "ext4 on /dev/sdb"),
        ] {
            let mount = mount_of(MOUNTS, Path::new(path)).expect("the root holds all");
            assert_eq!(mount, (device.to_owned(), disk.to_owned()), "{path}");
        }
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn the_scheduler_in_use_stands_in_brackets() {
        assert_eq!(chosen("none [mq-deadline] kyber\n"), Some("mq-deadline"));
        assert_eq!(chosen("none\n"), Some("none"));
        assert_eq!(chosen("\n"), None);
    }

    #[test]
    fn a_file_system_without_disk_is_refused() {
        // No file can be created there at all, by nobody.
        let refused = check_direct(Path::new("/proc")).expect_err("it holds no files of ours");
        assert_eq!(refused.code, ErrorCode::DataUnwritable);
    }
}
