//! `quorate bench upkeep`: what it costs the producers that nodes are restarted, or the group's members change.
//!
//! ```text
//!             alone          beside
//!   load     |--------------|--------------------|   at a fixed rate
//!   upkeep                  |====================|   once through
//! ```

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use quorate_bench::{Generator, Load, Measured, Pace};
use quorate_client::{Change, NodeId};

use super::measure::{DOWN_WITHIN, STOCKED_WITHIN, UP_WITHIN, acks, acks_one_by_one};
use super::shape::{rate, seconds};
use super::three::{Place, Three};
use crate::Failure;
use crate::bench::{Steps, Upkeep};
use crate::interrupt::Interrupt;
use crate::local::Local;
use crate::phases::Phases;

/// How long the load goes on at most while the work is done.
const WORK_WITHIN: Duration = Duration::from_secs(600);

/// How long one change of the members may take.
const CHANGE_WITHIN: Duration = Duration::from_secs(60);

/// Requests that are held against what was done when.
const EACH_MAX: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  quorate bench upkeep                            three nodes are restarted, one after the other
  quorate bench upkeep --work members --json      three nodes become five, and three again without their leader

First the producers' latencies are taken at --rate while nothing else happens, for --duration; then while the work is done, once
through. A node that stops hands its lead over first; a node that is removed is removed while it leads.";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Each node stops and starts again, one after the other: an upgrade.
    Rolling,
    /// Two nodes are added and promoted; then two of the three old ones are removed, the leader first.
    Members,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Members => "members",
        }
    }
}

/// What is done, beside what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What is done.
    #[arg(long, value_enum, default_value = "rolling")]
    work: Work,
    /// Events a second that are sent meanwhile, 64 a request.
    #[arg(long, value_name = "EVENTS", default_value = "100k", value_parser = rate)]
    rate: NonZeroU64,
    /// How long the load goes on alone, in seconds.
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
    three.local.wait_stocked(STOCKED_WITHIN)?;
    let mut generator = Generator::connect(&Load {
        pace: Pace::Open {
            events_per_s: args.rate,
        },
        in_flight: 1_024,
        each: EACH_MAX,
        ..Load::new(three.local.addresses())
    })?;
    phases.begin("producing alone");
    let mut stop = |_: &Measured| interrupt.is_asked();
    let alone = generator.run(args.duration, &mut stop)?;
    let alone = acks(&mut generator, alone)?;
    interrupt.check()?;

    phases.begin(match args.work {
        Work::Rolling => "producing while nodes are restarted",
        Work::Members => "producing while the members change",
    });
    let (beside, steps) = beside(args.work, &mut three.local, &mut generator, interrupt)?;
    let (beside, each) = acks_one_by_one(&mut generator, beside)?;
    three.local.wait_complete(UP_WITHIN)?;
    three.local.wait_settled(UP_WITHIN)?;
    let setting = three.stop(phases)?;
    let upkeep = Upkeep::new(
        args.work.name(),
        args.rate.get(),
        steps.costs(&each),
        (alone, beside),
        setting,
    );
    args.three.print(&upkeep, || upkeep.table());
    Ok(())
}

/// Does the work under the load.
fn beside(
    work: Work,
    local: &mut Local,
    generator: &mut Generator,
    interrupt: &Interrupt,
) -> Result<(Measured, Steps), Failure> {
    let over = AtomicBool::new(false);
    let mut steps = Steps::begin();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let done = match work {
                Work::Rolling => roll(local, &mut steps),
                Work::Members => change(local, &mut steps),
            };
            over.store(true, Ordering::Release);
            done.map(|()| steps)
        });
        let mut stop = |_: &Measured| over.load(Ordering::Acquire) || interrupt.is_asked();
        let load = generator.run(WORK_WITHIN, &mut stop);
        let worked = worker.join().expect("the work does not panic");
        interrupt.check()?;
        Ok((load?, worked?))
    })
}

/// Each node stops and starts again, and catches up.
fn roll(local: &mut Local, steps: &mut Steps) -> Result<(), Failure> {
    for node in local.nodes() {
        stop(local, node)?;
        steps.done(format!("node {node} stops"));
        local.start(node)?;
        local.wait_complete(UP_WITHIN)?;
        steps.done(format!("node {node} starts"));
        local.wait_caught_up(node, UP_WITHIN)?;
        steps.done(format!("node {node} catches up"));
    }
    Ok(())
}

/// Two nodes come, and two go: the leader, and another one.
fn change(local: &mut Local, steps: &mut Steps) -> Result<(), Failure> {
    let founders = local.nodes();
    for _ in 0..2 {
        let node = local.grow()?;
        local.start(node)?;
        steps.done(format!("node {node} starts"));
        let place = local.place(node);
        let peer = place
            .peer
            .parse()
            .map_err(|_| Failure::new("a local node has no address"))?;
        let addition = quorate_client::addition(node, peer, &place.client);
        let addition = addition.ok_or_else(|| Failure::new("a local address is too long"))?;
        for (change, what) in [(addition, "added"), (Change::Promote { node }, "promoted")] {
            quorate_client::change(&local.addresses(), change, CHANGE_WITHIN)?;
            steps.done(format!("node {node} is {what}"));
        }
    }
    let leader = local.wait_serving(UP_WITHIN)?.node;
    let other = founders.into_iter().find(|&node| node != leader);
    for node in [Some(leader), other].into_iter().flatten() {
        quorate_client::change(&local.addresses(), Change::Remove { node }, CHANGE_WITHIN)?;
        steps.done(format!("node {node} is removed"));
        stop(local, node)?;
        local.forget(node);
        steps.done(format!("node {node} stops"));
    }
    Ok(())
}

fn stop(local: &mut Local, node: NodeId) -> Result<(), Failure> {
    let ending = local.stop(node, DOWN_WITHIN);
    if ending.is_some_and(|ending| ending.is_clean()) {
        return Ok(());
    }
    let log = local.log_tail(node);
    Err(Failure::new(format!(
        "node {node} did not stop well\n{log}"
    )))
}
