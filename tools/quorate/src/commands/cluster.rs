//! `quorate cluster`: a cluster of real processes on this host, for trying things out and for development.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use quorate_client::{ClusterName, NodeId};

use crate::Failure;
use crate::local::{Bond, Local, LocalError, LocalOptions, Ports};
use crate::status_view::{self, Row};
use crate::terminal;

/// How long a cluster may take to elect its first leader. Zero-filling the first segments is most of it.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// How long nodes may take to stop before they are killed.
const DOWN_WITHIN: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  quorate cluster up --dir /tmp/q                   three nodes: 127.0.0.1:9001 to 9003
  quorate cluster up --dir /tmp/q --ports auto      free ports
  quorate cluster up --dir /tmp/q                   again: starts those that are down
  quorate cluster status --dir /tmp/q --json
  quorate cluster down --dir /tmp/q                 the data stays

Files: DIR/node-N.toml (edit it, then down and up), DIR/node-N/ (data), DIR/node-N.log, DIR/node-N.pid.";

/// What to do with which cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the nodes that are not running, and wait until a leader takes events.
    Up(Up),
    /// Stop all nodes.
    Down(Place),
    /// Show how the nodes are.
    Status(StatusArgs),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The cluster's directory.
    #[arg(long, value_name = "DIR", env = "QUORATE_CLUSTER_DIR")]
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Up {
    #[command(flatten)]
    place: Place,
    /// How many nodes: 1, 3, 5 or 7. A new cluster has 3.
    #[arg(long, value_name = "COUNT", value_parser = ["1", "3", "5", "7"])]
    nodes: Option<String>,
    /// Ports of a new cluster: 9001.. for clients and 9101.. for peers, or free ones.
    #[arg(long, value_name = "HOW")]
    ports: Option<Ports>,
    /// Name of a new cluster: 1 to 16 printable characters. "local" if it is not said.
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    cluster: Option<ClusterName>,
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    place: Place,
    /// Print one JSON array with an object for each node.
    #[arg(long)]
    json: bool,
}

fn cluster_name(text: &str) -> Result<ClusterName, String> {
    ClusterName::new(text).ok_or_else(|| "a name is 1 to 16 printable characters".into())
}

/// Does it.
pub(crate) fn run(args: &Args, log_level: Option<&str>) -> Result<(), Failure> {
    match &args.command {
        Command::Up(args) => up(args, log_level),
        Command::Down(place) => down(&place.dir),
        Command::Status(args) => status(&args.place.dir, args.json),
    }
}

/// This program, which is also the node.
pub(super) fn executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new(format!("finding this program: {error}")))
}

fn up(args: &Up, log_level: Option<&str>) -> Result<(), Failure> {
    let dir = &args.place.dir;
    let mut local = match Local::open(dir, executable()?, log_level.map(Into::into)) {
        Ok(local) => {
            check_same(&local, args)?;
            local
        }
        Err(LocalError::NoCluster { .. }) => Local::create(dir, options(args, log_level)?)?,
        Err(error) => return Err(error.into()),
    };
    let mut started = local.start_all()?;
    let leader = match local.wait_serving(UP_WITHIN) {
        // It was just killed, and still there when it was looked for.
        Err(LocalError::NodeEnded { node, .. }) if !started.contains(&node) => {
            started.extend(local.start_all()?);
            local.wait_serving(UP_WITHIN)?
        }
        leader => leader?,
    };
    let addresses = local.addresses().join(",");
    terminal::print(&format!(
        "{} of {} nodes started; node {} leads; clients: {addresses}",
        started.len(),
        local.nodes().len(),
        leader.node,
    ));
    Ok(())
}

fn options(args: &Up, log_level: Option<&str>) -> Result<LocalOptions, Failure> {
    let usual = LocalOptions::new(executable()?);
    let nodes = args.nodes.as_deref().map(|nodes| {
        let nodes = nodes.parse();
        nodes.expect("the arguments take four numbers only")
    });
    Ok(LocalOptions {
        cluster: args.cluster.unwrap_or(usual.cluster),
        nodes: nodes.unwrap_or(usual.nodes),
        ports: args.ports.unwrap_or(Ports::Usual),
        bond: Bond::Detached,
        log_level: log_level.map(Into::into),
        ..usual
    })
}

/// The cluster that is there must be the one that was asked for, as far as anything was asked for. Its ports stay as they are.
fn check_same(local: &Local, args: &Up) -> Result<(), LocalError> {
    let spec = local.spec();
    let other = |what: String| {
        Err(LocalError::OtherCluster {
            dir: spec.dir.clone(),
            what,
        })
    };
    let count = spec.configs.len().to_string();
    if let Some(nodes) = args.nodes.as_ref().filter(|nodes| **nodes != count) {
        return other(format!("{count} nodes, not {nodes}"));
    }
    let name = spec.configs.first().map(|config| config.cluster);
    match (args.cluster, name) {
        (Some(asked), Some(name)) if asked != name => {
            other(format!("the name {name}, not {asked}"))
        }
        (_, _) => Ok(()),
    }
}

fn down(dir: &Path) -> Result<(), Failure> {
    let mut local = Local::open(dir, executable()?, None)?;
    let mut stopped = 0;
    for (node, ending) in local.stop_all(DOWN_WITHIN) {
        stopped += 1;
        if ending.is_none() {
            terminal::say(&format!(
                "node {node} did not stop within {} s and was killed; what it acknowledged is safe",
                DOWN_WITHIN.as_secs()
            ));
        }
    }
    terminal::print(&match stopped {
        0 => format!("no node of {} is running", dir.display()),
        stopped => format!("{stopped} of {} nodes stopped", local.nodes().len()),
    });
    Ok(())
}

/// How long `status` waits for who belongs to the group.
const MEMBERS_WITHIN: Duration = Duration::from_secs(1);

fn status(dir: &Path, json: bool) -> Result<(), Failure> {
    let local = Local::open(dir, executable()?, None)?;
    let row = |node: NodeId| Row {
        member: None,
        node: Some(node.0),
        address: local.address(node).to_owned(),
        process: local.process_id(node),
        status: local.status(node).map_err(|error| error.to_string()),
    };
    let mut rows: Vec<Row> = local.nodes().into_iter().map(row).collect();
    status_view::show_members(&mut rows, MEMBERS_WITHIN);
    if json {
        terminal::print_json(&rows.iter().map(Row::json).collect::<Vec<_>>());
    } else {
        terminal::print(&status_view::table(&rows).to_string());
    }
    Ok(())
}
