//! The one checksum of all formats: CRC-32 as in IEEE 802.3 (reflected polynomial 0xEDB88320), which is not CRC-32C.

/// CRC-32 (IEEE) of the parts, as if they lay side by side.
#[must_use]
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The key of a text: FNV-1a, 64 bits. Clients in every language derive the same key from the same text.
#[must_use]
pub fn key_of(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
