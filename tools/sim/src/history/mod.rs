//! What clients saw: each append and each read with the moments between which it happened, and what it was told.
//!
//! Owns: the client-visible history of one group, and the proof that one log explains it ([`History::check`]). Never: looks into
//! a node. Called by: the oracle, as producers and consumers act, and tests.

mod check;
mod order;

use std::collections::BTreeMap;
use std::fmt;

use quorate_wire::{ChunkId, Epoch, NodeId, Offset, ProducerId, Sequence, Time};

/// Chunks that reads may have shown in all; further reads are not remembered. Less is proved then, and nothing that is false.
const SHOWN_MAX: usize = 1 << 20;

/// What a producer knows a chunk by.
type Name = (ProducerId, Epoch, Sequence);

const fn name(chunk: &ChunkId) -> Name {
    (chunk.producer, chunk.epoch, chunk.first)
}

/// A chunk that somebody wants to have in the log. The same chunk may be appended several times: those are retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Which one.
    pub chunk: ChunkId,
    /// It cannot have taken effect before.
    pub invoked: Time,
    /// When its producer heard that it has, and the offset of its first event. None if the outcome is not known.
    pub answered: Option<(Time, Offset)>,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A consumer, by its place in the log.
    Cursor {
        /// Whose: a consumer may go on with another place.
        consumer: u64,
        /// The successive reads of one cursor join on to each other.
        cursor: u64,
        /// Who answered, over a connection that has this number for this cursor.
        node: NodeId,
        /// See `node`.
        connection: u64,
    },
    /// Whoever looks at the log when the world has ended.
    Auditor,
}

/// Of which moment a read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Of any moment before its answer: the node may not know the newest.
    Stale,
    /// Of a moment between question and answer: it is linearizable.
    Latest,
}

/// A read that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who asked.
    pub reader: Reader,
    /// What it was promised.
    pub freshness: Freshness,
    /// When it was asked.
    pub invoked: Time,
    /// When the answer was there.
    pub answered: Time,
    /// The offset that was asked for.
    pub from: Offset,
    /// Whole chunks, each with the offset of its first event.
    pub shown: Vec<(Offset, ChunkId)>,
    /// Where the log ended, as the answer says.
    pub committed: Offset,
}

impl Read {
    /// The offset after the last event that it got.
    pub(crate) fn end(&self) -> Offset {
        let last = self.shown.last();
        last.map_or(self.from, |(offset, chunk)| {
            offset.plus(u64::from(chunk.events)).max(self.from)
        })
    }
}

/// All appends and reads of a group's clients. See the module's description.
#[derive(Clone, Debug, Default)]
pub struct History {
    appends: Vec<Append>,
    reads: Vec<Read>,
    /// Appends by their chunk that have no answer yet.
    open: BTreeMap<Name, usize>,
    shown: usize,
}

/// An operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Append(usize),
    Read(usize),
}

impl History {
    /// Somebody begins to append a chunk.
    pub fn invoked(&mut self, chunk: ChunkId, at: Time) {
        self.open.insert(name(&chunk), self.appends.len());
        self.append(Append {
            chunk,
            invoked: at,
            answered: None,
        });
    }

    /// A producer hears where its chunk is, which it had not sent before `sent`.
    ///
    /// # Panics
    /// The chunk was not invoked, or was answered before.
    pub fn answered(&mut self, chunk: &ChunkId, sent: Time, at: Time, offset: Offset) {
        let open = self.open.remove(&name(chunk));
        let append = open.and_then(|at| self.appends.get_mut(at));
        let append = append.expect("a chunk is answered once, after it was made");
        append.invoked = append.invoked.max(sent);
        append.answered = Some((at, offset));
    }

    /// An append, as it went.
    pub fn append(&mut self, append: Append) {
        self.appends.push(append);
    }

    /// A read, as it went.
    pub fn read(&mut self, read: Read) {
        // Once one was left out, later ones of its cursor would not join on.
        let room = self.shown <= SHOWN_MAX || read.reader == Reader::Auditor;
        if room {
            self.shown += read.shown.len();
            self.reads.push(read);
        }
    }

    /// How many appends and reads it has.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.appends.len(), self.reads.len())
    }

    fn describe(&self, op: Op) -> String {
        match op {
            Op::Append(at) => self.appends.get(at).map(Append::to_string),
            Op::Read(at) => self.reads.get(at).map(Read::to_string),
        }
        .expect("an operation of this history")
    }
}

/// A moment in milliseconds.
fn ms(time: Time) -> String {
    format!("{}.{:06} ms", time.0 / 1_000_000, time.0 % 1_000_000)
}

impl fmt::Display for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChunkId {
            producer,
            epoch,
            first,
            events,
        } = self.chunk;
        write!(
            f,
            "the append of producer {producer}, epoch {epoch}, sequence {first} ({events} events, from {}",
            ms(self.invoked)
        )?;
        match self.answered {
            Some((at, offset)) => write!(f, " to {}, at offset {offset})", ms(at)),
            None => write!(f, ", without an answer)"),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reader {
            Reader::Cursor { consumer, node, .. } => {
                write!(f, "the read of consumer {consumer} at node {node} (")?;
            }
            Reader::Auditor => write!(f, "the read of the log at its end (")?,
        }
        let (asked, answered) = (ms(self.invoked), ms(self.answered));
        write!(
            f,
            "{asked} to {answered}, offsets {} to {} of {})",
            self.from,
            self.end(),
            self.committed
        )
    }
}
