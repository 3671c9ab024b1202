//! The log on the disk: segments, superblock, recovery, and reading back.

mod replay;

pub use replay::Replay;
