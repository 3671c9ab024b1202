//! Golden files: the superblock and the first blocks of a segment, byte for byte, as they will be read forever.
//!
//! A format never changes under its version. `QUORATE_UPDATE=1 cargo test -p quorate-replication` writes the files of a new one.

use std::path::PathBuf;

use quorate_replication::log::{COPY_BYTES, Replay, live_records, read_superblock, recover};
use quorate_replication::seam::{FileId, Files, OpId, SegmentId, Storage, StorageOp};
use quorate_replication::snapshot::{Header, Writer};
use quorate_replication::state::State;
use quorate_sim::Disk;
use quorate_wire::{LogIndex, NodeId, Term};

use crate::dump::{Part, read, render};
use crate::machine::{Machine, SEGMENT_BYTES, config, identity, members, open};
use crate::used::SUMS_AT;
use crate::work::Body;

const SUPERBLOCK: &[Part] = &[
    Part::Heading("each of the two copies, side by side in the file"),
    Part::Text("magic", 4),
    Part::Bits("crc"),
    Part::Count("version", 4),
    Part::Count("group", 4),
    Part::Count("sequence", 8),
    Part::Text("cluster", 16),
    Part::Bytes("disk", 16),
    Part::Count("node", 4),
    Part::Count("vote", 4),
    Part::Count("term", 8),
    Part::Count("log_segment", 8),
    Part::Count("log_position", 8),
    Part::Count("member_count", 4),
    Part::Count("flags", 4),
    Part::Count("start_segment", 8),
    Part::Count("start_index", 8),
    Part::Count("start_term", 8),
    Part::Count("start_offset", 8),
    Part::Bits("start_crc"),
    Part::Count("ended", 2),
    Part::Count("removed", 2),
    Part::Heading("members: seven places"),
    Part::Count("node", 4),
    Part::Count("reserved", 4),
    Part::Bytes("disk", 16),
    Part::Count("node", 4),
    Part::Count("reserved", 4),
    Part::Bytes("disk", 16),
    Part::Count("node", 4),
    Part::Count("reserved", 4),
    Part::Bytes("disk", 16),
    Part::Zeros(4096),
];

const SEGMENT: &[Part] = &[
    Part::Heading("header"),
    Part::Text("magic", 4),
    Part::Bits("crc"),
    Part::Count("version", 4),
    Part::Count("group", 4),
    Part::Text("cluster", 16),
    Part::Bytes("disk", 16),
    Part::Count("node", 4),
    Part::Bits("previous"),
    Part::Count("segment", 8),
    Part::Count("segment_bytes", 8),
    Part::Count("first_index", 8),
    Part::Count("first_offset", 8),
    Part::Count("previous_end", 8),
    Part::Count("commit", 8),
    Part::Count("flags", 4),
    Part::Zeros(4096),
    Part::Heading("first group commit: a no-op, and a record of one event"),
    Part::Bytes("record at index 1", 64),
    Part::Bytes("record at index 2", 64),
    Part::Bytes("its chunk", 32 + 24 + 16),
    Part::Zeros(8192),
    Part::Heading(
        "second group commit: a later term's no-op takes the place of the record at index 2",
    ),
    Part::Bytes("record at index 2", 64),
    Part::Zeros(12_288),
];

const SUMS: &[Part] = &[
    Part::Heading("of a segment of 96 KiB with one group commit"),
    Part::Text("magic", 4),
    Part::Bits("crc"),
    Part::Count("version", 4),
    Part::Count("group", 4),
    Part::Bytes("disk", 16),
    Part::Count("segment", 8),
    Part::Count("last_index", 8),
    Part::Zeros(64),
    Part::Bytes("of the header: none", 32),
    Part::Bytes("of the group commit's eight sectors", 32),
    Part::Zeros(4096),
];

const SNAPSHOT: &[Part] = &[
    Part::Heading("header"),
    Part::Text("magic", 4),
    Part::Bits("crc"),
    Part::Count("version", 4),
    Part::Count("group", 4),
    Part::Text("cluster", 16),
    Part::Count("index", 8),
    Part::Count("term", 8),
    Part::Count("next_offset", 8),
    Part::Count("log_time", 8),
    Part::Bytes("digest", 8),
    Part::Bits("header_crc"),
    Part::Zeros(128),
    Part::Heading("a piece: one producer"),
    Part::Count("section", 4),
    Part::Count("entries", 4),
    Part::Count("bytes", 4),
    Part::Bits("crc"),
    Part::Count("id", 8),
    Part::Count("next", 8),
    Part::Count("seen", 8),
    Part::Count("epoch", 4),
    Part::Count("runs", 4),
    Part::Count("first", 8),
    Part::Count("events", 8),
    Part::Count("offset", 8),
    Part::Heading("the end"),
    Part::Count("section", 4),
    Part::Count("entries", 4),
    Part::Count("bytes", 4),
    Part::Bits("crc"),
    Part::Count("bytes", 8),
    Part::Count("entries", 8),
    Part::Bits("crc"),
    Part::Count("reserved", 4),
    Part::Zeros(4096),
];

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    folder.join(format!("{name}.hex"))
}

fn file(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; cure: QUORATE_UPDATE=1 cargo test -p quorate-replication",
            path.display()
        )
    })
}

fn sample() -> Disk {
    let mut machine = Machine::new(1);
    machine.log.store_members(&members(), &mut machine.disk);
    machine.settle();
    machine.write(&[
        (None, 3, Body::Noop),
        (
            None,
            3,
            Body::Events {
                count: 1,
                payload: 16,
            },
        ),
    ]);
    machine.commit(1);
    machine.write(&[(Some(2), 5, Body::Noop)]);
    machine.vote(5, Some(2));
    machine.settle();
    machine.disk
}

/// The state of a log of two records, the second of one event.
fn state() -> State {
    let mut machine = Machine::new(1);
    let event = Body::Events {
        count: 1,
        payload: 16,
    };
    machine.write(&[(None, 3, Body::Noop), (None, 3, event)]);
    let mut state = State::default();
    recover(&machine.disk, config(), &mut state).expect("it is sound");
    state.commit(LogIndex(2));
    state
}

fn snapshot() -> Vec<u8> {
    let mut state = state();
    let header = Header::new(identity().cluster, identity().group, state.freeze());
    let mut writer = Writer::new(&header);
    assert!(!state.copy(10, &mut writer), "a few entries");
    writer.end();
    writer.take(1 << 20).expect("a block").to_vec()
}

/// The sums of a segment in which a small group commit was written.
fn sums() -> Vec<u8> {
    let mut machine = Machine::new(1);
    machine.log.keep_sums();
    machine.write(&[(None, 3, Body::Noop)]);
    machine.write(&[(None, 3, Body::Exactly(86 << 10))]);
    let file = machine.disk.bytes(FileId::Segment(SegmentId(1)));
    file.expect("it was written")[SUMS_AT..].to_vec()
}

fn dumps() -> [(&'static str, String); 4] {
    let disk = sample();
    let superblock = disk.bytes(FileId::Superblock).expect("it was formatted");
    let (a, b) = superblock.split_at(COPY_BYTES);
    assert_eq!(a, b, "both copies are the same");
    let segment = disk
        .bytes(FileId::Segment(SegmentId(1)))
        .expect("it was written");
    [
        ("superblock_v1", render("superblock", a, SUPERBLOCK)),
        (
            "segment_v1",
            render("first blocks of a segment", &segment[..12_288], SEGMENT),
        ),
        ("sums_v1", render("sums", &sums(), SUMS)),
        ("snapshot_v1", render("snapshot", &snapshot(), SNAPSHOT)),
    ]
}

#[test]
fn the_golden_files_are_written() {
    let update = std::env::var_os("QUORATE_UPDATE").is_some_and(|value| value == "1");
    for (name, text) in dumps() {
        if update {
            std::fs::create_dir_all(path(name).parent().expect("it is in a folder"))
                .expect("a folder");
            std::fs::write(path(name), &text).expect("the golden folder can be written");
        }
        assert_eq!(file(name), text, "{name}");
    }
}

#[test]
fn the_golden_files_are_read() {
    let mut disk = Disk::new();
    let copy = read(&file("superblock_v1"));
    disk.store_superblock(&[copy.as_slice(), copy.as_slice()].concat())
        .expect("a disk in memory");
    let prepare = StorageOp::Prepare {
        segment: SegmentId(1),
        bytes: SEGMENT_BYTES,
        from: None,
    };
    disk.submit(OpId(1), prepare);
    disk.perform_all();
    let blocks = read(&file("segment_v1"));
    disk.bytes_mut(FileId::Segment(SegmentId(1)))[..blocks.len()].copy_from_slice(&blocks);

    let superblock = read_superblock(&disk)
        .expect("it is sound")
        .expect("it is there");
    assert_eq!(
        (superblock.term, superblock.vote),
        (Term(5), Some(NodeId(2)))
    );
    assert_eq!(superblock.members, members());
    let (recovery, told) = open(&disk).expect("it is sound");
    assert_eq!((told.records.len(), recovery.raft.term), (2, Term(5)));
    let mut terms = Vec::new();
    live_records(&disk, &mut |record| terms.push(record.header().term)).expect("it is sound");
    assert_eq!(terms, [Term(3), Term(5)]);
}

#[test]
fn the_golden_snapshot_is_read() {
    let bytes = read(&file("snapshot_v1"));
    let (cluster, group) = (identity().cluster, identity().group);
    let found = State::load(&bytes, cluster, group).expect("it is sound");
    assert_eq!(found.covers(), state().covers());
    assert_eq!(found.producers_digest(), state().producers_digest());
    assert_eq!(found.producers(), 1);
}

/// The page shows what the code writes.
#[test]
fn the_page_shows_the_golden_files() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/log-format.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    for (name, _) in dumps() {
        assert!(
            page.contains(&file(name)),
            "docs/log-format.md shows {name}"
        );
    }
}
