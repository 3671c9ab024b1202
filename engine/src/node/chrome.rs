//! A trace in the format of Chrome's tracing, which Perfetto and other viewers read: one JSON object, times in microseconds.

use std::fmt;
use std::io::{self, Write};

use quorate_replication::pipeline::{Counts, TracedTurn, Turns, Wait};
use quorate_wire::{NodeId, Time};

/// The rows of a node's pipeline: its turns with their phases, and its sleeps between them.
const PIPELINE: u32 = 0;

/// Nanoseconds, said in microseconds.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// Writes all turns. The clock is the host's: traces of several nodes of one host fit together.
pub(super) fn write(trace: &Turns, node: NodeId, out: &mut impl Write) -> io::Result<()> {
    let process = node.0;
    writeln!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    for (what, name) in [
        ("process_name", format!("node {node}")),
        ("thread_name", "pipeline-0".to_owned()),
    ] {
        writeln!(
            out,
            "{{\"name\":\"{what}\",\"ph\":\"M\",\"pid\":{process},\"tid\":{PIPELINE},\"args\":{{\"name\":\"{name}\"}}}},"
        )?;
    }
    let mut before = None::<&TracedTurn>;
    for turn in trace.all() {
        if let Some(before) = before {
            write_sleep(before, turn, process, out)?;
        }
        write_turn(turn, process, out)?;
        before = Some(turn);
    }
    // A list may not end with a comma, and an event that says nothing ends it.
    writeln!(
        out,
        "{{\"name\":\"end\",\"ph\":\"M\",\"pid\":{process},\"tid\":{PIPELINE},\"args\":{{}}}}"
    )?;
    writeln!(out, "]}}")
}

fn span(
    name: &str,
    (begun, ended): (Time, Time),
    process: u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let (at, took) = (Micros(begun.0), Micros(ended.since(begun)));
    write!(
        out,
        "{{\"name\":\"{name}\",\"ph\":\"X\",\"pid\":{process},\"tid\":{PIPELINE},\"ts\":{at},\"dur\":{took},\"args\":{{"
    )
}

fn write_turn(turn: &TracedTurn, process: u32, out: &mut impl Write) -> io::Result<()> {
    span("turn", (turn.begun, turn.ended()), process, out)?;
    let did = turn.did.named().filter(|&(_, count)| count > 0);
    for (nth, (name, count)) in did.enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        write!(out, "{comma}\"{name}\":{count}")?;
    }
    writeln!(out, "}}}},")?;
    for (phase, begun, ended) in turn.phases() {
        if ended > begun {
            span(phase.name(), (begun, ended), process, out)?;
            writeln!(out, "}}}},")?;
        }
    }
    Ok(())
}

/// What lies between two turns: the system call that submits, and the sleep in it, if there was one.
fn write_sleep(
    before: &TracedTurn,
    turn: &TracedTurn,
    process: u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = if before.wait == Wait::Not {
        "submit"
    } else {
        "submit and sleep"
    };
    span(name, (before.ended(), turn.begun), process, out)?;
    let (until, woken) = (before.wait.name(), woken_by(&turn.did));
    writeln!(out, "\"until\":\"{until}\",\"woken by\":\"{woken}\"}}}},")
}

/// What a turn that did this has found at its beginning. Several may have come together: the names are in the turn's order.
fn woken_by(did: &Counts) -> &'static str {
    if did.completions > 0 {
        "disk"
    } else if did.arrivals > 0 {
        "network"
    } else if did.requests > 0 {
        "lanes"
    } else {
        "a deadline or a bell"
    }
}
