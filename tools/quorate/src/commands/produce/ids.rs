//! `quorate produce --id-column`: each line is in the log once by its id, whoever sends it and however often.

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use quorate_client::{Event, EventId, IdProducer, ProducerOptions};
use serde::Serialize;

use super::{Args, LOOK_EACH, failed_line, wall_clock};
use crate::figures::rate;
use crate::interrupt::Interrupt;
use crate::lines::{self, LineError, Lines};
use crate::source;
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

/// What came of it. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
struct Summary {
    /// Lines whose events have their places, those included that were known before.
    acked: u64,
    seconds: f64,
    events_per_s: u64,
}

/// Does it.
pub(super) fn run(args: &Args, column: NonZeroUsize, interrupt: &Interrupt) -> Result<(), Failure> {
    let failed = |error| Failure::unreadable(&args.file, &error);
    let opened = source::open(&args.file, interrupt).map_err(failed)?;
    let opened = opened.ok_or_else(Failure::interrupted)?;
    let bytes_max = lines::payload_bytes_max(args.topic.as_bytes());
    let mut lines = Lines::new(opened.bytes, args.keys.rule(), bytes_max);
    let mut sending = Sending::new(args, column)?;
    let begun = Instant::now();
    if args.skip_header {
        lines.skip().map_err(|error| failed_line(args, &error))?;
    }
    let ended = loop {
        if interrupt.is_asked() {
            break Err(Failure::interrupted());
        }
        match sending.take(&mut lines) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(LineError::NotYet { .. }) => {
                sending.send()?;
                opened.waiter.wait(LOOK_EACH).map_err(failed)?;
            }
            Err(error) => break Err(failed_line(args, &error)),
        }
        if sending.is_full() {
            sending.send()?;
        }
    };
    let sent = sending.send();
    let took = begun.elapsed();
    let summary = Summary {
        acked: sending.acked,
        seconds: took.as_secs_f64(),
        events_per_s: rate(sending.acked, took),
    };
    if args.json {
        terminal::print_json(&summary);
    } else {
        terminal::print(&summary.table().to_string());
    }
    ended.and(sent)
}

/// A line that is held until there are enough for a request.
struct Held {
    id: EventId,
    key: u64,
    payload: Vec<u8>,
}

struct Sending<'a> {
    args: &'a Args,
    column: NonZeroUsize,
    producer: IdProducer,
    held: Vec<Held>,
    /// Lines that were taken.
    lines: u64,
    acked: u64,
}

impl<'a> Sending<'a> {
    fn new(args: &'a Args, column: NonZeroUsize) -> Result<Self, Failure> {
        let mut options = ProducerOptions::new(args.nodes.nodes.iter());
        options.batch_events = args.batch;
        options.give_up = Some(Duration::from_secs(args.patience));
        Ok(Self {
            args,
            column,
            producer: IdProducer::new(&options)?,
            held: Vec::new(),
            lines: u64::from(args.skip_header),
            acked: 0,
        })
    }

    /// Takes the next line. Says whether there was one.
    fn take(&mut self, lines: &mut Lines<Box<dyn BufRead>>) -> Result<bool, LineError> {
        let Some((key, payload)) = lines.next_line()? else {
            return Ok(false);
        };
        self.lines += 1;
        let text = lines::field(payload, self.column).ok_or(LineError::NoColumn {
            line: self.lines,
            column: self.column,
        })?;
        self.held.push(Held {
            id: EventId::of(text),
            key,
            payload: payload.to_vec(),
        });
        Ok(true)
    }

    fn is_full(&self) -> bool {
        u32::try_from(self.held.len()).is_ok_and(|held| held >= self.args.batch)
    }

    /// Sends what is held, and waits until it has its places.
    fn send(&mut self) -> Result<(), Failure> {
        let time = wall_clock();
        let events: Vec<_> = self
            .held
            .iter()
            .map(|held| {
                let event = Event {
                    key: held.key,
                    time,
                    topic: self.args.topic.as_bytes(),
                    payload: &held.payload,
                    priority: 0,
                };
                (held.id, event)
            })
            .collect();
        let offsets = self.producer.send(&events)?;
        self.acked += u64::try_from(offsets.len()).expect("a count fits");
        self.held.clear();
        Ok(())
    }
}

impl Summary {
    fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line("acknowledged", thousands(self.acked));
        let (rate, seconds) = (thousands(self.events_per_s), self.seconds);
        line("rate", format!("{rate} events/s, over {seconds:.2} s"));
        table
    }
}
