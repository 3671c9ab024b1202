//! `quorate consume`: committed events, in order, to standard output.

mod group;

use std::cmp::Reverse;
use std::io::{self, BufWriter};
use std::thread;
use std::time::{Duration, Instant};

use quorate_client::{
    ClientError, Consistency, Consumer, ConsumerOptions, Offset, ReadFrom, Status,
};

use super::nodes::{Nodes, address};
use super::wanted::{Wanted, consistency};
use crate::Failure;
use crate::event_view::Format;
use crate::interrupt::Interrupt;
use crate::survey::survey;

/// How long a node waits for a new event before it answers that there is none; so often the process looks whether it was asked
/// to stop.
const WAIT: Duration = Duration::from_millis(100);

/// How long a node may take to say how far it is.
const STATUS_WITHIN: Duration = Duration::from_millis(500);

/// How long it rests when no node answers.
const REST: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  quorate consume                                     all payloads, one a line
  quorate consume --from end --follow                 from now on, until Ctrl-C
  quorate consume --from 1000 --count 10 --format detail
  quorate consume --from-time 1795170600000000000 --filter-topic flights --filter-key N14228
  quorate consume --consistency at-least:5000         once this node has what was acknowledged before offset 5000
  quorate consume --format json | jq .payload
  quorate consume --node 127.0.0.1:9002               what this node has, and no other
  quorate consume --group billing --follow            as many of these as you like: they share the events

Formats: line is the payload and a line break; detail is offset, key, time, topic and payload between tabs; json is an object a
line, with payload_base64 in place of payload (or topic_base64 of topic) where it is not UTF-8. Keys are hexadecimal, times are
nanoseconds since 1970 on the producer's clock. Without --follow it ends with what was committed when it began.";

/// What to read from where.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    nodes: Nodes,
    /// Read from this node only, whatever happens.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    node: Option<String>,
    /// The first event: its offset, or start, or end (or tail).
    #[arg(long, value_name = "OFFSET", default_value = "start", value_parser = Begin::parse)]
    from: Begin,
    /// Begin with the first events that reached the log at this time or later: nanoseconds since 1970, on the leader's clock.
    #[arg(long, value_name = "NANOSECONDS", conflicts_with = "from")]
    from_time: Option<u64>,
    #[command(flatten)]
    wanted: Wanted,
    /// How fresh the answers must be: any, at-least:OFFSET, or linearizable.
    #[arg(long, value_name = "HOW", default_value = "any", value_parser = consistency)]
    consistency: Consistency,
    #[command(flatten)]
    member: group::GroupArgs,
    /// Wait for further events, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// End after so many events.
    #[arg(long, value_name = "EVENTS")]
    count: Option<u64>,
    /// How an event is printed.
    #[arg(long, value_enum, default_value = "line")]
    format: Format,
    /// Give up when no node answers for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Start,
    End,
    At(Offset),
}

impl Begin {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" | "tail" => Ok(Self::End),
            offset => match offset.parse() {
                Ok(offset) => Ok(Self::At(Offset(offset))),
                Err(_) => Err("an offset is a number, or start, or end".into()),
            },
        }
    }
}

/// Does it. Ctrl-C is the usual end of following, and so no failure.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = if let Some(name) = args.member.group {
        args.member.print(name, args, &mut out, &interrupt)
    } else if let Some(mut bounded) = connect(args, &interrupt)? {
        bounded.print(args.format, &mut out, &interrupt)
    } else {
        Ok(())
    };
    match printed {
        Ok(()) => Ok(()),
        // Whoever read this has seen enough.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stop::Output(error)) => Err(Failure::new(format!("standard output: {error}"))),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Unread(error)) => Err(group::explain(error)),
    }
}

/// Why nothing further is printed.
enum Stop {
    Output(io::Error),
    Failed(Failure),
    Unread(ClientError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Whom to read from first, and where the log ends there.
#[derive(Debug, PartialEq, Eq)]
struct Best {
    /// Which of the addresses.
    place: usize,
    end: Offset,
}

/// The node that knows of the most events: one that is behind would take a late offset for one past the end, and would not show
/// what was acknowledged a moment ago.
fn best(answers: &[Result<Status, ClientError>]) -> Option<Best> {
    let ends = answers.iter().enumerate().filter_map(|(place, answer)| {
        let status = answer.as_ref().ok()?;
        Some(Best {
            place,
            end: status.committed,
        })
    });
    // Of equals the first.
    ends.min_by_key(|best| Reverse(best.end))
}

/// A consumer, and where it is to end.
struct Bounded {
    consumer: Consumer,
    /// The offset to stop at; none: it follows.
    end: Option<Offset>,
    /// Events that may still come; none: any number.
    left: Option<u64>,
}

/// Puts the node that knows of the most events first, and returns where the log ends there. `None`: the process was asked to stop
/// before any node answered.
pub(super) fn ahead(
    nodes: &mut [String],
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Option<Offset>, Failure> {
    let until = Instant::now() + patience;
    loop {
        if let Some(Best { place, end }) = best(&survey(nodes, STATUS_WITHIN)) {
            nodes.swap(0, place);
            return Ok(Some(end));
        }
        if interrupt.is_asked() {
            return Ok(None);
        }
        if Instant::now() >= until {
            // Says what the trouble is; unless the nodes have come up this very moment.
            let mut options = ConsumerOptions::new(nodes.iter());
            options.patience = Duration::ZERO;
            Consumer::connect(options)?;
        }
        thread::sleep(REST);
    }
}

fn connect(args: &Args, interrupt: &Interrupt) -> Result<Option<Bounded>, Failure> {
    let mut nodes = match &args.node {
        Some(node) => vec![node.clone()],
        None => args.nodes.nodes.clone(),
    };
    let patience = Duration::from_secs(args.patience);
    let Some(end) = ahead(&mut nodes, patience, interrupt)? else {
        return Ok(None);
    };
    let mut options = ConsumerOptions::new(&nodes);
    options.stick = args.node.is_some();
    options.patience = patience;
    options.from = match (args.from_time, args.from) {
        (Some(time), _) => ReadFrom::Time(time),
        (None, Begin::Start) => ReadFrom::Start,
        (None, Begin::End) => ReadFrom::Offset(end),
        (None, Begin::At(offset)) => ReadFrom::Offset(offset),
    };
    options.filter = args.wanted.filter()?;
    options.consistency = args.consistency;
    options.push = args.follow;
    Ok(Some(Bounded {
        consumer: Consumer::connect(options)?,
        end: (!args.follow).then_some(end),
        left: args.count,
    }))
}

impl Bounded {
    fn print(
        &mut self,
        format: Format,
        out: &mut impl io::Write,
        interrupt: &Interrupt,
    ) -> Result<(), Stop> {
        while !interrupt.is_asked() && self.left != Some(0) {
            // At the end there is nothing to wait for; but an offset past it is refused, by the node.
            let wait = if self.is_over() { Duration::ZERO } else { WAIT };
            let batch = self.consumer.fetch(wait);
            let batch = batch.map_err(Stop::Unread)?;
            for (offset, event) in batch.events() {
                if self.left == Some(0) || self.end.is_some_and(|end| offset >= end) {
                    break;
                }
                format.write(offset, &event, out)?;
                self.left = self.left.map(|left| left - 1);
            }
            out.flush()?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.consumer.offset() >= end)
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{ClientError, LinkCause, Offset};

    use crate::status_view::sample::with_committed;

    use super::{Begin, Best, best};

    #[test]
    fn it_begins_at_an_offset_or_at_either_end() {
        assert_eq!(Begin::parse("start"), Ok(Begin::Start));
        assert_eq!(Begin::parse("end"), Ok(Begin::End));
        assert_eq!(Begin::parse("12"), Ok(Begin::At(Offset(12))));
        for text in ["", "-1", "1.5", "first", "18446744073709551616"] {
            assert!(Begin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_node_that_knows_most_is_read_first() {
        let up = |committed| Ok(with_committed(committed));
        let down = || {
            Err(ClientError::Unreachable {
                nodes: Vec::new(),
                last: LinkCause::Closed,
            })
        };
        assert_eq!(best(&[down(), down()]), None);
        let answers = [down(), up(5), up(9), up(9)];
        let expected = Best {
            place: 2,
            end: Offset(9),
        };
        assert_eq!(best(&answers), Some(expected));
    }
}
