//! A connection and what was read of it.
//!
//! Owns: the bytes that were read and not yet taken. Never: knows what they mean, or waits. Called by: the transports and the status
//! question.

use std::io;

use crate::LinkCause;

/// A TCP socket that never blocks. After a failure it is only good for being dropped.
pub(crate) trait Socket: Sized {
    /// Begins to connect.
    fn dial(address: &str) -> Result<Self, LinkCause>;

    /// Whether the connection has come about. To be asked after a wait.
    fn established(&mut self) -> Result<bool, LinkCause>;

    /// Writes what the socket takes; 0 if it takes nothing now.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkCause>;

    /// Reads what has come, as far as `room` takes it; 0 if nothing has.
    fn read(&mut self, room: &mut [u8]) -> Result<usize, LinkCause>;
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) socket: S,
    /// Read bytes lie in `input[..filled]`. Its length never changes.
    input: Vec<u8>,
    filled: usize,
}

impl<S: Socket> Connection<S> {
    /// Over this socket. `input` is the buffer for what is read; it must hold the largest frame expected.
    pub(crate) fn new(socket: S, input: Vec<u8>) -> Self {
        Self {
            socket,
            input,
            filled: 0,
        }
    }

    /// Reads what has come, as far as the buffer takes it, and returns whether that was anything.
    pub(crate) fn read(&mut self) -> Result<bool, LinkCause> {
        let room = self.input.get_mut(self.filled..).unwrap_or_default();
        assert!(
            !room.is_empty(),
            "the buffer holds the largest frame, and whole frames are taken from it"
        );
        let bytes = self.socket.read(room)?;
        self.filled += bytes;
        Ok(bytes > 0)
    }

    /// Whether the last read filled the buffer: there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.input.len()
    }

    /// What was read and not yet taken.
    pub(crate) fn input(&self) -> &[u8] {
        self.input.get(..self.filled).unwrap_or_default()
    }

    /// So many bytes of [`Self::input`] are done with.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.input.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    /// Gives the buffer back, for the next connection.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.input
    }
}

/// Whether an error only says: not now.
pub(crate) fn passing(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}
