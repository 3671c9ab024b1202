//! Nodes with a stock of segments.

use std::time::Duration;

use quorate_client::Status;

use super::{Local, LocalError};

impl Local {
    /// Waits until each node has prepared its stock.
    ///
    /// # Errors
    /// A node ends, or they take too long.
    pub fn wait_stocked(&mut self, within: Duration) -> Result<(), LocalError> {
        self.wait_for("the stock of segments", within, |local| {
            let stocked = |status: &Status| {
                let mut configs = local.spec.configs.iter();
                let config = &configs.find(|config| config.node == status.node)?.log;
                let bytes = (config.segment_mib << 20) * config.segments_stock as u64;
                (status.ready_bytes >= bytes).then_some(())
            };
            let statuses = local.statuses();
            let all = statuses.len() == local.nodes().len();
            (all && statuses.iter().all(|status| stocked(status).is_some())).then_some(())
        })
    }
}
