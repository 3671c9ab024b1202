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
    /// The lowest index in it: where it voids records, that is not the first one.
    lowest: LogIndex,
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
    /// The buffer of the group that the log writes.
    writing: Option<usize>,
    /// Lists of places, for reuse.
    spare: Vec<Vec<Place>>,
}

impl Tail {
    /// An empty tail behind record `last`.
    pub(super) fn new(buffers: usize, last: LogIndex) -> Self {
        let page = || Page {
            memory: Arc::new(Buffer::zeroed(0)),
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
            writing: None,
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

    /// The lowest record that the log has not been given: what it has there and behind, if anything, is about to be void.
    pub(super) fn unwritten(&self) -> Option<LogIndex> {
        let open = self.open.iter().filter(|group| !group.places.is_empty());
        let groups = self.sealed.iter().chain(open);
        groups.map(|group| group.lowest).min()
    }

    /// Whether groups wait for the log.
    pub(super) fn has_sealed(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Size of the next sealed group's write.
    pub(super) fn next_write(&self) -> Option<usize> {
        self.sealed.front().map(|group| group.range.len())
    }

    /// Whether a cached record lies in the open group's buffer, and so cannot be lent.
    pub(super) fn shares_open(&self, index: LogIndex) -> bool {
        let Some(open) = &self.open else { return false };
        let at = index.0.checked_sub(self.first.0);
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.spots.get(at))
            .is_some_and(|spot| spot.buffer == open.buffer)
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
        group.lowest = group.lowest.min(header.index);
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
        self.writing = Some(group.buffer);
        Some(Sealed {
            bytes,
            places: group.places,
            mark: group.mark,
        })
    }

    /// The group that was handed out last is durable: its records may be forgotten.
    pub(super) fn written(&mut self) {
        self.writing = None;
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
        let (index, header) = self.find_first(|header| header.next_offset() > offset)?;
        (header.base_offset <= offset).then_some(index)
    }

    /// The first record with this log time or a later one, if it is known to be cached.
    pub(super) fn find_time(&self, time: u64) -> Option<LogIndex> {
        let (index, _) = self.find_first(|header| header.log_time >= time)?;
        // What is not cached may be late enough too.
        (index > self.first || index == LogIndex(1)).then_some(index)
    }

    /// The first cached record of those that are `late` enough; all behind it are.
    pub(super) fn find_first(
        &self,
        late: impl Fn(&RecordHeader) -> bool,
    ) -> Option<(LogIndex, RecordHeader)> {
        let header = |spot: &Spot| {
            let page = self.pages.get(spot.buffer)?;
            let bytes = page.memory.get(spot.at..spot.at + spot.bytes)?;
            RecordHeader::parse(bytes).ok()
        };
        let at = self
            .spots
            .partition_point(|spot| header(spot).is_some_and(|header| !late(&header)));
        let index = self.first.plus(u64::try_from(at).expect("a count fits"));
        Some((index, self.spots.get(at).and_then(header)?))
    }

    /// Adds records from `first` to at most `last` to a send: as many as fit `bytes_max` (at least one) and `parts_max`
    /// parts, and none of the open group's buffer. Returns the last record added and the bytes.
    ///
    /// # Panics
    /// `first` is not cached, or lies in the open group's buffer.
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
        assert!(!self.shares_open(first), "the open buffer is not lent");
        let lent = |spot: &Spot| {
            self.open
                .as_ref()
                .is_none_or(|open| open.buffer != spot.buffer)
        };
        let skip = usize::try_from(first.0 - self.first.0).expect("the cache fits into memory");
        let count = usize::try_from(last.0 - first.0 + 1).expect("the cache fits into memory");
        let (mut bytes, mut taken, mut open) = (0, first, None::<(usize, Range<usize>)>);
        let parts_end = parts.len() + parts_max;
        for (spot, index) in self.spots.iter().skip(skip).take(count).zip(first.0..) {
            if bytes > 0 && bytes + spot.bytes > bytes_max || !lent(spot) {
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

    /// Copies records from `first` to at most `last`: as many as fit `bytes_max` (at least one). Returns the last one. For
    /// those that cannot be lent.
    ///
    /// # Panics
    /// `first` is not cached.
    pub(super) fn copy(
        &self,
        (first, last): (LogIndex, LogIndex),
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> LogIndex {
        let mut index = first;
        while index <= last
            && let Some(record) = self.record(index)
        {
            if !into.is_empty() && into.len() + record.len() > bytes_max {
                break;
            }
            into.extend_from_slice(record);
            index = index.next();
        }
        assert!(index > first, "the records are in memory");
        index.previous()
    }

    fn slice(&self, buffer: usize, range: Range<usize>) -> Slice {
        let page = self.pages.get(buffer).expect("spots name pages that exist");
        Slice::new(Arc::clone(&page.memory), range)
    }

    /// Begins a group in a buffer that has `bytes` of room and that nobody else holds: the one in use before, if it will
    /// do, else an empty one, else the one whose records are oldest.
    fn begin(&mut self, bytes: usize) -> Option<Group> {
        // A group that is not yet written will be held by the log before this one is: it keeps its buffer to itself.
        let fits = |page: &mut Page| {
            page.unwritten == 0
                && page.filled + bytes <= BUFFER_BYTES
                && Arc::get_mut(&mut page.memory).is_some()
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
        if page.memory.is_empty() {
            // Its first use. Most processes of a cluster at rest never need more than one.
            page.memory = Arc::new(Buffer::zeroed(BUFFER_BYTES));
        }
        page.unwritten += 1;
        let start = page.filled;
        let places = self.spare.pop().unwrap_or_default();
        Some(Group {
            buffer,
            range: start..start,
            places,
            lowest: LogIndex(u64::MAX),
            mark: Mark::default(),
        })
    }

    /// Empties the buffer whose records are oldest among those that are written and not held; if a send to a slow peer holds
    /// them all, one of these: the send keeps the memory, and the buffer gets new one. So a peer that takes nothing costs
    /// memory, as much as one send lends at most, and never the room for new records.
    fn evict(&mut self) -> Option<usize> {
        let writing = self.writing;
        let held = |page: &mut Page| Arc::get_mut(&mut page.memory).is_none();
        let candidates = self.pages.iter_mut().enumerate();
        let (_, newest, buffer) = candidates
            .filter(|(at, page)| page.unwritten == 0 && writing != Some(*at))
            .map(|(at, page)| (held(page), page.newest, at))
            .min()?;
        let page = self.pages.get_mut(buffer)?;
        if held(page) {
            page.memory = Arc::new(Buffer::zeroed(BUFFER_BYTES));
        }
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

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, Position, RecordKind, Stamp, Term};

    use super::*;

    /// Appends a record without events but with a body of so many bytes, which the tail never looks at.
    fn push(tail: &mut Tail, index: u64, body: usize) -> bool {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(index * 10),
            log_time: 0,
            group: GroupId(0),
            event_count: 10,
            kind: RecordKind::Events,
            previous: 0,
        };
        let body = alloc::vec![u8::try_from(index % 251).expect("small"); body];
        let header = RecordHeader::stamp(&stamp, &body);
        let bytes = header.len() + body.len();
        if !tail.open_has_room(bytes) {
            seal(tail);
        }
        let Some(room) = tail.reserve(bytes) else {
            return false;
        };
        let (head, rest) = room.split_at_mut(header.len());
        head.copy_from_slice(&header);
        rest.copy_from_slice(&body);
        tail.push(&RecordHeader::parse(&header).expect("sound"));
        true
    }

    fn seal(tail: &mut Tail) {
        let mark = Mark {
            truncations: 0,
            last: tail.last(),
        };
        tail.seal(mark);
    }

    fn index_of(bytes: &[u8]) -> u64 {
        RecordHeader::parse(bytes).expect("sound").index.0
    }

    fn tail(buffers: usize) -> Tail {
        Tail::new(buffers, LogIndex(0))
    }

    #[test]
    fn a_group_is_whole_blocks_with_zeros_behind_the_last_record() {
        let mut tail = tail(4);
        assert!(push(&mut tail, 1, 64) && push(&mut tail, 2, 128));
        seal(&mut tail);
        let (bytes, places, mark) = tail.next_sealed().expect("sealed").into_parts();
        assert_eq!(bytes.len(), BLOCK_BYTES);
        assert_eq!(mark.last, LogIndex(2));
        let places: Vec<_> = places
            .iter()
            .map(|place| (place.index.0, place.at, place.bytes))
            .collect();
        assert_eq!(places, [(1, 0, 128), (2, 128, 192)]);
        assert!(bytes.iter().skip(320).all(|&byte| byte == 0));
    }

    #[test]
    fn a_held_buffer_is_left_alone_and_a_free_one_is_filled_up() {
        let mut tail = tail(4);
        assert!(push(&mut tail, 1, 64));
        seal(&mut tail);
        let held = tail.next_sealed().expect("sealed").into_parts().0;
        assert!(push(&mut tail, 2, 64));
        seal(&mut tail);
        let second = tail.next_sealed().expect("sealed").into_parts().0;
        assert!(!core::ptr::eq(held.as_ptr(), second.as_ptr()));
        drop(held);
        assert!(push(&mut tail, 3, 64));
        seal(&mut tail);
        let third = tail.next_sealed().expect("sealed").into_parts().0;
        assert_eq!(index_of(&third), 3);
        assert_eq!(tail.pages.iter().filter(|page| page.filled > 0).count(), 2);
    }

    #[test]
    fn the_oldest_written_records_make_room_and_unwritten_ones_never_do() {
        let mut tail = tail(4);
        let body = BUFFER_BYTES / 2 - 64;
        let mut index = 0;
        while push(&mut tail, index + 1, body) {
            index += 1;
            assert!(index < 100, "four buffers are full at some time");
        }
        assert_eq!((tail.first(), tail.last()), (LogIndex(1), LogIndex(8)));
        drop(tail.next_sealed().expect("sealed"));
        assert!(
            !push(&mut tail, 9, body),
            "the first buffer is being written"
        );
        tail.written();
        assert!(
            push(&mut tail, 9, body),
            "the first buffer is written: it makes room"
        );
        assert_eq!(tail.first(), LogIndex(3));
        assert!(tail.record(LogIndex(2)).is_none());
        for at in 3..=9 {
            assert_eq!(index_of(tail.record(LogIndex(at)).expect("cached")), at);
        }
    }

    #[test]
    fn a_send_that_takes_nothing_keeps_its_memory_and_gives_its_room() {
        let mut tail = tail(4);
        let body = BUFFER_BYTES - 64;
        let mut parts = Vec::new();
        for index in 1..=12 {
            assert!(push(&mut tail, index, body), "there is room for {index}");
            seal(&mut tail);
            drop(tail.next_sealed().expect("sealed"));
            tail.written();
            let at = LogIndex(index);
            tail.gather((at, at), BUFFER_BYTES, 1, &mut parts);
        }
        assert_eq!((tail.first(), tail.last()), (LogIndex(9), LogIndex(12)));
        for (part, index) in parts.iter().zip(1..) {
            let Part::Records(slice) = part else {
                unreachable!("records are lent")
            };
            assert_eq!(index_of(slice), index, "what is lent stays as it is");
        }
    }

    #[test]
    fn records_side_by_side_are_one_part() {
        let mut tail = tail(4);
        for index in 1..=10 {
            assert!(push(&mut tail, index, 64));
            if index == 5 {
                seal(&mut tail);
            }
        }
        seal(&mut tail);
        let mut parts = Vec::new();
        let gathered = tail.gather((LogIndex(2), LogIndex(9)), BUFFER_BYTES, 8, &mut parts);
        assert_eq!(gathered, (LogIndex(9), 8 * 128));
        assert_eq!(parts.len(), 2, "one of each group");
        parts.clear();
        let gathered = tail.gather((LogIndex(2), LogIndex(9)), BUFFER_BYTES, 1, &mut parts);
        assert_eq!((gathered, parts.len()), ((LogIndex(5), 4 * 128), 1));
        parts.clear();
        let gathered = tail.gather((LogIndex(2), LogIndex(9)), 1, 8, &mut parts);
        assert_eq!(
            gathered,
            (LogIndex(2), 128),
            "one record goes even if it alone is larger"
        );
    }

    #[test]
    fn truncated_records_are_replaced_and_still_written() {
        let mut tail = tail(4);
        for index in 1..=5 {
            assert!(push(&mut tail, index, 64));
        }
        tail.truncate(LogIndex(3));
        assert_eq!(tail.last(), LogIndex(2));
        assert!(push(&mut tail, 3, 72));
        assert_eq!(tail.record(LogIndex(3)).expect("cached").len(), 136);
        seal(&mut tail);
        let places = tail.next_sealed().expect("sealed").places;
        let indexes: Vec<_> = places.iter().map(|place| place.index.0).collect();
        assert_eq!(
            indexes,
            [1, 2, 3, 4, 5, 3],
            "the log voids what comes twice"
        );
    }

    #[test]
    fn a_record_is_found_by_any_offset_in_it() {
        let mut tail = tail(4);
        for index in 1..=5 {
            assert!(push(&mut tail, index, 64));
        }
        assert_eq!(tail.find(Offset(10)), Some(LogIndex(1)));
        assert_eq!(tail.find(Offset(39)), Some(LogIndex(3)));
        assert_eq!(tail.find(Offset(9)), None, "before the cache");
        assert_eq!(tail.find(Offset(60)), None, "behind it");
    }

    #[test]
    fn an_abandoned_group_leaves_no_trace() {
        let mut tail = tail(4);
        assert!(push(&mut tail, 1, 64));
        seal(&mut tail);
        assert!(push(&mut tail, 2, 64));
        assert_eq!(tail.sealed(), LogIndex(1));
        tail.abandon_open(LogIndex(2));
        assert_eq!(tail.last(), LogIndex(1));
        assert!(push(&mut tail, 2, 72));
        assert_eq!(tail.record(LogIndex(2)).expect("cached").len(), 136);
    }
}
