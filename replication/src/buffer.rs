//! Aligned memory: what is written to a disk directly must begin and end on a block.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut, Range};
use core::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Bytes of a block: the grain of everything written to a disk.
pub const BLOCK_BYTES: usize = 4096;

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// Tells the buffers of a process apart, those too that lay at the same address one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferName(u64);

/// Whole blocks of memory, aligned to a block. They stay where they are as long as it lives.
pub struct Buffer {
    name: BufferName,
    blocks: Vec<Block>,
}

impl Buffer {
    /// A buffer of zeros; `bytes` is rounded up to whole blocks.
    #[must_use]
    pub fn zeroed(bytes: usize) -> Self {
        let blocks = bytes.div_ceil(BLOCK_BYTES);
        // `new_vec_zeroed` asks the allocator for zeroed pages, so that untouched ones cost no memory.
        let blocks =
            Block::new_vec_zeroed(blocks).unwrap_or_else(|_| vec![Block([0; BLOCK_BYTES]); blocks]);
        static NAMES: AtomicU64 = AtomicU64::new(0);
        Self {
            name: BufferName(NAMES.fetch_add(1, Ordering::Relaxed)),
            blocks,
        }
    }

    /// Its name, which no other one has or gets.
    #[must_use]
    pub const fn name(&self) -> BufferName {
        self.name
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.blocks.as_bytes()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.blocks.as_mut_slice().as_mut_bytes()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len())
    }
}

/// A range of a shared buffer. Whoever hands bytes to the kernel keeps one until the kernel is done with them.
#[derive(Clone)]
pub struct Slice {
    buffer: Arc<Buffer>,
    range: Range<usize>,
}

impl Slice {
    /// A range of a buffer.
    ///
    /// # Panics
    /// The range is not inside the buffer.
    #[must_use]
    pub fn new(buffer: Arc<Buffer>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= buffer.len(),
            "a slice lies inside its buffer"
        );
        Self { buffer, range }
    }

    /// The buffer that it is a range of.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// A part of it, counted from its start.
    ///
    /// # Panics
    /// The part is not inside it.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(
            range.end <= self.range.len(),
            "a part lies inside its slice"
        );
        let start = self.range.start;
        Self::new(
            Arc::clone(&self.buffer),
            start + range.start..start + range.end,
        )
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({}..{})", self.range.start, self.range.end)
    }
}
