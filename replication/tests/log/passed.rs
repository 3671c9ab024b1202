//! A start that passes over what a snapshot covers knows the same of a log as one that goes through all of it, and whoever reads
//! there finds the same records, or the damage.

use quorate_replication::log::{From, Recovery, Retention, recover, recover_behind};
use quorate_replication::seam::{FileId, Files};
use quorate_sim::Disk;
use quorate_wire::LogIndex;

use crate::machine::{Machine, Told, config};
use crate::retention::{NOTHING, keep};
use crate::work::{Body, Chance, Made, make};

/// A log as a follower has it: leaders come and go, and each one's log begins with what was committed before.
fn follower(seed: u64) -> Machine {
    let mut chance = Chance::new(seed);
    let mut machine = Machine::new(seed);
    let mut logs: Vec<Vec<Made>> = vec![Vec::new()];
    let mut committed = 0;
    let stable = 4 + 30 * (seed % 3);
    for round in 0..70 + chance.below(60) {
        if chance.below(stable) == 0 {
            let base = chance.below(logs.len() as u64);
            let base = &logs[usize::try_from(base).expect("few")];
            let sure = &machine.live[..committed];
            if base.starts_with(sure) {
                let kept = committed + usize::try_from(chance.below(12)).expect("few");
                logs.push(base[..kept.min(base.len())].to_vec());
            }
        }
        let term = logs.len() as u64;
        let log = logs.last_mut().expect("one leads");
        for _ in 0..=chance.below(3) {
            let body = Body::Events {
                count: 1 + u32::try_from(chance.below(3)).expect("few"),
                payload: usize::try_from(1 + chance.below(3000)).expect("small"),
            };
            let next = make(term, body, log.last(), &mut chance);
            log.push(next);
        }
        let log = log.clone();
        if chance.below(4) > 0 {
            // Not all at once: another one may lead before it has everything.
            let differs = machine.live.iter().zip(&log);
            let same = differs.take_while(|(own, its)| own == its).count();
            let upto = log
                .len()
                .min(same + usize::try_from(chance.below(9)).expect("few"));
            machine.follow(&log[..upto]);
            if chance.below(3) > 0 && machine.live == log {
                committed = log
                    .len()
                    .saturating_sub(usize::try_from(chance.below(4)).expect("few"))
                    .max(committed);
                machine.commit(committed as u64);
            }
        }
        let kept = machine.log.snapshots().last();
        if round % 30 == 29 && kept.is_none_or(|kept| kept.0 < committed as u64) {
            let live = machine.live.clone();
            keep(&mut machine, committed as u64, &live, &mut |_| {});
        }
    }
    machine
}

pub(crate) fn whole(disk: &Disk) -> (Recovery, Told) {
    let mut told = Told::default();
    let recovery = recover(disk, config(), &mut told).expect("it is sound");
    (recovery, told)
}

pub(crate) fn behind(disk: &Disk) -> Option<(Recovery, Told)> {
    let mut told = Told::default();
    let recovery = recover_behind(disk, config(), &mut told).expect("it is sound");
    recovery.map(|recovery| (recovery, told))
}

/// What two starts have found is the same.
pub(crate) fn same((one, told): &(Recovery, Told), (other, heard): &(Recovery, Told), what: &str) {
    assert_eq!(one.raft, other.raft, "{what}");
    assert_eq!(told, heard, "{what}");
    assert_eq!((one.last, one.cut), (other.last, other.cut), "{what}");
    assert_eq!(one.bytes_behind, other.bytes_behind, "{what}");
    assert_eq!(one.log.bytes(), other.log.bytes(), "{what}");
    assert_eq!(one.log.ready_bytes(), other.log.ready_bytes(), "{what}");
}

#[test]
fn a_start_that_passes_over_segments_knows_what_one_knows_that_does_not() {
    let (mut passed, mut odd) = (0, 0);
    for seed in 1..200 {
        let machine = follower(seed);
        let disk = machine.disk.crashed(&mut |_| true);
        let Some(found) = behind(&disk) else {
            odd += 1;
            continue;
        };
        same(&whole(&disk), &found, &format!("seed {seed}"));
        let (other, heard) = found;
        passed += other.passed;
        read_all(other, heard, disk, &machine.live, seed);
    }
    assert!(passed > 100, "{passed} segments were passed over");
    assert!(odd < 20, "{odd} logs were gone through all the same");
}

/// Every record is found by its index, offset and log time, in whatever order they are asked for.
fn read_all(recovery: Recovery, told: Told, disk: Disk, live: &[Made], seed: u64) {
    let unread = recovery.passed > 0;
    let mut machine = Machine::of(disk, seed, recovery, told);
    assert_eq!(machine.log.has_unread(), unread);
    let mut chance = Chance::new(seed);
    for nth in 0..live.len() {
        let nth = match nth % 3 {
            0 => nth,
            _ => usize::try_from(chance.below(live.len() as u64)).expect("small"),
        };
        let header = live[nth].header;
        let last = (nth + 3).min(live.len());
        let bytes: Vec<u8> = live[nth..last]
            .iter()
            .flat_map(|made| made.bytes.clone())
            .collect();
        for from in [
            From::Index(header.index),
            From::Offset(header.base_offset),
            From::Time(header.log_time),
        ] {
            let read = machine.read(from, last as u64, bytes.len(), false);
            let read = read.unwrap_or_else(|| panic!("seed {seed}: {from:?} is there"));
            let read = read.unwrap_or_else(|why| panic!("seed {seed}: {from:?}: {why}"));
            assert_eq!(read.first, header.index, "seed {seed}: {from:?}");
            assert!(bytes.starts_with(&read.bytes), "seed {seed}: {from:?}");
        }
    }
    assert!(!machine.log.has_unread() || live.len() < 10, "seed {seed}");
}

/// Several segments of one leader's records, in the second of which those of another one took some places in the first for a while.
fn taken_and_given_back() -> (Machine, Vec<Made>) {
    let mut chance = Chance::new(5);
    let body = Body::Events {
        count: 3,
        payload: 3000,
    };
    let mut log: Vec<Made> = Vec::new();
    while log.len() < 60 {
        let next = make(5, body, log.last(), &mut chance);
        log.push(next);
    }
    let mut machine = Machine::new(5);
    // Seven records fill a segment.
    for upto in 1..=12 {
        machine.follow(&log[..upto]);
    }
    let mut other = log[..7].to_vec();
    other.push(make(7, body, other.last(), &mut chance));
    machine.follow(&other);
    for upto in 8..=log.len() {
        machine.follow(&log[..upto]);
        machine.commit(upto as u64);
    }
    let live = machine.live.clone();
    assert_eq!(live, log);
    keep(&mut machine, 55, &live, &mut |_| {});
    (machine, log)
}

#[test]
fn records_that_were_void_for_a_while_are_read_where_they_are_whole() {
    let (machine, log) = taken_and_given_back();
    let disk = machine.disk.crashed(&mut |_| true);
    let found = behind(&disk).expect("nothing is odd");
    same(&whole(&disk), &found, "taken and given back");
    let (other, heard) = found;
    assert!(other.passed >= 4, "{} are passed over", other.passed);
    read_all(other, heard, disk, &log, 5);
}

#[test]
fn damage_in_a_segment_that_was_passed_over_is_found_by_who_reads_there() {
    let (machine, _) = taken_and_given_back();
    let sound = machine.disk.crashed(&mut |_| true);
    let passed = behind(&sound).expect("nothing is odd").0.passed;
    assert!(passed >= 4, "{passed} are passed over");
    let segments = sound.segments().expect("a disk in memory");
    for &segment in segments.iter().take(passed) {
        for at in [100, 4096, 4096 + 200, 50_000] {
            let mut disk = sound.crashed(&mut |_| true);
            disk.bytes_mut(FileId::Segment(segment))[at] ^= 1;
            let found = recover(&disk, config(), &mut Told::default()).expect("it is mended");
            assert!(found.damaged.is_some());
            // The heads are looked at; what a head says of its first record's body is not.
            let Some((recovery, told)) = behind(&disk) else {
                assert!(at < 4096 + 64, "segment {segment:?}, byte {at}");
                continue;
            };
            assert!(at >= 4096 + 64, "segment {segment:?}, byte {at}");
            let mut machine = Machine::of(disk, 5, recovery, told);
            let mut found_by_reading = false;
            for index in 1..=60 {
                let read = machine.read(From::Index(LogIndex(index)), u64::MAX, 1, false);
                assert_eq!(read.is_none(), machine.damaged.take().is_some());
                found_by_reading |= read.is_none();
            }
            assert!(found_by_reading, "segment {segment:?}, byte {at}");
        }
    }
}

#[test]
fn a_log_begins_later_only_with_a_segment_that_was_gone_through() {
    let (machine, _) = taken_and_given_back();
    let disk = machine.disk.crashed(&mut |_| true);
    let (recovery, told) = behind(&disk).expect("nothing is odd");
    let mut machine = Machine::of(disk, 5, recovery, told);
    let covered = LogIndex(55);
    let retention = Retention { covered, ..NOTHING };
    for _ in 0..3 {
        machine.log.release(&retention, &mut machine.disk);
        machine.settle();
    }
    let start = machine.log.start();
    assert!(start > LogIndex(30), "it begins at {start}");
    let (one, _) = whole(&machine.disk.crashed(&mut |_| true));
    assert_eq!((one.damaged, one.raft.start.index), (None, start));
}
