//! Linearizable reads: whoever asks sees all that was acknowledged before.
//!
//! ```text
//!   read  --> new --a turn's end--> asked: of the core, or of the leader --an index--> behind: until it is applied --> placed
//!                                      \--nobody leads, or no more--> refused
//! ```
//! Owns: who waits for an index. Never: decides which index will do; that is the core's. Reads are asked after the turn's tick:
//! a lease must not be held against a clock that was read before they came. Those of one turn share a question.

use alloc::vec::Vec;
use core::mem;

use quorate_raft::{Input, Readable};
use quorate_wire::peer::ReadIndexReplyMessage;
use quorate_wire::{ErrorCode, FrameHeader, FrameKind, LogIndex, NodeId, Time};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::Pipeline;
use super::commands::AskedList;
use super::config::{FETCHES_WAITING_MAX, FRESH_TIME};
use super::fetch::Fetch;
use crate::lane::Refusal;
use crate::seam::Seam;

/// Who wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    /// A client of this node.
    Here(Wanted),
    /// A consumer of a peer, which follows this node.
    Peer {
        /// The peer.
        peer: NodeId,
        /// Its name for the question.
        correlation: u64,
    },
}

/// What a client of this node wants to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// Records.
    Fetch(Fetch),
    /// A part of a list.
    List(AskedList),
}

impl Wanted {
    fn refuse(self, refusal: Refusal, seam: &mut impl Seam) {
        let (shard, ticket) = match self {
            Self::Fetch(fetch) => (fetch.shard, fetch.ticket),
            Self::List(list) => list.asker,
        };
        Pipeline::refuse(ticket, refusal, shard, seam);
    }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    id: u64,
    /// The leader; this node, if it asks its own core.
    of: NodeId,
    reader: Reader,
    until: Time,
}

/// All reads that wait for an index, or for what it names.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    last_id: u64,
    new: Vec<Reader>,
    asked: Vec<Asked>,
    /// Waits until the record is applied here.
    behind: Vec<(LogIndex, Wanted, Time)>,
    /// What the core has answered.
    pub(super) ready: Vec<Readable>,
}

impl Fresh {
    /// Somebody wants to know.
    pub(super) fn push(&mut self, reader: Reader) {
        self.new.push(reader);
    }

    pub(super) fn len(&self) -> usize {
        self.new.len() + self.asked.len() + self.behind.len()
    }

    /// When the first of those who wait has waited too long.
    pub(super) fn deadline(&self) -> Option<Time> {
        let asked = self.asked.iter().map(|asked| asked.until);
        asked.chain(self.behind.iter().map(|it| it.2)).min()
    }
}

impl Pipeline {
    /// A peer asks this node, which should lead.
    pub(super) fn on_read_index(&mut self, peer: NodeId, correlation: u64) {
        if self.fresh.len() >= FETCHES_WAITING_MAX {
            return self.tell_read_index(peer, correlation, None);
        }
        self.fresh.push(Reader::Peer { peer, correlation });
    }

    /// The leader has answered.
    pub(super) fn on_read_index_reply(
        &mut self,
        peer: NodeId,
        correlation: u64,
        reply: &ReadIndexReplyMessage,
    ) {
        let at = LogIndex(reply.index.get());
        let asked = self.fresh.asked.iter();
        if asked
            .clone()
            .any(|it| it.id == correlation && it.of == peer)
        {
            self.fresh.ready.push(Readable {
                id: correlation,
                at: (at > LogIndex(0)).then_some(at),
            });
        }
    }

    /// Asks for those that came in this turn.
    pub(super) fn ask_fresh(&mut self, now: Time, seam: &mut impl Seam) {
        let new = mem::take(&mut self.fresh.new);
        if new.is_empty() {
            return;
        }
        self.fresh.last_id += 1;
        let (id, this) = (self.fresh.last_id, self.config.node);
        let leader = self.leader();
        for reader in new {
            // Who asks a node that does not lead has not heard yet: it is told, not sent on.
            let of = leader.filter(|&leader| leader == this || matches!(reader, Reader::Here(_)));
            match of {
                Some(of) => self.fresh.asked.push(Asked {
                    id,
                    of,
                    reader,
                    until: now.after(FRESH_TIME),
                }),
                None => self.tell_reader(reader, None, now, seam),
            }
        }
        if self.fresh.asked.iter().all(|asked| asked.id != id) {
            return;
        }
        if leader == Some(this) {
            self.step(Input::Read { id }, seam);
        } else if let Some(link) = self
            .links
            .iter_mut()
            .find(|link| link.up && link.peer == leader)
        {
            let header = FrameHeader::seal(FrameKind::ReadIndex, id, self.config.group, &[], 0);
            link.push_head(|head| head.extend_from_slice(&header));
        } else {
            self.fresh.ready.push(Readable { id, at: None });
        }
    }

    /// Hands out the indexes that have come, and looks who need not wait any more.
    pub(super) fn settle_fresh(&mut self, now: Time, seam: &mut impl Seam) {
        for readable in mem::take(&mut self.fresh.ready) {
            let asked = mem::take(&mut self.fresh.asked);
            for asked in asked {
                if asked.id == readable.id {
                    self.tell_reader(asked.reader, readable.at, now, seam);
                } else {
                    self.fresh.asked.push(asked);
                }
            }
        }
        let (this, leader) = (self.config.node, self.leader());
        for asked in mem::take(&mut self.fresh.asked) {
            // The own core answers everything that it is asked.
            let lost = asked.of != this && Some(asked.of) != leader;
            if lost || asked.until <= now {
                self.tell_reader(asked.reader, None, now, seam);
            } else {
                self.fresh.asked.push(asked);
            }
        }
        let applied = self.state.applied();
        for (at, wanted, until) in mem::take(&mut self.fresh.behind) {
            if at <= applied {
                match wanted {
                    Wanted::Fetch(fetch) => self.place(fetch, seam),
                    Wanted::List(list) => self.answer_list(list, seam),
                }
            } else if until <= now {
                wanted.refuse(Refusal::new(ErrorCode::ConsistencyUnavailable), seam);
            } else {
                self.fresh.behind.push((at, wanted, until));
            }
        }
    }

    fn tell_reader(
        &mut self,
        reader: Reader,
        at: Option<LogIndex>,
        now: Time,
        seam: &mut impl Seam,
    ) {
        match (reader, at) {
            (Reader::Peer { peer, correlation }, at) => self.tell_read_index(peer, correlation, at),
            (Reader::Here(wanted), Some(at)) => {
                self.fresh.behind.push((at, wanted, now.after(FRESH_TIME)));
            }
            (Reader::Here(wanted), None) => {
                let refusal = Refusal {
                    leader: self.hint(),
                    ..Refusal::new(ErrorCode::ConsistencyUnavailable)
                };
                wanted.refuse(refusal, seam);
            }
        }
    }

    fn tell_read_index(&mut self, peer: NodeId, correlation: u64, at: Option<LogIndex>) {
        let message = ReadIndexReplyMessage {
            index: U64::new(at.map_or(0, |at| at.0)),
        };
        let (kind, body) = (FrameKind::ReadIndexReply, [message.as_bytes()]);
        let header = FrameHeader::seal(kind, correlation, self.config.group, &body, 0);
        let mut links = self.links.iter_mut();
        if let Some(link) = links.find(|link| link.up && link.peer == Some(peer)) {
            link.push_head(|head| {
                head.extend_from_slice(&header);
                head.extend_from_slice(message.as_bytes());
            });
        }
    }

    /// Refuses everybody who waits: this pipeline is over.
    pub(super) fn refuse_fresh(&mut self, seam: &mut impl Seam) {
        let asked = mem::take(&mut self.fresh.asked);
        let readers = mem::take(&mut self.fresh.new).into_iter();
        let here = readers
            .chain(asked.into_iter().map(|asked| asked.reader))
            .filter_map(|reader| match reader {
                Reader::Here(wanted) => Some(wanted),
                Reader::Peer { .. } => None,
            });
        let behind = mem::take(&mut self.fresh.behind).into_iter();
        for wanted in here.chain(behind.map(|it| it.1)) {
            wanted.refuse(Refusal::new(ErrorCode::Repairing), seam);
        }
    }
}
