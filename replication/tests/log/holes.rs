//! Holes: what is missing is known, and put back as it was, whatever was damaged, and whenever the power goes meanwhile.

use quorate_replication::log::{
    From, Hole, Inspected, Link, Log, LogEvent, Needs, Read, Recovery, inspect,
};
use quorate_replication::seam::{FileId, SegmentId, Storage};
use quorate_sim::Disk;
use quorate_wire::{LogIndex, Record};

use crate::damage::{Finished, both, segment};
use crate::machine::{open, open_damaged};
use crate::retention::{keep, long};
use crate::work::{Chance, Made};

/// What has become of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Healed {
    /// Nothing was wrong, or a torn write was cut.
    Sound,
    /// All of it is there again.
    Whole,
    /// Its end was given up.
    GivenUp,
}

/// What peers have: every record that ever was in the log.
fn history(finished: &Finished) -> Vec<Made> {
    finished.states.iter().flatten().cloned().collect()
}

fn link(made: &Made) -> Link {
    Link {
        index: made.header.index,
        header_crc: made.header.header_crc,
    }
}

/// The records that a hole needs, in order.
fn missing<'m>(hole: &Hole, history: &'m [Made]) -> Vec<&'m Made> {
    let mut missing = Vec::new();
    let Needs::Records(mut wanted) = hole.needs() else {
        return missing;
    };
    while !hole.has(wanted) {
        let found = history.iter().find(|made| link(made) == wanted);
        let found = found.unwrap_or_else(|| panic!("{wanted:?} was never in the log: {hole:?}"));
        missing.push(found);
        wanted = Link {
            index: wanted.index.previous(),
            header_crc: found.header.previous,
        };
    }
    missing.reverse();
    missing
}

/// Waits for the disk, one operation at a time. `false`: the power went before one of them.
fn work(log: &mut Log, disk: &mut Disk, crash: &mut impl FnMut(&mut Disk) -> bool) -> bool {
    while disk.waiting() > 0 {
        if crash(disk) {
            return false;
        }
        disk.perform_all();
        let (mut done, mut events) = (Vec::new(), Vec::new());
        disk.completed(&mut done);
        for done in done {
            log.completed(done, disk, &mut events)
                .expect("nothing fails");
        }
        assert!(
            events
                .iter()
                .all(|event| matches!(event, LogEvent::MendReady | LogEvent::Mended)),
            "{events:?}"
        );
    }
    true
}

fn fill(
    log: &mut Log,
    hole: &Hole,
    history: &[Made],
    disk: &mut Disk,
    crash: &mut impl FnMut(&mut Disk) -> bool,
) -> bool {
    let mut events = Vec::new();
    log.mend(hole, disk, &mut events);
    let ready = work(log, disk, crash);
    let mut left = missing(hole, history);
    while ready && !left.is_empty() {
        let now = left.drain(..left.len().min(2));
        let records = now.map(|made| Record::parse(&made.bytes).expect("it is sound").0);
        let put = log.mend_with(records, disk, &mut events);
        put.expect("there is room for what was there");
        if !work(log, disk, crash) {
            return false;
        }
    }
    if ready {
        log.mend_end(disk, &mut events);
    }
    ready && work(log, disk, crash)
}

/// Recovers a log until it is whole, or its end is given up; each time `crash` says so, the power goes, and it begins again.
fn heal(
    disk: &mut Disk,
    history: &[Made],
    crash: &mut impl FnMut(&mut Disk) -> bool,
) -> Option<Healed> {
    let mut healed = Healed::Sound;
    for _ in 0..20 {
        let (mut recovery, _) = open_damaged(disk).ok()?;
        if recovery.damaged.is_none() {
            return Some(healed);
        }
        if recovery.holes.is_empty() {
            recovery.give_up_end(disk).expect("a disk in memory");
            return Some(Healed::GivenUp);
        }
        let Recovery { log, holes, .. } = &mut recovery;
        for hole in holes.iter() {
            if !fill(log, hole, history, disk, crash) {
                break;
            }
        }
        healed = Healed::Whole;
    }
    panic!("it does not heal");
}

/// The log is as it was, up to what was given up or cut.
fn check(finished: &Finished, disk: &Disk, healed: Healed, what: &str) -> usize {
    let [.., before, all] = finished.states.as_slice() else {
        panic!("there were group commits");
    };
    let (recovery, told) = open_damaged(disk).expect("it can be read");
    let found = told.records;
    let begins = |state: &Vec<Made>| {
        let mut pairs = found.iter().zip(state);
        found.len() <= state.len() && pairs.all(|(found, made)| *found == made.bytes)
    };
    // What made records void may be given up: then they are there again.
    let same = match healed {
        Healed::Sound | Healed::Whole => begins(all),
        Healed::GivenUp => finished.states.iter().any(begins),
    };
    assert!(same, "{what}: {healed:?}");
    match healed {
        Healed::Sound => assert!(found.len() >= before.len(), "{what}"),
        Healed::Whole => assert!(
            recovery.damaged.is_none() && found.len() >= before.len(),
            "{what}"
        ),
        Healed::GivenUp => assert!(recovery.superblock.unsure && recovery.raft.unsure, "{what}"),
    }
    read_all(recovery.log, disk, &found, what);
    all.len().saturating_sub(found.len())
}

/// What recovery found can be read, from any record on, and on over what lies between records.
fn read_all(mut log: Log, disk: &Disk, found: &[Vec<u8>], what: &str) {
    let mut disk = disk.crashed(&mut |_| false);
    let mut events = Vec::new();
    for (index, record) in (1..).zip(found) {
        let read = Read {
            token: index,
            from: From::Index(LogIndex(index)),
            through: LogIndex(u64::MAX),
            bytes_max: 1 << 20,
            one_term: false,
        };
        log.read(read, &mut disk).expect("it is durable");
        while disk.waiting() > 0 {
            disk.perform_all();
            let mut done = Vec::new();
            disk.completed(&mut done);
            for done in done {
                log.completed(done, &mut disk, &mut events)
                    .expect("nothing fails");
            }
        }
        let Some(LogEvent::Read {
            result: Ok(read), ..
        }) = events.pop()
        else {
            panic!("{what}: record {index} cannot be read");
        };
        let rest = found.iter().skip(usize::try_from(index).expect("few"));
        let all = rest.fold(record.clone(), |all, next| [all, next.clone()].concat());
        assert!(
            read.bytes.len() >= record.len() && all.starts_with(&read.bytes),
            "{what}: record {index}"
        );
    }
}

#[derive(Debug, Default)]
struct Count {
    sound: usize,
    whole: usize,
    given_up: usize,
}

impl Count {
    fn add(&mut self, healed: Healed) {
        match healed {
            Healed::Sound => self.sound += 1,
            Healed::Whole => self.whole += 1,
            Healed::GivenUp => self.given_up += 1,
        }
    }
}

fn never(_: &mut Disk) -> bool {
    false
}

#[test]
fn every_changed_byte_heals() {
    for finished in both() {
        every_changed_byte_heals_in(&finished);
    }
}

fn every_changed_byte_heals_in(finished: &Finished) {
    let history = history(finished);
    let mut count = Count::default();
    for (file, bytes) in finished.bytes_of_segments() {
        for at in (0..bytes).step_by(293) {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.mar(file, at..at + 1)[0] ^= 1 << (at % 8);
            let what = format!("{file:?}, byte {at}");
            // A version that this build does not know is no damage.
            let Some(healed) = heal(&mut disk, &history, &mut never) else {
                continue;
            };
            let lost = check(finished, &disk, healed, &what);
            assert!(
                lost == 0 || healed == Healed::GivenUp,
                "{what}: {lost} lost"
            );
            let in_last = file == FileId::Segment(finished.last.0) && at as u64 >= finished.last.1;
            assert!(
                in_last || healed != Healed::GivenUp || at >= bytes / 2 || file != segment(1),
                "{what}: given up"
            );
            count.add(healed);
        }
    }
    assert!(count.whole > 200 && count.given_up > 3, "{count:?}");
}

#[test]
fn a_damaged_body_costs_that_record_only() {
    for finished in both() {
        a_damaged_body_costs_that_record_only_in(&finished);
    }
}

fn a_damaged_body_costs_that_record_only_in(finished: &Finished) {
    let history = history(finished);
    let (segment, position) = finished.last;
    let mut disk = finished.disk.crashed(&mut |_| false);
    let at = usize::try_from(position).expect("small") + 64 + 10;
    disk.mar(FileId::Segment(segment), at..at + 1)[0] ^= 1;
    let holes = open_damaged(&disk).expect("it can be repaired").0.holes;
    let [hole] = &holes[..] else {
        panic!("the rest of its group commit is sound: {holes:?}");
    };
    assert_eq!(missing(hole, &history).len(), 1, "{hole:?}");
    let healed = heal(&mut disk, &history, &mut never).expect("it heals");
    let lost = check(
        finished,
        &disk,
        healed,
        "the last group commit's first record",
    );
    assert_eq!((healed, lost), (Healed::Whole, 0));
}

/// Where each record of a finished log lies.
fn places(finished: &Finished) -> Vec<(FileId, usize)> {
    let mut places = Vec::new();
    let summary = inspect(&finished.disk, &mut |what| {
        if let Inspected::Record {
            segment, position, ..
        } = what
        {
            let at = usize::try_from(position).expect("small");
            places.push((FileId::Segment(segment), at));
        }
    });
    assert_eq!(summary.expect("it can be read").damaged, 0);
    places
}

/// What follows a record whose header is damaged leads to a record on a block, or to the next segment's header, and that says where
/// it is sound again: no more is missing, in whatever state its neighbours are.
#[test]
fn a_damaged_header_costs_that_record_only() {
    for finished in both() {
        a_damaged_header_costs_that_record_only_in(&finished);
    }
}

fn a_damaged_header_costs_that_record_only_in(finished: &Finished) {
    let history = history(finished);
    let places = places(finished);
    let (mut narrow, mut crashes) = (0, 0);
    for (nth, &(file, at)) in places.iter().enumerate() {
        // The next one has lost its header too: it may be the next write's first one, so that less is put back than lay there. Or
        // the one behind that has lost its body.
        let others = [None, places.get(nth + 1), places.get(nth + 2)];
        for (other, byte) in others.into_iter().zip([0, 20, 64]) {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.mar(file, at..at + 64)[20] ^= 1;
            if let Some(&(file, at)) = other {
                disk.mar(file, at..at + 65)[byte] ^= 1;
            }
            let what = format!("{file:?}, byte {at}, and {other:?}");
            let (recovery, _) = open_damaged(&disk).expect("it can be repaired");
            let few = |hole: &&Hole| missing(hole, &history).len() <= 2;
            let inside = |hole: &&Hole| !hole.end().is_multiple_of(4096);
            let holes = recovery.holes.iter().filter(inside).filter(few);
            narrow += holes.count();
            drop(recovery);
            let mut chance = Chance::new(nth as u64);
            let healed = heal(&mut disk, &history, &mut |disk| {
                let now = chance.below(8) == 0;
                if now {
                    disk.crash(&mut |_| chance.below(2) == 0);
                    crashes += 1;
                }
                now
            });
            check(finished, &disk, healed.expect("it heals"), &what);
        }
    }
    assert!(narrow > 10 && crashes > 5, "{narrow}, {crashes}");
}

#[test]
fn lost_blocks_heal_in_any_number() {
    for finished in both() {
        lost_blocks_heal_in_any_number_in(&finished);
    }
}

fn lost_blocks_heal_in_any_number_in(finished: &Finished) {
    let history = history(finished);
    let mut count = Count::default();
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let mut disk = finished.disk.crashed(&mut |_| false);
        for _ in 0..=chance.below(4) {
            let file = segment(1 + chance.below(finished.last.0.0));
            let blocks = disk.bytes(file).expect("it is there").len() as u64 / 4096;
            let at = usize::try_from(4096 * chance.below(blocks)).expect("small");
            let bytes = disk.mar(file, at..at + 4096);
            bytes.fill(if chance.below(2) == 0 { 0 } else { 0xa5 });
        }
        let healed = heal(&mut disk, &history, &mut never).expect("no version is changed");
        check(finished, &disk, healed, &format!("seed {seed}"));
        count.add(healed);
    }
    assert!(count.whole > 100 && count.given_up > 10, "{count:?}");
}

#[test]
fn lost_segments_heal() {
    for finished in both() {
        lost_segments_heal_in(&finished);
    }
}

fn lost_segments_heal_in(finished: &Finished) {
    let history = history(finished);
    let last = finished.last.0.0;
    for number in 1..=last {
        for how in 0..3 {
            if (number, how) == (last, 1) {
                continue; // That is how a segment looks that was never used.
            }
            let mut disk = finished.disk.crashed(&mut |_| false);
            let file = segment(number);
            match how {
                0 => disk.remove(file),
                1 => disk.bytes_mut(file).fill(0),
                _ => disk.bytes_mut(file).fill(0x5a),
            }
            let healed = heal(&mut disk, &history, &mut never).expect("it heals");
            let what = format!("segment {number}, {how}");
            let lost = check(finished, &disk, healed, &what);
            if number < last {
                assert_eq!((healed, lost), (Healed::Whole, 0), "{what}");
            } else {
                assert_eq!(healed, Healed::GivenUp, "{what}");
            }
            open(&disk).expect("it is sound now");
        }
    }
}

/// Who promised to have what is missing has gone; then somebody else comes. What was made for it is there.
#[test]
fn a_hole_that_was_left_half_filled_can_be_filled() {
    for finished in both() {
        let history = history(&finished);
        for number in 1..=finished.last.0.0 {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.remove(segment(number));
            let (mut recovery, _) = open_damaged(&disk).expect("it can be read");
            let Recovery { log, holes, .. } = &mut recovery;
            for hole in holes.iter() {
                let mut events = Vec::new();
                log.mend(hole, &mut disk, &mut events);
                assert!(work(log, &mut disk, &mut never));
                let first = missing(hole, &history).into_iter().take(1);
                let first = first.map(|made| Record::parse(&made.bytes).expect("it is sound").0);
                let put = log.mend_with(first, &mut disk, &mut events);
                put.expect("there is room for what was there");
                assert!(work(log, &mut disk, &mut never));
                log.mend_abandon();
                assert!(fill(log, hole, &history, &mut disk, &mut never));
            }
            let healed = heal(&mut disk, &history, &mut never).expect("it heals");
            check(&finished, &disk, healed, &format!("segment {number}"));
        }
    }
}

#[test]
fn a_crash_while_a_hole_is_filled_leaves_one_that_heals() {
    for finished in both() {
        a_crash_while_a_hole_is_filled_leaves_one_that_heals_in(&finished);
    }
}

fn a_crash_while_a_hole_is_filled_leaves_one_that_heals_in(finished: &Finished) {
    let history = history(finished);
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let mut disk = finished.disk.crashed(&mut |_| false);
        let number = 1 + chance.below(finished.last.0.0 - 1);
        match chance.below(3) {
            0 => disk.remove(segment(number)),
            1 => disk.mar(segment(number), 0..4096).fill(0xff),
            _ => {
                let at = usize::try_from(4096 * (1 + chance.below(8))).expect("small");
                disk.mar(segment(number), at..at + 8192).fill(0xff);
            }
        }
        let mut crashes = 3;
        let mut crash = |disk: &mut Disk| {
            let now = crashes > 0 && chance.below(3) == 0;
            if now {
                crashes -= 1;
                disk.crash(&mut |_| chance.below(2) == 0);
            }
            now
        };
        let healed = heal(&mut disk, &history, &mut crash).expect("it heals");
        let what = format!("seed {seed}");
        let lost = check(finished, &disk, healed, &what);
        assert_eq!((healed, lost), (Healed::Whole, 0), "{what}");
    }
}

/// Others have let go what is missing, and a snapshot covers the log up to the next segment: whenever the power goes, there is a hole
/// still, or a whole log that begins later.
#[test]
fn a_log_begins_behind_a_hole_that_nobody_needs() {
    let mut machine = long(40);
    let live = machine.live.clone();
    keep(&mut machine, 30, &live, &mut |_| {});
    machine.commit(live.len() as u64);
    for at in [5000, 50_000] {
        let mut disk = machine.disk.crashed(&mut |_| true);
        disk.bytes_mut(FileId::Segment(SegmentId(2)))[at] ^= 1;
        let (recovery, _) = open_damaged(&disk).expect("it can be mended");
        let [hole] = recovery.holes.as_slice() else {
            panic!("one hole: {:?}", recovery.holes);
        };
        let Needs::Records(last) = hole.needs() else {
            panic!("records are missing: {hole:?}");
        };
        let mut log = recovery.log;
        let (before, all) = (last.index.previous(), LogIndex(30));
        assert!(!log.begin_behind(hole, (before, all), &mut disk));
        assert!(!log.begin_behind(hole, (all, last.index), &mut disk));
        assert_eq!(disk.waiting(), 0);
        assert!(log.begin_behind(hole, (last.index, all), &mut disk));
        let mut released = None;
        while released.is_none() {
            let (again, _) = open_damaged(&disk.crashed(&mut |_| false)).expect("either");
            assert_eq!(
                again.damaged.is_some(),
                again.raft.start.index == LogIndex(0)
            );
            disk.perform_all();
            let mut done = Vec::new();
            disk.completed(&mut done);
            let mut events = Vec::new();
            for done in done {
                log.completed(done, &mut disk, &mut events)
                    .expect("it works");
            }
            for event in events {
                if let LogEvent::Released { upto } = event {
                    released = Some(upto);
                }
            }
        }
        let (recovery, told) = open(&disk).expect("nothing is missing");
        assert_eq!(Some(recovery.raft.start.index), released);
        assert!(last.index <= recovery.raft.start.index && recovery.raft.start.index <= all);
        assert_eq!(recovery.raft.last, LogIndex(live.len() as u64));
        let behind = live[30..].iter().map(|made| &made.bytes);
        assert!(behind.eq(&told.records));
    }
}
