//! What a source calls its events that has no sequences.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;

const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// What a source calls an event: 16 bytes that it gives no other event, a UUID for example.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// Its length.
    pub const BYTES: usize = 16;

    /// The id of an event that its source calls by a text: FNV-1a, 128 bits, little-endian.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let hash = text.iter().fold(FNV_OFFSET, |hash, &byte| {
            (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME)
        });
        Self(hash.to_le_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::EventId;
    use std::string::ToString;

    #[test]
    fn the_id_of_a_text_is_its_hash() {
        // The published vectors are big-endian numbers.
        let hash = |text: &str| u128::from_le_bytes(EventId::of(text.as_bytes()).0);
        assert_eq!(hash(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(hash("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(EventId([0xab; 16]).to_string(), "ab".repeat(16));
    }
}
