//! Memory that the kernel may be handed.

/// What O_DIRECT wants of addresses, lengths and offsets.
pub(crate) const BLOCK: usize = 4_096;

/// Bytes on a block boundary, which stay where they are as long as this value lives, wherever it moves.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// One block longer than needed.
    memory: Box<[u8]>,
    /// Where the block boundary lies in it.
    skip: usize,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![0; len + BLOCK].into_boxed_slice();
        let skip = memory.as_ptr().align_offset(BLOCK);
        Self { memory, skip, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory
            .get(self.skip..self.skip + self.len)
            .unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory
            .get_mut(self.skip..self.skip + self.len)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Buffer};

    #[test]
    fn a_buffer_lies_on_a_block_wherever_it_moves() {
        let mut buffer = Buffer::new(100);
        buffer.bytes_mut()[99] = 7;
        let before = buffer.bytes().as_ptr();
        assert!(before.addr().is_multiple_of(BLOCK));
        let moved = Box::new(buffer);
        assert_eq!(moved.bytes().as_ptr(), before);
        assert_eq!((moved.bytes().len(), moved.bytes()[99]), (100, 7));
    }
}
