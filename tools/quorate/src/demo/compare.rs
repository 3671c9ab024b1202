//! Holds the nodes' logs against each other, and the events in them against what was sent.

use std::path::Path;

use quorate_client::{LogIndex, NodeId, Record};
use quorate_engine::files::DataDir;
use quorate_replication::log;
use quorate_wire::GroupId;

use super::audit::{Audit, Findings};
use crate::Failure;

/// What the logs show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Records of the first log.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Where another log parts from the first one: which node's, and at which index.
    pub(crate) parted: Option<(NodeId, LogIndex)>,
    /// What is wrong with the first log's events.
    pub(crate) findings: Findings,
}

impl Compared {
    /// Whether all logs hold the same bytes.
    pub(crate) const fn identical(&self) -> bool {
        self.parted.is_none()
    }
}

/// The first log's records, side by side, to hold the others against.
#[derive(Debug, Default)]
struct Reference {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Reference {
    fn push(&mut self, record: &Record<'_>) {
        self.bytes.extend_from_slice(record.bytes());
        self.ends.push(self.bytes.len());
    }

    fn record(&self, at: usize) -> Option<&[u8]> {
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..*self.ends.get(at)?)
    }
}

/// Reads the committed records of all logs at rest: `visit(log, f)` calls `f` with each record of a log, in order.
fn compare_logs<L>(
    logs: &[(NodeId, L)],
    commit: LogIndex,
    mut audit: Audit<'_>,
    visit: impl Fn(&L, &mut dyn FnMut(&Record<'_>)) -> Result<(), Failure>,
) -> Result<Compared, Failure> {
    let mut reference = Reference::default();
    let mut parted = None;
    for (place, (node, log)) in logs.iter().enumerate() {
        let mut count = 0;
        let mut last = LogIndex(0);
        visit(log, &mut |record| {
            let index = record.header().index;
            if index > commit {
                return;
            }
            if place == 0 {
                audit.record(record);
                reference.push(record);
            } else if reference.record(count) != Some(record.bytes()) {
                parted = parted.or(Some((*node, index)));
            }
            count += 1;
            last = index;
        })?;
        // Each log must reach the commit index, the first one included; a shorter one parts where it ends.
        if last != commit || count != reference.ends.len() {
            parted = parted.or(Some((*node, last.next())));
        }
    }
    let size = |size: usize| u64::try_from(size).expect("a size fits into 64 bits");
    Ok(Compared {
        records: size(reference.ends.len()),
        bytes: size(reference.bytes.len()),
        parted,
        findings: audit.finish(),
    })
}

/// Reads the committed records of the nodes' data directories, whose nodes are stopped.
pub(crate) fn compare(
    directories: &[(NodeId, &Path)],
    commit: LogIndex,
    audit: Audit<'_>,
) -> Result<Compared, Failure> {
    compare_logs(directories, commit, audit, |directory, visit| {
        live_records(directory, visit)
    })
}

fn live_records(directory: &Path, visit: &mut dyn FnMut(&Record<'_>)) -> Result<(), Failure> {
    let data = DataDir::inspect(directory)?;
    Ok(log::live_records(&data.group(GroupId(0)), visit)?)
}

#[cfg(test)]
mod tests {
    use quorate_client::{Event, LogIndex, NodeId, Offset, ProducerId, Record};

    use super::{Compared, compare_logs};
    use crate::demo::audit::Audit;
    use crate::demo::sample::record;
    use crate::input::Input;

    /// Compares logs that are given as lists of records.
    fn compared(commit: u64, logs: [Vec<Vec<u8>>; 3]) -> Compared {
        let input = Input::flights(Some(3)).expect("the binary carries them");
        let acked = [Some(Offset(0)), Some(Offset(1)), Some(Offset(2))];
        let audit = Audit::new(&input, ProducerId(7), &acked);
        let logs: Vec<_> = (1..).map(NodeId).zip(logs).collect();
        let visit = |log: &Vec<Vec<u8>>, visit: &mut dyn FnMut(&Record<'_>)| {
            for bytes in log {
                let (record, _) = Record::parse(bytes).expect("it is sound");
                visit(&record);
            }
            Ok(())
        };
        compare_logs(&logs, LogIndex(commit), audit, visit).expect("memory can be read")
    }

    fn sound() -> Vec<Vec<u8>> {
        let input = Input::flights(Some(3)).expect("the binary carries them");
        let event = |at| input.event(at).expect("there are three");
        (0..3)
            .map(|at| record(7, u64::try_from(at).expect("it is small"), &[event(at)]))
            .collect()
    }

    #[test]
    fn the_same_logs_are_identical() {
        let compared = compared(3, [sound(), sound(), sound()]);
        assert_eq!(compared.records, 3);
        assert!(compared.identical());
        assert_eq!(compared.findings.lost, 0);
        assert_eq!(compared.findings.different, 0);
    }

    #[test]
    fn one_other_byte_parts_a_log() {
        let input = Input::flights(Some(3)).expect("the binary carries them");
        let mut other = sound();
        let second = input.event(1).expect("there are three");
        other[1] = record(
            7,
            1,
            &[Event {
                priority: 1,
                ..second
            }],
        );
        let compared = compared(3, [sound(), sound(), other]);
        assert_eq!(compared.parted, Some((NodeId(3), LogIndex(2))));
    }

    #[test]
    fn a_short_log_parts_where_it_ends() {
        let short = || sound()[..2].to_vec();
        let one = compared(3, [sound(), short(), sound()]);
        assert_eq!(one.parted, Some((NodeId(2), LogIndex(3))));
        let first = compared(3, [short(), sound(), sound()]);
        assert_eq!(first.parted, Some((NodeId(1), LogIndex(3))));
        assert_eq!(first.findings.lost, 1);
        let gap = || [sound()[0].clone(), sound()[2].clone()].to_vec();
        let one = compared(3, [sound(), sound(), gap()]);
        assert_eq!(one.parted, Some((NodeId(3), LogIndex(3))));
    }

    #[test]
    fn what_is_not_committed_does_not_count() {
        let short = || sound()[..2].to_vec();
        let compared = compared(2, [sound(), short(), sound()]);
        assert!(compared.identical());
        assert_eq!(compared.records, 2);
        assert_eq!(compared.findings.lost, 1, "it was acknowledged");
    }
}
