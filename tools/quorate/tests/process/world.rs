//! A cluster for a test, on the disk that holds the build.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use quorate_cli::local::{Hosts, Local, LocalError, LocalOptions};
use quorate_client::{LogIndex, NodeId, Role};
use quorate_engine::config::Config;
use tempfile::TempDir;

/// Longer than anything here may take on a busy host; what takes so long has failed.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) const QUORATE: &str = env!("CARGO_BIN_EXE_quorate");

static MACHINE: RwLock<()> = RwLock::new(());

/// A test's turn on the machine.
pub(crate) enum Turn {
    Beside {
        _others: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _nobody: RwLockWriteGuard<'static, ()>,
    },
}

/// The turn of a test that may run beside others.
pub(crate) fn turn() -> Turn {
    let others = MACHINE.read();
    Turn::Beside {
        _others: others.unwrap_or_else(PoisonError::into_inner),
    }
}

/// The turn of a test that takes the whole machine: the others wait.
pub(crate) fn turn_alone() -> Turn {
    let nobody = MACHINE.write();
    Turn::Alone {
        _nobody: nobody.unwrap_or_else(PoisonError::into_inner),
    }
}

/// A directory that goes when the test ends.
pub(crate) fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build can write beside itself")
}

/// Waits until `look` sees something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Three nodes that serve, and the test's turn.
pub(crate) struct World {
    pub(crate) local: Local,
    directory: TempDir,
    _turn: Turn,
}

impl World {
    /// Nodes with small segments, so that logs have several; they are made, and not started.
    pub(crate) fn prepare(adjust: fn(&mut Config)) -> Self {
        Self::prepare_in(directory(), turn(), adjust)
    }

    /// The same, in a directory of the test's.
    pub(crate) fn prepare_in(directory: TempDir, turn: Turn, adjust: fn(&mut Config)) -> Self {
        let options = LocalOptions {
            adjust,
            ..LocalOptions::new(QUORATE)
        };
        Self::make(directory, turn, options)
    }

    /// One node, made and not started.
    pub(crate) fn prepare_one() -> Self {
        let options = LocalOptions {
            nodes: 1,
            adjust: small_segments,
            ..LocalOptions::new(QUORATE)
        };
        Self::make(directory(), turn(), options)
    }

    /// Three nodes that serve, each on a host of its own; `None`, with the reason said, where the machine forbids that.
    pub(crate) fn start_on_hosts() -> Option<Self> {
        let turn = turn();
        let hosts = match Hosts::create(3) {
            Ok(hosts) => hosts,
            Err(error @ LocalError::NoHosts { .. }) => {
                skip(&error);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let options = LocalOptions {
            adjust: small_segments,
            hosts: Some(hosts),
            ..LocalOptions::new(QUORATE)
        };
        let mut world = Self::make(directory(), turn, options);
        world.local.start_all().expect("nobody else is there");
        world.wait_complete();
        Some(world)
    }

    fn make(directory: TempDir, turn: Turn, options: LocalOptions) -> Self {
        let local = Local::create(&directory.path().join("cluster"), options);
        Self {
            local: local.expect("the directory is empty"),
            directory,
            _turn: turn,
        }
    }

    /// Three nodes that serve.
    pub(crate) fn start() -> Self {
        Self::start_with(small_segments)
    }

    /// Three nodes that serve, with a configuration of their own.
    pub(crate) fn start_with(adjust: fn(&mut Config)) -> Self {
        let mut world = Self::prepare(adjust);
        world.local.start_all().expect("the ports are free");
        world.wait_complete();
        world
    }

    /// A directory for the test's own files.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until a leader serves and is connected with all others.
    pub(crate) fn wait_complete(&mut self) -> NodeId {
        let leader = self.local.wait_complete(SOON);
        leader.unwrap_or_else(|error| panic!("{error}")).node
    }

    /// The links between the nodes' hosts.
    pub(crate) fn hosts(&self) -> &Hosts {
        self.local.hosts().expect("the nodes have hosts")
    }

    /// The node that leads now.
    pub(crate) fn leader(&mut self) -> NodeId {
        let leader = self.local.wait_serving(SOON);
        leader.unwrap_or_else(|error| panic!("{error}")).node
    }

    /// Waits until a node that has lost its peers knows it, and no longer leads; says how far it has committed.
    pub(crate) fn wait_alone(&self, node: NodeId) -> LogIndex {
        wait_for("the survivor to know that it is alone", || {
            let status = self.local.status(node).ok()?;
            (status.role != Role::Leader && !status.serves).then_some(status.commit_index)
        })
    }

    /// A node that does not lead now.
    pub(crate) fn follower(&mut self) -> NodeId {
        let follower = self.local.wait_for("a follower", SOON, |local| {
            let statuses = local.statuses();
            let follower = statuses
                .iter()
                .find(|status| status.role == Role::Follower)?;
            Some(follower.node)
        });
        follower.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The data directories.
    pub(crate) fn data(&self) -> Vec<(NodeId, PathBuf)> {
        let nodes = self.local.nodes().into_iter();
        nodes
            .map(|node| (node, self.local.paths(node).data))
            .collect()
    }

    /// Stops all nodes, each cleanly.
    pub(crate) fn stop(&mut self) {
        for (node, ending) in self.local.stop_all(SOON) {
            let ending = ending.expect("a node that is told to stop stops");
            let log = self.local.log_tail(node);
            assert_eq!(
                ending.code(),
                Some(0),
                "node {node} ended with {ending}\n{log}"
            );
        }
    }
}

/// Says why a test proves nothing here.
fn skip(why: &LocalError) {
    use std::io::Write as _;
    // A test's own output is shown only if it fails.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {why}");
}

/// Four megabytes: the smallest that a node takes.
pub(crate) fn small_segments(config: &mut Config) {
    config.log.segment_mib = 4;
    config.log.segments_ahead = 1;
}
