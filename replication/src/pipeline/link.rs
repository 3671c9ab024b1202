//! One connection with a peer: bytes in, bytes out, and how far the greeting has come.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use quorate_wire::limits::FRAME_BODY_BYTES_MAX;
use quorate_wire::{DiskId, Edition, FRAME_HEADER_BYTES, NodeId, Time};

use super::config::{APPEND_PARTS_MAX, SEND_BYTES_FULL, SEND_TIME};
use crate::seam::{LinkId, Network, Part, Receive, Send};

/// Most memory for what arrives: a whole frame, and the next one behind it.
const INBOX_BYTES: usize = 2 * (FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX);

/// Memory that a new link has for what arrives. It doubles when a receive fills it, or half of it holds a frame that is not whole:
/// strangers, and peers that say little, cost little.
const INBOX_FIRST_BYTES: usize = 64 << 10;
const _: () = assert!(INBOX_FIRST_BYTES <= INBOX_BYTES);

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// Whom it leads to: known from the start if it was dialled, else once greeted.
    pub(super) peer: Option<NodeId>,
    /// The disk that it has shown.
    pub(super) disk: Option<DiskId>,
    /// The latest edition that it has said to have.
    pub(super) edition: Edition,
    /// Its priority as a leader.
    pub(super) priority: u8,
    /// Both sides have greeted.
    pub(super) up: bool,
    /// This node dialled.
    pub(super) dialled: bool,
    /// When it began.
    pub(super) since: Time,
    /// It is being closed: nothing is read from it or added to it any more.
    pub(super) closing: bool,
    inbox: Inbox,
    outbox: Send,
    /// Bytes of records in the outbox.
    records: usize,
    /// Memory for the next send; absent while a send is open.
    sent: Option<Send>,
    /// When the open send began.
    sending_since: Time,
    /// The network was asked to end it.
    ending: bool,
}

/// What arrived and is not yet read. Lent to the network while it waits for more.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// The bytes that are not yet read.
    pub(super) fn unread(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    /// So many bytes are read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.start += bytes;
        assert!(self.start <= self.end, "only what arrived is read");
    }
}

impl Link {
    pub(super) fn new(id: LinkId, peer: Option<NodeId>, since: Time) -> Self {
        Self {
            id,
            peer,
            disk: None,
            edition: Edition::FIRST,
            priority: 0,
            up: false,
            dialled: peer.is_some(),
            since,
            closing: false,
            inbox: Inbox {
                memory: vec![0; INBOX_FIRST_BYTES],
                start: 0,
                end: 0,
            },
            outbox: Send::default(),
            records: 0,
            sent: Some(Send::default()),
            sending_since: since,
            ending: false,
        }
    }

    /// Waits for more bytes. What is unread moves to the front, so that a whole frame has room.
    pub(super) fn receive(&mut self, network: &mut impl Network) {
        assert!(
            !self.inbox.memory.is_empty(),
            "one receive is open at a time"
        );
        if self.closing {
            return;
        }
        let inbox = mem::take(&mut self.inbox);
        let Inbox {
            mut memory,
            start,
            end,
        } = inbox;
        memory.copy_within(start..end, 0);
        // At least half of it is free then, or it is as long as a whole frame and one byte will ever need.
        if end == memory.len() || end - start > memory.len() / 2 {
            memory.resize(INBOX_BYTES.min(2 * memory.len()), 0);
        }
        network.receive(
            self.id,
            Receive {
                memory,
                from: end - start,
            },
        );
    }

    /// Bytes came: the inbox is here again.
    pub(super) fn received(&mut self, receive: Receive, bytes: usize) {
        self.inbox = Inbox {
            memory: receive.memory,
            start: 0,
            end: receive.from + bytes,
        };
    }

    /// Takes the inbox, to be put back with [`Link::put_inbox`]; `None` while it is lent to the network.
    pub(super) fn take_inbox(&mut self) -> Option<Inbox> {
        (!self.inbox.memory.is_empty()).then(|| mem::take(&mut self.inbox))
    }

    /// Puts the inbox back.
    pub(super) fn put_inbox(&mut self, inbox: Inbox) {
        self.inbox = inbox;
    }

    /// Adds bytes to what goes out.
    pub(super) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.outbox.head.len();
        write(&mut self.outbox.head);
        let to = self.outbox.head.len();
        match self.outbox.parts.last_mut() {
            Some(Part::Head(range)) if range.end == from => range.end = to,
            Some(Part::Head(_) | Part::Records(_)) | None => {
                self.outbox.parts.push(Part::Head(from..to))
            }
        }
    }

    /// Adds records to what goes out.
    pub(super) fn push_records(&mut self, records: &mut Vec<Part>, bytes: usize) {
        self.records += bytes;
        self.outbox.parts.append(records);
    }

    /// Adds a copy of records to what goes out.
    pub(super) fn push_copy(&mut self, records: &[u8]) {
        self.records += records.len();
        self.push_head(|head| head.extend_from_slice(records));
    }

    /// Whether an append of full size can be added. While a send is open, none is: what waits behind it would hold memory,
    /// and gains nothing, for the next send leaves no sooner.
    pub(super) fn takes_records(&self) -> bool {
        !self.sending()
            && self.records < SEND_BYTES_FULL
            && self.outbox.parts.len() + APPEND_PARTS_MAX + 2 < Send::PARTS_MAX
    }

    /// Sends what has gathered, unless a send is open: one send a turn. Returns how many bytes a send has.
    pub(super) fn flush(&mut self, now: Time, network: &mut impl Network) -> Option<usize> {
        if self.closing || self.outbox.parts.is_empty() {
            return None;
        }
        let spare = self.sent.take()?;
        let send = mem::replace(&mut self.outbox, spare);
        let bytes = send.parts.iter().map(Part::len).sum();
        network.send(self.id, send);
        (self.records, self.sending_since) = (0, now);
        Some(bytes)
    }

    /// Whether a send is open.
    pub(super) fn sending(&self) -> bool {
        self.sent.is_none()
    }

    /// When the open send has taken too long.
    pub(super) fn sends_until(&self) -> Option<Time> {
        (self.sending() && !self.ending).then(|| self.sending_since.after(SEND_TIME))
    }

    /// A send is over.
    pub(super) fn sent(&mut self, mut send: Send) {
        send.clear();
        self.sent = Some(send);
    }

    /// Ends it: `Closed` will follow.
    pub(super) fn end(&mut self, network: &mut impl Network) {
        self.closing = true;
        if !mem::replace(&mut self.ending, true) {
            network.close(self.id);
        }
    }
}
