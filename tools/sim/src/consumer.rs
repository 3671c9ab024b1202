//! A consumer of the world: the client library's cursor over wires. It reads from the start of the log to its end, over and over,
//! from any node, and shows the oracle what it got.

use std::time::Duration;

use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::Endpoint as _;
use quorate_client::{Batch, Clause, ClientError, Consistency, Filter, ReadFrom, Slot, Slots};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ErrorCode, Offset, Time};

use crate::history::{Freshness, Read, Reader};
use crate::options::Options;
use crate::oracle::{ConsumerOrder, Oracle, hold};
use crate::random::Random;
use crate::terminal::Terminal;
use crate::wires::Wires;

const MS: u64 = 1_000_000;

/// What a cursor of it reads.
#[derive(Debug)]
struct Wish {
    from: ReadFrom,
    filter: Filter,
    consistency: Consistency,
    push: bool,
}

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
    /// None until the cursor has got something, and while it has a filter.
    order: Option<ConsumerOrder>,
    wish: Wish,
    /// Up to here, it has looked through its filter.
    looked: Option<Offset>,
    /// The highest end that a node has told.
    committed: Offset,
    /// The log time of the last record that it got.
    time: u64,
    fetched: u64,
    unreadable: u64,
    /// Logs may lose their beginnings.
    retention: bool,
    /// What it wanted next is gone from the node that it asked.
    gone: bool,
}

impl Consumer {
    /// A consumer that has seen nothing.
    #[must_use]
    pub fn new(options: &Options, addresses: Vec<String>, number: usize) -> Self {
        let seed = options.seed;
        let mut random = Random::new(seed, &format!("consumer {number}"));
        let wish = Wish {
            from: ReadFrom::Offset(Offset(0)),
            filter: Filter::default(),
            consistency: Consistency::Any,
            push: random.one_in(2),
        };
        Self {
            cursor: cursor(&mut random, &addresses, &wish),
            wish,
            looked: None,
            committed: Offset(0),
            time: 0,
            number: u64::try_from(number).expect("a few"),
            addresses,
            cursors: 0,
            terminal: Terminal::default(),
            open: None,
            again: Time(0),
            order: None,
            fetched: 0,
            unreadable: 0,
            retention: options.snapshots.retain_bytes < u64::MAX,
            gone: false,
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
            let wait = match self.wish.from {
                // What the node knew when it looked for the time, it then says.
                ReadFrom::Time(_) if self.order.is_none() => 0,
                ReadFrom::Time(_) | ReadFrom::Offset(_) | ReadFrom::Tail | ReadFrom::Start => {
                    self.random.of(&[0, 1, 30, 300]) * MS
                }
            };
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
        if self.order.is_none() {
            self.begun(batch, oracle);
        }
        let order = self.order.get_or_insert(ConsumerOrder::new(batch.offset()));
        let filtered = !self.wish.filter.is_empty();
        let mut shown = Vec::new();
        for record in batch.records() {
            let header = record.header();
            let verdict = order.got(header, batch.committed(), filtered);
            hold("consumer order", verdict);
            oracle.fetched(&record);
            self.fetched += 1;
            self.time = header.log_time;
            let chunks = record.chunks();
            shown.extend(chunks.map(|(offset, chunk)| (offset, chunk.id())));
        }
        self.committed = self.committed.max(batch.committed());
        if filtered {
            let from = self.looked.unwrap_or(batch.offset());
            self.looked = Some(batch.next_offset());
            return oracle.filtered(batch, &self.wish.filter, from);
        }
        if self.wish.push && batch.is_empty() {
            return; // Nothing has come: no node has told anything.
        }
        oracle.read(Read {
            reader: self.reader(),
            freshness: match self.wish.consistency {
                // What is pushed was read before it is taken.
                Consistency::Linearizable if !self.wish.push => Freshness::Latest,
                Consistency::Linearizable | Consistency::Any | Consistency::AtLeast(_) => {
                    Freshness::Stale
                }
            },
            invoked: asked,
            answered: now,
            from: batch.offset(),
            shown,
            committed: batch.committed(),
        });
    }

    /// The first batch of a cursor: it begins where the cursor asked for.
    fn begun(&self, batch: &Batch, oracle: &mut Oracle) {
        let (begin, committed) = (batch.offset(), batch.committed());
        // What a filter left out was passed by, perhaps by a call that then failed.
        let passes = !self.wish.filter.is_empty();
        let right = match self.wish.from {
            ReadFrom::Offset(offset) => begin == offset || (begin > offset && passes),
            ReadFrom::Start => begin == Offset(0) || self.retention || passes,
            ReadFrom::Tail => begin <= committed,
            ReadFrom::Time(time) => {
                oracle.began(time, begin, committed);
                true
            }
        };
        let fresh = match self.wish.consistency {
            Consistency::AtLeast(offset) => committed >= offset,
            Consistency::Any | Consistency::Linearizable => true,
        };
        let why = || format!("{:?} began at {begin} of {committed}", self.wish);
        hold("reads begin as asked", right.then_some(()).ok_or_else(why));
        hold("at least", fresh.then_some(()).ok_or_else(why));
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
                    || (*code == ErrorCode::OffsetBeforeStart && self.retention)
            }
            ClientError::AcceptedLost { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Io { .. }
            | ClientError::Closed
            | ClientError::Protocol(_)
            | ClientError::Damaged(_)
            | ClientError::ChainBroken { .. }
            | ClientError::InvalidEvent(_) => false,
        };
        assert!(expected, "a fetch ends with {error}");
        self.gone = error.code() == Some(ErrorCode::OffsetBeforeStart);
        self.unreadable += u64::from(error.code() == Some(ErrorCode::RecordUnreadable));
    }

    /// Now and then another process goes on, with another node; or goes back, since old records come from the disk; or begins
    /// elsewhere and otherwise.
    fn go_elsewhere(&mut self, wires: &mut Wires, now: Time) {
        let offset = self.cursor.offset();
        let from = if core::mem::take(&mut self.gone) {
            ReadFrom::Start
        } else if offset.0 > 0 && self.random.one_in(24) {
            ReadFrom::Offset(Offset(self.random.between(0, offset.0 - 1)))
        } else if self.random.one_in(16) {
            ReadFrom::Offset(offset)
        } else if self.random.one_in(48) {
            let time = self.time.saturating_sub(self.random.scaled(1, 500 * MS));
            let time = time.saturating_add(self.random.between(0, 2));
            let time = ReadFrom::Time(time);
            // Where a log that goes begins by then, nobody knows beforehand.
            let time = if self.retention {
                ReadFrom::Start
            } else {
                time
            };
            self.random.of(&[ReadFrom::Tail, ReadFrom::Start, time])
        } else {
            return;
        };
        self.terminal.leave(wires, now);
        self.wish = Wish {
            from,
            filter: filter(&mut self.random),
            push: self.random.one_in(2),
            consistency: match self.random.below(3) {
                0 => Consistency::AtLeast(self.committed),
                1 => Consistency::Linearizable,
                _ => Consistency::Any,
            },
        };
        self.cursor = cursor(&mut self.random, &self.addresses, &self.wish);
        self.cursors += 1;
        self.order = None;
        self.looked = match from {
            ReadFrom::Offset(offset) => Some(offset),
            ReadFrom::Time(_) | ReadFrom::Tail | ReadFrom::Start => None,
        };
    }
}

/// Nothing in two of three cases, or the events of some keys.
fn filter(random: &mut Random) -> Filter {
    let mut slots = Slots::NONE;
    slots.insert(Slot::of(random.between(2, 9)));
    let last = random.between(2, 9);
    let clauses: &[Clause<'_>] = match random.below(9) {
        0 => &[Clause::Key(last)],
        1 => &[Clause::Keys { first: 0, last }, Clause::Topic(b"si")],
        2 => &[Clause::Slots(slots), Clause::Topic(b"sim")],
        _ => &[],
    };
    let sound = |filter: Filter, clause| filter.with(clause).expect("a clause within its limits");
    clauses.iter().fold(Filter::default(), sound)
}

fn cursor(random: &mut Random, addresses: &[String], wish: &Wish) -> Cursor {
    let mut nodes = addresses.to_vec();
    nodes.rotate_left(random.below(addresses.len()));
    nodes.truncate(1 + random.below(addresses.len()));
    let most = u64::try_from(RECORDS_BYTES_MAX).expect("it fits");
    Cursor::new(CursorConfig {
        nodes,
        cluster: None,
        from: wish.from,
        filter: wish.filter.clone(),
        push: wish.push,
        consistency: wish.consistency,
        bytes_max: u32::try_from(random.scaled(1, most)).expect("it fits"),
        check_chunks: true,
        stick: false,
        connect_timeout: Duration::from_millis(random.of(&[100, 1000])),
        request_timeout: Duration::from_millis(random.of(&[500, 2000])),
        patience: Duration::from_secs(5),
        seed: random.any(),
    })
}
