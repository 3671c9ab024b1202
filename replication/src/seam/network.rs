//! Links to peers, as submit and complete. A link is an ordered byte stream both ways, as TCP gives it.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Range;

use quorate_wire::NodeId;

use crate::buffer::Slice;

/// Names a link from its birth to its `Closed` event; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Bytes to send: small ones in `head`, records where they lie. Comes back when it has been sent, for reuse.
#[derive(Debug, Default)]
pub struct Send {
    /// Frame headers and messages.
    pub head: Vec<u8>,
    /// What goes out, in order: at most [`Send::PARTS_MAX`] parts, none empty.
    pub parts: Vec<Part>,
}

impl Send {
    /// Most parts of one send.
    pub const PARTS_MAX: usize = 64;

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.head.clear();
        self.parts.clear();
    }
}

/// A piece of a [`Send`].
#[derive(Clone, Debug)]
pub enum Part {
    /// This range of `head`.
    Head(Range<usize>),
    /// These records.
    Records(Slice),
}

impl Part {
    /// How many bytes it is.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Head(range) => range.len(),
            Self::Records(slice) => slice.len(),
        }
    }

    /// Whether it is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory to receive into. Comes back with the bytes that came.
#[derive(Debug, Default)]
pub struct Receive {
    /// The memory; its length never changes.
    pub memory: Vec<u8>,
    /// Bytes are put from here on.
    pub from: usize,
}

/// Something that happened to a link.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A peer, not yet known which, has connected.
    Accepted {
        /// The new link.
        link: LinkId,
    },
    /// A connection that was asked for is there.
    Connected {
        /// Whom it leads to.
        peer: NodeId,
        /// The new link.
        link: LinkId,
    },
    /// A connection that was asked for did not come about.
    ConnectFailed {
        /// Whom it should have led to.
        peer: NodeId,
    },
    /// Bytes came: at least one.
    Received {
        /// From where.
        link: LinkId,
        /// The memory that was lent.
        receive: Receive,
        /// How many bytes are new, from `receive.from` on.
        bytes: usize,
    },
    /// All of a send is with the operating system; the link may send again.
    Sent {
        /// Where to.
        link: LinkId,
        /// For reuse.
        send: Send,
    },
    /// The link is gone, whoever ended it: no event of it follows, and no operation of it is open any more.
    Closed {
        /// Which.
        link: LinkId,
    },
}

/// A network. Each link has at most one send and one receive open.
pub trait Network {
    /// From now on, this is where a peer is.
    fn locate(&mut self, peer: NodeId, at: SocketAddr);

    /// Asks for a connection to a peer's address: answered by `Connected` or `ConnectFailed`. At most one open for a peer.
    fn connect(&mut self, peer: NodeId);

    /// Sends all of it, in order, however often the kernel takes only a part.
    fn send(&mut self, link: LinkId, send: Send);

    /// Waits for bytes.
    fn receive(&mut self, link: LinkId, receive: Receive);

    /// Ends a link: what was sent before may still arrive. `Closed` follows in any case, once.
    fn close(&mut self, link: LinkId);

    /// Moves what has happened to the end of `events`.
    fn happened(&mut self, events: &mut Vec<NetworkEvent>);
}
