//! The op table: what the kernel works on, from submission to completion.

use std::os::fd::OwnedFd;

use quorate_replication::buffer::{Buffer, Slice};
use quorate_replication::seam::{FileId, OpId, Receive, Send};
use quorate_wire::NodeId;
use socket2::SockAddr;

use super::links::{DIALS_MAX, LINKS_MAX};

/// Most storage operations open: what the seam allows.
pub(super) const STORAGE_MAX: usize = 64;

/// Room for all that may be open: storage, a send and a receive a link, dials, the listener, the bell.
pub(super) const OPS_MAX: u32 = 256;

const _: () = assert!(
    STORAGE_MAX + 2 * LINKS_MAX + DIALS_MAX + 2 <= OPS_MAX as usize,
    "every op finds a slot"
);

/// Names an op to the kernel: its slot, and the slot's generation, so that a late completion cannot hit the slot's next op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    /// Names an entry whose completion says nothing: a cancellation.
    pub(super) const NONE: Self = Self {
        slot: u32::MAX,
        generation: u32::MAX,
    };

    pub(super) fn from_user_data(user_data: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("it is masked");
        Self {
            slot: half(user_data),
            generation: half(user_data >> 32),
        }
    }

    pub(super) fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// An operation that the kernel has, with the memory that it works on.
#[derive(Debug)]
pub(super) enum Op {
    /// Reads the bell's count.
    Wake { count: Box<[u8; 8]> },
    /// Takes connections, one after another.
    Accept,
    /// Connects.
    Connect {
        peer: NodeId,
        socket: OwnedFd,
        #[expect(dead_code, reason = "the kernel reads it")]
        address: Box<SockAddr>,
    },
    /// Receives from a link.
    Receive { link: usize, receive: Receive },
    /// Sends on a link; `left` bytes of it are not yet with the kernel. Its vectors are the link's flight.
    Send {
        link: usize,
        send: Send,
        left: usize,
    },
    /// Writes to a file.
    Write {
        id: OpId,
        file: FileId,
        bytes: Slice,
    },
    /// Reads from a file.
    Read {
        id: OpId,
        file: FileId,
        length: usize,
        into: Buffer,
    },
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    op: Option<Op>,
}

/// The table. It never grows.
#[derive(Debug)]
pub(super) struct Ops {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Ops {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..OPS_MAX)
                .map(|_| Slot {
                    generation: 0,
                    op: None,
                })
                .collect(),
            free: (0..OPS_MAX).rev().collect(),
        }
    }

    pub(super) fn insert(&mut self, op: Op) -> Token {
        let slot = self.free.pop().expect("every op finds a slot");
        let place = self.place(slot).expect("free slots are in the table");
        assert!(place.op.is_none(), "a free slot is empty");
        place.op = Some(op);
        Token {
            slot,
            generation: place.generation,
        }
    }

    /// The op of a token; `None` if it is over.
    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Op> {
        let place = self.place(token.slot)?;
        if place.generation == token.generation {
            place.op.as_mut()
        } else {
            None
        }
    }

    /// Takes an op that has completed.
    pub(super) fn remove(&mut self, token: Token) -> Option<Op> {
        let place = self.place(token.slot)?;
        if place.generation != token.generation {
            return None;
        }
        let op = place.op.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.slot);
        Some(op)
    }

    /// How many ops the kernel has.
    pub(super) fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The tokens of all open ops.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| {
            place.op.as_ref().map(|_| Token {
                slot,
                generation: place.generation,
            })
        })
    }

    fn place(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{OPS_MAX, Op, Ops, Token};

    #[test]
    fn a_late_completion_does_not_hit_the_slots_next_op() {
        let mut ops = Ops::new();
        let first = ops.insert(Op::Accept);
        assert!(ops.remove(first).is_some());
        let second = ops.insert(Op::Accept);
        assert_ne!(first, second);
        assert!(ops.get_mut(first).is_none());
        assert!(ops.remove(first).is_none());
        assert!(ops.remove(Token::NONE).is_none());
        assert_eq!(ops.open(), 1);
        assert!(ops.remove(second).is_some());
        assert_eq!(ops.open(), 0);
    }

    #[test]
    fn a_token_survives_the_kernel() {
        let mut ops = Ops::new();
        for _ in 0..3 * OPS_MAX {
            let token = ops.insert(Op::Accept);
            assert_eq!(Token::from_user_data(token.user_data()), token);
            assert_eq!(ops.tokens().collect::<Vec<_>>(), [token]);
            assert!(ops.remove(token).is_some());
        }
        assert_eq!(Token::from_user_data(Token::NONE.user_data()), Token::NONE);
    }
}
