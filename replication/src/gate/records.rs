//! Records on their way to a reader, as the bytes that it gets.
//!
//! Owns: the layout of answers that carry records, and which records a filter lets through. Never: copies a record that is not
//! sent. Called by: the writer of answers.

use alloc::vec::Vec;

use quorate_wire::FrameKind;
use quorate_wire::client::FetchReply;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::Filter;
use super::answer::{frame, head};
use crate::lane::Fetched;

/// Writes the answer to a fetch to the end of `to`.
pub(super) fn write(
    fetched: &Fetched,
    correlation: u64,
    filter: Option<&Filter>,
    to: &mut Vec<u8>,
) {
    let kind = FrameKind::FetchReply;
    let reply = FetchReply {
        committed: U64::new(fetched.committed.0),
        start: U64::new(fetched.start.0),
        begin: U64::new(fetched.begin.0),
        next: U64::new(fetched.next.0),
    };
    let checked: &[&[u8]] = &[reply.as_bytes()];
    let records = &fetched.records;
    let Some(filter) = filter else {
        return frame(kind, correlation, checked, records, to);
    };
    let runs = filter.runs(records);
    let wanted: Vec<&[u8]> = runs
        .map(|run| records.get(run).unwrap_or_default())
        .collect();
    let bytes = wanted.iter().map(|run| run.len()).sum();
    head(kind, correlation, checked, bytes, to);
    wanted.iter().for_each(|run| to.extend_from_slice(run));
}
