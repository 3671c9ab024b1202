//! The conversations with the peers: dialling, greeting, and what their frames say.

use alloc::string::ToString;
use alloc::vec::Vec;

use quorate_raft::{Input, Message};
use quorate_wire::client::{ErrorMessage, error_text};
use quorate_wire::peer::{Member, PeerHello, ReadIndexReplyMessage};
use quorate_wire::{
    DiskId, Edition, ErrorCode, Frame, FrameError, FrameHeader, FrameKind, Leader, NodeId, Time,
};
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::config::{GREETING_TIME, STRANGERS_MAX, TOLD_TIME};
use super::core::Beside;
use super::link::Link;
use super::{Note, Pipeline, codec};
use crate::seam::{LinkId, NetworkEvent, Seam};

/// A peer that this node dials: of two nodes, the one with the greater id does. But one that has joined may not know yet where anybody
/// is, also when it votes already: so a leader dials all, and so does who knows of no leader, since nobody may lead without its vote. Who was
/// away when it was removed learns it that way: nobody dials it any more.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) peer: NodeId,
    /// It has a greater id: it mostly dials this node, which waits longer for that.
    pub(super) greater: bool,
    /// It is no member any more: once it is not being dialled, it is forgotten.
    pub(super) past: bool,
    /// When to dial next.
    pub(super) at: Time,
    /// A dial is open.
    pub(super) dialling: bool,
    /// Dials that failed since one did not.
    pub(super) failed: u32,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It was taken.
    Yes,
    /// There is no room for its records now: it stays unread.
    NoRoom,
    /// The connection ends.
    Close,
}

impl Pipeline {
    /// Takes what has happened to the links.
    pub(super) fn reap_network(&mut self, now: Time, seam: &mut impl Seam) {
        let mut events = core::mem::take(&mut self.scratch.network);
        seam.happened(&mut events);
        self.counts.arrivals += events.len() as u64;
        for event in events.drain(..) {
            self.on_network(event, now, seam);
        }
        self.scratch.network = events;
        self.read_stalled(seam);
    }

    fn on_network(&mut self, event: NetworkEvent, now: Time, seam: &mut impl Seam) {
        match event {
            NetworkEvent::Accepted { link } => {
                if self.links.iter().filter(|link| !link.up).count() >= STRANGERS_MAX {
                    seam.close(link);
                    return;
                }
                let mut link = Link::new(link, None, now);
                link.receive(seam);
                self.links.push(link);
            }
            NetworkEvent::Connected { peer, link } => {
                if let Some(dial) = self.dial(peer) {
                    (dial.dialling, dial.at, dial.failed) = (false, now, 0);
                }
                let mut link = Link::new(link, Some(peer), now);
                link.receive(seam);
                self.links.push(link);
                self.greet(self.links.len() - 1);
            }
            NetworkEvent::ConnectFailed { peer } => {
                let cast_out = self.cast_out;
                if let Some(dial) = self.dial(peer) {
                    let again = dial.has_failed().min(dial.again(cast_out));
                    (dial.dialling, dial.at) = (false, now.after(again));
                }
            }
            NetworkEvent::Received {
                link,
                receive,
                bytes,
            } => {
                if let Some(at) = self.position(link) {
                    if let Some(link) = self.links.get_mut(at) {
                        link.received(receive, bytes);
                    }
                    self.read(at, seam);
                }
            }
            NetworkEvent::Sent { link, send } => {
                if let Some(link) = self.links.iter_mut().find(|known| known.id == link) {
                    link.sent(send);
                    if link.closing {
                        link.end(seam);
                    }
                }
            }
            NetworkEvent::Closed { link } => {
                if let Some(at) = self.position(link) {
                    self.closed(at, now, seam);
                }
            }
        }
    }

    fn position(&self, link: LinkId) -> Option<usize> {
        self.links.iter().position(|known| known.id == link)
    }

    fn dial(&mut self, peer: NodeId) -> Option<&mut Dial> {
        self.dials.iter_mut().find(|dial| dial.peer == peer)
    }

    fn closed(&mut self, at: usize, now: Time, seam: &mut impl Seam) {
        let link = self.links.swap_remove(at);
        let Some(peer) = link.peer else { return };
        if link.up {
            self.lost(peer, seam);
        }
        let cast_out = self.cast_out;
        if let Some(dial) = self.dial(peer) {
            dial.over((link.dialled, link.up), cast_out, now);
        }
    }

    fn lost(&mut self, peer: NodeId, seam: &mut impl Seam) {
        self.notes.push(Note::PeerDown { peer });
        self.step(Input::PeerDown { peer }, seam);
    }

    /// Dials who is due, and gives up on who does not greet, or does not take what is sent.
    pub(super) fn dial_due(&mut self, now: Time, seam: &mut impl Seam) {
        let seeks = self.seeks();
        for dial in &mut self.dials {
            let linked = self.links.iter().any(|link| link.peer == Some(dial.peer));
            if dial.is_wanted(seeks) && !linked && dial.at <= now {
                dial.dialling = true;
                seam.connect(dial.peer);
            }
        }
        for at in 0..self.links.len() {
            let Some(link) = self.links.get_mut(at) else {
                continue;
            };
            let silent = !link.up && !link.closing && now.since(link.since) >= GREETING_TIME;
            if silent || link.sends_until().is_some_and(|until| until <= now) {
                link.end(seam);
                self.close(at, seam);
            }
        }
    }

    /// When [`Pipeline::dial_due`] has something to do.
    pub(super) fn network_deadline(&self) -> Option<Time> {
        let linked = |peer| self.links.iter().any(|link| link.peer == Some(peer));
        let seeks = self.seeks();
        let dials = self
            .dials
            .iter()
            .filter(|dial| dial.is_wanted(seeks) && !linked(dial.peer))
            .map(|dial| dial.at);
        let strangers = self.links.iter().filter(|link| !link.up && !link.closing);
        let sends = self.links.iter().filter_map(Link::sends_until);
        dials
            .chain(strangers.map(|link| link.since.after(GREETING_TIME)))
            .chain(sends)
            .min()
    }

    /// The peers that have greeted, with their disks.
    pub(super) fn peers_up(&self) -> Vec<(NodeId, DiskId)> {
        self.links
            .iter()
            .filter(|link| link.up)
            .filter_map(|link| Some((link.peer?, link.disk?)))
            .collect()
    }

    /// Greets everyone again: the group has formed.
    pub(super) fn greet_all(&mut self) {
        for at in 0..self.links.len() {
            if self.links.get(at).is_some_and(|link| link.up) {
                self.greet(at);
            }
        }
    }

    fn greet(&mut self, at: usize) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let Some(peer) = link.peer else { return };
        let editions = (self.config.edition, self.state.newest_edition());
        let (mut hello, members) = self.membership.hello(peer, editions);
        hello.priority = self.config.priority;
        let body: [&[u8]; 2] = [hello.as_bytes(), members.as_bytes()];
        let header = FrameHeader::seal(FrameKind::PeerHello, 0, self.config.group, &body, 0);
        link.push_head(|head| {
            head.extend_from_slice(&header);
            body.iter().for_each(|part| head.extend_from_slice(part));
        });
    }

    /// Reads on where a link's records had no room.
    fn read_stalled(&mut self, seam: &mut impl Seam) {
        for at in 0..self.links.len() {
            self.read(at, seam);
        }
    }

    /// Reads a link's whole frames, and waits for more.
    fn read(&mut self, at: usize, seam: &mut impl Seam) {
        let Some(mut inbox) = self.links.get_mut(at).and_then(Link::take_inbox) else {
            return;
        };
        let end = loop {
            if self.links.get(at).is_none_or(|link| link.closing) {
                break Taken::Close;
            }
            let frame = match Frame::parse(inbox.unread()) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Taken::Yes,
                Err(error) => {
                    self.bad_frame(at, error, seam);
                    break Taken::Close;
                }
            };
            match self.on_frame(at, &frame, seam) {
                Taken::Yes => inbox.read(frame.bytes()),
                end @ (Taken::NoRoom | Taken::Close) => break end,
            }
        };
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        link.put_inbox(inbox);
        if end == Taken::Yes {
            link.receive(seam);
        }
    }

    fn on_frame(&mut self, at: usize, frame: &Frame<'_>, seam: &mut impl Seam) -> Taken {
        let Some(link) = self.links.get(at) else {
            return Taken::Close;
        };
        if frame.header.group != self.config.group {
            self.refuse_link(at, ErrorCode::GroupUnknown, seam);
            return Taken::Close;
        }
        match (frame.header.kind, link.peer) {
            (FrameKind::PeerHello, _) => self.on_hello(at, frame, seam),
            (FrameKind::Error, peer) => {
                let message = ErrorMessage::read_from_bytes(frame.message)
                    .expect("the gate checked its length");
                let code = ErrorCode::from_number(message.code.get());
                if code == Some(ErrorCode::NotAMember) {
                    let told = Leader::from_fields(message.leader, message.leader_term);
                    let until = seam.now().after(TOLD_TIME);
                    self.told = told.map(|leader| (leader, until)).or(self.told);
                    self.on_cast_out(seam);
                } else {
                    self.notes.push(Note::RefusedBy {
                        peer,
                        code,
                        text: error_text(frame.tail).to_string(),
                    });
                }
                self.leave_alone(peer, seam.now());
                self.close(at, seam);
                Taken::Close
            }
            (
                FrameKind::Repair
                | FrameKind::RepairReply
                | FrameKind::SnapshotOffer
                | FrameKind::SnapshotFetch
                | FrameKind::SnapshotChunk,
                Some(peer),
            ) if link.up => match self.on_help(peer, frame, seam) {
                Ok(()) => Taken::Yes,
                Err(error) => {
                    self.bad_frame(at, error, seam);
                    Taken::Close
                }
            },
            (FrameKind::ReadIndex, Some(peer)) if link.up => {
                self.on_read_index(peer, frame.header.correlation);
                Taken::Yes
            }
            (FrameKind::ReadIndexReply, Some(peer)) if link.up => {
                let reply = ReadIndexReplyMessage::read_from_bytes(frame.message)
                    .expect("the gate checked it");
                self.on_read_index_reply(peer, frame.header.correlation, &reply);
                Taken::Yes
            }
            (kind, Some(peer)) if link.up => match codec::decode(kind, frame.message) {
                Ok(message) => self.on_message(at, peer, message, frame.tail, seam),
                Err(error) => {
                    self.bad_frame(at, error, seam);
                    Taken::Close
                }
            },
            (_, _) => {
                self.refuse_link(at, ErrorCode::HelloExpected, seam);
                Taken::Close
            }
        }
    }

    fn on_hello(&mut self, at: usize, frame: &Frame<'_>, seam: &mut impl Seam) -> Taken {
        let hello = PeerHello::read_from_bytes(frame.message).expect("the gate checked its length");
        let members = match Member::parse_all(frame.tail, hello.member_count) {
            Ok(members) => members,
            Err(error) => {
                self.bad_frame(at, error, seam);
                return Taken::Close;
            }
        };
        let Some(link) = self.links.get(at) else {
            return Taken::Close;
        };
        let (known, was_up, dialled) = (link.peer, link.up, link.dialled);
        let editions = (self.config.edition, self.state.newest_edition());
        let judged = self.membership.greeted(&hello, members, editions);
        let greeted = match judged {
            Ok(greeted) if known.is_none_or(|known| known == greeted.peer) => greeted,
            Ok(_) => {
                self.refuse_link(at, ErrorCode::NodeMismatch, seam);
                return Taken::Close;
            }
            Err(refused) => {
                self.notes.push(Note::Refused {
                    peer: refused.peer,
                    code: refused.code,
                });
                self.refuse_link(at, refused.code, seam);
                return Taken::Close;
            }
        };
        if let Some(members) = greeted.forms {
            self.log.store_members(&members, seam);
        }
        if was_up {
            return Taken::Yes;
        }
        self.replace_older(at, greeted.peer, seam);
        if let Some(link) = self.links.get_mut(at) {
            (link.peer, link.disk, link.up) = (Some(greeted.peer), Some(greeted.disk), true);
            (link.edition, link.priority) = (Edition(hello.edition), hello.priority);
        }
        if !dialled {
            self.greet(at);
        }
        self.notes.push(Note::PeerUp { peer: greeted.peer });
        self.step(
            Input::PeerUp {
                peer: greeted.peer,
                disk: greeted.disk,
            },
            seam,
        );
        Taken::Yes
    }

    /// A peer that connects again has lost its older connection, whether this side has noticed or not.
    fn replace_older(&mut self, newer: usize, peer: NodeId, seam: &mut impl Seam) {
        for at in 0..self.links.len() {
            let older = self
                .links
                .get(at)
                .is_some_and(|link| at != newer && link.peer == Some(peer) && link.up);
            if older {
                self.close(at, seam);
            }
        }
    }

    fn on_message(
        &mut self,
        at: usize,
        peer: NodeId,
        message: Message,
        records: &[u8],
        seam: &mut impl Seam,
    ) -> Taken {
        let Some(raft) = &self.raft else {
            return Taken::Yes;
        };
        if let Message::Append(append) = &message
            && append.term >= raft.term()
            && append.entries.count > 0
        {
            if !self.has_room(records.len()) {
                return Taken::NoRoom;
            }
            if let Err(why) = self.check_records(append, records) {
                self.notes.push(Note::BadRecords { peer, why });
                self.refuse_link(at, ErrorCode::MessageInvalid, seam);
                return Taken::Close;
            }
        }
        self.step_with(
            Input::Message {
                from: peer,
                message,
            },
            Beside::Arrived(records),
            seam,
        );
        Taken::Yes
    }

    fn bad_frame(&mut self, at: usize, error: FrameError, seam: &mut impl Seam) {
        let peer = self.links.get(at).and_then(|link| link.peer);
        self.notes.push(Note::BadFrame { peer, error });
        self.refuse_link(at, error.code(), seam);
    }

    /// Says why, and ends the connection.
    pub(super) fn refuse_link(&mut self, at: usize, code: ErrorCode, seam: &mut impl Seam) {
        let now = seam.now();
        let hint = self.hint();
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        // Who is no member any more hears of no leader by itself.
        let hint = hint.filter(|_| code == ErrorCode::NotAMember);
        let (leader, leader_term) = Leader::to_fields(hint);
        let message = ErrorMessage {
            code: U16::new(code.number()),
            leader,
            leader_term,
            ..ErrorMessage::new_zeroed()
        };
        let body: [&[u8]; 2] = [message.as_bytes(), code.name().as_bytes()];
        let header = FrameHeader::seal(FrameKind::Error, 0, self.config.group, &body, 0);
        link.push_head(|head| {
            head.extend_from_slice(&header);
            body.iter().for_each(|part| head.extend_from_slice(part));
        });
        link.flush(now, seam);
        let peer = link.peer;
        self.leave_alone(peer, now);
        self.close(at, seam);
    }

    fn leave_alone(&mut self, peer: Option<NodeId>, now: Time) {
        let again = self.refused_again();
        if let Some(dial) = peer.and_then(|peer| self.dial(peer)) {
            dial.at = now.after(again);
        }
    }

    /// Ends a connection: at once if nothing is being sent, else when that is out.
    fn close(&mut self, at: usize, seam: &mut impl Seam) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let was_up = core::mem::replace(&mut link.up, false);
        link.closing = true;
        if !link.sending() {
            link.end(seam);
        }
        if let Some(peer) = link.peer
            && was_up
        {
            self.lost(peer, seam);
        }
    }
}
