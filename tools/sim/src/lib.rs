//! The deterministic simulator: the true pipeline of several nodes over virtual disks, links, lanes and clocks, which fail when
//! they are told to. One seed makes one world.
//!
//! Owns: virtual parts, worlds, and the oracle that watches them. Never: a real file, a real clock, a thread. Called by: tests.
#![forbid(unsafe_code)]

mod chunks;
mod clients;
mod clock;
mod consumer;
mod damage;
mod disk;
mod faults;
mod group;
mod history;
mod id_source;
mod lanes;
mod member;
mod network;
mod node;
mod operator;
mod options;
mod oracle;
mod plan;
mod producer;
mod random;
mod run;
mod schedule;
mod seam;
mod shard;
mod slow_disk;
mod stream;
mod terminal;
mod trace;
mod wires;
mod world;

pub use chunks::{ChunkWeather, make as make_chunk};
pub use clients::Clients;
pub use clock::{Clocks, NodeClock};
pub use consumer::Consumer;
pub use damage::Damage;
pub use disk::{Content, Disk, Sector};
pub use faults::Faults;
pub use group::Group;
pub use history::{Append, Freshness, History, Read, Reader};
pub use id_source::IdSource;
pub use lanes::MemoryLanes;
pub use member::{GroupMember, consumer_group};
pub use network::{Network, NetworkWeather, Port};
pub use node::Node;
pub use options::Options;
pub use oracle::{EventIds, Members, Oracle, Owners};
pub use plan::{Entry, Fault, Harm, Plan};
pub use producer::{Producer, ProducerPlan};
pub use random::Random;
pub use run::{Case, Outcome, Profile, Violation, recover, run};
pub use schedule::Schedule;
pub use seam::MemorySeam;
pub use shard::Shard;
pub use slow_disk::{DiskWeather, SlowDisk};
pub use terminal::{Terminal, address};
pub use trace::{Column, Keep, Trace};
pub use wires::{Arrival, Heard, Way, WireId, WireWeather, Wires};
pub use world::{Summary, World};
