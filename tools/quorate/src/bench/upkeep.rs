//! What upkeep costs the producers.

use std::time::Duration;

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
        took: Duration,
        (alone, beside): (Acks, Acks),
        setting: Setting,
    ) -> Self {
        let longest = Duration::from_micros(beside.latency_us.max).as_secs_f64() * 1e3;
        Self {
            work,
            rate,
            work_s: (took.as_secs_f64() * 1e2).round() / 1e2,
            alone,
            beside,
            p99_ratio: p99_ratio(&beside, &alone),
            longest_ms: (longest * 1e1).round() / 1e1,
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
        table.to_string()
    }
}
