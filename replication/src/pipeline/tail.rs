//! The end of the log in memory: aligned buffers that are written to the disk and sent to the peers as they are.
//!
//!   first                              last
//!   |---cached, durable---|---sealed---|....open group....|
//!
//! A *group* becomes one write: records side by side from the start of a block, zeros behind the last. A buffer holds one
//! group or more; while the kernel or a send holds a slice of it, nothing is added to it. Owns: buffers, and where each
//! record lies. Never: looks inside a record beyond its header.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use quorate_raft::Mark;
use quorate_wire::limits::RECORD_BYTES_MAX;
use quorate_wire::{LogIndex, Offset, RecordHeader};

use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::log::Place;
use crate::seam::Part;

/// Bytes of a buffer: the largest group, and room for the largest record.
pub(super) const BUFFER_BYTES: usize = RECORD_BYTES_MAX;

const _: () = assert!(BUFFER_BYTES.is_multiple_of(BLOCK_BYTES) && BUFFER_BYTES >= RECORD_BYTES_MAX);

/// Where a cached record lies.
#[derive(Clone, Copy, Debug)]
struct Spot {
    buffer: usize,
    at: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Page {
    memory: Arc<Buffer>,
    /// Bytes in use, from the start.
    filled: usize,
    /// The last record in it; records after it in the cache lie elsewhere.
    newest: LogIndex,
    /// Groups in it that are not yet handed to the log.
    unwritten: usize,
}

/// Records on their way into one write.
#[derive(Debug)]
pub(super) struct Group {
    buffer: usize,
    range: Range<usize>,
    places: Vec<Place>,
    mark: Mark,
}

/// A group ready to be written.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) bytes: Slice,
    pub(super) places: Vec<Place>,
    pub(super) mark: Mark,
}

/// The end of the log in memory.
#[derive(Debug)]
pub(super) struct Tail {
    pages: Vec<Page>,
    /// Index of the first cached record; the cache has no gap from there to the last.
    first: LogIndex,
    spots: VecDeque<Spot>,
    open: Option<Group>,
    sealed: VecDeque<Group>,
    /// Lists of places, for reuse.
    spare: Vec<Vec<Place>>,
}

impl Tail {
    /// An empty tail behind record `last`.
    pub(super) fn new(buffers: usize, last: LogIndex) -> Self {
        let page = || Page {
            memory: Arc::new(Buffer::zeroed(BUFFER_BYTES)),
            filled: 0,
            newest: LogIndex(0),
            unwritten: 0,
        };
        Self {
            pages: (0..buffers).map(|_| page()).collect(),
            first: last.next(),
            spots: VecDeque::new(),
            open: None,
            sealed: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// The first record that is in memory.
    pub(super) fn first(&self) -> LogIndex {
        self.first
    }

    /// The last record that is in memory, of the open group too.
    pub(super) fn last(&self) -> LogIndex {
        self.first
            .plus(u64::try_from(self.spots.len()).expect("a count fits"))
            .previous()
    }

    /// Whether there is an open group with records.
    pub(super) fn has_open(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|group| !group.places.is_empty())
    }

    /// The last record of a sealed group: up to here, records can be sent.
    pub(super) fn sealed(&self) -> LogIndex {
        let open = self.open.as_ref().map_or(0, |group| group.places.len());
        // A group that voids records of its own holds more places than the cache has records of it.
        let open = u64::try_from(open).expect("a count fits");
        LogIndex(self.last().0.saturating_sub(open))
    }

    /// Whether groups wait for the log.
    pub(super) fn has_sealed(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Size of the next sealed group's write.
    pub(super) fn next_write(&self) -> Option<usize> {
        self.sealed.front().map(|group| group.range.len())
    }

    /// Room for `bytes` more in the open group, at a fixed place, or `None` while it cannot be had: everything is in use.
    /// An open group that has no room is sealed by the caller first: see [`Tail::open_has_room`].
    pub(super) fn reserve(&mut self, bytes: usize) -> Option<&mut [u8]> {
        // An open group without records has no claim on its buffer.
        if !self.has_open() && !self.open_has_room(bytes) {
            self.abandon_open(self.last().next());
        }
        if self.open.is_none() {
            self.open = Some(self.begin(bytes)?);
        }
        let group = self.open.as_ref().expect("opened just now");
        let memory = Arc::get_mut(&mut self.pages.get_mut(group.buffer)?.memory)
            .expect("nobody holds the open group's buffer: slices are taken of sealed groups only");
        memory.get_mut(group.range.end..group.range.end + bytes)
    }

    /// Whether `bytes` more fit into the open group; an absent one has room for anything.
    pub(super) fn open_has_room(&self, bytes: usize) -> bool {
        self.open
            .as_ref()
            .is_none_or(|group| group.range.end + bytes <= BUFFER_BYTES)
    }

    /// The first `bytes` of the last reserved room are a record now.
    pub(super) fn push(&mut self, header: &RecordHeader) {
        assert!(header.index == self.last().next(), "the cache has no gap");
        let bytes = header.record_bytes();
        let group = self.open.as_mut().expect("room was reserved");
        let at = group.range.end;
        group.range.end += bytes;
        group.places.push(Place {
            index: header.index,
            base_offset: header.base_offset,
            at: at - group.range.start,
            bytes,
        });
        self.spots.push_back(Spot {
            buffer: group.buffer,
            at,
            bytes,
        });
        if let Some(page) = self.pages.get_mut(group.buffer) {
            page.filled = group.range.end;
            page.newest = header.index;
        }
    }

    /// Forgets the records from `first` on. Their bytes stay where they are; a group that holds them is written all the
    /// same, and the log knows them to be void by what follows.
    pub(super) fn truncate(&mut self, first: LogIndex) {
        while self.last() >= first && !self.spots.is_empty() {
            self.spots.pop_back();
        }
        if self.spots.is_empty() {
            self.first = self.first.min(first);
        }
        for page in &mut self.pages {
            page.newest = page.newest.min(first.previous());
        }
    }

    /// Forgets the open group, and so the records from `first` on, which are in nothing but it.
    pub(super) fn abandon_open(&mut self, first: LogIndex) {
        self.truncate(first);
        if let Some(group) = self.open.take() {
            if let Some(page) = self.pages.get_mut(group.buffer) {
                page.filled = group.range.start;
                page.unwritten -= 1;
            }
            self.recycle(group.places);
        }
    }

    /// Closes the open group: what comes later is another write. Its records can be sent from now on.
    pub(super) fn seal(&mut self, mark: Mark) {
        let Some(mut group) = self.open.take() else {
            return;
        };
        assert!(!group.places.is_empty(), "a group is opened for a record");
        let end = group.range.end.next_multiple_of(BLOCK_BYTES);
        if let Some(page) = self.pages.get_mut(group.buffer) {
            let memory =
                Arc::get_mut(&mut page.memory).expect("nobody holds the open group's buffer");
            memory
                .get_mut(group.range.end..end)
                .unwrap_or_default()
                .fill(0);
            page.filled = end;
        }
        group.range.end = end;
        group.mark = mark;
        self.sealed.push_back(group);
    }

    /// The next group to write.
    pub(super) fn next_sealed(&mut self) -> Option<Sealed> {
        let group = self.sealed.pop_front()?;
        let page = self.pages.get_mut(group.buffer)?;
        page.unwritten -= 1;
        let bytes = Slice::new(Arc::clone(&page.memory), group.range);
        Some(Sealed {
            bytes,
            places: group.places,
            mark: group.mark,
        })
    }

    /// Takes a list of places back for reuse.
    pub(super) fn recycle(&mut self, mut places: Vec<Place>) {
        places.clear();
        self.spare.push(places);
    }

    /// The bytes of a cached record.
    pub(super) fn record(&self, index: LogIndex) -> Option<&[u8]> {
        let at = usize::try_from(index.0.checked_sub(self.first.0)?).ok()?;
        let spot = self.spots.get(at)?;
        self.pages
            .get(spot.buffer)?
            .memory
            .get(spot.at..spot.at + spot.bytes)
    }

    /// The cached record that holds `offset`.
    pub(super) fn find(&self, offset: Offset) -> Option<LogIndex> {
        let base = |spot: &Spot| {
            let bytes = self
                .pages
                .get(spot.buffer)?
                .memory
                .get(spot.at..spot.at + spot.bytes)?;
            RecordHeader::parse(bytes).ok()
        };
        let at = self.spots.partition_point(|spot| {
            base(spot).is_some_and(|header| header.next_offset() <= offset)
        });
        let index = self.first.plus(u64::try_from(at).expect("a count fits"));
        let holds = self.spots.get(at).and_then(base)?.base_offset <= offset;
        holds.then_some(index)
    }

    /// Adds records from `first` to at most `last` to a send: as many as fit `bytes_max` (at least one) and `parts_max`
    /// parts. Returns the last record added and the bytes.
    ///
    /// # Panics
    /// `first` is not cached.
    pub(super) fn gather(
        &self,
        (first, last): (LogIndex, LogIndex),
        bytes_max: usize,
        parts_max: usize,
        parts: &mut Vec<Part>,
    ) -> (LogIndex, usize) {
        assert!(
            first >= self.first && last <= self.last() && first <= last,
            "the records are in memory"
        );
        let skip = usize::try_from(first.0 - self.first.0).expect("the cache fits into memory");
        let count = usize::try_from(last.0 - first.0 + 1).expect("the cache fits into memory");
        let (mut bytes, mut taken, mut open) = (0, first, None::<(usize, Range<usize>)>);
        let parts_end = parts.len() + parts_max;
        for (spot, index) in self.spots.iter().skip(skip).take(count).zip(first.0..) {
            if bytes > 0 && bytes + spot.bytes > bytes_max {
                break;
            }
            match &mut open {
                Some((buffer, range)) if *buffer == spot.buffer && range.end == spot.at => {
                    range.end += spot.bytes
                }
                Some(_) | None => {
                    if let Some((buffer, range)) = open.take() {
                        parts.push(Part::Records(self.slice(buffer, range)));
                    }
                    if parts.len() == parts_end {
                        break;
                    }
                    open = Some((spot.buffer, spot.at..spot.at + spot.bytes));
                }
            }
            bytes += spot.bytes;
            taken = LogIndex(index);
        }
        if let Some((buffer, range)) = open {
            parts.push(Part::Records(self.slice(buffer, range)));
        }
        (taken, bytes)
    }

    fn slice(&self, buffer: usize, range: Range<usize>) -> Slice {
        let page = self.pages.get(buffer).expect("spots name pages that exist");
        Slice::new(Arc::clone(&page.memory), range)
    }

    /// Begins a group in a buffer that has `bytes` of room and that nobody else holds: the one in use before, if it will
    /// do, else an empty one, else the one whose records are oldest.
    fn begin(&mut self, bytes: usize) -> Option<Group> {
        let fits = |page: &mut Page| {
            page.filled + bytes <= BUFFER_BYTES && Arc::get_mut(&mut page.memory).is_some()
        };
        let partly = self
            .pages
            .iter_mut()
            .position(|page| page.filled > 0 && fits(page));
        let buffer = match partly.or_else(|| self.pages.iter_mut().position(fits)) {
            Some(buffer) => buffer,
            None => self.evict()?,
        };
        let page = self.pages.get_mut(buffer)?;
        page.unwritten += 1;
        let start = page.filled;
        let places = self.spare.pop().unwrap_or_default();
        Some(Group {
            buffer,
            range: start..start,
            places,
            mark: Mark::default(),
        })
    }

    /// Empties the buffer whose records are oldest among those that are written and not held.
    fn evict(&mut self) -> Option<usize> {
        let free =
            |page: &mut Page| page.unwritten == 0 && Arc::get_mut(&mut page.memory).is_some();
        let candidates = self.pages.iter_mut().enumerate();
        let (buffer, newest) = candidates
            .filter_map(|(at, page)| free(page).then_some((at, page.newest)))
            .min_by_key(|&(_, newest)| newest)?;
        let page = self.pages.get_mut(buffer)?;
        (page.filled, page.newest) = (0, LogIndex(0));
        while self.first <= newest && !self.spots.is_empty() {
            self.spots.pop_front();
            self.first = self.first.next();
        }
        Some(buffer)
    }
}

impl Sealed {
    /// The parts.
    pub(super) fn into_parts(mut self) -> (Slice, Vec<Place>, Mark) {
        (self.bytes, mem::take(&mut self.places), self.mark)
    }
}
