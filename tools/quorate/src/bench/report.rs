//! What a measurement has shown, as a table and as JSON.

use quorate_bench::{Machine, Point};
use serde::Serialize;

use super::{Quantiles, Writes};
use crate::figures::{float, rate};
use crate::stages::StageFigures;
use crate::table::thousands;

/// Everything that is said in the end. Field names, those of the parts included, are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The figures.
    #[serde(flatten)]
    pub(crate) measures: Measures,
    /// What was measured on what.
    #[serde(flatten)]
    pub(crate) setting: Setting,
    /// What was sent.
    #[serde(flatten)]
    pub(crate) workload: Workload,
    /// How long the stages of some of the requests took.
    pub(crate) stages: Vec<StageFigures>,
    /// What each node has used.
    pub(crate) costs: Vec<Cost>,
    /// What each node has written to its log.
    pub(crate) writes: Vec<Writes>,
    /// How restless the machine was meanwhile.
    pub(crate) host: Host,
    /// Throughput and latency over time.
    pub(crate) series: Vec<SlotJson>,
}

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measures {
    /// Acknowledged events a second.
    pub(crate) events_per_s: u64,
    /// Payload of acknowledged events, in millions of bytes a second.
    pub(crate) mb_per_s: f64,
    /// Closed loop: from a request's first send to its acknowledgement. Open loop: from the moment at which it was due.
    pub(crate) latency_us: Quantiles,
    /// How many requests the percentiles are of.
    pub(crate) samples: u64,
    /// Events acknowledged while it measured.
    pub(crate) events: u64,
    /// How long it measured.
    pub(crate) seconds: f64,
    /// Open loop: by how much requests were sent later than they were due.
    pub(crate) send_delay_us: Option<Quantiles>,
    /// Open loop: requests that were due and never sent. In the percentiles they stand with the time that they had waited.
    pub(crate) unsent: u64,
    /// Events that the consumers read a second, all together.
    pub(crate) consumed_events_per_s: Option<u64>,
    /// Processor time of all nodes an acknowledged event.
    pub(crate) server_cpu_us_per_event: Option<f64>,
    /// The load's own, consumers included.
    pub(crate) client_cpu_us_per_event: f64,
    /// The most memory that a node has had.
    pub(crate) rss_mib: Option<u64>,
    /// Requests that were acknowledged on a majority of the disks only, where all were asked for.
    pub(crate) not_on_all: u64,
    /// Connections that were lost and made again.
    pub(crate) reconnects: u64,
    /// Requests sent again.
    pub(crate) resends: u64,
    /// Refusals that were retried.
    pub(crate) refusals: u64,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Workload {
    /// `closed` or `open`.
    #[serde(rename = "loop")]
    pub(crate) kind: &'static str,
    /// Open loop: events a second that were due.
    pub(crate) rate: Option<u64>,
    /// Bytes of an event's payload.
    pub(crate) event_size: u32,
    /// Events in a request.
    pub(crate) batch: u32,
    /// Requests that each producer keeps in flight; in an open loop, has in flight at most.
    pub(crate) in_flight: u32,
    /// Producers.
    pub(crate) producers: u32,
    /// Consumers that read the log's end meanwhile.
    pub(crate) consumers: u32,
    /// Whether the events have ids instead of sequences.
    pub(crate) ids: bool,
    /// Who is shed first: lower goes first.
    pub(crate) priority: u8,
    /// What the acknowledgements promise.
    pub(crate) acks: &'static str,
    /// Different keys; by default as many as a request has events.
    pub(crate) keys: Option<u32>,
    /// Segments that each node had in stock when the load began, where that was asked for.
    pub(crate) stock: Option<u16>,
    /// MiB of log that each node kept, where that was asked for.
    pub(crate) retain: Option<u32>,
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
    /// What the load ran on.
    pub(crate) machine: MachineJson,
    /// Which program measured.
    pub(crate) version: String,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MachineJson {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
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
    /// In user mode.
    pub(crate) user_us_per_event: f64,
    /// In the kernel.
    pub(crate) system_us_per_event: f64,
    /// How often its threads went to sleep, a second.
    pub(crate) voluntary_switches_per_s: u64,
    /// How often its threads lost the processor to others, a second.
    pub(crate) involuntary_switches_per_s: u64,
    /// Bytes that it had written to its disk an acknowledged event, zeros in advance included.
    pub(crate) disk_bytes_per_event: Option<f64>,
    /// Its memory in the end.
    pub(crate) rss_mib: u64,
    /// The most memory that it has had.
    pub(crate) rss_peak_mib: u64,
}

/// How restless the machine was.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    /// By how much a thread that sleeps for 1 ms again and again overslept.
    pub(crate) oversleep_us: Quantiles,
    /// How often it slept.
    pub(crate) naps: u64,
    /// Processor time that the host under this machine took away.
    pub(crate) steal_percent: Option<f64>,
}

/// A slot of time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SlotJson {
    pub(crate) at_s: f64,
    pub(crate) events_per_s: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl SlotJson {
    /// A slot of such a length.
    pub(crate) fn new(point: Point, slot: std::time::Duration) -> Self {
        Self {
            at_s: point.at.as_secs_f64(),
            events_per_s: float(rate(point.events, slot)),
            p50_us: point.p50_us,
            p99_us: point.p99_us,
            max_us: point.max_us,
        }
    }
}

impl From<Machine> for MachineJson {
    fn from(machine: Machine) -> Self {
        Self {
            cores: machine.cores,
            processor: machine.processor,
            memory_mib: machine.memory_mib,
            kernel: machine.kernel,
        }
    }
}

impl Setting {
    /// A setting on this machine, with this program.
    pub(crate) fn here(durability: String, disk: String, nodes: usize) -> Self {
        let build = if cfg!(debug_assertions) {
            "a debug build: its figures mean nothing"
        } else {
            "release build"
        };
        Self {
            durability,
            disk,
            nodes,
            machine: Machine::here().into(),
            version: format!("quorate {}, {build}", env!("CARGO_PKG_VERSION")),
        }
    }
}

impl MachineJson {
    fn text(&self) -> String {
        format!(
            "{} cores ({}), {} MiB, {}",
            self.cores,
            self.processor,
            thousands(self.memory_mib),
            self.kernel
        )
    }
}

impl Workload {
    /// In a line.
    pub(crate) fn text(&self) -> String {
        let pace = match self.rate {
            Some(rate) => format!(
                "open loop, {} events/s due, at most {} requests in flight",
                thousands(rate),
                self.in_flight
            ),
            None => format!("closed loop, {} requests in flight", self.in_flight),
        };
        let keys = self
            .keys
            .map(|keys| format!(", {} keys", thousands(keys.into())));
        let stock = self
            .stock
            .map(|stock| format!(", {stock} segments in stock"));
        let retain = self
            .retain
            .map(|retain| format!(", {retain} MiB of log kept"));
        let ids = if self.ids { " with ids" } else { "" };
        let priority = (self.priority > 0).then(|| format!(", priority {}", self.priority));
        format!(
            "{} bytes an event, {} events{ids} a request, {pace}, {} producers, {} consumers, acks {}{}{}{}{}",
            self.event_size,
            self.batch,
            self.producers,
            self.consumers,
            self.acks,
            priority.unwrap_or_default(),
            keys.unwrap_or_default(),
            stock.unwrap_or_default(),
            retain.unwrap_or_default()
        )
    }
}

impl Host {
    fn text(&self) -> String {
        let stolen = self
            .steal_percent
            .map(|percent| format!("; {percent:.1} % of the processors' time stolen"));
        format!(
            "a sleep of 1 ms was too long by {}{}",
            self.oversleep_us,
            stolen.unwrap_or_default()
        )
    }
}

impl Cost {
    fn text(&self) -> String {
        let disk = self
            .disk_bytes_per_event
            .map(|bytes| format!(", {bytes:.0} bytes to disk"));
        format!(
            "{}, {:.3} us an event ({:.3} user, {:.3} system){}; {} sleeps/s, {} preemptions/s; {} MiB of memory, {} at most",
            self.role,
            self.cpu_us_per_event,
            self.user_us_per_event,
            self.system_us_per_event,
            disk.unwrap_or_default(),
            thousands(self.voluntary_switches_per_s),
            thousands(self.involuntary_switches_per_s),
            self.rss_mib,
            self.rss_peak_mib
        )
    }
}

impl Report {
    /// What it says, line by line.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let measures = &self.measures;
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push((what.to_owned(), text));
        line(
            "rate",
            format!(
                "{} events/s, {:.1} MB/s: {} in {:.2} s",
                thousands(measures.events_per_s),
                measures.mb_per_s,
                thousands(measures.events),
                measures.seconds
            ),
        );
        let samples = thousands(measures.samples);
        line(
            "latency",
            format!("{}   ({samples} requests)", measures.latency_us),
        );
        if let Some(delay) = measures.send_delay_us {
            let unsent = thousands(measures.unsent);
            line(
                "sent too late",
                format!("by {delay}; {unsent} never, and counted as having waited"),
            );
        }
        for stage in &self.stages {
            line(&format!("stage {}", stage.stage), stage.text());
        }
        if measures.not_on_all > 0 {
            let not = thousands(measures.not_on_all);
            line(
                "not on all",
                format!("{not} requests, in time, but on a majority"),
            );
        }
        line("load", self.workload.text());
        if let Some(consumed) = measures.consumed_events_per_s {
            line("consumed", format!("{} events/s", thousands(consumed)));
        }
        line("durability", self.setting.durability.clone());
        line("disk", self.setting.disk.clone());
        line("machine", self.setting.machine.text());
        line("its unrest", self.host.text());
        line("program", self.setting.version.clone());
        let of_nodes = measures
            .server_cpu_us_per_event
            .map(|us| format!("{us:.3} us in {} nodes, ", self.setting.nodes));
        line(
            "cpu an event",
            format!(
                "{}{:.3} us in the load",
                of_nodes.unwrap_or_default(),
                measures.client_cpu_us_per_event
            ),
        );
        for cost in &self.costs {
            line(&format!("node {}", cost.node), cost.text());
        }
        for writes in &self.writes {
            line(&format!("writes of node {}", writes.node), writes.text());
        }
        line(
            "trouble",
            format!(
                "{} reconnects, {} requests sent again, {} refusals",
                measures.reconnects, measures.resends, measures.refusals
            ),
        );
        lines
    }
}

#[cfg(test)]
pub(crate) mod sample {
    use super::{Cost, Host, MachineJson, Measures, Report, Setting, SlotJson, Workload};
    use crate::bench::{Quantiles, Writes};
    use crate::stages::StageFigures;

    /// A report with such a throughput and 99th percentile.
    pub(crate) fn report(events_per_s: u64, p99: u64) -> Report {
        let latency_us = Quantiles {
            p50: 812,
            p90: 1_100,
            p99,
            p999: 9_000,
            p9999: 12_000,
            max: 213_000,
        };
        Report {
            measures: Measures {
                events_per_s,
                mb_per_s: 79.0,
                latency_us,
                samples: 96_000,
                events: 6_172_835,
                seconds: 5.0,
                send_delay_us: None,
                unsent: 0,
                not_on_all: 0,
                consumed_events_per_s: None,
                server_cpu_us_per_event: Some(0.75),
                client_cpu_us_per_event: 0.125,
                rss_mib: Some(88),
                reconnects: 0,
                resends: 0,
                refusals: 0,
            },
            setting: Setting {
                durability: "quorum: 2 of 3 logs".into(),
                disk: "ext4 on /dev/vda".into(),
                nodes: 3,
                machine: MachineJson {
                    cores: 2,
                    processor: "A Chip".into(),
                    memory_mib: 24_000,
                    kernel: "Linux 6.18".into(),
                },
                version: "quorate 0.1.0, release build".into(),
            },
            workload: Workload {
                kind: "closed",
                rate: None,
                event_size: 64,
                batch: 64,
                in_flight: 64,
                producers: 1,
                consumers: 0,
                ids: false,
                priority: 0,
                acks: "quorum",
                keys: None,
                stock: None,
                retain: None,
                duration_s: 5.0,
                warm_up_s: 1.0,
            },
            stages: vec![StageFigures {
                stage: "commit",
                samples: 6_000,
                p50_us: 401.5,
                p99_us: 1_200.0,
                max_us: 9_000.0,
            }],
            costs: vec![Cost {
                node: 2,
                role: "leader",
                cpu_us_per_event: 0.4,
                user_us_per_event: 0.3,
                system_us_per_event: 0.1,
                voluntary_switches_per_s: 20_000,
                involuntary_switches_per_s: 300,
                disk_bytes_per_event: Some(190.4),
                rss_mib: 80,
                rss_peak_mib: 88,
            }],
            writes: vec![Writes {
                node: 2,
                writes_per_s: 2_500.0,
                records_per_write: 6.5,
                bytes_per_write: 40_960.0,
            }],
            host: Host {
                oversleep_us: Quantiles {
                    p50: 70,
                    max: 4_000,
                    ..latency_us
                },
                naps: 4_800,
                steal_percent: Some(1.25),
            },
            series: vec![SlotJson {
                at_s: 0.0,
                events_per_s: 1e6,
                p50_us: 800,
                p99_us: 2_000,
                max_us: 3_000,
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use super::sample::report;
    use crate::bench::Quantiles;

    fn text(report: &Report) -> String {
        let lines = report.lines().into_iter();
        let lines: Vec<String> = lines
            .map(|(what, text)| format!("{what}: {text}"))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn the_table_says_what_was_measured_on_what() {
        let text = text(&report(1_234_567, 2_345));
        for part in [
            "1,234,567 events/s, 79.0 MB/s: 6,172,835 in 5.00 s",
            "p50 812 us, p90 1,100 us, p99 2,345 us, p99.9 9,000 us, p99.99 12 ms, max 213 ms   (96,000 requests)",
            "64 bytes an event, 64 events a request, closed loop, 64 requests in flight",
            "quorum: 2 of 3 logs",
            "stage commit: p50 401.5 us, p99 1200.0 us, max 9000.0 us   (6,000 requests)",
            "acks quorum",
            "ext4 on /dev/vda",
            "2 cores (A Chip), 24,000 MiB, Linux 6.18",
            "max 4,000 us; 1.2 % of the processors' time stolen",
            "quorate 0.1.0, release build",
            "0.750 us in 3 nodes, 0.125 us in the load",
            "leader, 0.400 us an event (0.300 user, 0.100 system), 190 bytes to disk; 20,000 sleeps/s, 300 preemptions/s; 80 MiB",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("too late") && !text.contains("consumed"));
    }

    #[test]
    fn an_open_loop_says_what_was_due_and_what_was_not_sent() {
        let mut report = report(69_000, 900);
        report.workload.kind = "open";
        report.workload.rate = Some(70_000);
        report.measures.unsent = 1_500;
        report.measures.send_delay_us = Some(Quantiles::default());
        report.measures.consumed_events_per_s = Some(138_000);
        let text = text(&report);
        for part in [
            "open loop, 70,000 events/s due, at most 64 requests in flight",
            "1,500 never, and counted as having waited",
            "138,000 events/s",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn json_has_the_names_that_programs_read() {
        let json = serde_json::to_value(report(1_234_567, 2_345)).expect("it has a form");
        for name in [
            "events_per_s",
            "mb_per_s",
            "latency_us",
            "durability",
            "disk",
            "machine",
            "version",
            "server_cpu_us_per_event",
            "client_cpu_us_per_event",
            "rss_mib",
            "samples",
            "events",
            "seconds",
            "loop",
            "event_size",
            "batch",
            "in_flight",
            "producers",
            "duration_s",
            "warm_up_s",
            "reconnects",
            "resends",
            "refusals",
            "stages",
            "acks",
            "not_on_all",
            "costs",
            "writes",
            "host",
            "series",
        ] {
            assert!(!json[name].is_null(), "{name} is not in {json}");
        }
        for name in ["p50", "p90", "p99", "p999", "p9999", "max"] {
            assert!(json["latency_us"][name].is_u64(), "{name} is not in {json}");
        }
        assert_eq!(json["nodes"], 3);
    }
}
