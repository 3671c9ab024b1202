//! The clocks of this host.

use quorate_wire::Time;
use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOSECONDS: u64 = 1_000_000_000;

/// The monotonic clock. Its start is the same for all processes of a host, and arbitrary. It counts the time in which the host
/// is suspended: a leader must not wake and take its lease for fresh.
#[must_use]
pub fn now() -> Time {
    Time(nanoseconds(clock_gettime(ClockId::Boottime)))
}

/// Nanoseconds since 1970, as good as the host knows it.
#[must_use]
pub fn wall() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// A clock that shows a time before its start shows the start: no decision hangs on such a one.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NANOSECONDS).saturating_add(rest)
}
