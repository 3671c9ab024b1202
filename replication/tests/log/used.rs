//! Segments whose files were used before, and are not zero: no test of the log sees a difference.

use quorate_replication::buffer::BLOCK_BYTES;
use quorate_replication::log::{Damage, LogConfig, Retention, Superblock, format, inspect};
use quorate_replication::seam::{FileId, Files, SegmentId};
use quorate_sim::Disk;
use quorate_wire::LogIndex;
use quorate_wire::checksum::crc32;

use crate::machine::{Machine, SEGMENT_BYTES, config, identity, open, open_damaged};
use crate::retention::{EVENTS, LARGE, NOTHING, keep, torn};
use crate::work::{Body, Chance};

const SECTOR: usize = 512;

/// Where a segment's sums begin in its file: they take one block.
pub(crate) const SUMS_AT: usize = 92 << 10;

/// The sums of a file, as the page has them, written by another hand than the log's: of the segment before all others.
fn sums(file: &[u8]) -> Vec<u8> {
    let mut sums = vec![0; BLOCK_BYTES];
    sums[..4].copy_from_slice(b"QRC1");
    sums[8..12].copy_from_slice(&1u32.to_le_bytes());
    sums[16..32].copy_from_slice(&identity().disk.0);
    let sectors = file[..SUMS_AT].chunks(SECTOR);
    for (nth, sector) in sectors.enumerate() {
        let at = 64 + 4 * nth;
        sums[at..at + 4].copy_from_slice(&crc32(&[sector]).to_le_bytes());
    }
    let crc = crc32(&[&sums[8..]]);
    sums[4..8].copy_from_slice(&crc.to_le_bytes());
    sums
}

/// The header of a segment that is prepared of a used file.
pub(crate) fn vacant(segment: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    block[..4].copy_from_slice(b"QRL1");
    block[8..12].copy_from_slice(&2u32.to_le_bytes());
    block[16..16 + 7].copy_from_slice(b"flights");
    block[32..48].copy_from_slice(&identity().disk.0);
    block[48..52].copy_from_slice(&2u32.to_le_bytes());
    block[56..64].copy_from_slice(&segment.to_le_bytes());
    block[64..72].copy_from_slice(&SEGMENT_BYTES.to_le_bytes());
    block[72..80].copy_from_slice(&1u64.to_le_bytes());
    block[104..108].copy_from_slice(&1u32.to_le_bytes());
    let crc = crc32(&[&block[8..]]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
    block
}

/// What some segment left: sectors of anything, of zeros, and what looks like the beginning of a record.
fn litter(segment: u64) -> Vec<u8> {
    let mut chance = Chance::new(segment);
    let mut file = vacant(segment);
    while file.len() < SUMS_AT {
        let zero = chance.below(5) == 0;
        let mut sector: Vec<u8> = (0..SECTOR)
            .map(|_| chance.next().to_le_bytes()[3])
            .map(|byte| if zero { 0 } else { byte })
            .collect();
        if chance.below(3) == 0 {
            sector[..4].copy_from_slice(b"QRT1");
        }
        file.extend(sector);
    }
    let sums = sums(&file);
    file.extend(sums);
    file
}

/// A sector that was there before.
pub(crate) fn left(file: FileId, at: usize) -> Vec<u8> {
    let FileId::Segment(SegmentId(segment)) = file else {
        panic!("only segments are used again");
    };
    litter(segment)[at..at + SECTOR].to_vec()
}

/// A log whose first segments lie ready, in used files.
pub(crate) fn machine(seed: u64) -> Machine {
    let mut disk = Disk::new();
    format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
    for segment in 1..=8 {
        disk.put_used(SegmentId(segment), litter(segment));
    }
    let mut machine = Machine::on(disk, seed);
    machine.log.keep_sums();
    machine.settle();
    machine
}

fn bytes(disk: &Disk, segment: u64) -> &[u8] {
    let file = FileId::Segment(SegmentId(segment));
    disk.bytes(file).expect("it is there")
}

#[test]
fn a_used_file_lies_ready_and_is_used() {
    let mut machine = machine(1);
    let summary = inspect(&machine.disk, &mut |_| {}).expect("it is sound");
    assert_eq!(
        (summary.ready, summary.segments, summary.damaged),
        (8, 0, 0)
    );
    for _ in 0..8 {
        machine.write(&[(None, 1, EVENTS)]);
        machine.check(&machine.disk.crashed(&mut |_| false), "after a write");
    }
    let summary = inspect(&machine.disk, &mut |_| {}).expect("it is sound");
    assert_eq!((summary.segments, summary.damaged), (2, 0));
    // Its own sums are what the page says. Zeros and headers need none.
    let file = bytes(&machine.disk, 1);
    let own = file[SUMS_AT..].to_vec();
    let mut expected = sums(file);
    expected[32] = 1;
    expected[40] = 7;
    for at in (64..64 + 4 * SUMS_AT / SECTOR).step_by(4) {
        let written = own[at..at + 4] != [0; 4];
        let zero = file[(at - 64) / 4 * SECTOR..]
            .iter()
            .take(SECTOR)
            .all(|&byte| byte == 0);
        if !written {
            assert!(at < 64 + 4 * 8 || zero, "byte {at}");
            expected[at..at + 4].fill(0);
        }
    }
    let crc = crc32(&[&expected[8..]]);
    expected[4..8].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(own, expected);
}

/// A sector that was written and has decayed is damage; one that was not written is none, and zeros are not told from it.
#[test]
fn decay_is_told_from_what_was_not_written() {
    let mut machine = machine(2);
    machine.write(&[(None, 1, EVENTS)]);
    machine.begin(&[(None, 1, EVENTS)]);
    assert!(machine.disk.perform(0), "it is written");
    let (file, at) = machine.disk.last_write().expect("a write");
    let at = usize::try_from(at).expect("small");
    let old = litter(1);
    let sector = at + 2 * SECTOR..at + 3 * SECTOR;
    for (left, torn) in [
        (old[sector.clone()].to_vec(), true),
        (vec![0; SECTOR], true),
        (vec![7; SECTOR], false),
    ] {
        let mut disk = machine.disk.crashed(&mut |_| false);
        disk.bytes_mut(file)[sector.clone()].copy_from_slice(&left);
        let (recovery, told) = open_damaged(&disk).expect("it can be read");
        assert_eq!(told.records.len(), 1);
        assert_eq!(recovery.cut.is_some(), torn);
        assert_eq!(recovery.damaged.is_some(), !torn);
    }
}

/// An event may be made of the very bytes that were there before.
#[test]
fn a_record_that_looks_like_the_past_is_a_record() {
    let mut machine = machine(3);
    machine.write(&[(None, 1, Body::Noop)]);
    machine.begin(&[(None, 1, EVENTS)]);
    let mut nth = 0;
    let kept = machine.disk.crashed(&mut |_| {
        nth += 1;
        nth != 4
    });
    // As if the sector that was not written had been the same before.
    let mut same = machine.disk.crashed(&mut |_| true);
    let file = FileId::Segment(SegmentId(1));
    let mut old = litter(1);
    let now = bytes(&same, 1).to_vec();
    old[4096..SUMS_AT].copy_from_slice(&now[4096..SUMS_AT]);
    let sums = sums(&old);
    same.bytes_mut(file)[SUMS_AT..].copy_from_slice(&sums);
    assert_eq!(open(&same).expect("it is sound").1.records.len(), 2);
    assert_eq!(open(&kept).expect("it is sound").1.records.len(), 1);
}

/// Without sums, nothing says what was not written: that is damage, and not a torn end.
#[test]
fn sums_that_decay_are_noticed() {
    let mut machine = machine(4);
    machine.write(&[(None, 1, EVENTS)]);
    for at in [0, 5, 33, 41, 64 + 4 * 40] {
        let mut disk = machine.disk.crashed(&mut |_| false);
        disk.bytes_mut(FileId::Segment(SegmentId(1)))[SUMS_AT + at] ^= 1;
        let (recovery, told) = open_damaged(&disk).expect("it can be read");
        assert_eq!(told.records.len(), 1);
        let why = recovery.damaged.expect("it is noticed").why;
        assert!(matches!(why, Damage::Stray | Damage::Record(_)), "{why}");
    }
}

/// Lets go what is before the segment that this record is the last one before, and has its file used again.
fn release(machine: &mut Machine, upto: u64) {
    let live = machine.live.clone();
    for kept in [upto, upto + 1] {
        keep(machine, kept, &live, &mut |_| {});
    }
    let covered = LogIndex(upto);
    machine
        .log
        .release(&Retention { covered, ..NOTHING }, &mut machine.disk);
    machine.settle();
    assert_eq!(machine.log.start(), covered);
}

fn newest(machine: &Machine) -> (u64, &[u8]) {
    let segments = machine.disk.segments().expect("a disk in memory");
    let newest = *segments.last().expect("there are some");
    let bytes = machine.disk.bytes(FileId::Segment(newest));
    (newest.0, bytes.expect("it is there"))
}

#[test]
fn what_a_process_left_full_the_next_one_uses_again() {
    for sums in [false, true] {
        let mut machine = Machine::new(3);
        if sums {
            machine.log.keep_sums();
        }
        for _ in 0..4 {
            machine.write(&[(None, 1, LARGE)]);
        }
        let mut machine = Machine::on(machine.disk, 4);
        machine.log.keep_sums();
        machine.commit(4);
        machine.write(&[(None, 1, LARGE)]);
        release(&mut machine, 1);
        machine.write(&[(None, 1, LARGE)]);
        let (number, bytes) = newest(&machine);
        let reused = bytes.iter().any(|&byte| byte != 0);
        assert_eq!(reused, sums, "what has no sums is filled with zeros");
        if reused {
            assert_eq!(&bytes[..4096], vacant(number), "as the page says");
        }
    }
}

#[test]
fn a_file_with_void_records_behind_the_start_is_filled_with_zeros() {
    let mut machine = Machine::new(3);
    machine.log.keep_sums();
    for _ in 0..5 {
        machine.write(&[(None, 1, Body::Noop)]);
    }
    machine.write(&[(Some(3), 2, LARGE)]);
    machine.write(&[(None, 2, LARGE)]);
    machine.commit(4);
    release(&mut machine, 3);
    machine.write(&[(None, 2, LARGE)]);
    assert_eq!(machine.disk.reused(), 0);
    let (number, bytes) = newest(&machine);
    assert!(number == 4 && bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn files_are_used_again_and_show_nothing_of_their_past() {
    use_files_again(false);
}

#[test]
fn files_are_used_again_as_they_are_and_show_nothing_of_their_past() {
    use_files_again(true);
}

fn use_files_again(sums: bool) {
    let stocked = LogConfig {
        segments_stock: 3,
        ..config()
    };
    let mut machine = Machine::configured(Machine::new(3).disk, 3, stocked);
    if sums {
        machine.log.keep_sums();
    }
    let mut files = std::collections::BTreeSet::new();
    machine.disk.set_room(16 * SEGMENT_BYTES);
    for nth in 1..80u64 {
        // Small and large ones, so that what was there before lies behind them in every way.
        let body = match nth % 3 {
            0 => Body::Noop,
            1 => LARGE,
            _ => Body::Exactly(4096),
        };
        machine.begin(&[(None, nth / 9, body), (None, nth / 9, EVENTS)]);
        torn(&mut machine);
        let upto = machine.live.len() as u64;
        machine.commit(upto);
        if nth % 12 == 0 {
            let live = machine.live.clone();
            keep(&mut machine, upto, &live, &mut |_| {});
            let covered = LogIndex(upto);
            let retention = Retention { covered, ..NOTHING };
            machine.log.release(&retention, &mut machine.disk);
            torn(&mut machine);
        }
        files.extend(machine.disk.segments().expect("a disk in memory"));
    }
    assert!(files.len() > 20, "{files:?}");
    assert_eq!(machine.disk.reused() > 0, sums);
}
