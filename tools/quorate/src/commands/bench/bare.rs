//! `quorate bench bare`: the real system and the least that could do the same work, by turns.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quorate_bench::statistics::{Ratio, median};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::cluster::executable;
use super::super::produce::window;
use super::measure::{Bench, Plan};
use super::shape::{Pacing, Shape};
use crate::bench::{Run, Summary};
use crate::demo::Workplace;
use crate::figures::float;
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

/// The yardstick's program.
const PROGRAM: &str = "quorate-bare";

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p quorate -p quorate-bare && target/release/quorate bench bare
  quorate bench bare --batch 1 --in-flight 1024 --runs 5 --json

The bare path: three processes and a client, one raw io_uring each; frames with a checksum, one durable write of whatever came while
the last one was in flight, acknowledged by two of three disks. No elections, no deduplication, no recovery, one client. It moves the
same bytes through the same disk a moment before or after, so the ratio holds where the figures themselves change from hour to hour.";

/// Which load.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Requests in flight.
    #[arg(long, value_name = "REQUESTS", value_parser = window)]
    in_flight: Option<NonZeroU32>,
    /// Runs of each.
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// The yardstick's program; by default `quorate-bare` beside this one.
    #[arg(long, value_name = "PROGRAM")]
    bare: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is read of the yardstick's report.
#[derive(Debug, Deserialize)]
struct Figures {
    events_per_s: f64,
    latency_us: Latency,
    release: bool,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// Everything that is said. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
struct Report {
    /// Quorate over the bare path.
    ratio: Ratios,
    bare: Vec<Value>,
    real: Summary,
}

#[derive(Debug, Serialize)]
struct Ratios {
    events_per_s: Compared,
    p50: Compared,
    p99: Compared,
}

/// The medians of both, and the ratio with what so many runs could have shown as well.
#[derive(Debug, Serialize)]
struct Compared {
    bare: f64,
    real: f64,
    ratio: f64,
    interval: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Bare,
    Real,
}

/// Does it.
pub(super) fn run(
    args: &Args,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    check(args)?;
    let bare = bare_program(args.bare.as_deref())?;
    let bench = Bench {
        shape: &args.shape,
        log_level,
        phases,
        interrupt,
    };
    let pacing = Pacing::new(None, args.in_flight);
    let executable = executable()?;
    let (mut yardstick, mut real) = (Vec::new(), Vec::new());
    for round in 1..=args.runs {
        let label = format!(" (run {round} of {})", args.runs);
        // Who goes first changes from turn to turn.
        let mut turns = [Turn::Bare, Turn::Real];
        if round % 2 == 0 {
            turns.reverse();
        }
        for turn in turns {
            match turn {
                Turn::Bare => {
                    phases.begin(&format!("the bare path{label}"));
                    yardstick.push(measure(&bare, args, pacing)?);
                    interrupt.check()?;
                }
                Turn::Real => real.push(bench.run(&Plan {
                    executable: &executable,
                    pacing,
                    label: label.clone(),
                    place: format!("run-{round}"),
                })?),
            }
        }
    }
    let report = report(yardstick, &real)?;
    phases.end();
    if args.json {
        terminal::print_json(&report);
    } else {
        terminal::print(&text(&report));
    }
    Ok(())
}

fn check(args: &Args) -> Result<(), Failure> {
    args.shape.check(None)?;
    let shape = &args.shape;
    let is_like_it = shape.nodes.is_empty()
        && shape.local_count() == 3
        && shape.producers == 1
        && shape.consumers == 0
        && !shape.ids;
    if is_like_it {
        return Ok(());
    }
    Err(
        Failure::usage("the bare path has three nodes on this host, one producer and no consumers")
            .cure("leave --nodes, --local, --producers and --consumers away"),
    )
}

fn bare_program(said: Option<&Path>) -> Result<PathBuf, Failure> {
    let program = match said {
        Some(said) => said.to_owned(),
        None => executable()?.with_file_name(PROGRAM),
    };
    if program.exists() {
        return Ok(program);
    }
    let missing = format!("{} is not there", program.display());
    Err(Failure::new(missing).cure("cargo build --release -p quorate-bare"))
}

/// One run of the yardstick, on the disk that the real nodes lie on.
fn measure(program: &Path, args: &Args, pacing: Pacing) -> Result<Value, Failure> {
    let shape = &args.shape;
    let place = shape.dir.as_ref().map(|dir| dir.join("bare"));
    let place = Workplace::new(place.as_deref())?;
    let mut command = Command::new(program);
    command.arg("--dir").arg(place.path());
    for (name, value) in [
        ("--event-size", shape.event_size.to_string()),
        ("--batch", shape.batch.to_string()),
        ("--in-flight", pacing.in_flight.to_string()),
        ("--duration", shape.duration.as_secs_f64().to_string()),
        ("--warm-up", shape.warm_up.as_secs_f64().to_string()),
    ] {
        command.arg(name).arg(value);
    }
    let failed = |what: String| Failure::new(format!("{}: {what}", program.display()));
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(format!("{}: {said}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

fn report(bare: Vec<Value>, real: &[Run]) -> Result<Report, Failure> {
    let yardstick: Vec<Figures> = bare
        .iter()
        .map(Figures::deserialize)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(format!("the bare path's report: {error}")))?;
    if yardstick
        .iter()
        .any(|run| run.release == cfg!(debug_assertions))
    {
        return Err(Failure::new("one of the two programs is a debug build")
            .cure("cargo build --release -p quorate -p quorate-bare"));
    }
    let of = |bare: fn(&Figures) -> f64, of_real: fn(&Run) -> u64| {
        let bare: Vec<f64> = yardstick.iter().map(bare).collect();
        let real: Vec<f64> = real.iter().map(|run| float(of_real(run))).collect();
        compared(&bare, &real)
    };
    let ratio = Ratios {
        events_per_s: of(
            |bare| bare.events_per_s,
            |real| real.report.measures.events_per_s,
        )?,
        p50: of(
            |bare| bare.latency_us.p50,
            |real| real.report.measures.latency_us.p50,
        )?,
        p99: of(
            |bare| bare.latency_us.p99,
            |real| real.report.measures.latency_us.p99,
        )?,
    };
    Ok(Report {
        ratio,
        bare,
        real: Summary::of(real).ok_or_else(|| Failure::new("no run"))?,
    })
}

fn compared(bare: &[f64], real: &[f64]) -> Result<Compared, Failure> {
    let (Some(ratio), Some(bare), Some(real)) = (Ratio::of(bare, real), median(bare), median(real))
    else {
        return Err(Failure::new("nothing was acknowledged"));
    };
    Ok(Compared {
        bare,
        real,
        ratio: ratio.ratio,
        interval: ratio.interval.map(|(low, high)| [low, high]),
    })
}

fn text(report: &Report) -> String {
    let mut table = Table::with_headings(&[
        "median of",
        "bare path",
        "Quorate",
        "ratio",
        "95 % of the draws",
    ]);
    let ratio = &report.ratio;
    for (what, figure) in [
        ("events/s", &ratio.events_per_s),
        ("p50 us", &ratio.p50),
        ("p99 us", &ratio.p99),
    ] {
        let interval = figure
            .interval
            .map(|[low, high]| format!("{low:.2} to {high:.2}"));
        table.row([
            what.to_owned(),
            whole(figure.bare),
            whole(figure.real),
            format!("{:.2}", figure.ratio),
            interval.unwrap_or_else(|| "-".into()),
        ]);
    }
    format!("{table}\n\n{}", report.real.table())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and microseconds are positive and far below 2^53"
)]
fn whole(figure: f64) -> String {
    thousands(figure.round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{report, text};
    use crate::bench::run;

    fn bare(events_per_s: u64, release: bool) -> Value {
        json!({"events_per_s": events_per_s, "latency_us": {"p50": 406, "p99": 1_000}, "release": release})
    }

    #[test]
    fn a_ratio_is_of_the_medians() {
        let same = !cfg!(debug_assertions);
        let yardstick = vec![
            bare(6_000_000, same),
            bare(4_000_000, same),
            bare(5_000_000, same),
        ];
        let real = [
            run(3_000_000, 2_000),
            run(2_000_000, 3_000),
            run(4_000_000, 1_000),
        ];
        let report = report(yardstick, &real).expect("both are of one kind");
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("events/s   5,000,000  3,000,000   0.60"),
            "{text}"
        );
        assert!(
            lines[2].contains("2.00") && lines[3].contains("2.00"),
            "{text}"
        );
        assert!(text.contains("medians of 3 runs"), "{text}");
    }

    #[test]
    fn a_release_is_not_held_against_a_debug_build() {
        let other = cfg!(debug_assertions);
        let refused = report(vec![bare(1, other)], &[run(1, 1)]);
        assert!(refused.is_err_and(|failure| failure.to_string().contains("debug build")));
    }
}
