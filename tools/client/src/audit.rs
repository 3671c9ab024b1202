//! What a node's log amounts to: for holding nodes against each other.

use std::time::Duration;

use quorate_wire::audit::{Audit, AuditReply};
use quorate_wire::{FrameError, FrameKind, LogIndex};
use zerocopy::FromBytes;

use crate::ClientError;
use crate::conversation::ask_once;

/// What a node says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The last record that it has applied.
    pub applied: LogIndex,
    /// The record that was asked about.
    pub index: LogIndex,
    /// What the log amounts to there, if the node knows: of equal logs, equal.
    pub mark: Option<AuditMark>,
}

/// What a log amounts to at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditMark {
    /// Digest of the state.
    pub digest: u64,
    /// The record's checksum, and with it the whole chain's before it.
    pub header_crc: u32,
}

/// Asks the node at `address` what its log amounts to at a record; at the last one that it has applied, if `index` is 0.
///
/// # Errors
/// It does not answer within `timeout`, refuses, or does not speak the protocol.
pub fn audit(address: &str, index: LogIndex, timeout: Duration) -> Result<Audited, ClientError> {
    let audit = Audit {
        index: index.0.into(),
    };
    let question = (FrameKind::Audit, audit);
    ask_once(
        address,
        &question,
        FrameKind::AuditReply,
        timeout,
        |frame, _| {
            let reply =
                AuditReply::ref_from_bytes(frame.message).map_err(|_| FrameError::Invalid {
                    what: "the answer to an audit is cut",
                })?;
            let mark = AuditMark {
                digest: reply.digest.get(),
                header_crc: reply.header_crc.get(),
            };
            Ok(Audited {
                applied: LogIndex(reply.applied.get()),
                index: LogIndex(reply.index.get()),
                mark: (reply.known != 0).then_some(mark),
            })
        },
    )
}
