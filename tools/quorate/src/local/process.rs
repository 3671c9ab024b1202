//! One node process: started, found again, told to stop, killed, waited for.
//!
//! A process is held by a pidfd, and known by its id *and* its start time: a recycled id is never signalled.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{LocalError, NodePaths};

/// What holds a node process and its maker together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// The node ends with its maker, however that ends: its standard input is a pipe whose other end only the maker holds, and
    /// at the pipe's end the node ends itself. (A death signal would hang on the maker's *thread*, and needs unsafe code between
    /// fork and exec.) Ctrl-C at the terminal reaches only the maker.
    Supervised,
    /// The node has a session of its own, and goes on when its maker and the terminal are gone.
    Detached,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status; it was our child.
    Status(ExitStatus),
    /// It is gone; only its parent knows more.
    Gone,
}

impl Ending {
    /// Whether it ended with status 0, or is not known to have ended otherwise.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Status(status) => status.success(),
            Self::Gone => true,
        }
    }

    /// The exit status, if it is known and no signal ended the process.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Status(status) => status.code(),
            Self::Gone => None,
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit status {code}"),
                (None, Some(signal)) => write!(f, "signal {signal}"),
                (None, None) => write!(f, "an unknown status"),
            },
            Self::Gone => write!(f, "an unknown status"),
        }
    }
}

/// A node process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// In clock ticks since the host's start: with the id, it names one process for ever.
    start_time: u64,
    handle: OwnedFd,
    /// Also the far end of the supervision pipe: it must live as long as the process shall.
    child: Option<Child>,
}

impl Process {
    /// Starts a node from its configuration file. `program` is the command so far: the node's program, and what it runs in.
    ///
    /// # Errors
    /// The log file cannot be opened, or the process not started.
    pub fn spawn(
        program: Command,
        paths: &NodePaths,
        bond: Bond,
        log_level: Option<&str>,
    ) -> Result<Self, LocalError> {
        let executable = PathBuf::from(program.get_program());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&paths.log);
        let log = log.map_err(LocalError::io("opening", &paths.log))?;
        let output = log
            .try_clone()
            .map_err(LocalError::io("opening", &paths.log))?;
        let child = command(program, paths, bond, log_level)
            .stdout(output)
            .stderr(log)
            .spawn()
            .map_err(LocalError::io("starting", &executable))?;
        let pid = Pid::from_child(&child);
        let held = hold(pid).map_err(LocalError::io("holding the process of", &executable))?;
        let (handle, start_time) = held.ok_or_else(|| LocalError::Io {
            doing: "holding the process of",
            path: executable,
            error: Errno::SRCH.into(),
        })?;
        let process = Self {
            pid,
            start_time,
            handle,
            child: Some(child),
        };
        match bond {
            Bond::Detached => process.write_pid(&paths.pid)?,
            Bond::Supervised => {}
        }
        Ok(process)
    }

    fn write_pid(&self, path: &Path) -> Result<(), LocalError> {
        let text = format!("{} {}\n", self.pid.as_raw_nonzero(), self.start_time);
        fs::write(path, text).map_err(LocalError::io("writing", path))
    }

    /// The process that a file names, if it still runs.
    ///
    /// # Errors
    /// The file is there, and cannot be read or understood.
    pub fn find(path: &Path) -> Result<Option<Self>, LocalError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LocalError::io("reading", path)(error)),
        };
        let (pid, start_time) = parse_pid(&text).ok_or_else(|| LocalError::Layout {
            path: path.to_owned(),
            what: "is not a process id and a start time".into(),
        })?;
        let held = hold(pid).map_err(LocalError::io("holding the process of", path))?;
        Ok(held
            .filter(|&(_, started)| started == start_time)
            .map(|(handle, start_time)| Self {
                pid,
                start_time,
                handle,
                child: None,
            })
            .filter(Self::is_running))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Asks it to stop: SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once: SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it stands: SIGSTOP. Its sockets stay open, and say nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on: SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()));
        stat.is_ok_and(|stat| state(&stat) == Some('T'))
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended needs no signal; any other refusal shows when it is waited for.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits until it has ended, or until the time is over.
    pub fn wait(&mut self, within: Duration) -> Option<Ending> {
        if !self.ends_within(within) {
            return None;
        }
        let status = self.child.as_mut().and_then(|child| child.wait().ok());
        Some(status.map_or(Ending::Gone, Ending::Status))
    }

    /// A pidfd is readable when its process has ended, whoever its parent is.
    fn ends_within(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("waits are short");
            match poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&left)) {
                Ok(ended) => return ended > 0,
                Err(Errno::INTR) => {}
                Err(error) => panic!("poll on a pidfd of ours: {error}"),
            }
        }
    }
}

fn command(
    mut command: Command,
    paths: &NodePaths,
    bond: Bond,
    log_level: Option<&str>,
) -> Command {
    use std::os::unix::process::CommandExt as _;

    // What the environment says is meant for the node that a person starts, not for each of these.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"QUORATE_") {
            command.env_remove(name);
        }
    }
    command.arg("node").arg("--config").arg(&paths.config);
    if let Some(level) = log_level {
        command.args(["--log-level", level]);
    }
    match bond {
        Bond::Supervised => command
            .arg("--supervised")
            .stdin(Stdio::piped())
            .process_group(0),
        Bond::Detached => command.arg("--own-session").stdin(Stdio::null()),
    };
    command
}

/// Takes hold of a process, and reads its start time; `None` if there is none of this id.
fn hold(pid: Pid) -> std::io::Result<Option<(OwnedFd, u64)>> {
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Read after the handle is held: if this process were gone by now, and its id given to another, the handle would not follow.
    let stat = File::open(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let stat = match stat.and_then(std::io::read_to_string) {
        Ok(stat) => stat,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // The process ended between the opening and the reading.
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(start_time(&stat).map(|start_time| (handle, start_time)))
}

/// Field 3 of `/proc/PID/stat`.
fn state(stat: &str) -> Option<char> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.trim_start().chars().next()
}

/// Field 22 of `/proc/PID/stat` (proc(5)). Field 2 is the program's name in parentheses, and may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19)?.parse().ok()
}

fn parse_pid(text: &str) -> Option<(Pid, u64)> {
    let (pid, start_time) = text.trim().split_once(' ')?;
    Some((Pid::from_raw(pid.parse().ok()?)?, start_time.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::{Bond, Ending, Process, parse_pid, start_time, state};
    use crate::local::NodePaths;

    const SOON: Duration = Duration::from_secs(20);

    fn paths(dir: &Path) -> NodePaths {
        NodePaths {
            config: dir.join("node-1.toml"),
            data: dir.join("node-1"),
            log: dir.join("node-1.log"),
            pid: dir.join("node-1.pid"),
        }
    }

    /// Starts a script in place of a node.
    fn start(dir: &Path, script: &str, bond: Bond) -> Process {
        let program = dir.join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("the directory is ours");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("the file is ours");
        // Another test's fork may still hold the file open for writing for an instant.
        for _ in 0..2_000 {
            match Process::spawn(Command::new(&program), &paths(dir), bond, Some("debug")) {
                Ok(process) => return process,
                Err(error) if error.to_string().contains("busy") => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the script stays busy");
    }

    fn code(ending: Option<Ending>) -> Option<i32> {
        ending.expect("it ends soon").code()
    }

    #[test]
    fn a_process_ends_with_its_status_and_its_words_are_logged() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let mut process = start(
            dir.path(),
            "echo \"$@\"; echo no >&2; exit 72",
            Bond::Detached,
        );
        assert_eq!(code(process.wait(SOON)), Some(72));
        assert!(!process.is_running());
        let log = fs::read_to_string(dir.path().join("node-1.log")).expect("it was written");
        let config = paths(dir.path()).config;
        assert_eq!(
            log,
            format!(
                "node --config {} --log-level debug --own-session\nno\n",
                config.display()
            )
        );
    }

    #[test]
    fn a_detached_process_is_found_again_and_another_one_is_not() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let pid = paths(dir.path()).pid;
        assert!(
            Process::find(&pid)
                .expect("no file is no process")
                .is_none()
        );
        let mut process = start(dir.path(), "exec sleep 60", Bond::Detached);
        let found = Process::find(&pid).expect("the file was written");
        let mut found = found.expect("it runs");
        assert_eq!(found.id(), process.id());

        let text = fs::read_to_string(&pid).expect("the file was written");
        let (id, start_time) = text.trim().split_once(' ').expect("it has two words");
        let other = start_time.parse::<u64>().expect("it is a number") + 1;
        fs::write(&pid, format!("{id} {other}\n")).expect("the file is ours");
        let recycled = Process::find(&pid).expect("the file is sound");
        assert!(recycled.is_none(), "the id was given to another process");
        fs::write(&pid, text).expect("the file is ours");

        found.kill();
        assert_eq!(found.wait(SOON), Some(Ending::Gone));
        assert_eq!(code(process.wait(SOON)), None, "a signal ended it");
        assert!(Process::find(&pid).expect("the file is sound").is_none());
        fs::write(&pid, "soup").expect("the file is ours");
        assert!(Process::find(&pid).is_err());
    }

    #[test]
    fn a_supervised_process_ends_with_its_pipe() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let mut process = start(dir.path(), "read line; exit 7", Bond::Supervised);
        assert_eq!(process.wait(Duration::from_millis(50)), None);
        let pipe = process.child.as_mut().and_then(|child| child.stdin.take());
        assert!(pipe.is_some(), "its standard input is a pipe");
        drop(pipe);
        assert_eq!(code(process.wait(SOON)), Some(7));
    }

    #[test]
    fn a_frozen_process_stands_still_until_it_is_thawed() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let mut process = start(dir.path(), "exec sleep 60", Bond::Supervised);
        assert!(!process.is_frozen());
        process.freeze();
        while !process.is_frozen() {
            std::thread::yield_now();
        }
        process.thaw();
        while process.is_frozen() {
            std::thread::yield_now();
        }
        process.freeze();
        process.kill();
        assert!(
            process.wait(SOON).is_some(),
            "a frozen process can be killed"
        );
    }

    #[test]
    fn a_program_name_may_hold_anything() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 8765 1000 1";
        assert_eq!(start_time(stat), Some(8765));
        assert_eq!(state(stat), Some('S'));
        assert_eq!(start_time("42 (cut) S 1"), None);
        assert_eq!(parse_pid("0 7\n"), None);
        assert_eq!(parse_pid("7\n"), None);
        assert!(parse_pid("7 7\n").is_some());
    }
}
