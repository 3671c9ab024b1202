//! `quorate audit`: holds the replicas against each other while they run.

mod full;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use quorate_client::{AuditMark, Audited, ClientError, LogIndex, NodeId};
use quorate_wire::limits::AUDIT_APART;
use serde::Serialize;

use super::nodes::Nodes;
use crate::interrupt::Interrupt;
use crate::survey::survey;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

/// Between two attempts to find a record that all nodes know of.
const REST: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  quorate audit                                 digests and hash chains, at a record that all nodes have applied
  quorate audit --full                          each record of each node too, byte by byte
  quorate audit --nodes 10.0.0.1:9001 --json    one node names the others

The cluster goes on meanwhile. A record carries the checksum of the one before it, so equal checksums at one record mean equal
records up to there, as they were applied; the digest is of the state that they made. --full reads what all nodes have now.

Exit status 1 if nodes differ, or if one does not answer.";

/// Whom to hold against whom.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    nodes: Nodes,
    /// Read all records from all nodes, and compare each.
    #[arg(long)]
    full: bool,
    /// How many seconds the nodes may take to answer, and to come to a record that all have applied.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A node that takes part.
#[derive(Clone, Debug)]
struct Replica {
    node: NodeId,
    address: String,
}

/// What came of it. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
struct Summary {
    /// The record at which digests and chains were compared.
    index: u64,
    nodes: Vec<Row>,
    /// Records that were compared byte by byte on all nodes; none without `--full`.
    records: Option<u64>,
    /// The first offset that all nodes had, from which records were compared; none without `--full`.
    from: Option<u64>,
    equal: bool,
    /// What differs, in words.
    differences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    node: u32,
    address: String,
    applied: u64,
    digest: String,
    header_crc: String,
    differs: bool,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let patience = Duration::from_secs(args.patience);
    let replicas = find(args, patience)?;
    let (index, answers) = common(&replicas, patience, &interrupt)?;
    let usual = majority(answers.iter().map(|(_, mark)| *mark));
    let mut differences = Vec::new();
    let mut nodes = Vec::new();
    for (replica, (audited, mark)) in replicas.iter().zip(&answers) {
        let differs = *mark != usual;
        if differs {
            differences.push(describe(
                replica,
                (index, *mark),
                &replicas,
                usual,
                patience,
            )?);
        }
        nodes.push(Row {
            node: replica.node.0,
            address: replica.address.clone(),
            applied: audited.applied.0,
            digest: format!("{:016x}", mark.digest),
            header_crc: format!("{:08x}", mark.header_crc),
            differs,
        });
    }
    let (mut records, mut from) = (None, None);
    if args.full {
        let compared = full::compare(&replicas, patience, &interrupt)?;
        (records, from) = (Some(compared.records), Some(compared.begin.0));
        differences.extend(compared.differences);
    }
    let summary = Summary {
        index: index.0,
        nodes,
        records,
        from,
        equal: differences.is_empty(),
        differences,
    };
    if args.json {
        terminal::print_json(&summary);
    } else {
        summary.print();
    }
    summary.judge()
}

/// All nodes of the cluster, also those that do not answer: none may be left out.
fn find(args: &Args, patience: Duration) -> Result<Vec<Replica>, Failure> {
    let addresses = &args.nodes.nodes;
    let mut found = BTreeMap::new();
    let mut named = BTreeMap::new();
    let mut trouble = None;
    for (address, answer) in addresses.iter().zip(survey(addresses, patience)) {
        match answer {
            Ok(status) => {
                found.insert(status.node, address.clone());
                named.extend(status.nodes);
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    match trouble {
        Some(error) if found.is_empty() => return Err(error.into()),
        Some(_) | None => {}
    }
    named.extend(found);
    let replicas = named.into_iter();
    let replicas = replicas.map(|(node, address)| Replica { node, address });
    Ok(members(replicas.collect(), patience))
}

/// Those that belong to the group, as it says itself: a removed node that still runs has an older log. All, where the group says
/// nothing.
fn members(replicas: Vec<Replica>, patience: Duration) -> Vec<Replica> {
    let addresses: Vec<String> = replicas.iter().map(|it| it.address.clone()).collect();
    let Ok(group) = quorate_client::members(&addresses, patience) else {
        return replicas;
    };
    let belongs = |it: &Replica| group.members.iter().any(|member| member.node == it.node);
    let (members, others): (Vec<_>, Vec<_>) = replicas.into_iter().partition(belongs);
    for Replica { node, address } in others {
        terminal::say(&format!(
            "node {node} at {address} is no member of the group: it is left out"
        ));
    }
    members
}

/// Asks all nodes about one record.
fn ask(
    replicas: &[Replica],
    index: LogIndex,
    patience: Duration,
) -> Result<Vec<Audited>, ClientError> {
    thread::scope(|scope| {
        let asked: Vec<_> = replicas
            .iter()
            .map(|it| scope.spawn(move || quorate_client::audit(&it.address, index, patience)))
            .collect();
        asked
            .into_iter()
            .map(|answer| answer.join().expect("asking does not panic"))
            .collect()
    })
}

/// A record that all nodes know of, and what they say of it.
fn common(
    replicas: &[Replica],
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<(LogIndex, Vec<(Audited, AuditMark)>), Failure> {
    let until = Instant::now() + patience;
    loop {
        let newest = ask(replicas, LogIndex(0), patience)?;
        let applied = newest.iter().map(|it| it.applied).min();
        let applied = applied.unwrap_or(LogIndex(0));
        // By now others may have gone so far ahead that they know of one record in many only.
        for index in [applied, LogIndex(applied.0 / AUDIT_APART * AUDIT_APART)] {
            if index.0 > 0
                && let Some(all) = known(&ask(replicas, index, patience)?)
            {
                return Ok((index, all));
            }
        }
        if interrupt.is_asked() {
            return Err(Failure::interrupted());
        }
        if Instant::now() >= until {
            let failure = Failure::new(format!(
                "no record that all nodes know of: the last that all have applied is {}",
                thousands(applied.0)
            ));
            return Err(failure.cure("`quorate status` shows which node is behind; wait for it"));
        }
        thread::sleep(REST);
    }
}

/// What all nodes say, if all know.
fn known(answers: &[Audited]) -> Option<Vec<(Audited, AuditMark)>> {
    let with_mark = |it: &Audited| Some((*it, it.mark?));
    answers.iter().map(with_mark).collect()
}

/// What most nodes say; of equally many, one that is always the same.
fn majority(marks: impl Iterator<Item = AuditMark>) -> AuditMark {
    let mut votes = BTreeMap::<AuditMark, usize>::new();
    for mark in marks {
        *votes.entry(mark).or_default() += 1;
    }
    let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
    most.map(|(mark, _)| mark).expect("there are nodes")
}

/// Says how a node differs, and since when as far as is known.
fn describe(
    replica: &Replica,
    (index, mark): (LogIndex, AuditMark),
    replicas: &[Replica],
    usual: AuditMark,
    patience: Duration,
) -> Result<String, ClientError> {
    let what = if mark.header_crc == usual.header_crc {
        "has the same log and another state"
    } else {
        "has another log"
    };
    // Equal at one, it was equal at all before.
    let (mut equal, mut differs) = (0, index.0.div_ceil(AUDIT_APART));
    while differs - equal > 1 {
        let middle = equal.midpoint(differs);
        let answers = ask(replicas, LogIndex(middle * AUDIT_APART), patience)?;
        let Some(all) = known(&answers) else {
            // Further back nobody knows.
            equal = middle;
            continue;
        };
        let usual = majority(all.iter().map(|(_, mark)| *mark));
        let mut pairs = replicas.iter().zip(&all);
        let own = pairs.find(|(other, _)| other.node == replica.node);
        if own.is_some_and(|(_, (_, mark))| *mark == usual) {
            equal = middle;
        } else {
            differs = middle;
        }
    }
    let last = index.0.min(differs * AUDIT_APART);
    Ok(format!(
        "node {} {what} at record {}",
        replica.node,
        thousands(last)
    ))
}

impl Summary {
    fn print(&self) {
        let headings = ["node", "address", "applied", "digest", "chain", ""];
        let mut table = Table::with_headings(&headings);
        for row in &self.nodes {
            table.row([
                row.node.to_string(),
                row.address.clone(),
                thousands(row.applied),
                row.digest.clone(),
                row.header_crc.clone(),
                if row.differs { "differs" } else { "" }.to_owned(),
            ]);
        }
        terminal::print(&format!(
            "{table}\ncompared at record {}{}",
            thousands(self.index),
            self.records
                .zip(self.from)
                .map_or_else(String::new, |(records, from)| format!(
                    ", and {} records from offset {} on byte by byte",
                    thousands(records),
                    thousands(from)
                ))
        ));
    }

    fn judge(&self) -> Result<(), Failure> {
        if self.equal {
            return Ok(());
        }
        let failure = Failure::new(self.differences.join("; "));
        Err(failure.cure(
            "stop the node that differs and keep its directory; `quorate log verify DIR` looks at its log",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditMark, majority};

    #[test]
    fn what_most_nodes_say_is_what_the_others_are_held_against() {
        let mark = |digest| AuditMark {
            digest,
            header_crc: 1,
        };
        for marks in [[1, 1, 2], [1, 2, 1], [2, 1, 1]] {
            assert_eq!(majority(marks.into_iter().map(mark)), mark(1));
        }
    }
}
