//! Filling a hole: the records that were missing, side by side from where it begins, and zeros behind them up to its end.
//!
//! Records lie closer together than before, so they always have room: what a hole held were these records, and padding. A block
//! that the hole shares with a sound neighbour is written with the neighbour's own bytes. A crash at any moment leaves a smaller
//! hole, or the same. Owns: the order of these writes. Never: has two of them open. Called by: the log.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::{LogIndex, Record};

use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader, WRITE_BYTES_MAX};
use super::hole::{Hole, Piece};
use super::index::{Before, block_of};
use super::seen::{Kind, SegmentFile};
use super::segment::RECORDS_AT;
use super::superblock::Identity;
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::seam::{FileId, SegmentId, StorageOp};

/// A hole that is being filled.
#[derive(Debug)]
pub(super) struct Mending {
    identity: Identity,
    segment_bytes: u64,
    commit: LogIndex,
    /// The record before the next one.
    last: Before,
    /// Where that record ends in its segment.
    end: u64,
    pieces: VecDeque<Piece>,
    filling: Option<Filling>,
    /// Blocks that the hole shares with its neighbours.
    edges: Vec<(Edge, Buffer)>,
    /// What is still to be done by the disk, in order.
    ops: VecDeque<StorageOp>,
    /// Everything has been handed in.
    complete: bool,
}

/// A block: its segment, and where it begins.
type Edge = (SegmentId, u64);

/// The piece that records are put into.
#[derive(Debug)]
struct Filling {
    piece: Piece,
    /// Where the next byte goes.
    at: u64,
    /// What is not yet handed to the disk, from this block on.
    start: u64,
    buffer: Buffer,
}

/// There is no room for the records: they are not what the hole held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// What the disk has done.
#[derive(Debug)]
pub(super) enum Step {
    /// There is more to do.
    Next(StorageOp),
    /// The disk waits for more records, or for the end.
    Ready,
    /// The hole is filled.
    Over,
}

impl Mending {
    /// Of the hole's files, some that were missing may have been made by an attempt before.
    pub(super) fn new(
        hole: &Hole,
        made: &[SegmentId],
        identity: Identity,
        segment_bytes: u64,
    ) -> Self {
        let mut pieces: VecDeque<Piece> = hole.pieces(segment_bytes).into();
        let mut ops = VecDeque::new();
        for piece in &mut pieces {
            let file = piece.file_or_zeros(segment_bytes);
            if piece.file.is_none() && !made.contains(&piece.segment) {
                let bytes = file.bytes;
                let segment = piece.segment;
                let from = None;
                ops.push_back(StorageOp::Prepare {
                    segment,
                    bytes,
                    from,
                });
            } else {
                if matches!(file.kind, Kind::Sums | Kind::Full) {
                    ops.push_back(void_sums(piece.segment, &file));
                }
                for position in shared_blocks(piece) {
                    ops.push_back(StorageOp::Read {
                        file: FileId::Segment(piece.segment),
                        position,
                        length: BLOCK_BYTES,
                        into: Buffer::zeroed(BLOCK_BYTES),
                    });
                }
            }
            piece.file = Some(file);
        }
        Self {
            identity,
            segment_bytes,
            commit: hole.commit,
            last: hole.before.last().copied().unwrap_or_default(),
            end: hole.cut.position,
            pieces,
            filling: None,
            edges: Vec::new(),
            ops,
            complete: false,
        }
    }

    /// What to do next.
    pub(super) fn step(&mut self) -> Step {
        match self.ops.pop_front() {
            Some(op) => Step::Next(op),
            None if self.complete => Step::Over,
            None => Step::Ready,
        }
    }

    /// A shared block has been read.
    pub(super) fn read(&mut self, edge: Edge, block: Buffer) {
        self.edges.push((edge, block));
    }

    /// Adds a record.
    pub(super) fn put(&mut self, record: &Record<'_>) -> Result<(), NoRoom> {
        let bytes = record.bytes();
        loop {
            let Some(filling) = &mut self.filling else {
                self.begin_piece()?;
                continue;
            };
            if filling.at + bytes.len() as u64 > filling.piece.to {
                self.end_piece();
                continue;
            }
            filling.put(bytes, &mut self.ops);
            let header = record.header();
            self.end = filling.at;
            self.last = Before {
                index: header.index,
                next_offset: header.next_offset(),
                term: header.term,
                header_crc: header.header_crc,
            };
            return Ok(());
        }
    }

    /// No record follows.
    pub(super) fn complete(&mut self) {
        while self.filling.is_some() || self.begin_piece().is_ok() {
            self.end_piece();
        }
        self.complete = true;
    }

    fn begin_piece(&mut self) -> Result<(), NoRoom> {
        let piece = self.pieces.pop_front().ok_or(NoRoom)?;
        if piece.header {
            let op = self.header(&piece);
            self.ops.push_back(op);
            self.end = RECORDS_AT;
        }
        let start = block_of(piece.from);
        let mut buffer = Buffer::zeroed(WRITE_BYTES_MAX);
        if let Some(block) = self.edge((piece.segment, start)) {
            let shared = offset_in(piece.from, start);
            let (to, from) = (buffer.get_mut(..shared), block.get(..shared));
            to.expect("less than a block")
                .copy_from_slice(from.expect("less than a block"));
        }
        self.filling = Some(Filling {
            at: piece.from,
            piece,
            start,
            buffer,
        });
        Ok(())
    }

    /// Fills the piece up with zeros, and with what its last block shares with what follows.
    fn end_piece(&mut self) {
        let mut filling = self.filling.take().expect("a piece is being filled");
        let (segment, to) = (filling.piece.segment, filling.piece.to);
        let block = block_of(to);
        let behind = self.edge((segment, block)).map(|edge| {
            let shared = edge.get(offset_in(to, block)..);
            shared.unwrap_or_default().to_vec()
        });
        filling.zeros_up_to(to, &mut self.ops);
        filling.put(&behind.unwrap_or_default(), &mut self.ops);
        // Of a file that was missing, there is nothing behind it but zeros.
        let end = filling.at.next_multiple_of(BLOCK_BYTES as u64);
        filling.zeros_up_to(end, &mut self.ops);
        filling.flush(&mut self.ops);
    }

    fn edge(&self, edge: Edge) -> Option<&Buffer> {
        let found = self.edges.iter().find(|(known, _)| *known == edge);
        found.map(|(_, block)| block)
    }

    /// The write of a header that follows from the log before it.
    fn header(&self, piece: &Piece) -> StorageOp {
        let file = piece.file_or_zeros(self.segment_bytes);
        let header = SegmentHeader {
            identity: self.identity,
            segment: piece.segment,
            segment_bytes: file.bytes,
            first_index: self.last.index.next(),
            first_offset: self.last.next_offset,
            previous: self.last.header_crc,
            previous_end: self.end,
            commit: self.commit.min(self.last.index),
            sums: file.kind != Kind::Whole,
        };
        let mut block = Buffer::zeroed(SEGMENT_HEADER_BYTES);
        header.encode(&mut block);
        StorageOp::Write {
            file: FileId::Segment(piece.segment),
            position: 0,
            bytes: Slice::new(Arc::new(block), 0..SEGMENT_HEADER_BYTES),
        }
    }
}

impl Filling {
    fn put(&mut self, mut bytes: &[u8], ops: &mut VecDeque<StorageOp>) {
        while !bytes.is_empty() {
            let from = offset_in(self.at, self.start);
            let room = self.buffer.get_mut(from..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room.get_mut(..now.len())
                .expect("it is not longer than the room")
                .copy_from_slice(now);
            bytes = later;
            self.advance(now.len() as u64, ops);
        }
    }

    fn zeros_up_to(&mut self, to: u64, ops: &mut VecDeque<StorageOp>) {
        while self.at < to {
            let room = self.start + WRITE_BYTES_MAX as u64 - self.at;
            self.advance(room.min(to - self.at), ops);
        }
    }

    fn advance(&mut self, bytes: u64, ops: &mut VecDeque<StorageOp>) {
        self.at += bytes;
        if offset_in(self.at, self.start) == WRITE_BYTES_MAX {
            self.flush(ops);
        }
    }

    fn flush(&mut self, ops: &mut VecDeque<StorageOp>) {
        let bytes = offset_in(self.at, self.start);
        if bytes == 0 {
            return;
        }
        let buffer = core::mem::replace(&mut self.buffer, Buffer::zeroed(WRITE_BYTES_MAX));
        ops.push_back(StorageOp::Write {
            file: FileId::Segment(self.piece.segment),
            position: self.start,
            bytes: Slice::new(Arc::new(buffer), 0..bytes),
        });
        self.start = self.at;
    }
}

/// A segment's own sums say nothing any more once bytes are put back, for they may lie elsewhere.
fn void_sums(segment: SegmentId, file: &SegmentFile) -> StorageOp {
    StorageOp::Write {
        file: FileId::Segment(segment),
        position: file.extent().room,
        bytes: Slice::new(Arc::new(Buffer::zeroed(BLOCK_BYTES)), 0..BLOCK_BYTES),
    }
}

/// The blocks that a piece shares with what is before and behind it.
fn shared_blocks(piece: &Piece) -> impl Iterator<Item = u64> {
    let first = block_of(piece.from);
    let last = block_of(piece.to);
    let first_shared = (first < piece.from).then_some(first);
    let last_shared = (last < piece.to && Some(last) != first_shared).then_some(last);
    first_shared.into_iter().chain(last_shared)
}

fn offset_in(position: u64, start: u64) -> usize {
    usize::try_from(position - start).expect("it lies in one write")
}
