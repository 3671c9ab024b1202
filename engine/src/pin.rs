//! Which thread runs on which core.
//!
//! Owns: the placement, a pure function of the configuration and the host's cores. Never: starts a thread. Called by: the
//! node at its start; each thread then pins itself.
//!
//! A pinned thread that shares its core with another pinned thread waits for it, and nobody can help: so the automatic
//! placement pins all threads of all nodes on this host, or none.

use std::fmt;

use core_affinity::CoreId;

use crate::config::{Config, ConfigError, Pin, split_address};

/// Pinned threads of a node: its pipeline, and its shards.
#[must_use]
pub const fn threads(shards: usize) -> usize {
    1 + shards
}

/// Where a node's threads run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each on its own core.
    Pinned {
        /// The pipeline's.
        pipeline: usize,
        /// The shards', in order.
        shards: Vec<usize>,
    },
    /// Where the operating system puts them.
    Free {
        /// Why.
        why: String,
    },
}

impl Placement {
    /// The pipeline's core.
    #[must_use]
    pub const fn pipeline(&self) -> Option<usize> {
        match self {
            Self::Pinned { pipeline, .. } => Some(*pipeline),
            Self::Free { .. } => None,
        }
    }

    /// A shard's core.
    #[must_use]
    pub fn shard(&self, shard: usize) -> Option<usize> {
        match self {
            Self::Pinned { shards, .. } => shards.get(shard).copied(),
            Self::Free { .. } => None,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned { pipeline, shards } => {
                write!(
                    f,
                    "pinned: pipeline on core {pipeline}, shards on {shards:?}"
                )
            }
            Self::Free { why } => write!(f, "not pinned: {why}"),
        }
    }
}

/// Places the threads of a node on a host with these cores, in rising order.
///
/// # Errors
/// The configuration lists a core that is not among them.
pub fn place(config: &Config, cores: &[usize]) -> Result<Placement, ConfigError> {
    match &config.pin {
        Pin::Off => Ok(Placement::Free {
            why: "pin is off".to_owned(),
        }),
        Pin::Cores(listed) => listed
            .iter()
            .find(|core| !cores.contains(core))
            .map_or_else(
                || Ok(pinned(listed)),
                |core| {
                    Err(ConfigError::new(format!(
                        "`pin` lists core {core}, and this process may use {cores:?}"
                    )))
                },
            ),
        Pin::Auto => Ok(place_automatically(config, cores)),
    }
}

fn place_automatically(config: &Config, cores: &[usize]) -> Placement {
    let this = host_of(&config.this().client);
    let here = config
        .nodes
        .iter()
        .filter(|node| same_host(this, host_of(&node.client)));
    let (mut nodes, mut rank) = (0, 0);
    for node in here {
        nodes += 1;
        rank += usize::from(node.id < config.node);
    }
    let threads = threads(config.shards.count);
    let needed = nodes * threads;
    if needed > cores.len() {
        return Placement::Free {
            why: format!(
                "{needed} threads of {nodes} node(s) on this host, and {} core(s)",
                cores.len()
            ),
        };
    }
    // The first core has most of the host's interrupts: it is left alone where there are enough others.
    let first = rank * threads + usize::from(cores.len() > needed);
    pinned(&cores[first..first + threads])
}

fn pinned(cores: &[usize]) -> Placement {
    let (pipeline, shards) = cores
        .split_first()
        .expect("a node has a pipeline, and the lists were checked for its length");
    Placement::Pinned {
        pipeline: *pipeline,
        shards: shards.to_vec(),
    }
}

fn host_of(address: &str) -> &str {
    split_address(address).map_or(address, |(host, _)| host)
}

fn same_host(one: &str, other: &str) -> bool {
    one == other || (is_loopback(one) && is_loopback(other))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// The cores that this process may use, in rising order.
#[must_use]
pub fn cores() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|core| core.id)
        .collect();
    cores.sort_unstable();
    cores
}

/// Pins the calling thread. Returns whether the operating system let it.
#[must_use]
pub fn apply(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::{Placement, place};
    use crate::config::{Config, Overrides};

    fn config(node: u32, hosts: [&str; 3], rest: &str) -> Config {
        let nodes: String = hosts
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let id = at + 1;
                format!(
                    "[[nodes]]\nid = {id}\nclient = \"{host}:900{id}\"\npeer = \"{host}:910{id}\"\n"
                )
            })
            .collect();
        let text = format!("cluster = \"c\"\nnode = {node}\n{rest}\n{nodes}");
        Config::parse(&text, &Overrides::default()).expect("the configuration is sound")
    }

    fn on_one_host(node: u32, rest: &str) -> Config {
        config(node, ["127.0.0.1", "localhost", "127.0.0.3"], rest)
    }

    #[test]
    fn three_nodes_on_two_cores_are_not_pinned() {
        let placement = place(&on_one_host(1, ""), &[0, 1]).expect("nothing is listed");
        assert_eq!(
            placement.to_string(),
            "not pinned: 6 threads of 3 node(s) on this host, and 2 core(s)"
        );
        assert_eq!((placement.pipeline(), placement.shard(0)), (None, None));
    }

    #[test]
    fn nodes_on_one_host_share_no_core() {
        let cores = [0, 1, 2, 3, 4, 5];
        let mut taken = Vec::new();
        for node in 1..=3 {
            let placement = place(&on_one_host(node, ""), &cores).expect("nothing is listed");
            taken.extend(placement.pipeline());
            taken.extend(placement.shard(0));
        }
        assert_eq!(taken, cores);
    }

    #[test]
    fn the_first_core_is_left_alone_where_another_is_free() {
        let alone = config(2, ["a", "b", "c"], "");
        let pinned = |pipeline, shard| Placement::Pinned {
            pipeline,
            shards: vec![shard],
        };
        assert_eq!(place(&alone, &[0, 1]), Ok(pinned(0, 1)));
        assert_eq!(place(&alone, &[0, 1, 2]), Ok(pinned(1, 2)));
        assert_eq!(place(&alone, &[4, 6, 8]), Ok(pinned(6, 8)));
    }

    #[test]
    fn a_list_is_taken_as_it_is_or_refused() {
        let listed = on_one_host(1, "pin = [3, 1]");
        let expected = Placement::Pinned {
            pipeline: 3,
            shards: vec![1],
        };
        assert_eq!(place(&listed, &[0, 1, 2, 3]), Ok(expected));
        let refusal = place(&listed, &[0, 1]).expect_err("core 3 is not there");
        assert!(refusal.to_string().contains("core 3"), "{refusal}");
    }

    #[test]
    fn off_is_off() {
        let off = config(1, ["a", "b", "c"], "pin = \"off\"");
        let placement = place(&off, &[0, 1, 2, 3]).expect("nothing is listed");
        assert_eq!(placement.to_string(), "not pinned: pin is off");
    }
}
