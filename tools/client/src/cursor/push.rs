//! A subscription under a cursor: the node pushes, and the cursor gives credit for what has been taken.
//!
//! Owns: how much credit there is, and when it is given. Called by: the cursor.

use quorate_wire::client::Credit;
use quorate_wire::limits::{RECORDS_BYTES_MAX, SUBSCRIPTION_PULSE_MS};
use quorate_wire::{FrameKind, Time};

use super::Cursor;
use crate::greeting::write_frame;
use crate::session::nanoseconds;

/// Full batches that may be on their way.
const AHEAD: u32 = 4;

const PULSE_NS: u64 = SUBSCRIPTION_PULSE_MS as u64 * 1_000_000;

impl Cursor {
    /// The credit of a subscription. Where batches are bounded closer than by the node, it bounds them: so one is on its way.
    pub(super) fn window(&self) -> u32 {
        let bytes = self.config.bytes_max.max(1);
        let full = usize::try_from(bytes).is_ok_and(|bytes| bytes >= RECORDS_BYTES_MAX);
        if full {
            bytes.saturating_mul(AHEAD)
        } else {
            bytes
        }
    }

    /// When an answer, or the next push, is overdue.
    pub(super) fn overdue(&self, now: Time) -> Time {
        let pulse = if self.config.push { PULSE_NS } else { 0 };
        now.after(nanoseconds(self.config.request_timeout) + pulse)
    }

    /// Gives back the credit that pushes have used up, once it is half of it.
    pub(super) fn give_credit(&mut self) {
        let half = self.window() / 2;
        let Some(asked) = self.asked() else {
            return;
        };
        if let Some(used) = &mut asked.used
            && *used > half
        {
            let credit = Credit {
                bytes: std::mem::take(used).into(),
                reserved: 0.into(),
            };
            let correlation = asked.correlation;
            let out = self.link.out.bytes();
            write_frame(out, FrameKind::Credit, correlation, &credit);
        }
    }
}
