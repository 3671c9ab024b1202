//! `quorate bench`: acknowledged events a second, and what they took and cost.

mod bare;
mod compare;
mod failover;
mod measure;
mod read;
mod shape;
mod sweep;
mod three;
mod upkeep;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hdrhistogram::Histogram;
use quorate_bench::hgrm;

use super::cluster::executable;
use super::produce::window;
use crate::bench::{Plotted, Run, Summary, page};
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::{Failure, terminal};
use measure::{Bench, Plan};
pub(crate) use shape::seconds;
use shape::{Pacing, Shape};

const EXAMPLES: &str = "\
Examples:
  quorate bench                                        three nodes on this host, in a temporary directory
  quorate bench --local 3 --event-size 64 --batch 64 --in-flight 64 --json
  quorate bench --rate 70k --batch 1 --event-size 512 --report latency.html
  quorate bench --ids --batch 64 --duration 60         events that their ids tell apart, until the ids are used up
  quorate bench --nodes 10.0.0.1:9001 --producers 4    a cluster that runs: it keeps what is written
  quorate bench --dir /mnt/fast --duration 20          on another disk, which is left as it is in the end
  quorate bench --runs 5 --json > before.json          for `quorate bench compare before.json after.json`

Closed loop (by default): each producer keeps so many requests in flight, each one chunk of so many events; a latency is a
request's, from its first send to its acknowledgement, those that were sent again included. It shows what is possible. When the
nodes stall it stops sending, and so counts one slow request where a caller with a thousand events would have seen a thousand.
Open loop (--rate): requests are due on a fixed schedule, and a latency counts from the moment at which its request was due,
however late it was sent; after a stall everything overdue is sent at once. It shows what a caller with events of its own sees.
What is acknowledged, or in an open loop due, during the warm-up does not count.
Beside the latencies stands how restless the machine itself was: by how much a thread that only sleeps overslept meanwhile. A tail
no longer than that is the host's.
The nodes and the load share this host with --local: at a million events/s three nodes write some 300 MB/s, and keep it until
the end.";

/// Which load on what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    shape: Shape,
    /// An open loop: so many events are due a second, over all producers (70000, 70k, 1.5M).
    #[arg(long, value_name = "EVENTS", value_parser = shape::rate)]
    rate: Option<NonZeroU64>,
    /// Requests that each producer keeps in flight [default: 64]; in an open loop, has in flight at most [default: 1024].
    #[arg(long, value_name = "REQUESTS", value_parser = window)]
    in_flight: Option<NonZeroU32>,
    /// Runs, with --local each on a new cluster; the figures are their medians, and JSON has all of them.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the latencies of all runs to this file, in HdrHistogram's percentile format, in milliseconds.
    #[arg(long, value_name = "FILE.hgrm")]
    hgrm: Option<PathBuf>,
    /// Write a page with the figures and their curves to this file.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure the same load at several rates: the throughput-latency curve.
    Sweep(sweep::Args),
    /// Say whether two measurements differ by more than their noise.
    Compare(compare::Args),
    /// Measure two programs by turns, and compare them.
    Ab(compare::AbArgs),
    /// Measure the bare path by turns with the real system: the yardstick.
    Bare(bare::Args),
    /// Measure how fast consumers read, at the log's end and far behind it, and what that costs the producers.
    Read(read::Args),
    /// Measure how long the cluster takes to go on when its leader goes away.
    Failover(failover::Args),
    /// Measure what it costs the producers that nodes are restarted, or the members change.
    Upkeep(upkeep::Args),
}

/// Does it.
pub(crate) fn run(args: &Args, log_level: Option<&str>) -> Result<(), Failure> {
    if let Some(What::Compare(args)) = &args.what {
        return compare::run(args);
    }
    let interrupt = Interrupt::listen()?;
    let phases = Phases::without_events();
    let done = match &args.what {
        None => measure(args, log_level, &phases, &interrupt),
        Some(What::Sweep(args)) => sweep::run(args, log_level, &phases, &interrupt),
        Some(What::Compare(args)) => compare::run(args),
        Some(What::Ab(args)) => compare::ab(args, log_level, &phases, &interrupt),
        Some(What::Bare(args)) => bare::run(args, log_level, &phases, &interrupt),
        Some(What::Read(args)) => read::run(args, log_level, &phases, &interrupt),
        Some(What::Failover(args)) => failover::run(args, log_level, &phases, &interrupt),
        Some(What::Upkeep(args)) => upkeep::run(args, log_level, &phases, &interrupt),
    };
    match done {
        Err(_) if interrupt.is_asked() => Err(Failure::interrupted()),
        done => done,
    }
}

fn measure(
    args: &Args,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    args.shape.check(args.rate)?;
    let bench = Bench {
        shape: &args.shape,
        log_level,
        phases,
        interrupt,
    };
    let executable = executable()?;
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        let (label, place) = if args.runs > 1 {
            let label = format!(" (run {number} of {})", args.runs);
            (label, format!("run-{number}"))
        } else {
            (String::new(), String::new())
        };
        runs.push(bench.run(&Plan {
            executable: &executable,
            pacing: Pacing::new(args.rate, args.in_flight),
            label,
            place,
        })?);
    }
    let summary = Summary::of(&runs).ok_or_else(|| Failure::new("no run"))?;
    if let Some(path) = &args.hgrm {
        write(path, &hgrm::text(&together(&runs)))?;
    }
    if let Some(path) = &args.report {
        let numbered = (1..).zip(&runs);
        let plotted: Vec<Plotted<'_>> = numbered
            .map(|(number, run): (u32, &Run)| Plotted {
                name: format!("run {number}"),
                latency_us: &run.latency_us,
                series: &run.report.series,
            })
            .collect();
        let text = page(&command_line(), std::slice::from_ref(&summary), &plotted);
        write(path, &text)?;
    }
    phases.end();
    if args.json {
        terminal::print_json(&summary);
    } else {
        terminal::print(&summary.table().to_string());
    }
    Ok(())
}

/// The latencies of all runs.
fn together(runs: &[Run]) -> Histogram<u64> {
    let mut all = Histogram::new(3).expect("three digits are valid");
    for run in runs {
        all.add(&run.latency_us)
            .expect("a histogram that resizes itself takes every other");
    }
    all
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// How this program was called.
fn command_line() -> String {
    let arguments = std::env::args_os().skip(1);
    let arguments: Vec<_> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    format!("quorate {}", arguments.join(" "))
}
