//! The files of a group: superblock and segments, as recovery and inspection read them.
//!
//! An input is a list of changes to a small sound log.

use quorate_raft::{Config, Members, Raft, Recovered};
use quorate_replication::log::LogConfig;
use quorate_replication::log::{COPY_BYTES, inspect, live_records, recover};
use quorate_replication::state::State;
use quorate_wire::checksum::crc32;
use quorate_wire::{DiskId, LogIndex, NodeId, Time};

use crate::files::Memory;
use crate::record;
use crate::script::Script;
use crate::seeds::golden;

const SEGMENT_BYTES: usize = 64 << 10;

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let mut disk = sound();
    let mut script = Script(data);
    while !script.is_over() {
        change(&mut disk, &mut script);
    }
    let mut records = 0;
    let live = live_records(&disk, &mut |_| records += 1);
    // Inspection goes on where recovery stops.
    let _summary = inspect(&disk, &mut |_| {});
    let mut state = State::default();
    let config = LogConfig {
        segment_bytes: SEGMENT_BYTES as u64,
        segments_ahead: 1,
        segments_stock: 0,
        stock_bytes: 1 << 20,
    };
    let Ok(mut recovery) = recover(&disk, config, &mut state) else {
        return;
    };
    if !recovery.holes.is_empty() {
        return; // To be mended from peers before anything begins.
    }
    assert_eq!(state.last(), recovery.raft.last, "the state knows the log");
    if recovery.damaged.is_some() {
        recovery.give_up_end(&mut disk).expect("files in memory");
        let again = recover(&disk, config, &mut State::default()).expect("what is left is sound");
        assert!(
            again.holes.is_empty() && again.raft.unsure,
            "and the node is unsure"
        );
        assert_eq!(
            again.raft.last, recovery.raft.last,
            "it ends where it was given up"
        );
    } else if live.is_ok() {
        assert_eq!(
            LogIndex(records),
            recovery.raft.last,
            "every index has its record"
        );
    }
    // The core takes whatever recovery hands it.
    let node = recovery.superblock.identity.node;
    let config = Config {
        id: node,
        disk: DiskId([1; 16]),
        heartbeat: 1,
        election_min: 2,
        election_max: 3,
        slack_max: 0,
        lease_reads: false,
        append_bytes_max: 1,
        window_bytes: 1,
        window_appends: 1,
        seed: 0,
    };
    let other = NodeId(node.0 ^ 1);
    let voters = vec![(node, DiskId([1; 16])), (other, DiskId([2; 16]))];
    let recovered = Recovered {
        members: vec![(LogIndex(0), Members::of(voters))],
        ..recovery.raft
    };
    let _core = Raft::new(config, recovered, Time(0));
}

/// What the golden files hold.
fn sound() -> Memory {
    let copy = golden("superblock_v1");
    let mut segment = golden("segment_v1");
    segment.resize(SEGMENT_BYTES, 0);
    Memory {
        superblock: Some([copy.as_slice(), copy.as_slice()].concat()),
        segment: Some(segment),
        snapshot: None,
    }
}

/// Writes some bytes somewhere, and makes a checksum right again.
fn change(disk: &mut Memory, script: &mut Script<'_>) {
    let how = script.byte();
    let superblock = how & 1 != 0;
    let file = if superblock {
        &mut disk.superblock
    } else {
        &mut disk.segment
    };
    let bytes = file.get_or_insert_default();
    let at = usize::from(script.short());
    let count = usize::from(script.byte() % 80);
    let put = script.bytes(count);
    match how >> 1 & 3 {
        // A file of another length.
        3 => bytes.truncate(at),
        _ => {
            let to = bytes.len().min(at + put.len());
            if at < to {
                bytes[at..to].copy_from_slice(&put[..to - at]);
            }
        }
    }
    match how >> 3 & 3 {
        1 if superblock => bytes.chunks_exact_mut(COPY_BYTES).for_each(seal_block),
        1 => {
            if let Some(block) = bytes.get_mut(..COPY_BYTES) {
                seal_block(block);
            }
        }
        2 => record::seal(bytes.get_mut(at - at % 8..).unwrap_or_default()),
        _ => {}
    }
}

/// A superblock's copy or a segment's header: the checksum is at 4, and covers what is behind it.
fn seal_block(block: &mut [u8]) {
    let crc = crc32(&[&block[8..]]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
}
