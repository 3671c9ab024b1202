//! `quorate bench read`: how fast consumers read, and what that costs the producers.
//!
//! ```text
//!             fill + tail      alone        cold         beside
//!   load     |============|--------------|            |--------------|   = all that is possible, - a fixed rate
//!   readers  |  the end   |              |  the start |   the start  |
//! ```

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use quorate_bench::{Generator, Load, Measured, Pace, Reach, Readers};
use quorate_client::Offset;

use super::measure::{DRAIN_WITHIN, STOCKED_WITHIN, acks};
use super::shape::{rate, seconds, size};
use super::three::{Place, Three};
use crate::bench::{Acks, Beside, Cold, Reading, Tail};
use crate::interrupt::Interrupt;
use crate::phases::Phases;
use crate::{Failure, figures};

/// How often it is looked whether somebody wants to stop.
const GLANCE: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  quorate bench read                                three nodes, one consumer, ten seconds a part
  quorate bench read --push --consumers 3 --json    subscriptions, one at each node

First the log is filled, as fast as it goes, while the consumers read its end. When the nodes have prepared segments again, the
producers' latencies are taken at --rate without anybody who reads; then the consumers read the log from its start, over and over,
first alone and then beside that load. The nodes read past the kernel's cache: what is far behind the end comes from the disk each time.";

/// What is read, beside what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Consumers, each with a connection and a thread of its own.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=256))]
    consumers: u32,
    /// Have the nodes push, instead of asking for each batch.
    #[arg(long)]
    push: bool,
    /// Bytes of an event's payload; an event takes 24 more, and is padded to 8.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = clap::value_parser!(u32).range(0..=65_536))]
    event_size: u32,
    /// Events a second that are due beside cold reads.
    #[arg(long, value_name = "EVENTS", default_value = "70k", value_parser = rate)]
    rate: NonZeroU64,
    /// How long each part takes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    #[command(flatten)]
    three: Place,
}

/// Does it.
pub(super) fn run(
    args: &Args,
    log_level: Option<&str>,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut three = Three::start(&args.three, None, log_level, phases, interrupt)?;
    let bench = Bench {
        args,
        nodes: three.local.addresses(),
        phases,
        interrupt,
    };
    let (tail, end) = bench.tail()?;
    // What the fill has used up is prepared again: that is no cost of reading.
    phases.begin("waiting for segments to lie ready");
    three.local.wait_stocked(STOCKED_WITHIN)?;
    let mut generator = bench.connect(Pace::Open {
        events_per_s: args.rate,
    })?;
    phases.begin("producing alone");
    let alone = bench.acks(&mut generator)?;
    phases.begin("reading from the start");
    let (cold, ()) = bench.reading(Reach::Upto(end), || bench.sleep())?;
    phases.begin("reading from the start under load");
    let (cold_beside, acks) = bench.reading(Reach::Upto(end), || bench.acks(&mut generator))?;
    let setting = three.stop(phases)?;
    let reading = Reading {
        consumers: args.consumers,
        push: args.push,
        event_size: args.event_size,
        rate: args.rate.get(),
        seconds: args.duration.as_secs_f64(),
        tail,
        alone,
        cold,
        beside: Beside::new(cold_beside, acks, &alone),
        setting,
    };
    args.three.print(&reading, || reading.table());
    Ok(())
}

struct Bench<'a> {
    args: &'a Args,
    nodes: Vec<String>,
    phases: &'a Phases,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    fn connect(&self, pace: Pace) -> Result<Generator, Failure> {
        let load = Load {
            event_size: size(self.args.event_size),
            in_flight: if pace == Pace::Closed { 64 } else { 1_024 },
            pace,
            ..Load::new(self.nodes.clone())
        };
        Ok(Generator::connect(&load)?)
    }

    /// Fills the log while its end is read. Also returns where it ends.
    fn tail(&self) -> Result<(Tail, Offset), Failure> {
        let mut generator = self.connect(Pace::Closed)?;
        self.phases.begin("filling the log, and reading its end");
        let mut load = None;
        let mut behind = 0;
        let (read, ()) = self.reading_with(Reach::From(Offset(0)), |readers| {
            let measured = self.load(&mut generator)?;
            let consumers = u64::from(self.args.consumers);
            behind = measured.events.saturating_sub(readers.events() / consumers);
            load = Some(measured);
            Ok(())
        })?;
        let mut load = load.expect("it was measured");
        if !generator.drain(&mut load, DRAIN_WITHIN)? {
            return Err(Failure::new("what was in flight was not acknowledged"));
        }
        if load.events == 0 {
            return Err(Failure::new("nothing was acknowledged").cure("take a longer --duration"));
        }
        let tail = Tail {
            acked_events_per_s: figures::rate(load.events, load.elapsed),
            events_per_s: read.events_per_s / u64::from(self.args.consumers),
            behind_events: behind,
        };
        Ok((tail, Offset(generator.acked_events())))
    }

    fn acks(&self, generator: &mut Generator) -> Result<Acks, Failure> {
        let load = self.load(generator)?;
        acks(generator, load)
    }

    fn load(&self, generator: &mut Generator) -> Result<Measured, Failure> {
        let mut stop = |_: &Measured| self.interrupt.is_asked();
        let load = generator.run(self.args.duration, &mut stop)?;
        self.interrupt.check()?;
        Ok(load)
    }

    fn sleep(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < self.args.duration {
            self.interrupt.check()?;
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Reads while something else is done.
    fn reading<T>(
        &self,
        reach: Reach,
        meanwhile: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<(Cold, T), Failure> {
        self.reading_with(reach, |_| meanwhile())
    }

    fn reading_with<T>(
        &self,
        reach: Reach,
        meanwhile: impl FnOnce(&Readers) -> Result<T, Failure>,
    ) -> Result<(Cold, T), Failure> {
        let consumers = size(self.args.consumers);
        let readers = Readers::start(&self.nodes, reach, self.args.push, consumers)?;
        let begun = Instant::now();
        let done = meanwhile(&readers)?;
        let took = begun.elapsed();
        let cold = Cold {
            events_per_s: figures::rate(readers.events(), took),
            mb_per_s: figures::rate(readers.bytes(), took) / 1_000_000,
        };
        readers.finish()?;
        Ok((cold, done))
    }
}
