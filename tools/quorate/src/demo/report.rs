//! What a demonstration showed, as a table and as JSON.

use serde::Serialize;

use crate::Failure;
use crate::figures::Percentiles;
use crate::table::{Table, thousands};

/// Everything that is said in the end. Field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// What was replayed.
    pub(crate) input: String,
    /// Events sent.
    pub(crate) events: u64,
    /// Events acknowledged.
    pub(crate) acked: u64,
    /// Acknowledged events that are not in the logs.
    pub(crate) lost: u64,
    /// Events that are in the logs more than once.
    pub(crate) duplicated: u64,
    /// Events of the logs that nobody sent so, or that stand elsewhere.
    pub(crate) different: u64,
    /// Whether all logs hold the same records, byte for byte.
    pub(crate) identical: bool,
    /// Committed records of each log.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) log_bytes: u64,
    /// The record that all nodes have committed.
    pub(crate) commit_index: u64,
    /// Digest of each node's state at that record.
    pub(crate) digests: Vec<String>,
    /// From the first event to the last acknowledgement.
    pub(crate) seconds: f64,
    /// Acknowledged events by that time.
    pub(crate) events_per_s: u64,
    /// The rate at which events fell due.
    pub(crate) rate: u64,
    /// From an event's due time to its acknowledgement: all events.
    pub(crate) latency_us: Percentiles,
    /// Without the events that met the failover.
    pub(crate) latency_steady_us: Percentiles,
    /// How many events those are.
    pub(crate) samples_steady: u64,
    /// The leader that was killed.
    pub(crate) killed: u32,
    /// From the kill to the next acknowledged event.
    pub(crate) failover_ms: f64,
    /// What an acknowledgement says.
    pub(crate) durability: String,
    /// What the logs lie on.
    pub(crate) disk: String,
}

impl Report {
    fn digests_equal(&self) -> bool {
        self.digests.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Fails if anything was lost, doubled or different.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let sound = self.acked == self.events
            && self.lost == 0
            && self.duplicated == 0
            && self.different == 0
            && self.identical
            && self.digests_equal();
        if sound {
            return Ok(());
        }
        Err(
            Failure::new("the logs do not hold what was sent, exactly once, on all nodes").cure(
                "run it again with --keep DIR, look at DIR/node-N.log, and report it with DIR",
            ),
        )
    }

    /// The short table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), text]);
        line(
            "events",
            format!(
                ": {} from {}, in {:.1} s: {} events/s (they fell due at {}/s)",
                thousands(self.events),
                self.input,
                self.seconds,
                thousands(self.events_per_s),
                thousands(self.rate)
            ),
        );
        line("acknowledged", format!(": {}", thousands(self.acked)));
        line(
            "latency, all",
            format!(
                ": {}   ({} events, from due to acknowledged)",
                self.latency_us,
                thousands(self.acked)
            ),
        );
        line(
            "latency, steady",
            format!(
                ": {}   ({} events, those that met the failover left out)",
                self.latency_steady_us,
                thousands(self.samples_steady)
            ),
        );
        line(
            "failover",
            format!(
                ": {:.0} ms from kill -9 of node {}, the leader, to the next acknowledged event",
                self.failover_ms, self.killed
            ),
        );
        line("lost", format!(": {}", thousands(self.lost)));
        line("duplicated", format!(": {}", thousands(self.duplicated)));
        line("different", format!(": {}", thousands(self.different)));
        line(
            "logs",
            format!(
                ": {}: {} records, {} bytes, on {} nodes",
                if self.identical {
                    "identical byte for byte"
                } else {
                    "DIFFERENT"
                },
                thousands(self.records),
                thousands(self.log_bytes),
                self.digests.len()
            ),
        );
        let digests = if self.digests_equal() {
            format!("equal: {}", self.digests.first().map_or("", String::as_str))
        } else {
            format!("DIFFERENT: {}", self.digests.join(", "))
        };
        line(
            "digests",
            format!(": {digests}, at record {}", thousands(self.commit_index)),
        );
        line("durability", format!(": {}", self.durability));
        line("disk", format!(": {}", self.disk));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::figures::Percentiles;

    fn report() -> Report {
        let percentiles = Percentiles {
            p50: 812,
            p99: 2_345,
            p999: 9_000,
            max: 213_000,
        };
        Report {
            input: "flights".into(),
            events: 83_161,
            acked: 83_161,
            lost: 0,
            duplicated: 0,
            different: 0,
            identical: true,
            records: 4_321,
            log_bytes: 11_000_000,
            commit_index: 4_321,
            digests: vec!["00000000000000ab".into(); 3],
            seconds: 4.25,
            events_per_s: 19_567,
            rate: 20_000,
            latency_us: percentiles,
            latency_steady_us: percentiles,
            samples_steady: 70_000,
            killed: 2,
            failover_ms: 213.4,
            durability: "two of three disks".into(),
            disk: "ext4 on /dev/vda".into(),
        }
    }

    #[test]
    fn a_sound_run_passes_and_any_flaw_fails_it() {
        assert!(report().check().is_ok());
        let flaws: [fn(&mut Report); 6] = [
            |report| report.acked -= 1,
            |report| report.lost = 1,
            |report| report.duplicated = 1,
            |report| report.different = 1,
            |report| report.identical = false,
            |report| report.digests[2] = "00000000000000ac".into(),
        ];
        for flaw in flaws {
            let mut report = report();
            flaw(&mut report);
            let failure = report.check().expect_err("it has a flaw");
            assert_eq!(failure.status(), 1);
        }
    }

    #[test]
    fn the_table_says_what_was_measured() {
        let text = report().table().to_string();
        for part in [
            "83,161 from flights",
            "p50 812 us, p99 2,345 us, p99.9 9,000 us, max 213 ms",
            "213 ms from kill -9 of node 2",
            "identical byte for byte: 4,321 records",
            "equal: 00000000000000ab",
            "ext4 on /dev/vda",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.lines().count() <= 12, "{text}");
    }

    #[test]
    fn json_has_the_names_that_programs_read() {
        let json = serde_json::to_value(report()).expect("it has a form");
        for name in [
            "events",
            "acked",
            "lost",
            "duplicated",
            "identical",
            "digests",
            "events_per_s",
            "latency_us",
            "failover_ms",
            "durability",
            "disk",
        ] {
            assert!(!json[name].is_null(), "{name} is not in {json}");
        }
        for name in ["p50", "p99", "p999", "max"] {
            assert!(json["latency_us"][name].is_u64(), "{name} is not in {json}");
        }
    }
}
