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

/// The checksum of bytes that come one after another.
#[derive(Clone, Debug, Default)]
pub struct Crc32(crc32fast::Hasher);

impl Crc32 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all that was added so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}

/// The key of a text: FNV-1a, 64 bits. Clients in every language derive the same key from the same text.
#[must_use]
pub fn key_of(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{Crc32, crc32, key_of};

    #[test]
    fn crc32_is_the_one_of_ieee_802_3() {
        assert_eq!(crc32(&[]), 0);
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
        let mut whole = Crc32::default();
        for part in [b"1234".as_slice(), b"", b"56789"] {
            whole.update(part);
        }
        assert_eq!(whole.value(), 0xcbf4_3926);
    }

    #[test]
    fn keys_are_fnv_1a() {
        assert_eq!(key_of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(key_of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(key_of(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
