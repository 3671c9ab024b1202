//! Bytes that were durable change. It is noticed, whatever changes; nothing is lost that a later write shows to have been there,
//! and nothing is invented.

use std::collections::BTreeMap;
use std::ops::Range;

use quorate_replication::log::{
    Damage, Inspected, RecoveryError, Superblock, format, inspect, live_records,
};
use quorate_replication::seam::{FileId, SegmentId};
use quorate_sim::Disk;

use crate::machine::{Machine, identity, open};
use crate::used;
use crate::work::{Body, Made};

const fn events(count: u32, payload: usize) -> Body {
    Body::Events { count, payload }
}

/// A log with every feature, and what is live in it before and after each group commit.
pub(crate) struct Finished {
    pub(crate) disk: Disk,
    pub(crate) states: Vec<Vec<Made>>,
    /// Where the last group commit begins.
    pub(crate) last: (SegmentId, u64),
    /// Up to where segments may hold records.
    room: usize,
}

pub(crate) fn segment(number: u64) -> FileId {
    FileId::Segment(SegmentId(number))
}

pub(crate) fn finished() -> Finished {
    finished_by(3)
}

/// With another seed, another log of the same shape.
pub(crate) fn finished_by(seed: u64) -> Finished {
    finished_on(Machine::new(seed))
}

/// A log in zeros, and one in used files.
pub(crate) fn both() -> [Finished; 2] {
    let used = Finished {
        room: used::SUMS_AT,
        ..finished_on(used::machine(3))
    };
    [finished(), used]
}

fn finished_on(mut machine: Machine) -> Finished {
    machine.vote(1, Some(1));
    let groups: Vec<Vec<(Option<u64>, u64, Body)>> = vec![
        vec![(None, 1, Body::Noop), (None, 1, events(3, 200))],
        vec![
            (None, 1, Body::Exactly(4096)),
            (None, 1, Body::Exactly(4096)),
        ],
        vec![(None, 2, events(1, 5000)), (None, 2, events(20, 300))],
        vec![(Some(5), 3, Body::Noop), (None, 3, events(8, 4000))],
        vec![(None, 3, Body::Exactly(512 - 64)), (None, 3, Body::Noop)],
        vec![(None, 3, events(9, 5000))],
        vec![(Some(8), 4, Body::Noop), (None, 4, events(2, 7000))],
        vec![(None, 4, Body::Exactly(1024)), (None, 4, events(1, 6000))],
        // Ends with a sector, so that the last group commit follows sectors of zeros.
        vec![(None, 4, Body::Exactly(1536))],
        vec![
            (None, 4, events(1, 3000)),
            (None, 4, Body::Noop),
            (None, 4, events(2, 900)),
        ],
    ];
    let mut states = vec![Vec::new()];
    let mut last = (SegmentId(0), 0);
    for (nth, group) in groups.into_iter().enumerate() {
        if nth == 4 {
            machine.commit(6);
        }
        machine.begin(&group);
        machine.settle();
        states.push(machine.live.clone());
        // After it, the segment before may have got its sums.
        last = match machine.disk.last_write() {
            Some((FileId::Segment(segment), position)) => last.max((segment, position)),
            other => panic!("a group commit was written, not {other:?}"),
        };
    }
    assert!(last.0 >= SegmentId(2), "the log has several segments");
    Finished {
        disk: machine.disk,
        states,
        last,
        room: usize::MAX,
    }
}

impl Finished {
    /// The damaged disk, recovered: an error, or all but the last group commit at least.
    fn check(&self, disk: &Disk, what: &str) -> Result<usize, RecoveryError> {
        let found = open(disk).map(|(_, told)| told.records)?;
        let [.., before, all] = self.states.as_slice() else {
            panic!("there were group commits");
        };
        let same = found.len() >= before.len()
            && found.len() <= all.len()
            && found
                .iter()
                .zip(all)
                .all(|(found, made)| *found == made.bytes);
        assert!(
            same,
            "{what}: {} records of {} to {}",
            found.len(),
            before.len(),
            all.len()
        );
        Ok(all.len() - found.len())
    }

    pub(crate) fn bytes_of_segments(&self) -> Vec<(FileId, usize)> {
        (1..)
            .map(segment)
            .map_while(|file| Some((file, self.disk.bytes(file)?.len().min(self.room))))
            .collect()
    }
}

/// Where records and headers of segments lie: bytes that all count.
fn counting(disk: &Disk) -> BTreeMap<SegmentId, Vec<Range<usize>>> {
    let mut ranges: BTreeMap<SegmentId, Vec<Range<usize>>> = BTreeMap::new();
    let summary = inspect(disk, &mut |found| match found {
        Inspected::Segment(header) => ranges.entry(header.segment).or_default().push(0..4096),
        Inspected::Record {
            segment,
            position,
            record,
            ..
        } => {
            let at = usize::try_from(position).expect("small");
            let range = at..at + record.bytes().len();
            ranges.entry(segment).or_default().push(range);
        }
        Inspected::Cut(_) | Inspected::Damage { .. } => panic!("{found:?} in a sound log"),
    });
    assert_eq!(summary.expect("it is sound").damaged, 0);
    ranges
}

#[test]
fn a_flipped_bit_is_noticed() {
    for finished in both() {
        a_flipped_bit_is_noticed_in(&finished);
    }
}

fn a_flipped_bit_is_noticed_in(finished: &Finished) {
    let counting = counting(&finished.disk);
    let (mut noticed, mut harmless) = (0, 0);
    for (file, bytes) in finished.bytes_of_segments() {
        let FileId::Segment(number) = file else {
            panic!("{file:?} is no segment");
        };
        let none = Vec::new();
        let counts = counting.get(&number).unwrap_or(&none);
        for at in (0..bytes).step_by(97) {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.bytes_mut(file)[at] ^= 1 << (at % 8);
            let what = format!("{file:?}, byte {at}");
            match finished.check(&disk, &what) {
                Ok(lost) => {
                    assert_eq!(lost, 0, "{what}: a flipped bit passes for a torn write");
                    let counted = counts.iter().any(|range| range.contains(&at));
                    assert!(!counted, "{what} counts, and its change is not noticed");
                    harmless += 1;
                }
                Err(RecoveryError::Damaged { .. } | RecoveryError::Version { .. }) => noticed += 1,
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
    assert!(noticed > 1000, "{noticed} noticed, {harmless} harmless");
    assert!(
        harmless > 0,
        "behind the last record of a segment, nothing counts"
    );
}

#[test]
fn every_bit_of_a_record_and_of_a_header_counts() {
    for finished in both() {
        every_bit_of_a_record_and_of_a_header_counts_in(&finished);
    }
}

fn every_bit_of_a_record_and_of_a_header_counts_in(finished: &Finished) {
    let (last, start) = finished.last;
    let file = FileId::Segment(last);
    let header = 0..104;
    let record =
        usize::try_from(start).expect("small")..usize::try_from(start).expect("small") + 160;
    for at in header.chain(record) {
        for bit in [0, 7] {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.bytes_mut(file)[at] ^= 1 << bit;
            let result = finished.check(&disk, &format!("byte {at}"));
            let noticed = matches!(
                result,
                Err(RecoveryError::Damaged { .. } | RecoveryError::Version { .. })
            );
            assert!(noticed, "byte {at}, bit {bit}: {result:?}");
        }
    }
}

#[test]
fn a_sector_that_was_lost_is_noticed_unless_it_was_the_last_write() {
    for finished in both() {
        a_sector_that_was_lost_is_noticed_unless_it_was_the_last_write_in(&finished);
    }
}

fn a_sector_that_was_lost_is_noticed_unless_it_was_the_last_write_in(finished: &Finished) {
    let (mut noticed, mut cut) = (0, 0);
    for (file, bytes) in finished.bytes_of_segments() {
        for at in (0..bytes).step_by(512) {
            let mut disk = finished.disk.crashed(&mut |_| false);
            let sector = &mut disk.bytes_mut(file)[at..at + 512];
            // What is left of an earlier segment is nothing to lose.
            let left = finished.room == used::SUMS_AT && sector == used::left(file, at);
            if left || sector.iter().all(|&byte| byte == 0) {
                continue;
            }
            sector.fill(0);
            let in_last = file == FileId::Segment(finished.last.0) && at as u64 >= finished.last.1;
            match finished.check(&disk, &format!("{file:?}, sector at {at}")) {
                Ok(lost) => {
                    assert!(
                        in_last && lost > 0,
                        "{file:?}, sector at {at}: {lost} records are lost"
                    );
                    cut += 1;
                }
                Err(error) => {
                    assert!(matches!(error, RecoveryError::Damaged { .. }), "{error}");
                    noticed += 1;
                }
            }
        }
    }
    assert!(noticed > 100, "{noticed} noticed, {cut} cut");
    assert!(cut > 5, "{noticed} noticed, {cut} cut");
}

/// Its own checksum cannot tell: the chain does (TRAPS 6). So it is with writes that went elsewhere.
#[test]
fn a_write_that_was_lost_is_noticed_by_what_follows() {
    for finished in both() {
        a_write_that_was_lost_is_noticed_by_what_follows_in(&finished);
    }
}

fn a_write_that_was_lost_is_noticed_by_what_follows_in(finished: &Finished) {
    for number in 1..=finished.last.0.0 {
        let file = segment(number);
        let bytes = finished.disk.bytes(file).expect("it is there").to_vec();
        for at in (4096..bytes.len()).step_by(4096) {
            if bytes[at..at + 4096].iter().all(|&byte| byte == 0) {
                break;
            }
            if file == FileId::Segment(finished.last.0) && at as u64 >= finished.last.1 {
                break;
            }
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.bytes_mut(file)[at..at + 4096].fill(0);
            let result = finished.check(&disk, "a lost block");
            assert!(result.is_err(), "{file:?}, block at {at}");
            // Two blocks change places.
            let mut disk = finished.disk.crashed(&mut |_| false);
            let (one, other) = disk.bytes_mut(file).split_at_mut(at);
            one[at - 4096..].swap_with_slice(&mut other[..4096]);
            let result = finished.check(&disk, "two blocks that changed places");
            assert!(result.is_err(), "{file:?}, block at {at}");
        }
    }
}

#[test]
fn records_of_another_log_are_noticed() {
    let (finished, other) = (finished(), finished_by(4));
    assert_eq!(finished.last, other.last);
    let (last, start) = finished.last;
    let file = FileId::Segment(last);
    let start = usize::try_from(start).expect("small");
    let mut disk = finished.disk.crashed(&mut |_| false);
    let strange = other.disk.bytes(file).expect("it is there");
    disk.bytes_mut(file)[start..].copy_from_slice(&strange[start..]);
    let error = open(&disk).map(drop).expect_err("a write of another log");
    assert!(
        matches!(
            error,
            RecoveryError::Damaged {
                why: Damage::Chain { .. },
                ..
            }
        ),
        "{error}"
    );
    let mut disk = finished.disk.crashed(&mut |_| false);
    disk.bytes_mut(file).copy_from_slice(strange);
    let error = open(&disk).map(drop).expect_err("a segment of another log");
    assert!(
        matches!(
            error,
            RecoveryError::Damaged {
                position: 0,
                why: Damage::Joint(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn segments_are_missed_and_not_mistaken() {
    for finished in both() {
        segments_are_missed_and_not_mistaken_in(&finished);
    }
}

fn segments_are_missed_and_not_mistaken_in(finished: &Finished) {
    let count = finished.last.0.0;
    for number in 1..=count {
        let mut disk = finished.disk.crashed(&mut |_| false);
        disk.remove(segment(number));
        let error = open(&disk).map(drop).expect_err("a segment is missing");
        let RecoveryError::Damaged { segment, why, .. } = error else {
            panic!("{error}");
        };
        if number < count {
            assert_eq!((segment, why), (SegmentId(number), Damage::Missing));
        }
    }
    for number in 1..count {
        let mut disk = finished.disk.crashed(&mut |_| false);
        let one = disk.bytes(segment(number)).expect("it is there").to_vec();
        let other = disk
            .bytes(segment(number + 1))
            .expect("it is there")
            .to_vec();
        *disk.bytes_mut(segment(number)) = other;
        *disk.bytes_mut(segment(number + 1)) = one;
        let error = open(&disk)
            .map(drop)
            .expect_err("two segments changed places");
        assert!(matches!(error, RecoveryError::Damaged { .. }), "{error}");
    }
    for number in 1..=count {
        for length in [0, 1000, 4096, 8192, 50_000] {
            let mut disk = finished.disk.crashed(&mut |_| false);
            disk.bytes_mut(segment(number)).truncate(length);
            let error = open(&disk).map(drop).expect_err("a file is too short");
            assert!(matches!(error, RecoveryError::Damaged { .. }), "{error}");
        }
    }
}

#[test]
fn a_log_that_ends_before_what_the_superblock_saw_is_damaged() {
    let mut machine = Machine::new(1);
    machine.write(&[(None, 1, events(1, 100))]);
    machine.write(&[(None, 1, events(1, 200))]);
    machine.vote(2, None);
    machine.settle();
    let mut disk = machine.disk.crashed(&mut |_| false);
    disk.bytes_mut(segment(1))[8192..12_288].fill(0);
    let error = open(&disk)
        .map(drop)
        .expect_err("the last write is missing");
    assert!(
        matches!(
            error,
            RecoveryError::Damaged {
                why: Damage::EndsEarly { segment: 1, .. },
                ..
            }
        ),
        "{error}"
    );
    for file in [segment(1), segment(2)] {
        disk.remove(file);
    }
    let error = open(&disk).map(drop).expect_err("the whole log is missing");
    assert!(
        matches!(
            error,
            RecoveryError::Damaged {
                why: Damage::EndsEarly { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_segment_of_another_disk_is_refused() {
    let finished = finished();
    let mut disk = finished.disk.crashed(&mut |_| false);
    let mut stranger = identity();
    stranger.disk.0[0] ^= 1;
    let superblock = Superblock::fresh(stranger);
    format(&mut disk, &superblock).expect("a disk in memory");
    let error = open(&disk)
        .map(drop)
        .expect_err("the segments are another disk's");
    assert!(matches!(error, RecoveryError::Identity { .. }), "{error}");
    assert_eq!(error.code().number(), 604);
    stranger.cluster = quorate_wire::ClusterName::new("other").expect("it is a name");
    let superblock = Superblock::fresh(stranger);
    format(&mut disk, &superblock).expect("a disk in memory");
    let error = open(&disk)
        .map(drop)
        .expect_err("the segments are another cluster's");
    assert_eq!(error.code().number(), 603);
}

#[test]
fn bytes_where_no_segment_should_be_are_noticed() {
    let finished = finished();
    let unused = segment(finished.last.0.0 + 1);
    for at in [4096, 90_000] {
        let mut disk = finished.disk.crashed(&mut |_| false);
        disk.bytes_mut(unused)[at] = 1;
        let error = open(&disk)
            .map(drop)
            .expect_err("a prepared segment holds something");
        assert!(
            matches!(
                error,
                RecoveryError::Damaged {
                    why: Damage::Stray,
                    ..
                }
            ),
            "{error}"
        );
    }
    // The header of a segment in use is lost, and its records are there.
    let mut disk = finished.disk.crashed(&mut |_| false);
    disk.bytes_mut(segment(2))[..4096].fill(0);
    let error = open(&disk).map(drop).expect_err("a header is lost");
    assert!(matches!(error, RecoveryError::Damaged { .. }), "{error}");
    assert!(live_records(&disk, &mut |_| ()).is_err());
}
