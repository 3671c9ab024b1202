//! A log that ended because its process was asked to stop: the next start does not read what lies ready, and knows the same.

use quorate_replication::seam::{FileId, Files};
use quorate_sim::Disk;

use crate::machine::Machine;
use crate::passed::{behind, same, whole};
use crate::used;
use crate::work::{Body, Chance};

fn end(machine: &mut Machine) {
    machine.log.end(&mut machine.disk);
    while machine.disk.waiting() > 0 {
        machine.disk.perform_all();
        machine.pump();
    }
    assert!(machine.log.is_noted());
}

fn stopped(machine: &Machine) -> Disk {
    machine.disk.crashed(&mut |_| true)
}

/// Writes so many group commits of one or two records; some take others' places.
fn work(machine: &mut Machine, writes: u64, chance: &mut Chance) {
    for _ in 0..writes {
        let term = machine.live.last().map_or(1, |last| last.header.term.0);
        let body = Body::Events {
            count: 1 + u32::try_from(chance.below(3)).expect("few"),
            payload: usize::try_from(1 + chance.below(5000)).expect("small"),
        };
        let last = machine.live.len() as u64;
        if last > 2 && chance.below(6) == 0 {
            machine.write(&[(Some(last - chance.below(2)), term + 1, body)]);
        } else {
            machine.write(&[(None, term, body), (None, term, body)]);
        }
    }
}

/// The machines of a test: segments of zeros, and of used files.
fn machines(seed: u64) -> [Machine; 2] {
    [Machine::new(seed), used::machine(seed)]
}

#[test]
fn what_lies_ready_is_not_read_after_an_end() {
    for seed in 1..40 {
        for mut machine in machines(seed) {
            let mut chance = Chance::new(seed);
            work(&mut machine, seed, &mut chance);
            let before = stopped(&machine);
            assert_eq!(behind(&before).expect("it is whole").0.ready_unread, 0);
            end(&mut machine);
            let mut disk = stopped(&machine);
            let all = whole(&disk);
            let less = behind(&disk).expect("it is whole");
            same(&all, &less, &format!("seed {seed}"));
            assert!(less.0.ready_unread > 0, "seed {seed}");
            // What is not read may be anything.
            let unread = less.0.ready_unread;
            let segments = disk.segments().expect("a disk in memory");
            for &segment in &segments[segments.len() - unread..] {
                disk.bytes_mut(FileId::Segment(segment))[5000] ^= 1;
            }
            let blind = behind(&disk).expect("it is whole");
            same(&less, &blind, &format!("seed {seed}, blind"));
            assert!(whole(&disk).0.damaged.is_some(), "seed {seed}");
        }
    }
}

#[test]
fn a_log_that_goes_on_has_not_ended() {
    for mut machine in machines(3) {
        work(&mut machine, 9, &mut Chance::new(3));
        end(&mut machine);
        let mut disk = stopped(&machine);
        let (mut recovery, _) = behind(&disk).expect("it is whole");
        assert!(recovery.ready_unread > 0);
        recovery.settle(&mut disk).expect("a disk in memory");
        assert_eq!(behind(&disk).expect("it is whole").0.ready_unread, 0);
        same(&whole(&disk), &behind(&disk).expect("it is whole"), "on");
    }
}

/// A build that does not know of ends goes on behind one, and may leave it where it stands.
#[test]
fn an_end_that_somebody_wrote_behind_is_not_believed() {
    let (mut believed, mut refuted) = (0, 0);
    for seed in 0..60 {
        for mut machine in machines(seed) {
            let mut chance = Chance::new(seed);
            let before = chance.below(20);
            work(&mut machine, before, &mut chance);
            end(&mut machine);
            let disk = stopped(&machine);
            let (recovery, told) = whole(&disk);
            let mut machine = Machine::of(disk, seed, recovery, told);
            let behind_it = chance.below(4);
            work(&mut machine, behind_it, &mut chance);
            let body = Body::Events {
                count: 2,
                payload: usize::try_from(1 + chance.below(9000)).expect("small"),
            };
            machine.begin(&[(None, 1_000, body)]);
            for keeps in 0..4 {
                let disk = machine.disk.crashed(&mut |_| match keeps {
                    0 => false,
                    1 => true,
                    _ => chance.below(2) == 0,
                });
                let what = format!("seed {seed}, keeps {keeps}");
                let all = whole(&disk);
                assert_eq!(all.0.damaged, None, "{what}");
                match behind(&disk) {
                    Some(less) => {
                        same(&all, &less, &what);
                        assert!(less.0.cut.is_none() || less.0.ready_unread == 0, "{what}");
                        believed += less.0.ready_unread;
                    }
                    None => refuted += 1,
                }
            }
        }
    }
    assert!(believed > 0, "nothing of the write was there: it stands");
    assert!(refuted > 100, "{refuted}");
}

#[test]
fn an_end_that_is_not_there_is_missed() {
    for mut machine in machines(7) {
        work(&mut machine, 9, &mut Chance::new(7));
        end(&mut machine);
        let mut disk = stopped(&machine);
        let segments = disk.segments().expect("a disk in memory");
        let unread = behind(&disk).expect("it is whole").0.ready_unread;
        let last = FileId::Segment(segments[segments.len() - unread - 1]);
        let bytes = disk.bytes_mut(last);
        let record = machine.live.last().expect("there are some").bytes.clone();
        let at = bytes.windows(record.len()).rposition(|it| it == record);
        let at = at.expect("it is in the last segment");
        bytes[at..at + record.len()].fill(0);
        assert!(behind(&disk).is_none());
        assert!(whole(&disk).0.damaged.is_some());
    }
}
