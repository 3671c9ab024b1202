//! What a producer asks and is told: the level of the acknowledgement, and how long each stage took.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckLevel {
    /// The leader has it in memory. It is lost if the leader is, and another event may get its offset then.
    Accepted,
    /// A majority of the voters' disks has it: it is never lost.
    #[default]
    Quorum,
    /// The disk of every voter has it.
    All,
}

impl AckLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Quorum, Self::All];

    /// Its byte in a message.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Quorum => 0,
            Self::All => 1,
            Self::Accepted => 2,
        }
    }

    /// The level of a byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Quorum),
            1 => Some(Self::All),
            2 => Some(Self::Accepted),
            _ => None,
        }
    }

    /// Its word in flags, reports and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Quorum => "quorum",
            Self::All => "all",
        }
    }
}

impl core::fmt::Display for AckLevel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// "Append the chunk in the tail."
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Produce {
    /// When to answer: [`AckLevel`].
    pub acks: u8,
    /// Bits: [`Produce::TRACE`].
    pub flags: u8,
    /// Who is shed first when the node has much to do: lower goes first.
    pub priority: u8,
    /// Zero.
    pub reserved: u8,
    /// For [`AckLevel::All`]: how long to wait for the last disks, in milliseconds.
    pub timeout_ms: U32,
}
const _: () = assert!(size_of::<Produce>() == 8);

impl Produce {
    /// Flag: answer with a [`TracedReply`].
    pub const TRACE: u8 = 1;
}

/// The answer to a produced chunk, or to a [run](crate::limits::RUN_CHUNKS_MAX) of them, if the client has said
/// [`Hello::MERGED`](super::Hello::MERGED): then its correlation is that of the last one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ProduceReply {
    /// Offset of the first event of all that is answered; of the first time, if this was a retry.
    pub base_offset: U64,
    /// The term in which the node answered.
    pub term: U64,
    /// The level that is reached: [`AckLevel`].
    pub level: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// So many requests before it are answered too, those with the correlations right below. Their chunks lie side by side.
    pub before: U32,
}

/// The answer to a produced chunk whose stages were asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct TracedReply {
    /// What the usual answer says.
    pub reply: ProduceReply,
    /// How long each stage took.
    pub stages: StageTimes,
    /// Zero.
    pub reserved_too: U32,
}
const _: () = assert!(size_of::<TracedReply>() == 56);

/// A part of a chunk's way through the leader. Gate, lane, batch, commit and reply follow one another; the two writes run side by
/// side within commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// In the shard, from the read that brought it to the lane.
    Gate,
    /// In the lane, until the pipeline takes it.
    Lane,
    /// In the open group, until that is sealed, and with it sent and handed to the log.
    Batch,
    /// From the seal until the leader's own disk has it.
    OwnWrite,
    /// From the seal until so many followers' disks have it that one copy more makes a majority.
    FollowerWrite,
    /// From the seal until the answer may be given.
    Commit,
    /// Back through the lane, until the shard writes the answer.
    Reply,
}

impl Stage {
    /// All stages, in their order.
    pub const ALL: [Self; 7] = [
        Self::Gate,
        Self::Lane,
        Self::Batch,
        Self::OwnWrite,
        Self::FollowerWrite,
        Self::Commit,
        Self::Reply,
    ];

    /// Its word in reports and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Lane => "lane",
            Self::Batch => "batch",
            Self::OwnWrite => "own_write",
            Self::FollowerWrite => "follower_write",
            Self::Commit => "commit",
            Self::Reply => "reply",
        }
    }
}

/// How long each stage took, in nanoseconds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct StageTimes {
    gate: U32,
    lane: U32,
    batch: U32,
    own_write: U32,
    follower_write: U32,
    commit: U32,
    reply: U32,
}

impl StageTimes {
    /// No stage is known to be over.
    pub const NONE: Self = {
        let none = U32::from_bytes([0xff; 4]);
        Self {
            gate: none,
            lane: none,
            batch: none,
            own_write: none,
            follower_write: none,
            commit: none,
            reply: none,
        }
    };

    /// The longest time that is told apart; longer ones count as this one.
    const LONGEST: u32 = u32::MAX - 1;

    const fn field(&mut self, stage: Stage) -> &mut U32 {
        match stage {
            Stage::Gate => &mut self.gate,
            Stage::Lane => &mut self.lane,
            Stage::Batch => &mut self.batch,
            Stage::OwnWrite => &mut self.own_write,
            Stage::FollowerWrite => &mut self.follower_write,
            Stage::Commit => &mut self.commit,
            Stage::Reply => &mut self.reply,
        }
    }

    /// A stage took so many nanoseconds.
    pub fn set(&mut self, stage: Stage, nanoseconds: u64) {
        let time = u32::try_from(nanoseconds).unwrap_or(Self::LONGEST);
        self.field(stage).set(time.min(Self::LONGEST));
    }

    /// How many nanoseconds a stage took, if that was known when the answer was given.
    #[must_use]
    pub const fn get(mut self, stage: Stage) -> Option<u32> {
        let time = u32::from_le_bytes(self.field(stage).to_bytes());
        if time > Self::LONGEST {
            None
        } else {
            Some(time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AckLevel, Stage, StageTimes};

    #[test]
    fn a_level_has_its_own_byte_and_word() {
        for level in AckLevel::ALL {
            assert_eq!(AckLevel::from_byte(level.to_byte()), Some(level));
        }
        let known = (0..=u8::MAX).filter(|&byte| AckLevel::from_byte(byte).is_some());
        assert_eq!(known.count(), AckLevel::ALL.len());
    }

    #[test]
    fn a_stage_that_is_not_over_has_no_time() {
        let mut times = StageTimes::NONE;
        for (at, stage) in (1..).zip(Stage::ALL) {
            assert_eq!(times.get(stage), None);
            times.set(stage, at);
        }
        for (at, stage) in (1..).zip(Stage::ALL) {
            assert_eq!(times.get(stage), Some(at));
        }
        times.set(Stage::Reply, u64::MAX);
        assert_eq!(times.get(Stage::Reply), Some(u32::MAX - 1));
    }
}
