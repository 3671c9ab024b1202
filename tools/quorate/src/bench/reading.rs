//! How fast consumers read, and what that costs the producers.

use serde::Serialize;

use super::Quantiles;
use super::report::Setting;
use crate::figures::float;
use crate::table::{Table, thousands};

/// All of it. Field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    /// Consumers, each with a connection and a thread of its own.
    pub(crate) consumers: u32,
    /// Whether the nodes push, or each batch is asked for.
    pub(crate) push: bool,
    /// Bytes of an event's payload.
    pub(crate) event_size: u32,
    /// Events a second that are due beside cold reads.
    pub(crate) rate: u64,
    /// Seconds of each part.
    pub(crate) seconds: f64,
    pub(crate) tail: Tail,
    /// Producers, before anybody reads.
    pub(crate) alone: Acks,
    /// Consumers from the log's start on, while nothing is sent.
    pub(crate) cold: Cold,
    /// Both at once.
    pub(crate) beside: Beside,
    #[serde(flatten)]
    pub(crate) setting: Setting,
}

/// Consumers at the log's end, under all that producers can send.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Tail {
    /// Acknowledged events a second.
    pub(crate) acked_events_per_s: u64,
    /// Events a second that one consumer read.
    pub(crate) events_per_s: u64,
    /// How far it was behind what was acknowledged when the load ended, in events.
    pub(crate) behind_events: u64,
}

/// What producers saw.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Acks {
    pub(crate) latency_us: Quantiles,
    pub(crate) samples: u64,
}

/// What consumers got, all together.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cold {
    pub(crate) events_per_s: u64,
    /// Of records, in millions a second.
    pub(crate) mb_per_s: u64,
}

/// Cold reads beside a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Beside {
    #[serde(flatten)]
    pub(crate) cold: Cold,
    #[serde(flatten)]
    pub(crate) acks: Acks,
    /// The producers' p99 in this, by that of `alone`.
    pub(crate) p99_ratio: f64,
}

impl Beside {
    pub(crate) fn new(cold: Cold, acks: Acks, alone: &Acks) -> Self {
        Self {
            cold,
            acks,
            p99_ratio: p99_ratio(&acks, alone),
        }
    }
}

/// A p99 by another one, in hundredths.
pub(super) fn p99_ratio(beside: &Acks, alone: &Acks) -> f64 {
    let ratio = float(beside.latency_us.p99) / float(alone.latency_us.p99.max(1));
    (ratio * 100.0).round() / 100.0
}

impl Reading {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        let how = if self.push { "pushed" } else { "asked for" };
        line(
            "consumers",
            format!(
                "{}, each batch {how}, {:.0} s a part",
                self.consumers, self.seconds
            ),
        );
        line(
            "at the end",
            format!(
                "{} events/s each, of {} acknowledged; {} events behind when the load ended",
                thousands(self.tail.events_per_s),
                thousands(self.tail.acked_events_per_s),
                thousands(self.tail.behind_events)
            ),
        );
        let cold = |cold: &Cold| {
            let events = thousands(cold.events_per_s);
            format!("{} MB/s, {events} events/s", thousands(cold.mb_per_s))
        };
        line("from the start", cold(&self.cold));
        line("... under load", cold(&self.beside.cold));
        let rate = thousands(self.rate);
        let acks = |acks: &Acks| {
            let (p50, p99) = (acks.latency_us.p50, acks.latency_us.p99);
            format!("p50 {p50} us, p99 {p99} us at {rate} events/s")
        };
        line("acks alone", acks(&self.alone));
        line(
            "... beside reads",
            format!(
                "{}: p99 times {}",
                acks(&self.beside.acks),
                self.beside.p99_ratio
            ),
        );
        line("durability", self.setting.durability.clone());
        line("disk", self.setting.disk.clone());
        line("program", self.setting.version.clone());
        table.to_string()
    }
}
