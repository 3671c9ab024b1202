//! What a disk keeps. Each suite begins with an empty group: no superblock, no segment.

mod prepared;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use prepared::{
    a_file_is_used_again, a_file_is_used_again_as_it_is, a_segment_is_prepared_once,
    a_slow_preparation_is_hurried, segments_are_prepared_beside_writes,
};

use super::{PUMPS_MAX, PUMPS_QUIET, Pump};
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::seam::{
    FileId, OpId, SegmentId, SnapshotId, Storage, StorageDone, StorageError, StorageOp,
    StorageOutcome,
};

/// The error number of a file that is not there.
pub const NOT_THERE: i32 = 2;
/// The error number of a segment that is there already.
pub const THERE_ALREADY: i32 = 17;
/// The error number of a write past a file's end.
pub const PAST_THE_END: i32 = 27;

const BLOCKS: usize = 8;

/// Bytes of a buffer as large as those of the log's end.
const LARGE_BYTES: usize = 1 << 20;

/// A disk, and what it has said.
struct Desk<'a, S> {
    storage: &'a mut S,
    submitted: u64,
    done: Vec<StorageDone>,
}

impl<'a, S: Storage + Pump> Desk<'a, S> {
    fn new(storage: &'a mut S) -> Self {
        Self {
            storage,
            submitted: 0,
            done: Vec::new(),
        }
    }

    fn submit(&mut self, op: StorageOp) -> OpId {
        self.submitted += 1;
        let id = OpId(self.submitted);
        self.storage.submit(id, op);
        id
    }

    fn wait(&mut self, id: OpId) -> Result<StorageOutcome, StorageError> {
        for _ in 0..PUMPS_MAX {
            self.storage.completed(&mut self.done);
            if let Some(at) = self.done.iter().position(|done| done.id == id) {
                return self.done.swap_remove(at).result;
            }
            self.storage.pump();
        }
        panic!("{id:?} does not complete");
    }

    fn run(&mut self, op: StorageOp) -> Result<StorageOutcome, StorageError> {
        let id = self.submit(op);
        self.wait(id)
    }

    fn prepare(&mut self, segment: u64, blocks: usize) {
        let outcome = self.run(StorageOp::Prepare {
            segment: SegmentId(segment),
            bytes: long(blocks * BLOCK_BYTES),
            from: None,
        });
        assert!(
            matches!(outcome, Ok(StorageOutcome::Prepared)),
            "segment {segment}: {outcome:?}"
        );
    }

    fn write(&mut self, segment: u64, block: usize, bytes: Slice) {
        let outcome = self.run(write(segment, block, bytes));
        assert!(
            matches!(outcome, Ok(StorageOutcome::Written)),
            "segment {segment}, block {block}: {outcome:?}"
        );
    }

    fn read(&mut self, segment: u64, block: usize, blocks: usize) -> Buffer {
        read_of(self.run(read(segment, block, blocks)))
    }

    /// Nothing more completes.
    fn end(mut self) {
        for _ in 0..PUMPS_QUIET {
            self.storage.pump();
            self.storage.completed(&mut self.done);
            assert!(
                self.done.is_empty(),
                "nothing is open, but: {:?}",
                self.done
            );
        }
    }
}

fn file(segment: u64) -> FileId {
    FileId::Segment(SegmentId(segment))
}

fn write(segment: u64, block: usize, bytes: Slice) -> StorageOp {
    StorageOp::Write {
        file: file(segment),
        position: long(block * BLOCK_BYTES),
        bytes,
    }
}

fn read(segment: u64, block: usize, blocks: usize) -> StorageOp {
    StorageOp::Read {
        file: file(segment),
        position: long(block * BLOCK_BYTES),
        length: blocks * BLOCK_BYTES,
        into: Buffer::zeroed(blocks * BLOCK_BYTES),
    }
}

fn read_of(outcome: Result<StorageOutcome, StorageError>) -> Buffer {
    match outcome {
        Ok(StorageOutcome::Read(buffer)) => buffer,
        Ok(_) | Err(_) => panic!("a read gives bytes: {outcome:?}"),
    }
}

/// Blocks that tell who wrote them.
fn pattern(seed: usize, blocks: usize) -> Slice {
    let mut buffer = Buffer::zeroed(blocks * BLOCK_BYTES);
    for (at, byte) in buffer.iter_mut().enumerate() {
        *byte = pattern_at(seed, at);
    }
    let all = 0..buffer.len();
    Slice::new(Arc::new(buffer), all)
}

fn pattern_at(seed: usize, at: usize) -> u8 {
    u8::try_from((seed * 41 + at / 7 + 1) % 251).expect("it is small")
}

fn is_pattern(bytes: &[u8], seed: usize) -> bool {
    let mut places = bytes.iter().enumerate();
    places.all(|(at, &byte)| byte == pattern_at(seed, at))
}

fn long(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("it is small")
}

/// A segment that was prepared is as long as asked, and all zeros.
///
/// # Panics
/// The contract is broken.
pub fn a_prepared_segment_is_zeros(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    for (segment, blocks) in [(1, BLOCKS), (2, 1), (3, 3 * 256 + 5)] {
        desk.prepare(segment, blocks);
        let bytes = desk.read(segment, 0, blocks);
        assert!(bytes.iter().all(|&byte| byte == 0), "segment {segment}");
        let beyond = desk.run(read(segment, blocks, 1)).err();
        assert_eq!(beyond, Some(StorageError::Short { bytes: 0 }));
    }
    desk.end();
}

/// What was written is read, there and nowhere else, and the last write wins.
///
/// # Panics
/// The contract is broken.
pub fn written_bytes_come_back(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    desk.write(1, 2, pattern(1, 3));
    desk.write(1, 3, pattern(2, 1));
    let bytes = desk.read(1, 0, BLOCKS);
    let mut blocks = bytes.chunks(BLOCK_BYTES);
    let mut next = || blocks.next().expect("there are eight");
    assert!(next().iter().chain(next()).all(|&byte| byte == 0));
    assert!(is_pattern(next(), 1), "the first write is there");
    assert!(is_pattern(next(), 2), "the second write covers it");
    assert!(!is_pattern(next(), 2), "and no more of it");
    assert!(
        next()
            .iter()
            .chain(next())
            .chain(next())
            .all(|&byte| byte == 0)
    );

    let two = desk.read(1, 3, 1);
    assert!(is_pattern(&two, 2), "a read begins where it is told to");
    // A part of a shared buffer is written like a whole one.
    let mut copy = Buffer::zeroed(bytes.len());
    copy.copy_from_slice(&bytes);
    let shared = Arc::new(copy);
    desk.write(1, 7, Slice::new(shared, 3 * BLOCK_BYTES..4 * BLOCK_BYTES));
    assert!(is_pattern(&desk.read(1, 7, 1), 2));
    desk.end();
}

/// What is written is what a buffer holds at that moment: one that was written from before and has changed, beside others, and in
/// the place of one that is gone.
///
/// # Panics
/// The contract is broken.
pub fn what_a_buffer_holds_is_written(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    let mut buffers = VecDeque::new();
    for byte in 1..=60_u8 {
        if buffers.len() == 3 {
            buffers.pop_front();
        }
        buffers.push_back(Arc::new(Buffer::zeroed(LARGE_BYTES)));
        let index = usize::from(byte) % buffers.len();
        let buffer: &mut Arc<Buffer> = buffers.get_mut(index).expect("there are so many");
        let memory = Arc::get_mut(buffer).expect("a write that is over holds nothing");
        memory.fill(byte);
        let from = usize::from(byte) * BLOCK_BYTES;
        let part = Slice::new(Arc::clone(buffer), from..from + BLOCK_BYTES);
        desk.write(1, 3, part);
        assert!(desk.read(1, 3, 1).iter().all(|&it| it == byte));
    }
    desk.end();
}

/// The buffer that was lent for a read comes back, and not another one.
///
/// # Panics
/// The contract is broken.
pub fn buffers_come_back(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    desk.write(1, 0, pattern(3, 1));
    let mut into = Buffer::zeroed(4 * BLOCK_BYTES);
    into.fill(0xee);
    let address = into.as_ptr();
    let back = read_of(desk.run(StorageOp::Read {
        file: file(1),
        position: 0,
        length: BLOCK_BYTES,
        into,
    }));
    assert_eq!(back.as_ptr(), address, "it is the same memory");
    assert_eq!(back.len(), 4 * BLOCK_BYTES, "and all of it");
    let (read, rest) = back.split_at(BLOCK_BYTES);
    assert!(is_pattern(read, 3));
    assert!(
        rest.iter().all(|&byte| byte == 0xee),
        "only so much is read"
    );
    desk.end();
}

/// Many operations at a time: each completes, once, whatever the order.
///
/// # Panics
/// The contract is broken.
pub fn each_operation_completes_once(storage: &mut (impl Storage + Pump)) {
    const OPEN: usize = 60;
    let mut desk = Desk::new(storage);
    desk.prepare(1, OPEN);
    let mut writes: Vec<OpId> = (0..OPEN)
        .map(|block| desk.submit(write(1, block, pattern(block, 1))))
        .collect();
    // Waited for from the last to the first: what is early is kept.
    while let Some(id) = writes.pop() {
        assert!(matches!(desk.wait(id), Ok(StorageOutcome::Written)));
    }
    let reads: Vec<OpId> = (0..OPEN)
        .map(|block| desk.submit(read(1, block, 1)))
        .collect();
    for (block, id) in reads.into_iter().enumerate() {
        assert!(is_pattern(&read_of(desk.wait(id)), block), "block {block}");
    }
    desk.end();
}

/// A snapshot is there, under its name and whole, once it is published; then another one can be written, also under the same name.
///
/// # Panics
/// The contract is broken.
pub fn a_snapshot_is_there_once_it_is_published(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    let missing = Some(StorageError::Os { errno: NOT_THERE });
    let read = |block, blocks| StorageOp::Read {
        file: FileId::Snapshot(SnapshotId(40)),
        position: long(block * BLOCK_BYTES),
        length: blocks * BLOCK_BYTES,
        into: Buffer::zeroed(blocks * BLOCK_BYTES),
    };
    let publish = || StorageOp::Publish {
        snapshot: SnapshotId(40),
    };
    assert_eq!(desk.run(publish()).err(), missing, "nothing was appended");
    for seed in [3, 5] {
        for (block, blocks) in [(0, 2), (2, 1)] {
            let appended = desk.run(StorageOp::Append {
                position: long(block * BLOCK_BYTES),
                bytes: pattern(seed + block, blocks),
            });
            assert!(matches!(appended, Ok(StorageOutcome::Appended)));
        }
        if seed == 3 {
            assert_eq!(desk.run(read(0, 1)).err(), missing, "it has no name yet");
        }
        assert!(matches!(desk.run(publish()), Ok(StorageOutcome::Published)));
        assert!(is_pattern(&read_of(desk.run(read(0, 2))), seed));
        assert!(is_pattern(&read_of(desk.run(read(2, 1))), seed + 2));
        let beyond = desk.run(read(3, 1)).err();
        assert_eq!(beyond, Some(StorageError::Short { bytes: 0 }));
    }
    desk.end();
}

/// What is begun anew replaces what was not published.
///
/// # Panics
/// The contract is broken.
pub fn a_snapshot_that_is_begun_anew_replaces_the_other(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    for (seed, blocks) in [(1, 3), (2, 1)] {
        let appended = desk.run(StorageOp::Append {
            position: 0,
            bytes: pattern(seed, blocks),
        });
        assert!(matches!(appended, Ok(StorageOutcome::Appended)));
    }
    let snapshot = SnapshotId(7);
    let published = desk.run(StorageOp::Publish { snapshot });
    assert!(matches!(published, Ok(StorageOutcome::Published)));
    let read = |position| StorageOp::Read {
        file: FileId::Snapshot(snapshot),
        position,
        length: BLOCK_BYTES,
        into: Buffer::zeroed(BLOCK_BYTES),
    };
    assert!(is_pattern(&read_of(desk.run(read(0))), 2));
    let beyond = desk.run(read(long(BLOCK_BYTES))).err();
    assert_eq!(beyond, Some(StorageError::Short { bytes: 0 }));
    desk.end();
}

/// A file that is removed is gone, and may be made anew.
///
/// # Panics
/// The contract is broken.
pub fn a_removed_file_is_gone(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    for _ in 0..2 {
        desk.prepare(4, 2);
        desk.prepare(5, 1);
        desk.write(4, 1, pattern(6, 1));
        assert!(desk.read(4, 0, 1).iter().all(|&byte| byte == 0));
        let removed = desk.run(StorageOp::Remove { file: file(4) });
        assert!(matches!(removed, Ok(StorageOutcome::Removed)));
        let missing = Some(StorageError::Os { errno: NOT_THERE });
        assert_eq!(desk.run(read(4, 0, 1)).err(), missing);
        let other = desk.run(StorageOp::Remove { file: file(5) });
        assert!(matches!(other, Ok(StorageOutcome::Removed)));
    }
    let never = FileId::Snapshot(SnapshotId(9));
    let removed = desk.run(StorageOp::Remove { file: never });
    assert!(matches!(removed, Ok(StorageOutcome::Removed)));
    desk.end();
}

/// A file never grows by writing: what would not fit is refused whole.
///
/// # Panics
/// The contract is broken.
pub fn a_write_past_the_end_is_refused(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    let refused = StorageError::Os {
        errno: PAST_THE_END,
    };
    for (block, blocks) in [(BLOCKS, 1), (BLOCKS - 1, 2), (1000, 1)] {
        let outcome = desk.run(write(1, block, pattern(4, blocks)));
        assert_eq!(outcome.err(), Some(refused), "{blocks} at {block}");
    }
    let last = desk.read(1, BLOCKS - 1, 1);
    assert!(last.iter().all(|&byte| byte == 0), "no part was written");
    let beyond = desk.run(read(1, BLOCKS, 1)).err();
    assert_eq!(beyond, Some(StorageError::Short { bytes: 0 }));
    desk.end();
}

/// A read past the end says how much there was.
///
/// # Panics
/// The contract is broken.
pub fn a_read_past_the_end_is_short(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    for (block, blocks, there) in [(BLOCKS - 2, 3, 2), (0, BLOCKS + 1, BLOCKS), (1000, 1, 0)] {
        let bytes = there * BLOCK_BYTES;
        let outcome = desk.run(read(1, block, blocks));
        assert_eq!(outcome.err(), Some(StorageError::Short { bytes }));
    }
    desk.end();
}

/// A file that is not there can be neither read nor written.
///
/// # Panics
/// The contract is broken.
pub fn a_missing_file_is_an_error(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    let missing = Some(StorageError::Os { errno: NOT_THERE });
    assert_eq!(desk.run(read(7, 0, 1)).err(), missing);
    assert_eq!(desk.run(write(7, 0, pattern(1, 1))).err(), missing);
    let superblock = desk.run(StorageOp::Write {
        file: FileId::Superblock,
        position: 0,
        bytes: pattern(1, 1),
    });
    assert_eq!(superblock.err(), missing);
    // It is found once it is there.
    desk.prepare(7, 1);
    desk.write(7, 0, pattern(1, 1));
    desk.end();
}

/// More segments than anybody keeps open.
///
/// # Panics
/// The contract is broken.
pub fn many_segments_are_written_and_read(storage: &mut (impl Storage + Pump)) {
    const SEGMENTS: u64 = 90;
    let mut desk = Desk::new(storage);
    for segment in 1..=SEGMENTS {
        desk.prepare(segment, 1);
        desk.write(segment, 0, pattern(small(segment), 1));
    }
    for segment in (1..=SEGMENTS).rev() {
        let bytes = desk.read(segment, 0, 1);
        assert!(is_pattern(&bytes, small(segment)), "segment {segment}");
    }
    // All that may be open, each on a file of its own.
    let ids: Vec<(u64, OpId)> = (1..=60)
        .map(|segment| (segment, desk.submit(read(segment, 0, 1))))
        .collect();
    for (segment, id) in ids {
        let bytes = read_of(desk.wait(id));
        assert!(is_pattern(&bytes, small(segment)), "segment {segment}");
    }
    desk.end();
}

fn small(segment: u64) -> usize {
    usize::try_from(segment).expect("it is small")
}
