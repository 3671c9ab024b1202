//! Editions: what a build can read and do, numbered, so that nodes of two builds can be one group.
//!
//! A node says in its greeting which edition its build has. A group uses one edition, which is part of the replicated state: it rises
//! when all members have a later one, and never falls. What came with an edition is not used before the group is there.

use core::fmt;

/// An edition: 1 and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edition(pub u8);

impl Edition {
    /// With which every group begins.
    pub const FIRST: Self = Self(1);

    /// Which deletes consumer groups, and keeps sums of segments.
    pub const SECOND: Self = Self(2);

    /// The latest one that this build has.
    pub const BUILD: Self = if cfg!(feature = "edition-2") {
        Self::SECOND
    } else {
        Self::FIRST
    };
}

impl Default for Edition {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
