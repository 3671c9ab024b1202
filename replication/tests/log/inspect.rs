//! Looking at a log at rest.

use quorate_replication::log::{Damage, Inspected, Summary, inspect, live_records};
use quorate_replication::seam::{FileId, SegmentId};
use quorate_sim::Disk;
use quorate_wire::{LogIndex, Offset, Term};

use crate::machine::Machine;
use crate::work::{Body, Made};

const fn events(count: u32, payload: usize) -> Body {
    Body::Events { count, payload }
}

/// What an inspection says, one line an item.
fn lines(disk: &Disk) -> (Summary, Vec<String>) {
    let mut lines = Vec::new();
    let summary = inspect(disk, &mut |found| {
        lines.push(match found {
            Inspected::Segment(header) => format!(
                "segment {}: from {}, commit {}",
                header.segment.0, header.first_index, header.commit
            ),
            Inspected::Record {
                segment,
                position,
                record,
                void,
            } => {
                let at = record.header().position();
                let void = if void { ", void" } else { "" };
                format!("{}:{position}: {at}{void}", segment.0)
            }
            Inspected::Cut(cut) => format!("{}:{}: cut", cut.segment.0, cut.position),
            Inspected::Damage {
                segment,
                position,
                why,
            } => format!("{}:{position}: {why}", segment.0),
        });
    });
    (summary.expect("the files are there"), lines)
}

fn machine() -> Machine {
    let mut machine = Machine::new(1);
    machine.write(&[(None, 1, Body::Noop), (None, 1, events(2, 100))]);
    machine.write(&[
        (None, 1, events(1, 5000)),
        (None, 2, Body::Noop),
        (Some(4), 3, Body::Noop),
    ]);
    machine.commit(2);
    machine.write(&[(Some(4), 2, events(9, 9000))]);
    machine.write(&[(Some(3), 4, Body::Noop), (None, 4, events(3, 8))]);
    machine
}

const SOUND: &[&str] = &[
    "segment 1: from 1, commit 0",
    "1:4096: 1/1",
    "1:4160: 2/1",
    "1:8192: 3/1, void",
    "1:13312: 4/2, void",
    "1:13376: 4/3, void",
    "1:16384: 4/2, void",
    "segment 2: from 5, commit 2",
    "2:4096: 3/4",
    "2:4160: 4/4",
];

#[test]
fn every_record_is_shown_and_the_void_ones_are_told() {
    let mut machine = machine();
    machine.settle();
    let (summary, found) = lines(&machine.disk);
    assert_eq!(found, SOUND);
    assert_eq!(
        summary,
        Summary {
            segments: 2,
            records: 4,
            events: 5,
            start: LogIndex(0),
            start_offset: Offset(0),
            ready: 1,
            first: LogIndex(1),
            last: LogIndex(4),
            last_term: Term(4),
            damaged: 0,
        }
    );
}

#[test]
fn live_records_are_the_log() {
    let machine = machine();
    let mut found = Vec::new();
    live_records(&machine.disk, &mut |record| {
        found.push(record.bytes().to_vec())
    })
    .expect("it is sound");
    let live: Vec<_> = machine
        .live
        .iter()
        .map(|made: &Made| made.bytes.clone())
        .collect();
    assert_eq!(found, live);
    assert_eq!(
        inspect(&Disk::new(), &mut |_| ()).map_err(|error| error.code().number()),
        Err(703)
    );
}

#[test]
fn a_torn_tail_is_shown() {
    let mut machine = machine();
    machine.begin(&[(None, 4, events(1, 40)), (None, 4, events(1, 3000))]);
    let torn = machine
        .disk
        .crashed(&mut |sector| sector.position % 4096 < 512);
    let (summary, found) = lines(&torn);
    let mut expected: Vec<String> = SOUND.iter().map(|line| (*line).to_owned()).collect();
    expected.push("2:8192: 5/4".to_owned());
    expected.push("2:8352: cut".to_owned());
    assert_eq!(found, expected);
    assert_eq!((summary.last, summary.damaged), (LogIndex(5), 0));
}

#[test]
fn inspection_goes_on_behind_damage() {
    let machine = machine();
    let mut disk = machine.disk.crashed(&mut |_| false);
    disk.bytes_mut(FileId::Segment(SegmentId(1)))[4200] ^= 1;
    let (summary, found) = lines(&disk);
    assert_eq!(summary.damaged, 1);
    assert_eq!(found[1], "1:4096: 1/1");
    assert!(
        found[2].starts_with("1:4160: the record header's checksum"),
        "{found:?}"
    );
    assert_eq!(found[3..], SOUND[3..]);
    assert_eq!(summary.last, LogIndex(4));

    let mut disk = machine.disk.crashed(&mut |_| false);
    disk.remove(FileId::Segment(SegmentId(1)));
    let (summary, found) = lines(&disk);
    assert_eq!(summary.damaged, 1);
    assert_eq!(found[0], format!("1:0: {}", Damage::Missing));
    assert_eq!(found[1..], SOUND[7..]);

    let mut disk = machine.disk.crashed(&mut |_| false);
    disk.bytes_mut(FileId::Segment(SegmentId(2)))[9] ^= 1;
    let (summary, found) = lines(&disk);
    assert_eq!(summary.damaged, 1);
    assert!(
        found[7].starts_with("2:0: the segment's header: "),
        "{found:?}"
    );
}

/// Whatever the bytes are, an inspection ends.
#[test]
fn no_damage_is_too_much_for_an_inspection() {
    let machine = machine();
    let mut chance = crate::work::Chance::new(9);
    for _ in 0..300 {
        let mut disk = machine.disk.crashed(&mut |_| false);
        for _ in 0..=chance.below(5) {
            let file = FileId::Segment(SegmentId(1 + chance.below(2)));
            let bytes = disk.bytes_mut(file);
            let at = usize::try_from(chance.below(17_000)).expect("small");
            let length = usize::try_from(1 + chance.below(5000)).expect("small");
            match chance.below(4) {
                0 => bytes[at] ^= 1,
                1 => bytes[at..at + length].fill(0),
                2 => bytes.copy_within(4096..4096 + length, at),
                _ => {
                    let block = at / 4096 * 4096;
                    bytes.copy_within(block..block + 4096, 4096);
                }
            }
        }
        let (summary, found) = lines(&disk);
        assert!(!found.is_empty());
        // What inspection finds sound is what recovery opens, and the other way round.
        let opened = crate::machine::open(&disk);
        assert_eq!(
            opened.is_ok(),
            summary.damaged == 0,
            "{found:?}: {opened:?}"
        );
    }
}
