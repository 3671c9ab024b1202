//! One io_uring whose operations own their memory.
//!
//! **The safety argument.** All unsafe code of the crate is here: the push of an entry, which carries the address of a buffer. The
//! buffer lies on the heap and is owned by the operation's slot from before the push until its completion was reaped; moving it
//! moves a pointer, not the bytes. What the kernel writes to is owned alone; what it only reads may be shared. A ring that is
//! dropped with operations in flight leaks their buffers rather than free them under the kernel.
#![expect(
    unsafe_code,
    reason = "submission entries carry raw addresses; the one block says why they hold"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};

use crate::buffer::Buffer;

/// A buffer in the kernel's hands.
#[derive(Debug)]
enum Held {
    /// It may write to it.
    Alone(Buffer),
    /// It may only read it.
    Shared(#[expect(dead_code, reason = "it is held, and never looked at")] Arc<Buffer>),
}

/// An operation that is done.
#[derive(Debug)]
pub(crate) struct Done {
    /// Which one: the caller's number.
    pub(crate) slot: usize,
    /// Bytes moved.
    pub(crate) bytes: usize,
    /// The buffer that was received into.
    pub(crate) received: Option<Buffer>,
}

/// The ring. Each slot has at most one operation in flight.
pub(crate) struct Ring {
    ring: IoUring,
    slots: Vec<Option<Held>>,
}

impl Ring {
    pub(crate) fn new(slots: usize) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(64)?;
        Ok(Self {
            ring,
            slots: (0..slots).map(|_| None).collect(),
        })
    }

    pub(crate) fn is_free(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(Option::is_none)
    }

    /// Receives into `buffer[from..]`.
    pub(crate) fn receive(
        &mut self,
        slot: usize,
        socket: impl AsFd,
        mut buffer: Buffer,
        from: usize,
    ) -> io::Result<()> {
        let room = buffer.bytes_mut().get_mut(from..).unwrap_or_default();
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Recv::new(fd, room.as_mut_ptr(), length(room.len()));
        self.push(slot, entry.build(), Held::Alone(buffer))
    }

    /// Sends `buffer[from..to]`.
    pub(crate) fn send(
        &mut self,
        slot: usize,
        socket: impl AsFd,
        buffer: &Arc<Buffer>,
        (from, to): (usize, usize),
    ) -> io::Result<()> {
        let bytes = buffer.bytes().get(from..to).unwrap_or_default();
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Send::new(fd, bytes.as_ptr(), length(bytes.len()));
        let entry = entry.flags(libc::MSG_NOSIGNAL);
        self.push(slot, entry.build(), Held::Shared(Arc::clone(buffer)))
    }

    /// Writes `buffer[..to]` to the file, and to the disk under it.
    pub(crate) fn write(
        &mut self,
        slot: usize,
        file: impl AsFd,
        buffer: &Arc<Buffer>,
        to: usize,
        position: u64,
    ) -> io::Result<()> {
        let bytes = buffer.bytes().get(..to).unwrap_or_default();
        let fd = types::Fd(file.as_fd().as_raw_fd());
        let entry = opcode::Write::new(fd, bytes.as_ptr(), length(bytes.len()))
            .offset(position)
            .rw_flags(libc::RWF_DSYNC);
        self.push(slot, entry.build(), Held::Shared(Arc::clone(buffer)))
    }

    fn push(&mut self, slot: usize, entry: squeue::Entry, held: Held) -> io::Result<()> {
        let number = u64::try_from(slot).expect("a size fits into 64 bits");
        let place = self.slots.get_mut(slot).expect("callers know their slots");
        assert!(place.is_none(), "a slot has one operation at a time");
        *place = Some(held);
        let entry = entry.user_data(number);
        // SAFETY: the entry's address lies in the heap memory of `held`, within its bounds: each caller above took it from a slice of
        // that buffer. From here on the slot owns the buffer until the completion of this very entry is reaped in `wait`, and it
        // gives out nothing of it before; a dropped ring leaks it. The kernel writes only for `receive`, whose buffer is
        // owned alone. A descriptor that its owner closes too early fails the operation, and no memory.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| {
            io::Error::other("the submission queue has fewer places than there are slots")
        })
    }

    /// Submits what was pushed, waits for at least one completion, and returns all there are.
    pub(crate) fn wait(&mut self, done: &mut Vec<Done>) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        for entry in self.ring.completion() {
            let slot = usize::try_from(entry.user_data()).expect("it was a size");
            let held = self.slots.get_mut(slot).and_then(Option::take);
            let held = held.expect("a completion is of an operation in flight");
            let bytes = usize::try_from(entry.result())
                .map_err(|_| io::Error::from_raw_os_error(entry.result().saturating_neg()))?;
            done.push(Done {
                slot,
                bytes,
                received: match held {
                    Held::Alone(buffer) => Some(buffer),
                    Held::Shared(_) => None,
                },
            });
        }
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.slots.drain(..).for_each(std::mem::forget);
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("buffers have a few megabytes")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::Ring;
    use crate::buffer::{BLOCK, Buffer};

    #[test]
    fn bytes_go_in_and_out() {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets are to be had");
        let mut ring = Ring::new(3).expect("the kernel has io_uring");
        let mut hello = Buffer::new(8);
        hello.bytes_mut().copy_from_slice(b"xxhelloy");
        ring.send(0, &ours, &Arc::new(hello), (2, 7))
            .expect("the queue has room");
        let file = tempfile::tempfile().expect("there is a place for files");
        let mut block = Buffer::new(2 * BLOCK);
        block.bytes_mut().fill(7);
        ring.write(1, &file, &Arc::new(block), BLOCK, 0)
            .expect("the queue has room");
        ring.receive(2, &ours, Buffer::new(16), 4)
            .expect("the queue has room");
        assert!(!ring.is_free(2));
        theirs.write_all(b"you").expect("the socket is open");
        let mut done = Vec::new();
        while done.len() < 3 {
            ring.wait(&mut done).expect("nothing fails");
        }
        let mut said = [0; 5];
        theirs.read_exact(&mut said).expect("it was sent");
        assert_eq!(&said, b"hello");
        done.sort_by_key(|done| done.slot);
        let bytes: Vec<_> = done.iter().map(|done| done.bytes).collect();
        assert_eq!(bytes, [5, BLOCK, 3]);
        let received = done[2].received.as_ref().expect("it was received into");
        assert_eq!(&received.bytes()[4..7], b"you");
        assert!(ring.is_free(2));
    }
}
