//! What is on a disk after the power went.

use std::sync::Arc;

use quorate_replication::seam::{FileId, SegmentId, StorageOp};

use super::{Disk, SECTOR_BYTES, Sector};

impl Disk {
    /// The sectors of all writes that wait; also of a file that waits to be used again, and is written to for that.
    #[must_use]
    pub fn waiting_sectors(&self) -> Vec<Sector> {
        let writes = self.open.iter().flat_map(|(_, op)| match op {
            StorageOp::Write {
                file,
                position,
                bytes,
            } => vec![(*file, *position, bytes.len() as u64)],
            StorageOp::Prepare {
                from: Some(from),
                bytes,
                ..
            } => vec![(FileId::Segment(*from), 0, *bytes)],
            // The first sector of the one stands for all that is written, and that of the other for the name.
            StorageOp::Reuse { segment, from, .. } => [*from, *segment]
                .map(|segment| (FileId::Segment(segment), 0, SECTOR_BYTES as u64))
                .to_vec(),
            StorageOp::Prepare { .. }
            | StorageOp::Read { .. }
            | StorageOp::Append { .. }
            | StorageOp::Publish { .. }
            | StorageOp::Remove { .. } => Vec::new(),
        });
        let sectors = writes.flat_map(|(file, from, bytes)| {
            let starts = (from..from + bytes).step_by(SECTOR_BYTES);
            starts.map(move |position| Sector { file, position })
        });
        sectors.collect()
    }

    /// The disk as it is found if the power goes now: of the writes that wait, it has those sectors that `keeps` names.
    #[must_use]
    pub fn crashed(&self, keeps: &mut dyn FnMut(Sector) -> bool) -> Self {
        let mut disk = Self {
            superblock: self.superblock.clone(),
            segments: self.segments.clone(),
            snapshots: self.snapshots.clone(),
            room: self.room,
            rewrites: self.rewrites,
            left: self.left.clone(),
            marred: self.marred.clone(),
            ..Self::new()
        };
        for (_, op) in &self.open {
            match op {
                StorageOp::Write {
                    file,
                    position,
                    bytes,
                } => {
                    for (nth, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        let position = position + (nth * SECTOR_BYTES) as u64;
                        let file = *file;
                        if keeps(Sector { file, position }) {
                            disk.put(file, position, sector);
                        }
                    }
                }
                StorageOp::Prepare {
                    from: Some(from), ..
                } => disk.zero(*from, keeps),
                StorageOp::Reuse {
                    segment,
                    from,
                    head,
                } => disk.half_reuse((*from, *segment), head, keeps),
                StorageOp::Read { .. }
                | StorageOp::Prepare { .. }
                | StorageOp::Append { .. }
                | StorageOp::Publish { .. }
                | StorageOp::Remove { .. } => {}
            }
        }
        disk
    }

    /// Some sectors of a segment that was about to be used again are zero.
    fn zero(&mut self, segment: SegmentId, keeps: &mut dyn FnMut(Sector) -> bool) {
        let Some(content) = self.segments.get_mut(&segment) else {
            return; // Somebody took it away.
        };
        let bytes = &mut Arc::make_mut(&mut content.0).bytes;
        let positions = (0..).step_by(SECTOR_BYTES);
        for (position, sector) in positions.zip(bytes.chunks_mut(SECTOR_BYTES)) {
            let file = FileId::Segment(segment);
            if keeps(Sector { file, position }) {
                sector.fill(0);
            }
        }
    }

    /// A file was about to get a new beginning, and then another number.
    fn half_reuse(
        &mut self,
        (from, segment): (SegmentId, SegmentId),
        head: &[u8],
        keeps: &mut dyn FnMut(Sector) -> bool,
    ) {
        let mut keeps = |segment| {
            keeps(Sector {
                file: FileId::Segment(segment),
                position: 0,
            })
        };
        let (begun, named) = (keeps(from), keeps(segment));
        if let Some(content) = self.segments.remove(&from) {
            let at = if begun && named { segment } else { from };
            self.use_again(at, content, if begun { head } else { &[] });
        }
    }

    /// The power goes: see [`crashed`](Self::crashed).
    pub fn crash(&mut self, keeps: &mut dyn FnMut(Sector) -> bool) {
        *self = self.crashed(keeps);
    }
}
