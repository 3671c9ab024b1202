//! Waiting until nodes are as they should be.

use std::thread;
use std::time::{Duration, Instant};

use quorate_client::{NodeId, Role, Status};

use super::super::LocalError;
use super::{Local, STATUS_WITHIN, log_tail};

/// How long a loop that waits for nodes rests between two looks.
const REST: Duration = Duration::from_millis(10);

impl Local {
    /// Waits until a leader takes events, and returns how it is. It may be a node of the group that is not of this cluster.
    ///
    /// # Errors
    /// A node ends, or there is none in time.
    pub fn wait_serving(&mut self, within: Duration) -> Result<Status, LocalError> {
        self.wait_for("a leader that serves", within, |local| {
            let leads = |status: &Status| status.role == Role::Leader && status.serves;
            let statuses = local.statuses();
            let elsewhere = || local.leader_elsewhere(&statuses);
            let here = statuses.iter().find(|status| leads(status)).cloned();
            here.or_else(elsewhere).filter(leads)
        })
    }

    /// How the leader is that nodes of this cluster follow, if it is none of them.
    fn leader_elsewhere(&self, statuses: &[Status]) -> Option<Status> {
        let own = self.nodes();
        statuses.iter().find_map(|status| {
            let leader = status.leader.filter(|leader| !own.contains(leader))?;
            let (_, address) = status.nodes.iter().find(|(node, _)| *node == leader)?;
            quorate_client::status(address, STATUS_WITHIN).ok()
        })
    }

    /// Waits until a leader takes events and is connected with all other nodes, and returns how it is.
    ///
    /// # Errors
    /// A node ends, or there is none in time.
    pub fn wait_complete(&mut self, within: Duration) -> Result<Status, LocalError> {
        let others = self.spec.configs.len() - 1;
        self.wait_for(
            "a leader that serves and is connected with all others",
            within,
            |local| {
                let leads = |status: &Status| {
                    status.role == Role::Leader
                        && status.serves
                        && usize::from(status.peers_up) == others
                };
                local.statuses().into_iter().find(leads)
            },
        )
    }

    /// Waits until a node's own disk has all that the leader has committed by now.
    ///
    /// # Errors
    /// A node ends, or it does not catch up in time.
    pub fn wait_caught_up(&mut self, node: NodeId, within: Duration) -> Result<(), LocalError> {
        let goal = self.wait_serving(within)?.commit_index;
        self.wait_for("a node that has caught up", within, |local| {
            let status = local.status(node).ok()?;
            (status.durable_index >= goal).then_some(())
        })
    }

    /// Waits until all nodes have committed the same record, have it on their own disks, and none has a later one; returns how
    /// they are. Holds only when nobody produces. (A leader may commit on its followers' disks before its own has the record.)
    ///
    /// # Errors
    /// A node ends, or they do not agree in time.
    pub fn wait_settled(&mut self, within: Duration) -> Result<Vec<Status>, LocalError> {
        self.wait_for("the same log on all disks", within, |local| {
            let statuses = local.statuses();
            let commit = statuses.first()?.commit_index;
            let settled = statuses.len() == local.spec.configs.len()
                && statuses.iter().all(|status| {
                    [status.commit_index, status.durable_index, status.last_index] == [commit; 3]
                });
            settled.then_some(statuses)
        })
    }

    /// Waits until `look` sees something.
    ///
    /// # Errors
    /// A node that was started ends, or nothing is seen in time.
    pub fn wait_for<T>(
        &mut self,
        what: &'static str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, LocalError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(seen) = look(self) {
                return Ok(seen);
            }
            self.check_running()?;
            if self.interrupt.is_asked() {
                return Err(LocalError::Interrupted);
            }
            if Instant::now() >= deadline {
                return Err(LocalError::Late {
                    what,
                    within,
                    log: self.describe(),
                });
            }
            thread::sleep(REST);
        }
    }

    fn check_running(&mut self) -> Result<(), LocalError> {
        for (&node, process) in &mut self.processes {
            if let Some(ending) = process.wait(Duration::ZERO) {
                return Err(LocalError::NodeEnded {
                    node,
                    ending: ending.to_string(),
                    log: log_tail(&self.spec.paths(node).log),
                });
            }
        }
        Ok(())
    }
}
