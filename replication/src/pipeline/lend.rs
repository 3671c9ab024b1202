//! Records for a peer whose disk has lost them: whatever this node's own disk has, whoever leads.
//!
//! Called by: the peers' conversations. Never: has more than one read open for a peer.

use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::peer::{RepairMessage, RepairReplyMessage};
use quorate_wire::{Frame, FrameError, FrameHeader, FrameKind, LogIndex, NodeId};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use super::Pipeline;
use crate::log::{From, Read};
use crate::seam::Seam;

/// Whom an answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lend {
    pub(super) peer: NodeId,
    pub(super) correlation: u64,
    pub(super) first: LogIndex,
}

impl Pipeline {
    /// A peer asks for what it lacks, or gives what this node lacks: nothing of it is Raft's.
    pub(super) fn on_help(
        &mut self,
        peer: NodeId,
        frame: &Frame<'_>,
        seam: &mut impl Seam,
    ) -> Result<(), FrameError> {
        let correlation = frame.header.correlation;
        if let Ok(asked) = RepairMessage::read_from_bytes(frame.message)
            && frame.header.kind == FrameKind::Repair
        {
            return self.on_repair(peer, correlation, &asked);
        }
        if let Ok(reply) = RepairReplyMessage::read_from_bytes(frame.message)
            && frame.header.kind == FrameKind::RepairReply
        {
            self.on_repair_reply(peer, correlation, &reply, frame.tail, seam);
            return Ok(());
        }
        self.on_snapshot_frame(peer, frame, seam.now(), seam)
    }

    /// A peer asks for records.
    fn on_repair(
        &mut self,
        peer: NodeId,
        correlation: u64,
        asked: &RepairMessage,
    ) -> Result<(), FrameError> {
        let (first, last) = (LogIndex(asked.first.get()), LogIndex(asked.last.get()));
        if first == LogIndex(0) || last < first {
            return Err(FrameError::Invalid {
                what: "the records that are asked for begin at 1 or above, and end behind their beginning",
            });
        }
        let bytes = usize::try_from(asked.bytes_max.get()).expect("32 bits fit into a size");
        if self.fetches.lends_to(peer) {
            return Ok(());
        }
        let lend = Lend {
            peer,
            correlation,
            first,
        };
        let read = Read {
            token: 0,
            from: From::Index(first),
            through: last,
            bytes_max: bytes.min(RECORDS_BYTES_MAX),
            one_term: false,
        };
        self.catch_up.ask(lend, read);
        Ok(())
    }

    /// Answers, if the peer is still there.
    pub(super) fn lend(&mut self, lend: Lend, records: &[u8]) {
        let unsure = self.raft.as_ref().is_some_and(quorate_raft::Raft::unsure);
        // Who is no member any more stands for nobody, whatever it has.
        let whole = self.repair.is_none() && !unsure && !self.cast_out;
        let message = RepairReplyMessage {
            first: U64::new(lend.first.0),
            whole: u8::from(whole),
            reserved: [0; 7],
            start: U64::new(self.log.start().0),
        };
        let mut links = self.links.iter_mut();
        let Some(link) = links.find(|link| link.up && link.peer == Some(lend.peer)) else {
            return;
        };
        let (kind, body) = (FrameKind::RepairReply, [message.as_bytes()]);
        let group = self.config.group;
        let header = FrameHeader::seal(kind, lend.correlation, group, &body, records.len());
        link.push_head(|head| {
            head.extend_from_slice(&header);
            head.extend_from_slice(message.as_bytes());
        });
        link.push_copy(records);
    }
}
