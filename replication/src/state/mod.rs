//! The state that the log replicates: which chunks are in, where, and a digest of it all. Equal on every node at equal index.
//!
//!   applied            pending
//!   |####committed####|~~~appended, may become void~~~|
//!
//! Owns: deduplication, what commands keep under names, the committed offset, the digest. Never: reads a clock; expiry and
//! order come from the log alone.
//! Called by: recovery (as [`Replay`]), the group (append, commit), the accumulator (whether a chunk is new).

mod consumers;
mod cursors;
mod event_ids;
mod kept;
mod marks;
mod named;
mod producer;
mod producers;
mod rosters;
mod snapshot;
mod table;

use alloc::collections::VecDeque;

use quorate_wire::limits::RUNS_MAX;
use quorate_wire::{
    ChunkId, Command, Edition, EventId, LogIndex, Name, Offset, Position, Record, RecordHeader,
};

use crate::log::{Identity, Replay};
use crate::snapshot::SnapshotError;
pub use consumers::{ConsumerGroup, Member};
pub use cursors::Cursor;
use event_ids::EventIds;
pub use marks::Mark;
use marks::Marks;
pub use named::{Declined, Outcome};
use named::{Moment, Named};
pub use producer::Verdict;
use producers::Producers;
pub use rosters::MemberList;
use rosters::Rosters;

/// A record that is in the log and not known to be committed.
#[derive(Clone, Copy, Debug)]
struct Pending {
    position: Position,
    header_crc: u32,
    body_crc: u32,
    next_offset: Offset,
    log_time: u64,
    /// How many of `State::chunks` are its own.
    chunks: usize,
    /// How many of `State::commands` are its own.
    commands: usize,
    /// How many of the pending ids of events are its own.
    ids: usize,
}

/// What came of a command in a record that was applied just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The record.
    pub index: LogIndex,
    /// Which of its commands, from 0.
    pub at: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// The replicated state, and what is pending of it.
#[derive(Debug)]
pub struct State {
    producers: Producers,
    pending: VecDeque<Pending>,
    /// The chunks of all pending records, in order, each with the offset of its first event.
    chunks: VecDeque<(ChunkId, Offset)>,
    ids: EventIds,
    named: Named,
    /// The commands of all pending records, in order.
    commands: VecDeque<Command>,
    rosters: Rosters,
    /// The editions that pending commands raise to, with their records, in order.
    raises: VecDeque<(LogIndex, Edition)>,
    applied: Applied,
    marks: Marks,
}

/// What the applied records amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last one.
    pub position: Position,
    /// Its `header_crc`.
    pub header_crc: u32,
    /// Offset after its last event.
    pub next_offset: Offset,
    /// Its log time.
    pub log_time: u64,
    /// Digest of all of them.
    pub digest: u64,
    /// The edition that the group uses.
    pub edition: Edition,
}

impl Default for State {
    fn default() -> Self {
        Self::new(RUNS_MAX)
    }
}

impl State {
    /// The state before the log, which keeps so many runs of producers at most: [`RUNS_MAX`] on every node. Another number is
    /// for tests, which would take long to reach that.
    #[must_use]
    pub fn new(runs_max: usize) -> Self {
        Self {
            producers: Producers::new(runs_max),
            pending: VecDeque::new(),
            chunks: VecDeque::new(),
            ids: EventIds::default(),
            named: Named::default(),
            commands: VecDeque::new(),
            rosters: Rosters::default(),
            raises: VecDeque::new(),
            applied: Applied::default(),
            marks: Marks::default(),
        }
    }

    /// The last applied record.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        self.applied.position.index
    }

    /// Offset after the last applied event.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.applied.next_offset
    }

    /// The edition that the group uses at [`State::applied`].
    #[must_use]
    pub fn edition(&self) -> Edition {
        self.applied.edition
    }

    /// The edition that it uses from the log's end on.
    #[must_use]
    pub fn newest_edition(&self) -> Edition {
        let pending = self.raises.iter().map(|raise| raise.1);
        pending.fold(self.applied.edition, Edition::max)
    }

    /// Log time of the last applied record.
    #[must_use]
    pub fn applied_log_time(&self) -> u64 {
        self.applied.log_time
    }

    /// Digest of the state at [`State::applied`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.applied.digest
    }

    /// What the log amounted to at an applied record, if that is still kept.
    #[must_use]
    pub fn mark(&self, index: LogIndex) -> Option<Mark> {
        self.marks.get(index)
    }

    /// The log's last record, pending ones included.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        self.pending
            .back()
            .map_or(self.applied.position.index, |record| record.position.index)
    }

    /// Offset after the log's last event.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.pending
            .back()
            .map_or(self.applied.next_offset, |record| record.next_offset)
    }

    /// Log time of the log's last record.
    #[must_use]
    pub fn log_time(&self) -> u64 {
        self.pending
            .back()
            .map_or(self.applied.log_time, |record| record.log_time)
    }

    /// How many records are pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How many producers are known.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.producers.len()
    }

    /// How many runs are known of all producers: of a run, each chunk's offset follows from its sequence.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.producers.runs()
    }

    /// One number for what is known of all producers at [`State::applied`]: equal where the log's is. It takes as long as there
    /// are producers.
    #[must_use]
    pub fn producers_digest(&self) -> u64 {
        self.producers.fingerprint()
    }

    /// One number for all that commands keep at [`State::applied`]: equal where the log's is.
    #[must_use]
    pub fn named_digest(&self) -> u64 {
        self.named.fingerprint()
    }

    /// The cursor of a name, if there is one.
    #[must_use]
    pub fn cursor(&self, name: &Name) -> Option<Cursor> {
        self.named.cursors.get(name, self.applied.log_time)
    }

    /// The cursors behind a name, or all of them, by name.
    pub fn cursors(&self, after: Option<Name>) -> impl Iterator<Item = (Name, Cursor)> {
        self.named.cursors.after(after, self.applied.log_time)
    }

    /// The consumer group of a name, if there is one.
    #[must_use]
    pub fn consumer_group(&self, name: &Name) -> Option<&ConsumerGroup> {
        self.named.groups.get(name, self.applied.log_time)
    }

    /// The consumer groups behind a name, or all of them, by name.
    pub fn consumer_groups(
        &self,
        after: Option<Name>,
    ) -> impl Iterator<Item = (Name, &ConsumerGroup)> {
        self.named.groups.after(after, self.applied.log_time)
    }

    /// The lists of members that the log has, with the records that bring them: the newest applied one, and all behind it.
    pub fn member_lists(&self) -> impl DoubleEndedIterator<Item = &(LogIndex, MemberList)> {
        self.rosters.known()
    }

    /// The newest applied one of them.
    #[must_use]
    pub fn applied_members(&self) -> Option<&(LogIndex, MemberList)> {
        self.rosters.applied()
    }

    /// `header_crc` of a record that the next one could follow: the last applied one, or a pending one. Zero before the log.
    #[must_use]
    pub fn header_crc(&self, index: LogIndex) -> Option<u32> {
        if index == self.applied.position.index {
            return Some(self.applied.header_crc);
        }
        let first = self.pending.front()?.position.index;
        let at = usize::try_from(index.0.checked_sub(first.0)?).ok()?;
        self.pending.get(at).map(|record| record.header_crc)
    }

    /// Whether a leader shall append this chunk, given everything that is applied or that it has appended itself.
    #[must_use]
    pub fn judge(&self, id: &ChunkId) -> Verdict {
        self.producers.judge(id)
    }

    /// The same of a chunk that has ids, with the wall clock of the leader.
    #[must_use]
    pub fn judge_ids(&self, ids: &[EventId], wall: u64) -> Verdict {
        self.ids.judge(ids, self.log_time().max(wall))
    }

    /// A leader has taken this new chunk, which has ids and begins at an offset.
    pub fn take_ids(&mut self, ids: &[EventId], offset: Offset) {
        self.ids.take(ids, offset);
    }

    /// One number for all ids of events that are known at [`State::applied`]: equal where the log's is.
    #[must_use]
    pub fn ids_digest(&self) -> u64 {
        self.ids.fingerprint()
    }

    /// A leader has taken this new chunk: the next one of its producer must follow it.
    pub fn take(&mut self, id: &ChunkId) {
        self.producers.take(id);
    }

    /// Offset of a chunk that is pending.
    #[must_use]
    pub fn pending_offset(&self, id: &ChunkId) -> Option<Offset> {
        let mut pending = self.chunks.iter().rev();
        pending.find_map(|(pending, offset)| Some(offset.plus(pending.before(id)?)))
    }

    /// Appends a record that was made here, of these chunks and of those with ids that were taken since the last one.
    pub fn append_own(
        &mut self,
        header: &RecordHeader,
        chunks: impl Iterator<Item = (ChunkId, Offset)>,
    ) {
        let before = self.counts();
        self.chunks.extend(chunks);
        self.ids.append_taken();
        self.push(header, before);
    }

    /// Appends a chunk of a record, whose chunks are pending behind so many. One that goes on where the last one ends becomes one
    /// with it: what comes of them when they are committed is the same.
    fn append_chunk(&mut self, id: ChunkId, offset: Offset, before: usize) {
        if self.chunks.len() > before
            && let Some((last, at)) = self.chunks.back_mut()
            && last.is_followed_by(&id)
            && at.plus(u64::from(last.events)) == offset
        {
            last.events += id.events;
        } else {
            self.chunks.push_back((id, offset));
        }
    }

    /// Appends a record that was made here, of these commands.
    pub fn append_commands(
        &mut self,
        header: &RecordHeader,
        commands: impl Iterator<Item = Command>,
    ) {
        let before = self.counts();
        self.commands.extend(commands);
        self.note_raises(header.index, before);
        self.push(header, before);
    }

    /// Notes to which editions the commands raise that a record brings, behind those that there were before.
    fn note_raises(&mut self, at: LogIndex, before: [usize; 3]) {
        for command in self.commands.range(before[1]..) {
            if let Command::Raise { edition } = command {
                self.raises.push_back((at, *edition));
            }
        }
    }

    /// Appends a record that was made here, of these members.
    pub fn append_members(&mut self, header: &RecordHeader, list: MemberList) {
        self.push(header, self.counts());
        self.rosters.push(header.index, list);
    }

    /// How many chunks, commands and ids of events are pending.
    fn counts(&self) -> [usize; 3] {
        let ids = self.ids.appended();
        [self.chunks.len(), self.commands.len(), ids]
    }

    /// Appends a record, whose parts are pending behind those that there were before.
    fn push(&mut self, header: &RecordHeader, before: [usize; 3]) {
        assert!(
            header.index == self.last().next(),
            "records are appended in order"
        );
        let [chunks, commands, ids] = self.counts();
        let [chunks_before, commands_before, ids_before] = before;
        self.pending.push_back(Pending {
            position: Position {
                term: header.term,
                index: header.index,
            },
            header_crc: header.header_crc,
            body_crc: header.body_crc,
            next_offset: header.next_offset(),
            log_time: header.log_time,
            chunks: chunks - chunks_before,
            commands: commands - commands_before,
            ids: ids - ids_before,
        });
    }

    /// All records up to here are committed. `done` hears what came of each command.
    pub fn apply(&mut self, upto: LogIndex, mut done: impl FnMut(Done)) {
        while let Some(record) = (self.pending).pop_front_if(|it| it.position.index <= upto) {
            self.apply_one(record, &mut done);
        }
        self.rosters.apply(upto);
        while self.raises.pop_front_if(|(at, _)| *at <= upto).is_some() {}
    }

    /// Forgets what a leader has taken and not seen committed: it leads no more. The records stay pending, as any follower's.
    pub fn forget_taken(&mut self) {
        self.producers.forget_taken();
        self.ids.forget_taken();
    }

    fn apply_one(&mut self, record: Pending, done: &mut impl FnMut(Done)) {
        for (id, offset) in self.chunks.drain(..record.chunks) {
            self.producers.commit(&id, offset, record.log_time);
        }
        self.producers
            .expire(self.applied.log_time, record.log_time);
        self.ids.commit(record.ids, record.log_time);
        let fingerprint = u64::from(record.header_crc) << 32 | u64::from(record.body_crc);
        let mut digest = mix(self.applied.digest ^ mix(fingerprint));
        let moment = Moment {
            life: named::life(self.applied.edition, record.position.index),
            log_time: record.log_time,
            end: record.next_offset,
        };
        let mut edition = self.applied.edition;
        for (at, command) in self.commands.drain(..record.commands).enumerate() {
            let outcome = if let Command::Raise { edition: to } = command {
                edition = edition.max(to);
                Ok(u64::from(edition.0))
            } else {
                self.named.apply(&command, moment)
            };
            digest = mix(digest ^ named::fingerprint(&outcome));
            let index = record.position.index;
            done(Done { index, at, outcome });
        }
        self.applied = Applied {
            position: record.position,
            header_crc: record.header_crc,
            next_offset: record.next_offset,
            log_time: record.log_time,
            digest,
            edition,
        };
        let mark = Mark {
            digest,
            header_crc: record.header_crc,
        };
        self.marks.set(record.position.index, mark);
    }
}

impl Replay for State {
    fn begin(&mut self, snapshot: &[u8], of: &Identity) -> Result<Applied, SnapshotError> {
        *self = Self::new(self.producers.runs_max()).loaded(snapshot, of.cluster, of.group)?;
        Ok(self.applied)
    }

    fn append(&mut self, record: &Record<'_>) {
        let before = self.counts();
        for (offset, chunk) in record.chunks() {
            match chunk.ids() {
                None => self.append_chunk(chunk.id(), offset, before[0]),
                Some(ids) => self.ids.append(ids, offset),
            }
        }
        self.commands.extend(record.commands());
        self.note_raises(record.header().index, before);
        self.push(record.header(), before);
        if let Some(roster) = record.roster() {
            self.rosters.push(record.header().index, roster.into());
        }
    }

    fn truncate(&mut self, first: LogIndex) {
        assert!(
            first > self.applied.position.index,
            "a committed record is never void"
        );
        self.rosters.truncate(first);
        while self.raises.pop_back_if(|(at, _)| *at >= first).is_some() {}
        while self
            .pending
            .back()
            .is_some_and(|record| record.position.index >= first)
        {
            let void = self.pending.pop_back().expect("the back was just seen");
            self.chunks.truncate(self.chunks.len() - void.chunks);
            self.commands.truncate(self.commands.len() - void.commands);
            self.ids.truncate(void.ids);
        }
    }

    fn commit(&mut self, upto: LogIndex) {
        self.apply(upto, |_| {});
    }
}

/// The finalizer of splitmix64 (Steele et al. 2014): spreads each bit of a fingerprint over all of the digest.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
