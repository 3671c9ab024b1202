//! `quorate produce`: events from a file or a pipe, one a line, each in the log exactly once.

mod ids;
mod resume;
mod summary;

use std::io::{self, BufRead};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use quorate_bench::Stages;
use quorate_client::{AckLevel, ClientError, ErrorCode, Event, Offset, Producer, ProducerOptions};
use quorate_wire::limits::{CHUNK_EVENTS_MAX, TOPIC_BYTES_MAX, WINDOW_REQUESTS_MAX};

use self::resume::{IN_FLIGHT_MAX, Resume};
use self::summary::Summary;
use super::keys::Keys;
use super::nodes::Nodes;
use crate::figures::{Latencies, rate};
use crate::interrupt::Interrupt;
use crate::lines::{self, LineError, Lines};
use crate::source::{self, Waiter};
use crate::stages::StageFigures;
use crate::{Failure, terminal};

/// How long a wait goes on before it looks whether the process was asked to stop.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// While chunks are in flight and the input has nothing, the input is looked at so often.
const TICK: Duration = Duration::from_millis(1);

/// How long what was taken may still need after Ctrl-C.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// So many events are sent between two looks at the acknowledgements.
const EVENTS_BETWEEN: u64 = 256;

const EXAMPLES: &str = "\
Examples:
  quorate produce orders.csv --skip-header --key-column 2 --topic orders
  zcat log.gz | quorate produce --key-regex 'user=([0-9]+)'
  quorate produce big.csv --resume big.state        after whatever killed it: the same again
  quorate produce hooks.csv --id-column 1           the same event twice, from wherever, is in the log once
  tail -f app.log | quorate produce --nodes 10.0.0.1:9001 --json

Events of one key keep their order. The key is a number made of text (FNV-1a, 64 bits): of a column, or of what an expression
finds; without either of the two it is 0 for all. A line that has no such column, or in which the expression finds nothing,
ends the command; with '|$' behind it, as in 'user=([0-9]+)|$', an expression takes every line.

With --resume, a run that was killed is taken up where it stopped, and no line is in the log twice: run the same command again.
The file (made if it does not exist) holds the producer's id and how far it came. Chunks then end at their size, not after
1 ms, so that they are the same in each run: this is for files, and for pipes that say the same again. A file that has grown
since goes on with what is new. A run can be taken up as long as the cluster knows its producer.

Ctrl-C sends no further lines, waits for the acknowledgement of those that were sent, and says how far it came: exit status 130.";

/// What to send where.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The events, one a line, plain or gzip; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    nodes: Nodes,
    /// What the events are about.
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = topic)]
    topic: String,
    #[command(flatten)]
    keys: Keys,
    /// The first line is a header, and no event.
    #[arg(long)]
    skip_header: bool,
    /// Events in a request at most; one that is not full waits 1 ms for more.
    #[arg(long, value_name = "EVENTS", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=i64::from(CHUNK_EVENTS_MAX)))]
    batch: u32,
    /// Requests in flight at most.
    #[arg(long, value_name = "REQUESTS", default_value = "64", value_parser = window)]
    in_flight: NonZeroU32,
    /// What an acknowledgement promises: quorum (a majority of the disks has the events), all (every disk has them; after a second
    /// a majority is enough, and is told apart), accepted (the leader's memory has them: lost with it).
    #[arg(long, value_name = "LEVEL", default_value = "quorum", value_parser = acks)]
    acks: AckLevel,
    /// Who is shed first when a node has much to do: requests of a lower priority are refused first, and sent again later.
    #[arg(long, value_name = "0-255", default_value = "0")]
    priority: u8,
    /// Ask how long each stage of each request took, and say so in the end.
    #[arg(long)]
    trace_stages: bool,
    /// Give up when no node answers, or nothing is acknowledged, for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// The column that is an event's id, counted from 1: whoever sends an event of this id within an hour, and however often, it is in the
    /// log once. One request is on its way at a time.
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "acks", "priority", "trace_stages", "in_flight"])]
    id_column: Option<NonZeroUsize>,
    /// Take up where the run before stopped, and write down in this file how far this one comes.
    #[arg(long, value_name = "STATE")]
    resume: Option<PathBuf>,
    /// Print one JSON object in the end.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What the run before left, if it is to be taken up.
    fn open_state(&self) -> Result<Option<Resume>, Failure> {
        let Some(path) = &self.resume else {
            return Ok(None);
        };
        if self.acks == AckLevel::Accepted {
            let text = "--resume needs acknowledgements that stay true: --acks quorum or all";
            return Err(Failure::usage(text));
        }
        if usize::try_from(self.in_flight.get()).is_ok_and(|chunks| chunks > IN_FLIGHT_MAX) {
            let most = format!("with --resume, at most {IN_FLIGHT_MAX} requests may be in flight");
            return Err(Failure::usage(most));
        }
        let same = (&self.topic, self.keys.rule(), self.skip_header, self.batch);
        Resume::open(path, &format!("{same:?}")).map(Some)
    }
}

fn topic(text: &str) -> Result<String, String> {
    if text.len() > TOPIC_BYTES_MAX {
        return Err(format!("a topic has at most {TOPIC_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// A level of acknowledgement by its name.
pub(super) fn acks(text: &str) -> Result<AckLevel, String> {
    let level = AckLevel::ALL.into_iter().find(|level| level.name() == text);
    level.ok_or_else(|| "the levels are quorum, all and accepted".to_owned())
}

/// Requests in flight, within what a node takes.
pub(super) fn window(text: &str) -> Result<NonZeroU32, String> {
    let requests = text.parse().ok().filter(|requests: &NonZeroU32| {
        usize::try_from(requests.get()).is_ok_and(|requests| requests <= WINDOW_REQUESTS_MAX)
    });
    requests.ok_or_else(|| format!("from 1 to {WINDOW_REQUESTS_MAX} requests may be in flight"))
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    if let Some(column) = args.id_column {
        return ids::run(args, column, &interrupt);
    }
    let failed = |error| Failure::unreadable(&args.file, &error);
    let opened = source::open(&args.file, &interrupt).map_err(failed)?;
    let opened = opened.ok_or_else(Failure::interrupted)?;
    let bytes_max = lines::payload_bytes_max(args.topic.as_bytes());
    let mut lines = Lines::new(opened.bytes, args.keys.rule(), bytes_max);
    let mut sending = Sending::connect(args)?;
    let sent = sending.all(&mut lines, &opened.waiter, &interrupt);
    let flushed = sending.flush(&interrupt);
    let saved = sending.save();
    let summary = sending.finish();
    if args.json {
        terminal::print_json(&summary);
    } else {
        terminal::print(&summary.table().to_string());
    }
    let ended = sent.and(flushed).map_err(|stop| match stop {
        Stop::Interrupted => Failure::interrupted(),
        Stop::Line(error) => failed_line(args, &error),
        Stop::Client(error) => failed_client(args, error),
        Stop::Resume(failure) => failure,
        Stop::Input(error) => failed(error),
    });
    ended.and(saved)
}

fn failed_line(args: &Args, error: &LineError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", args.file.display()));
    failure.cure("the lines before it are in the log; `--help` says what makes a key")
}

fn failed_client(args: &Args, error: ClientError) -> Failure {
    let forgotten = [ErrorCode::SequenceTooOld, ErrorCode::ProducerUnknown];
    let is_forgotten = error.code().is_some_and(|code| forgotten.contains(&code));
    let failure = Failure::from(error);
    match &args.resume {
        Some(state) if is_forgotten => failure.cure(format!(
            "the cluster no longer knows the run of {}: `quorate verify` says what is in the log",
            state.display()
        )),
        Some(_) | None => failure,
    }
}

/// Why no further line is sent.
enum Stop {
    Resume(Failure),
    Interrupted,
    Line(LineError),
    Client(ClientError),
    Input(io::Error),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

struct Sending<'a> {
    topic: &'a [u8],
    priority: u8,
    /// The first line is no event.
    has_header: bool,
    producer: Producer,
    resume: Option<Resume>,
    bar: Option<ProgressBar>,
    begun: Instant,
    /// When the last acknowledgement came.
    acked_at: Instant,
    /// Events that earlier runs had acknowledged.
    resumed: u64,
    /// Events of this run.
    events: u64,
    acked: u64,
    latencies: Latencies,
    acks: AckLevel,
    not_on_all: u64,
    stages: Stages,
    first: Option<Offset>,
    next: Option<Offset>,
}

impl<'a> Sending<'a> {
    fn connect(args: &'a Args) -> Result<Self, Failure> {
        let patience = Duration::from_secs(args.patience);
        let mut options = ProducerOptions::new(args.nodes.nodes.iter());
        options.batch_events = args.batch;
        options.window_requests =
            usize::try_from(args.in_flight.get()).expect("the window is small");
        options.acks = args.acks;
        options.priority = args.priority;
        options.trace_one_in = u64::from(args.trace_stages);
        options.ready_timeout = patience;
        options.give_up = Some(patience);
        let resume = args.open_state()?;
        if let Some(resume) = &resume {
            resume.adjust(&mut options);
        }
        let resumed = options.first.0;
        let producer = Producer::connect(options)?;
        let begun = Instant::now();
        Ok(Self {
            topic: args.topic.as_bytes(),
            priority: args.priority,
            has_header: args.skip_header,
            producer,
            resume,
            bar: terminal::is_watched().then(bar),
            begun,
            acked_at: begun,
            resumed,
            events: 0,
            acked: 0,
            latencies: Latencies::new(),
            acks: args.acks,
            not_on_all: 0,
            stages: Stages::default(),
            first: None,
            next: None,
        })
    }

    fn all(
        &mut self,
        lines: &mut Lines<Box<dyn BufRead>>,
        waiter: &Waiter,
        interrupt: &Interrupt,
    ) -> Result<(), Stop> {
        let mut header = self.has_header;
        loop {
            if interrupt.is_asked() {
                return Err(Stop::Interrupted);
            }
            let line = if header {
                lines.skip().map(|()| None)
            } else {
                lines.next_line().map(Some)
            };
            match line {
                Ok(None) => header = false,
                Ok(Some(Some((key, payload)))) => self.event(key, payload)?,
                Ok(Some(None)) => return self.check_end().map_err(Stop::Resume),
                Err(LineError::NotYet { .. }) => self.wait(waiter)?,
                Err(error) => return Err(Stop::Line(error)),
            }
        }
    }

    fn event(&mut self, key: u64, payload: &[u8]) -> Result<(), Stop> {
        if let Some(resume) = &mut self.resume
            && !resume.event(key, payload).map_err(Stop::Resume)?
        {
            return Ok(());
        }
        self.producer.send(&Event {
            key,
            time: wall_clock(),
            topic: self.topic,
            payload,
            priority: self.priority,
        })?;
        self.events += 1;
        if self.resume.as_ref().is_some_and(Resume::cuts_here) {
            // Before a further cut can be written down, this one must be of the past.
            self.producer.flush()?;
        }
        if self.events.is_multiple_of(EVENTS_BETWEEN) {
            self.take_acks().map_err(Stop::Resume)?;
        }
        Ok(())
    }

    /// The input has ended: it must have held what earlier runs had sent of it.
    fn check_end(&self) -> Result<(), Failure> {
        self.resume.as_ref().map_or(Ok(()), Resume::check_end)
    }

    /// The input has nothing yet: waits for it, and for acknowledgements if any are due.
    fn wait(&mut self, waiter: &Waiter) -> Result<(), Stop> {
        if self.is_due() {
            self.producer.poll(TICK)?;
            self.take_acks().map_err(Stop::Resume)?;
        } else if !waiter.wait(LOOK_EACH).map_err(Stop::Input)? {
            // Nothing is in flight; whether the node is still there is seen meanwhile.
            self.producer.poll(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Whether acknowledgements are to come. A chunk that is not full goes out by itself, but not if a later run may have to send
    /// the same one.
    fn is_due(&self) -> bool {
        let lingers = self.resume.is_none() && self.acked < self.events;
        lingers || self.producer.stats().pending_chunks > 0
    }

    /// Waits until everything is acknowledged; after Ctrl-C, not for ever.
    fn flush(&mut self, interrupt: &Interrupt) -> Result<(), Stop> {
        if let Some(resume) = &mut self.resume
            && resume.end().map_err(Stop::Resume)?
        {
            self.producer.seal()?;
        }
        let mut until = None;
        while self.is_due() {
            if interrupt.is_asked() {
                let until = until.get_or_insert_with(|| Instant::now() + FLUSH_WITHIN);
                if Instant::now() >= *until {
                    return Err(Stop::Interrupted);
                }
            }
            self.producer.poll(LOOK_EACH)?;
            self.take_acks().map_err(Stop::Resume)?;
        }
        Ok(())
    }

    /// Writes down how far it came.
    fn save(&mut self) -> Result<(), Failure> {
        let before = self.producer.stats().acked_before;
        self.resume
            .as_mut()
            .map_or(Ok(()), |resume| resume.save(before))
    }

    fn take_acks(&mut self) -> Result<(), Failure> {
        for ack in self.producer.take_acks() {
            self.acked += u64::from(ack.events);
            self.acked_at = Instant::now();
            self.latencies.record_all(ack.latency(), ack.events);
            if self.acks == AckLevel::All && ack.level != AckLevel::All {
                self.not_on_all += u64::from(ack.events);
            }
            if let Some(times) = &ack.stages {
                self.stages.record(times);
            }
            self.first = self.first.or(Some(ack.offset));
            self.next = Some(ack.offset.plus(u64::from(ack.events)));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.resumed + self.acked);
        }
        let stats = self.producer.stats();
        match &mut self.resume {
            Some(resume) => resume.acknowledged(stats.acked_before, stats.acked_chunks),
            None => Ok(()),
        }
    }

    fn finish(self) -> Summary {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        let took = self.acked_at - self.begun;
        let stats = self.producer.stats();
        Summary {
            resumed: self.resumed,
            events: self.events,
            acked: self.acked,
            seconds: took.as_secs_f64(),
            events_per_s: rate(self.acked, took),
            latency_us: self.latencies.percentiles(),
            acks: self.acks.name(),
            acked_not_on_all: self.not_on_all,
            stages: StageFigures::of(&self.stages),
            first_offset: self.first.map(|offset| offset.0),
            next_offset: self.next.map(|offset| offset.0),
            reconnects: stats.reconnects,
            resends: stats.resends,
            refusals: stats.refusals,
        }
    }
}

/// The producer's clock: nanoseconds since 1970.
fn wall_clock() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{spinner} {human_pos} acknowledged  {per_sec:>14}  {elapsed_precise}",
    )
    .expect("the template is well-formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use quorate_client::AckLevel;

    use super::{Summary, acks, topic, window};
    use crate::figures::Percentiles;

    fn summary(acked: u64) -> Summary {
        Summary {
            resumed: 0,
            events: 1_500,
            acked,
            seconds: 0.5,
            events_per_s: 3_000,
            latency_us: Percentiles {
                p50: 500,
                p99: 900,
                p999: 1_000,
                max: 20_000,
            },
            acks: "quorum",
            acked_not_on_all: 0,
            stages: Vec::new(),
            first_offset: (acked > 0).then_some(7),
            next_offset: (acked > 0).then_some(7 + acked),
            reconnects: 1,
            resends: 2,
            refusals: 3,
        }
    }

    #[test]
    fn the_table_says_how_far_it_came() {
        let text = summary(1_500).table().to_string();
        for part in [
            "1,500, offsets 7 to 1,506",
            "3,000 events/s, over 0.50 s",
            "p50 500 us, p99 900 us, p99.9 1,000 us, max 20 ms",
            "1 reconnects, 2 requests sent again, 3 refusals",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let mut all = summary(9);
        (all.acks, all.acked_not_on_all) = ("all", 4);
        let text = all.table().to_string();
        assert!(text.contains("on all disks but for 4"), "{text}");
        let nothing = summary(0).table().to_string();
        assert!(!nothing.contains("offsets"), "{nothing}");
    }

    #[test]
    fn limits_are_said_before_anything_is_sent() {
        assert!(topic(&"x".repeat(255)).is_ok());
        assert!(topic(&"x".repeat(256)).is_err());
        assert_eq!(acks("all"), Ok(AckLevel::All));
        assert!(acks("both").is_err());
        assert_eq!(window("1024").map(u32::from), Ok(1_024));
        for text in ["0", "1025", "-1", "x"] {
            assert!(window(text).is_err(), "{text}");
        }
    }
}
