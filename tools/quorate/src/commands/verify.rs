//! `quorate verify`: reads the log back and holds it against the lines that were to be in it.

use std::path::PathBuf;
use std::time::Duration;

use quorate_client::{Consumer, ConsumerOptions, Offset, ReadFrom};
use serde::Serialize;

use super::consume::ahead;
use super::keys::Keys;
use super::nodes::Nodes;
use crate::input::{Input, InputOptions};
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::reading::Reading;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate produce orders.csv --skip-header --key-column 2 --topic orders
  quorate verify orders.csv --skip-header --key-column 2 --topic orders

Lost: a line that is not in the log. Doubled: an event that is in the log more often than its line is in the file. Out of order: an
event that stands behind a later line of its key. Foreign: an event of the topic that is no line of the file: other producers'
events, or, if the log should hold nothing else, a mistake.

Give the same key options as `produce` was given: key and payload together are what is looked for. A line that is in the file
twice counts twice.

Exit status 1 if anything is lost, doubled or out of order.";

/// What to hold against what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lines that were produced, plain or gzip.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    keys: Keys,
    /// The first line is a header, and no event.
    #[arg(long)]
    skip_header: bool,
    /// Look at events of this topic only; by default at all.
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// Read from this offset on.
    #[arg(long, value_name = "OFFSET", default_value = "0")]
    from: u64,
    /// Give up when no node answers for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What came of it. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
struct Summary {
    lines: u64,
    /// Where the reading began and ended.
    from_offset: u64,
    to_offset: u64,
    /// Events that were looked at.
    events: u64,
    found: u64,
    lost: u64,
    doubled: u64,
    out_of_order: u64,
    foreign: u64,
    /// The first few, in words.
    examples: Vec<String>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let options = InputOptions {
        rule: args.keys.rule(),
        header: args.skip_header,
        events_max: None,
    };
    let input = Input::file(&args.file, options)?;
    let patience = Duration::from_secs(args.patience);
    let mut nodes = args.nodes.nodes.clone();
    let end = ahead(&mut nodes, patience, &interrupt)?.ok_or_else(Failure::interrupted)?;
    let mut options = ConsumerOptions::new(&nodes);
    options.from = ReadFrom::Offset(Offset(args.from));
    options.patience = patience;
    let mut consumer = Consumer::connect(options)?;
    let phases = Phases::new(usize::try_from(end.0.saturating_sub(args.from)).unwrap_or(0));
    phases.begin(&format!("reading back up to offset {}", thousands(end.0)));
    let topic = args.topic.as_deref().map(str::as_bytes);
    let mut reading = Reading::new(&input);
    let mut events = 0;
    while consumer.offset() < end {
        if interrupt.is_asked() {
            return Err(Failure::interrupted());
        }
        for (offset, event) in consumer.fetch(Duration::ZERO)?.events() {
            if offset < end && topic.is_none_or(|topic| topic == event.topic) {
                reading.event(offset, event.key, event.payload);
                events += 1;
            }
        }
        phases.passed(consumer.offset().0.saturating_sub(args.from));
    }
    drop(phases);
    let findings = reading.finish();
    let summary = Summary {
        lines: u64::try_from(input.len()).expect("a size fits into 64 bits"),
        from_offset: args.from,
        to_offset: end.0,
        events,
        found: findings.found,
        lost: findings.lost,
        doubled: findings.doubled,
        out_of_order: findings.out_of_order,
        foreign: findings.foreign,
        examples: findings.examples,
    };
    if args.json {
        terminal::print_json(&summary);
    } else {
        terminal::print(&summary.table().to_string());
    }
    summary.judge(&input)
}

impl Summary {
    fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line("lines", thousands(self.lines));
        line(
            "log",
            format!(
                "{} events looked at, offsets {} to {}",
                thousands(self.events),
                thousands(self.from_offset),
                thousands(self.to_offset)
            ),
        );
        for (what, count) in [
            ("found", self.found),
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("foreign", self.foreign),
        ] {
            line(what, thousands(count));
        }
        for example in &self.examples {
            line("such as", example.clone());
        }
        table
    }

    fn judge(&self, input: &Input) -> Result<(), Failure> {
        if self.lost + self.doubled + self.out_of_order == 0 {
            return Ok(());
        }
        let failure = Failure::new(format!(
            "the log is not what {} holds: {} lost, {} doubled, {} out of order",
            input.name(),
            thousands(self.lost),
            thousands(self.doubled),
            thousands(self.out_of_order)
        ));
        Err(failure.cure("see that file, topic and key options are those of `quorate produce`"))
    }
}
