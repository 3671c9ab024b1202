//! `quorate demo`: see it work, on real events, in half a minute.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_client::{NodeId, Status};
use quorate_engine::probe::disk_of;

use super::cluster::executable;
use crate::Failure;
use crate::demo::{Audit, Compared, Plan, Replayed, Report, Workplace, compare, is_memory, replay};
use crate::input::{Input, InputOptions};
use crate::interrupt::Interrupt;
use crate::lines::KeyRule;
use crate::local::{Local, LocalOptions};
use crate::phases::Phases;
use crate::status_view::digest_text;
use crate::terminal;

/// Fewer events are over before the leader is killed.
const EVENTS_MIN: usize = 1_000;

/// How long the nodes may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// How long they may take to agree when nobody produces.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// How long they may take to stop.
const DOWN_WITHIN: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  quorate demo                                         83,161 real flights, in order by aircraft
  quorate demo --json                                  the same, as one JSON object
  quorate demo --input orders.csv --skip-header --key-column 2
  quorate demo --keep /tmp/q                           then: quorate cluster up --dir /tmp/q

It starts three nodes on free ports in a temporary directory, replays the events, kills the leader with SIGKILL at the half,
restarts it at three quarters, stops all nodes, and compares their logs. Exit status 1 if any event is lost, duplicated or
different. Nothing is left behind.";

/// What to replay.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Replay this file, one event a line, plain or gzip; otherwise the flights that this program carries.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Replay only so many events: the first ones.
    #[arg(long, value_name = "COUNT")]
    events: Option<NonZeroUsize>,
    /// The column of comma-separated values that is the key, from 1; otherwise the key is the whole line.
    #[arg(long, value_name = "N", requires = "input")]
    key_column: Option<NonZeroUsize>,
    /// The file's first line is a header, and no event.
    #[arg(long, requires = "input")]
    skip_header: bool,
    /// Events that fall due in a second.
    #[arg(long, value_name = "COUNT", default_value = "20000", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Work in this directory, and leave it as it is in the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(args: &Args, log_level: Option<&str>) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let input = input(args)?;
    let workplace = Workplace::new(args.keep.as_deref())?;
    let phases = Phases::new(input.len());
    let shown = show(args, log_level, &input, &workplace, &phases, &interrupt);
    drop(phases);
    if args.keep.is_some() {
        terminal::say(&format!("kept: {}", workplace.path().display()));
    }
    let report = shown?;
    if args.json {
        terminal::print_json(&report);
    } else {
        terminal::print(&report.table().to_string());
    }
    report.check()
}

fn input(args: &Args) -> Result<Input, Failure> {
    let events_max = args.events.map(NonZeroUsize::get);
    let input = match &args.input {
        None => Input::flights(events_max),
        Some(path) => {
            let rule = args.key_column.map_or(KeyRule::Line, KeyRule::Column);
            let options = InputOptions {
                rule,
                header: args.skip_header,
                events_max,
            };
            Input::file(path, options)
        }
    }?;
    if input.len() < EVENTS_MIN {
        return Err(
            Failure::usage(format!("{} events are too few", input.len())).cure(format!(
                "take at least {EVENTS_MIN}: the leader is killed in the middle of them"
            )),
        );
    }
    Ok(input)
}

fn show(
    args: &Args,
    log_level: Option<&str>,
    input: &Input,
    workplace: &Workplace,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    phases.begin("starting three nodes");
    let options = LocalOptions {
        log_level: log_level.map(Into::into),
        // Three nodes share this host's disk: smaller segments are ready sooner, and the demonstration fills few.
        adjust: |config| config.log.segment_mib = 16,
        ..LocalOptions::new(executable()?)
    };
    let mut local = Local::create(workplace.path(), options)?;
    local.heed(interrupt);
    local.start_all()?;
    local.wait_complete(UP_WITHIN)?;

    let plan = Plan {
        input,
        rate: args.rate,
        phases,
        interrupt,
    };
    let replayed = replay(&mut local, &plan)?;

    phases.begin("waiting until all nodes have committed the same");
    let statuses = local.wait_settled(SETTLED_WITHIN)?;
    phases.begin("stopping the nodes, and comparing their logs");
    stop(&mut local)?;
    let compared = compared(&local, input, &replayed, &statuses)?;
    let disk = disk_of(workplace.path())
        .map_err(|error| Failure::new(format!("{}: {error}", workplace.path().display())))?;
    Ok(report(
        input, args.rate, &replayed, &statuses, &compared, &disk,
    ))
}

fn stop(local: &mut Local) -> Result<(), Failure> {
    for (node, ending) in local.stop_all(DOWN_WITHIN) {
        let trouble = match ending {
            Some(ending) if ending.is_clean() => continue,
            Some(ending) => format!("ended with {ending} when it was told to stop"),
            None => format!("did not stop within {} s", DOWN_WITHIN.as_secs()),
        };
        let log = local.log_tail(node);
        return Err(Failure::new(format!("node {node} {trouble}\n{log}")));
    }
    Ok(())
}

fn compared(
    local: &Local,
    input: &Input,
    replayed: &Replayed,
    statuses: &[Status],
) -> Result<Compared, Failure> {
    let commit = statuses.first().map(|status| status.commit_index);
    let commit = commit.expect("all nodes have settled on an index");
    let paths = local
        .nodes()
        .into_iter()
        .map(|node| (node, local.paths(node).data));
    let paths: Vec<(NodeId, PathBuf)> = paths.collect();
    let directories: Vec<(NodeId, &Path)> = paths
        .iter()
        .map(|(node, path)| (*node, path.as_path()))
        .collect();
    let audit = Audit::new(input, replayed.producer, &replayed.offsets);
    compare(&directories, commit, audit)
}

fn report(
    input: &Input,
    rate: u64,
    replayed: &Replayed,
    statuses: &[Status],
    compared: &Compared,
    disk: &str,
) -> Report {
    let size = |size: usize| u64::try_from(size).expect("a size fits into 64 bits");
    let acked = size(replayed.offsets.iter().flatten().count());
    let ns = replayed.took.as_nanos().max(1);
    let events_per_s = u128::from(acked) * 1_000_000_000 / ns;
    let digests = statuses.iter().map(|status| digest_text(status.digest));
    let durability = if is_memory(disk) {
        "2 of 3 copies, all in this host's memory: nothing survives it"
    } else {
        "2 of 3 logs, each write O_DIRECT and DSYNC; the three share this host's disk"
    };
    Report {
        input: input.name().to_owned(),
        events: size(input.len()),
        acked,
        lost: compared.findings.lost,
        duplicated: compared.findings.duplicated,
        different: compared.findings.different,
        identical: compared.identical(),
        records: compared.records,
        log_bytes: compared.bytes,
        commit_index: statuses.first().map_or(0, |status| status.commit_index.0),
        digests: digests.collect(),
        seconds: replayed.took.as_secs_f64(),
        events_per_s: u64::try_from(events_per_s).expect("memory held all these events"),
        rate,
        latency_us: replayed.latencies.percentiles(),
        latency_steady_us: replayed.steady.percentiles(),
        samples_steady: replayed.steady.samples(),
        killed: replayed.killed.0,
        failover_ms: replayed.failover.as_secs_f64() * 1_000.0,
        durability: durability.to_owned(),
        disk: disk.to_owned(),
    }
}
