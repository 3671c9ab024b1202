//! The seam: everything that the pipeline asks of the world, as submit and complete. Nothing here blocks or calls back.
//!
//! The engine implements it over one io_uring, the simulator over a virtual disk and network; both pass the same contract
//! suites.

mod files;
mod network;
mod storage;

use quorate_wire::Time;

pub use files::{Files, FilesError};
pub use network::{LinkId, Network, NetworkEvent, Part, Receive, Send};
pub use storage::{
    FileId, OpId, Pace, SegmentId, SnapshotId, Storage, StorageDone, StorageError, StorageOp,
    StorageOutcome,
};

use crate::lane::{Reply, Request, ShardId};

/// What time it is.
pub trait Clock {
    /// The monotonic clock: never goes back. All deadlines are on it.
    fn now(&self) -> Time;

    /// Nanoseconds since 1970, as good as the host knows it: may jump either way.
    fn wall(&self) -> u64;
}

/// The lanes between this pipeline and the shards: bounded, one producer and one consumer each.
pub trait Lanes {
    /// The next request of any shard, fairly among them; `None` if there is none now.
    fn take(&mut self) -> Option<(ShardId, Request)>;

    /// Answers. A shard has never more requests open than its reply lane has room for, so this cannot fail. The shard is
    /// woken, if it sleeps, at the end of the turn.
    fn put(&mut self, shard: ShardId, reply: Reply);
}

/// All of it. The pipeline is handed one at each turn.
pub trait Seam: Clock + Storage + Network + Lanes {}

impl<T: Clock + Storage + Network + Lanes> Seam for T {}
