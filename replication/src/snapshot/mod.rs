//! A snapshot of the replicated state: what all records up to one index amount to, as one file.
//!
//! ```text
//!   |header|piece|piece|....|piece|end|zeros up to a block|
//! ```
//! A *piece* holds entries of one section of the state, and may be read by itself; sections know nothing of each other, and their
//! pieces may come in any order. Owns: the format. Never: knows what an entry means, or where the file is. Called by: the state,
//! which writes and reads entries; the pipeline, which moves the bytes. The specification is `docs/log-format.md`.

mod error;
mod format;
mod reader;
mod writer;

pub use error::SnapshotError;
pub use format::{COUNT_MAX, HEADER_BYTES, Header, SNAPSHOT_MAGIC, Section};
pub use reader::{Checker, Piece, Pieces};
pub use writer::Writer;
