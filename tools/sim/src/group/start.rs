//! How a group's nodes start, and start again.

use quorate_replication::pipeline::{Depth, Reopen, StartError, Started};
use quorate_wire::NodeId;

use super::Group;

impl Group {
    /// How many segments its nodes have passed over when they started, since a snapshot had what was in them.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// How many segments that lay ready they have not read when they started, since the process before had been asked to stop.
    #[must_use]
    pub fn ready_unread(&self) -> usize {
        self.ready_unread
    }

    /// Whoever starts from now on reads its log in the background from end to end.
    pub fn scrub(&mut self) {
        self.options.scrub = self.options.scrub.max(1 << 20);
    }

    /// Starts a node.
    ///
    /// # Errors
    /// Its pipeline does not start.
    pub fn start(&mut self, id: NodeId) -> Result<(), StartError> {
        self.recover(id, Depth::BehindSnapshot)
    }

    fn recover(&mut self, id: NodeId, depth: Depth) -> Result<(), StartError> {
        let (options, now) = (self.options, self.now);
        let started = self.node(id).start(&options, depth, now)?;
        self.network.start(id);
        self.clients.start(id);
        let node = self.nodes.iter().find(|known| known.id() == id);
        if let Some(node) = node {
            self.oracle.started(id, node.disk.disk());
        }
        let Started {
            formatted,
            last,
            passed,
            ready_unread,
            cut,
            damaged,
            holes,
            ..
        } = started;
        let how = if formatted { "fresh" } else { "again" };
        match cut {
            Some(cut) => self.say(id, format_args!("starts {how}: last {last}, cut {cut:?}")),
            None => self.say(id, format_args!("starts {how}: last {last}")),
        }
        if passed > 0 {
            self.passed += passed;
            self.say(id, format_args!("passes over {passed} segments"));
        }
        if ready_unread > 0 {
            self.ready_unread += ready_unread;
            self.say(
                id,
                format_args!("leaves {ready_unread} segments unread that lie ready"),
            );
        }
        if let Some(damaged) = damaged {
            self.say(id, format_args!("has {holes} holes: {damaged:?}"));
        }
        Ok(())
    }

    /// A node's pipeline is over, and another one follows on the same files.
    pub(super) fn reopen(&mut self, id: NodeId, why: Reopen) {
        self.say(id, format_args!("reopens: {why}"));
        self.reopened.push((id, why));
        self.node(id).close();
        self.network.crash(id, false);
        self.clients.crash(id, false, self.now);
        self.statuses.remove(&id);
        if let Err(error) = self.recover(id, why.depth()) {
            panic!("node {id} does not reopen: {error}");
        }
    }
}
