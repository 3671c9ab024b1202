//! The command line of the simulator.
//!
//! Owns: what is asked and with which status it ends. Never: makes a world by itself; see the library. The wall clock and
//! threads are used here and nowhere else in this crate: each world lives on one thread and knows neither.

mod campaign;
mod meta;
mod report;
mod say;
mod shrink;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use quorate_sim::{Case, Keep, Outcome, Profile, Trace};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use campaign::Campaign;

/// Found nothing.
const FINE: u8 = 0;
/// Found a violation, or a difference.
const FOUND: u8 = 1;
/// Was asked for what cannot be.
const USAGE: u8 = 2;
/// Was stopped before its end, and had found nothing.
const STOPPED: u8 = 130;

/// Quorate's deterministic simulator: one seed makes one world, in which the true pipeline, log and recovery live under
/// crashes, partitions and bad disks.
#[derive(Debug, Parser)]
#[command(name = "quorate-sim", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quorate-sim run --seeds 0..1000 --jobs 2     a thousand worlds; each failure prints the line that replays it
  quorate-sim run --seeds 17..18 --trace       what happens in world 17, a line an event, a column a node
  quorate-sim run --seeds 17..18 --trace all   the same with each operation of each node
  quorate-sim shrink 17                        the smallest plan of faults found that still fails
  quorate-sim meta 17                          runs world 17 in two processes: they must not differ
  quorate-sim soak --minutes 480 --jobs 2      a night of fresh seeds

Exit status: 0 nothing found; 1 a violation or a difference; 2 usage; 130 stopped before the end.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worlds of a range of seeds
    Run(Run),
    /// Cut the plan of faults of a failing seed down to a small one
    Shrink(One),
    /// Run a seed in two processes and compare their traces line by line
    Meta(One),
    /// Run fresh seeds for a while
    Soak(Soak),
}

#[derive(Debug, Args)]
struct Run {
    /// Seeds, the last one not included: FROM..TO
    #[arg(long, value_parser = seeds)]
    seeds: Range<u64>,
    /// Worlds that run side by side, each on a thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// Print what happens: what matters, or `all`
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "notes", conflicts_with = "json")]
    trace: Option<Tracing>,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct One {
    /// The world's seed
    seed: u64,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct Soak {
    /// For how long
    #[arg(long)]
    minutes: u64,
    /// Worlds that run side by side, each on a thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// The first seed; otherwise one is made of the time of day
    #[arg(long)]
    from: Option<u64>,
    /// What the worlds are like
    #[arg(long, value_enum, default_value_t = Kind::Mixed)]
    profile: Kind,
}

/// What a world is like, beside its seed.
#[derive(Clone, Debug, Args)]
struct Shape {
    /// What the worlds are like
    #[arg(long, value_enum, default_value_t = Kind::Mixed)]
    profile: Kind,
    /// Of the plan of faults, only these entries
    #[arg(long, value_delimiter = ',', value_name = "ENTRIES")]
    only: Option<Vec<usize>>,
    /// One producer and no consumer
    #[arg(long)]
    few_clients: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Three nodes, a light load, no faults
    Calm,
    /// Everything is drawn, faults above all
    Faults,
    /// The same, and what was durable is damaged too
    Damage,
    /// Faults; one world in eight is calm
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tracing {
    /// Faults, and what nodes report
    Notes,
    /// Each operation of each node too
    All,
}

impl Shape {
    fn case(&self, seed: u64) -> Case {
        Case {
            only: self.only.clone(),
            few_clients: self.few_clients,
            ..Case::new(seed, self.profile.into())
        }
    }
}

impl From<Kind> for Profile {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Calm => Self::Calm,
            Kind::Faults => Self::Faults,
            Kind::Damage => Self::Damage,
            Kind::Mixed => Self::Mixed,
        }
    }
}

/// The line that runs a case again, and shows what happens.
fn replay(case: &Case) -> String {
    let Case {
        seed,
        profile,
        only,
        few_clients,
    } = case;
    let mut line = format!("quorate-sim run --seeds {seed}..{} --trace", seed + 1);
    match profile {
        Profile::Calm => line.push_str(" --profile calm"),
        Profile::Faults => line.push_str(" --profile faults"),
        Profile::Damage => line.push_str(" --profile damage"),
        Profile::Mixed => {}
    }
    if let Some(only) = only {
        let numbers: Vec<String> = only.iter().map(usize::to_string).collect();
        line.push_str(&format!(" --only {}", numbers.join(",")));
    }
    if *few_clients {
        line.push_str(" --few-clients");
    }
    line
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("seeds are given as FROM..TO")?;
    let number = |text: &str| {
        text.trim()
            .parse::<u64>()
            .map_err(|error| error.to_string())
    };
    let (from, to) = (number(from)?, number(to)?);
    if from < to {
        Ok(from..to)
    } else {
        Err(format!(
            "{from}..{to} holds no seed: the last one is not included"
        ))
    }
}

pub(crate) fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Run(run) => match run.trace {
            Some(tracing) => trace(&run, tracing),
            None => campaign(Campaign {
                jobs: run.jobs,
                json: run.json,
                shape: run.shape,
                seeds: run.seeds,
                time: None,
                stop: stop_on_signals(),
            }),
        },
        Command::Shrink(one) => shrink::shrink(&one.shape.case(one.seed)),
        Command::Meta(one) => meta::meta(&one.shape.case(one.seed)),
        Command::Soak(soak) => soak_on(&soak),
    };
    ExitCode::from(status)
}

fn campaign(campaign: Campaign) -> u8 {
    let (json, stop) = (campaign.json, Arc::clone(&campaign.stop));
    let report = campaign.run();
    if json {
        say::line(&report.json());
    } else {
        say::line(&report.text());
    }
    let stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
    match (report.failures.is_empty(), stopped) {
        (false, _) => FOUND,
        (true, true) => STOPPED,
        (true, false) => FINE,
    }
}

fn soak_on(soak: &Soak) -> u8 {
    let from = soak.from.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // Leaves the low digits to the seeds that follow.
        now.map_or(0, |now| now.as_secs() * 1_000_000)
    });
    say::line(&format!(
        "seeds from {from} on, for {} minutes",
        soak.minutes
    ));
    let status = campaign(Campaign {
        jobs: soak.jobs,
        json: false,
        shape: Shape {
            profile: soak.profile,
            only: None,
            few_clients: false,
        },
        seeds: from..u64::MAX,
        time: Some(Duration::from_secs(soak.minutes * 60)),
        stop: stop_on_signals(),
    });
    // A soak ends when it is told to.
    if status == STOPPED { FINE } else { status }
}

fn trace(run: &Run, tracing: Tracing) -> u8 {
    let mut status = FINE;
    for seed in run.seeds.clone() {
        let case = run.shape.case(seed);
        let trace = Trace::keeping(match tracing {
            Tracing::Notes => Keep::Notes,
            Tracing::All => Keep::Everything,
        });
        let Outcome {
            virtual_time,
            trace_hash,
            violation,
            summary,
            ..
        } = quorate_sim::run(&case, &trace);
        say::line(&format!("{:?}", case.options()));
        for entry in case.plan().entries {
            say::line(&format!("plan {entry}"));
        }
        say::line(&trace.heading());
        trace.lines().iter().for_each(|line| say::line(line));
        if let Some(violation) = violation {
            say::line(&report::violation(&violation));
            status = FOUND;
        }
        if let Some(summary) = summary {
            say::line(&format!("{summary:?}"));
        }
        let milliseconds = virtual_time / 1_000_000;
        say::line(&format!(
            "seed {seed}: {milliseconds} virtual ms, trace {trace_hash:016x}"
        ));
    }
    status
}

/// Becomes true when the process is asked to stop; asked again, it ends at once.
fn stop_on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let asked = flag::register_conditional_shutdown(signal, STOPPED.into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)));
        asked.expect("these signals can be listened to");
    }
    stop
}
