//! Holds logs at rest against each other, and against what was sent.

use std::path::Path;

use quorate_client::{LogIndex, NodeId, Record};
use quorate_engine::files::DataDir;
use quorate_replication::log::live_records;
use quorate_wire::GroupId;

use crate::load::{Sent, key, payload};
use crate::world::{SOON, World};

/// Shows every record of a log whose node does not run.
fn visit(data: &Path, visit: &mut dyn FnMut(&Record<'_>)) {
    let data = DataDir::inspect(data).expect("its node is stopped");
    live_records(&data.group(GroupId(0)), visit).expect("the log is sound");
}

/// Every record up to an index, as it lies on the disk.
fn records(data: &Path, upto: LogIndex) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    visit(data, &mut |record| {
        if record.header().index <= upto {
            records.push(record.bytes().to_vec());
        }
    });
    records
}

/// The last record that some killed node has on its disk, and how many events are up to it.
pub(crate) fn longest(world: &World, killed: &[NodeId]) -> (LogIndex, u64) {
    let mut longest = (LogIndex(0), 0);
    for &node in killed {
        visit(&world.local.paths(node).data, &mut |record| {
            let header = record.header();
            let events = header.base_offset.0 + u64::from(header.event_count);
            longest = longest.max((header.index, events));
        });
    }
    longest
}

/// Fails unless the records hold each event exactly once, in order, where it was acknowledged.
fn check_events(records: &[Vec<u8>], sent: &Sent) {
    let mut next = 0;
    for bytes in records {
        let (record, _) = Record::parse(bytes).expect("it was just read");
        for (first, chunk) in record.chunks() {
            chunk.check().expect("it is as it was sent");
            if chunk.id().producer != sent.producer {
                continue;
            }
            assert_eq!(
                chunk.id().first.0,
                next,
                "lost, duplicated, or out of order"
            );
            for (offset, event) in (first.0..).zip(chunk.events()) {
                let place = usize::try_from(next).expect("it is a count");
                match sent.offsets.get(place) {
                    Some(acked) => assert_eq!(acked.0, offset, "event {next} is elsewhere"),
                    None => assert!(!sent.complete, "event {next} was never sent"),
                }
                assert_eq!(event.key, key(next));
                assert_eq!(event.payload, payload(next).as_bytes());
                next += 1;
            }
        }
    }
    let count = u64::try_from(sent.offsets.len()).expect("it is a count");
    assert!(
        next >= count,
        "{next} of {count} acknowledged events are there"
    );
}

/// Waits until all nodes agree, stops them, and fails unless their logs are equal and hold exactly what was sent.
pub(crate) fn check(world: &mut World, sent: &[Sent]) {
    let statuses = world.local.wait_settled(SOON);
    let statuses = statuses.unwrap_or_else(|error| panic!("{error}"));
    let first = statuses.first().expect("there are three nodes");
    for status in &statuses {
        assert_eq!(
            status.digest, first.digest,
            "nodes {} and {} have different states at record {}",
            first.node, status.node, first.commit_index
        );
    }
    world.stop();
    let logs: Vec<(NodeId, Vec<Vec<u8>>)> = world
        .data()
        .into_iter()
        .map(|(node, data)| (node, records(&data, first.commit_index)))
        .collect();
    let (_, reference) = logs.first().expect("there are three nodes");
    let count = u64::try_from(reference.len()).expect("it is a count");
    assert_eq!(LogIndex(count), first.commit_index, "indexes have no gaps");
    for (node, records) in &logs {
        assert_eq!(
            records.len(),
            reference.len(),
            "node {node} has another length"
        );
        for (at, (record, other)) in records.iter().zip(reference).enumerate() {
            assert!(record == other, "node {node} differs at record {}", at + 1);
        }
    }
    for sent in sent {
        check_events(reference, sent);
    }
}
