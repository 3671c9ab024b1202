//! `quorate bench compare`: whether two measurements differ by more than their noise. `quorate bench ab` measures both, by turns.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::Serialize;

use super::super::produce::window;
use super::measure::{Bench, Plan};
use super::shape::{Pacing, Shape, rate};
use crate::bench::{Comparison, Run, Side, Summary};
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate bench --runs 5 --json > before.json        then the change, then
  quorate bench --runs 5 --json > after.json
  quorate bench compare before.json after.json
  quorate bench compare before.json after.json --gate 10%     exit status 1 if B lost more than that

Throughput and the 99th percentile of the latency: the ratio of the medians, and where it lies if one draws again, 10,000 times,
as many runs of each side out of those there are. Is 1 within 95 % of these draws, then these runs show no difference. Two files
that were measured one after the other also differ by what the host did in between: `quorate bench ab` measures by turns.";

const AB_EXAMPLES: &str = "\
Examples:
  quorate bench ab --a old/quorate --b new/quorate --runs 5
  quorate bench ab --a old/quorate --b new/quorate --runs 7 --rate 70k --batch 1 --event-size 512 --gate 10%

The load is this program's in both cases; only the nodes differ. A B, B A, A B, ...: who goes first changes from turn to turn.";

/// Which files.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What `quorate bench --json`, with or without `sweep`, has printed before.
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// And after.
    #[arg(value_name = "B.json")]
    b: PathBuf,
    #[command(flatten)]
    verdict: VerdictArgs,
}

#[derive(Debug, clap::Args)]
struct VerdictArgs {
    /// Exit with status 1 if B has lost more than this, in throughput or in the 99th percentile, as far as the runs can show.
    #[arg(long, value_name = "PERCENT", value_parser = gate)]
    gate: Option<f64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which programs.
#[derive(Debug, clap::Args)]
#[command(after_help = AB_EXAMPLES)]
pub(super) struct AbArgs {
    /// The program of the nodes of side A.
    #[arg(long, value_name = "PROGRAM")]
    a: PathBuf,
    /// The program of the nodes of side B.
    #[arg(long, value_name = "PROGRAM")]
    b: PathBuf,
    /// Runs of each side.
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    shape: Shape,
    /// An open loop: so many events are due a second, over all producers.
    #[arg(long, value_name = "EVENTS", value_parser = rate)]
    rate: Option<NonZeroU64>,
    /// Requests that each producer keeps in flight.
    #[arg(long, value_name = "REQUESTS", value_parser = window)]
    in_flight: Option<NonZeroU32>,
    #[command(flatten)]
    verdict: VerdictArgs,
}

/// A share, as percent.
fn gate(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let percent = percent
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    let share = percent.map(|percent| percent / 100.0);
    share.ok_or_else(|| "a share, such as 10%".into())
}

#[derive(Serialize)]
struct Compared<'a> {
    compared: &'a [Comparison],
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<&'a Summary>,
}

/// Compares two files.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let compared = Comparison::of(&Side::read(&args.a)?, &Side::read(&args.b)?)?;
    say(&compared, None, &args.verdict)
}

/// Measures two programs, and compares them.
pub(super) fn ab(
    args: &AbArgs,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    args.shape.check(args.rate)?;
    if !args.shape.nodes.is_empty() {
        return Err(
            Failure::usage("which program runs elsewhere is not ours to say")
                .cure("leave --nodes away: both sides run on this host"),
        );
    }
    let bench = Bench {
        shape: &args.shape,
        log_level,
        phases,
        interrupt,
    };
    let (mut a, mut b): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for round in 1..=args.runs {
        let one = |name: &str, executable: &PathBuf, runs: &mut Vec<Run>| {
            runs.push(bench.run(&Plan {
                executable,
                pacing: Pacing::new(args.rate, args.in_flight),
                label: format!(" ({name}, run {round} of {})", args.runs),
                place: format!("{name}-run-{round}"),
            })?);
            Ok::<(), Failure>(())
        };
        if round % 2 == 1 {
            one("a", &args.a, &mut a)?;
            one("b", &args.b, &mut b)?;
        } else {
            one("b", &args.b, &mut b)?;
            one("a", &args.a, &mut a)?;
        }
    }
    let summary = |runs: &[Run]| Summary::of(runs).ok_or_else(|| Failure::new("no run"));
    let (a, b) = (summary(&a)?, summary(&b)?);
    let side = |summary: &Summary| {
        let json = serde_json::to_value(summary).map_err(|error| error.to_string());
        json.and_then(|json| Side::all(&json)).map_err(Failure::new)
    };
    let compared = Comparison::of(&side(&a)?, &side(&b)?)?;
    phases.end();
    say(&compared, Some((&a, &b)), &args.verdict)
}

fn say(
    compared: &[Comparison],
    sides: Option<(&Summary, &Summary)>,
    args: &VerdictArgs,
) -> Result<(), Failure> {
    if args.json {
        terminal::print_json(&Compared {
            compared,
            a: sides.map(|(a, _)| a),
            b: sides.map(|(_, b)| b),
        });
    } else {
        terminal::print(&Comparison::table(compared).to_string());
    }
    for note in Comparison::notes(compared) {
        terminal::say(&note);
    }
    let Some(gate) = args.gate else {
        return Ok(());
    };
    if compared.iter().any(Comparison::is_undecided) {
        return Err(Failure::new("a gate needs at least three runs a side")
            .cure("measure with --runs 5 on both sides"));
    }
    if compared.iter().any(|one| one.is_regression(gate)) {
        let percent = gate * 100.0;
        return Err(Failure::new(format!(
            "B has lost more than {percent} % to A"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::gate;

    #[test]
    fn a_gate_is_a_share() {
        for text in ["10%", "10", "10 %"] {
            assert!(gate(text).is_ok_and(|share| (share - 0.1).abs() < 1e-9));
        }
        for text in ["", "%", "-1%", "101%", "x", "nan"] {
            assert!(gate(text).is_err(), "{text}");
        }
    }
}
