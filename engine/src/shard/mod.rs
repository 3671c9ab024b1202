//! A shard: the thread that faces clients.
//!
//! ```text
//!  acceptor thread --- sockets ---> doorman
//!                                     | a reader and a writer for each connection
//!  client -- bytes --> reader -- gate -- desk (bounds, tickets) -- lane --> pipeline
//!  client <-- one write a turn -- writer <-- output <-- pump <----- lane ---'
//!                                     sweeper: a timer only while some client is late
//! ```
//!
//! Owns: client connections, and every check and bound between a client's bytes and the pipeline. Never: looks into the log,
//! waits for a disk, or runs when there is nothing to do. Called by: the node, which starts the threads and stops them.

mod acceptor;
mod bell;
mod connection;
mod connections;
mod counters;
mod desk;
mod executor;
mod feed;
mod inbox;
mod reader;
mod tasks;
mod writer;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_replication::gate::{Gate, Greeting};
use quorate_replication::lane::ShardId;
use quorate_wire::{ClusterName, NodeId};
use rustix::thread::{Pid, gettid};

use self::acceptor::{Door, Knock};
use self::desk::Desk;
use self::executor::Executor;
use crate::config::{Config, Limits};
use crate::lane::ShardLane;
use crate::pin;

pub use self::acceptor::{Acceptor, Hall, Listener};
pub use self::counters::{Counter, Counters};

/// What a shard is told at its start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard of the node.
    pub shard: ShardId,
    /// Its core, if it has one.
    pub core: Option<usize>,
    /// The cluster.
    pub cluster: ClusterName,
    /// This node.
    pub node: NodeId,
    /// All nodes, and where clients find them.
    pub nodes: Vec<(NodeId, String)>,
    /// Bounds towards clients.
    pub limits: Limits,
    /// How long it looks for more after an answer before it sleeps, if it has a core.
    pub spin: Duration,
}

impl ShardConfig {
    /// What a shard is told by a node's configuration.
    #[must_use]
    pub fn new(config: &Config, shard: ShardId, core: Option<usize>) -> Self {
        let nodes = config.nodes.iter();
        Self {
            shard,
            core,
            cluster: config.cluster,
            node: config.node,
            nodes: nodes.map(|node| (node.id, node.client.clone())).collect(),
            limits: config.limits.clone(),
            spin: Duration::from_micros(config.shards.spin_us),
        }
    }

    fn desk(self, lane: ShardLane, counters: Arc<Counters>) -> Desk {
        let limits = self.limits;
        let gate = Gate {
            cluster: self.cluster,
            fetch_wait_ms: limits.fetch_wait_ms,
        };
        let greeting = Greeting::new(
            self.cluster,
            self.node,
            &self.nodes,
            limits.connection_bytes,
            limits.connection_requests,
        );
        Desk::new(gate, greeting, limits, counters, lane)
    }
}

/// A shard that runs. It ends when it is told to, or when its pipeline is gone and it is told to.
#[derive(Debug)]
pub struct Shard {
    thread: JoinHandle<()>,
    id: Pid,
    knock: Arc<Knock>,
    counters: Arc<Counters>,
}

impl Shard {
    /// Starts a shard's thread. Clients come through the [`Hall`].
    ///
    /// # Errors
    /// The operating system has no thread or no ring for it.
    ///
    /// # Panics
    /// The thread could not say whether it started.
    pub fn start(config: ShardConfig, lane: ShardLane) -> io::Result<(Self, Hall)> {
        let (hall, door, knock) = acceptor::way_in();
        let counters = Arc::<Counters>::default();
        let (started, starting) = channel();
        let of_thread = Arc::clone(&counters);
        let name = format!("shard-{}", config.shard.0);
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || run(&name, config, lane, door, of_thread, &started))?;
        let id = starting.recv().expect("a thread says how its start went")?;
        let shard = Self {
            thread,
            id,
            knock,
            counters,
        };
        Ok((shard, hall))
    }

    /// Its thread, by the kernel's name.
    #[must_use]
    pub const fn id(&self) -> Pid {
        self.id
    }

    /// Its counters.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Tells it to stop: nobody else is let in, no new chunk or fetch is taken, the answers in flight are waited for as long as
    /// the configuration says, and the clients are let go. [`Shard::join`] waits for the end of that.
    pub fn stop(&self) {
        self.knock.close();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// The shard did.
    pub fn join(self) {
        self.thread.join().expect("a shard ends without a panic");
    }
}

fn run(
    name: &str,
    config: ShardConfig,
    lane: ShardLane,
    door: Door,
    counters: Arc<Counters>,
    started: &Sender<io::Result<Pid>>,
) {
    if let Some(core) = config.core
        && !pin::apply(core)
    {
        tracing::warn!(name, core, "cannot be pinned to its core");
    }
    let executor = match Executor::new() {
        Ok(executor) => executor,
        Err(error) => {
            // Whoever started the shard waits for this.
            let _ = started.send(Err(error));
            return;
        }
    };
    let spin = config.core.map_or(Duration::ZERO, |_| config.spin);
    let desk = Rc::new(config.desk(lane, counters));
    let _ = started.send(Ok(gettid()));
    executor.run(async move {
        executor::spawn(tasks::pump(Rc::clone(&desk), spin));
        executor::spawn(tasks::sweep(Rc::clone(&desk)));
        tasks::doorman(Rc::clone(&desk), door).await;
        tasks::stop(&desk).await;
    });
}
