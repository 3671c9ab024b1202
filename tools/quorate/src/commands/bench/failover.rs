//! `quorate bench failover`: how long a cluster takes to go on when its leader goes away.
//!
//! ```text
//!   load   |-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-    an event a millisecond, whatever happens
//!   acks   |-|-|-|-|-|                |-|-|
//!                    ^ the blow       ^ the first acknowledgement of an event that was due behind the blow
//!                    |---- outage ----|
//! ```
//! An event that was sent before the blow may be acknowledged after it, by bytes that were on their way; it does not count.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use quorate_bench::{Generator, Load, Measured, Pace};
use quorate_client::NodeId;

use super::measure::{DRAIN_WITHIN, UP_WITHIN, check_length};
use super::shape::rate;
use super::three::{Place, Three};
use crate::Failure;
use crate::bench::{Outage, Outages};
use crate::interrupt::Interrupt;
use crate::local::{Hosts, Local, Process};
use crate::phases::Phases;

/// An outage that takes longer than this is a cluster that does not come back.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

/// The blow falls so long after the load has begun, and a little later each time: not always at the same moment between two
/// heartbeats. It is short: the node that went away before may lead again, and be struck again.
const LEAD: Duration = Duration::from_millis(250);
const LATER_EACH_TIME: Duration = Duration::from_millis(7);
const TIMES: u32 = 10;

const EXAMPLES: &str = "\
Examples:
  quorate bench failover                                   50 times kill -9
  quorate bench failover --mode freeze --runs 20 --json    SIGSTOP, and SIGCONT when the others have gone on
  quorate bench failover --mode cut                        the leader's cable pulled; needs root and network namespaces

Three nodes with default settings under a light open loop. Each time the leader goes away, one waits for the first acknowledgement
of an event that was due after that, brings the node back, waits until all three logs are equal and as long as what was
acknowledged, and goes on. A killed leader's sockets say so at once; that a frozen or cut-off one is gone is known by its silence,
to the nodes by their election deadline and to the client by --request-timeout.";

/// How the leader goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// SIGKILL: its sockets are reset.
    Kill,
    /// SIGSTOP: its sockets stay, and say nothing.
    Freeze,
    /// Cut off from everybody: as if its cable were pulled.
    Cut,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Cut => "cut",
        }
    }
}

/// How often, and how.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How the leader goes away.
    #[arg(long, value_enum, default_value = "kill")]
    mode: Mode,
    /// How often.
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Events a second that are sent meanwhile, one a request: so exact are the times.
    #[arg(long, value_name = "EVENTS", default_value = "1000", value_parser = rate)]
    rate: NonZeroU64,
    /// How long the client waits for an answer before it takes a connection for dead, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "200", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    request_timeout: u64,
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
    let hosts = match args.mode {
        Mode::Kill | Mode::Freeze => None,
        Mode::Cut => Some(Hosts::create(3)?),
    };
    let mut three = Three::start(&args.three, hosts, log_level, phases, interrupt)?;
    let outages = outages(args, &mut three.local, phases, interrupt)?;
    let setting = three.stop(phases)?;
    let timeout = Duration::from_millis(args.request_timeout);
    let outages = Outages::of(args.mode.name(), outages, args.rate.get(), timeout, setting)
        .ok_or_else(|| Failure::new("no outage"))?;
    args.three.print(&outages, || outages.table());
    Ok(())
}

fn outages(
    args: &Args,
    local: &mut Local,
    phases: &Phases,
    interrupt: &Interrupt,
) -> Result<Vec<Outage>, Failure> {
    let timeout = Duration::from_millis(args.request_timeout);
    let mut generator = Generator::connect(&Load {
        pace: Pace::Open {
            events_per_s: args.rate,
        },
        batch: 1,
        in_flight: 1_024,
        connect_timeout: timeout,
        request_timeout: timeout,
        ..Load::new(local.addresses())
    })?;
    let mut outages = Vec::new();
    for number in 1..=args.runs {
        let mut attempt = Attempt {
            mode: args.mode,
            local,
            generator: &mut generator,
            interrupt,
        };
        let outage = attempt.make(number)?;
        phases.begin(&format!(
            "{} {number} of {}: {:.1} ms, node {} to node {}",
            args.mode.name(),
            args.runs,
            outage.ms,
            outage.from,
            outage.to
        ));
        outages.push(outage);
    }
    Ok(outages)
}

struct Attempt<'a> {
    mode: Mode,
    local: &'a mut Local,
    generator: &'a mut Generator,
    interrupt: &'a Interrupt,
}

/// The blow.
#[derive(Clone, Copy, Debug)]
struct Blow {
    /// Right before the signal, or the cut.
    at: Instant,
    /// When the leader was seen to be gone. What was due before may still be acknowledged by it.
    gone: Option<Instant>,
}

impl Attempt<'_> {
    /// One outage, and back to three equal logs.
    fn make(&mut self, number: u32) -> Result<Outage, Failure> {
        let before = self.local.wait_complete(UP_WITHIN)?;
        let (victim, outage) = self.strike(LEAD + LATER_EACH_TIME * (number % TIMES))?;
        let successor = self.generator.node().unwrap_or(victim);
        let term = self.local.status(successor).map(|status| status.term.0);
        self.bring_back(victim)?;
        if !self.drain()? {
            let what = format!(
                "what was in flight was never acknowledged\n{}",
                self.local.describe()
            );
            return Err(Failure::new(what));
        }
        self.local.wait_complete(UP_WITHIN)?;
        self.local.wait_settled(UP_WITHIN)?;
        check_length(self.generator, self.local)?;
        Ok(Outage {
            ms: (outage.as_secs_f64() * 1e5).round() / 1e2,
            from: victim.0,
            to: successor.0,
            terms: term.map_or(0, |term| term.saturating_sub(before.term.0)),
        })
    }

    /// Loads, strikes, and waits for the first acknowledgement of an event that was due behind the blow.
    fn strike(&mut self, lead: Duration) -> Result<(NodeId, Duration), Failure> {
        // Who acknowledges leads, whatever the nodes have said a moment ago.
        let warm_up = self
            .generator
            .run(lead, &mut |_| self.interrupt.is_asked())?;
        self.interrupt.check()?;
        let victim = self.generator.node();
        let Some(victim) = victim.filter(|_| warm_up.events > 0) else {
            let what = format!("nothing is acknowledged\n{}", self.local.describe());
            return Err(Failure::new(what));
        };
        let mut blow: Option<Blow> = None;
        let mut failed = None;
        let outage = Cell::new(None);
        let (local, interrupt, mode) = (&*self.local, self.interrupt, self.mode);
        let mut stop = |measured: &Measured| {
            let Some(fallen) = &mut blow else {
                // Only now, with the load going on again.
                if measured.events == 0 {
                    return interrupt.is_asked();
                }
                match fall(mode, local, victim) {
                    Ok(fallen) => blow = Some(fallen),
                    Err(failure) => failed = Some(failure),
                }
                return failed.is_some();
            };
            if fallen.gone.is_none() && is_gone(mode, local, victim) {
                fallen.gone = Some(Instant::now());
            }
            let next = measured.newest().zip(fallen.gone);
            let next = next.filter(|(newest, gone)| newest.began >= *gone);
            outage.set(next.map(|(newest, _)| newest.acked - fallen.at));
            outage.get().is_some() || interrupt.is_asked()
        };
        self.generator.run(OUTAGE_MAX, &mut stop)?;
        interrupt.check()?;
        if let Some(failure) = failed {
            return Err(failure);
        }
        let Some(outage) = outage.get() else {
            let within = OUTAGE_MAX.as_secs();
            return Err(Failure::new(format!(
                "nothing was acknowledged within {within} s of the blow\n{}",
                local.describe()
            )));
        };
        Ok((victim, outage))
    }

    fn bring_back(&mut self, victim: NodeId) -> Result<(), Failure> {
        match self.mode {
            Mode::Kill => {
                self.local.kill(victim);
                self.local.start(victim)?;
            }
            Mode::Freeze => process(self.local, victim)?.thaw(),
            Mode::Cut => hosts(self.local)?.join_again(victim)?,
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<bool, Failure> {
        // The latencies are of no interest here.
        let mut rest = self.generator.run(Duration::ZERO, &mut |_| true)?;
        Ok(self.generator.drain(&mut rest, DRAIN_WITHIN)?)
    }
}

fn process(local: &Local, node: NodeId) -> Result<&Process, Failure> {
    let ended = || Failure::new(format!("node {node} has ended\n{}", local.log_tail(node)));
    local.process(node).ok_or_else(ended)
}

fn hosts(local: &Local) -> Result<&Hosts, Failure> {
    let none = || Failure::new("the nodes have no hosts of their own");
    local.hosts().ok_or_else(none)
}

fn fall(mode: Mode, local: &Local, victim: NodeId) -> Result<Blow, Failure> {
    let process = process(local, victim)?;
    let at = Instant::now();
    match mode {
        Mode::Kill => process.kill(),
        Mode::Freeze => process.freeze(),
        Mode::Cut => hosts(local)?.isolate(victim)?,
    }
    Ok(Blow { at, gone: None })
}

/// Whether the node can acknowledge nothing more.
fn is_gone(mode: Mode, local: &Local, victim: NodeId) -> bool {
    let process = local.process(victim);
    match mode {
        Mode::Kill => process.is_none_or(|process| !process.is_running()),
        Mode::Freeze => process.is_none_or(Process::is_frozen),
        // The command that cuts returns when it is done.
        Mode::Cut => true,
    }
}
