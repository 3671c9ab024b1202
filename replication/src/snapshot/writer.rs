//! Writing a snapshot, entry by entry, in blocks that can be taken as they become full.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::checksum::Crc32;
use quorate_wire::limits::{SNAPSHOT_ENTRY_BYTES_MAX, SNAPSHOT_PIECE_BYTES_MAX};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::format::{Header, PIECE_HEADER_BYTES, RawEnd, RawPiece, Section};
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};

/// A piece that takes entries.
#[derive(Clone, Copy, Debug)]
struct Open {
    section: Section,
    entries: u32,
    /// Where it begins among the bytes that are not taken yet.
    at: usize,
}

/// See the module's description.
#[derive(Debug)]
pub struct Writer {
    /// What is not taken yet.
    bytes: Vec<u8>,
    open: Option<Open>,
    /// Of all closed pieces, and the header.
    crc: Crc32,
    /// Bytes of all closed pieces, and the header.
    closed: u64,
    entries: u64,
    ended: bool,
}

impl Writer {
    /// Begins one.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            open: None,
            crc: Crc32::default(),
            closed: 0,
            entries: 0,
            ended: false,
        };
        writer.bytes.extend_from_slice(&header.encode());
        writer.count(0);
        writer
    }

    /// Adds an entry to a section: `write` appends its bytes.
    pub fn entry(&mut self, section: Section, write: impl FnOnce(&mut Vec<u8>)) {
        let full = |open: &Open| {
            let used = self.bytes.len() - open.at - PIECE_HEADER_BYTES;
            open.section != section || used + SNAPSHOT_ENTRY_BYTES_MAX > SNAPSHOT_PIECE_BYTES_MAX
        };
        if self.open.as_ref().is_some_and(full) {
            self.close();
        }
        let open = self.open.get_or_insert(Open {
            section,
            entries: 0,
            at: self.bytes.len(),
        });
        if open.entries == 0 {
            self.bytes.extend_from_slice(&[0; PIECE_HEADER_BYTES]);
        }
        open.entries += 1;
        let before = self.bytes.len();
        write(&mut self.bytes);
        assert!(
            self.bytes.len() - before <= SNAPSHOT_ENTRY_BYTES_MAX,
            "an entry has a bound"
        );
    }

    /// Nothing more follows.
    pub fn end(&mut self) {
        self.close();
        let end = RawEnd {
            bytes: U64::new(self.closed),
            entries: U64::new(self.entries),
            crc: U32::new(self.crc.value()),
            reserved: U32::new(0),
        };
        self.entry(Section::End, |bytes| {
            bytes.extend_from_slice(end.as_bytes())
        });
        self.close();
        let whole = self.closed.next_multiple_of(BLOCK_BYTES as u64);
        let padding = usize::try_from(whole - self.closed).expect("less than a block");
        self.bytes.resize(self.bytes.len() + padding, 0);
        self.ended = true;
    }

    /// Bytes that can be taken: whole blocks.
    #[must_use]
    pub fn ready(&self) -> usize {
        let closed = self.open.map_or(self.bytes.len(), |open| open.at);
        closed - closed % BLOCK_BYTES
    }

    /// Whether all of it has been taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended && self.bytes.is_empty()
    }

    /// Takes whole blocks that are ready, up to `most` bytes, if there are any.
    pub fn take(&mut self, most: usize) -> Option<Slice> {
        let bytes = self.ready().min(most - most % BLOCK_BYTES);
        if bytes == 0 {
            return None;
        }
        let mut buffer = Buffer::zeroed(bytes);
        let taken = self.bytes.drain(..bytes);
        buffer
            .iter_mut()
            .zip(taken)
            .for_each(|(to, from)| *to = from);
        if let Some(open) = &mut self.open {
            open.at -= bytes;
        }
        Some(Slice::new(Arc::new(buffer), 0..bytes))
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (head, payload) = self
            .bytes
            .get_mut(open.at..)
            .and_then(|piece| piece.split_at_mut_checked(PIECE_HEADER_BYTES))
            .expect("a piece has a header");
        let mut raw = RawPiece {
            section: U32::new(open.section as u32),
            entries: U32::new(open.entries),
            bytes: U32::new(u32::try_from(payload.len()).expect("a piece has a bound")),
            crc: U32::new(0),
        };
        raw.crc = U32::new(raw.checksum(payload));
        head.copy_from_slice(raw.as_bytes());
        self.entries += u64::from(open.entries);
        self.count(open.at);
    }

    /// What lies from `at` on is closed.
    fn count(&mut self, at: usize) {
        let closed = self.bytes.get(at..).unwrap_or_default();
        self.crc.update(closed);
        self.closed += closed.len() as u64;
    }
}
