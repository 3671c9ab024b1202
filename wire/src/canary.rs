//! Known bugs that can be switched on in a build made for it, to show that the tests would find them.
//!
//! Each has been shipped by somebody; `docs/traps.md` tells which. In every other build [`on`] is a constant, and the hooks are
//! not there. Called by: the code that could have the bug, and the tests that look for it.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Canary {
    /// A follower acknowledges records that its disk does not have yet (TRAPS 1).
    AckBeforeDurable = 1,
    /// A follower acknowledges all that it has, not what the leader's appends covered (TRAPS 11).
    AckPastVerified,
    /// A vote is told before it is durable (TRAPS 2).
    VoteBeforeDurable,
    /// A vote is lost in a restart, so that the node votes twice in a term.
    VoteForgotten,
    /// A vote is given without a look at the candidate's log (TRAPS 16).
    VoteWithoutLogCheck,
    /// A node that may have lost acknowledged records votes and stands as if it were whole.
    UnsureVotes,
    /// A leader commits a record of an earlier term since a majority has it (TRAPS 9, Raft figure 8).
    PriorTermCounted,
    /// A commit needs one copy less than a majority (TRAPS 12).
    QuorumOffByOne,
    /// While the voters change, a majority of the new ones is enough (Raft §6).
    NewMajorityOnly,
    /// A follower calls committed what the leader does, whether its own records are the leader's or not (TRAPS 14).
    CommitPastVerified,
    /// An append cuts off what is behind it, also where nothing differs (TRAPS 10).
    TruncateWithoutConflict,
    /// A write that was on its way when its records became void counts for those that took the place (TRAPS 3).
    StaleCompletionCounted,
    /// What a peer acknowledged in an earlier session counts in this one (TRAPS 25).
    AckOutlivesSession,
    /// A leader serves before a record of its own term is committed (TRAPS 17).
    ServesTooEarly,
    /// A leader answers reads without a look whether it still leads (TRAPS 28).
    ReadWithoutRound,
    /// A leader holds its lease against a clock that was read before the request came, perhaps long before (TRAPS 28).
    LeaseOfLastTick,
    /// A follower whose leader's sockets were reset helps another to lead while the leader's lease runs.
    LeaseWithoutLoyalty,
    /// A leader goes on answering by its lease after it has told another to stand.
    LeaseOutlivesTransfer,
    /// A wiped disk under an old id is taken for the one that voted and acknowledged (TRAPS 26).
    WipedDiskVotes,
    /// A producer's retry is new to a leader that did not take the first one itself (TRAPS 29, 30).
    DedupForgotten,
    /// A producer is answered when its chunk is appended, not when it is committed (TRAPS 1).
    AnsweredAtAppend,
    /// A producer who wants its chunk on every voter's disk is told so when it is committed.
    AllAtCommit,
    /// Consumers are shown records that are not committed (TRAPS 27).
    UncommittedShown,
    /// A damaged end of the log is taken for a torn one (TRAPS 5).
    DamageIsTorn,
    /// What an earlier segment left in a file that is used again is taken for bytes of this one.
    PastTakenForPresent,
    /// What a crash left of a write is written over, not left alone: a durable byte is never rewritten.
    TornTailReused,
    /// A write that failed is taken for done (TRAPS 4).
    WriteErrorIgnored,
    /// A commit of a consumer group counts whatever its generation, and whoever owns the slots.
    GenerationUnfenced,
    /// A slot that goes to another member goes on where the reader of all slots is, not where it was committed itself.
    SlotSkipsAhead,
}

impl Canary {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::AckBeforeDurable,
        Self::AckPastVerified,
        Self::VoteBeforeDurable,
        Self::VoteForgotten,
        Self::VoteWithoutLogCheck,
        Self::UnsureVotes,
        Self::PriorTermCounted,
        Self::QuorumOffByOne,
        Self::NewMajorityOnly,
        Self::CommitPastVerified,
        Self::TruncateWithoutConflict,
        Self::StaleCompletionCounted,
        Self::AckOutlivesSession,
        Self::ServesTooEarly,
        Self::ReadWithoutRound,
        Self::LeaseOfLastTick,
        Self::LeaseWithoutLoyalty,
        Self::LeaseOutlivesTransfer,
        Self::WipedDiskVotes,
        Self::DedupForgotten,
        Self::AnsweredAtAppend,
        Self::AllAtCommit,
        Self::UncommittedShown,
        Self::DamageIsTorn,
        Self::PastTakenForPresent,
        Self::TornTailReused,
        Self::WriteErrorIgnored,
        Self::GenerationUnfenced,
        Self::SlotSkipsAhead,
    ];
}

#[cfg(feature = "canaries")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Canary;

    /// Zero, or the one that is on.
    static ON: AtomicU8 = AtomicU8::new(0);

    /// Whether a bug is switched on.
    #[must_use]
    pub fn on(canary: Canary) -> bool {
        ON.load(Ordering::Relaxed) == canary as u8
    }

    /// Switches a bug on for the whole process, and any other off.
    pub fn set(canary: Option<Canary>) {
        ON.store(canary.map_or(0, |canary| canary as u8), Ordering::Relaxed);
    }
}

#[cfg(feature = "canaries")]
pub use switch::{on, set};

/// Whether a bug is switched on: in this build, never.
#[cfg(not(feature = "canaries"))]
#[must_use]
pub const fn on(_: Canary) -> bool {
    false
}
