//! Subscriptions at the desk: what clients say of them, and the fetches that they make.
//!
//! Owns: when a subscription's fetch goes to the pipeline: while there is credit, room in flight, and a client that reads. Never:
//! what is pushed; that is the gate's. Called by: the reader, the pump and the writer.

use quorate_replication::gate::{No, SubscriptionId, Talk};
use quorate_replication::lane::{Answer, Ask};
use quorate_wire::ErrorCode;

use super::connection::{Connection, Phase};
use super::connections::{Holds, OpenRequest};
use super::desk::Desk;
use crate::clock;

/// A connection that has not taken this part of its output's bound is pushed nothing more until it has.
const PAUSED_AT: usize = 8;

impl Desk {
    /// A client says something of its subscriptions.
    pub(super) fn talk(&self, connection: &Connection, correlation: u64, talk: &Talk) {
        if self.is_closing() && matches!(talk, Talk::Subscribe(_)) {
            return self.refuse(connection, correlation, &stops());
        }
        self.send(connection, |output| {
            let mut subscriptions = connection.subscriptions.borrow_mut();
            subscriptions.hear(talk, correlation, clock::now(), output);
        });
        self.feed(connection);
    }

    /// The pipeline has answered a subscription's fetch.
    pub(super) fn fed(&self, connection: &Connection, id: u64, answer: &Answer) {
        self.send(connection, |output| {
            let mut subscriptions = connection.subscriptions.borrow_mut();
            subscriptions.answered(SubscriptionId(id), answer, clock::now(), output);
        });
        self.feed(connection);
    }

    /// Fetches for the subscriptions of a connection as far as they may. The caller kicks the lane.
    pub(super) fn feed(&self, connection: &Connection) {
        let most = self.limits.connection_output_bytes / PAUSED_AT;
        while connection.phase() == Phase::Open && connection.unsent() < most {
            let ready = connection.subscriptions.borrow().ready();
            let Some(id) = ready else { return };
            if self.has_room(connection, Holds::Push, 1).is_err() {
                return self.hunger(connection);
            }
            let ask = connection.subscriptions.borrow_mut().fetch(id);
            let request = OpenRequest {
                connection: connection.name,
                correlation: id.0,
                holds: Holds::Push,
                requests: 1,
                filter: None,
            };
            self.put(connection, request, Ask::Fetch(ask));
        }
    }

    /// There is no room for a subscription's fetch: it is tried again when an answer has given some.
    fn hunger(&self, connection: &Connection) {
        if !self.is_closing() && !connection.hungry.replace(true) {
            self.hungry.borrow_mut().push_back(connection.name);
        }
    }

    /// An answer has given room: who waits for some gets it.
    pub(super) fn feed_hungry(&self) {
        let Some(name) = self.hungry.borrow_mut().pop_front() else {
            return;
        };
        let connection = self.connections.borrow().get(name);
        if let Some(connection) = connection {
            connection.hungry.set(false);
            self.feed(&connection);
        }
    }

    /// Ends all subscriptions: the node stops.
    pub(super) fn end_subscriptions(&self) {
        let all: Vec<_> = self.connections.borrow().iter().cloned().collect();
        for connection in all {
            self.send(&connection, |output| {
                connection.subscriptions.borrow_mut().end(&stops(), output);
            });
        }
    }
}

fn stops() -> No {
    No::new(ErrorCode::ShuttingDown, "the node is about to stop")
}
