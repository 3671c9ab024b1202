//! Buffers that the kernel knows: it need not look up the pages of what is written from them, write after write.
//!
//! A buffer is registered when it is first written from, if this process may lock as much memory as it likes: else the shards, or
//! another node of the same user, might get too little of it. Owns: which buffer is in which slot, by names that no later buffer
//! gets; so a slot whose buffer is gone is not used until another one is registered there.

use quorate_replication::buffer::{Buffer, BufferName};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::ring::Ring;

/// Smaller ones are not worth it: they are written from once.
const BYTES_MIN: usize = 1 << 20;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Fixed {
    /// What is registered in each slot that was used.
    names: Vec<BufferName>,
    /// How many slots the ring has. Zero once the kernel has refused one.
    slots: usize,
    /// The slot that is used next, when all are.
    next: usize,
}

impl Fixed {
    /// Room for so many buffers.
    pub(super) fn new(slots: usize, ring: &Ring) -> Self {
        let slots = u16::try_from(slots).unwrap_or(u16::MAX);
        let has_slots = slots > 0 && may_lock() && ring.register_slots(slots.into()).is_ok();
        Self {
            names: Vec::new(),
            slots: if has_slots { slots.into() } else { 0 },
            next: 0,
        }
    }

    /// The slot of a buffer, which is registered if it was not; `None` if it is to be written from without.
    pub(super) fn slot(&mut self, buffer: &Buffer, ring: &Ring) -> Option<u16> {
        if self.slots == 0 || buffer.len() < BYTES_MIN {
            return None;
        }
        let name = buffer.name();
        let known = self.names.iter().position(|&it| it == name);
        let at = known.or_else(|| self.register(buffer, ring))?;
        Some(u16::try_from(at).expect("there are no more slots"))
    }

    fn register(&mut self, buffer: &Buffer, ring: &Ring) -> Option<usize> {
        let at = if self.names.len() < self.slots {
            self.names.len()
        } else {
            self.next
        };
        let slot = u16::try_from(at).expect("there are no more slots");
        if let Err(error) = ring.register(slot, buffer) {
            tracing::warn!("writes from memory that is not registered, which costs more: {error}");
            (self.slots, self.names) = (0, Vec::new());
            return None;
        }
        if at == self.names.len() {
            self.names.push(buffer.name());
        } else {
            self.names[at] = buffer.name();
            self.next = (at + 1) % self.slots;
        }
        Some(at)
    }
}

/// Whether this process may lock any amount of memory.
fn may_lock() -> bool {
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    unlimited
        || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}
