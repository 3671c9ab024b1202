//! What upkeep costs the producers.

use std::time::{Duration, Instant};

use quorate_bench::Took;
use serde::Serialize;

use super::report::Setting;
use super::{Acks, p99_ratio};
use crate::table::{Table, thousands};

/// All of it. Field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Upkeep {
    pub(crate) work: &'static str,
    /// Events a second that were sent, 64 a request.
    pub(crate) rate: u64,
    /// How long the work took.
    pub(crate) work_s: f64,
    /// What it consists of, in order.
    pub(crate) steps: Vec<Step>,
    /// Producers, before the work.
    pub(crate) alone: Acks,
    /// Producers meanwhile.
    pub(crate) beside: Acks,
    /// Their p99 meanwhile, by that of `alone`.
    pub(crate) p99_ratio: f64,
    /// The longest time from when a request was due to its acknowledgement, meanwhile.
    pub(crate) longest_ms: f64,
    #[serde(flatten)]
    pub(crate) setting: Setting,
}

impl Upkeep {
    pub(crate) fn new(
        work: &'static str,
        rate: u64,
        steps: Vec<Step>,
        (alone, beside): (Acks, Acks),
        setting: Setting,
    ) -> Self {
        let longest = Duration::from_micros(beside.latency_us.max);
        Self {
            work,
            rate,
            work_s: (steps.iter().map(|step| step.took_ms).sum::<f64>() / 1e1).round() / 1e2,
            steps,
            alone,
            beside,
            p99_ratio: p99_ratio(&beside, &alone),
            longest_ms: tenths_of_ms(longest),
            setting,
        }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line("work", format!("{}, {} s", self.work, self.work_s));
        line(
            "load",
            format!("{} events/s, 64 a request", thousands(self.rate)),
        );
        let acks = |acks: &Acks| {
            let Acks {
                latency_us,
                samples,
            } = acks;
            format!(
                "p50 {} us, p99 {} us, p99.9 {} us, of {} requests",
                latency_us.p50,
                latency_us.p99,
                latency_us.p999,
                thousands(*samples)
            )
        };
        line("acks alone", acks(&self.alone));
        line(
            "... meanwhile",
            format!(
                "{}: p99 times {}, the longest {} ms",
                acks(&self.beside),
                self.p99_ratio,
                self.longest_ms
            ),
        );
        line("durability", self.setting.durability.clone());
        line("disk", self.setting.disk.clone());
        line("program", self.setting.version.clone());
        format!("{table}\n\n{}", self.step_table())
    }

    fn step_table(&self) -> Table {
        let mut table = Table::with_headings(&["step", "took ms", "acks", "p99 us", "longest ms"]);
        for step in &self.steps {
            table.row([
                step.step.clone(),
                step.took_ms.to_string(),
                thousands(step.samples),
                thousands(step.p99_us),
                step.longest_ms.to_string(),
            ]);
        }
        table
    }
}

/// A part of the work, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) took_ms: f64,
    /// Requests that waited for their acknowledgements in it, for whatever part of that time.
    pub(crate) samples: u64,
    /// Of their latencies.
    pub(crate) p99_us: u64,
    pub(crate) longest_ms: f64,
}

/// What was done until when.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
    ends: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            ends: Vec::new(),
        }
    }

    /// This is what was done since the step before.
    pub(crate) fn done(&mut self, step: String) {
        self.ends.push((step, self.begun.elapsed()));
    }

    /// What each cost, by the requests that went on meanwhile.
    pub(crate) fn costs(self, each: &[Took]) -> Vec<Step> {
        let mut from = Duration::ZERO;
        let cost = |(step, until): (String, Duration)| {
            let from = std::mem::replace(&mut from, until);
            let waited = |took: &&Took| took.began < until && took.began + took.latency >= from;
            let mut latencies: Vec<_> = each
                .iter()
                .filter(waited)
                .map(|took| took.latency)
                .collect();
            latencies.sort_unstable();
            let p99 = latencies.get((latencies.len() * 99).div_ceil(100).saturating_sub(1));
            Step {
                step,
                took_ms: tenths_of_ms(until - from),
                samples: latencies.len() as u64,
                p99_us: p99.map_or(0, |p99| u64::try_from(p99.as_micros()).unwrap_or(u64::MAX)),
                longest_ms: latencies.last().copied().map_or(0.0, tenths_of_ms),
            }
        };
        self.ends.into_iter().map(cost).collect()
    }
}

fn tenths_of_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 1e1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_each_step_that_it_saw() {
        let ms = Duration::from_millis;
        let took = |began, latency| Took {
            began: ms(began),
            latency: ms(latency),
        };
        let steps = Steps {
            begun: Instant::now(),
            ends: vec![
                ("one".into(), ms(10)),
                ("two".into(), ms(20)),
                ("none".into(), ms(21)),
            ],
        };
        let costs = steps.costs(&[took(0, 1), took(9, 5), took(15, 2)]);
        let of = |step: &Step| (step.took_ms, step.samples, step.longest_ms);
        let costs: Vec<_> = costs.iter().map(of).collect();
        assert_eq!(costs, [(10.0, 2, 5.0), (10.0, 2, 5.0), (1.0, 0, 0.0)]);
    }
}
