//! What an endpoint has to say on its present connection.
//!
//! Called by: the session, the cursor and the caller.

/// Bytes for a connection, and how many of them it has taken.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Invariant: `written <= bytes.len()`.
    written: usize,
}

impl Outbox {
    /// What is said next goes behind these.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many there are, with those that were taken and are still here.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Another connection begins.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// Forgets all of it if it is taken. Says whether it was.
    pub(crate) fn shed(&mut self) -> bool {
        let taken = self.written == self.bytes.len();
        if taken {
            self.clear();
        }
        taken
    }

    /// What the connection has not taken.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// The connection has taken so many more.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        assert!(
            self.written <= self.bytes.len(),
            "only what was given out can be written"
        );
    }
}
