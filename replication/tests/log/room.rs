//! Segments ahead of need, and what happens when there are none.

use quorate_replication::log::{LogConfig, LogEvent, Superblock, format, recover};
use quorate_replication::seam::{
    FileId, Files, OpId, Pace, SegmentId, Storage, StorageDone, StorageError, StorageOp,
};
use quorate_sim::Disk;
use quorate_wire::Time;

use crate::machine::{Machine, SEGMENT_BYTES, Told, identity, open};
use crate::work::Body;

const SECOND: u64 = 1_000_000_000;

#[test]
fn segments_are_prepared_until_enough_lie_ready() {
    let mut disk = Disk::new();
    format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
    let config = LogConfig {
        segment_bytes: SEGMENT_BYTES,
        segments_ahead: 3,
        segments_stock: 0,
        stock_bytes: 1 << 20,
    };
    let mut log = recover(&disk, config, &mut Told::default())
        .expect("it is sound")
        .log;
    assert!(!log.fits(4096), "nothing is prepared yet");
    assert_eq!(log.bytes(), 0);
    let mut events = Vec::new();
    for ready in 1..=3 {
        assert_eq!(log.deadline(), Time(0), "a segment is wanted");
        log.tend(Time(5), &mut disk);
        log.tend(Time(5), &mut disk);
        assert_eq!(disk.waiting(), 1, "one is prepared at a time");
        assert_eq!(log.deadline(), Time(u64::MAX));
        disk.perform_all();
        let mut done = Vec::new();
        disk.completed(&mut done);
        for done in done {
            log.completed(done, &mut disk, &mut events)
                .expect("it is ready");
        }
        assert_eq!(events.len(), ready);
        assert!(matches!(events.last(), Some(LogEvent::RoomMade)));
    }
    assert_eq!(log.deadline(), Time(u64::MAX), "enough are ready");
    log.tend(Time(6), &mut disk);
    assert_eq!(disk.waiting(), 0);
    assert!(log.fits(4096) && log.fits(92 << 10) && !log.fits(96 << 10));
    assert_eq!(disk.segments(), Ok((1..=3).map(SegmentId).collect()));
}

#[test]
fn prepared_segments_are_used_after_a_crash() {
    let mut machine = Machine::new(1);
    machine.write(&[(None, 1, Body::Noop)]);
    assert_eq!(machine.disk.segments().map(|all| all.len()), Ok(2));
    let mut machine = Machine::on(machine.disk.crashed(&mut |_| false), 2);
    assert_eq!(
        machine.log.deadline(),
        Time(u64::MAX),
        "a segment lies ready"
    );
    for _ in 0..3 {
        let body = Body::Events {
            count: 9,
            payload: 8000,
        };
        machine.write(&[(None, 1, body)]);
    }
    let (recovery, told) = open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
    assert_eq!(told.records.len(), 4);
    assert_eq!(recovery.log.bytes(), machine.log.bytes());
    // Segments that were prepared by another configuration have their own length.
    let other = LogConfig {
        segment_bytes: SEGMENT_BYTES * 2,
        segments_ahead: 1,
        segments_stock: 0,
        stock_bytes: 1 << 20,
    };
    let log = recover(&machine.disk, other, &mut Told::default())
        .expect("it is sound")
        .log;
    assert!(log.fits(92 << 10) && !log.fits(96 << 10));
}

#[test]
fn a_full_disk_is_told_and_tried_again() {
    let mut machine = Machine::new(1);
    machine.disk.set_room(SEGMENT_BYTES - 1);
    machine.write(&[(None, 1, Body::Noop)]); // The prepared segment comes into use; the next one finds no room.
    assert!(
        machine
            .events
            .iter()
            .any(|event| matches!(event, LogEvent::DiskFull))
    );
    assert!(machine.log.fits(4096), "the current segment has room");
    assert!(!machine.log.fits(92 << 10));
    // Once the clock has been seen, the disk is left alone for a second.
    let again = machine.log.deadline();
    assert_eq!(again, Time(SECOND));
    machine.events.clear();
    machine.log.tend(again, &mut machine.disk);
    machine.disk.perform_all();
    machine.pump();
    assert!(matches!(machine.events.as_slice(), [LogEvent::DiskFull]));
    assert_eq!(machine.log.deadline(), Time(0), "the clock is to be shown");
    // A crash in between leaves nothing behind.
    open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
    machine.disk.set_room(SEGMENT_BYTES);
    machine.log.tend(Time(20 * SECOND), &mut machine.disk);
    assert_eq!(machine.disk.waiting(), 0, "the moment is not known before");
    let again = machine.log.deadline();
    assert_eq!(again, Time(21 * SECOND));
    machine.log.tend(Time(again.0 - 1), &mut machine.disk);
    assert_eq!(
        machine.disk.waiting(),
        0,
        "a full disk is left alone for a second"
    );
    machine.log.tend(again, &mut machine.disk);
    machine.disk.perform_all();
    machine.pump();
    assert!(matches!(machine.events.last(), Some(LogEvent::RoomMade)));
    assert!(machine.log.fits(92 << 10));
}

#[test]
fn a_disk_that_cannot_prepare_stops_the_node() {
    let mut machine = Machine::new(1);
    machine.begin(&[(None, 1, Body::Noop)]);
    machine.disk.fail_prepare(StorageError::Os { errno: 30 });
    machine.disk.perform_all();
    let fatal = machine.try_pump().expect_err("the disk is read-only");
    assert_eq!((fatal.code().number(), fatal.exit_status()), (701, 70));
    assert!(fatal.to_string().contains("segment 2"), "{fatal}");
}

#[test]
fn only_written_segments_count_as_bytes() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.log.bytes(), 0);
    machine.write(&[(None, 1, Body::Exactly(1000))]);
    assert_eq!(machine.log.bytes(), 4096 + 1000);
    assert!(machine.disk.bytes(FileId::Segment(SegmentId(2))).is_some());
}

/// A disk that remembers the pace it was told.
struct Paced(Disk, Option<Pace>);

impl Storage for Paced {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        self.0.submit(id, op);
    }

    fn pace(&mut self, pace: Pace) {
        assert_ne!(self.1.replace(pace), Some(pace), "it is told what is new");
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        self.0.completed(done);
    }
}

#[test]
fn a_stock_is_prepared_at_leisure_behind_what_is_needed() {
    let mut disk = Disk::new();
    format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
    let config = LogConfig {
        segment_bytes: SEGMENT_BYTES,
        segments_ahead: 2,
        segments_stock: 3,
        stock_bytes: 7,
    };
    let recovery = recover(&disk, config, &mut Told::default());
    let mut log = recovery.expect("it is sound").log;
    let mut paced = Paced(disk, None);
    let mut paces = Vec::new();
    while log.deadline() == Time(0) {
        log.tend(Time(5), &mut paced);
        paces.push(paced.1.expect("a pace was told"));
        paced.0.perform_all();
        let mut done = Vec::new();
        paced.completed(&mut done);
        for done in done {
            let completed = log.completed(done, &mut paced, &mut Vec::new());
            completed.expect("it is ready");
        }
    }
    let slow = Pace::Bytes(7);
    assert_eq!(paces, [Pace::Full, Pace::Half, slow, slow, slow]);
    assert_eq!(paced.0.segments().map(|all| all.len()), Ok(5));
}

#[test]
fn the_stock_is_prepared_faster_while_the_log_is_idle() {
    let mut disk = Disk::new();
    format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
    let config = LogConfig {
        segment_bytes: SEGMENT_BYTES,
        segments_ahead: 1,
        segments_stock: 1,
        stock_bytes: 7,
    };
    let recovery = recover(&disk, config, &mut Told::default());
    let mut log = recovery.expect("it is sound").log;
    let mut paced = Paced(disk, None);
    log.tend(Time(5), &mut paced);
    paced.0.perform_all();
    let mut done = Vec::new();
    paced.completed(&mut done);
    let completed = log.completed(done.remove(0), &mut paced, &mut Vec::new());
    completed.expect("it is ready");
    log.tend(Time(6), &mut paced);
    assert_eq!(paced.1, Some(Pace::Bytes(7)));
    let idle_at = log.deadline();
    assert_eq!(idle_at, Time(1_000_000_005));
    log.tend(idle_at, &mut paced);
    assert_eq!(paced.1, Some(Pace::Half));
    assert_eq!(log.deadline(), Time(u64::MAX), "nothing is to be done");
}
