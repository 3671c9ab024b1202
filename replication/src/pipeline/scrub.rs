//! The scrubber: reads the log in the background from end to end, so that a copy that has decayed is found, and repaired, while
//! there are others.
//!
//! It reads what may be asked for: records that are not void. Where recovery has looked at all of it, and at the headers and the
//! superblock too, the first pass begins a rest after the start; where it has passed over segments, at once. Owns: its place and
//! its pace. Never: has more than one read open. Called by: the turn.

use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{LogIndex, Time};

use super::Pipeline;
use super::config::PipelineConfig;
use super::fetch::ReadFor;
use crate::log::{From, Read};
use crate::seam::Seam;

const SECOND: u64 = 1_000_000_000;

/// Where the scrubber is.
#[derive(Debug)]
pub(super) struct Scrub {
    /// The next record to read.
    next: LogIndex,
    /// When to read it; never while a read is open.
    at: Time,
}

impl Scrub {
    pub(super) fn new(config: &PipelineConfig, unread: bool, now: Time) -> Self {
        let first = if config.scrub_bytes == 0 {
            Time(u64::MAX)
        } else if unread {
            now
        } else {
            now.after(config.scrub_rest)
        };
        Self {
            next: LogIndex(1),
            at: first,
        }
    }

    pub(super) fn deadline(&self) -> Time {
        self.at
    }
}

impl Pipeline {
    /// Reads on, if it is time.
    pub(super) fn scrub_due(&mut self, now: Time, seam: &mut impl Seam) {
        if self.scrub.at > now {
            return;
        }
        let token = self.fetches.open(ReadFor::Scrub);
        self.scrub.next = self.scrub.next.max(self.log.start().next());
        let read = Read {
            token,
            from: From::Index(self.scrub.next),
            through: LogIndex(u64::MAX),
            bytes_max: RECORDS_BYTES_MAX,
            one_term: false,
        };
        self.scrub.at = Time(u64::MAX);
        if self.log.read(read, seam).is_err() {
            // The end of the log, or records that have become void.
            self.fetches.read_done(token);
            self.scrub.next = LogIndex(1);
            self.scrub.at = now.after(self.config.scrub_rest);
        }
    }

    /// The records up to `last`, so many bytes, are sound.
    pub(super) fn scrubbed(&mut self, last: LogIndex, bytes: usize, now: Time) {
        let bytes = u64::try_from(bytes).expect("a read is bounded");
        self.scrub.next = last.next();
        self.scrub.at = now.after(bytes * SECOND / self.config.scrub_bytes);
    }

    /// What was to be read is void.
    pub(super) fn scrubbed_void(&mut self, now: Time) {
        self.scrub.at = now.after(SECOND);
    }
}
