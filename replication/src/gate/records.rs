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
use super::answer::head;
use crate::lane::Fetched;

/// Writes the answer to a fetch to the end of `to`.
pub(super) fn write(
    fetched: &Fetched,
    correlation: u64,
    filter: Option<&Filter>,
    to: &mut Vec<u8>,
) {
    let wanted = wanted(fetched, filter);
    write_some(FrameKind::FetchReply, fetched, correlation, &wanted, to);
}

/// Writes a push to the end of `to`; one without records only if there is something to be `told` all the same. Returns how many
/// bytes of records it has, or `None` if there is no push.
pub(super) fn push(
    fetched: &Fetched,
    correlation: u64,
    filter: Option<&Filter>,
    told: bool,
    to: &mut Vec<u8>,
) -> Option<u64> {
    let wanted = wanted(fetched, filter);
    let bytes: usize = wanted.iter().map(|run| run.len()).sum();
    if bytes == 0 && !told {
        return None;
    }
    write_some(FrameKind::Push, fetched, correlation, &wanted, to);
    Some(u64::try_from(bytes).expect("an answer is bounded"))
}

/// The runs of records that are sent.
fn wanted<'r>(fetched: &'r Fetched, filter: Option<&Filter>) -> Vec<&'r [u8]> {
    let records = &fetched.records;
    filter.map_or_else(
        || alloc::vec![records.as_ref()],
        |filter| {
            let runs = filter.runs(records);
            runs.map(|run| records.get(run).unwrap_or_default())
                .collect()
        },
    )
}

fn write_some(
    kind: FrameKind,
    fetched: &Fetched,
    correlation: u64,
    wanted: &[&[u8]],
    to: &mut Vec<u8>,
) {
    let reply = FetchReply {
        committed: U64::new(fetched.committed.0),
        start: U64::new(fetched.start.0),
        begin: U64::new(fetched.begin.0),
        next: U64::new(fetched.next.0),
    };
    let bytes = wanted.iter().map(|run| run.len()).sum();
    head(kind, correlation, &[reply.as_bytes()], bytes, to);
    wanted.iter().for_each(|run| to.extend_from_slice(run));
}
