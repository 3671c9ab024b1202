//! A host of its own for each local node: a network namespace, joined with the others and with this process by a bridge. Links
//! between them can be cut, one way or both, as between real hosts.
//!
//! ```text
//!   qN-1        qN-2        qN-3       namespaces, one node each: 10.A.B.1, .2, .3
//!    |eth0       |eth0       |eth0
//!    +-----------+-----------+---- bridge qN: 10.A.B.254 (this process and its clients)
//! ```
//!
//! Owns: namespaces, links, and their end. Never: a node's process. `N` is this process's id and which network of its it is
//! (`q4711n0`): what a killed process has left behind is cleared by the next one. Needs root and iproute2.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use quorate_client::NodeId;
use quorate_engine::config::NodeConfig;

use super::LocalError;

const CLIENT_PORT: u16 = 9001;
const PEER_PORT: u16 = 9101;

/// The last part of this process's own address.
const OWN: u32 = 254;

/// Networks that one process has at a time, at most.
const AT_ONCE: u32 = 8;

/// Namespaces for nodes 1 and up. Dropping it takes them away.
#[derive(Debug)]
pub struct Hosts {
    process: u32,
    /// Which network of this process it is.
    number: u32,
    nodes: Vec<NodeId>,
}

impl Hosts {
    /// Makes a host for each of so many nodes, all joined.
    ///
    /// # Errors
    /// The machine does not let this process have network namespaces: the error says why.
    pub fn create(nodes: u16) -> Result<Self, LocalError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        clear_leftovers();
        let hosts = Self {
            process: std::process::id(),
            number: MADE.fetch_add(1, Ordering::Relaxed) % AT_ONCE,
            nodes: (1..=u32::from(nodes)).map(NodeId).collect(),
        };
        let bridge = hosts.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        let own = format!("{}/24", hosts.address(NodeId(OWN)));
        ip(&["addr", "add", &own, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for &node in &hosts.nodes {
            hosts.join(node)?;
        }
        Ok(hosts)
    }

    fn join(&self, node: NodeId) -> Result<(), LocalError> {
        let (space, port, bridge) = (self.namespace(node), self.port(node), self.bridge());
        ip(&["netns", "add", &space])?;
        ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space,
        ])?;
        ip(&["link", "set", &port, "master", &bridge, "up"])?;
        let address = format!("{}/24", self.address(node));
        ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        ip(&["-n", &space, "link", "set", "lo", "up"])
    }

    /// The nodes with their addresses.
    pub(super) fn configs(&self) -> Vec<NodeConfig> {
        let config = |&id: &NodeId| NodeConfig {
            id,
            client: format!("{}:{CLIENT_PORT}", self.address(id)),
            peer: format!("{}:{PEER_PORT}", self.address(id)),
        };
        self.nodes.iter().map(config).collect()
    }

    /// The command that runs a program on a node's host.
    pub(super) fn command(&self, node: NodeId, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace(node)])
            .arg(program);
        command
    }

    /// From now on nothing that `from` sends reaches `to`. What `to` sends arrives, and its acknowledgement does not.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn cut(&self, from: NodeId, to: NodeId) -> Result<(), LocalError> {
        self.route(from, "replace", to)
    }

    /// Undoes [`cut`](Self::cut).
    ///
    /// # Errors
    /// The kernel refused, or nothing was cut.
    pub fn mend(&self, from: NodeId, to: NodeId) -> Result<(), LocalError> {
        self.route(from, "del", to)
    }

    fn route(&self, from: NodeId, verb: &str, to: NodeId) -> Result<(), LocalError> {
        let to = format!("{}/32", self.address(to));
        let space = self.namespace(from);
        ip(&["-n", &space, "route", verb, "blackhole", &to])
    }

    /// Cuts a node off from everybody, its clients too, as if its cable were pulled.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn isolate(&self, node: NodeId) -> Result<(), LocalError> {
        ip(&["link", "set", &self.port(node), "down"])
    }

    /// Undoes [`isolate`](Self::isolate).
    ///
    /// # Errors
    /// The kernel refused.
    pub fn join_again(&self, node: NodeId) -> Result<(), LocalError> {
        ip(&["link", "set", &self.port(node), "up"])
    }

    /// What a node sends goes no faster than this from now on.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn slow(&self, node: NodeId, mbit_per_second: u32) -> Result<(), LocalError> {
        let rate = format!("{mbit_per_second}mbit");
        let space = self.namespace(node);
        let shape = [
            "root", "tbf", "rate", &rate, "burst", "64k", "latency", "400ms",
        ];
        let whole = [
            &["-n", &space, "qdisc", "replace", "dev", "eth0"],
            &shape[..],
        ]
        .concat();
        run("tc", &whole)
    }

    fn bridge(&self) -> String {
        format!("q{}n{}", self.process, self.number)
    }

    fn namespace(&self, node: NodeId) -> String {
        format!("{}-{node}", self.bridge())
    }

    /// The bridge's end of a node's link.
    fn port(&self, node: NodeId) -> String {
        format!("{}p{node}", self.bridge())
    }

    /// Two processes get different networks, unless their ids are a multiple of 2,048 apart.
    fn address(&self, node: NodeId) -> String {
        let network = (self.process * AT_ONCE + self.number) % (64 * 256);
        format!("10.{}.{}.{node}", 64 + network / 256, network % 256)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for &node in &self.nodes {
            // A link goes with either of its ends; what was never made cannot be taken away.
            let _ = ip(&["link", "del", &self.port(node)]);
            let _ = ip(&["netns", "del", &self.namespace(node)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

/// Takes away what processes that are gone have left behind.
fn clear_leftovers() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else {
        return;
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some((bridge, process)) = maker(name) else {
            continue;
        };
        if !Path::new(&format!("/proc/{process}")).exists() {
            let _ = ip(&["netns", "del", name]);
            let _ = ip(&["link", "del", bridge]);
        }
    }
}

/// The bridge that a namespace of this name was joined to, and the process that has made both.
fn maker(name: &str) -> Option<(&str, u32)> {
    let (bridge, node) = name.split_once('-')?;
    let (process, number) = bridge.strip_prefix('q')?.split_once('n')?;
    for number in [number, node] {
        number.parse::<u32>().ok()?;
    }
    Some((bridge, process.parse().ok()?))
}

fn ip(arguments: &[&str]) -> Result<(), LocalError> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), LocalError> {
    let refused = |why: String| LocalError::NoHosts {
        command: format!("{program} {}", arguments.join(" ")),
        why,
    };
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(said.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::maker;

    #[test]
    fn only_own_names_are_cleared() {
        assert_eq!(maker("q4711n0-2"), Some(("q4711n0", 4711)));
        for other in [
            "q4711n0", "qt1", "web-1", "q1-1", "qn0-1", "qxn0-1", "q1n-1", "q1n0-x",
        ] {
            assert_eq!(maker(other), None, "{other}");
        }
    }
}
