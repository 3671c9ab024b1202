//! A request that passed the gate, and where it stands among the bytes that were read.
//!
//! Owns: what each kind holds, and the way from it to what the pipeline is asked. Never: checks. Called by: the gate, which makes
//! them, and the shards.

use alloc::boxed::Box;
use core::ops::Range;

use bytes::Bytes;
use quorate_wire::admin::AdminAsk;
use quorate_wire::{ChunkId, LogIndex};

use super::{Filter, No, Talk};
use crate::lane::{Acks, Ask, BETWEEN_CHUNKS, FetchAsk, NamedAsk, Produced};
use crate::trace::Trace;

/// A request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The greeting.
    Greet {
        /// Whether one answer may stand for several requests.
        merged: bool,
    },
    /// Append this chunk, or a run of chunks.
    Produce {
        /// What it holds; of a run, what all of them hold together.
        id: ChunkId,
        /// Of how many chunks.
        chunks: u32,
        /// Where they lie, from the frame's first byte on. Between them lie the headers of their frames.
        at: Range<usize>,
        /// When to answer.
        acks: Acks,
        /// Who is shed first: lower goes first.
        priority: u8,
        /// Whether the answer tells of its way.
        traced: bool,
    },
    /// Give me records.
    Fetch {
        /// Which.
        ask: FetchAsk,
        /// Of these, the ones that are wanted.
        filter: Option<Filter>,
    },
    /// How are you?
    Status,
    /// What did your log amount to?
    Audit(LogIndex),
    /// Do this.
    Admin(AdminAsk),
    /// About what has a name.
    Named(NamedAsk),
    /// About a subscription: not for the pipeline.
    Talk(Talk),
}

/// One whole frame among received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where it begins.
    pub(super) at: usize,
    /// The client's name for the request.
    pub correlation: u64,
    /// What it asks, or why this one request is refused.
    pub asked: Result<Asked, No>,
}

impl Opened {
    /// Where its chunks lie among the bytes; empty if it has none.
    #[must_use]
    pub fn chunk(&self) -> Range<usize> {
        match &self.asked {
            Ok(Asked::Produce { at, .. }) => self.at + at.start..self.at + at.end,
            Ok(
                Asked::Greet { .. }
                | Asked::Fetch { .. }
                | Asked::Status
                | Asked::Audit(_)
                | Asked::Named(_)
                | Asked::Talk(_)
                | Asked::Admin(_),
            )
            | Err(_) => self.at..self.at,
        }
    }

    /// Whether it greets.
    #[must_use]
    pub fn greets(&self) -> bool {
        matches!(self.asked, Ok(Asked::Greet { .. }))
    }
}

impl Asked {
    /// How many requests it is.
    #[must_use]
    pub const fn requests(&self) -> u32 {
        let Self::Produce { chunks, .. } = self else {
            return 1;
        };
        *chunks
    }

    /// Bytes of its chunks.
    #[must_use]
    pub fn chunk_bytes(&self) -> usize {
        let Self::Produce { chunks, at, .. } = self else {
            return 0;
        };
        let gaps = usize::try_from(chunks - 1).expect("32 bits fit into a size");
        at.len() - gaps * BETWEEN_CHUNKS
    }

    /// The same for the pipeline. `chunk` is the memory of the produced chunks, `trace` its way so far; that is asked for only if
    /// its producer wants to know.
    ///
    /// # Panics
    /// It is not for the pipeline.
    #[must_use]
    pub fn to_ask(&self, chunk: impl FnOnce() -> Bytes, trace: impl FnOnce() -> Trace) -> Ask {
        match self {
            Self::Greet { .. } => Ask::Greet,
            Self::Status => Ask::Status,
            Self::Audit(index) => Ask::Audit(*index),
            Self::Admin(ask) => Ask::Admin(Box::new(*ask)),
            Self::Named(ask) => Ask::Named(Box::new(ask.clone())),
            Self::Produce {
                id,
                chunks,
                acks,
                traced,
                ..
            } => Ask::Produce(Produced {
                id: *id,
                chunks: *chunks,
                bytes: chunk(),
                acks: *acks,
                trace: traced.then(|| Box::new(trace())),
            }),
            Self::Fetch { ask, .. } => Ask::Fetch(*ask),
            Self::Talk(_) => unreachable!("the shard hears what is said of subscriptions"),
        }
    }
}
