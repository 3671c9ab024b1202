//! The superblock: one copy is always whole, and the newest state survives the loss of one.

use quorate_replication::log::{
    COPY_BYTES, FormatError, RecoveryError, Superblock, format, read_superblock,
};
use quorate_replication::seam::{FileId, StorageError};
use quorate_sim::Disk;
use quorate_wire::{NodeId, Term};

use crate::machine::{Machine, identity, members, open};
use crate::work::Body;

fn formatted() -> Disk {
    let mut disk = Disk::new();
    assert_eq!(read_superblock(&disk), Ok(None));
    format(&mut disk, &Superblock::fresh(identity())).expect("a disk in memory");
    disk
}

fn rot(disk: &mut Disk, copy: usize, at: usize) {
    disk.bytes_mut(FileId::Superblock)[copy * COPY_BYTES + at] ^= 0x10;
}

#[test]
fn what_is_formatted_is_read() {
    let disk = formatted();
    let superblock = Superblock::fresh(identity());
    assert_eq!(read_superblock(&disk), Ok(Some(superblock.clone())));
    let (recovery, told) = open(&disk).expect("it is sound");
    assert_eq!(recovery.superblock, superblock);
    assert_eq!((told.records.len(), recovery.last), (0, None));
    assert_eq!(recovery.raft, quorate_raft::Recovered::default());
}

#[test]
fn each_bit_of_a_copy_counts_and_the_other_copy_has_it() {
    let mut machine = Machine::new(1);
    machine.log.store_members(&members(), &mut machine.disk);
    machine.vote(7, Some(3));
    machine.settle();
    let newest = machine.log.superblock().clone();
    assert_eq!((newest.term, newest.vote), (Term(7), Some(NodeId(3))));
    assert_eq!(newest.members, members());
    assert_eq!(read_superblock(&machine.disk), Ok(Some(newest.clone())));
    for at in 0..COPY_BYTES {
        if at > 300 && at % 97 != 0 {
            continue;
        }
        for copy in [0, 1] {
            let mut disk = machine.disk.crashed(&mut |_| false);
            rot(&mut disk, copy, at);
            assert_eq!(
                read_superblock(&disk),
                Ok(Some(newest.clone())),
                "byte {at}"
            );
        }
        let mut disk = machine.disk.crashed(&mut |_| false);
        rot(&mut disk, 0, at);
        rot(&mut disk, 1, at);
        let error = read_superblock(&disk).expect_err("both copies have rotted");
        assert_eq!(error.code().number(), 703, "byte {at}: {error}");
    }
}

#[test]
fn a_change_is_reported_when_both_copies_have_it() {
    let mut machine = Machine::new(1);
    machine.vote(3, Some(1));
    assert_eq!(machine.disk.waiting(), 1, "one copy is written at a time");
    assert!(machine.disk.perform(0));
    machine.pump();
    assert!(machine.events.iter().all(|event| !is_news(event)));
    assert!(machine.disk.perform(0));
    machine.pump();
    assert!(machine.events.iter().any(is_news));
}

fn is_news(event: &quorate_replication::log::LogEvent) -> bool {
    matches!(
        event,
        quorate_replication::log::LogEvent::HardStateDurable { version: 1 }
    )
}

#[test]
fn changes_that_come_while_one_is_written_go_out_together() {
    let mut machine = Machine::new(1);
    for term in 1..=5 {
        machine.vote(term, None);
    }
    machine.log.store_members(&members(), &mut machine.disk);
    let mut writes = 0;
    while machine.disk.perform(0) {
        writes += 1;
        machine.pump();
    }
    assert_eq!(writes, 4, "the first change, and all others at once");
    assert_eq!(machine.ballots, vec![(5, (Term(5), None))]);
    assert!(machine.has_members);
}

#[test]
fn the_copy_that_is_missed_is_written_last() {
    for copy in [0, 1] {
        let mut machine = Machine::new(1);
        machine.vote(3, Some(1));
        machine.settle();
        let mut disk = machine.disk.crashed(&mut |_| false);
        rot(&mut disk, copy, 100);
        let mut machine = Machine::on(disk, 1);
        machine.vote(4, None);
        // The write that is open destroys what it is written over.
        let mut torn = machine.disk.crashed(&mut |_| false);
        let over = usize::from(machine.disk.waiting_sectors()[0].position != 0);
        torn.bytes_mut(FileId::Superblock)[over * COPY_BYTES..][..512].fill(0xff);
        let found = read_superblock(&torn).expect("a copy is whole");
        assert_eq!(found.map(|found| found.term), Some(Term(3)));
    }
}

#[test]
fn the_term_of_the_log_counts_and_its_vote_does_not() {
    let mut machine = Machine::new(1);
    machine.vote(3, Some(1));
    machine.settle();
    machine.write(&[(None, 5, Body::Noop)]);
    let (recovery, _) = open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
    assert_eq!((recovery.raft.term, recovery.raft.vote), (Term(5), None));
    assert_eq!(recovery.superblock.vote, Some(NodeId(1)));
}

#[test]
fn an_unsure_node_stays_so_until_the_core_says_otherwise() {
    let mut machine = Machine::new(1);
    machine.unsure = true;
    machine.vote(3, None);
    machine.settle();
    let (recovery, _) = open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
    assert!(recovery.superblock.unsure && recovery.raft.unsure);

    machine.unsure = false;
    machine.vote(3, Some(1));
    machine.settle();
    let (recovery, _) = open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
    assert!(!recovery.superblock.unsure && !recovery.raft.unsure);
}

#[test]
fn that_a_node_was_removed_is_remembered() {
    for ends in [false, true] {
        let mut machine = Machine::new(1);
        machine.log.store_removed(&mut machine.disk);
        if ends {
            machine.log.end(&mut machine.disk);
        }
        machine.settle();
        let (recovery, _) = open(&machine.disk.crashed(&mut |_| false)).expect("it is sound");
        assert!(recovery.superblock.removed);
    }
    let (recovery, _) = open(&formatted()).expect("it is sound");
    assert!(!recovery.superblock.removed);
}

#[test]
fn a_flag_that_is_not_known_is_refused() {
    let mut disk = formatted();
    for copy in disk
        .bytes_mut(FileId::Superblock)
        .chunks_exact_mut(COPY_BYTES)
    {
        copy[92] = 2;
        let crc = quorate_wire::checksum::crc32(&[&copy[8..]]);
        copy[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    let error = read_superblock(&disk).expect_err("what it means is not known");
    assert!(
        matches!(
            error,
            RecoveryError::SuperblockDamaged {
                a: FormatError::Field("flags"),
                ..
            }
        ),
        "{error}"
    );
}

/// It is never taken for that of a new disk, whose log may be made anew (TRAPS 8).
#[test]
fn a_missing_or_foreign_superblock_is_refused() {
    let mut disk = Machine::new(1).disk;
    disk.remove(FileId::Superblock);
    let error = read_superblock(&disk).expect_err("there is a segment");
    assert_eq!(error, RecoveryError::SuperblockMissing { segments: 1 });
    assert_eq!(error.code().number(), 703);

    let mut disk = formatted();
    disk.bytes_mut(FileId::Superblock).truncate(5000);
    assert!(read_superblock(&disk).is_ok(), "the first copy is whole");
    disk.bytes_mut(FileId::Superblock).truncate(100);
    let error = read_superblock(&disk).expect_err("there is no copy");
    assert!(
        matches!(
            error,
            RecoveryError::SuperblockDamaged {
                a: FormatError::Length { found: 100, .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_superblock_of_another_version_is_refused() {
    let mut disk = formatted();
    let copy = &mut disk.bytes_mut(FileId::Superblock)[..COPY_BYTES];
    copy[8] = 2;
    let crc = quorate_wire::checksum::crc32(&[&copy[8..]]);
    copy[4..8].copy_from_slice(&crc.to_le_bytes());
    let error = read_superblock(&disk).expect_err("one copy is of a later version");
    assert_eq!(
        error,
        RecoveryError::Version {
            file: FileId::Superblock,
            found: 2
        }
    );
    assert_eq!(error.code().number(), 609);
}

#[test]
fn a_write_that_fails_stops_the_node() {
    for error in [
        StorageError::Full,
        StorageError::Short { bytes: 512 },
        StorageError::Os { errno: 5 },
    ] {
        let mut machine = Machine::new(1);
        machine.vote(3, Some(1));
        machine.disk.fail_write(error);
        machine.disk.perform_all();
        let fatal = machine
            .try_pump()
            .expect_err("the superblock was not written");
        assert_eq!((fatal.code().number(), fatal.exit_status()), (701, 70));
        let text = fatal.to_string();
        assert!(
            text.contains("the superblock") && text.contains("cure:"),
            "{text}"
        );

        let mut machine = Machine::new(1);
        machine.begin(&[(None, 1, Body::Noop)]);
        machine.disk.fail_write(error);
        machine.disk.perform_all();
        let fatal = machine.try_pump().expect_err("the log was not written");
        assert_eq!((fatal.code().number(), fatal.exit_status()), (701, 70));
        assert!(fatal.to_string().contains("segment 1"), "{fatal}");
    }
}
