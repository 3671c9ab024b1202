//! `quorate bench sweep`: the same load at several rates, or with several requests in flight.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::Serialize;

use super::super::cluster::executable;
use super::super::produce::window;
use super::measure::{Bench, Plan};
use super::shape::{Pacing, Shape, rate};
use super::{command_line, write};
use crate::bench::{Plotted, Run, Summary, page, sweep_table};
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::table::Table;
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate bench sweep --rates 1k,5k,20k,70k --batch 1 --event-size 512      an open loop at each rate
  quorate bench sweep --in-flights 1,4,16,64,256                            a closed loop with each window
  quorate bench sweep --rates 10k,100k,1M --runs 3 --report curve.html --json > curve.json

Each point is a run on a new cluster. With several runs a point, all points are measured once before the first is measured again:
a host that is slow for a while is not one point's bad luck. Where the acknowledged rate falls behind the due one, the curve has
its knee; latencies there only say for how long the load went on.";

/// Which points of which load.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Events a second, over all producers, of an open loop at each point.
    #[arg(long, value_name = "EVENTS,..", value_delimiter = ',', value_parser = rate, required_unless_present = "in_flights")]
    rates: Vec<NonZeroU64>,
    /// Requests that each producer keeps in flight, of a closed loop at each point.
    #[arg(long, value_name = "REQUESTS,..", value_delimiter = ',', value_parser = window, conflicts_with = "rates")]
    in_flights: Vec<NonZeroU32>,
    /// Runs of each point; the figures are their medians.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print one JSON object; its `sweep` has an object for each point.
    #[arg(long)]
    json: bool,
    /// Write a page with the throughput-latency curve to this file.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Serialize)]
struct Sweep<'a> {
    sweep: &'a [Summary],
}

impl Args {
    fn points(&self) -> Vec<Pacing> {
        let open = self.rates.iter().map(|&rate| Pacing::new(Some(rate), None));
        let closed = self.in_flights.iter();
        let closed = closed.map(|&in_flight| Pacing::new(None, Some(in_flight)));
        open.chain(closed).collect()
    }
}

/// Does it.
pub(super) fn run(
    args: &Args,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    args.shape.check(args.rates.iter().max().copied())?;
    let bench = Bench {
        shape: &args.shape,
        log_level,
        phases,
        interrupt,
    };
    let points = args.points();
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); points.len()];
    let executable = executable()?;
    for round in 1..=args.runs {
        for (&pacing, runs) in points.iter().zip(&mut runs) {
            let name = pacing.name();
            runs.push(bench.run(&Plan {
                executable: &executable,
                pacing,
                label: format!(" ({name}, run {round} of {})", args.runs),
                place: format!("{}-run-{round}", name.replace([',', '/', ' '], "")),
            })?);
        }
    }
    let summaries: Vec<Summary> = runs.iter().filter_map(|runs| Summary::of(runs)).collect();
    if let Some(path) = &args.report {
        let plotted: Vec<Plotted<'_>> = points
            .iter()
            .zip(&runs)
            .filter_map(|(pacing, runs)| {
                let first = runs.first()?;
                Some(Plotted {
                    name: pacing.name(),
                    latency_us: &first.latency_us,
                    series: &first.report.series,
                })
            })
            .collect();
        write(path, &page(&command_line(), &summaries, &plotted))?;
    }
    phases.end();
    if args.json {
        terminal::print_json(&Sweep { sweep: &summaries });
    } else {
        terminal::print(&text(&summaries));
    }
    Ok(())
}

fn text(points: &[Summary]) -> String {
    let (headings, rows) = sweep_table(points);
    let mut table = Table::with_headings(&headings);
    rows.into_iter().for_each(|row| table.row(row));
    let mut text = table.to_string();
    // What all points share, from the first one.
    for (what, said) in points.first().iter().flat_map(|first| first.middle.lines()) {
        if ["durability", "disk", "machine", "program"].contains(&what.as_str()) {
            text.push_str(&format!("\n{what}: {said}"));
        }
    }
    text
}
