//! The core's driver: steps Raft, and does what it asks.

use quorate_raft::{Appended, Envelope, Input, Mark, Message, Output, Want};
use quorate_wire::limits::RECORD_BYTES_MAX;
use quorate_wire::{
    LogIndex, Position, RECORD_HEADER_BYTES, Record, RecordHeader, RecordKind, Time,
};

use super::accumulator::Maker;
use super::config::{APPEND_PARTS_MAX, BATCH_WAIT};
use super::{Note, Pipeline, codec};
use crate::log::{GroupCommit, Replay};
use crate::seam::Seam;

/// Records that a step may need.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside<'a> {
    /// None.
    Nothing,
    /// These came with the message that is stepped.
    Arrived(&'a [u8]),
    /// So many bytes are at hand for the append that the step makes: in the scratch parts,
    Cached(usize),
    /// or here, read from the disk.
    Read(&'a [u8]),
}

impl Pipeline {
    /// Steps the core, if there is one.
    pub(super) fn step(&mut self, input: Input, seam: &mut impl Seam) {
        self.step_with(input, Beside::Nothing, seam);
    }

    /// Steps the core, with records beside the input.
    pub(super) fn step_with(&mut self, input: Input, beside: Beside<'_>, seam: &mut impl Seam) {
        let Some(raft) = &mut self.raft else { return };
        let mut output = core::mem::take(&mut self.scratch.output);
        output.clear();
        raft.step(input, &mut output);
        let (leads, last) = (raft.leads(), raft.last().index);
        if self.led && !leads {
            self.step_down(seam);
        }
        if !self.led && leads {
            // From now on the open group holds only what this leader has not yet proposed.
            self.seal();
            self.heard.begin(seam.now());
            self.prefers.begin(seam.now());
        }
        self.led = leads;
        self.trace_written(seam);
        self.obey(&mut output, beside, seam);
        self.known = last;
        self.scratch.output = output;
    }

    fn obey(&mut self, output: &mut Output, beside: Beside<'_>, seam: &mut impl Seam) {
        self.notes.extend(output.notes.drain(..).map(Note::Raft));
        if let Some(state) = output.hard_state {
            self.log.store_hard_state(state, seam);
        }
        if let Some(appended) = output.append {
            self.append_arrived(appended, beside, seam);
        }
        if let Some(position) = output.noop {
            self.noops_due.push_back(position);
        }
        if let Some(commit) = output.commit {
            self.commit(commit, seam);
        }
        for envelope in output.send.drain(..) {
            self.post(&envelope, beside);
        }
        self.wants.append(&mut output.want);
        self.fresh.ready.append(&mut output.reads);
    }

    /// A leader became a follower: what it had not yet proposed is gone, what it had may or may not be committed by others.
    fn step_down(&mut self, seam: &mut impl Seam) {
        let first = self.known.next();
        self.accumulator.abandon();
        if self.tail.last() >= first || self.tail.has_open() {
            self.tail.abandon_open(first);
        }
        self.state.truncate(first);
        self.state.forget_taken();
        self.wants.clear();
        self.catch_up.governor.step_down();
        self.fail_waiters(seam);
    }

    /// All records up to here are committed, and the log has them as they are. Commitment may be ahead of the log: where its
    /// records are about to be replaced, the committed ones are those in memory.
    pub(super) fn committed_in_log(&self) -> LogIndex {
        let applied = self.state.applied();
        let unwritten = self.tail.unwritten();
        unwritten.map_or(applied, |first| applied.min(first.previous()))
    }

    fn commit(&mut self, upto: LogIndex, seam: &mut impl Seam) {
        self.counts.commits += upto.0.saturating_sub(self.state.applied().0);
        let mut applied = core::mem::take(&mut self.scratch.applied);
        self.state.apply(upto, |one| applied.push(one));
        self.catch_up.governor.committed(upto, seam.now());
        self.settle_members();
        self.log.committed(self.committed_in_log());
        self.answer_committed(upto, seam);
        self.answer_commands(&applied, seam);
        applied.clear();
        self.scratch.applied = applied;
    }

    /// Keeps the records that the core wants of those that arrived. Their chain and room were checked before.
    fn append_arrived(&mut self, appended: Appended, beside: Beside<'_>, seam: &mut impl Seam) {
        let Beside::Arrived(mut records) = beside else {
            unreachable!("the core appends only what came beside a message")
        };
        if appended.truncates {
            self.state.truncate(appended.first);
            self.members_due = true;
            self.tail.truncate(appended.first);
            self.noops_due
                .retain(|position| position.index < appended.first);
        }
        // A leader that stepped down just now has given up the group in which room was found before.
        assert!(
            self.tail.reserve(records.len()).is_some(),
            "room for all of them was found before"
        );
        while !records.is_empty() {
            let (record, rest) =
                Record::frame(records).expect("the records were checked when they arrived");
            records = rest;
            let index = record.header().index;
            if index < appended.first || index > appended.last {
                continue;
            }
            let size = record.bytes().len();
            let room = self
                .tail
                .reserve(size)
                .expect("room for all of them was asked for");
            room.copy_from_slice(record.bytes());
            self.tail.push(record.header());
            self.state.append(&record);
        }
        self.tell_members(appended.first, seam);
    }

    /// Adds a message, with its records, to what goes out to a peer.
    fn post(&mut self, envelope: &Envelope, beside: Beside<'_>) {
        let group = self.config.group;
        let parts = &mut self.scratch.parts;
        let Some(link) = self
            .links
            .iter_mut()
            .find(|link| link.up && link.peer == Some(envelope.to))
        else {
            return;
        };
        let carries =
            matches!(&envelope.message, Message::Append(append) if append.entries.count > 0);
        match beside {
            Beside::Cached(bytes) if carries => {
                link.push_head(|head| codec::encode(&envelope.message, group, bytes, head));
                link.push_records(parts, bytes);
            }
            Beside::Read(records) if carries => {
                link.push_head(|head| codec::encode(&envelope.message, group, records.len(), head));
                link.push_copy(records);
            }
            Beside::Nothing | Beside::Arrived(_) | Beside::Cached(_) | Beside::Read(_) => {
                assert!(!carries, "an append's records are at hand");
                link.push_head(|head| codec::encode(&envelope.message, group, 0, head));
            }
        }
    }

    /// Asks the core what each peer shall be sent, until it wants nothing more that is in memory.
    pub(super) fn gather(&mut self, now: Time, seam: &mut impl Seam) {
        self.step(Input::Gather, seam);
        let mut at = 0;
        while let Some(&want) = self.wants.get(at) {
            let Some(link) = self
                .links
                .iter()
                .find(|link| link.up && link.peer == Some(want.peer))
            else {
                self.wants.swap_remove(at);
                continue;
            };
            // The open group is still being written to: only sealed ones are sent.
            if !link.takes_records() || want.first > self.tail.sealed() {
                at += 1;
                continue;
            }
            let behind = self.is_behind(want.first);
            if behind && !self.catch_up.allows(now) {
                at += 1;
                continue;
            }
            self.wants.swap_remove(at);
            if behind {
                self.read_for_peer(want, seam);
                continue;
            }
            self.lend_for_peer(want, seam);
            self.step(Input::Gather, seam);
        }
    }

    /// Sends what a peer wants from memory: lends it to the link, or copies it if its buffer is still being filled.
    fn lend_for_peer(&mut self, want: Want, seam: &mut impl Seam) {
        let bytes_max = usize::try_from(want.bytes_max).expect("32 bits fit into a size");
        let bytes_max = bytes_max.min(RECORD_BYTES_MAX);
        let range = (want.first, want.last.min(self.tail.sealed()));
        let ready = |last, bytes: usize| Input::Ready {
            peer: want.peer,
            session: want.session,
            first: want.first,
            last,
            bytes: u32::try_from(bytes).expect("an append is bounded"),
        };
        if self.tail.shares_open(want.first) {
            let mut copy = core::mem::take(&mut self.scratch.copy);
            let last = self.tail.copy(range, bytes_max, &mut copy);
            self.step_with(ready(last, copy.len()), Beside::Read(&copy), seam);
            copy.clear();
            self.scratch.copy = copy;
        } else {
            self.scratch.parts.clear();
            let parts = &mut self.scratch.parts;
            let (last, bytes) = self.tail.gather(range, bytes_max, APPEND_PARTS_MAX, parts);
            self.step_with(ready(last, bytes), Beside::Cached(bytes), seam);
            self.scratch.parts.clear();
        }
    }

    /// Appends the no-op that begins this leader's term, once there is room, and before it those that earlier terms still
    /// owe.
    pub(super) fn settle_noops(&mut self, seam: &mut impl Seam) {
        while self.led
            && let Some(&position) = self.noops_due.front()
        {
            if !self.tail.open_has_room(RECORD_HEADER_BYTES) {
                self.seal();
            }
            let Some(room) = self.tail.reserve(RECORD_HEADER_BYTES) else {
                return;
            };
            let maker = Maker {
                group: self.config.group,
                position,
                wall: seam.wall(),
            };
            let header = maker.stamp(RecordKind::Noop, 0, &[], &self.state);
            room.copy_from_slice(&header);
            let header = RecordHeader::parse(&header).expect("a header stamped just now is sound");
            self.tail.push(&header);
            self.state.append_own(&header, core::iter::empty());
            self.noops_due.pop_front();
            self.seal();
        }
    }

    /// Seals the open group if the disk is free, or if it has waited long enough: then its records go to the peers, and to
    /// the disk when that is free again.
    pub(super) fn seal_due(&mut self, now: Time, seam: &mut impl Seam) {
        let free = !self.log.writing() && !self.tail.has_sealed();
        let late = self
            .batch_since()
            .is_some_and(|since| now.since(since) >= BATCH_WAIT);
        // What finds no room before the lead changes hands is not proposed any more.
        if (free || late) && !self.transfers() {
            self.close_record(seam);
            self.close_commands(seam);
            self.propose(seam);
            self.seal();
        }
    }

    /// When the first chunk or command came that is in no sealed group.
    pub(super) fn batch_since(&self) -> Option<Time> {
        let since = [self.accumulator.since(), self.commands.since()];
        since.into_iter().flatten().min()
    }

    /// Closes the open record, if there is one.
    pub(super) fn close_record(&mut self, seam: &mut impl Seam) {
        if self.accumulator.is_open() {
            let maker = self.maker(seam);
            self.accumulator
                .close(&maker, &mut self.tail, &mut self.state);
        }
    }

    /// Who makes the record that comes next.
    pub(super) fn maker(&self, seam: &mut impl Seam) -> Maker {
        let raft = self.raft.as_ref();
        Maker {
            group: self.config.group,
            position: Position {
                term: raft.expect("a leader has a core").term(),
                index: self.state.last().next(),
            },
            wall: seam.wall(),
        }
    }

    /// Tells the core of the closed records. They are in the open group, which is sealed next.
    pub(super) fn propose(&mut self, seam: &mut impl Seam) {
        while self.led && self.noops_due.is_empty() && self.known < self.state.last() {
            self.step(Input::Propose, seam);
        }
    }

    /// Seals the open group, if it holds anything.
    pub(super) fn seal(&mut self) {
        if let Some(raft) = &self.raft
            && self.tail.has_open()
        {
            // A new leader's core counts the no-op before it is here.
            let mark = Mark {
                last: self.tail.last(),
                ..raft.mark()
            };
            let (before, since) = (self.tail.sealed(), self.accumulator.since());
            self.tail.seal(mark);
            self.counts.groups += 1;
            if let Some(since) = since {
                let records = mark.last.0.saturating_sub(before.0);
                self.catch_up.governor.sealed(mark.last, records, since);
            }
            self.accumulator.sealed();
        }
    }

    /// Hands the next group to the log, if it is free.
    pub(super) fn write_due(&mut self, seam: &mut impl Seam) {
        let fits = self
            .tail
            .next_write()
            .is_some_and(|bytes| self.log.fits(bytes));
        if self.log.writing() || !fits {
            return;
        }
        // Without this group's own records: the log may need it before it has them.
        let commit = self.committed_in_log();
        let (bytes, places, mark) = self
            .tail
            .next_sealed()
            .expect("there is a next write")
            .into_parts();
        let commit = GroupCommit {
            bytes,
            records: &places,
            mark,
            commit,
        };
        self.counts.writes += 1;
        self.counts.written_records += places.len() as u64;
        self.counts.written_bytes += commit.bytes.len() as u64;
        self.log.write(commit, seam);
        self.log.committed(self.committed_in_log());
        self.tail.recycle(places);
    }
}
