//! Where received bytes lie until they are whole frames.
//!
//! ```text
//!  memory of the shard, 256 KiB, lent for one read
//!  | part kept from before | what this read brought      |  unused  |
//!  | frame | frame | frame | frame | frame | next part...|
//! ```
//!
//! A read brings many frames. Their chunks go to the pipeline as slices of this same memory, which comes back when the
//! pipeline has dropped them. Between two reads a connection keeps the part of a frame that it has, and nothing if it has
//! none: so a silent connection costs no memory. A frame too large for that gets memory of its own, is read straight into
//! it, and is alone in it.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::executor::Stream;

/// Bytes that one read can bring.
const READ_BYTES: usize = 256 << 10;

/// Bytes that one read can bring where frames are small.
const READ_BYTES_MIN: usize = 32 << 10;

/// About how many frames a read brings at most, but for its least bytes: while the shard opens the next ones, the pipeline and the
/// disk work on these, instead of waiting for all that a client has in flight.
const READ_FRAMES: usize = 256;

/// A frame above this length is read into memory of its own. Below it, a part in front leaves room for a good read.
const LARGE_FRAME_BYTES: usize = READ_BYTES / 2;

/// Lent memory that is kept for when the pipeline gives it back: 16 MiB.
const LENT_MAX: usize = 64;

/// A part's memory above this is given back when the part is gone.
const PART_BYTES_KEPT: usize = 4 << 10;

/// The memory that all connections of a shard read into, one after the other.
#[derive(Debug, Default)]
pub(super) struct ReadMemory {
    /// Nobody has a slice of it.
    free: Option<BytesMut>,
    /// The pipeline has slices of these, or had: oldest first.
    lent: VecDeque<Bytes>,
}

impl ReadMemory {
    fn take(&mut self) -> BytesMut {
        if let Some(free) = self.free.take() {
            return free;
        }
        // The pipeline answers in order, more or less: the oldest comes back first.
        if let Some(oldest) = self.lent.pop_front() {
            match oldest.try_into_mut() {
                Ok(memory) => return memory,
                Err(still_lent) => self.lent.push_front(still_lent),
            }
        }
        BytesMut::zeroed(READ_BYTES)
    }

    /// Takes a batch back. If it has chunks, of `chunk_bytes` together among its first `taken` bytes, those bytes are
    /// returned for slicing the chunks out of them.
    pub(super) fn put_back(
        &mut self,
        batch: Batch,
        taken: usize,
        chunk_bytes: usize,
    ) -> Option<Bytes> {
        let memory = batch.memory;
        if chunk_bytes == 0 {
            self.free_again(memory);
            return None;
        }
        if chunk_bytes < memory.len() / 4 {
            // A few chunks must not hold the memory of many: at most four times what they weigh.
            let copy = Bytes::copy_from_slice(&memory[..taken]);
            self.free_again(memory);
            return Some(copy);
        }
        let shared = memory.freeze();
        self.lend(shared.clone());
        Some(shared)
    }

    fn free_again(&mut self, memory: BytesMut) {
        if memory.len() == READ_BYTES {
            self.free = Some(memory);
        }
    }

    fn lend(&mut self, memory: Bytes) {
        if memory.len() != READ_BYTES {
            return;
        }
        if self.lent.len() == LENT_MAX {
            // Forgotten, not lost: it is freed with its last slice.
            self.lent.pop_front();
        }
        self.lent.push_back(memory);
    }
}

/// What a read brought, behind the part that was kept.
#[derive(Debug)]
pub(super) struct Batch {
    memory: BytesMut,
    end: usize,
    /// Whether there may be more at once: the socket filled all the room that it was given.
    pub(super) full: bool,
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.end]
    }
}

/// What a connection keeps between two reads.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Most bytes that the next read brings.
    most: usize,
    /// The first bytes of a frame.
    part: Vec<u8>,
    /// Memory for the one frame that is being read, as long as the frame, and how much of it is there.
    large: Option<(BytesMut, usize)>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            most: READ_BYTES,
            part: Vec::new(),
            large: None,
        }
    }
}

impl Inbox {
    /// The last read brought so many frames.
    pub(super) fn brought(&mut self, frames: usize, bytes: usize) {
        if let Some(of_each) = bytes.checked_div(frames) {
            self.most = (of_each * READ_FRAMES).clamp(READ_BYTES_MIN, READ_BYTES);
        }
    }

    /// Whether a frame has begun and not ended.
    pub(super) const fn is_partial(&self) -> bool {
        !self.part.is_empty() || self.large.is_some()
    }

    /// Reads once. `None` is the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &Stream,
        memory: &mut ReadMemory,
    ) -> Poll<io::Result<Option<Batch>>> {
        if let Some((mut large, at)) = self.large.take() {
            let read = stream.poll_read(cx, &mut large[at..]);
            return match read {
                Poll::Ready(Ok(0)) => Poll::Ready(Ok(None)),
                Poll::Ready(Ok(bytes)) => {
                    let end = at + bytes;
                    Poll::Ready(Ok(Some(Batch {
                        full: end == large.len(),
                        memory: large,
                        end,
                    })))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.large = Some((large, at));
                    Poll::Pending
                }
            };
        }
        let mut room = memory.take();
        let at = self.part.len();
        // A part in front leaves room for a good read.
        let most = (at + self.most).min(room.len());
        match stream.poll_read(cx, &mut room[at..most]) {
            Poll::Ready(Ok(bytes)) if bytes > 0 => {
                room[..at].copy_from_slice(&self.part);
                let end = at + bytes;
                Poll::Ready(Ok(Some(Batch {
                    full: end == most,
                    memory: room,
                    end,
                })))
            }
            other @ (Poll::Ready(_) | Poll::Pending) => {
                memory.free_again(room);
                other.map_ok(|_| None)
            }
        }
    }

    /// Keeps what follows the first `taken` bytes: the start of a frame of `needed` bytes. Gives the batch back, unless its
    /// memory is that frame's own.
    pub(super) fn keep(&mut self, batch: Batch, taken: usize, needed: usize) -> Option<Batch> {
        if taken == 0 && batch.memory.len() == needed {
            self.large = Some((batch.memory, batch.end));
            return None;
        }
        self.keep_part(&batch.bytes()[taken..], needed);
        Some(batch)
    }

    fn keep_part(&mut self, part: &[u8], needed: usize) {
        assert!(
            part.len() < needed,
            "a part is shorter than its frame: {} of {needed} bytes",
            part.len()
        );
        self.part.clear();
        if needed > LARGE_FRAME_BYTES {
            let mut memory = BytesMut::zeroed(needed);
            memory[..part.len()].copy_from_slice(part);
            self.large = Some((memory, part.len()));
        } else {
            self.part.extend_from_slice(part);
        }
        if self.part.is_empty() && self.part.capacity() > PART_BYTES_KEPT {
            self.part = Vec::new();
        }
    }

    /// Forgets what it has.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use bytes::BytesMut;

    use super::super::executor::{Executor, Stream};
    use super::{
        Batch, Inbox, LARGE_FRAME_BYTES, LENT_MAX, READ_BYTES, READ_BYTES_MIN, READ_FRAMES,
        ReadMemory,
    };

    fn batch(memory: &mut ReadMemory, bytes: &[u8]) -> Batch {
        let mut room = memory.take();
        room[..bytes.len()].copy_from_slice(bytes);
        Batch {
            memory: room,
            end: bytes.len(),
            full: false,
        }
    }

    #[test]
    fn a_part_is_kept_and_the_memory_goes_back() {
        let (mut memory, mut inbox) = (ReadMemory::default(), Inbox::default());
        let first = batch(&mut memory, b"wholepart");
        let at = first.memory.as_ptr();
        let first = inbox.keep(first, 5, 32).expect("the part is small");
        assert_eq!(memory.put_back(first, 5, 0), None);
        assert_eq!(inbox.part, b"part");
        assert!(inbox.is_partial());
        let second = batch(&mut memory, b"partrest");
        assert_eq!(second.memory.as_ptr(), at, "the same memory serves again");
        assert!(inbox.keep(second, 8, 32).is_some());
        assert!(!inbox.is_partial());
    }

    #[test]
    fn a_large_frame_gets_memory_of_its_own_at_once() {
        let (mut memory, mut inbox) = (ReadMemory::default(), Inbox::default());
        let first = batch(&mut memory, b"start");
        let needed = LARGE_FRAME_BYTES + 1;
        assert!(inbox.keep(first, 0, needed).is_some());
        let (large, at) = inbox.large.take().expect("it is large");
        assert_eq!((large.len(), at), (needed, 5));
        assert_eq!(&large[..5], b"start");
        // A read brought some of it, not all: it stays where it is.
        let pointer = large.as_ptr();
        let more = Batch {
            memory: large,
            end: 100,
            full: false,
        };
        assert!(inbox.keep(more, 0, needed).is_none());
        let (large, at) = inbox.large.take().expect("it is still large");
        assert_eq!((large.as_ptr(), at), (pointer, 100));
    }

    #[test]
    fn lent_memory_comes_back_when_its_slices_are_gone() {
        let mut memory = ReadMemory::default();
        let first = batch(&mut memory, b"chunk");
        let at = first.memory.as_ptr();
        let shared = memory
            .put_back(first, 5, READ_BYTES)
            .expect("it has chunks");
        let slice = shared.slice(1..3);
        drop(shared);
        let other = memory.take();
        assert_ne!(other.as_ptr(), at, "somebody has a slice of it");
        drop(slice);
        assert_eq!(memory.take().as_ptr(), at);
    }

    #[test]
    fn a_few_chunks_do_not_hold_the_memory_of_many() {
        let mut memory = ReadMemory::default();
        let first = batch(&mut memory, b"chunk");
        let shared = memory.put_back(first, 5, 5).expect("it has a chunk");
        assert_eq!(&shared[..], b"chunk");
        assert!(memory.free.is_some() && memory.lent.is_empty());
    }

    /// Two reads of what a client has sent, and whether each filled its room.
    fn two_reads(sent: &[u8], mut inbox: Inbox) -> Vec<(Vec<u8>, bool)> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut client = std::net::TcpStream::connect(address).expect("it listens");
        let (socket, _) = listener.accept().expect("somebody connects");
        client.write_all(sent).expect("it is connected");
        let executor = Executor::new().expect("it starts");
        executor.run(async move {
            let stream = Stream::new(socket).expect("it is connected");
            let mut memory = ReadMemory::default();
            let mut read = Vec::new();
            for _ in 0..2 {
                let batch = poll_fn(|cx| inbox.poll_read(cx, &stream, &mut memory)).await;
                let batch = batch.expect("it is connected").expect("it is not the end");
                read.push((batch.bytes().to_vec(), batch.full));
            }
            read
        })
    }

    #[test]
    fn a_read_that_fills_its_room_says_so() {
        let inbox = Inbox {
            large: Some((BytesMut::zeroed(6), 0)),
            ..Inbox::default()
        };
        let read = two_reads(b"123456789", inbox);
        assert_eq!(read, [(b"123456".to_vec(), true), (b"789".to_vec(), false)]);
    }

    #[test]
    fn small_frames_are_read_some_hundreds_at_a_time() {
        let mut inbox = Inbox::default();
        for (frames, bytes, most) in [
            (0, 0, READ_BYTES),
            (1, 100, READ_BYTES_MIN),
            (100, 100 * 500, 500 * READ_FRAMES),
            (0, 0, 500 * READ_FRAMES),
            (2, 100_000, READ_BYTES),
        ] {
            inbox.brought(frames, bytes);
            assert_eq!(inbox.most, most, "{frames} frames of {bytes} bytes");
        }
        inbox.brought(1, 100);
        let (mut sent, part) = (vec![7; READ_BYTES_MIN], b"part".to_vec());
        sent.extend(&part);
        let read = two_reads(&sent, inbox);
        assert_eq!(read, [(vec![7; READ_BYTES_MIN], true), (part, false)]);
    }

    #[test]
    fn what_is_kept_of_lent_memory_is_bounded() {
        let mut memory = ReadMemory::default();
        let held: Vec<_> = (0..2 * LENT_MAX)
            .map(|_| {
                let lent = BytesMut::zeroed(READ_BYTES).freeze();
                memory.lend(lent.clone());
                lent
            })
            .collect();
        assert_eq!(memory.lent.len(), LENT_MAX);
        drop(held);
    }
}
