//! What a run says in the end.

use serde::Serialize;

use crate::figures::Percentiles;
use crate::stages::StageFigures;
use crate::table::{Table, thousands};

/// What came of it. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Events of the input that earlier runs had in the log; not counted below.
    pub(super) resumed: u64,
    pub(super) events: u64,
    pub(super) acked: u64,
    pub(super) seconds: f64,
    pub(super) events_per_s: u64,
    pub(super) latency_us: Percentiles,
    /// What the acknowledgements promise.
    pub(super) acks: &'static str,
    /// Of these events, a majority of the disks had them in time, and not all.
    pub(super) acked_not_on_all: u64,
    /// How long the stages took, if that was asked for.
    pub(super) stages: Vec<StageFigures>,
    /// Where the events lie, if no other producer has sent meanwhile: the first one's offset, and the one after the last.
    pub(super) first_offset: Option<u64>,
    pub(super) next_offset: Option<u64>,
    pub(super) reconnects: u64,
    pub(super) resends: u64,
    pub(super) refusals: u64,
}

impl Summary {
    /// For people.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        let offsets = match (self.first_offset, self.next_offset) {
            (Some(first), Some(next)) => {
                format!(", offsets {} to {}", thousands(first), thousands(next - 1))
            }
            (_, _) => String::new(),
        };
        if self.resumed > 0 {
            line("resumed after", thousands(self.resumed));
        }
        let level = match (self.acks, self.acked_not_on_all) {
            ("accepted", _) => ", in the leader's memory only".to_owned(),
            ("all", 0) => ", on all disks".to_owned(),
            ("all", not) => format!(", on all disks but for {}", thousands(not)),
            (_, _) => String::new(),
        };
        line("events", thousands(self.events));
        line(
            "acknowledged",
            format!("{}{offsets}{level}", thousands(self.acked)),
        );
        if self.acked > 0 {
            line(
                "rate",
                format!(
                    "{} events/s, over {:.2} s",
                    thousands(self.events_per_s),
                    self.seconds
                ),
            );
            line("latency", self.latency_us.to_string());
        }
        for stage in &self.stages {
            line(stage.stage, stage.text());
        }
        line(
            "trouble",
            format!(
                "{} reconnects, {} requests sent again, {} refusals",
                self.reconnects, self.resends, self.refusals
            ),
        );
        table
    }
}
