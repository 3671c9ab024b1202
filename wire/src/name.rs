//! Names that clients choose: of cursors and of consumer groups.

use core::fmt;

use crate::limits::NAME_BYTES_MAX;

/// A name: 1 to 64 printable ASCII characters without spaces, padded with zeros. In order of their bytes, so of their texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; NAME_BYTES_MAX]);

impl Name {
    /// The name for a text, or `None` if it is empty, too long, or has a character outside `!`..=`~`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut name = [0; NAME_BYTES_MAX];
        name.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Self::from_bytes(name).filter(|name| name.as_str().len() == text.len())
    }

    /// The name in its format, or `None` if the bytes are not one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; NAME_BYTES_MAX]) -> Option<Self> {
        let length = bytes.iter().position(|&byte| byte == 0);
        let (text, padding) = bytes.split_at(length.unwrap_or(NAME_BYTES_MAX));
        let is_name = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
        (is_name && padding.iter().all(|&byte| byte == 0)).then_some(Self(bytes))
    }

    /// The name as formats carry it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; NAME_BYTES_MAX] {
        self.0
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).expect("a name is ASCII")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::Name;

    #[test]
    fn a_name_is_1_to_64_visible_characters() {
        let longest = "x".repeat(64);
        for text in ["a", "orders.eu-1", "!~", longest.as_str()] {
            let name = Name::new(text).expect("it is a name");
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
            assert_eq!(Name::from_bytes(name.to_bytes()), Some(name));
        }
        let long = "x".repeat(65);
        for text in ["", "two words", "tab\t", "é", "nul\0", long.as_str()] {
            assert_eq!(Name::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_has_one_form() {
        let mut bytes = [0; 64];
        assert_eq!(Name::from_bytes(bytes), None);
        (bytes[0], bytes[2]) = (b'a', b'b');
        assert_eq!(Name::from_bytes(bytes), None, "a zero inside");
    }

    #[test]
    fn names_are_ordered_as_texts() {
        let name = |text| Name::new(text).expect("it is a name");
        assert!(name("a") < name("aa") && name("aa") < name("b"));
    }
}
