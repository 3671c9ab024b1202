//! Snapshots on their way from a leader to a peer that lacks what the log no longer has.
//!
//! ```text
//!   leader                           peer
//!   offer ------------------------->   takes it, if it is ahead of what it has applied
//!         <------------------ fetch    one part after another; after a broken link, from where it was
//!   chunk ------------------------->   checks it, and appends it to a file without a name
//!                                      all of it is sound and durable: the file gets its name, the pipeline ends,
//!                                      and recovery begins with it
//! ```
//! Until then the peer's state and log are what they were. Owns: both ends. Never: has more than one part of a snapshot in memory for
//! a peer; believes a part before its checksum. Called by: the turn, the peers' conversations.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::checksum::crc32;
use quorate_wire::limits::SNAPSHOT_CHUNK_BYTES_MAX;
use quorate_wire::peer::{SnapshotChunkMessage, SnapshotFetchMessage, SnapshotOfferMessage};
use quorate_wire::{Frame, FrameError, FrameHeader, FrameKind, LogIndex, NodeId, Term, Time};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::config::{SNAPSHOT_ANSWER_TIME, SNAPSHOT_LEND_TIME, SNAPSHOT_OFFER_EVERY};
use super::governor::Governor;
use super::{Note, Pipeline, Reopen};
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::seam::{Seam, SnapshotId};
use crate::snapshot::Checker;

const SECOND: u64 = 1_000_000_000;

/// Both ends of what is on its way.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    receiving: Option<Receiving>,
    /// When each peer that needs one is offered it again.
    offers: Vec<(NodeId, Time)>,
    /// Parts that peers have asked for: at most one a peer.
    asked: VecDeque<Part>,
    /// Parts that are being read, by the read's name.
    reading: Vec<(u64, Part)>,
    last_token: u64,
    /// When the next part may leave.
    send_at: Time,
    /// Until when the snapshot that is being sent stays.
    lent_until: Option<Time>,
}

/// A part of a snapshot, for a peer.
#[derive(Clone, Copy, Debug)]
struct Part {
    peer: NodeId,
    correlation: u64,
    snapshot: SnapshotId,
    position: u64,
    /// Of the whole snapshot.
    bytes: u64,
}

/// A snapshot that comes from a peer.
#[derive(Debug)]
struct Receiving {
    from: NodeId,
    snapshot: SnapshotId,
    bytes: u64,
    /// So many are written.
    written: u64,
    checker: Checker,
    step: Step,
    correlation: u64,
    /// Nothing has come since.
    since: Time,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The disk is busy with another snapshot.
    Begin,
    /// A part is to be asked for.
    Ask,
    /// It was, and comes before this moment, or is asked for again.
    Open(Time),
    /// The disk writes so many bytes.
    Write(u64),
    /// All of it is written and sound: it gets its name.
    Keep,
}

impl Transfer {
    /// Whether a snapshot of another node is on its way here.
    pub(super) fn receives(&self) -> bool {
        self.receiving.is_some()
    }

    /// How many peers wait for a part.
    pub(super) fn serves(&self) -> usize {
        self.asked.len() + self.reading.len()
    }

    pub(super) fn deadline(&self, governor: &Governor) -> Option<Time> {
        let receiving = self
            .receiving
            .as_ref()
            .and_then(|receiving| match receiving.step {
                Step::Begin | Step::Write(_) | Step::Keep => None,
                Step::Ask => Some(Time(0)),
                Step::Open(until) => Some(until),
            });
        let offers = self.offers.iter().map(|offer| offer.1);
        let asked = (!self.asked.is_empty()).then(|| self.send_at.max(governor.next()));
        let times = receiving.into_iter().chain(asked).chain(self.lent_until);
        times.chain(offers).min()
    }
}

impl Pipeline {
    /// Offers, sends and asks for what is due.
    pub(super) fn transfer_due(&mut self, now: Time, seam: &mut impl Seam) {
        self.offer_snapshots(now);
        self.send_parts(now, seam);
        self.ask_for_part(now);
    }

    /// Tells the peers that need a snapshot of the newest one, again and again: whoever has begun with it does not mind.
    fn offer_snapshots(&mut self, now: Time) {
        let Some(raft) = &self.raft else { return };
        let behind: Vec<NodeId> = raft.behind().collect();
        let term = raft.term();
        let offers = &mut self.transfer.offers;
        offers.retain(|offer| behind.contains(&offer.0));
        for &peer in &behind {
            if !offers.iter().any(|offer| offer.0 == peer) {
                offers.push((peer, now));
            }
        }
        let Some((snapshot, bytes)) = self.log.newest_snapshot() else {
            return;
        };
        for (peer, at) in offers.iter_mut().filter(|offer| offer.1 <= now) {
            *at = now.after(SNAPSHOT_OFFER_EVERY);
            let message = SnapshotOfferMessage {
                term: U64::new(term.0),
                index: U64::new(snapshot.0),
                bytes: U64::new(bytes),
            };
            let group = self.config.group;
            let mut links = self.links.iter_mut();
            if let Some(link) = links.find(|link| link.up && link.peer == Some(*peer)) {
                let header =
                    FrameHeader::seal(FrameKind::SnapshotOffer, 0, group, &[message.as_bytes()], 0);
                link.push_head(|head| {
                    head.extend_from_slice(&header);
                    head.extend_from_slice(message.as_bytes());
                });
            }
        }
    }

    /// Reads parts that were asked for, no faster than the configuration allows.
    fn send_parts(&mut self, now: Time, seam: &mut impl Seam) {
        let rate = self.config.snapshots.send_bytes;
        while self.transfer.send_at <= now
            && self.catch_up.allows(now)
            && let Some(part) = self.transfer.asked.pop_front()
        {
            let most = SNAPSHOT_CHUNK_BYTES_MAX as u64;
            let length = most.min(part.bytes - part.position);
            // 64 bits hold the product: a part is small.
            self.transfer.send_at = now.after(length * SECOND / rate);
            self.catch_up.governor.spend(length, now);
            self.transfer.last_token += 1;
            let token = self.transfer.last_token;
            self.transfer.reading.push((token, part));
            self.transfer.lent_until = Some(now.after(SNAPSHOT_LEND_TIME));
            self.log.lend_snapshot(Some(part.snapshot));
            let length = usize::try_from(length).expect("a part is small");
            let place = (part.position, length);
            self.log.read_snapshot(token, part.snapshot, place, seam);
        }
        if self.transfer.lent_until.is_some_and(|until| until <= now) {
            self.transfer.lent_until = None;
            self.log.lend_snapshot(None);
        }
    }

    /// A part has been read, or cannot be read any more.
    pub(super) fn part_read(&mut self, token: u64, bytes: Option<&Buffer>) {
        let reading = &mut self.transfer.reading;
        let at = reading.iter().position(|&(open, _)| open == token);
        let part = reading.swap_remove(at.expect("a read is answered once")).1;
        self.send_part(&part, bytes.map(|bytes| &bytes[..]));
    }

    fn send_part(&mut self, part: &Part, bytes: Option<&[u8]>) {
        let message = SnapshotChunkMessage {
            index: U64::new(part.snapshot.0),
            position: U64::new(part.position),
            bytes: U64::new(bytes.map_or(0, |_| part.bytes)),
            crc: U32::new(bytes.map_or(0, |bytes| crc32(&[bytes]))),
            reserved: U32::new(0),
        };
        let bytes = bytes.unwrap_or_default();
        let (kind, group) = (FrameKind::SnapshotChunk, self.config.group);
        let mut links = self.links.iter_mut();
        let Some(link) = links.find(|link| link.up && link.peer == Some(part.peer)) else {
            return;
        };
        let body = [message.as_bytes()];
        let header = FrameHeader::seal(kind, part.correlation, group, &body, bytes.len());
        link.push_head(|head| {
            head.extend_from_slice(&header);
            head.extend_from_slice(message.as_bytes());
        });
        link.push_copy(bytes);
    }

    /// A peer says something about a snapshot.
    pub(super) fn on_snapshot_frame(
        &mut self,
        peer: NodeId,
        frame: &Frame<'_>,
        now: Time,
        seam: &mut impl Seam,
    ) -> Result<(), FrameError> {
        let correlation = frame.header.correlation;
        if let Ok(offer) = SnapshotOfferMessage::read_from_bytes(frame.message)
            && frame.header.kind == FrameKind::SnapshotOffer
        {
            self.on_offer(peer, &offer, now);
        } else if let Ok(fetch) = SnapshotFetchMessage::read_from_bytes(frame.message)
            && frame.header.kind == FrameKind::SnapshotFetch
        {
            self.on_fetch_snapshot(peer, correlation, &fetch)?;
        } else if let Ok(chunk) = SnapshotChunkMessage::read_from_bytes(frame.message) {
            self.on_chunk(peer, correlation, &chunk, frame.tail, now, seam)?;
        }
        Ok(())
    }

    /// A leader offers a snapshot. One that covers no more than what is applied here is no help; one that is on its way already
    /// goes on, whoever has it.
    fn on_offer(&mut self, peer: NodeId, offer: &SnapshotOfferMessage, now: Time) {
        let Some(raft) = &self.raft else { return };
        let snapshot = SnapshotId(offer.index.get());
        let bytes = offer.bytes.get();
        let late = Term(offer.term.get()) < raft.term() || raft.leads();
        let known = LogIndex(snapshot.0) <= self.state.applied();
        let whole = bytes > 0 && bytes.is_multiple_of(BLOCK_BYTES as u64);
        if late || known || !whole || self.reopen.is_some() {
            return;
        }
        if let Some(receiving) = &mut self.transfer.receiving {
            let same = (receiving.snapshot, receiving.bytes) == (snapshot, bytes);
            let stuck = now.since(receiving.since) >= 2 * SNAPSHOT_ANSWER_TIME;
            if same {
                receiving.from = peer;
            }
            let busy = matches!(receiving.step, Step::Write(_) | Step::Keep);
            if same || busy || !stuck {
                return;
            }
        }
        self.drop_snapshot();
        self.notes.push(Note::Receives {
            peer,
            upto: LogIndex(snapshot.0),
            bytes,
        });
        self.transfer.receiving = Some(Receiving {
            from: peer,
            snapshot,
            bytes,
            written: 0,
            checker: Checker::default(),
            step: Step::Begin,
            correlation: 0,
            since: now,
        });
    }

    /// A peer asks for a part.
    fn on_fetch_snapshot(
        &mut self,
        peer: NodeId,
        correlation: u64,
        fetch: &SnapshotFetchMessage,
    ) -> Result<(), FrameError> {
        let (snapshot, position) = (SnapshotId(fetch.index.get()), fetch.position.get());
        if !position.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(FrameError::Invalid {
                what: "a part of a snapshot begins on a block",
            });
        }
        let bytes = self.log.snapshot_bytes(snapshot);
        let part = Part {
            peer,
            correlation,
            snapshot,
            position,
            bytes: bytes.unwrap_or(0),
        };
        if position >= part.bytes {
            self.send_part(&part, None);
            return Ok(());
        }
        // Who asks again has not got an answer, or does not want it any more.
        self.transfer.asked.retain(|asked| asked.peer != peer);
        if !self
            .transfer
            .reading
            .iter()
            .any(|(_, read)| read.peer == peer)
        {
            self.transfer.asked.push_back(part);
        }
        Ok(())
    }

    /// Asks for the next part.
    fn ask_for_part(&mut self, now: Time) {
        let idle = self.log.snapshot_is_idle();
        let Some(receiving) = &mut self.transfer.receiving else {
            return;
        };
        match receiving.step {
            Step::Begin if idle => self.log.begin_snapshot(),
            Step::Ask => {}
            Step::Open(until) if until <= now => {}
            Step::Begin | Step::Open(_) | Step::Write(_) | Step::Keep => return,
        }
        // Without a link, it waits for one; the offers of another leader may tell of a better one.
        receiving.step = Step::Open(now.after(SNAPSHOT_ANSWER_TIME));
        receiving.correlation += 1;
        let message = SnapshotFetchMessage {
            index: U64::new(receiving.snapshot.0),
            position: U64::new(receiving.written),
        };
        let (from, correlation) = (receiving.from, receiving.correlation);
        let group = self.config.group;
        let mut links = self.links.iter_mut();
        if let Some(link) = links.find(|link| link.up && link.peer == Some(from)) {
            let body = [message.as_bytes()];
            let header = FrameHeader::seal(FrameKind::SnapshotFetch, correlation, group, &body, 0);
            link.push_head(|head| {
                head.extend_from_slice(&header);
                head.extend_from_slice(message.as_bytes());
            });
        }
    }

    /// A part comes.
    fn on_chunk(
        &mut self,
        peer: NodeId,
        correlation: u64,
        chunk: &SnapshotChunkMessage,
        bytes: &[u8],
        now: Time,
        seam: &mut impl Seam,
    ) -> Result<(), FrameError> {
        let Some(receiving) = &mut self.transfer.receiving else {
            return Ok(());
        };
        let asked = matches!(receiving.step, Step::Open(_))
            && (receiving.from, receiving.correlation) == (peer, correlation);
        if !asked {
            return Ok(());
        }
        if chunk.bytes.get() == 0 {
            // The peer has it no more. It will offer another one.
            self.transfer.receiving = None;
            return Ok(());
        }
        let length = bytes.len() as u64;
        let fits = chunk.index.get() == receiving.snapshot.0
            && chunk.position.get() == receiving.written
            && chunk.bytes.get() == receiving.bytes
            && (1..=SNAPSHOT_CHUNK_BYTES_MAX as u64).contains(&length)
            && length.is_multiple_of(BLOCK_BYTES as u64)
            && length <= receiving.bytes - receiving.written;
        if !fits || chunk.crc.get() != crc32(&[bytes]) {
            return Err(FrameError::Invalid {
                what: "a part of a snapshot is the one that was asked for, whole blocks, and under its checksum",
            });
        }
        let sound = receiving.checker.take(bytes);
        let header = receiving.checker.header();
        let ours = header.is_none_or(|header| {
            header.index().0 == receiving.snapshot.0
                && (header.cluster, header.group) == (self.config.cluster, self.config.group)
        });
        let ends = receiving.written + length == receiving.bytes;
        if sound.is_err() || !ours || (ends && !receiving.checker.is_whole()) {
            self.notes.push(Note::BadSnapshot { peer });
            self.transfer.receiving = None;
            return Ok(());
        }
        receiving.since = now;
        receiving.step = Step::Write(length);
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer
            .get_mut(..bytes.len())
            .expect("it is as long")
            .copy_from_slice(bytes);
        let slice = Slice::new(Arc::new(buffer), 0..bytes.len());
        self.log.write_snapshot(slice, seam);
        Ok(())
    }

    /// The disk has written a part.
    pub(super) fn part_written(&mut self, seam: &mut impl Seam) {
        let Some(receiving) = &mut self.transfer.receiving else {
            return;
        };
        let Step::Write(length) = receiving.step else {
            return; // It was one of this node's own.
        };
        receiving.written += length;
        receiving.step = Step::Ask;
        if receiving.written == receiving.bytes {
            receiving.step = Step::Keep;
            self.log.keep_snapshot(receiving.snapshot, seam);
        }
    }

    /// A snapshot is durable. If it came from a peer and is ahead of what is applied here, recovery begins with it.
    pub(super) fn part_kept(&mut self, snapshot: SnapshotId) {
        let received = |it: &mut Receiving| it.snapshot == snapshot && it.step == Step::Keep;
        if self.transfer.receiving.take_if(received).is_none() {
            return;
        }
        let upto = LogIndex(snapshot.0);
        if upto > self.state.applied() {
            self.reopen.get_or_insert(Reopen::Installed { upto });
        }
    }

    /// What comes from a peer has no room on the disk.
    pub(super) fn part_failed(&mut self) {
        let stores = |it: &mut Receiving| matches!(it.step, Step::Write(_) | Step::Keep);
        self.transfer.receiving.take_if(stores);
    }
}
