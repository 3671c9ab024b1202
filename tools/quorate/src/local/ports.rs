//! Where local nodes listen.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_client::NodeId;
use quorate_engine::config::NodeConfig;

use super::LocalError;

/// First of the usual ports for clients: node 1's.
const CLIENT_PORT: u16 = 9001;

/// First of the usual ports for peers: node 1's.
const PEER_PORT: u16 = 9101;

/// Where the search for free ports begins.
const SEARCHED_FROM: u16 = 10_000;

/// How nodes get their ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Ports {
    /// 9001 and up for clients, 9101 and up for peers.
    #[default]
    Usual,
    /// Free ones.
    Auto,
}

impl Ports {
    /// Nodes 1 and up, with their addresses.
    pub(super) fn choose(self, nodes: u16) -> Result<Vec<NodeConfig>, LocalError> {
        let addresses: Vec<(SocketAddr, SocketAddr)> = match self {
            Self::Usual => (0..nodes)
                .map(|at| (loopback(CLIENT_PORT + at), loopback(PEER_PORT + at)))
                .collect(),
            Self::Auto => {
                let free = free_addresses(2 * usize::from(nodes))?;
                let (clients, peers) = free.split_at(usize::from(nodes));
                clients.iter().copied().zip(peers.iter().copied()).collect()
            }
        };
        let node = |(id, (client, peer)): (u32, (SocketAddr, SocketAddr))| NodeConfig {
            id: NodeId(id),
            client: client.to_string(),
            peer: peer.to_string(),
        };
        Ok((1..).zip(addresses).map(node).collect())
    }
}

/// How long an address may stay in use after its node's death: the kernel takes a dead process's ring apart behind its back, and
/// that ring holds a listener.
const FREE_WITHIN: Duration = Duration::from_secs(2);

/// Waits until nobody listens on the addresses; fails if somebody goes on, or nobody can.
pub(super) fn wait_free(addresses: &[&str]) -> Result<(), LocalError> {
    let deadline = Instant::now() + FREE_WITHIN;
    for address in addresses {
        while let Err(error) = check_free(address) {
            let is_taken = matches!(error, LocalError::AddressTaken { .. });
            if !is_taken || Instant::now() >= deadline {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

fn check_free(address: &str) -> Result<(), LocalError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(LocalError::AddressTaken {
            address: address.to_owned(),
        }),
        Err(error) => Err(LocalError::Io {
            doing: "listening on",
            path: address.into(),
            error,
        }),
    }
}

/// Free loopback addresses. Their ports lie outside the range from which the kernel takes the near ends of connections, so that
/// none of those takes a killed node's port before the node is back (or connects to itself there); and no two calls of one
/// process get the same.
///
/// # Errors
/// There are not so many.
pub fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, LocalError> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let range = searched();
    let size = range.end - range.start;
    // Processes begin their search at different places.
    let start = std::process::id().wrapping_mul(97) % u32::from(size);
    let start = u16::try_from(start).expect("a remainder is below its divisor");
    let mut free = Vec::with_capacity(count);
    for _ in 0..size {
        if free.len() == count {
            return Ok(free);
        }
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % size;
        let port = (u32::from(start) + u32::from(at)) % u32::from(size) + u32::from(range.start);
        let address = loopback(u16::try_from(port).expect("the range ends at a port"));
        if TcpListener::bind(address).is_ok() {
            free.push(address);
        }
    }
    Err(LocalError::Io {
        doing: "looking for free ports among",
        path: format!("{}..{}", range.start, range.end).into(),
        error: ErrorKind::AddrInUse.into(),
    })
}

/// From 10,000 up to the range of the near ends of connections (ip(7), `ip_local_port_range`), or to the last port if that range
/// leaves no room below it.
fn searched() -> Range<u16> {
    let file = Path::new("/proc/sys/net/ipv4/ip_local_port_range");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let first = text.split_whitespace().next();
    let first = first.and_then(|first| first.parse().ok()).unwrap_or(32_768);
    if first > SEARCHED_FROM + 1_000 {
        SEARCHED_FROM..first
    } else {
        SEARCHED_FROM..u16::MAX
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use quorate_engine::config::NodeConfig;

    use super::{Ports, free_addresses, wait_free};
    use crate::local::LocalError;

    #[test]
    fn usual_ports_are_those_of_the_manual() {
        let nodes = Ports::Usual.choose(3).expect("nothing is looked for");
        let text = |node: &NodeConfig| format!("{} {} {}", node.id, node.client, node.peer);
        assert_eq!(
            nodes.iter().map(text).collect::<Vec<_>>(),
            [
                "1 127.0.0.1:9001 127.0.0.1:9101",
                "2 127.0.0.1:9002 127.0.0.1:9102",
                "3 127.0.0.1:9003 127.0.0.1:9103"
            ]
        );
    }

    #[test]
    fn no_two_calls_give_the_same_address() {
        let calls = (0..8).map(|_| free_addresses(6).expect("there are thousands"));
        let addresses: BTreeSet<_> = calls.flatten().collect();
        assert_eq!(addresses.len(), 48);
    }

    #[test]
    fn a_taken_address_is_found_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        assert!(matches!(
            wait_free(&[&address]),
            Err(LocalError::AddressTaken { address: taken }) if taken == address
        ));
        drop(listener);
        assert!(wait_free(&[&address]).is_ok());
        assert!(matches!(
            wait_free(&["192.0.2.1:9001"]),
            Err(LocalError::Io { .. })
        ));
    }
}
