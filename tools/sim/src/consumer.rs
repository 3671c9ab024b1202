//! A consumer of the world: the client library's cursor over wires. It reads from the start of the log to its end, over and over,
//! from any node, and shows the oracle what it got.

use std::time::Duration;

use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::Endpoint as _;
use quorate_client::{Batch, ClientError};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ErrorCode, Offset, Time};

use crate::history::{Freshness, Read, Reader};
use crate::oracle::{ConsumerOrder, Oracle, hold};
use crate::random::Random;
use crate::terminal::Terminal;
use crate::wires::Wires;

const MS: u64 = 1_000_000;

/// A consumer of the world. See the module's description.
#[derive(Debug)]
pub struct Consumer {
    random: Random,
    number: u64,
    addresses: Vec<String>,
    cursor: Cursor,
    /// Which of its cursors that is.
    cursors: u64,
    terminal: Terminal,
    /// Since when a fetch is open.
    open: Option<Time>,
    /// When the next one begins.
    again: Time,
    order: ConsumerOrder,
    fetched: u64,
    unreadable: u64,
}

impl Consumer {
    /// A consumer that has seen nothing.
    #[must_use]
    pub fn new(seed: u64, addresses: Vec<String>, number: usize) -> Self {
        let mut random = Random::new(seed, &format!("consumer {number}"));
        Self {
            cursor: cursor(&mut random, &addresses, Offset(0)),
            number: u64::try_from(number).expect("a few"),
            addresses,
            cursors: 0,
            terminal: Terminal::default(),
            open: None,
            again: Time(0),
            order: ConsumerOrder::new(Offset(0)),
            fetched: 0,
            unreadable: 0,
            random,
        }
    }

    /// Records that it got.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Fetches that ended because a node could not read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// When it wants to act next, if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.open.is_some() {
            self.cursor.deadline()
        } else {
            Some(self.again)
        }
    }

    /// Fetches on.
    pub fn act(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let due = self.deadline().is_some_and(|due| due <= now)
            || self.terminal.is_due(&self.cursor, wires, now);
        if !due {
            return;
        }
        self.terminal.listen(&mut self.cursor, wires, now);
        self.end(now, wires, oracle);
        if self.open.is_none() && self.again <= now {
            let wait = self.random.of(&[0, 1, 30, 300]) * MS;
            self.cursor.fetch(wait, now);
            self.open = Some(now);
            // The answer may be there already; nothing else would wake the consumer then.
            self.terminal.listen(&mut self.cursor, wires, now);
            self.end(now, wires, oracle);
        }
        self.terminal.speak(&mut self.cursor, wires, now);
    }

    /// The fetch has ended, if it has.
    fn end(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let Some(end) = self.cursor.take() else {
            return;
        };
        let asked = self.open.take().expect("a fetch is open until it ends");
        // Some come back at once, and some have other things to do.
        let pause = self.random.of(&[0, 2, 100]) * MS;
        self.again = now.after(self.random.between(0, pause));
        match end {
            Ok(batch) => self.got(&batch, (asked, now), oracle),
            Err(error) => self.failed(&error),
        }
        self.go_elsewhere(wires, now);
    }

    fn got(&mut self, batch: &Batch, (asked, now): (Time, Time), oracle: &mut Oracle) {
        let mut shown = Vec::new();
        for record in batch.records() {
            let verdict = self.order.got(record.header(), batch.committed());
            hold("consumer order", verdict);
            oracle.fetched(&record);
            self.fetched += 1;
            let chunks = record.chunks();
            shown.extend(chunks.map(|(offset, chunk)| (offset, chunk.id())));
        }
        oracle.read(Read {
            reader: self.reader(),
            freshness: Freshness::Stale,
            invoked: asked,
            answered: now,
            from: batch.offset(),
            shown,
            committed: batch.committed(),
        });
    }

    fn reader(&self) -> Reader {
        let link = self.cursor.wish().map(|wish| wish.number);
        Reader::Cursor {
            consumer: self.number,
            cursor: self.cursors,
            node: self.cursor.node().expect("it has just answered"),
            connection: link.expect("it has just answered").0,
        }
    }

    fn failed(&mut self, error: &ClientError) {
        let expected = match error {
            ClientError::Unreachable { .. } => true,
            ClientError::Refused { code, .. } => {
                // A cursor that is new does not know which nodes are behind.
                *code == ErrorCode::OffsetPastEnd
            }
            ClientError::AcceptedLost { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Io { .. }
            | ClientError::Closed
            | ClientError::Protocol(_)
            | ClientError::Damaged(_)
            | ClientError::InvalidEvent(_) => false,
        };
        assert!(expected, "a fetch ends with {error}");
        self.unreadable += u64::from(error.code() == Some(ErrorCode::RecordUnreadable));
    }

    /// Now and then another process goes on, with another node; or goes back, since old records come from the disk.
    fn go_elsewhere(&mut self, wires: &mut Wires, now: Time) {
        let offset = self.cursor.offset();
        let offset = if offset.0 > 0 && self.random.one_in(24) {
            Offset(self.random.between(0, offset.0 - 1))
        } else if self.random.one_in(16) {
            offset
        } else {
            return;
        };
        self.terminal.leave(wires, now);
        self.cursor = cursor(&mut self.random, &self.addresses, offset);
        self.cursors += 1;
        self.order = ConsumerOrder::new(offset);
    }
}

fn cursor(random: &mut Random, addresses: &[String], offset: Offset) -> Cursor {
    let mut nodes = addresses.to_vec();
    nodes.rotate_left(random.below(addresses.len()));
    nodes.truncate(1 + random.below(addresses.len()));
    let most = u64::try_from(RECORDS_BYTES_MAX).expect("it fits");
    Cursor::new(CursorConfig {
        nodes,
        cluster: None,
        offset,
        bytes_max: u32::try_from(random.scaled(1, most)).expect("it fits"),
        check_chunks: true,
        stick: false,
        connect_timeout: Duration::from_millis(random.of(&[100, 1000])),
        request_timeout: Duration::from_millis(random.of(&[500, 2000])),
        patience: Duration::from_secs(5),
        seed: random.any(),
    })
}
