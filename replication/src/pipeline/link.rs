//! One connection with a peer: bytes in, bytes out, and how far the greeting has come.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use quorate_wire::limits::FRAME_BODY_BYTES_MAX;
use quorate_wire::{DiskId, FRAME_HEADER_BYTES, NodeId, Time};

use super::config::APPEND_PARTS_MAX;
use crate::seam::{LinkId, Network, Part, Receive, Send};

/// Memory for what arrives: a whole frame, and the next one behind it.
const INBOX_BYTES: usize = 2 * (FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX);

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// Whom it leads to: known from the start if it was dialled, else once greeted.
    pub(super) peer: Option<NodeId>,
    /// The disk that it has shown.
    pub(super) disk: Option<DiskId>,
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
    /// Memory for the next send; absent while a send is open.
    sent: Option<Send>,
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
            up: false,
            dialled: peer.is_some(),
            since,
            closing: false,
            inbox: Inbox {
                memory: vec![0; INBOX_BYTES],
                start: 0,
                end: 0,
            },
            outbox: Send::default(),
            sent: Some(Send::default()),
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
    pub(super) fn push_records(&mut self, records: &mut Vec<Part>) {
        self.outbox.parts.append(records);
    }

    /// Whether an append of full size can be added.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.parts.len() + APPEND_PARTS_MAX + 2 < Send::PARTS_MAX
    }

    /// Sends what has gathered, unless a send is open: one send a turn.
    pub(super) fn flush(&mut self, network: &mut impl Network) {
        if self.closing || self.outbox.parts.is_empty() {
            return;
        }
        if let Some(spare) = self.sent.take() {
            let send = mem::replace(&mut self.outbox, spare);
            network.send(self.id, send);
        }
    }

    /// Whether a send is open.
    pub(super) fn sending(&self) -> bool {
        self.sent.is_none()
    }

    /// A send is over.
    pub(super) fn sent(&mut self, mut send: Send) {
        send.clear();
        self.sent = Some(send);
    }
}
