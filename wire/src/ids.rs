//! Names for everything that can be counted. Two integers of one type never sit side by side in a signature.

use core::fmt;

macro_rules! counted {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counted!(
    /// A node of the cluster: 1 and up. Zero means "none" in formats only; code uses `Option`.
    NodeId(u32)
);
counted!(
    /// A Raft group: one replicated log and its state.
    GroupId(u32)
);
counted!(
    /// A Raft term (Raft §5.1): at most one leader each. Zero is before the first election.
    Term(u64)
);
counted!(
    /// Position of a record in the Raft log: 1 and up. Zero is before the first record.
    LogIndex(u64)
);
counted!(
    /// Position of an event in its group: 0 and up, without gaps.
    Offset(u64)
);
counted!(
    /// Who produced a chunk: chosen by the producer at random, once.
    ProducerId(u64)
);
impl ProducerId {
    /// No producer: a chunk under this name has no sequences, and an id for each event.
    pub const NONE: Self = Self(0);
}

counted!(
    /// Incarnation of a producer: a higher one fences the lower ones.
    Epoch(u32)
);
counted!(
    /// Position of an event in its producer's stream of one epoch: 0 and up, without gaps.
    Sequence(u64)
);
counted!(
    /// A member of a consumer group: drawn at random by the client, once.
    MemberId(u64)
);
counted!(
    /// Of a consumer group: rises with each change of its members. Commits of an earlier one count for nothing.
    Generation(u64)
);
counted!(
    /// A replication session: the leader's name for one unbroken conversation with one peer. An answer that carries another
    /// session counts for nothing.
    SessionId(u64)
);

counted!(
    /// A moment on a node's monotonic clock, in nanoseconds since an arbitrary start. It never goes back.
    Time(u64)
);

impl Time {
    /// The moment `nanoseconds` later; stops at the end of time.
    #[must_use]
    pub const fn after(self, nanoseconds: u64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }

    /// Nanoseconds from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl LogIndex {
    /// The index after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index `count` records further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Offset {
    /// The offset `count` events further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl Sequence {
    /// The sequence `count` events further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// The end of a log, or a place in it: Raft compares logs by term first, then by index (Raft §5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Term of the record. Declared first: the derived order is Raft's.
    pub term: Term,
    /// Index of the record.
    pub index: LogIndex,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.term)
    }
}

/// A cluster's name: 1 to 16 printable ASCII characters, padded with zeros, so that it can be read in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterName([u8; ClusterName::BYTES]);

impl ClusterName {
    /// Bytes that a name takes in a format.
    pub const BYTES: usize = 16;

    /// The name for a text, or `None` if it is empty, too long, or has a character outside `!`..=`~`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let fits = !bytes.is_empty()
            && bytes.len() <= Self::BYTES
            && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| {
            let mut name = [0; Self::BYTES];
            for (to, from) in name.iter_mut().zip(bytes) {
                *to = *from;
            }
            Self(name)
        })
    }

    /// The name in its format, or `None` if the bytes are not one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let length = bytes
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(Self::BYTES);
        let (text, padding) = bytes.split_at(length);
        let zeros = padding.iter().all(|&byte| byte == 0);
        zeros
            .then_some(())
            .and_then(|()| Self::new(core::str::from_utf8(text).ok()?))
    }

    /// The name as formats carry it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take_while(|&&byte| byte != 0)
            .try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

/// Identity of a data directory, drawn at random when it is formatted: a wiped disk under an old node id is another disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DiskId(pub [u8; 16]);

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::{ClusterName, LogIndex, Position, Term};

    #[test]
    fn a_cluster_name_is_one_to_sixteen_visible_characters() {
        for text in ["a", "flights", "0123456789abcdef", "!~"] {
            let name = ClusterName::new(text).expect("it is a name");
            assert_eq!(name.to_string(), text);
            assert_eq!(ClusterName::from_bytes(name.to_bytes()), Some(name));
        }
        for text in ["", "0123456789abcdefg", "two words", "tab\t", "é", "nul\0"] {
            assert_eq!(ClusterName::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_cluster_name_has_one_form() {
        assert_eq!(ClusterName::from_bytes([0; 16]), None);
        assert_eq!(
            ClusterName::from_bytes(*b"a\0b\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            None
        );
        assert_eq!(ClusterName::from_bytes([0xff; 16]), None);
    }

    #[test]
    fn a_later_term_beats_a_longer_log() {
        let position = |term, index| Position {
            term: Term(term),
            index: LogIndex(index),
        };
        assert!(position(2, 1) > position(1, 9));
        assert!(position(2, 2) > position(2, 1));
    }
}
