//! A pipeline's notes as lines of the node's log.

use quorate_replication::pipeline::{Note, Weight};

/// Tells one.
pub(super) fn tell(note: &Note) {
    match note.weight() {
        Weight::Detail => tracing::debug!("{note}"),
        Weight::Event => tracing::info!("{note}"),
        Weight::Trouble => tracing::warn!("{note}"),
    }
}
