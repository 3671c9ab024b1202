//! What a pipeline runs on: disk, peers, lanes and clocks over one raw io_uring, one system call a turn, and one more where a
//! write begins.
//!
//! ```text
//!             +--------------------------- Driver ----------------------------+
//!  pipeline   |  submit, connect, send, receive --> op table --> ring --------|--> kernel
//!    turn  -->|  completed, happened  <-- done, events <-- reap <-- ring <----|--- kernel
//!             |  take, put  <--> lanes             eventfd (wake) ---> ring   |
//!             +---------------------------------------------------------------+
//! ```
//!
//! Owns: the ring, all descriptors of a pipeline, the memory that the kernel works on. Never: decides anything, blocks but
//! in [`Driver::wait`]. Called by: the pipeline's thread, and by no other once it has begun to wait.
//!
//! **The safety argument.** All unsafe code of the crate is in this folder. Whatever the kernel reads or writes lies on the
//! heap and is owned by an op in the op table, from before its entry is pushed until its completion was reaped; moving the
//! op moves pointers, not what they point to. Registered buffers are used by writes only whose op owns them. A driver that is
//! dropped cancels its ops and waits for them; if it cannot, it leaks their memory rather than free it under the kernel.
#![expect(
    unsafe_code,
    reason = "submission entries carry raw addresses; each block says why they hold"
)]

mod dials;
mod driver;
mod fill;
mod fixed;
mod flight;
mod links;
mod map;
mod network;
mod open_files;
mod ops;
mod prepare;
mod ring;
mod run;
mod storage;

pub use self::driver::{Driver, DriverOptions};
pub use self::run::{Ended, Stopped, run};

pub(crate) use self::map::{let_go, map};
pub(crate) use self::ring::{RingError, probe_ring};
