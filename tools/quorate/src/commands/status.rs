//! `quorate status`: how the nodes are.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_client::{ClientError, NodeId, Role, Status};

use super::nodes::Nodes;
use crate::status_view::{self, Row};
use crate::survey::survey;
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate status
  quorate status --nodes 10.0.0.1:9001          one is enough: it names the others
  quorate status --json | jq '.[] | select(.role == \"leader\").node'

Member says what the node is in the group: a voter or a learner; while voters change, those who will not vote after it are leaving, the others
stay (joint consensus). - is none, or is not known. Edition 1 (has 2): the group uses edition 1, and the node has 2.

Exit status 1 if no leader takes events.";

/// Whom to ask.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    nodes: Nodes,
    /// How long a node may take to answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    within: u64,
    /// Print one JSON array with an object for each node.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let within = Duration::from_millis(args.within);
    let mut addresses = args.nodes.nodes.clone();
    let mut answers = survey(&addresses, within);
    let others = unasked(&answers);
    answers.extend(survey(&others, within));
    addresses.extend(others);

    let mut rows = rows(addresses, answers);
    status_view::show_members(&mut rows, within);
    if args.json {
        terminal::print_json(&rows.iter().map(Row::json).collect::<Vec<_>>());
    } else {
        terminal::print(&status_view::table(&rows).to_string());
        for row in &rows {
            if let Err(error) = &row.status {
                terminal::say(&format!("{}: {error}", row.address));
            }
        }
    }
    check(&rows)
}

/// The addresses of nodes that others name and that were not asked, whatever their name.
fn unasked(answers: &[Result<Status, ClientError>]) -> Vec<String> {
    let statuses = || answers.iter().flatten();
    let asked: BTreeSet<NodeId> = statuses().map(|status| status.node).collect();
    let failed: BTreeSet<&str> = answers
        .iter()
        .filter_map(|answer| match answer {
            Err(ClientError::Unreachable { nodes, .. }) => nodes.first().map(String::as_str),
            Err(_) | Ok(_) => None,
        })
        .collect();
    let named = statuses().flat_map(|status| &status.nodes);
    let unasked: BTreeSet<&str> = named
        .filter(|(node, address)| !asked.contains(node) && !failed.contains(address.as_str()))
        .map(|(_, address)| address.as_str())
        .collect();
    unasked.into_iter().map(str::to_owned).collect()
}

/// A row for each answer, nodes in order, each once. One that does not answer has the id under which others name its address.
fn rows(addresses: Vec<String>, answers: Vec<Result<Status, ClientError>>) -> Vec<Row> {
    let named: Vec<(NodeId, String)> = answers
        .iter()
        .flatten()
        .flat_map(|status| status.nodes.clone())
        .collect();
    let mut seen = BTreeSet::new();
    let mut rows: Vec<Row> = Vec::new();
    for (address, answer) in addresses.into_iter().zip(answers) {
        let id = match &answer {
            Ok(status) => Some(status.node),
            Err(_) => named
                .iter()
                .find(|(_, named)| *named == address)
                .map(|(node, _)| *node),
        };
        if id.is_none_or(|id| seen.insert(id)) {
            rows.push(Row {
                node: id.map(|id| id.0),
                address,
                process: None,
                member: None,
                status: answer.map_err(|error| error.to_string()),
            });
        }
    }
    rows.sort_by_key(|row| (row.node.is_none(), row.node));
    rows
}

fn check(rows: &[Row]) -> Result<(), Failure> {
    let mut statuses = rows.iter().filter_map(|row| row.status.as_ref().ok());
    if statuses.any(|status| status.role == Role::Leader && status.serves) {
        return Ok(());
    }
    let up = rows.iter().filter(|row| row.status.is_ok()).count();
    let failure = Failure::new(format!(
        "no leader takes events ({up} of {} nodes answer)",
        rows.len()
    ));
    Err(failure.cure("start nodes until a majority is up, and look at their logs; docs/errors.md lists all codes"))
}

#[cfg(test)]
mod tests {
    use quorate_client::{ClientError, LinkCause, NodeId, Role, Status};

    use super::{check, rows, unasked};
    use crate::status_view::sample::with_committed;

    fn status(node: u32, role: Role) -> Status {
        Status {
            node: NodeId(node),
            role,
            serves: role == Role::Leader,
            nodes: (1..=3)
                .map(|node| (NodeId(node), format!("n{node}:1")))
                .collect(),
            ..with_committed(0)
        }
    }

    fn down(address: &str) -> ClientError {
        ClientError::Unreachable {
            nodes: vec![address.into()],
            last: LinkCause::Closed,
        }
    }

    #[test]
    fn nodes_that_others_name_are_asked_too() {
        let answers = [Ok(status(1, Role::Follower)), Err(down("n2:1"))];
        assert_eq!(unasked(&answers), ["n3:1"]);
        assert!(unasked(&[Err(down("n2:1"))]).is_empty());
    }

    #[test]
    fn each_node_has_one_row() {
        let addresses = ["n3:1", "localhost:3", "n1:1", "n9:1"].map(str::to_owned);
        let answers = vec![
            Ok(status(3, Role::Leader)),
            Ok(status(3, Role::Leader)),
            Err(down("n1:1")),
            Err(down("n9:1")),
        ];
        let rows = rows(addresses.to_vec(), answers);
        let ids: Vec<_> = rows.iter().map(|row| row.node).collect();
        assert_eq!(ids, [Some(1), Some(3), None]);
        assert!(check(&rows).is_ok());
    }

    #[test]
    fn without_a_leader_that_serves_it_fails() {
        let one = |status| rows(vec!["n1:1".into()], vec![Ok(status)]);
        assert!(check(&one(status(1, Role::Leader))).is_ok());
        assert!(check(&one(status(1, Role::Follower))).is_err());
        let forming = Status {
            serves: false,
            ..status(1, Role::Leader)
        };
        let failure = check(&one(forming)).expect_err("it does not serve yet");
        assert_eq!(failure.status(), 1);
        assert!(failure.to_string().contains("1 of 1"), "{failure}");
    }
}
