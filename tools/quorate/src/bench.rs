//! What a measurement has shown, as a table and as JSON.

use serde::Serialize;

use crate::figures::Percentiles;
use crate::table::{Table, thousands};

/// Everything that is said in the end. Field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Acknowledged events a second.
    pub(crate) events_per_s: u64,
    /// From a request's first send to its acknowledgement.
    pub(crate) latency_us: Percentiles,
    /// How many requests the percentiles are of.
    pub(crate) samples: u64,
    /// Events acknowledged while it measured.
    pub(crate) events: u64,
    /// How long it measured.
    pub(crate) seconds: f64,
    /// What was measured.
    #[serde(flatten)]
    pub(crate) setting: Setting,
    /// Processor time of all nodes an acknowledged event.
    pub(crate) server_cpu_us_per_event: Option<f64>,
    /// The load's own.
    pub(crate) client_cpu_us_per_event: f64,
    /// The most memory that a node has had.
    pub(crate) rss_mib: Option<u64>,
    /// The same, node by node.
    pub(crate) costs: Vec<Cost>,
    /// Connections that were lost and made again.
    pub(crate) reconnects: u64,
    /// Requests sent again.
    pub(crate) resends: u64,
    /// Refusals that were retried.
    pub(crate) refusals: u64,
    /// Bytes of an event's payload.
    pub(crate) event_size: u32,
    /// Events in a request.
    pub(crate) batch: u32,
    /// Requests that each producer keeps in flight.
    pub(crate) in_flight: u32,
    /// Producers.
    pub(crate) producers: u32,
    /// How long it was to measure.
    pub(crate) duration_s: f64,
    /// How long it loaded before that.
    pub(crate) warm_up_s: f64,
}

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    /// What an acknowledgement says.
    pub(crate) durability: String,
    /// What the logs lie on.
    pub(crate) disk: String,
    /// How many nodes there are.
    pub(crate) nodes: usize,
}

/// What a node has used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    /// Its id.
    pub(crate) node: u32,
    /// What it was in the end.
    pub(crate) role: &'static str,
    /// Its processor time an acknowledged event.
    pub(crate) cpu_us_per_event: f64,
    /// Its memory in the end.
    pub(crate) rss_mib: u64,
    /// The most memory that it has had.
    pub(crate) rss_peak_mib: u64,
}

impl Report {
    /// The table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line(
            "rate",
            format!(
                "{} events/s: {} in {:.2} s",
                thousands(self.events_per_s),
                thousands(self.events),
                self.seconds
            ),
        );
        line(
            "latency",
            format!(
                "{}   ({} requests)",
                self.latency_us,
                thousands(self.samples)
            ),
        );
        line(
            "load",
            format!(
                "{} bytes an event, {} events a request, {} requests in flight, {} producers, closed loop",
                self.event_size, self.batch, self.in_flight, self.producers
            ),
        );
        line("durability", self.setting.durability.clone());
        line("disk", self.setting.disk.clone());
        let of_nodes = self
            .server_cpu_us_per_event
            .map(|us| format!("{us:.3} us in {} nodes, ", self.setting.nodes));
        line(
            "cpu an event",
            format!(
                "{}{:.3} us in the load",
                of_nodes.unwrap_or_default(),
                self.client_cpu_us_per_event
            ),
        );
        for cost in &self.costs {
            line(
                &format!("node {}", cost.node),
                format!(
                    "{}, {:.3} us an event, {} MiB of memory, {} at most",
                    cost.role, cost.cpu_us_per_event, cost.rss_mib, cost.rss_peak_mib
                ),
            );
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

#[cfg(test)]
mod tests {
    use super::{Cost, Report, Setting};
    use crate::figures::Percentiles;

    fn report() -> Report {
        Report {
            events_per_s: 1_234_567,
            latency_us: Percentiles {
                p50: 812,
                p99: 2_345,
                p999: 9_000,
                max: 213_000,
            },
            samples: 96_000,
            events: 6_172_835,
            seconds: 5.0,
            setting: Setting {
                durability: "quorum: 2 of 3 logs".into(),
                disk: "ext4 on /dev/vda".into(),
                nodes: 3,
            },
            server_cpu_us_per_event: Some(0.75),
            client_cpu_us_per_event: 0.125,
            rss_mib: Some(88),
            costs: vec![Cost {
                node: 2,
                role: "leader",
                cpu_us_per_event: 0.4,
                rss_mib: 80,
                rss_peak_mib: 88,
            }],
            reconnects: 0,
            resends: 0,
            refusals: 0,
            event_size: 64,
            batch: 64,
            in_flight: 64,
            producers: 1,
            duration_s: 5.0,
            warm_up_s: 1.0,
        }
    }

    #[test]
    fn the_table_says_what_was_measured_on_what() {
        let text = report().table().to_string();
        for part in [
            "1,234,567 events/s: 6,172,835 in 5.00 s",
            "p50 812 us, p99 2,345 us, p99.9 9,000 us, max 213 ms   (96,000 requests)",
            "64 bytes an event, 64 events a request, 64 requests in flight",
            "quorum: 2 of 3 logs",
            "ext4 on /dev/vda",
            "0.750 us in 3 nodes, 0.125 us in the load",
            "leader, 0.400 us an event, 80 MiB of memory, 88 at most",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn json_has_the_names_that_programs_read() {
        let json = serde_json::to_value(report()).expect("it has a form");
        for name in [
            "events_per_s",
            "latency_us",
            "durability",
            "disk",
            "server_cpu_us_per_event",
            "rss_mib",
            "samples",
            "event_size",
            "batch",
            "in_flight",
        ] {
            assert!(!json[name].is_null(), "{name} is not in {json}");
        }
        for name in ["p50", "p99", "p999", "max"] {
            assert!(json["latency_us"][name].is_u64(), "{name} is not in {json}");
        }
        assert_eq!(json["nodes"], 3);
    }
}
