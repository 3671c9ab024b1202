//! Which appends to one peer left when: what an answer to one of them proves.
//!
//! An answer in the leader's term shows that the peer had not yet left that term when the append came, so nobody had been elected
//! in a later one by the peer's help when the append *left*. A majority of such answers proves that this node led at that moment.

use alloc::collections::VecDeque;

use quorate_wire::Time;

/// Appends that are remembered at a time. One that is not proves nothing, and costs a read no more than the wait for the next.
const ROUNDS_MAX: usize = 8;

/// An append that left.
#[derive(Clone, Copy, Debug)]
struct Sent {
    round: u64,
    /// How many reads had been asked when it left.
    reads: u64,
    /// When it left, or a little earlier.
    at: Time,
}

/// The appends of one conversation that wait for an answer, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Rounds {
    sent: VecDeque<Sent>,
    /// The most reads that a remembered append covers.
    covered: u64,
}

/// The latest moment at which a peer is known to have had no other leader.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Confirmed {
    /// How many reads had been asked by then.
    pub(crate) reads: u64,
    /// When that was; `None`: never.
    pub(crate) at: Option<Time>,
}

impl Rounds {
    /// Takes its memory at once: sending does not allocate.
    pub(crate) fn new() -> Self {
        Self {
            sent: VecDeque::with_capacity(ROUNDS_MAX),
            covered: 0,
        }
    }

    /// Whether a further append would prove something about the first `reads` reads that those on the way do not.
    pub(crate) fn wants(&self, reads: u64) -> bool {
        self.covered < reads && self.sent.len() < ROUNDS_MAX
    }

    /// An append left.
    pub(crate) fn push(&mut self, round: u64, reads: u64, at: Time) {
        let news = self
            .sent
            .back()
            .is_none_or(|last| last.reads < reads || last.at < at);
        if news && self.sent.len() < ROUNDS_MAX {
            self.sent.push_back(Sent { round, reads, at });
            self.covered = reads;
        }
    }

    /// The peer has answered `round`, and so all before it.
    pub(crate) fn answered(&mut self, round: u64, confirmed: &mut Confirmed) {
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.round <= round) {
            assert!(
                confirmed.reads <= sent.reads && confirmed.at <= Some(sent.at),
                "later appends prove more"
            );
            (confirmed.reads, confirmed.at) = (sent.reads, Some(sent.at));
        }
    }
}
