//! What a consumer asks and is told.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{FrameError, Offset};

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the event with this offset.
    Offset(Offset),
    /// At the first record whose log time is this one or later; at the end, while there is none.
    Time(u64),
    /// At the end of what is committed.
    Tail,
    /// At the first offset that the node has.
    Start,
}

/// How fresh what is read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As the node knows it; another node may know more.
    #[default]
    Any,
    /// The node knows everything before this offset to be committed: whoever was told an offset reads what was there.
    AtLeast(Offset),
    /// Everything that was acknowledged before the read was asked.
    Linearizable,
}

/// "Give me records", or "push them to me". The tail is a filter of `filter_clauses` clauses.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Fetch {
    /// The offset or the log time that `from` means; else zero.
    pub position: U64,
    /// The offset that `consistency` means; else zero.
    pub at_least: U64,
    /// Most bytes of records; at least one record comes if there is one. Of a subscription, its first credit.
    pub bytes_max: U32,
    /// How long to wait for a committed record, in milliseconds; then an empty answer.
    pub wait_ms: U32,
    /// [`ReadFrom`].
    pub from: u8,
    /// [`Consistency`].
    pub consistency: u8,
    /// how many clauses the filter has; zero: all events are wanted.
    pub filter_clauses: U16,
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<Fetch>() == 32);

impl Fetch {
    /// A request without a filter that is content with what the node knows, and does not wait.
    #[must_use]
    pub fn new(from: ReadFrom, bytes_max: u32) -> Self {
        let (from, position) = match from {
            ReadFrom::Offset(offset) => (0, offset.0),
            ReadFrom::Time(time) => (1, time),
            ReadFrom::Tail => (2, 0),
            ReadFrom::Start => (3, 0),
        };
        Self {
            position: U64::new(position),
            at_least: U64::new(0),
            bytes_max: U32::new(bytes_max),
            wait_ms: U32::new(0),
            from,
            consistency: 0,
            filter_clauses: U16::new(0),
            reserved: U32::new(0),
        }
    }

    /// The same, as fresh as this.
    #[must_use]
    pub fn with(self, consistency: Consistency) -> Self {
        let (consistency, at_least) = match consistency {
            Consistency::Any => (0, 0),
            Consistency::AtLeast(offset) => (1, offset.0),
            Consistency::Linearizable => (2, 0),
        };
        Self {
            at_least: U64::new(at_least),
            consistency,
            ..self
        }
    }

    /// Where it begins.
    ///
    /// # Errors
    /// Its number is unknown.
    pub const fn from(&self) -> Result<ReadFrom, FrameError> {
        match self.from {
            0 => Ok(ReadFrom::Offset(Offset(self.position.get()))),
            1 => Ok(ReadFrom::Time(self.position.get())),
            2 => Ok(ReadFrom::Tail),
            3 => Ok(ReadFrom::Start),
            _ => Err(FrameError::Invalid {
                what: "a read begins at an offset, a time, the tail or the start",
            }),
        }
    }

    /// How fresh it must be.
    ///
    /// # Errors
    /// Its number is unknown.
    pub const fn consistency(&self) -> Result<Consistency, FrameError> {
        match self.consistency {
            0 => Ok(Consistency::Any),
            1 => Ok(Consistency::AtLeast(Offset(self.at_least.get()))),
            2 => Ok(Consistency::Linearizable),
            _ => Err(FrameError::Invalid {
                what: "a read is of any age, of at least an offset, or linearizable",
            }),
        }
    }
}

/// The answer to [`Fetch`], and what is pushed to a subscription: whole committed records in the tail, in order. The first may begin
/// before `begin`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct FetchReply {
    /// Offset after the last committed event that this node knows.
    pub committed: U64,
    /// The first offset that this node still has.
    pub start: U64,
    /// Where the read began: the asked offset, or the one that the asked time, tail or start came to.
    pub begin: U64,
    /// Where to read on: everything between `begin` and this offset that was wanted is in the tail.
    pub next: U64,
}

/// So many further bytes may be pushed to a subscription.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Credit {
    /// How many.
    pub bytes: U32,
    /// Zero.
    pub reserved: U32,
}

/// A subscription is over, as asked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Unsubscribed {
    /// Where to read on: everything before that was wanted has been pushed. Zero if it had not begun.
    pub next: U64,
}

#[cfg(test)]
mod tests {
    use super::{Consistency, Fetch, ReadFrom};
    use crate::Offset;

    #[test]
    fn a_fetch_says_where_and_how_fresh() {
        let at = Offset(7);
        for from in [
            ReadFrom::Offset(at),
            ReadFrom::Time(7),
            ReadFrom::Tail,
            ReadFrom::Start,
        ] {
            for consistency in [
                Consistency::Any,
                Consistency::AtLeast(at),
                Consistency::Linearizable,
            ] {
                let fetch = Fetch::new(from, 9).with(consistency);
                assert_eq!(fetch.from(), Ok(from));
                assert_eq!(fetch.consistency(), Ok(consistency));
            }
        }
    }

    #[test]
    fn unknown_numbers_are_refused() {
        let fetch = Fetch::new(ReadFrom::Tail, 9);
        assert!(Fetch { from: 4, ..fetch }.from().is_err());
        let fetch = Fetch {
            consistency: 3,
            ..fetch
        };
        assert!(fetch.consistency().is_err());
    }
}
