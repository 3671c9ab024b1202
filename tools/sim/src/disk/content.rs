//! A file's bytes.

use std::cell::RefCell;
use std::sync::Arc;

use super::SECTOR_BYTES;

/// Memory of segments that is kept for other ones: worlds come and go, and fresh memory is the dearest thing in a small one.
const SPARE_MAX: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A file's bytes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Content(pub(super) Arc<Memory>);

#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    /// Behind it, there are only zeros.
    pub(super) used: usize,
}

impl Memory {
    pub(super) fn zeroed(length: usize) -> Self {
        let spare = SPARE.with_borrow_mut(|spare| {
            let at = spare.iter().position(|bytes| bytes.len() == length)?;
            Some(spare.swap_remove(at))
        });
        Self {
            bytes: spare.unwrap_or_else(|| vec![0; length]),
            used: 0,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        // At the end of a thread there is no memory to keep any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX && bytes.len() > SECTOR_BYTES {
                let used = self.used.min(bytes.len());
                bytes.get_mut(..used).unwrap_or_default().fill(0);
                spare.push(bytes);
            }
        });
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let used = bytes.len();
        Self(Arc::new(Memory { bytes, used }))
    }
}
