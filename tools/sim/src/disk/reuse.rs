//! Files that are used again as they are.

use quorate_replication::seam::{FileId, SegmentId};

use super::{Content, Disk, SECTOR_BYTES};

impl Disk {
    /// A segment's file is now this one, with all that is in it, and another beginning: which all may be written once more.
    pub(super) fn use_again(&mut self, segment: SegmentId, content: Content, head: &[u8]) {
        let sectors = content.as_ref().len() / SECTOR_BYTES;
        self.left.insert(segment, vec![true; sectors]);
        self.segments.insert(segment, content);
        let begin = self.content_mut(FileId::Segment(segment), head.len());
        let begin = begin.get_mut(..head.len());
        begin.expect("a file is longer").copy_from_slice(head);
    }

    /// There is a segment, with a file that was used before: all of it may be written.
    pub fn put_used(&mut self, segment: SegmentId, bytes: Vec<u8>) {
        self.use_again(segment, Content::from(bytes), &[]);
    }

    /// Whether this byte was never written since its file was used again.
    pub(super) fn is_left(&self, file: FileId, at: usize) -> bool {
        let FileId::Segment(segment) = file else {
            return false;
        };
        let left = self.left.get(&segment);
        left.and_then(|left| left.get(at / SECTOR_BYTES)) == Some(&true)
    }

    /// How many segments have a file that was used again as it was.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.left.len()
    }
}
