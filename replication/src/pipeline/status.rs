//! How the node is, for whoever asks.

use alloc::boxed::Box;

use quorate_raft::RoleName;
use quorate_wire::LogIndex;
use quorate_wire::audit::AuditReply;
use quorate_wire::client::StatusReply;
use zerocopy::little_endian::{U32, U64};

use super::Pipeline;
use crate::seam::SnapshotId;

impl Pipeline {
    /// What the log amounted to at this record; at the last applied one, if it is zero.
    pub(super) fn audited(&self, index: LogIndex) -> Box<AuditReply> {
        let applied = self.state.applied();
        let index = if index.0 == 0 { applied } else { index };
        let mark = self.state.mark(index);
        Box::new(AuditReply {
            index: U64::new(index.0),
            applied: U64::new(applied.0),
            digest: U64::new(mark.map_or(0, |mark| mark.digest)),
            header_crc: U32::new(mark.map_or(0, |mark| mark.header_crc)),
            known: u8::from(mark.is_some()),
            reserved: [0; 3],
        })
    }

    /// How the node is now.
    pub(super) fn status(&self) -> Box<StatusReply> {
        let view = self.view();
        let raft = self.raft.as_ref();
        let idle = if self.repair.is_some() { 4 } else { 0 };
        let role = raft.map_or(idle, |raft| match raft.role() {
            RoleName::Follower => 1,
            RoleName::Candidate => 2,
            RoleName::Leader => 3,
        });
        let (snapshot, snapshot_bytes) = self.log.newest_snapshot().unwrap_or((SnapshotId(0), 0));
        let peers_up = self.links.iter().filter(|link| link.up).count();
        Box::new(StatusReply {
            cluster: self.config.cluster.to_bytes(),
            node: U32::new(self.config.node.0),
            leader: U32::new(self.leader().map_or(0, |leader| leader.0)),
            term: U64::new(view.term.0),
            last_index: U64::new(view.last.0),
            durable_index: U64::new(view.durable.0),
            commit_index: U64::new(view.applied.0),
            committed: U64::new(view.committed.0),
            digest: U64::new(view.digest),
            log_bytes: U64::new(self.log.bytes()),
            producers: U64::new(u64::try_from(self.state.producers()).expect("a count fits")),
            start_index: U64::new(self.log.start().0),
            start_offset: U64::new(self.log.start_offset().0),
            ready_bytes: U64::new(self.log.ready_bytes()),
            snapshot_index: U64::new(snapshot.0),
            snapshot_bytes: U64::new(snapshot_bytes),
            writes: U64::new(self.counts.writes),
            written_records: U64::new(self.counts.written_records),
            written_bytes: U64::new(self.counts.written_bytes),
            commit_p99: U64::new(self.catch_up.governor.p99().unwrap_or(0)),
            catch_up_bytes: U64::new(self.catch_up.governor.rate().unwrap_or(0)),
            process: U32::new(self.config.process),
            role,
            serves: u8::from(view.serves),
            peers_up: u8::try_from(peers_up).unwrap_or(u8::MAX),
            edition: self.state.edition().0,
            build: self.config.edition.0,
            priority: self.config.priority,
            reserved: [0; 6],
        })
    }
}
