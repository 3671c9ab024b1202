//! A cluster of real node processes on this host: what `cluster`, `demo`, `bench` and the process tests drive.
//!
//! ```text
//! DIR/node-1.toml   configuration        DIR/node-1/      data directory
//! DIR/node-1.log    standard error       DIR/node-1.pid   process id and start time, of a detached node
//! ```
//!
//! Owns: configuration files, ports, processes and their end. Never: talks to a node other than by its client port and by
//! signals. A node process is bound to its maker in one of two ways, see [`Bond`].
mod cluster;
mod error;
mod hosts;
mod ports;
mod process;
mod spec;
mod stock;

pub use cluster::{Local, LocalOptions};
pub use error::LocalError;
pub use hosts::Hosts;
pub use ports::{Ports, free_addresses};
pub use process::{Bond, Ending, Process};
pub use spec::{NodePaths, Spec};
