//! Snapshots, and a log that begins behind them: whatever happens to the power, state and records lead to the same end.

use quorate_replication::log::{
    From, LogEvent, Replay, Restart, Retention, read_superblock, recover,
};
use quorate_replication::seam::{FileId, Files, SegmentId, SnapshotId};
use quorate_replication::snapshot::{Header, Writer};
use quorate_replication::state::State;
use quorate_sim::{Disk, Sector};
use quorate_wire::{LogIndex, Record};

use crate::machine::{Machine, SEGMENT_BYTES, config, identity};
use crate::work::{Body, Chance, Made};

pub(crate) const EVENTS: Body = Body::Events {
    count: 4,
    payload: 3000,
};

pub(crate) const LARGE: Body = Body::Events {
    count: 7,
    payload: 8000,
};

/// The state of the first records of a log.
pub(crate) fn state_of(records: &[Made], upto: u64) -> State {
    let mut state = State::default();
    for made in records {
        state.append(&Record::parse(&made.bytes).expect("it was just made").0);
    }
    state.commit(LogIndex(upto));
    state
}

/// A snapshot of the first records of a log.
fn snapshot_of(records: &[Made], upto: u64) -> Writer {
    let mut state = state_of(records, upto);
    let header = Header::new(identity().cluster, identity().group, state.freeze());
    let mut writer = Writer::new(&header);
    while state.copy(1, &mut writer) {}
    writer.end();
    writer
}

/// Has the log write a snapshot; after each operation of the disk, `look` is shown it.
pub(crate) fn keep(
    machine: &mut Machine,
    upto: u64,
    records: &[Made],
    look: &mut dyn FnMut(&Disk),
) {
    let mut writer = snapshot_of(records, upto);
    machine.log.note_reached(&mut machine.disk);
    machine.log.begin_snapshot();
    while let Some(part) = writer.take(4096) {
        machine.log.write_snapshot(part, &mut machine.disk);
        run(machine, look);
    }
    assert!(writer.is_over());
    machine
        .log
        .keep_snapshot(SnapshotId(upto), &mut machine.disk);
    run(machine, look);
    assert!(machine.log.snapshots().any(|kept| kept == SnapshotId(upto)));
}

/// Lets the disk do what it is asked, one operation after another.
fn run(machine: &mut Machine, look: &mut dyn FnMut(&Disk)) {
    loop {
        machine.log.tend(machine.now, &mut machine.disk);
        look(&machine.disk);
        if !machine.disk.perform(0) {
            return;
        }
        look(&machine.disk);
        machine.pump();
    }
}

/// Lets the disk do what it is asked; before each operation the power may go, and tear what is open in many ways.
pub(crate) fn torn(machine: &mut Machine) {
    loop {
        machine.log.tend(machine.now, &mut machine.disk);
        let sectors = machine.disk.waiting_sectors().len();
        for keeps in 0..6 {
            let mut nth = 0;
            let crashed = machine.disk.crashed(&mut |_| {
                nth += 1;
                match keeps {
                    0 => false,
                    1 => true,
                    2 => nth * 2 < sectors,
                    3 => nth * 2 > sectors,
                    4 => nth % 2 == 0,
                    _ => nth % 3 > 0,
                }
            });
            let mut state = State::default();
            let recovery = recover(&crashed, config(), &mut state).expect("it is sound");
            assert_eq!((recovery.damaged, recovery.restarts), (None, None));
            let last = recovery.raft.last.0;
            assert!(
                last >= machine.durable.len() as u64,
                "nothing durable is lost"
            );
            assert!(last <= machine.live.len() as u64, "nothing is invented");
            state.commit(LogIndex(last));
            assert_eq!(state.covers(), state_of(&machine.live, last).covers());
        }
        if !machine.disk.perform(0) {
            return;
        }
        machine.pump();
    }
}

#[test]
fn a_full_disk_has_room_for_what_is_used_again() {
    let mut machine = long(40);
    let live = machine.live.clone();
    machine.disk.set_room(SEGMENT_BYTES - 1);
    while machine.log.fits(90 << 10) {
        machine.write(&[(None, 6, LARGE)]);
    }
    for upto in [20, 30] {
        keep(&mut machine, upto, &live, &mut |_| {});
    }
    assert!(!machine.log.fits(90 << 10), "the disk is full");
    let covered = LogIndex(20);
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    machine.settle();
    assert!(machine.log.start() > LogIndex(0));
    assert!(machine.log.fits(90 << 10), "at once, whatever the time");
}

/// A log of several segments, of which all but the last record is committed.
pub(crate) fn long(records: u64) -> Machine {
    let mut machine = Machine::new(3);
    for nth in 0..records {
        machine.write(&[(None, 1 + nth / 7, EVENTS)]);
        machine.commit(nth.max(1));
    }
    machine
}

/// Recovers a crashed disk in every way, and holds it against the log that it had. Says where it begins.
fn check(disk: &Disk, live: &[Made], commit: u64) -> Vec<u64> {
    let mut starts = Vec::new();
    for keeps in [0, 1, 2] {
        let mut crashed = disk.crashed(&mut |sector: Sector| match keeps {
            0 => false,
            1 => true,
            _ => sector.position.is_multiple_of(1024),
        });
        // A node that starts may crash at once, and start again.
        for again in 0..2 {
            let mut state = State::default();
            let mut recovery = recover(&crashed, config(), &mut state).expect("it is sound");
            assert_eq!((recovery.damaged, recovery.restarts), (None, None));
            state.commit(LogIndex(commit));
            let whole = state_of(live, commit);
            assert_eq!(state.covers(), whole.covers());
            assert_eq!(state.producers_digest(), whole.producers_digest());
            assert_eq!(recovery.raft.last, LogIndex(live.len() as u64));
            let start = recovery.raft.start;
            assert!(start.index <= recovery.raft.commit);
            assert_eq!(recovery.log.start(), start.index);
            if again == 0 {
                recovery.settle(&mut crashed).expect("a disk in memory");
            }
            starts.push(start.index.0);
        }
    }
    starts
}

pub(crate) const NOTHING: Retention = Retention {
    covered: LogIndex(0),
    bytes: 0,
    since: 0,
};

#[test]
fn what_two_snapshots_have_may_go_and_a_crash_at_any_instant_leaves_a_log() {
    let mut machine = long(40);
    let (live, commit) = (machine.live.clone(), machine.commit.0);
    for upto in [12, 30] {
        keep(&mut machine, upto, &live, &mut |disk| {
            check(disk, &live, commit);
        });
    }
    let covered = LogIndex(12);
    machine.log.release(&NOTHING, &mut machine.disk);
    assert_eq!(machine.disk.waiting(), 0, "nothing is covered");
    let before = machine.log.bytes();
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    let mut seen = std::collections::BTreeSet::new();
    run(&mut machine, &mut |disk| {
        seen.extend(check(disk, &live, commit));
    });
    let start = machine.log.start();
    assert!(
        start > LogIndex(0) && start <= covered,
        "it begins at {start}"
    );
    assert_eq!(seen, [0, start.0].into());
    assert!(machine.log.bytes() < before);
    let left = machine.disk.segments().expect("a disk in memory");
    assert!(
        left.first() > Some(&SegmentId(1)),
        "files are gone: {left:?}"
    );
    let first = live[usize::try_from(start.0).expect("small")].header;
    assert_eq!(machine.log.start_offset(), first.base_offset);

    // What is left is read, what is gone is not.
    for index in 1..=live.len() as u64 {
        let read = machine.read(From::Index(LogIndex(index)), u64::MAX, 1, false);
        assert_eq!(read.is_some(), index > start.0, "record {index}");
        let offset = live[usize::try_from(index - 1).expect("small")]
            .header
            .base_offset;
        let read = machine.read(From::Offset(offset), u64::MAX, 1, false);
        assert_eq!(read.is_some(), index > start.0, "offset {offset}");
    }
    // It goes on, and the snapshot before the last goes when there is a third.
    let next = live.len() as u64;
    machine.commit(next);
    machine.write(&[(None, 9, EVENTS), (None, 9, Body::Noop)]);
    let live = machine.live.clone();
    keep(&mut machine, 35, &live, &mut |disk| {
        check(disk, &live, next);
    });
    let kept = machine.disk.snapshots().expect("a disk in memory");
    assert_eq!(kept, [SnapshotId(30), SnapshotId(35)]);
}

#[test]
fn nothing_goes_that_somebody_reads() {
    let mut machine = long(40);
    let live = machine.live.clone();
    for upto in [20, 30] {
        keep(&mut machine, upto, &live, &mut |_| {});
    }
    let read = quorate_replication::log::Read {
        token: 7,
        from: From::Index(LogIndex(1)),
        through: LogIndex(40),
        bytes_max: 1 << 20,
        one_term: false,
    };
    machine
        .log
        .read(read, &mut machine.disk)
        .expect("it is there");
    let covered = LogIndex(20);
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    // All but the read.
    while machine.disk.waiting() > 1 {
        assert!(machine.disk.perform(1));
        machine.pump();
        machine.log.tend(machine.now, &mut machine.disk);
    }
    assert!(machine.log.start() > LogIndex(0));
    assert!(machine.disk.bytes(FileId::Segment(SegmentId(1))).is_some());
    machine.events.clear();
    machine.settle();
    let read = machine.events.iter().any(|event| {
        matches!(event, LogEvent::Read { result: Ok(records), .. } if records.first == LogIndex(1))
    });
    assert!(read, "{:?}", machine.events);
    assert!(machine.disk.bytes(FileId::Segment(SegmentId(1))).is_none());
}

#[test]
fn a_log_that_keeps_more_than_before_does_not_begin_earlier() {
    let mut machine = long(40);
    let (live, commit) = (machine.live.clone(), machine.commit.0);
    for upto in [12, 30] {
        keep(&mut machine, upto, &live, &mut |_| {});
    }
    let release = |machine: &mut Machine, covered| {
        let covered = LogIndex(covered);
        let retention = Retention { covered, ..NOTHING };
        machine.log.release(&retention, &mut machine.disk);
    };
    release(&mut machine, 30);
    // The superblock has said where it begins, and the segments before are still there.
    while machine.log.start() == LogIndex(0) {
        assert!(machine.disk.perform(0));
        machine.pump();
    }
    let start = machine.log.start();
    assert!(start > LogIndex(12));
    release(&mut machine, 12);
    assert_eq!(machine.disk.waiting(), 0, "there is nothing to say");
    machine.settle();
    assert_eq!(machine.log.start(), start);
    let begins = check(&machine.disk, &live, commit);
    assert!(begins.iter().all(|&begins| begins == start.0));
}

#[test]
fn size_and_age_say_what_goes() {
    for bytes in [true, false] {
        let mut machine = long(40);
        let live = machine.live.clone();
        keep(&mut machine, 39, &live, &mut |_| {});
        let (all, old) = (machine.log.bytes(), live[20].header.log_time);
        let retention = Retention {
            covered: LogIndex(39),
            bytes: if bytes { all / 2 } else { u64::MAX },
            since: if bytes { 0 } else { old },
        };
        machine.log.release(&retention, &mut machine.disk);
        machine.settle();
        let start = usize::try_from(machine.log.start().0).expect("small");
        assert!((1..39).contains(&start), "{start}");
        if bytes {
            assert!(machine.log.bytes() >= all / 2);
        } else {
            assert!(live[start - 1].header.log_time < old);
        }
    }
}

/// Records of a deposed leader reach back behind the segment that they would leave.
#[test]
fn a_log_does_not_begin_with_a_segment_that_reaches_back() {
    let mut machine = long(10);
    for nth in 5..40u64 {
        // Now and then a record takes the place of the one before it, wherever segments end.
        let void = (nth % 5 == 0).then_some(machine.live.len() as u64);
        machine.write(&[(void, nth, EVENTS)]);
        machine.write(&[(None, nth, EVENTS)]);
    }
    let live = machine.live.clone();
    machine.commit(live.len() as u64);
    keep(&mut machine, live.len() as u64, &live, &mut |_| {});
    let covered = LogIndex(live.len() as u64);
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    machine.settle();
    let starts = check(&machine.disk, &live, live.len() as u64);
    assert!(starts.iter().all(|&start| start > 0), "{starts:?}");
}

/// A snapshot of another node that is ahead of the log, or of other records than those that are here (TRAPS 31).
#[test]
fn a_log_begins_anew_behind_a_snapshot_that_it_does_not_join() {
    for conflict in [false, true] {
        let mut here = long(20);
        let mut chance = Chance::new(99);
        let mut other = here.live[..10].to_vec();
        while other.len() < if conflict { 15 } else { 30 } {
            let next = crate::work::make(8, EVENTS, other.last(), &mut chance);
            other.push(next);
        }
        let upto = other.len() as u64;
        here.commit = LogIndex(5);
        keep(&mut here, upto, &other, &mut |_| {});
        let mut disk = here.disk.crashed(&mut |_| false);
        for again in 0..3 {
            let mut state = State::default();
            let mut recovery = recover(&disk, config(), &mut state).expect("it is sound");
            let restarts = (again < 2).then_some(Restart::Installed);
            assert_eq!((recovery.damaged, recovery.restarts), (None, restarts));
            let last = other[other.len() - 1].header;
            let raft = &recovery.raft;
            assert_eq!((raft.start.index, raft.start.term), (last.index, last.term));
            assert_eq!((raft.last, raft.commit), (last.index, last.index));
            assert!(raft.terms.is_empty() && !raft.unsure);
            assert_eq!(state.covers(), state_of(&other, upto).covers());
            if again > 0 {
                recovery.settle(&mut disk).expect("a disk in memory");
                let found = read_superblock(&disk).expect("it is sound");
                assert_eq!(found.expect("it is there").start(), last.index);
                assert!(disk.segments().expect("a disk in memory").is_empty());
            }
            if again == 2 {
                // It goes on behind the snapshot.
                let log = &mut recovery.log;
                log.tend(quorate_wire::Time(0), &mut disk);
                disk.perform_all();
                assert_eq!(disk.segments().expect("a disk in memory").len(), 1);
            }
        }
    }
}

#[test]
fn a_damaged_snapshot_is_done_without() {
    let mut machine = long(40);
    let (live, commit) = (machine.live.clone(), machine.commit.0);
    for upto in [20, 30] {
        keep(&mut machine, upto, &live, &mut |_| {});
    }
    let covered = LogIndex(20);
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    machine.settle();
    let mut disk = machine.disk.crashed(&mut |_| false);
    disk.bytes_mut(FileId::Snapshot(SnapshotId(30)))[200] ^= 1;
    let mut state = State::default();
    let mut recovery = recover(&disk, config(), &mut state).expect("the older one is sound");
    assert_eq!(recovery.snapshot, LogIndex(20));
    assert_eq!(recovery.unsound.len(), 1);
    state.commit(LogIndex(commit));
    assert_eq!(state.covers(), state_of(&live, commit).covers());
    recovery.settle(&mut disk).expect("a disk in memory");
    assert_eq!(
        disk.snapshots().expect("a disk in memory"),
        [SnapshotId(20)]
    );

    // Without the other one, nobody knows what the log begins with.
    disk.bytes_mut(FileId::Snapshot(SnapshotId(20)))[200] ^= 1;
    for again in [false, true] {
        let mut state = State::default();
        let mut recovery = recover(&disk, config(), &mut state).expect("the superblock is sound");
        assert_eq!(recovery.restarts, (!again).then_some(Restart::StateLost));
        assert!(recovery.raft.unsure);
        assert_eq!(
            (recovery.raft.start.index, recovery.raft.last),
            (LogIndex(0), LogIndex(0))
        );
        assert_eq!(state.last(), LogIndex(0));
        recovery.settle(&mut disk).expect("a disk in memory");
    }
}

/// The end of the log is damaged before the place that the snapshot covers.
#[test]
fn a_log_whose_end_is_lost_begins_behind_its_snapshot() {
    let mut machine = long(40);
    let live = machine.live.clone();
    keep(&mut machine, 39, &live, &mut |_| {});
    machine.settle();
    let mut disk = machine.disk.crashed(&mut |_| false);
    let segments = disk.segments().expect("a disk in memory");
    for segment in segments.into_iter().skip(1) {
        disk.remove(FileId::Segment(segment));
    }
    let mut state = State::default();
    let mut recovery = recover(&disk, config(), &mut state).expect("the snapshot is sound");
    assert_eq!(recovery.restarts, Some(Restart::Damaged));
    assert!(recovery.raft.unsure);
    assert_eq!(recovery.raft.last, LogIndex(39));
    assert_eq!(state.covers(), state_of(&live, 39).covers());
    recovery.settle(&mut disk).expect("a disk in memory");
    let again = recover(&disk, config(), &mut State::default()).expect("it is settled");
    assert_eq!((again.restarts, again.raft.unsure), (None, true));
    assert_eq!(again.raft.last, LogIndex(39));
}
