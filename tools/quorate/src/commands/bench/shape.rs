//! What is loaded, and with what: the arguments that all measurements share.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use quorate_bench::{Load, Pace};
use quorate_client::AckLevel;
use quorate_wire::limits::{CHUNK_EVENTS_MAX, EVENT_BYTES_MAX, EVENT_IDS_MAX};

use super::super::nodes::address;
use super::super::produce::acks;
use crate::Failure;
use crate::bench::Workload;

/// Requests in flight that a closed loop keeps, if nothing else is said.
pub(super) const IN_FLIGHT_CLOSED: u32 = 64;

/// Requests in flight that an open loop may have, if nothing else is said: what a node takes on one connection.
pub(super) const IN_FLIGHT_OPEN: u32 = 1_024;

/// One in so many requests is asked how long its stages took: enough to tell, and too few to be felt.
const TRACE_ONE_IN: u64 = 16;

/// All prepared requests together: with many keys there are many.
const PREPARED_BYTES_MAX: u64 = 64 << 20;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// Start so many nodes on this host: 1, 3, 5 or 7. It is 3 if neither this nor --nodes is said.
    #[arg(long, value_name = "COUNT", value_parser = ["1", "3", "5", "7"], conflicts_with = "nodes")]
    pub(super) local: Option<String>,
    /// Load a cluster that runs.
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', value_parser = address)]
    pub(super) nodes: Vec<String>,
    /// Bytes of an event's payload; an event takes 24 more, and is padded to 8.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = event_size)]
    pub(super) event_size: u32,
    /// Events in a request.
    #[arg(long, value_name = "EVENTS", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=i64::from(CHUNK_EVENTS_MAX)))]
    pub(super) batch: u32,
    /// Producers, each with a connection of its own.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) producers: u32,
    /// Consumers that read the log's end meanwhile, each with a connection and a thread of its own.
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = clap::value_parser!(u32).range(0..=256))]
    pub(super) consumers: u32,
    /// Give each event an id that was never there before, instead of a sequence. Nodes know 524,288 of them an hour: when so many are
    /// sent, the measurement is over.
    #[arg(long, conflicts_with = "nodes")]
    pub(super) ids: bool,
    /// Who is shed first when a node has much to do: lower goes first.
    #[arg(long, value_name = "PRIORITY", default_value = "0")]
    pub(super) priority: u8,
    /// What an acknowledgement promises: that a majority of the disks has the events, that all have them, or that the leader's
    /// memory has.
    #[arg(long, value_name = "LEVEL", default_value = "quorum", value_parser = acks)]
    pub(super) acks: AckLevel,
    /// How many different keys the events have; by default as many as a request has events.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) keys: Option<u32>,
    /// How long it measures, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(super) duration: Duration,
    /// How long it loads before that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(super) warm_up: Duration,
    /// Have each node of --local keep so many segments in stock, and begin when they lie ready: a load lives on them for a while.
    #[arg(long, value_name = "SEGMENTS", conflicts_with = "nodes", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(super) stock: Option<u16>,
    /// Have each node of --local keep so much of its log, and use the files of what it lets go again: after some --warm-up that is what a
    /// log does that has run for long. By default nothing goes, and each segment is a new file that is filled with zeros first.
    #[arg(long, value_name = "MIB", conflicts_with = "nodes", value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    pub(super) retain: Option<u32>,
    /// Where the nodes of --local work, and leave what they wrote; otherwise a temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "nodes")]
    pub(super) dir: Option<PathBuf>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pacing {
    /// Events a second of an open loop; none in a closed one.
    pub(super) rate: Option<NonZeroU64>,
    pub(super) in_flight: u32,
}

impl Pacing {
    pub(super) fn new(rate: Option<NonZeroU64>, in_flight: Option<NonZeroU32>) -> Self {
        let usual = match rate {
            Some(_) => IN_FLIGHT_OPEN,
            None => IN_FLIGHT_CLOSED,
        };
        Self {
            rate,
            in_flight: in_flight.map_or(usual, NonZeroU32::get),
        }
    }

    /// In a legend.
    pub(super) fn name(self) -> String {
        match self.rate {
            Some(rate) => format!("{}/s", crate::table::thousands(rate.get())),
            None => format!("{} in flight", self.in_flight),
        }
    }
}

impl Shape {
    /// Refuses what clap cannot see.
    pub(super) fn check(&self, rate: Option<NonZeroU64>) -> Result<(), Failure> {
        let keys = u64::from(self.keys.unwrap_or(1).max(self.batch));
        let bytes = keys * (u64::from(self.event_size) + 32);
        if bytes > PREPARED_BYTES_MAX {
            return Err(Failure::usage(format!(
                "{keys} events of {} bytes, one for each key, are prepared in memory: at most 64 MiB",
                self.event_size
            ))
            .cure("take fewer --keys"));
        }
        let load = self.warm_up + self.duration;
        match rate.filter(|_| self.ids) {
            Some(rate) => check_ids(rate, load),
            None => Ok(()),
        }
    }

    pub(super) fn local_count(&self) -> u16 {
        let count = self.local.as_deref().unwrap_or("3");
        count.parse().expect("the arguments take four numbers only")
    }

    pub(super) fn load(&self, pacing: Pacing, nodes: Vec<String>) -> Load {
        let pace = match pacing.rate {
            Some(events_per_s) => Pace::Open { events_per_s },
            None => Pace::Closed,
        };
        Load {
            event_size: size(self.event_size),
            batch: self.batch,
            pace,
            in_flight: size(pacing.in_flight),
            producers: size(self.producers),
            keys: self.keys.map(size),
            ids: self.ids,
            priority: self.priority,
            acks: self.acks,
            trace_one_in: TRACE_ONE_IN,
            ..Load::new(nodes)
        }
    }

    pub(super) fn workload(&self, pacing: Pacing) -> Workload {
        Workload {
            kind: if pacing.rate.is_some() {
                "open"
            } else {
                "closed"
            },
            rate: pacing.rate.map(NonZeroU64::get),
            event_size: self.event_size,
            batch: self.batch,
            in_flight: pacing.in_flight,
            producers: self.producers,
            consumers: self.consumers,
            ids: self.ids,
            priority: self.priority,
            acks: self.acks.name(),
            keys: self.keys,
            stock: self.stock,
            retain: self.retain,
            duration_s: self.duration.as_secs_f64(),
            warm_up_s: self.warm_up.as_secs_f64(),
        }
    }
}

/// An open loop would have events due that have no ids.
fn check_ids(rate: NonZeroU64, load: Duration) -> Result<(), Failure> {
    let most = u64::try_from(EVENT_IDS_MAX).expect("a size fits into 64 bits");
    if load.as_nanos() * u128::from(rate.get()) <= u128::from(most) * 1_000_000_000 {
        return Ok(());
    }
    let what = format!(
        "{rate} events a second for {load:?}, warm-up included, are more than the {most} ids that a cluster knows"
    );
    Err(Failure::usage(what).cure("take a lower --rate, or a shorter --duration"))
}

pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit into a size")
}

fn event_size(text: &str) -> Result<u32, String> {
    let bytes = text
        .parse()
        .ok()
        .filter(|&bytes: &u32| usize::try_from(bytes).is_ok_and(|bytes| bytes <= EVENT_BYTES_MAX));
    bytes.ok_or_else(|| format!("an event has at most {EVENT_BYTES_MAX} bytes in all"))
}

/// A number of seconds: `5` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| {
        let duration = Duration::try_from_secs_f64(seconds).ok()?;
        (duration <= Duration::from_secs(86_400)).then_some(duration)
    });
    seconds.ok_or_else(|| "a number of seconds, such as 5 or 0.5".into())
}

/// Events a second: `70000`, `70k` or `1.5M`.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let (digits, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (text.get(..at).unwrap_or_default(), 1_000),
        Some((at, 'm' | 'M')) => (text.get(..at).unwrap_or_default(), 1_000_000),
        Some(_) | None => (text, 1),
    };
    let rate = match digits.split_once('.') {
        None => digits
            .parse::<u64>()
            .ok()
            .and_then(|whole| whole.checked_mul(factor)),
        Some((whole, part)) => fraction(whole, part, factor),
    };
    let within = |rate: &NonZeroU64| rate.get() <= 1_000_000_000;
    rate.and_then(NonZeroU64::new)
        .filter(within)
        .ok_or_else(|| "events a second, such as 70000, 70k or 1.5M".into())
}

fn fraction(whole: &str, part: &str, factor: u64) -> Option<u64> {
    let unit = 10_u64.checked_pow(part.len().try_into().ok()?)?;
    let all = format!("{whole}{part}").parse::<u64>().ok()?;
    let scaled = all.checked_mul(factor)?;
    scaled.is_multiple_of(unit).then_some(scaled / unit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pacing, check_ids, event_size, rate, seconds};

    #[test]
    fn limits_are_said_before_anything_is_started() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["-1", "x", "nan", "inf", "1e9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(event_size("0"), Ok(0));
        assert!(event_size("1048576").is_err());
    }

    #[test]
    fn a_rate_may_be_said_in_thousands_and_millions() {
        let whole = |text| rate(text).map(std::num::NonZeroU64::get);
        assert_eq!(whole("70000"), Ok(70_000));
        assert_eq!(whole("70k"), Ok(70_000));
        assert_eq!(whole("1.5M"), Ok(1_500_000));
        for text in ["", "0", "-1", "k", "1.5", "1.2345k", "x", "2000M", "1e3"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_more_events_with_ids_are_due_than_a_cluster_knows() {
        let rate = rate("65536").expect("it is one");
        assert!(check_ids(rate, Duration::from_secs(8)).is_ok());
        assert!(check_ids(rate, Duration::from_millis(8_001)).is_err());
    }

    #[test]
    fn an_open_loop_may_have_more_in_flight() {
        assert_eq!(Pacing::new(None, None).in_flight, 64);
        let open = Pacing::new(rate("70k").ok(), None);
        assert_eq!((open.in_flight, open.name()), (1_024, "70,000/s".into()));
    }
}
