//! The state as a snapshot, and back.
//!
//! Called by: the pipeline, which copies a frozen state turn by turn, and recovery.

use quorate_wire::{ClusterName, GroupId, LogIndex};

use super::{Applied, State};
use crate::snapshot::{Header, Piece, Pieces, Section, SnapshotError, Writer};

impl State {
    /// What is applied.
    #[must_use]
    pub fn covers(&self) -> &Applied {
        &self.applied
    }

    /// From now on, [`State::copy`] gives the state as it is applied at this moment, whatever is applied meanwhile.
    pub fn freeze(&mut self) -> Applied {
        self.producers.freeze();
        self.ids.freeze();
        self.named.freeze();
        self.rosters.freeze();
        self.applied
    }

    /// No copy is made any more.
    pub fn thaw(&mut self) {
        self.producers.thaw();
        self.ids.thaw();
        self.named.thaw();
        self.rosters.thaw();
    }

    /// Copies up to `most` further entries of the frozen state. Says whether more are left.
    pub fn copy(&mut self, most: usize, writer: &mut Writer) -> bool {
        self.rosters.copy(writer);
        let more = self.producers.copy(most, writer);
        let more = more
            || self.ids.copy(most, &mut |known| {
                writer.entry(Section::EventIds, |bytes| known.encode(bytes));
            });
        more || self.named.copy(most, writer)
    }

    /// The state of a snapshot. It is believed only once all of it is found sound.
    ///
    /// # Errors
    /// The bytes are no snapshot of this group.
    pub fn load(bytes: &[u8], cluster: ClusterName, group: GroupId) -> Result<Self, SnapshotError> {
        Self::default().loaded(bytes, cluster, group)
    }

    /// This state, which is empty, with what a snapshot holds.
    pub(super) fn loaded(
        mut self,
        bytes: &[u8],
        cluster: ClusterName,
        group: GroupId,
    ) -> Result<Self, SnapshotError> {
        let (header, mut pieces) = Pieces::of(bytes)?;
        if header.cluster != cluster || header.group != group {
            let group = header.group;
            return Err(SnapshotError::Foreign { group });
        }
        self.applied = header.applied;
        while let Some(piece) = pieces.next_piece()? {
            match piece.section {
                Section::Producers => self.producers.load(&piece)?,
                Section::EventIds => {
                    load_each(&piece, "an id of an event", |bytes| self.ids.load(bytes))?;
                }
                Section::Members => self.rosters.load(&piece)?,
                Section::Cursors => {
                    load_each(&piece, "a cursor", |bytes| self.named.cursors.load(bytes))?;
                }
                Section::ConsumerGroups => {
                    let groups = &mut self.named.groups;
                    load_each(&piece, "a consumer group", |bytes| groups.load(bytes))?;
                }
                Section::End => return Err(piece.wrong("section")),
            }
        }
        Ok(self)
    }
}

/// Loads each entry of a piece by `load`, which takes the bytes of one.
fn load_each(
    piece: &Piece<'_>,
    what: &'static str,
    mut load: impl FnMut(&mut &[u8]) -> Option<()>,
) -> Result<(), SnapshotError> {
    let mut rest = piece.payload;
    for _ in 0..piece.entries {
        load(&mut rest).ok_or_else(|| piece.wrong(what))?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(piece.wrong("entries"))
    }
}

impl Header {
    /// The header of a state's snapshot.
    #[must_use]
    pub const fn new(cluster: ClusterName, group: GroupId, applied: Applied) -> Self {
        Self {
            cluster,
            group,
            applied,
        }
    }

    /// The last record that it covers.
    #[must_use]
    pub const fn index(&self) -> LogIndex {
        self.applied.position.index
    }
}
