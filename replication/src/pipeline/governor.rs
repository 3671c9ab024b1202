//! How fast peers that have fallen behind are caught up: as fast as those who produce do not notice.
//!
//! ```text
//!  rate                  /|
//!    |        /|    /|  / |        up by a step after a window in which the records' p99 stayed within
//!    |  /|   / |  /  | /  |  /     twice the usual one; down to half after one in which it did not
//!    | / |  /  |/    |/   | /
//!    |/--|-/---|-----|----|/------ floor: above what is produced meanwhile
//!    |
//!    |---------| |-----------| |-- time, in windows; the gaps are rests
//! ```
//! What is usual is the p99 of windows in which nobody was caught up: the median of the last ones, so that a stall of the machine is not
//! taken for it. Catching up rests for a window now and then, so that there are such windows however long it takes, and the load may
//! change meanwhile. A node that has nothing to produce, or does not lead, catches others up as fast as it can.
//!
//! Owns: the rate, and when the next bytes may go. Never: reads a clock, or allocates once it is made. Called by: catching up.

use alloc::collections::VecDeque;

use quorate_wire::{LogIndex, Time};

use super::waits::Waits;

/// How long the waits are gathered before the rate is judged, in nanoseconds: some hundred records at an ordinary load.
pub(super) const WINDOW: u64 = 250_000_000;

/// Fewer records in a window are nobody's load: their p99 would be chance.
const RECORDS_MIN: u64 = 16;

/// So many times the usual p99 is too much.
const TIMES_MAX: u64 = 2;

/// So many quiet windows say what is usual.
const QUIET_WINDOWS: usize = 9;

/// A rest follows so many windows without a quiet one.
const REST_AFTER: u32 = 16;

/// How long it takes in a rest until nobody feels what was before it, in nanoseconds.
const SETTLE: u64 = 50_000_000;

/// What catching up begins with under load, in bytes a second.
const FIRST: u64 = 32 << 20;

/// What it gets more after each window that was well, in bytes a second.
const STEP: u64 = 8 << 20;

/// What it has under load at most, in bytes a second.
const CEILING: u64 = 1 << 30;

/// What each peer has at least, above what is produced meanwhile and half as much again, in bytes a second: it arrives.
const FLOOR: u64 = 8 << 20;

/// What was not used of the rate is lost after so long, in nanoseconds.
const CREDIT: u64 = 10_000_000;

/// Groups whose commits are waited for, and told apart.
const GROUPS_MAX: usize = 256;

const SECOND: u64 = 1_000_000_000;

/// A sealed group that is not committed.
#[derive(Clone, Copy, Debug)]
struct Group {
    last: LogIndex,
    records: u64,
    /// When the first of what is in it came.
    since: Time,
}

/// What has happened since a moment.
#[derive(Debug)]
struct Window {
    /// What is before it does not count.
    begun: Time,
    waits: Waits,
    /// Bytes that the log had taken then.
    written: u64,
    /// Bytes that peers were caught up with since.
    spent: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Governor {
    /// By index.
    groups: VecDeque<Group>,
    window: Window,
    /// The p99s of quiet windows, the oldest one first.
    quiet: VecDeque<u64>,
    /// Windows since the last quiet one.
    since_quiet: u32,
    /// Nothing is spent in this window.
    rests: bool,
    /// Bytes a second; without load there is none.
    rate: Option<u64>,
    /// When more may be spent.
    next: Time,
    /// Of the last window that had a load.
    p99: Option<u64>,
}

impl Window {
    const fn new(begun: Time, written: u64) -> Self {
        Self {
            begun,
            waits: Waits::NONE,
            written,
            spent: 0,
        }
    }

    const fn end(&self) -> Time {
        self.begun.after(WINDOW)
    }

    const fn has_load(&self) -> bool {
        self.waits.total() >= RECORDS_MIN
    }
}

impl Governor {
    pub(super) fn new(now: Time) -> Self {
        Self {
            groups: VecDeque::with_capacity(GROUPS_MAX),
            window: Window::new(now, 0),
            quiet: VecDeque::with_capacity(QUIET_WINDOWS),
            since_quiet: 0,
            rests: false,
            rate: None,
            next: Time(0),
            p99: None,
        }
    }

    /// So many records are on their way, the last of them this one; the first of what is in them came then.
    pub(super) fn sealed(&mut self, last: LogIndex, records: u64, since: Time) {
        let full = self.groups.len() == GROUPS_MAX;
        match self.groups.back_mut().filter(|_| full) {
            // All of them wait for the same: how long the first one does is near enough.
            Some(group) => (group.last, group.records) = (last, group.records + records),
            None => self.groups.push_back(Group {
                last,
                records,
                since,
            }),
        }
    }

    /// All up to this record is committed.
    pub(super) fn committed(&mut self, upto: LogIndex, now: Time) {
        while let Some(group) = self.groups.pop_front_if(|group| group.last <= upto) {
            if self.window.begun <= now {
                self.window.waits.add(group.records, now.since(group.since));
            }
        }
        if self.rate.is_none() && self.window.has_load() {
            self.rate = Some(FIRST);
        }
    }

    /// This node leads no more: what it has proposed is others' matter.
    pub(super) fn step_down(&mut self) {
        self.groups.clear();
    }

    /// Whether a window is over.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.window.end() <= now
    }

    /// Judges the window that is over. So many peers are being caught up, and so many bytes has the log taken until now.
    pub(super) fn judge(&mut self, now: Time, peers: u64, written: u64) {
        let window = core::mem::replace(&mut self.window, Window::new(now, written));
        if !window.has_load() {
            (self.rate, self.rests, self.since_quiet) = (None, false, 0);
            self.p99 = None;
            return;
        }
        let p99 = window.waits.p99();
        self.p99 = Some(p99);
        let length = now.since(window.begun);
        let a_second = |bytes: u64| bytes.saturating_mul(SECOND / 1000) / (length / 1000).max(1);
        let floor = FLOOR + a_second(written - window.written) * 3 / 2;
        let floor = floor.saturating_mul(peers.max(1)).min(CEILING);
        let rate = self.rate.unwrap_or(FIRST);
        let rate = if window.spent == 0 {
            // Who comes after a while begins anew; who rests goes on.
            if self.rests { rate } else { FIRST }
        } else {
            self.judged(rate, a_second(window.spent), p99)
        };
        self.rate = Some(rate.clamp(floor, CEILING));
        self.since_quiet += 1;
        if window.spent == 0 {
            if self.quiet.len() == QUIET_WINDOWS {
                self.quiet.pop_front();
            }
            self.quiet.push_back(p99);
            self.since_quiet = 0;
        }
        self.rests = self.quiet.is_empty() || self.since_quiet >= REST_AFTER;
        if self.rests {
            self.window.begun = now.after(SETTLE);
        }
    }

    /// The rate after a window in which so much was spent a second.
    fn judged(&self, rate: u64, spent: u64, p99: u64) -> u64 {
        match self.usual() {
            None => rate.min(FIRST),
            Some(usual) if p99 > TIMES_MAX * usual => rate.min(spent) / 2,
            // What was not used has not shown that it does no harm.
            Some(_) if spent < rate / 2 => rate,
            Some(_) => rate + STEP,
        }
    }

    fn usual(&self) -> Option<u64> {
        let mut sorted = [0; QUIET_WINDOWS];
        let sorted = sorted.get_mut(..self.quiet.len())?;
        sorted
            .iter_mut()
            .zip(&self.quiet)
            .for_each(|(to, &from)| *to = from);
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// When somebody may be caught up further.
    pub(super) fn next(&self) -> Time {
        if self.rests {
            self.window.end()
        } else {
            self.next
        }
    }

    /// Somebody was caught up with so many bytes.
    pub(super) fn spend(&mut self, bytes: u64, now: Time) {
        if self.window.begun <= now {
            self.window.spent += bytes;
        }
        let from = Time(now.0.saturating_sub(CREDIT)).max(self.next);
        self.next = self
            .rate
            .map_or(now, |rate| from.after(bytes.saturating_mul(SECOND) / rate));
    }

    /// Bytes a second; without load there is no bound.
    pub(super) const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// What 99 of 100 records did not wait longer for, from when they came to their commit, in nanoseconds; of a load.
    pub(super) const fn p99(&self) -> Option<u64> {
        self.p99
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const MIB: u64 = 1 << 20;
    const PIECE: u64 = 256 << 10;

    /// A governor, and a world that it knows nothing of.
    struct World {
        governor: Governor,
        now: Time,
        last: LogIndex,
        /// Producers add so many bytes a second; nothing: there are none.
        produce: u64,
        written: u64,
        /// So many peers are behind.
        peers: u64,
        /// Bytes a second that they were caught up with just now.
        recent: u64,
        random: u64,
    }

    impl World {
        fn new(produce: u64) -> Self {
            Self {
                governor: Governor::new(Time(0)),
                now: Time(0),
                last: LogIndex(0),
                produce,
                written: 0,
                peers: 1,
                recent: 0,
                random: 1,
            }
        }

        /// So many milliseconds, in which records wait as long as that and chance make them. Says how many bytes a second peers were
        /// caught up with.
        fn run(&mut self, count: u64, wait: impl Fn(u64, u64) -> u64) -> u64 {
            let mut sum = 0;
            for _ in 0..count {
                self.now = self.now.after(MS);
                if self.governor.is_due(self.now) {
                    self.governor.judge(self.now, self.peers, self.written);
                }
                self.written += self.produce / 1000;
                if self.produce > 0 {
                    self.last = self.last.next();
                    let wait = wait(self.recent, self.random >> 33);
                    let since = Time(self.now.0.saturating_sub(wait));
                    self.governor.sealed(self.last, 1, since);
                    self.governor.committed(self.last, self.now);
                }
                // A disk of 1 GiB/s has four pieces in a millisecond.
                let mut spent = 0;
                for _ in 0..4 {
                    if self.peers > 0 && self.governor.next() <= self.now {
                        self.governor.spend(PIECE, self.now);
                        spent += PIECE;
                    }
                }
                sum += spent;
                self.recent = (self.recent * 15 + spent * 1000) / 16;
                if self.now.0.is_multiple_of(WINDOW) {
                    self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
                    self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
                }
            }
            sum * 1000 / count
        }

        fn seconds(&mut self, count: u64, wait: impl Fn(u64, u64) -> u64) -> u64 {
            self.run(1000 * count, wait)
        }
    }

    #[test]
    fn who_disturbs_nobody_is_as_fast_as_it_can() {
        let mut world = World::new(0);
        assert_eq!(world.seconds(1, |_, _| 0), 1000 * MIB);
        assert_eq!((world.governor.rate(), world.governor.p99()), (None, None));
    }

    #[test]
    fn a_load_is_noticed_at_once() {
        let mut world = World::new(0);
        world.seconds(1, |_, _| 0);
        world.produce = 10 * MIB;
        let first = world.run(WINDOW / MS, |_, _| MS);
        assert!(first < 120 * MIB, "{} MiB/s", first / MIB);
        assert!(
            world.governor.next() > world.now.after(WINDOW),
            "what is usual is not known yet"
        );
    }

    #[test]
    fn it_goes_faster_while_nobody_waits_longer() {
        let mut world = World::new(10 * MIB);
        let first = world.seconds(2, |_, _| MS);
        let later = world.seconds(50, |_, _| MS);
        assert!(first < 60 * MIB && later > 300 * MIB, "{first} {later}");
        let p99 = world.governor.p99().expect("there is a load");
        assert!((MS..=MS * 9 / 8).contains(&p99));
    }

    #[test]
    fn who_makes_others_wait_finds_its_rate() {
        let mut world = World::new(10 * MIB);
        // Twice as long at 100 MiB/s.
        let wait = |rate, _| MS + MS * rate / (100 * MIB);
        world.seconds(10, wait);
        let mean = world.seconds(30, wait);
        assert!(
            (50 * MIB..110 * MIB).contains(&mean),
            "{} MiB/s",
            mean / MIB
        );
    }

    #[test]
    fn noise_starves_nobody() {
        let mut world = World::new(10 * MIB);
        let mean = world.seconds(100, |_, random| MS + random % (7 * MS));
        assert!(mean > 23 * MIB, "{} MiB/s", mean / MIB);
    }

    #[test]
    fn what_was_usual_is_forgotten() {
        let mut world = World::new(10 * MIB);
        let before = world.seconds(15, |_, _| MS);
        // The load is another one: everything takes five times as long, and not because of us.
        let down = world.seconds(4, |_, _| 5 * MS);
        world.seconds(40, |_, _| 5 * MS);
        let again = world.seconds(15, |_, _| 5 * MS);
        assert!(
            down < before / 2 && again > before,
            "{before} {down} {again}"
        );
    }

    #[test]
    fn each_peer_is_faster_than_what_is_produced() {
        let mut world = World::new(100 * MIB);
        world.peers = 2;
        let mean = world.seconds(30, |rate, _| MS + 50 * MS * rate.min(1));
        assert!(mean > 2 * 110 * MIB, "{} MiB/s", mean / MIB);
    }

    #[test]
    fn who_comes_after_a_while_begins_anew() {
        let mut world = World::new(10 * MIB);
        world.seconds(50, |_, _| MS);
        assert!(world.governor.rate() > Some(4 * FIRST));
        world.peers = 0;
        world.seconds(1, |_, _| MS);
        assert_eq!(world.governor.rate(), Some(FIRST));
    }

    #[test]
    fn what_is_not_told_apart_waits_for_the_same() {
        let mut governor = Governor::new(Time(0));
        let groups = 2 * GROUPS_MAX as u64;
        for at in 1..=groups {
            governor.sealed(LogIndex(at), 3, Time(at));
        }
        assert_eq!(governor.groups.len(), GROUPS_MAX);
        governor.committed(LogIndex(groups - 1), Time(9));
        assert_eq!(governor.window.waits.total(), 3 * (GROUPS_MAX as u64 - 1));
        governor.committed(LogIndex(groups), Time(9));
        assert_eq!(governor.window.waits.total(), 3 * groups);
        governor.sealed(LogIndex(groups + 1), 1, Time(9));
        governor.step_down();
        governor.committed(LogIndex(groups + 1), Time(9));
        assert_eq!(governor.window.waits.total(), 3 * groups);
    }
}
