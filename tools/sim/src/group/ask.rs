//! What the world itself asks the nodes of a group: how they are, and what operators want.

use quorate_replication::lane::{Ask, Request, Ticket};
use quorate_wire::admin::AdminAsk;
use quorate_wire::{LogIndex, NodeId};

use super::{AUDIT, Group, OPERATOR, STATUS};

impl Group {
    pub(super) fn ask_statuses(&mut self) {
        let correlation = self.now.0;
        // As `quorate audit` does: a record that all have applied, as far as they have told.
        let applied = self.statuses.values().map(|(_, it)| it.commit_index.get());
        let behind = LogIndex(applied.min().unwrap_or(0));
        for node in self.nodes.iter_mut().filter(|node| node.runs()) {
            for (connection, ask) in [(STATUS, Ask::Status), (AUDIT, Ask::Audit(behind))] {
                let ticket = Ticket {
                    connection,
                    correlation,
                };
                let full = node.lanes.ask(Request { ticket, ask });
                assert!(full.is_ok(), "the lane has room");
            }
        }
    }

    /// An operator wants something of a node, if that runs.
    pub fn operate(&mut self, id: NodeId, ask: AdminAsk) {
        self.say(id, format_args!("is asked for {ask:?}"));
        self.operations += 1;
        let ticket = Ticket {
            connection: OPERATOR,
            correlation: self.operations,
        };
        let nodes = self.nodes.iter_mut();
        for node in nodes.filter(|node| node.id() == id && node.runs()) {
            let ask = Ask::Admin(ask);
            let full = node.lanes.ask(Request { ticket, ask });
            assert!(full.is_ok(), "the lane has room");
        }
    }
}
