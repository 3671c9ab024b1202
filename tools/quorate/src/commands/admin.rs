//! `quorate admin`: who belongs to the group, and who leads it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use clap::Subcommand;
use quorate_client::{Change, ClientError, Group, MemberRole, NodeId};
use serde::Serialize;

use super::nodes::Nodes;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate admin members                 who belongs to the group, and how far each of them is
  quorate admin transfer                another node leads, before this one is taken out of service
  quorate admin transfer 3              node 3 leads
  quorate admin add 4 --address 10.0.0.4:9104 --client-address 10.0.0.4:9004
                                        node 4, which runs with `join = true`, gets the log
  quorate admin promote 4               and votes, once it has caught up
  quorate admin remove 1                node 1 is no member any more
  quorate admin replace 3 5 --address 10.0.0.5:9105
                                        node 5 is added, catches up, and takes the place of node 3

An id is used once: a node that comes new has a higher one than all before it. A node that is stopped with SIGTERM hands its lead over
by itself.";

/// How long a question or a hand-over may take, in milliseconds.
const SHORT_MS: u64 = 5_000;

/// How long a change of the members may take, in milliseconds: a learner has to catch up.
const LONG_MS: u64 = 60_000;

/// What to do, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// Whom to ask, and how.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    nodes: Nodes,
    /// How long it may take, in milliseconds [default: 5000; where the members change, 60000].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    within: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where a node that is added is.
#[derive(Debug, clap::Args)]
struct Place {
    /// Where the other nodes find it, `host:port`; the log keeps the IP address.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Where clients find it [default: the same host, port 9000 and the node's id].
    #[arg(long, value_name = "HOST:PORT")]
    client_address: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show who belongs to the group.
    Members {
        #[command(flatten)]
        common: Common,
    },
    /// Have the leader hand its lead over; returns when another node leads.
    Transfer {
        /// To this node; else to the one that has the most.
        #[arg(value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
        to: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Add a node that runs with `join = true`: it gets the log, and does not vote.
    Add {
        /// The node.
        #[arg(value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
        node: u32,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// Make a voter of a node that was added, once it has caught up.
    Promote {
        /// The node.
        #[arg(value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
        node: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a node from the group.
    Remove {
        /// The node.
        #[arg(value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
        node: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Put a new node in the place of another one, which may be lost.
    Replace {
        /// The node that goes.
        #[arg(value_name = "OLD", value_parser = clap::value_parser!(u32).range(1..))]
        old: u32,
        /// The node that comes, and runs with `join = true`.
        #[arg(value_name = "NEW", value_parser = clap::value_parser!(u32).range(1..))]
        new: u32,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Serialize)]
struct GroupJson {
    leader: Option<u32>,
    term: u64,
    members: Vec<MemberJson>,
}

#[derive(Debug, Serialize)]
struct MemberJson {
    node: u32,
    role: &'static str,
    voter: bool,
    up: bool,
    durable_index: u64,
    address: Option<String>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (What::Members { common }
    | What::Transfer { common, .. }
    | What::Add { common, .. }
    | What::Promote { common, .. }
    | What::Remove { common, .. }
    | What::Replace { common, .. }) = &args.what;
    let nodes = &common.nodes.nodes;
    let within = |default| Duration::from_millis(common.within.unwrap_or(default));
    let change = |it, what: &str| change(nodes, it, within(LONG_MS), what);
    let known = |node: &u32| format!("the change of node {node}");
    let new = |node: &u32, place: &Place| format!("node {node} at {}", place.address);
    let group = match &args.what {
        What::Members { .. } => quorate_client::members(nodes, within(SHORT_MS))?,
        What::Transfer { to, .. } => {
            quorate_client::transfer(nodes, to.map(NodeId), within(SHORT_MS))?
        }
        What::Add { node, place, .. } => change(addition(*node, place)?, &new(node, place))?,
        What::Promote { node, .. } => {
            let promote = Change::Promote {
                node: NodeId(*node),
            };
            change(promote, &known(node))?
        }
        What::Remove { node, .. } => {
            let remove = Change::Remove {
                node: NodeId(*node),
            };
            change(remove, &known(node))?
        }
        What::Replace {
            old,
            new: by,
            place,
            ..
        } => {
            let deadline = Instant::now() + within(LONG_MS);
            change(addition(*by, place)?, &new(by, place))?;
            let left = deadline.saturating_duration_since(Instant::now());
            let (old, new) = (NodeId(*old), NodeId(*by));
            self::change(nodes, Change::Replace { old, new }, left, &known(by))?
        }
    };
    if common.json {
        terminal::print_json(&json(&group));
    } else {
        terminal::print(&table(&group).to_string());
    }
    Ok(())
}

/// Has it changed, and says on the way for what that waits.
fn change(
    nodes: &[String],
    change: Change,
    within: Duration,
    what: &str,
) -> Result<Group, ClientError> {
    let mut told = None;
    quorate_client::change_and_tell(nodes, change, within, &mut |why| {
        if told != why.code() {
            told = why.code();
            terminal::say(&format!("{what} waits: {why}"));
        }
    })
}

fn addition(node: u32, place: &Place) -> Result<Change, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("{}: {why}", place.address))
            .cure("an address is HOST:PORT, such as 10.0.0.4:9104")
    };
    let found = place.address.to_socket_addrs();
    let found = found.map_err(|error| wrong(&error.to_string()))?.next();
    let peer: SocketAddr = found.ok_or_else(|| wrong("no such host"))?;
    let client = place.client_address.clone().unwrap_or_else(|| {
        let host = place.address.rsplit_once(':').map_or("", |split| split.0);
        format!("{host}:{}", 9000 + node)
    });
    quorate_client::addition(NodeId(node), peer, &client)
        .ok_or_else(|| Failure::usage(format!("{client}: too long for an address")))
}

/// What a member is, as it is shown.
pub(crate) const fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Learner => "learner",
        MemberRole::Voter => "voter",
        MemberRole::Leaving => "voter, leaving",
        MemberRole::Staying => "voter, staying",
    }
}

fn json(group: &Group) -> GroupJson {
    let members = group.members.iter().map(|member| MemberJson {
        node: member.node.0,
        role: role(member.role),
        voter: member.role.votes(),
        up: member.up,
        durable_index: member.durable.0,
        address: member.address.clone(),
    });
    GroupJson {
        leader: group.leader.map(|leader| leader.0),
        term: group.term.0,
        members: members.collect(),
    }
}

fn table(group: &Group) -> Table {
    let mut table = Table::with_headings(&[
        "node",
        "client address",
        "role",
        "connected",
        "durable index",
    ]);
    let leads = |node| group.leader == Some(node);
    // Who does not lead knows of itself alone how far it is.
    let knows = |node| leads(group.node) || node == group.node;
    for member in &group.members {
        let role = match (leads(member.node), member.role) {
            (true, MemberRole::Voter) => "leader".to_owned(),
            (true, other) => format!("leader, {}", role(other)),
            (false, other) => role(other).to_owned(),
        };
        let durable = if knows(member.node) {
            thousands(member.durable.0)
        } else {
            "-".to_owned()
        };
        table.row([
            member.node.to_string(),
            member.address.clone().unwrap_or_else(|| "-".to_owned()),
            role,
            if member.up { "yes" } else { "no" }.to_owned(),
            durable,
        ]);
    }
    table
}
