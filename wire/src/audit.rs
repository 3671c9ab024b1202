//! Messages by which replicas are compared while they run.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// "What did your log amount to at this record?"
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Audit {
    /// The record's index; zero: the last applied one's.
    pub index: U64,
}

/// The answer to [`Audit`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AuditReply {
    /// The record that the answer is about.
    pub index: U64,
    /// The last record that this node has applied.
    pub applied: U64,
    /// Digest of the state at `index`; zero if it is not known.
    pub digest: U64,
    /// The record's `header_crc`, and with it all of the chain before it; zero if it is not known.
    pub header_crc: U32,
    /// 1 if the node knows what it says of `index`.
    pub known: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
const _: () = assert!(size_of::<AuditReply>() == 32);
