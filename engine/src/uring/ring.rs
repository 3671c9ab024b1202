//! One io_uring: entries in, completions out.

use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::ops::{OPS_MAX, Token};

/// Entries between two system calls: each op once, and once its cancellation.
const SUBMISSIONS: u32 = 2 * OPS_MAX;

/// More than ops and cancellations can complete between two looks: the kernel need never put a completion aside.
const COMPLETIONS: u32 = 4 * OPS_MAX;

/// What the driver asks the kernel to do.
const OPCODES: [(u8, &str); 8] = [
    (opcode::Read::CODE, "READ"),
    (opcode::Write::CODE, "WRITE"),
    (opcode::WriteFixed::CODE, "WRITE_FIXED"),
    (opcode::Recv::CODE, "RECV"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::AcceptMulti::CODE, "ACCEPT"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
];

/// What became of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    /// A count, a descriptor, or a negated error number.
    pub(super) result: i32,
    /// The entry will complete again.
    pub(super) more: bool,
}

/// The ring. Made on any thread; the first that waits on it is its only issuer from then on.
pub(super) struct Ring {
    uring: IoUring,
    enabled: bool,
}

impl Ring {
    /// # Errors
    /// The kernel refuses.
    pub(super) fn new() -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        assert!(
            uring.params().is_feature_nodrop() && uring.params().is_feature_ext_arg(),
            "a kernel with deferred task work has had these for long"
        );
        Ok(Self {
            uring,
            enabled: false,
        })
    }

    /// Makes the calling thread the issuer. True the first time.
    pub(super) fn enable(&mut self) -> io::Result<bool> {
        if self.enabled {
            return Ok(false);
        }
        self.uring.submitter().register_enable_rings()?;
        self.enabled = true;
        Ok(true)
    }

    /// Whether the kernel may have seen an entry.
    pub(super) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Makes room for registered buffers: one in each slot.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn register_slots(&self, slots: u32) -> io::Result<()> {
        self.uring.submitter().register_buffers_sparse(slots)
    }

    /// Registers memory in a slot, in the place of what was registered there: its pages stay in memory until something else is.
    ///
    /// # Errors
    /// The process may not lock so much memory, or the kernel has none for it.
    pub(super) fn register(&self, slot: u16, memory: &[u8]) -> io::Result<()> {
        let vector = libc::iovec {
            iov_base: memory.as_ptr().cast_mut().cast(),
            iov_len: memory.len(),
        };
        let submitter = self.uring.submitter();
        // SAFETY: the memory is there now, and the kernel holds on to its pages by itself. Once it is freed nobody names this
        // slot any more: see `Fixed`.
        unsafe { submitter.register_buffers_update(slot.into(), &[vector], None) }
    }

    /// Adds an entry, to be submitted by the next [`Ring::enter`].
    ///
    /// # Safety
    /// What the entry points to stays where it is, and is not touched, until the entry has completed.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's promise is the one asked for here.
        let pushed = unsafe { self.uring.submission().push(entry) };
        assert!(
            pushed.is_ok(),
            "the queue has room for all ops and their cancellations"
        );
    }

    /// Submits what was pushed, and lets the kernel hand over what has completed. Makes no system call if there is neither.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        let queue = self.uring.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if idle {
            return Ok(());
        }
        forgive(self.uring.submit())
    }

    /// Submits what was pushed and sleeps until something completes, or for this long.
    pub(super) fn submit_and_sleep(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let Some(limit) = limit else {
            return forgive(self.uring.submit_and_wait(1));
        };
        let limit = Timespec::from(limit);
        let args = SubmitArgs::new().timespec(&limit);
        forgive(self.uring.submitter().submit_with_args(1, &args))
    }

    /// Whether there are completions to be reaped.
    ///
    /// The kernel's flag for work that it will do at the next system call is not asked: it can be left standing where none is to
    /// be done, and whoever took that for news would never sleep.
    pub(super) fn has_completed(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// Moves all completions to the end of `into`.
    pub(super) fn reap(&mut self, into: &mut Vec<Completion>) {
        into.extend(self.uring.completion().map(|entry| Completion {
            token: Token::from_user_data(entry.user_data()),
            result: entry.result(),
            more: cqueue::more(entry.flags()),
        }));
    }
}

/// A wait that ended by its deadline or by a signal is no failure; nor is a kernel short of memory, which took nothing, or
/// wants completions reaped first: the entries are still in the queue.
fn forgive(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Why this host gives no ring that the driver can use.
#[derive(Debug)]
pub(crate) enum RingError {
    /// It gives none at all, or none with these flags.
    Setup(io::Error),
    /// It cannot be asked what it can do.
    Probe(io::Error),
    /// It cannot do this.
    Lacks(&'static str),
}

/// Makes a ring as the driver would, asks whether it can do all that the driver needs, and drops it.
pub(crate) fn probe_ring() -> Result<(), RingError> {
    let ring = Ring::new().map_err(RingError::Setup)?;
    let mut probe = io_uring::Probe::new();
    let submitter = ring.uring.submitter();
    // A ring that is not yet enabled takes registrations from any thread.
    submitter
        .register_probe(&mut probe)
        .map_err(RingError::Probe)?;
    let lacking = OPCODES
        .iter()
        .find(|(code, _)| !probe.is_supported(*code))
        .map(|(_, name)| *name);
    lacking.map_or(Ok(()), |name| Err(RingError::Lacks(name)))
}
