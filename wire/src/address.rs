//! Where something listens: `host:port` as text, in a field of fixed length.

use core::fmt;

use crate::limits::ADDRESS_BYTES_MAX;

/// An address as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address {
    bytes: [u8; ADDRESS_BYTES_MAX],
    len: u8,
}

impl Address {
    /// An address, or `None` if the text is too long for one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self { bytes, len })
    }

    /// The address in a field; `None` if what is there is none.
    #[must_use]
    pub fn from_field(bytes: [u8; ADDRESS_BYTES_MAX], len: u8) -> Option<Self> {
        let (text, padding) = bytes.split_at_checked(usize::from(len))?;
        let sound = core::str::from_utf8(text).is_ok() && padding.iter().all(|&byte| byte == 0);
        sound.then_some(Self { bytes, len })
    }

    /// As a field, padded with zeros, and its length.
    #[must_use]
    pub const fn to_field(self) -> ([u8; ADDRESS_BYTES_MAX], u8) {
        (self.bytes, self.len)
    }

    /// As text.
    ///
    /// # Panics
    /// Never: it was made from text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(text).expect("it was made from text")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_comes_back_from_its_field() {
        for text in ["", "127.0.0.1:9001", "é.example:1", &"x".repeat(56)] {
            let address = Address::new(text).expect("it fits");
            let (bytes, len) = address.to_field();
            let read = Address::from_field(bytes, len).expect("it is sound");
            assert_eq!((read, read.as_str()), (address, text));
        }
        assert_eq!(Address::new(&"x".repeat(57)), None);
    }

    #[test]
    fn a_field_that_holds_something_else_is_refused() {
        let (bytes, len) = Address::new("é:1").expect("it fits").to_field();
        for wrong in [1, 3, 57] {
            assert_eq!(Address::from_field(bytes, wrong), None, "{wrong} of {len}");
        }
    }
}
