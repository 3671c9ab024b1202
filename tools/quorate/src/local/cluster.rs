//! A local cluster as a whole.

mod grow;
mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use quorate_client::{ClientError, ClusterName, NodeId, Status};
use quorate_engine::config::{Config, NodeConfig};

use super::ports::wait_free;
use super::{Bond, Ending, Hosts, LocalError, NodePaths, Ports, Process, Spec};
use crate::interrupt::Interrupt;

/// How long a node may take to say how it is.
const STATUS_WITHIN: Duration = Duration::from_millis(500);

/// Lines of a node's log that an error shows.
const LOG_LINES: usize = 8;

/// What a local cluster should be.
#[derive(Debug)]
pub struct LocalOptions {
    /// The program that is the node.
    pub executable: PathBuf,
    /// Name of the cluster.
    pub cluster: ClusterName,
    /// How many nodes: 1, 3, 5 or 7.
    pub nodes: u16,
    /// Where they listen, if they have no hosts of their own.
    pub ports: Ports,
    /// A host of its own for each.
    pub hosts: Option<Hosts>,
    /// What holds the nodes and this process together.
    pub bond: Bond,
    /// How much the nodes log; their default, if it is not said.
    pub log_level: Option<String>,
    /// What each node's configuration has in place of the defaults.
    pub adjust: fn(&mut Config),
    /// How many segments each node keeps in stock, in place of the default.
    pub stock: Option<usize>,
    /// How many MiB of log each node keeps, in place of all; it takes snapshots as often.
    pub retain_mib: Option<u64>,
}

impl LocalOptions {
    /// Three supervised nodes on free ports.
    #[must_use]
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            cluster: ClusterName::new("local").expect("it is a name"),
            nodes: 3,
            ports: Ports::Auto,
            hosts: None,
            bond: Bond::Supervised,
            log_level: None,
            adjust: |_| {},
            stock: None,
            retain_mib: None,
        }
    }
}

/// A cluster of node processes on this host. Dropping it kills the supervised ones, and leaves the detached ones alone.
#[derive(Debug)]
pub struct Local {
    pub(super) spec: Spec,
    executable: PathBuf,
    bond: Bond,
    log_level: Option<String>,
    processes: BTreeMap<NodeId, Process>,
    // Behind the processes: their namespaces go when they are gone.
    hosts: Option<Hosts>,
    interrupt: Interrupt,
}

impl Local {
    /// Writes the files of a new cluster into a directory, which is made if it is not there. Starts nothing.
    ///
    /// # Errors
    /// There is a cluster in the directory, or it cannot be written.
    pub fn create(dir: &Path, options: LocalOptions) -> Result<Self, LocalError> {
        fs::create_dir_all(dir).map_err(LocalError::io("making", dir))?;
        let dir = dir.canonicalize().map_err(LocalError::io("finding", dir))?;
        if Spec::exists(&dir) {
            return Err(LocalError::OtherCluster {
                dir,
                what: "been made already".into(),
            });
        }
        let nodes = match &options.hosts {
            Some(hosts) => hosts.configs(),
            None => options.ports.choose(options.nodes)?,
        };
        let mut spec = Spec::new(&dir, options.cluster, &nodes);
        spec.configs.iter_mut().for_each(options.adjust);
        for config in &mut spec.configs {
            if let Some(stock) = options.stock {
                config.log.segments_stock = stock;
            }
            if let Some(mib) = options.retain_mib {
                config.log.retain_bytes = mib << 20;
                config.snapshot.log_mib = mib;
            }
        }
        spec.write()?;
        Ok(Self {
            spec,
            executable: options.executable,
            bond: options.bond,
            log_level: options.log_level,
            processes: BTreeMap::new(),
            hosts: options.hosts,
            interrupt: Interrupt::default(),
        })
    }

    /// Finds the cluster that was made in a directory, with those of its detached nodes that run.
    ///
    /// # Errors
    /// There is none, or its files are not sound.
    pub fn open(
        dir: &Path,
        executable: impl Into<PathBuf>,
        log_level: Option<String>,
    ) -> Result<Self, LocalError> {
        let dir = dir.canonicalize().map_err(|_| LocalError::NoCluster {
            dir: dir.to_owned(),
        })?;
        let spec = Spec::read(&dir)?;
        let mut processes = BTreeMap::new();
        for config in &spec.configs {
            if let Some(process) = Process::find(&spec.paths(config.node).pid)? {
                processes.insert(config.node, process);
            }
        }
        Ok(Self {
            spec,
            executable: executable.into(),
            bond: Bond::Detached,
            log_level,
            processes,
            hosts: None,
            interrupt: Interrupt::default(),
        })
    }

    /// Ends waits with [`LocalError::Interrupted`] when the process is asked to stop.
    pub(crate) fn heed(&mut self, interrupt: &Interrupt) {
        self.interrupt = interrupt.clone();
    }

    /// Which nodes there are, and where.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The nodes' ids.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.spec.configs.iter().map(|config| config.node).collect()
    }

    /// The nodes' client addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let configs = self.spec.configs.iter();
        configs.map(|config| config.this().client.clone()).collect()
    }

    /// Nodes that start from now on run this program.
    pub fn run_from_now_on(&mut self, executable: impl Into<PathBuf>) {
        self.executable = executable.into();
    }

    /// A node's client address.
    ///
    /// # Panics
    /// The cluster has no such node.
    #[must_use]
    pub fn address(&self, node: NodeId) -> &str {
        &self.node(node).client
    }

    /// A node's files.
    #[must_use]
    pub fn paths(&self, node: NodeId) -> NodePaths {
        self.spec.paths(node)
    }

    fn node(&self, node: NodeId) -> &NodeConfig {
        let found = self.spec.configs.iter().find(|config| config.node == node);
        found.expect("callers take ids from this cluster").this()
    }

    /// The nodes' hosts, if they have their own.
    #[must_use]
    pub const fn hosts(&self) -> Option<&Hosts> {
        self.hosts.as_ref()
    }

    fn wait_free(&self, node: NodeId) -> Result<(), LocalError> {
        if self.hosts.is_some() {
            return Ok(()); // Nobody else is there.
        }
        let node = self.node(node);
        wait_free(&[&node.client, &node.peer])
    }

    /// The id of a node's process, if it runs.
    #[must_use]
    pub fn process_id(&self, node: NodeId) -> Option<u32> {
        let process = self.processes.get(&node);
        process
            .filter(|process| process.is_running())
            .map(Process::id)
    }

    /// A node's process, if it was started and not waited for since.
    #[must_use]
    pub fn process(&self, node: NodeId) -> Option<&Process> {
        self.processes.get(&node)
    }

    /// Starts a node that does not run; does nothing for one that does.
    ///
    /// # Errors
    /// One of its addresses is taken, or the process cannot be started. A node that refuses to start shows in the waits.
    pub fn start(&mut self, node: NodeId) -> Result<(), LocalError> {
        if self.process_id(node).is_some() {
            return Ok(());
        }
        self.wait_free(node)?;
        let command = match &self.hosts {
            Some(hosts) => hosts.command(node, &self.executable),
            None => Command::new(&self.executable),
        };
        let process = Process::spawn(
            command,
            &self.paths(node),
            self.bond,
            self.log_level.as_deref(),
        )?;
        self.processes.insert(node, process);
        Ok(())
    }

    /// Starts all nodes that do not run, and returns which.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_all(&mut self) -> Result<Vec<NodeId>, LocalError> {
        let down = |node: &NodeId| self.process_id(*node).is_none();
        let down: Vec<NodeId> = self.nodes().into_iter().filter(down).collect();
        // Before the first one is started: a cluster comes up whole, or says why before it has begun.
        for &node in &down {
            self.wait_free(node)?;
        }
        for &node in &down {
            self.start(node)?;
        }
        Ok(down)
    }

    /// Kills a node with SIGKILL, and returns when it is gone.
    ///
    /// # Panics
    /// The kernel does not end a killed process within a minute.
    pub fn kill(&mut self, node: NodeId) {
        if let Some(mut process) = self.processes.remove(&node) {
            process.kill();
            let ending = process.wait(Duration::from_secs(60));
            assert!(ending.is_some(), "a killed process ends");
            let _ = fs::remove_file(self.paths(node).pid);
        }
    }

    /// Asks a node to stop and waits for it. `None`: it did not stop in time, and was killed.
    pub fn stop(&mut self, node: NodeId, within: Duration) -> Option<Ending> {
        if let Some(process) = self.processes.get(&node) {
            process.terminate();
        }
        self.wait_stopped(node, within)
    }

    /// Asks all nodes to stop and waits for them, each as [`Self::stop`] does.
    pub fn stop_all(&mut self, within: Duration) -> Vec<(NodeId, Option<Ending>)> {
        for process in self.processes.values() {
            process.terminate();
        }
        let deadline = Instant::now() + within;
        let nodes: Vec<NodeId> = self.processes.keys().copied().collect();
        let stopped = nodes.into_iter().map(|node| {
            let left = deadline.saturating_duration_since(Instant::now());
            (node, self.wait_stopped(node, left))
        });
        stopped.collect()
    }

    fn wait_stopped(&mut self, node: NodeId, within: Duration) -> Option<Ending> {
        let Some(process) = self.processes.get_mut(&node) else {
            return Some(Ending::Gone);
        };
        let ending = process.wait(within);
        match ending {
            Some(_) => {
                self.processes.remove(&node);
                let _ = fs::remove_file(self.paths(node).pid);
            }
            None => self.kill(node),
        }
        ending
    }

    /// Waits until a node's process has ended on its own. `None`: it still runs.
    pub fn wait_ended(&mut self, node: NodeId, within: Duration) -> Option<Ending> {
        let ending = self.processes.get_mut(&node)?.wait(within)?;
        self.processes.remove(&node);
        Some(ending)
    }

    /// Asks a node how it is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self, node: NodeId) -> Result<Status, ClientError> {
        quorate_client::status(self.address(node), STATUS_WITHIN)
    }

    /// Asks all nodes how they are; those that do not answer are left out.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let nodes = self.nodes().into_iter();
        nodes.filter_map(|node| self.status(node).ok()).collect()
    }

    /// How each node is, and its last log lines, for an error.
    #[must_use]
    pub fn describe(&self) -> String {
        let of = |node: NodeId| {
            let state = match self.status(node) {
                Ok(status) => format!(
                    "{}, term {}, leader {}, last {}, durable {}, commit {}, {} peers",
                    status.role,
                    status.term,
                    status
                        .leader
                        .map_or("none".into(), |leader| leader.to_string()),
                    status.last_index,
                    status.durable_index,
                    status.commit_index,
                    status.peers_up,
                ),
                Err(error) => error.to_string(),
            };
            format!("node {node}: {state}\n{}", self.log_tail(node))
        };
        let nodes: Vec<String> = self.nodes().into_iter().map(of).collect();
        nodes.join("\n")
    }

    /// A node's last log lines.
    #[must_use]
    pub fn log_tail(&self, node: NodeId) -> String {
        log_tail(&self.paths(node).log)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        match self.bond {
            Bond::Supervised => {
                for node in self.nodes() {
                    self.kill(node);
                }
            }
            Bond::Detached => {}
        }
    }
}

fn log_tail(path: &Path) -> String {
    let Ok(file) = File::open(path) else {
        return "  (no log)".into();
    };
    let mut tail = VecDeque::new();
    let mut panicked = false;
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        // What a panic says stands at its head; the rest is the stack.
        if panicked && tail.len() == LOG_LINES {
            break;
        }
        if !panicked && line.contains(" panicked at ") {
            panicked = true;
            tail.clear();
        }
        if tail.len() == LOG_LINES {
            tail.pop_front();
        }
        tail.push_back(format!("  {line}"));
    }
    Vec::from(tail).join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_client::NodeId;

    use super::{Local, LocalOptions, log_tail};
    use crate::local::LocalError;

    #[test]
    fn a_directory_holds_one_cluster() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let place = dir.path().join("new");
        let options = || LocalOptions::new("/bin/false");
        let made = Local::create(&place, options()).expect("the directory is empty");
        assert_eq!(made.nodes(), [NodeId(1), NodeId(2), NodeId(3)]);
        assert!(matches!(
            Local::create(&place, options()),
            Err(LocalError::OtherCluster { .. })
        ));
        let found = Local::open(&place, "/bin/false", None).expect("it was just made");
        assert_eq!(found.spec(), made.spec());
        assert!(matches!(
            Local::open(dir.path(), "/bin/false", None),
            Err(LocalError::NoCluster { .. })
        ));
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        let file = tempfile::NamedTempFile::new().expect("there is a place for files");
        let lines: Vec<String> = (1..=20).map(|line| line.to_string()).collect();
        fs::write(file.path(), lines.join("\n")).expect("the file is ours");
        assert_eq!(
            log_tail(file.path())
                .split("\n")
                .map(str::trim)
                .collect::<Vec<_>>(),
            &lines[12..]
        );
        let panic = format!("before\nthread 'x' panicked at y:1:\n{}", lines.join("\n"));
        fs::write(file.path(), panic).expect("the file is ours");
        assert!(log_tail(file.path()).starts_with("  thread 'x' panicked at y:1:\n  1\n  2\n"));
        fs::write(file.path(), "").expect("the file is ours");
        assert_eq!(log_tail(file.path()), "");
    }
}
