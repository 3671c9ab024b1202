//! `quorate admin`: who belongs to the group, and who leads it.

use std::time::Duration;

use clap::Subcommand;
use quorate_client::{Group, NodeId};
use serde::Serialize;

use super::nodes::Nodes;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate admin members                 who belongs to the group, and how far each of them is
  quorate admin transfer                another node leads, before this one is taken out of service
  quorate admin transfer 3              node 3 leads

A node that is stopped with SIGTERM hands its lead over by itself.";

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
    /// How long it may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    within: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
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
    voter: bool,
    up: bool,
    durable_index: u64,
    address: Option<String>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (What::Members { common } | What::Transfer { common, .. }) = &args.what;
    let within = Duration::from_millis(common.within);
    let nodes = &common.nodes.nodes;
    let group = match args.what {
        What::Members { .. } => quorate_client::members(nodes, within)?,
        What::Transfer { to, .. } => quorate_client::transfer(nodes, to.map(NodeId), within)?,
    };
    if common.json {
        terminal::print_json(&json(&group));
    } else {
        terminal::print(&table(&group).to_string());
    }
    Ok(())
}

fn json(group: &Group) -> GroupJson {
    let members = group.members.iter().map(|member| MemberJson {
        node: member.node.0,
        voter: member.voter,
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
        let role = match (leads(member.node), member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "learner",
        };
        let durable = if knows(member.node) {
            thousands(member.durable.0)
        } else {
            "-".to_owned()
        };
        table.row([
            member.node.to_string(),
            member.address.clone().unwrap_or_else(|| "-".to_owned()),
            role.to_owned(),
            if member.up { "yes" } else { "no" }.to_owned(),
            durable,
        ]);
    }
    table
}
