//! What a record holds.

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Chunks of events.
    Events,
    /// Nothing: a leader's first record of its term (Raft §8).
    Noop,
    /// Commands.
    Commands,
    /// The members of the group.
    Members,
}

impl RecordKind {
    pub(super) const fn to_byte(self) -> u8 {
        match self {
            Self::Events => 1,
            Self::Noop => 2,
            Self::Commands => 3,
            Self::Members => 4,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Events),
            2 => Some(Self::Noop),
            3 => Some(Self::Commands),
            4 => Some(Self::Members),
            _ => None,
        }
    }
}
