//! When to stand for election.

use quorate_wire::Time;

use crate::Config;
use crate::random::Random;

/// A hinted pre-vote starts within this time: long enough that two followers which see the same sockets reset rarely ask at
/// the same moment, short enough that a dead leader costs a blink.
const HINT_DELAY_MAX: u64 = 16_000_000;
/// A hinted pre-vote is repeated after this time at the earliest: the other followers see the sockets reset a little later,
/// and until then they stick to the dead leader.
const HINT_RETRY_MIN: u64 = 10_000_000;
/// And at the latest; drawn, so that two hinted followers do not repeat in step.
const HINT_RETRY_MAX: u64 = 20_000_000;

/// The election deadline: drawn once for each reset, never moved by a look at it. While a node leads it means nothing.
#[derive(Clone, Debug)]
pub(crate) struct ElectionTimer {
    random: Random,
    election_min: u64,
    election_max: u64,
    deadline: Time,
    /// Set while the deadline comes from a hint and not from silence; the hint is not believed beyond this moment.
    hint_ends: Option<Time>,
}

impl ElectionTimer {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let mut timer = Self {
            random: Random::new(config.seed, config.id),
            election_min: config.election_min,
            election_max: config.election_max,
            deadline: now,
            hint_ends: None,
        };
        timer.reset(now, 0);
        timer
    }

    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    /// Draws a full election timeout, longer by `slack`, and forgets a hint.
    pub(crate) fn reset(&mut self, now: Time, slack: u64) {
        let timeout = self.random.between(self.election_min, self.election_max);
        self.deadline = now.after(timeout.saturating_add(slack));
        self.hint_ends = None;
    }

    /// The leader's sockets were reset. When a process dies that happens at once, so there is no reason to wait for silence;
    /// when only the link broke, the others still stick to the leader and refuse, so asking early does no harm.
    pub(crate) fn hint(&mut self, now: Time) {
        self.deadline = now.after(self.random.between(0, HINT_DELAY_MAX));
        self.hint_ends = Some(now.after(self.election_min));
    }

    /// Whether a hint is believed.
    pub(crate) fn hinted(&self, now: Time) -> bool {
        self.hint_ends.is_some_and(|ends| now < ends)
    }

    /// A pre-vote starts. A hinted one is repeated soon, since refusals by nodes that still stick are expected, but for no
    /// longer than the hint is believed: after `election_min` of silence everybody has stopped sticking, or the leader lives.
    pub(crate) fn on_ask(&mut self, now: Time, slack: u64) {
        if self.hinted(now) {
            self.deadline = now.after(self.random.between(HINT_RETRY_MIN, HINT_RETRY_MAX));
        } else {
            self.reset(now, slack);
        }
    }

    /// This node has told another that it would vote for it. If both were hinted, both would campaign within the same few
    /// milliseconds and split the vote, so this one steps aside for a full timeout. A deadline that silence has drawn stays:
    /// a pre-vote has no side effects (TRAPS 20).
    pub(crate) fn on_pre_vote_granted(&mut self, now: Time, slack: u64) {
        if self.hint_ends.is_some() {
            self.reset(now, slack);
        }
    }
}
