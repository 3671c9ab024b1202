//! Several runs of one load: a median says more than a mean where one run in five meets a bad host.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Quantiles, Report};
use crate::stages::StageFigures;
use crate::table::{Table, thousands};

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// What it has shown.
    pub(crate) report: Report,
    /// The latencies, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
}

/// All runs. In JSON: the object of one report, with the medians of the figures and the sums of what is counted, and with the
/// reports of the runs as `runs` if there are several.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// The medians.
    #[serde(flatten)]
    pub(crate) middle: Report,
    /// The runs, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs: Vec<Report>,
}

impl Summary {
    /// The medians of some runs; `None` of none.
    pub(crate) fn of(runs: &[Run]) -> Option<Self> {
        let reports: Vec<Report> = runs.iter().map(|run| run.report.clone()).collect();
        let mut middle = reports.first()?.clone();
        if reports.len() == 1 {
            return Some(Self {
                middle,
                runs: Vec::new(),
            });
        }
        let measures = &mut middle.measures;
        measures.events_per_s = median(&reports, |run| run.measures.events_per_s);
        measures.latency_us = quantiles(&reports, |run| Some(run.measures.latency_us));
        measures.send_delay_us = measures
            .send_delay_us
            .map(|_| quantiles(&reports, |run| run.measures.send_delay_us));
        measures.mb_per_s = median_f(&reports, |run| Some(run.measures.mb_per_s)).unwrap_or(0.0);
        measures.server_cpu_us_per_event =
            median_f(&reports, |run| run.measures.server_cpu_us_per_event);
        measures.client_cpu_us_per_event =
            median_f(&reports, |run| Some(run.measures.client_cpu_us_per_event)).unwrap_or(0.0);
        measures.consumed_events_per_s = measures.consumed_events_per_s.map(|_| {
            median(&reports, |run| {
                run.measures.consumed_events_per_s.unwrap_or(0)
            })
        });
        measures.rss_mib = reports.iter().filter_map(|run| run.measures.rss_mib).max();
        let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum();
        measures.samples = sum(|run| run.measures.samples);
        measures.events = sum(|run| run.measures.events);
        measures.unsent = sum(|run| run.measures.unsent);
        measures.not_on_all = sum(|run| run.measures.not_on_all);
        measures.reconnects = sum(|run| run.measures.reconnects);
        measures.resends = sum(|run| run.measures.resends);
        measures.refusals = sum(|run| run.measures.refusals);
        measures.seconds = reports.iter().map(|run| run.measures.seconds).sum();
        middle.stages = stages(&reports);
        middle.host.oversleep_us = quantiles(&reports, |run| Some(run.host.oversleep_us));
        middle.host.naps = sum(|run| run.host.naps);
        middle.host.steal_percent = median_f(&reports, |run| run.host.steal_percent);
        // Which node leads differs from run to run, and so does when a second was slow.
        middle.costs = Vec::new();
        middle.writes = Vec::new();
        middle.series = Vec::new();
        Some(Self {
            middle,
            runs: reports,
        })
    }

    /// What it says, line by line.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = self.middle.lines();
        if self.runs.is_empty() {
            return lines;
        }
        let count = self.runs.len();
        let what = format!("medians of {count} runs; events and requests are sums");
        lines.insert(0, ("runs".into(), what));
        for (number, run) in (1..).zip(&self.runs) {
            let rate = thousands(run.measures.events_per_s);
            let text = format!("{rate} events/s, {}", run.measures.latency_us);
            lines.push((format!("run {number}"), text));
        }
        lines
    }

    /// The table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        for (what, text) in self.lines() {
            table.row([what, format!(": {text}")]);
        }
        table
    }
}

/// A row for each point of a sweep.
pub(crate) fn sweep_table(points: &[Summary]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let headings = vec![
        "in flight",
        "due/s",
        "events/s",
        "MB/s",
        "p50 us",
        "p90 us",
        "p99 us",
        "p99.9 us",
        "p99.99 us",
        "max us",
        "nodes' cpu us",
        "oversleep p99 us",
        "unsent",
    ];
    let row = |point: &Summary| {
        let (measures, load) = (&point.middle.measures, &point.middle.workload);
        let latency = measures.latency_us;
        let dash = || "-".to_owned();
        vec![
            load.in_flight.to_string(),
            load.rate.map_or_else(dash, thousands),
            thousands(measures.events_per_s),
            format!("{:.1}", measures.mb_per_s),
            thousands(latency.p50),
            thousands(latency.p90),
            thousands(latency.p99),
            thousands(latency.p999),
            thousands(latency.p9999),
            thousands(latency.max),
            measures
                .server_cpu_us_per_event
                .map_or_else(dash, |us| format!("{us:.3}")),
            thousands(point.middle.host.oversleep_us.p99),
            thousands(measures.unsent),
        ]
    };
    (headings, points.iter().map(row).collect())
}

/// The medians of each stage, and how many requests they are of.
fn stages(runs: &[Report]) -> Vec<StageFigures> {
    let first = runs.first().map_or(&[][..], |run| &run.stages);
    let of = |stage: &'static str| {
        let all = runs.iter().flat_map(|run| &run.stages);
        let same: Vec<&StageFigures> = all.filter(|one| one.stage == stage).collect();
        let median = |figure: fn(&StageFigures) -> f64| {
            let figures: Vec<f64> = same.iter().map(|one| figure(one)).collect();
            quorate_bench::statistics::median(&figures).unwrap_or(0.0)
        };
        StageFigures {
            stage,
            samples: same.iter().map(|one| one.samples).sum(),
            p50_us: median(|one| one.p50_us),
            p99_us: median(|one| one.p99_us),
            max_us: median(|one| one.max_us),
        }
    };
    first.iter().map(|one| of(one.stage)).collect()
}

fn quantiles(runs: &[Report], of: impl Fn(&Report) -> Option<Quantiles>) -> Quantiles {
    let all: Vec<Quantiles> = runs.iter().filter_map(of).collect();
    Quantiles::combine(&all, middle)
}

fn median(runs: &[Report], of: impl Fn(&Report) -> u64) -> u64 {
    let figures: Vec<u64> = runs.iter().map(of).collect();
    middle(&figures)
}

/// The middle one; of an even number, the mean of the two in the middle.
fn middle(figures: &[u64]) -> u64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let half = sorted.len() / 2;
    let upper = sorted.get(half).copied().unwrap_or(0);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = sorted.get(half.wrapping_sub(1)).copied().unwrap_or(0);
    lower.midpoint(upper)
}

fn median_f(runs: &[Report], of: impl Fn(&Report) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> = runs.iter().filter_map(of).collect();
    quorate_bench::statistics::median(&figures)
}

#[cfg(test)]
pub(crate) mod sample {
    use hdrhistogram::Histogram;

    use super::Run;
    use crate::bench::report::sample::report;

    /// A run with such a throughput and 99th percentile.
    pub(crate) fn run(events_per_s: u64, p99: u64) -> Run {
        let mut latency_us = Histogram::new_with_bounds(1, 1_000_000, 3)
            .expect("from 1 to a second in three digits is a valid histogram");
        for us in [500, 812, p99] {
            latency_us.saturating_record(us);
        }
        Run {
            report: report(events_per_s, p99),
            latency_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::run;
    use super::{Summary, middle, sweep_table};
    use crate::table::Table;

    #[test]
    fn one_run_is_said_as_it_is() {
        let summary = Summary::of(&[run(1_000_000, 2_000)]).expect("there is one");
        let json = serde_json::to_value(&summary).expect("it has a form");
        assert_eq!(json["events_per_s"], 1_000_000);
        assert_eq!(json.get("runs"), None);
        assert!(!summary.table().to_string().contains("medians"));
        assert!(Summary::of(&[]).is_none());
    }

    #[test]
    fn figures_are_medians_and_counts_are_sums() {
        let runs = [run(1_000, 9_000), run(3_000, 1_000), run(2_000, 2_000)];
        let summary = Summary::of(&runs).expect("there are three");
        let json = serde_json::to_value(&summary).expect("it has a form");
        assert_eq!(json["events_per_s"], 2_000);
        assert_eq!(json["latency_us"]["p99"], 2_000);
        assert_eq!(json["samples"], 3 * 96_000);
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["stages"][0]["samples"], 3 * 6_000);
        assert_eq!(json["runs"][1]["latency_us"]["p99"], 1_000);
        let text = summary.table().to_string();
        assert!(
            text.contains("medians of 3 runs") && text.contains("run 3"),
            "{text}"
        );
    }

    #[test]
    fn a_middle_is_between() {
        assert_eq!(middle(&[]), 0);
        assert_eq!(middle(&[7]), 7);
        assert_eq!(middle(&[9, 1, 4]), 4);
        assert_eq!(middle(&[9, 1, 4, 6]), 5);
    }

    #[test]
    fn a_sweep_has_a_row_a_point() {
        let points = [run(1_000, 900), run(2_000, 4_000)];
        let points = points.map(|run| Summary::of(&[run]).expect("there is one"));
        let (headings, rows) = sweep_table(&points);
        assert!(rows.iter().all(|row| row.len() == headings.len()));
        let mut table = Table::with_headings(&headings);
        rows.into_iter().for_each(|row| table.row(row));
        assert_eq!(table.to_string().lines().count(), 3);
    }
}
