//! Snapshots of this node's own state, and what of the log goes when two of them have it.
//!
//! The state is frozen at a record that is durable here, and copied while it changes, a bounded number of entries a turn; what is
//! copied is written beside the log's writes. Owns: when one is taken, and how far it is. Never: waits for the disk. Called by: the
//! turn.

use quorate_raft::Input;
use quorate_wire::LogIndex;
use quorate_wire::limits::SNAPSHOT_CHUNK_BYTES_MAX;

use super::config::SNAPSHOT_ENTRIES_TURN;
use super::{Note, Pipeline, Reopen};
use crate::log::{Retention, SnapshotEvent};
use crate::seam::{Seam, SnapshotId};
use crate::snapshot::{Header, Writer};

/// What is being done about snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The last record that the newest one covers.
    newest: LogIndex,
    /// Bytes of the log behind it, when this pipeline began.
    bytes_behind: u64,
    taking: Option<Taking>,
}

/// A snapshot that is being taken.
#[derive(Debug)]
struct Taking {
    covers: LogIndex,
    writer: Writer,
    /// All of the state is copied.
    copied: bool,
    /// What the log had taken up when it was begun.
    taken_up: u64,
}

impl Snapshots {
    pub(super) fn new(newest: LogIndex, bytes_behind: u64) -> Self {
        Self {
            newest,
            bytes_behind,
            taking: None,
        }
    }

    /// The last record that the newest one covers.
    pub(super) fn newest(&self) -> LogIndex {
        self.newest
    }
}

impl Pipeline {
    /// Goes on with the snapshot that is being taken, or begins one that is due. Says whether there is more to do at once.
    pub(super) fn snapshot_due(&mut self, seam: &mut impl Seam) -> bool {
        if self.snapshots.taking.is_none() && !self.begins_snapshot(seam) {
            return false;
        }
        let Some(taking) = &mut self.snapshots.taking else {
            return false;
        };
        let full = taking.writer.ready() >= 2 * SNAPSHOT_CHUNK_BYTES_MAX;
        if !taking.copied && !full {
            taking.copied = !self.state.copy(SNAPSHOT_ENTRIES_TURN, &mut taking.writer);
            if taking.copied {
                self.state.thaw();
                taking.writer.end();
            }
        }
        let due = taking.copied || taking.writer.ready() >= SNAPSHOT_CHUNK_BYTES_MAX;
        if due && self.log.snapshot_is_idle() {
            if let Some(part) = taking.writer.take(SNAPSHOT_CHUNK_BYTES_MAX) {
                self.log.write_snapshot(part, seam);
            } else if taking.writer.is_over() && self.log.is_noted() {
                self.log.keep_snapshot(SnapshotId(taking.covers.0), seam);
            }
        }
        !taking.copied && !full
    }

    /// Begins a snapshot, if enough has come since the last one.
    fn begins_snapshot(&mut self, seam: &mut impl Seam) -> bool {
        let covers = self.state.applied();
        let records = covers.0.saturating_sub(self.snapshots.newest.0);
        let bytes = self.snapshots.bytes_behind + self.log.taken_up();
        let config = &self.config.snapshots;
        let due = records > 0 && (records >= config.records || bytes >= config.bytes);
        // What a crash may take from this disk is not in its snapshots.
        let durable = self
            .raft
            .as_ref()
            .is_some_and(|raft| raft.durable() >= covers);
        let receives = self.transfer.receives();
        if !due || !durable || receives || self.reopen.is_some() || !self.log.snapshot_is_idle() {
            return false;
        }
        let applied = self.state.freeze();
        let header = Header::new(self.config.cluster, self.config.group, applied);
        // A log that ends before the snapshot of its own disk has lost something: the superblock says so.
        self.log.note_reached(seam);
        self.log.begin_snapshot();
        self.snapshots.taking = Some(Taking {
            covers,
            writer: Writer::new(&header),
            copied: false,
            taken_up: self.log.taken_up(),
        });
        true
    }

    /// Gives up the snapshot that is being taken.
    pub(super) fn drop_snapshot(&mut self) {
        if self.snapshots.taking.take().is_some() {
            self.state.thaw();
        }
    }

    /// The disk has done something for a snapshot.
    pub(super) fn on_snapshot(&mut self, event: SnapshotEvent, seam: &mut impl Seam) {
        match event {
            SnapshotEvent::Written => self.part_written(seam),
            SnapshotEvent::Read { token, bytes } => self.part_read(token, bytes.as_ref()),
            SnapshotEvent::Kept(snapshot) => {
                let upto = LogIndex(snapshot.0);
                if let Some(taken) = self.snapshots.taking.take() {
                    self.count_anew(upto, taken.taken_up);
                    self.notes.push(Note::SnapshotTaken { upto });
                }
                self.part_kept(snapshot);
            }
            SnapshotEvent::Failed => {
                self.part_failed();
                self.drop_snapshot();
                // The disk is full: as much again must come before the next attempt.
                self.count_anew(self.state.applied(), self.log.taken_up());
                self.notes.push(Note::SnapshotFailed);
            }
        }
    }

    /// The next snapshot is due when enough has come since this one.
    fn count_anew(&mut self, covers: LogIndex, taken_up: u64) {
        self.snapshots.newest = covers;
        self.snapshots.bytes_behind = 0;
        self.log.forget_taken_up(taken_up);
    }

    /// The log begins behind this record now.
    pub(super) fn released(&mut self, upto: LogIndex, seam: &mut impl Seam) {
        self.notes.push(Note::Released { upto });
        if self.repair.is_some() {
            self.reopen = Some(Reopen::BeginsLater { upto });
        }
        self.wants.retain(|want| want.first > upto);
        self.step(Input::Released { upto }, seam);
    }

    /// Lets old segments go that two snapshots have, and nobody is to keep.
    pub(super) fn release_due(&mut self, seam: &mut impl Seam) {
        let config = &self.config.snapshots;
        let mut kept = self.log.snapshots();
        let two = kept.len() >= 2;
        let Some(oldest) = kept.next().filter(|_| two) else {
            return;
        };
        drop(kept);
        if config.retain_bytes == u64::MAX && config.retain_time == u64::MAX {
            return;
        }
        let now = self.state.log_time();
        let keep = |covered, bytes, time| Retention {
            covered,
            bytes,
            since: now.saturating_sub(time),
        };
        let covered = LogIndex(oldest.0);
        let wanted = self
            .wanted_by_peers()
            .map_or(covered, |first| covered.min(first));
        let soft = keep(wanted, config.retain_bytes, config.retain_time);
        // A peer that is slow may hold the log for so long, and no longer: then it gets a snapshot.
        let twice = |most: u64| most.saturating_mul(2);
        let hard = keep(
            covered,
            twice(config.retain_bytes),
            twice(config.retain_time),
        );
        self.log.release(&soft, seam);
        self.log.release(&hard, seam);
    }

    /// What all peers that can be reached have; they are about to want what is behind.
    fn wanted_by_peers(&self) -> Option<LogIndex> {
        let raft = self.raft.as_ref().filter(|raft| raft.leads())?;
        let peers = raft.peer_progress().filter(|&(_, up, _)| up);
        peers.map(|(_, _, matched)| matched).min()
    }
}
