//! `quorate bench`: acknowledged events a second, and what they took and cost.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use quorate_bench::{Generator, Load, Measured};
use quorate_client::{NodeId, Role};
use quorate_engine::probe::disk_of;
use quorate_wire::limits::{CHUNK_EVENTS_MAX, EVENT_BYTES_MAX};

use super::cluster::executable;
use super::nodes::address;
use super::produce::window;
use crate::bench::{Cost, Report, Setting};
use crate::demo::{Workplace, is_memory};
use crate::figures::{Percentiles, rate};
use crate::interrupt::Interrupt;
use crate::local::{Local, LocalOptions};
use crate::phases::Phases;
use crate::survey::survey;
use crate::usage::Usage;
use crate::{Failure, terminal};

/// How long the nodes may take to come up, and to stop.
const UP_WITHIN: Duration = Duration::from_secs(30);
const DOWN_WITHIN: Duration = Duration::from_secs(10);

/// How long what is in flight at the end may still take.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// How long a node may take to say how it is.
const STATUS_WITHIN: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  quorate bench                                        three nodes on this host, in a temporary directory
  quorate bench --local 3 --event-size 64 --batch 64 --in-flight 64 --json
  quorate bench --nodes 10.0.0.1:9001 --producers 4    a cluster that runs: it keeps what is written
  quorate bench --dir /mnt/fast --duration 20          on another disk, which is left as it is in the end

Closed loop: each producer keeps so many requests in flight, each one chunk of so many events; a latency is a request's, from its
first send to its acknowledgement, those that were sent again included. What is acknowledged during the warm-up does not count.
The nodes and the load share this host with --local: at a million events/s three nodes write some 300 MB/s, and keep it until
the end.";

/// Which load on what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Start so many nodes on this host: 1, 3, 5 or 7. It is 3 if neither this nor --nodes is said.
    #[arg(long, value_name = "COUNT", value_parser = ["1", "3", "5", "7"], conflicts_with = "nodes")]
    local: Option<String>,
    /// Load a cluster that runs.
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', value_parser = address)]
    nodes: Vec<String>,
    /// Bytes of an event's payload; an event takes 24 more, and is padded to 8.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = event_size)]
    event_size: u32,
    /// Events in a request.
    #[arg(long, value_name = "EVENTS", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=i64::from(CHUNK_EVENTS_MAX)))]
    batch: u32,
    /// Requests that each producer keeps in flight.
    #[arg(long, value_name = "REQUESTS", default_value = "64", value_parser = window)]
    in_flight: NonZeroU32,
    /// Producers, each with a connection of its own.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    producers: u32,
    /// How long it measures, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// How long it loads before that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// Where the nodes of --local work, and leave what they wrote; otherwise a temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "nodes")]
    dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn event_size(text: &str) -> Result<u32, String> {
    let bytes = text
        .parse()
        .ok()
        .filter(|&bytes: &u32| usize::try_from(bytes).is_ok_and(|bytes| bytes <= EVENT_BYTES_MAX));
    bytes.ok_or_else(|| format!("an event has at most {EVENT_BYTES_MAX} bytes in all"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| {
        let duration = Duration::try_from_secs_f64(seconds).ok()?;
        (duration <= Duration::from_secs(86_400)).then_some(duration)
    });
    seconds.ok_or_else(|| "a number of seconds, such as 5 or 0.5".into())
}

/// Does it.
pub(crate) fn run(args: &Args, log_level: Option<&str>) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let phases = Phases::without_events();
    let measured = if args.nodes.is_empty() {
        on_this_host(args, log_level, &phases, &interrupt)
    } else {
        elsewhere(args, &phases, &interrupt)
    };
    drop(phases);
    let report = match measured {
        Err(_) if interrupt.is_asked() => return Err(Failure::interrupted()),
        other => other?,
    };
    if args.json {
        terminal::print_json(&report);
    } else {
        terminal::print(&report.table().to_string());
    }
    Ok(())
}

fn load(args: &Args, nodes: Vec<String>) -> Load {
    let size = |number: u32| usize::try_from(number).expect("32 bits fit into a size");
    Load {
        event_size: size(args.event_size),
        batch: args.batch,
        in_flight: size(args.in_flight.get()),
        producers: size(args.producers),
        ..Load::new(nodes)
    }
}

/// Starts nodes, loads them, and takes them down.
fn on_this_host(
    args: &Args,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    let workplace = Workplace::new(args.dir.as_deref())?;
    let count = args.local.as_deref().unwrap_or("3");
    let options = LocalOptions {
        nodes: count.parse().expect("the arguments take four numbers only"),
        log_level: log_level.map(Into::into),
        ..LocalOptions::new(executable()?)
    };
    phases.begin(&format!("starting {count} nodes"));
    let mut local = Local::create(workplace.path(), options)?;
    local.heed(interrupt);
    local.start_all()?;
    local.wait_complete(UP_WITHIN)?;

    let mut generator = Generator::connect(&load(args, local.addresses()))?;
    let measured = measure(&mut generator, args, phases, interrupt, || usages(&local))?;
    if measured.load.events == 0 {
        let what = format!("nothing was acknowledged\n{}", local.describe());
        return Err(Failure::new(what));
    }
    settle(&mut generator, &mut local, phases)?;
    let costs = costs(&local, &measured);

    phases.begin("stopping the nodes");
    local.stop_all(DOWN_WITHIN);
    let failed = |error| Failure::new(format!("{}: {error}", workplace.path().display()));
    let disk = disk_of(workplace.path()).map_err(failed)?;
    let setting = Setting {
        durability: durability(local.nodes().len(), is_memory(&disk)),
        disk,
        nodes: local.nodes().len(),
    };
    Ok(report(args, &measured, setting, costs))
}

/// Loads a cluster that somebody else runs: what its nodes use is not seen from here.
fn elsewhere(args: &Args, phases: &Phases, interrupt: &Interrupt) -> Result<Report, Failure> {
    let mut generator = Generator::connect(&load(args, args.nodes.clone()))?;
    let measured = measure(&mut generator, args, phases, interrupt, || Ok(Vec::new()))?;
    if measured.load.events == 0 {
        return Err(Failure::new("nothing was acknowledged")
            .cure("`quorate status` shows which nodes are up, and who leads"));
    }
    generator.drain(DRAIN_WITHIN)?;
    let answers = survey(&args.nodes, STATUS_WITHIN);
    let nodes = answers
        .iter()
        .flatten()
        .map(|status| status.nodes.len())
        .max();
    let nodes = nodes.unwrap_or(args.nodes.len());
    let setting = Setting {
        durability: format!(
            "{} of {nodes} logs, each on what its node lies on",
            nodes / 2 + 1
        ),
        disk: "the nodes' own, not seen from here".into(),
        nodes,
    };
    Ok(report(args, &measured, setting, Vec::new()))
}

fn durability(nodes: usize, in_memory: bool) -> String {
    let quorum = nodes / 2 + 1;
    if in_memory {
        return format!(
            "quorum: {quorum} of {nodes} copies, all in this host's memory: nothing survives it"
        );
    }
    let sharing = if nodes > 1 {
        "; all share this host's disk"
    } else {
        ""
    };
    format!("quorum: {quorum} of {nodes} logs, each write O_DIRECT + DSYNC{sharing}")
}

/// What a stretch of load has shown, and what everybody has used at its beginning and at its end.
struct Stretch {
    load: Measured,
    client: (Usage, Usage),
    nodes: Vec<(NodeId, Usage, Usage)>,
}

fn measure(
    generator: &mut Generator,
    args: &Args,
    phases: &Phases,
    interrupt: &Interrupt,
    usages: impl Fn() -> Result<Vec<(NodeId, Usage)>, Failure>,
) -> Result<Stretch, Failure> {
    let stop = || interrupt.is_asked();
    phases.begin(&format!("warming up for {:?}", args.warm_up));
    generator.run(args.warm_up, &stop)?;
    interrupt.check()?;
    phases.begin(&format!("measuring for {:?}", args.duration));
    let before = (own_usage()?, usages()?);
    let load = generator.run(args.duration, &stop)?;
    let after = (own_usage()?, usages()?);
    interrupt.check()?;
    let nodes = before.1.into_iter().zip(after.1);
    Ok(Stretch {
        load,
        client: (before.0, after.0),
        nodes: nodes
            .map(|((node, before), (_, after))| (node, before, after))
            .collect(),
    })
}

fn own_usage() -> Result<Usage, Failure> {
    usage(std::process::id())
}

fn usage(process: u32) -> Result<Usage, Failure> {
    Usage::of(process).map_err(|error| Failure::new(format!("/proc/{process}: {error}")))
}

fn usages(local: &Local) -> Result<Vec<(NodeId, Usage)>, Failure> {
    let nodes = local.nodes().into_iter();
    nodes
        .map(|node| {
            let process = local.process_id(node).ok_or_else(|| {
                let log = local.log_tail(node);
                Failure::new(format!("node {node} has ended under load\n{log}"))
            })?;
            Ok((node, usage(process)?))
        })
        .collect()
}

/// Waits until nothing is in flight, and holds the log's length against the acknowledgements: a figure about events that are
/// not there, or there twice, is none.
fn settle(generator: &mut Generator, local: &mut Local, phases: &Phases) -> Result<(), Failure> {
    phases.begin("waiting for what is in flight");
    if !generator.drain(DRAIN_WITHIN)? {
        let within = DRAIN_WITHIN.as_secs();
        let what = format!("what was in flight was not acknowledged within {within} s");
        return Err(Failure::new(format!("{what}\n{}", local.describe())));
    }
    let committed = local.wait_serving(UP_WITHIN)?.committed.0;
    let acked = generator.acked_events();
    if committed == acked {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{acked} events were acknowledged, and {committed} are in the log"
    )))
}

fn costs(local: &Local, measured: &Stretch) -> Vec<Cost> {
    let role = |node| local.status(node).map(|status| status.role);
    let of = |&(node, before, after): &(NodeId, Usage, Usage)| Cost {
        node: node.0,
        role: role(node).map_or("unknown", Role::name),
        cpu_us_per_event: per_event(after.cpu.saturating_sub(before.cpu), measured.load.events),
        rss_mib: after.rss_kib >> 10,
        rss_peak_mib: after.rss_peak_kib >> 10,
    };
    measured.nodes.iter().map(of).collect()
}

fn per_event(cpu: Duration, events: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio needs no more digits than a float has"
    )]
    let events = events.max(1) as f64;
    // Four digits behind the point are more than the kernel's clock gives.
    (cpu.as_secs_f64() * 1e6 / events * 1e4).round() / 1e4
}

fn report(args: &Args, measured: &Stretch, setting: Setting, costs: Vec<Cost>) -> Report {
    let load = &measured.load;
    let (before, after) = &measured.client;
    Report {
        events_per_s: rate(load.events, load.elapsed),
        latency_us: Percentiles::of(&load.latency_us),
        samples: load.latency_us.len(),
        events: load.events,
        seconds: load.elapsed.as_secs_f64(),
        setting,
        server_cpu_us_per_event: (!costs.is_empty())
            .then(|| costs.iter().map(|cost| cost.cpu_us_per_event).sum()),
        client_cpu_us_per_event: per_event(after.cpu.saturating_sub(before.cpu), load.events),
        rss_mib: costs.iter().map(|cost| cost.rss_peak_mib).max(),
        costs,
        reconnects: load.reconnects,
        resends: load.resends,
        refusals: load.refusals,
        event_size: args.event_size,
        batch: args.batch,
        in_flight: args.in_flight.get(),
        producers: args.producers,
        duration_s: args.duration.as_secs_f64(),
        warm_up_s: args.warm_up.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{durability, event_size, per_event, seconds};

    #[test]
    fn a_cost_is_a_mean() {
        assert!((per_event(Duration::from_secs(1), 4_000_000) - 0.25).abs() < 1e-9);
        assert!(per_event(Duration::ZERO, 0).abs() < 1e-9);
    }

    #[test]
    fn durability_names_the_quorum_and_what_it_shares() {
        assert!(
            durability(3, false).starts_with("quorum: 2 of 3 logs, each write O_DIRECT + DSYNC; ")
        );
        assert!(durability(1, false).ends_with("1 of 1 logs, each write O_DIRECT + DSYNC"));
        assert!(durability(5, true).contains("3 of 5 copies, all in this host's memory"));
    }

    #[test]
    fn limits_are_said_before_anything_is_started() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["-1", "x", "nan", "inf", "1e9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(event_size("0"), Ok(0));
        assert!(event_size("1048576").is_err());
    }
}
