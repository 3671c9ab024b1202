//! The links of a pipeline.

use std::os::fd::OwnedFd;

use quorate_replication::seam::LinkId;

use super::flight::Flight;
use super::ops::Token;

/// Most links.
pub(super) const LINKS_MAX: usize = 64;

/// Most dials open: one for each other member of the largest group.
pub(super) const DIALS_MAX: usize = quorate_wire::limits::MEMBERS_MAX;

/// Links that strangers who connect cannot take, so that this node can always dial.
const DIALLED: usize = 2 * DIALS_MAX;

const SLOT_BITS: u32 = 8;

const _: () = assert!(LINKS_MAX <= 1 << SLOT_BITS, "a link's id names its slot");
const _: () = assert!(DIALLED < LINKS_MAX, "peers can connect");

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) socket: OwnedFd,
    pub(super) send: Option<Token>,
    pub(super) receive: Option<Token>,
    /// It is shut down, and waits for its ops to come back. Invariant: a link that is closing and has no op is gone.
    pub(super) closing: bool,
}

/// All links, and the vectors of their sends.
pub(super) struct Links {
    slots: Vec<Option<Link>>,
    flights: Box<[Flight]>,
    born: u64,
}

impl Links {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..LINKS_MAX).map(|_| None).collect(),
            flights: (0..LINKS_MAX).map(|_| Flight::new()).collect(),
            born: 0,
        }
    }

    /// Adds a link that a stranger opened; `None`, and the socket is closed, if there are too many.
    pub(super) fn accept(&mut self, socket: OwnedFd) -> Option<LinkId> {
        let free = self.slots.iter().filter(|slot| slot.is_none()).count();
        if free <= DIALLED {
            return None;
        }
        self.insert(socket)
    }

    /// Adds a link; `None`, and the socket is closed, if there are too many.
    pub(super) fn insert(&mut self, socket: OwnedFd) -> Option<LinkId> {
        let slot = self.slots.iter().position(Option::is_none)?;
        self.born += 1;
        let number = u64::try_from(slot).expect("a slot is a small number");
        let id = LinkId(self.born << SLOT_BITS | number);
        self.slots[slot] = Some(Link {
            id,
            socket,
            send: None,
            receive: None,
            closing: false,
        });
        Some(id)
    }

    /// The slot of a link that is not closing.
    pub(super) fn find(&self, id: LinkId) -> Option<usize> {
        let slot = usize::try_from(id.0 & ((1 << SLOT_BITS) - 1)).ok()?;
        let link = self.slots.get(slot)?.as_ref()?;
        (link.id == id && !link.closing).then_some(slot)
    }

    /// The link in a slot that an op names.
    pub(super) fn link(&mut self, slot: usize) -> &mut Link {
        self.slots[slot].as_mut().expect("a link outlives its ops")
    }

    /// A link and its flight.
    pub(super) fn flight(&mut self, slot: usize) -> (&mut Link, &mut Flight) {
        let link = self.slots[slot].as_mut().expect("a link outlives its ops");
        (link, &mut self.flights[slot])
    }

    /// Removes the link if it is closing and has no op left.
    pub(super) fn bury(&mut self, slot: usize) -> Option<LinkId> {
        let link = self.slots[slot].as_ref()?;
        if !link.closing || link.send.is_some() || link.receive.is_some() {
            return None;
        }
        let id = link.id;
        self.slots[slot] = None;
        Some(id)
    }
}
