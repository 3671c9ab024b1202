//! Which thread runs on which core.
//!
//! Owns: the placement, a pure function of the configuration and the host's cores. Never: starts a thread. Called by: the
//! node at its start; each thread then pins itself.
//!
//! A pinned thread that shares its core with another pinned thread waits for it, and nobody can help: so the automatic
//! placement pins all threads of all nodes on this host, or none. It keeps a node's threads on one NUMA node where it can, since
//! they hand each other everything, and leaves the second hardware thread of a core alone while there are whole cores.
//!
//! A group of three on one host of two cores is the exception: the leader's threads have one core, the followers' the other
//! ([`sides`]).

pub mod sides;

use std::fmt;
use std::fs;
use std::path::Path;

use core_affinity::CoreId;

use crate::config::{Config, ConfigError, Pin, split_address};
use crate::probe::device_of;

/// Pinned threads of a node: its pipeline, and its shards.
#[must_use]
pub const fn threads(shards: usize) -> usize {
    1 + shards
}

/// A hardware thread that this process may use: a *core*, in the words of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its number.
    pub id: usize,
    /// The NUMA node whose memory is near.
    pub numa: usize,
    /// The first hardware thread of the same core; itself, if it is that.
    pub first: usize,
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
    /// All on one core.
    Sides {
        /// While the node leads.
        leads: usize,
        /// While it does not.
        follows: usize,
    },
    /// Where the operating system puts them.
    Free {
        /// Why.
        why: String,
    },
}

impl Placement {
    /// The pipeline's core, if it has it for itself.
    #[must_use]
    pub const fn pipeline(&self) -> Option<usize> {
        match self {
            Self::Pinned { pipeline, .. } => Some(*pipeline),
            Self::Sides { .. } | Self::Free { .. } => None,
        }
    }

    /// The cores of all its threads while it leads, and while it does not, if that is how they are placed.
    #[must_use]
    pub const fn sides(&self) -> Option<(usize, usize)> {
        match self {
            Self::Sides { leads, follows } => Some((*leads, *follows)),
            Self::Pinned { .. } | Self::Free { .. } => None,
        }
    }

    /// A shard's core, if it has it for itself.
    #[must_use]
    pub fn shard(&self, shard: usize) -> Option<usize> {
        match self {
            Self::Pinned { shards, .. } => shards.get(shard).copied(),
            Self::Sides { .. } | Self::Free { .. } => None,
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
            Self::Sides { leads, follows } => {
                write!(
                    f,
                    "pinned: on core {leads} while it leads, else on {follows}"
                )
            }
            Self::Free { why } => write!(f, "not pinned: {why}"),
        }
    }
}

/// Places the threads of a node on a host with these cores, in rising order of their numbers. `interrupted` is the one that takes the
/// disk's interrupts, if one does.
///
/// # Errors
/// The configuration lists a core that is not among them.
pub fn place(
    config: &Config,
    cores: &[Core],
    interrupted: Option<usize>,
) -> Result<Placement, ConfigError> {
    match &config.pin {
        Pin::Off => Ok(Placement::Free {
            why: "pin is off".to_owned(),
        }),
        Pin::Cores(listed) => listed
            .iter()
            .find(|&&listed| cores.iter().all(|core| core.id != listed))
            .map_or_else(
                || Ok(pinned(listed)),
                |listed| {
                    let cores: Vec<usize> = cores.iter().map(|core| core.id).collect();
                    Err(ConfigError::new(format!(
                        "`pin` lists core {listed}, and this process may use {cores:?}"
                    )))
                },
            ),
        Pin::Auto => Ok(place_automatically(config, cores, interrupted)),
    }
}

/// Places the threads of a node on this host, with its log in `data`.
///
/// # Errors
/// The configuration lists a core that this process may not use.
pub fn place_here(config: &Config, data: &Path) -> Result<Placement, ConfigError> {
    let interrupted = device_of(data).and_then(|device| sides::interrupted_core(&device));
    place(config, &cores(), interrupted)
}

fn place_automatically(config: &Config, cores: &[Core], interrupted: Option<usize>) -> Placement {
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
    // The kernel finishes each write on the core that the disk interrupts, and has much to do there with three logs on it: the
    // leader, which has most to do of all, takes the other one.
    if let (&[one, other], 3, 3) = (cores, nodes, config.nodes.len()) {
        let one_is_interrupted = interrupted == Some(one.id);
        let (leads, follows) = if one_is_interrupted {
            (other.id, one.id)
        } else {
            (one.id, other.id)
        };
        return Placement::Sides { leads, follows };
    }
    if needed > cores.len() {
        return Placement::Free {
            why: format!(
                "{needed} threads of {nodes} node(s) on this host, and {} core(s)",
                cores.len()
            ),
        };
    }
    // The first core has most of the host's interrupts: it is left alone where there are enough others.
    let cores = &cores[usize::from(cores.len() > needed)..];
    let whole: Vec<Core> = cores
        .iter()
        .filter(|core| core.id == core.first)
        .copied()
        .collect();
    // Each node of this host works out the same, and takes its own.
    let all = deal(&whole, nodes, threads).or_else(|| deal(cores, nodes, threads));
    let mut all = all.unwrap_or_else(|| {
        let ids: Vec<usize> = cores.iter().map(|core| core.id).collect();
        ids.chunks(threads).map(<[usize]>::to_vec).collect()
    });
    pinned(&all.swap_remove(rank))
}

/// For each node on this host so many cores near the same memory, the emptiest place first; `None` if there are not enough.
fn deal(cores: &[Core], nodes: usize, threads: usize) -> Option<Vec<Vec<usize>>> {
    let places = cores.iter().map(|core| core.numa).max()? + 1;
    let mut free: Vec<Vec<usize>> = vec![Vec::new(); places];
    // From behind, so that the lowest are taken first.
    for core in cores.iter().rev() {
        free[core.numa].push(core.id);
    }
    let mut take = |_| {
        let emptiest = free.iter_mut().rev().max_by_key(|place| place.len())?;
        let left = emptiest.len().checked_sub(threads)?;
        Some(emptiest.drain(left..).rev().collect())
    };
    (0..nodes).map(&mut take).collect()
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

/// The cores that this process may use, in rising order. Where the kernel does not say how they lie, each is taken for a whole one,
/// and all memory for near.
#[must_use]
pub fn cores() -> Vec<Core> {
    let mut ids: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|core| core.id)
        .collect();
    ids.sort_unstable();
    let system = "/sys/devices/system";
    let numa: Vec<Vec<usize>> = listed(&format!("{system}/node/online"))
        .iter()
        .map(|node| listed(&format!("{system}/node/node{node}/cpulist")))
        .collect();
    let core = |id: usize| Core {
        id,
        numa: numa
            .iter()
            .position(|near| near.contains(&id))
            .unwrap_or_default(),
        first: listed(&format!("{system}/cpu/cpu{id}/topology/core_cpus_list"))
            .first()
            .copied()
            .unwrap_or(id),
    };
    ids.into_iter().map(core).collect()
}

/// What a file of the kernel lists, such as `0-3,8`; nothing, if it cannot be read.
fn listed(path: &str) -> Vec<usize> {
    let text = fs::read_to_string(path).unwrap_or_default();
    parse_list(text.trim()).unwrap_or_default()
}

fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

/// Pins the calling thread. Returns whether the operating system let it.
#[must_use]
pub fn apply(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::{Core, Placement, parse_list, place};
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

    /// Whole cores, all near the same memory.
    fn flat(ids: impl IntoIterator<Item = usize>) -> Vec<Core> {
        let core = |id| Core {
            id,
            numa: 0,
            first: id,
        };
        ids.into_iter().map(core).collect()
    }

    /// Two NUMA nodes of so many cores, each with two hardware threads, numbered as Linux does: the second ones behind all first ones.
    fn two_sockets(each: usize) -> Vec<Core> {
        let core = |id: usize| Core {
            id,
            numa: id % (2 * each) / each,
            first: id % (2 * each),
        };
        (0..4 * each).map(core).collect()
    }

    fn taken(nodes: impl Iterator<Item = u32>, rest: &str, cores: &[Core]) -> Vec<Vec<usize>> {
        nodes
            .map(|node| {
                let placement = place(&on_one_host(node, rest), cores, None);
                let placement = placement.expect("nothing is listed");
                let shards = (0..).map_while(|shard| placement.shard(shard));
                placement.pipeline().into_iter().chain(shards).collect()
            })
            .collect()
    }

    #[test]
    fn three_nodes_on_three_cores_are_not_pinned() {
        let placement = place(&on_one_host(1, ""), &flat(0..3), None).expect("nothing is listed");
        assert_eq!(
            placement.to_string(),
            "not pinned: 6 threads of 3 node(s) on this host, and 3 core(s)"
        );
        assert_eq!((placement.pipeline(), placement.shard(0)), (None, None));
    }

    #[test]
    fn of_three_nodes_on_two_cores_the_leader_has_the_one_that_the_disk_leaves_alone() {
        for (interrupted, sides) in [(Some(4), (6, 4)), (Some(6), (4, 6)), (None, (4, 6))] {
            for node in 1..=3 {
                let placement = place(&on_one_host(node, ""), &flat([4, 6]), interrupted);
                let placement = placement.expect("nothing is listed");
                assert_eq!(placement.sides(), Some(sides));
                assert_eq!((placement.pipeline(), placement.shard(0)), (None, None));
            }
        }
    }

    #[test]
    fn nodes_on_one_host_share_no_core() {
        let taken = taken(1..=3, "", &flat(0..6));
        assert_eq!(taken, [[0, 1], [2, 3], [4, 5]]);
    }

    #[test]
    fn a_node_stays_near_its_memory_and_on_whole_cores() {
        // Core 0 is left alone, so the second place is the emptier one.
        let cores = two_sockets(4);
        assert_eq!(taken(1..=3, "", &cores), [[4, 5], [1, 2], [6, 7]]);
        // Three whole cores near each other are there once only: then the second hardware threads are used, too.
        let three = "[shards]\ncount = 2";
        let cores = two_sockets(3);
        assert_eq!(
            taken(1..=3, three, &cores),
            [[3, 4, 5], [1, 2, 6], [9, 10, 11]]
        );
        // No place has room for a whole node: they take what there is.
        let five = "[shards]\ncount = 4";
        let alone = config(1, ["a", "b", "c"], five);
        let placement = place(&alone, &two_sockets(2), None).expect("nothing is listed");
        assert_eq!(placement.pipeline(), Some(1));
    }

    #[test]
    fn lists_of_the_kernel_are_read() {
        assert_eq!(parse_list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_list(""), Some(Vec::new()));
        assert_eq!(parse_list("a"), None);
    }

    #[test]
    fn the_first_core_is_left_alone_where_another_is_free() {
        let alone = config(2, ["a", "b", "c"], "");
        let pinned = |pipeline, shard| Placement::Pinned {
            pipeline,
            shards: vec![shard],
        };
        assert_eq!(place(&alone, &flat([0, 1]), None), Ok(pinned(0, 1)));
        assert_eq!(place(&alone, &flat([0, 1, 2]), None), Ok(pinned(1, 2)));
        assert_eq!(place(&alone, &flat([4, 6, 8]), None), Ok(pinned(6, 8)));
    }

    #[test]
    fn a_list_is_taken_as_it_is_or_refused() {
        let listed = on_one_host(1, "pin = [3, 1]");
        let expected = Placement::Pinned {
            pipeline: 3,
            shards: vec![1],
        };
        assert_eq!(place(&listed, &flat(0..4), None), Ok(expected));
        let refusal = place(&listed, &flat([0, 1]), None).expect_err("core 3 is not there");
        assert!(refusal.to_string().contains("core 3"), "{refusal}");
    }

    #[test]
    fn off_is_off() {
        let off = config(1, ["a", "b", "c"], "pin = \"off\"");
        let placement = place(&off, &flat(0..4), None).expect("nothing is listed");
        assert_eq!(placement.to_string(), "not pinned: pin is off");
    }
}
