//! How nodes are, as a table and as JSON.

use std::time::Duration;

use quorate_client::{MemberRole, Status};
use serde::Serialize;

use crate::commands::admin::role;
use crate::table::{Table, thousands};

/// One node's row: what it says of itself, or that it does not answer.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its id, as far as it is known.
    pub(crate) node: Option<u32>,
    /// Where it was asked.
    pub(crate) address: String,
    /// Its process, if it is one of ours and runs.
    pub(crate) process: Option<u32>,
    /// What it is in the group, as the leader says, or another node while there is none.
    pub(crate) member: Option<MemberRole>,
    /// What it says, or why it says nothing.
    pub(crate) status: Result<Status, String>,
}

/// A row in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct RowJson<'a> {
    node: Option<u32>,
    address: &'a str,
    process: Option<u32>,
    member: Option<&'static str>,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    status: Option<StatusJson>,
}

#[derive(Debug, Serialize)]
struct StatusJson {
    cluster: String,
    role: &'static str,
    serves: bool,
    leader: Option<u32>,
    term: u64,
    last_index: u64,
    durable_index: u64,
    commit_index: u64,
    committed: u64,
    digest: String,
    log_bytes: u64,
    start_index: u64,
    start_offset: u64,
    ready_bytes: u64,
    snapshot: Option<SnapshotJson>,
    writes: u64,
    written_records: u64,
    written_bytes: u64,
    commit_p99_ns: Option<u128>,
    catch_up_bytes_per_second: Option<u64>,
    producers: u64,
    peers_up: u8,
    edition: u8,
    build: u8,
    priority: u8,
}

/// The newest snapshot.
#[derive(Debug, Serialize)]
struct SnapshotJson {
    index: u64,
    bytes: u64,
}

/// A digest as it is shown: numbers of 64 bits do not survive every reader of JSON.
pub(crate) fn digest_text(digest: u64) -> String {
    format!("{digest:016x}")
}

impl Row {
    /// The row for JSON.
    pub(crate) fn json(&self) -> RowJson<'_> {
        let status = self.status.as_ref().ok();
        RowJson {
            node: self.node,
            address: &self.address,
            process: status.map(|status| status.process).or(self.process),
            member: self.member.map(role),
            up: status.is_some(),
            error: self.status.as_ref().err().map(String::as_str),
            status: status.map(|status| StatusJson {
                cluster: status.cluster.to_string(),
                role: status.role.name(),
                serves: status.serves,
                leader: status.leader.map(|leader| leader.0),
                term: status.term.0,
                last_index: status.last_index.0,
                durable_index: status.durable_index.0,
                commit_index: status.commit_index.0,
                committed: status.committed.0,
                digest: digest_text(status.digest),
                log_bytes: status.log_bytes,
                start_index: status.start_index.0,
                start_offset: status.start_offset.0,
                ready_bytes: status.ready_bytes,
                snapshot: (status.snapshot_index.0 > 0).then_some(SnapshotJson {
                    index: status.snapshot_index.0,
                    bytes: status.snapshot_bytes,
                }),
                writes: status.written.writes,
                written_records: status.written.records,
                written_bytes: status.written.bytes,
                commit_p99_ns: status.commit_p99.map(|wait| wait.as_nanos()),
                catch_up_bytes_per_second: status.catch_up_bytes,
                producers: status.producers,
                peers_up: status.peers_up,
                edition: status.edition.0,
                build: status.build.0,
                priority: status.priority,
            }),
        }
    }
}

/// Says of each row what its node is in the group, if any node tells.
pub(crate) fn show_members(rows: &mut [Row], within: Duration) {
    let up = rows.iter().filter(|row| row.status.is_ok());
    let up: Vec<String> = up.map(|row| row.address.clone()).collect();
    if up.is_empty() {
        return;
    }
    let Ok(group) = quorate_client::members(&up, within) else {
        return;
    };
    for row in rows {
        let mut members = group.members.iter();
        let member = members.find(|member| Some(member.node.0) == row.node);
        row.member = member.map(|member| member.role);
    }
}

/// The newest snapshot: the last record that it covers, and how long it is.
fn snapshot(status: &Status) -> String {
    if status.snapshot_index.0 == 0 {
        return "-".to_owned();
    }
    let kib = status.snapshot_bytes.div_ceil(1024);
    let long = if kib < 10_000 {
        format!("{kib} KiB")
    } else {
        format!("{} MiB", kib >> 10)
    };
    format!("{} ({long})", thousands(status.snapshot_index.0))
}

/// The edition that the group uses, and the node's own if that is a later one.
fn edition(status: &Status) -> String {
    let (used, own) = (status.edition, status.build);
    if used == own {
        return used.to_string();
    }
    format!("{used} (has {own})")
}

/// The rows for people.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::with_headings(&[
        "node",
        "client address",
        "process",
        "member",
        "role",
        "serves",
        "leader",
        "term",
        "last index",
        "durable",
        "commit",
        "committed events",
        "peers",
        "producers",
        "log",
        "from offset",
        "ready",
        "snapshot at",
        "edition",
        "priority",
        "digest",
    ]);
    let dash = || "-".to_owned();
    for row in rows {
        let node = row.node.map_or_else(dash, |node| node.to_string());
        let process = row.process.map_or_else(dash, |process| process.to_string());
        let member = row
            .member
            .map_or_else(dash, |member| role(member).to_owned());
        match &row.status {
            Ok(status) => table.row([
                node,
                row.address.clone(),
                status.process.to_string(),
                member,
                status.role.name().to_owned(),
                if status.serves { "yes" } else { "no" }.to_owned(),
                status.leader.map_or_else(dash, |leader| leader.to_string()),
                status.term.to_string(),
                thousands(status.last_index.0),
                thousands(status.durable_index.0),
                thousands(status.commit_index.0),
                thousands(status.committed.0),
                status.peers_up.to_string(),
                thousands(status.producers),
                format!("{} MiB", status.log_bytes >> 20),
                thousands(status.start_offset.0),
                format!("{} MiB", status.ready_bytes >> 20),
                snapshot(status),
                edition(status),
                status.priority.to_string(),
                digest_text(status.digest),
            ]),
            Err(_) => table.row([
                node,
                row.address.clone(),
                process,
                member,
                "down".to_owned(),
            ]),
        }
    }
    table
}

#[cfg(test)]
pub(crate) mod sample {
    use quorate_client::{
        ClusterName, Edition, LogIndex, NodeId, Offset, Role, Status, Term, Written,
    };

    /// A leader that has committed so many events.
    pub(crate) fn with_committed(committed: u64) -> Status {
        Status {
            address: "127.0.0.1:9001".into(),
            cluster: ClusterName::new("flights").expect("it is a name"),
            node: NodeId(1),
            role: Role::Leader,
            serves: true,
            leader: Some(NodeId(1)),
            term: Term(4),
            last_index: LogIndex(1_302),
            durable_index: LogIndex(1_301),
            commit_index: LogIndex(1_300),
            committed: Offset(committed),
            digest: 0xabc,
            log_bytes: 33 << 20,
            producers: 17,
            start_index: LogIndex(120),
            start_offset: Offset(7_680),
            ready_bytes: 384 << 20,
            snapshot_index: LogIndex(1_250),
            snapshot_bytes: 12_288,
            written: Written::default(),
            commit_p99: None,
            catch_up_bytes: None,
            process: 4711,
            peers_up: 1,
            edition: Edition(1),
            build: Edition(2),
            priority: 1,
            nodes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::MemberRole;

    use super::sample::with_committed;
    use super::{Row, table};

    fn rows() -> [Row; 2] {
        let up = Row {
            node: Some(1),
            address: "127.0.0.1:9001".into(),
            process: None,
            member: Some(MemberRole::Voter),
            status: Ok(with_committed(83_161)),
        };
        let down = Row {
            node: Some(2),
            address: "127.0.0.1:9002".into(),
            process: None,
            member: Some(MemberRole::Voter),
            status: Err("no node answers".into()),
        };
        [up, down]
    }

    #[test]
    fn a_node_that_does_not_answer_has_a_row_too() {
        let text = table(&rows()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].contains("leader") && lines[1].ends_with("0000000000000abc"),
            "{text}"
        );
        assert!(lines[1].contains("384 MiB") && lines[1].contains("1,250 (12 KiB)"));
        assert!(lines[1].contains("1 (has 2)"), "{text}");
        let numbers = ["7,680", "1,302", "1,301", "1,300", "83,161", "17"];
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        assert!(
            numbers.iter().all(|number| cells.contains(number)),
            "{text}"
        );
        assert!(lines[2].ends_with("down"), "{text}");
    }

    #[test]
    fn json_says_the_same() {
        let json = rows().map(|row| serde_json::to_value(row.json()).expect("it has a form"));
        assert_eq!(json[0]["up"], true);
        assert_eq!(json[0]["process"], 4711);
        assert_eq!(json[0]["digest"], "0000000000000abc");
        assert_eq!(json[0]["leader"], 1);
        assert_eq!(json[0]["start_offset"], 7_680);
        assert_eq!(
            (&json[0]["edition"], &json[0]["build"]),
            (&1.into(), &2.into())
        );
        assert_eq!(json[0]["snapshot"]["index"], 1_250);
        assert_eq!(json[1]["up"], false);
        assert_eq!(json[1]["member"], "voter");
        assert_eq!(json[1]["error"], "no node answers");
        assert_eq!(json[1].get("term"), None);
    }
}
