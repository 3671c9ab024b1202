//! `quorate groups`: the consumer groups, their members, and how far they are.

use std::time::Duration;

use quorate_client::{ConsumerOptions, GroupStanding, Name, Names, Slot};
use serde::Serialize;

use super::nodes::{Nodes, name};
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate groups
  quorate groups billing --json | jq '.[0].members'
  quorate groups billing --delete               once its members have left

Done is the lowest offset of the slots: everything below it is done. Behind counts the events from there to the end of what is
committed, of all slots: an upper bound of what is left. All that was acknowledged before is in it, but with --stale.";

/// Which to show.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    nodes: Nodes,
    /// This consumer group alone.
    #[arg(value_name = "NAME", value_parser = name)]
    group: Option<Name>,
    /// Give up when no node answers for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Take what the first node that answers knows, also while nobody leads: it may lag behind.
    #[arg(long)]
    stale: bool,
    /// Forget the named consumer group, which must have no members: what it has done is lost.
    #[cfg(feature = "edition-2")]
    #[arg(long, requires = "group", conflicts_with_all = ["stale", "json"])]
    delete: bool,
    /// Print one JSON array with an object for each consumer group.
    #[arg(long)]
    json: bool,
}

/// A consumer group in JSON.
#[derive(Debug, Serialize)]
struct GroupJson {
    name: String,
    generation: u64,
    committed: u64,
    /// Of each slot, the offset below which everything is done.
    offsets: Vec<u64>,
    members: Vec<MemberJson>,
}

#[derive(Debug, Serialize)]
struct MemberJson {
    member: String,
    slots: Vec<usize>,
    session_ms: u32,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut options = ConsumerOptions::new(&args.nodes.nodes);
    options.patience = Duration::from_secs(args.patience);
    let mut names = match args.stale {
        true => Names::stale(&options)?,
        false => Names::new(&options)?,
    };
    #[cfg(feature = "edition-2")]
    if let (true, Some(name)) = (args.delete, args.group) {
        return match names.delete_consumer_group(name)? {
            true => Ok(()),
            false => Err(no_group(name)),
        };
    }
    let groups = match args.group {
        Some(name) => vec![names.consumer_group(name)?.ok_or_else(|| no_group(name))?],
        None => all(&mut names)?,
    };
    if args.json {
        terminal::print_json(&groups.iter().map(json).collect::<Vec<_>>());
    } else {
        terminal::print(&table(&groups).to_string());
    }
    Ok(())
}

fn no_group(name: Name) -> Failure {
    Failure::new(format!("there is no consumer group {name}"))
        .cure("quorate groups shows those that there are")
}

fn all(names: &mut Names) -> Result<Vec<GroupStanding>, Failure> {
    let mut groups: Vec<GroupStanding> = Vec::new();
    while let Some(group) = names.consumer_group_after(groups.last().map(|group| group.name))? {
        groups.push(group);
    }
    Ok(groups)
}

fn json(group: &GroupStanding) -> GroupJson {
    GroupJson {
        name: group.name.to_string(),
        generation: group.generation.0,
        committed: group.committed.0,
        offsets: group.offsets.iter().map(|offset| offset.0).collect(),
        members: (group.members.iter())
            .map(|member| MemberJson {
                member: format!("{:016x}", member.member.0),
                slots: member.slots.iter().map(Slot::number).collect(),
                session_ms: member.session_ms,
            })
            .collect(),
    }
}

fn table(groups: &[GroupStanding]) -> Table {
    let headings = ["group", "generation", "member", "slots", "done", "behind"];
    let mut table = Table::with_headings(&headings);
    for group in groups {
        let mut row = |member: String, slots: String, done: u64| {
            table.row([
                group.name.to_string(),
                group.generation.to_string(),
                member,
                slots,
                thousands(done),
                thousands(group.committed.0.saturating_sub(done)),
            ]);
        };
        if group.members.is_empty() {
            let done = group.offsets.iter().min();
            row("-".into(), "-".into(), done.map_or(0, |done| done.0));
        }
        for member in &group.members {
            let own = Slot::all().zip(&group.offsets);
            let done = own.filter(|(slot, _)| member.slots.has(*slot));
            let done = done.map(|(_, done)| done.0).min().unwrap_or(0);
            let name = format!("{:016x}", member.member.0);
            row(name, member.slots.to_string(), done);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use quorate_client::{Generation, GroupMember, MemberId, Offset, Slots};

    use super::*;

    #[test]
    fn each_member_has_a_row_and_a_group_without_members_too() {
        let mut offsets = [Offset(50); 64];
        offsets[1] = Offset(7);
        let mut group = GroupStanding {
            name: Name::new("billing").expect("it is a name"),
            generation: Generation(3),
            committed: Offset(1050),
            offsets,
            members: vec![GroupMember {
                member: MemberId(0xab),
                slots: Slots(u64::MAX - 2),
                session_ms: 1000,
            }],
        };
        let text = table(std::slice::from_ref(&group)).to_string();
        let row = text.lines().nth(1).expect("a row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        let expected = ["billing", "3", "00000000000000ab", "0,2-63", "50", "1,000"];
        assert_eq!(cells, expected);
        assert_eq!(json(&group).members[0].slots.len(), 63);
        group.members.clear();
        let text = table(&[group]).to_string();
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|row| row.ends_with("1,043")),
            "{text}"
        );
    }
}
