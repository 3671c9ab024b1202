//! Reading a snapshot, piece by piece: nothing is believed before its checksum, and no length before its bound.

use alloc::vec::Vec;

use quorate_wire::checksum::Crc32;
use quorate_wire::limits::SNAPSHOT_PIECE_BYTES_MAX;
use zerocopy::FromBytes;

use super::SnapshotError;
use super::format::{HEADER_BYTES, Header, PIECE_HEADER_BYTES, RawEnd, RawPiece, Section};
use crate::buffer::BLOCK_BYTES;

/// Entries of one section.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which section.
    pub section: Section,
    /// How many.
    pub entries: u32,
    /// Side by side.
    pub payload: &'a [u8],
    /// Where it begins in the snapshot.
    pub at: u64,
}

impl Piece<'_> {
    /// What is wrong with a field of one of its entries.
    #[must_use]
    pub const fn wrong(&self, field: &'static str) -> SnapshotError {
        SnapshotError::Field { field, at: self.at }
    }
}

/// How far a snapshot has been read.
#[derive(Clone, Debug)]
struct Read {
    crc: Crc32,
    at: u64,
    entries: u64,
    ended: bool,
}

impl Read {
    fn header(bytes: &[u8]) -> Result<(Header, Self), SnapshotError> {
        let header = Header::decode(bytes)?;
        let mut crc = Crc32::default();
        crc.update(bytes.get(..HEADER_BYTES).unwrap_or_default());
        let read = Self {
            crc,
            at: HEADER_BYTES as u64,
            entries: 0,
            ended: false,
        };
        Ok((header, read))
    }

    /// Reads the piece that `bytes` begin with: `None` if they end before it does.
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Piece<'a>>, SnapshotError> {
        let at = self.at;
        let wrong = |field| SnapshotError::Field { field, at };
        let Some((head, rest)) = bytes.split_at_checked(PIECE_HEADER_BYTES) else {
            return Ok(None);
        };
        let raw = RawPiece::ref_from_bytes(head).expect("its length was just taken");
        let length = usize::try_from(raw.bytes.get()).expect("32 bits fit into a size");
        if length > SNAPSHOT_PIECE_BYTES_MAX {
            return Err(wrong("bytes"));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        if raw.crc.get() != raw.checksum(payload) {
            return Err(SnapshotError::Checksum { at });
        }
        let section = Section::from_number(raw.section.get()).ok_or_else(|| wrong("section"))?;
        if section == Section::End {
            let end = RawEnd::ref_from_bytes(payload).map_err(|_| wrong("bytes"))?;
            if end.bytes.get() != at || end.entries.get() != self.entries {
                return Err(wrong("entries"));
            }
            if end.crc.get() != self.crc.value() {
                return Err(SnapshotError::Checksum { at: 0 });
            }
            self.ended = true;
        }
        self.crc.update(head);
        self.crc.update(payload);
        self.at += (PIECE_HEADER_BYTES + length) as u64;
        self.entries += u64::from(raw.entries.get());
        Ok(Some(Piece {
            section,
            entries: raw.entries.get(),
            payload,
            at,
        }))
    }

    /// Whether what follows the end is what may follow it.
    fn is_padding(&self, bytes: &[u8]) -> bool {
        let room = self.at.next_multiple_of(BLOCK_BYTES as u64) - self.at;
        bytes.len() as u64 <= room && bytes.iter().all(|&byte| byte == 0)
    }
}

/// The pieces of a snapshot that is at hand.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    read: Read,
}

impl<'a> Pieces<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// The header is unsound.
    pub fn of(bytes: &'a [u8]) -> Result<(Header, Self), SnapshotError> {
        let (header, read) = Read::header(bytes)?;
        let rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
        Ok((header, Self { rest, read }))
    }

    /// The next piece; `None` behind the last one, when all of the snapshot has been found sound.
    ///
    /// # Errors
    /// The snapshot is unsound, and nothing of it is to be believed.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'a>>, SnapshotError> {
        let piece = self.read.piece(self.rest)?;
        let piece = piece.ok_or(SnapshotError::Cut { at: self.read.at })?;
        let length = PIECE_HEADER_BYTES + piece.payload.len();
        self.rest = self.rest.get(length..).unwrap_or_default();
        if !self.read.ended {
            return Ok(Some(piece));
        }
        if self.read.is_padding(self.rest) {
            Ok(None)
        } else {
            Err(SnapshotError::TooLong)
        }
    }
}

/// Checks a snapshot that comes in parts, and keeps no more of it than an unfinished piece.
#[derive(Debug, Default)]
pub struct Checker {
    bytes: Vec<u8>,
    begun: Option<(Header, Read)>,
}

impl Checker {
    /// The next part has come.
    ///
    /// # Errors
    /// It is no sound snapshot.
    pub fn take(&mut self, mut part: &[u8]) -> Result<(), SnapshotError> {
        while !part.is_empty() {
            // What is left of the part before is less than a whole piece.
            let room = PIECE_HEADER_BYTES + SNAPSHOT_PIECE_BYTES_MAX - self.bytes.len();
            let (now, later) = part.split_at(part.len().min(room));
            self.bytes.extend_from_slice(now);
            part = later;
            self.read_on()?;
        }
        Ok(())
    }

    /// What it says of itself, once that has come.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.begun.as_ref().map(|(header, _)| header)
    }

    /// Whether all of it has come, and is sound.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.begun.as_ref().is_some_and(|(_, read)| read.ended)
    }

    fn read_on(&mut self) -> Result<(), SnapshotError> {
        let mut done = 0;
        if self.begun.is_none() {
            if self.bytes.len() < HEADER_BYTES {
                return Ok(());
            }
            self.begun = Some(Read::header(&self.bytes)?);
            done = HEADER_BYTES;
        }
        let (_, read) = self.begun.as_mut().expect("it has begun");
        while !read.ended {
            let rest = self.bytes.get(done..).unwrap_or_default();
            let Some(piece) = read.piece(rest)? else {
                break;
            };
            done += PIECE_HEADER_BYTES + piece.payload.len();
        }
        self.bytes.drain(..done);
        if read.ended && !read.is_padding(&self.bytes) {
            return Err(SnapshotError::TooLong);
        }
        Ok(())
    }
}
