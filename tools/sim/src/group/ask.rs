//! What the world itself asks the nodes of a group: how they are, how the consumer group stands, and what operators want.

use quorate_replication::lane::{
    Answer, Ask, Chunks, FetchAsk, List, Listed, NamedAsk, Reply, Request, Ticket,
};
use quorate_replication::state::MemberList;
use quorate_wire::admin::AdminAsk;
use quorate_wire::client::{Consistency, ReadFrom};
use quorate_wire::{Command, ErrorCode, LogIndex, NodeId, Time};

use super::{AUDIT, Group, LIST, OPERATOR, STATUS};
use crate::member::consumer_group;
use crate::node::Node;
use crate::operator;

impl Group {
    pub(super) fn ask_statuses(&mut self) {
        let correlation = self.now.0;
        // As `quorate audit` does: a record that all have applied, as far as they have told.
        let applied = self.statuses.values().map(|(_, it)| it.commit_index.get());
        let behind = LogIndex(applied.min().unwrap_or(0));
        if self.options.members > 0 {
            self.oracle.members().lists(self.now);
        }
        for node in self.nodes.iter_mut().filter(|node| node.runs()) {
            let list = NamedAsk::Groups(List {
                names: Listed::One(consumer_group()),
                linearizable: true,
            });
            let list = (LIST, Ask::Named(Box::new(list)));
            let asks = [(STATUS, Ask::Status), (AUDIT, Ask::Audit(behind))];
            let lists = (self.options.members > 0).then_some(list);
            for (connection, ask) in asks.into_iter().chain(lists) {
                let ticket = Ticket {
                    connection,
                    correlation,
                    chunks: Chunks::ONE,
                };
                let full = node.lanes.ask(Request { ticket, ask });
                assert!(full.is_ok(), "the lane has room");
            }
        }
    }

    /// Who belongs to the group, as the leader knows; nobody while there is none.
    #[must_use]
    pub fn roster(&self) -> MemberList {
        let leader = self.leader();
        let node = self.nodes.iter().find(|node| Some(node.id()) == leader);
        let pipeline = node.and_then(Node::pipeline);
        pipeline.map_or_else(MemberList::default, |pipeline| pipeline.members().clone())
    }

    /// The nodes that belong to the group, and that no operator wanted to go. Without spare nodes, all.
    #[must_use]
    pub fn staying(&self) -> Vec<NodeId> {
        let roster = self.roster();
        let stays = |id: &NodeId| {
            let member = roster.entry(*id).is_some() || self.options.spare == 0;
            member && !self.leaving.contains(id)
        };
        self.names().into_iter().filter(stays).collect()
    }

    /// Whether what the operator wanted last is done, or why it was refused; `None` before it is told.
    #[must_use]
    pub fn operated(&self) -> Option<Result<(), ErrorCode>> {
        self.operated
    }

    /// An operator wants something of a node, if that runs.
    pub fn operate(&mut self, id: NodeId, ask: AdminAsk) {
        if let AdminAsk::Change(change) = &ask {
            self.leaving.extend(operator::takes(change));
        }
        self.request(id, Ask::Admin(Box::new(ask)));
    }

    /// An operator has the consumer group forgotten, by the leader if there is one.
    pub fn forget(&mut self, else_by: NodeId) {
        self.oracle.members().ends();
        let name = consumer_group();
        let delete = NamedAsk::Command(Command::DeleteGroup { name });
        let by = self.leader().unwrap_or(else_by);
        self.request(by, Ask::Named(Box::new(delete)));
    }

    /// An operator reads what a node has from its beginning.
    pub fn look(&mut self, id: NodeId) {
        let fetch = FetchAsk {
            from: ReadFrom::Start,
            consistency: Consistency::Any,
            bytes_max: 1,
            wait: 0,
        };
        self.request(id, Ask::Fetch(fetch));
    }

    fn request(&mut self, id: NodeId, ask: Ask) {
        self.say(id, format_args!("is asked for {ask:?}"));
        self.operations += 1;
        self.operated = None;
        let ticket = Ticket {
            connection: OPERATOR,
            correlation: self.operations,
            chunks: Chunks::ONE,
        };
        let mut nodes = self.nodes.iter_mut();
        if let Some(node) = nodes.find(|node| node.id() == id && node.runs()) {
            let full = node.lanes.ask(Request { ticket, ask });
            assert!(full.is_ok(), "the lane has room");
        }
    }

    /// A node has answered somebody.
    pub(super) fn reply(&mut self, node: NodeId, reply: Reply) {
        if reply.ticket.connection == OPERATOR {
            if reply.ticket.correlation == self.operations {
                self.operated = Some(if let Answer::Refused(refusal) = reply.answer {
                    Err(refusal.code)
                } else {
                    Ok(())
                });
            }
            return;
        }
        if reply.ticket.connection == LIST {
            let asked = Time(reply.ticket.correlation);
            return self.oracle.members().listed(asked, &reply.answer);
        }
        if ![STATUS, AUDIT].contains(&reply.ticket.connection) {
            let oracle = &mut self.oracle;
            return self.clients.reply(node, &reply, self.now, oracle);
        }
        if let Answer::Audited(reply) = &reply.answer {
            return self.oracle.audited(node, reply);
        }
        let Answer::Status(status) = reply.answer else {
            panic!("a question is answered by {:?}", reply.answer);
        };
        let asked = self.nodes.iter().find(|known| known.id() == node);
        if let Some(pipeline) = asked.and_then(Node::pipeline) {
            self.oracle.asked(node, pipeline);
        }
        self.statuses
            .insert(node, (Time(reply.ticket.correlation), *status));
    }
}
