//! How long a cluster took to go on when its leader went away, over many times.

use std::time::Duration;

use quorate_bench::statistics::median;
use serde::Serialize;

use super::report::Setting;
use crate::table::{Table, thousands};

/// One time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Outage {
    /// From the signal, or the cut, to the next acknowledgement of an event that was sent behind it.
    pub(crate) ms: f64,
    /// The node that led.
    pub(crate) from: u32,
    /// The node that led then.
    pub(crate) to: u32,
    /// The terms that were tried for it: 1 if the first election succeeded.
    pub(crate) terms: u64,
}

/// All of them. Field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outages {
    pub(crate) mode: &'static str,
    pub(crate) runs: usize,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) worst_ms: f64,
    pub(crate) best_ms: f64,
    /// Events a second that were sent meanwhile: so exact are the times.
    pub(crate) rate: u64,
    /// How long the client waited for an answer before it took a connection for dead.
    pub(crate) request_timeout_ms: f64,
    pub(crate) histogram: Vec<Bucket>,
    pub(crate) outages: Vec<Outage>,
    #[serde(flatten)]
    pub(crate) setting: Setting,
}

/// Outages from `from_ms` on, and below `below_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Bucket {
    from_ms: u32,
    below_ms: u32,
    count: usize,
}

/// A table's bars are at most so many letters long.
const BAR: usize = 50;

/// At most so many buckets: the last one holds what is longer, too.
const BUCKETS_MAX: usize = 24;

impl Outages {
    /// What so many outages show; `None` of none.
    pub(crate) fn of(
        mode: &'static str,
        outages: Vec<Outage>,
        rate: u64,
        request_timeout: Duration,
        setting: Setting,
    ) -> Option<Self> {
        let mut sorted: Vec<f64> = outages.iter().map(|outage| outage.ms).collect();
        sorted.sort_by(f64::total_cmp);
        // Of 50, the 99th percentile is the worst: the smallest one that 99 of 100 do not exceed.
        let p99_at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        Some(Self {
            mode,
            runs: outages.len(),
            median_ms: tenths(median(&sorted)?),
            p99_ms: tenths(*sorted.get(p99_at)?),
            worst_ms: tenths(*sorted.last()?),
            best_ms: tenths(*sorted.first()?),
            rate,
            request_timeout_ms: tenths(request_timeout.as_secs_f64() * 1e3),
            histogram: histogram(&sorted),
            outages,
            setting,
        })
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line(
            "outage",
            format!(
                "median {} ms, p99 {} ms, worst {} ms, best {} ms, of {} ({})",
                self.median_ms, self.p99_ms, self.worst_ms, self.best_ms, self.runs, self.mode
            ),
        );
        line(
            "load",
            format!(
                "{} events/s, one a request; a connection is dead after {} ms without an answer",
                thousands(self.rate),
                self.request_timeout_ms
            ),
        );
        let first = self.outages.iter().filter(|outage| outage.terms <= 1);
        line(
            "elections",
            format!(
                "{} of {} won at the first attempt",
                first.count(),
                self.runs
            ),
        );
        line("durability", self.setting.durability.clone());
        line("disk", self.setting.disk.clone());
        line("program", self.setting.version.clone());
        let most = self.histogram.iter().map(|bucket| bucket.count).max();
        let mut text = table.to_string();
        for bucket in &self.histogram {
            let bar = (bucket.count * BAR).div_ceil(most.unwrap_or(1).max(1));
            let line = format!(
                "{:>6} to {:>5} ms  {:>4}  {}",
                bucket.from_ms,
                bucket.below_ms,
                bucket.count,
                "#".repeat(bar)
            );
            text.push('\n');
            text.push_str(line.trim_end());
        }
        text
    }
}

/// A tenth of a millisecond is what a thousand events a second can tell.
fn tenths(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

/// Buckets of one width, from 0 or from the first that is not empty.
fn histogram(sorted: &[f64]) -> Vec<Bucket> {
    let worst = sorted.last().copied().unwrap_or(0.0);
    let widths = [5_u32, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 60_000];
    let buckets = u32::try_from(BUCKETS_MAX).unwrap_or(1);
    let width = widths
        .into_iter()
        .find(|&width| f64::from(width * buckets) > worst)
        .unwrap_or(60_000);
    let of = |at: u32| {
        let (from, below) = (at * width, (at + 1) * width);
        let is_last = at + 1 == buckets;
        let within = |ms: &&f64| **ms >= f64::from(from) && (is_last || **ms < f64::from(below));
        Bucket {
            from_ms: from,
            below_ms: below,
            count: sorted.iter().filter(within).count(),
        }
    };
    let mut all: Vec<Bucket> = (0..buckets).map(of).collect();
    while all.last().is_some_and(|bucket| bucket.count == 0) {
        all.pop();
    }
    let empty = all.iter().take_while(|bucket| bucket.count == 0).count();
    all.split_off(empty)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Outage, Outages};
    use crate::bench::report::sample::report;

    fn outages(ms: &[f64]) -> Option<Outages> {
        let outage = |&ms: &f64| Outage {
            ms,
            from: 1,
            to: 2,
            terms: 1,
        };
        let all = ms.iter().map(outage).collect();
        let setting = report(1, 1).setting;
        Outages::of("kill", all, 1_000, Duration::from_millis(200), setting)
    }

    #[test]
    fn figures_are_of_all_outages() {
        let ms: Vec<f64> = (1..=50).map(|at| f64::from(at) * 2.0 + 0.04).collect();
        let all = outages(&ms).expect("there are fifty");
        assert_eq!((all.runs, all.worst_ms, all.p99_ms), (50, 100.0, 100.0));
        assert!((all.median_ms - 51.0).abs() < 0.11, "{}", all.median_ms);
        let counted: usize = all.histogram.iter().map(|bucket| bucket.count).sum();
        assert_eq!(counted, 50);
        assert!(outages(&[]).is_none());
    }

    #[test]
    fn a_histogram_shows_where_they_lie() {
        let all = outages(&[41.0, 42.0, 44.9, 46.0, 51.0]).expect("there are five");
        let shape: Vec<(u32, usize)> = all
            .histogram
            .iter()
            .map(|bucket| (bucket.from_ms, bucket.count))
            .collect();
        assert_eq!(shape, [(40, 3), (45, 1), (50, 1)]);
        let text = all.table();
        assert!(
            text.contains(&format!("40 to    45 ms     3  {}", "#".repeat(50))),
            "{text}"
        );
        assert!(
            text.contains("median 44.9 ms") && text.contains("5 of 5 won"),
            "{text}"
        );
        let endless = outages(&[1e9]).expect("there is one");
        assert_eq!(endless.histogram.len(), 1);
    }

    #[test]
    fn json_has_the_names_that_programs_read() {
        let json = serde_json::to_value(outages(&[41.0])).expect("it has a form");
        for name in [
            "median_ms",
            "p99_ms",
            "worst_ms",
            "runs",
            "histogram",
            "durability",
        ] {
            assert!(!json[name].is_null(), "{name} is not in {json}");
        }
        assert_eq!(json["histogram"][0]["count"], 1);
    }
}
