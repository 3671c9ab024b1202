//! One run: nodes up, load, figures, nodes down.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use quorate_bench::{Generator, Jitter, Measured, Reach, Readers, Restlessness, Took};
use quorate_client::{AckLevel, NodeId, Offset, Role};
use quorate_engine::probe::disk_of;
use quorate_wire::limits::EVENT_IDS_MAX;

use super::shape::{Pacing, Shape, size};
use crate::Failure;
use crate::bench::{
    Acks, Cost, Host, Measures, Quantiles, Report, Run, Setting, Sighting, SlotJson, Writes,
};
use crate::demo::{Workplace, is_memory};
use crate::figures::{float, rate};
use crate::interrupt::Interrupt;
use crate::local::{Local, LocalOptions};
use crate::phases::Phases;
use crate::stages::StageFigures;
use crate::survey::survey;
use crate::usage::Usage;

/// How long they may take to prepare their stock.
pub(super) const STOCKED_WITHIN: Duration = Duration::from_secs(300);

/// How long the nodes may take to come up, and to stop.
pub(super) const UP_WITHIN: Duration = Duration::from_secs(30);
pub(super) const DOWN_WITHIN: Duration = Duration::from_secs(10);

/// How long what is in flight at the end may still take.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// How long a node may take to say how it is.
const STATUS_WITHIN: Duration = Duration::from_secs(1);

/// What all runs of a command share.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) shape: &'a Shape,
    pub(super) log_level: Option<&'a str>,
    pub(super) phases: &'a Phases,
    pub(super) interrupt: &'a Interrupt,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The nodes' program.
    pub(super) executable: &'a Path,
    pub(super) pacing: Pacing,
    /// What is said behind each phase: which run it is.
    pub(super) label: String,
    /// Where the nodes work, below `--dir`; empty: right there.
    pub(super) place: String,
}

impl Bench<'_> {
    fn begin(&self, what: &str, plan: &Plan<'_>) {
        self.phases.begin(&format!("{what}{}", plan.label));
    }

    /// Does it.
    pub(super) fn run(&self, plan: &Plan<'_>) -> Result<Run, Failure> {
        if self.shape.nodes.is_empty() {
            self.on_this_host(plan)
        } else {
            self.elsewhere(plan)
        }
    }

    /// Starts nodes, loads them, and takes them down.
    fn on_this_host(&self, plan: &Plan<'_>) -> Result<Run, Failure> {
        let place = self.shape.dir.as_ref().map(|dir| dir.join(&plan.place));
        let workplace = Workplace::new(place.as_deref())?;
        let count = self.shape.local_count();
        let options = LocalOptions {
            nodes: count,
            log_level: self.log_level.map(Into::into),
            stock: self.shape.stock.map(usize::from),
            retain_mib: self.shape.retain.map(u64::from),
            ..LocalOptions::new(plan.executable)
        };
        self.begin(&format!("starting {count} nodes"), plan);
        let mut local = Local::create(workplace.path(), options)?;
        local.heed(self.interrupt);
        local.start_all()?;
        let end = local.wait_complete(UP_WITHIN)?.committed;
        if self.shape.stock.is_some() {
            self.begin("waiting for the stock of segments", plan);
            local.wait_stocked(STOCKED_WITHIN)?;
        }

        let nodes = local.addresses();
        let mut generator = Generator::connect(&self.shape.load(plan.pacing, nodes.clone()))?;
        let mut stretch = self.measure(&mut generator, plan, (&nodes, end), || usages(&local))?;
        if stretch.load.events == 0 {
            let what = format!("nothing was acknowledged\n{}", local.describe());
            return Err(Failure::new(what));
        }
        self.begin("waiting for what is in flight", plan);
        if !generator.drain(&mut stretch.load, DRAIN_WITHIN)? {
            return Err(not_drained(&local.describe()));
        }
        check_length(&generator, &mut local)?;
        let costs = costs(&local, &stretch);

        self.begin("stopping the nodes", plan);
        local.stop_all(DOWN_WITHIN);
        let acks = self.shape.acks;
        let setting = setting_here(workplace.path(), acks, local.nodes().len())?;
        Ok(self.report(plan, stretch, setting, costs))
    }

    /// Loads a cluster that somebody else runs: what its nodes use is not seen from here.
    fn elsewhere(&self, plan: &Plan<'_>) -> Result<Run, Failure> {
        let nodes = &self.shape.nodes;
        let mut generator = Generator::connect(&self.shape.load(plan.pacing, nodes.clone()))?;
        let answers = survey(nodes, STATUS_WITHIN);
        let committed = answers.iter().flatten().map(|status| status.committed);
        let end = committed.max().unwrap_or(Offset(0));
        let mut stretch = self.measure(&mut generator, plan, (nodes, end), || Ok(Vec::new()))?;
        if stretch.load.events == 0 {
            return Err(Failure::new("nothing was acknowledged")
                .cure("`quorate status` shows which nodes are up, and who leads"));
        }
        if !generator.drain(&mut stretch.load, DRAIN_WITHIN)? {
            return Err(not_drained("`quorate status` shows how the nodes are"));
        }
        let known = answers.iter().flatten().map(|status| status.nodes.len());
        let count = known.max().unwrap_or(nodes.len());
        let durability = match copies(self.shape.acks, count) {
            Some(copies) => format!("{copies} of {count} logs, each on what its node lies on"),
            None => durability(self.shape.acks, count, false),
        };
        let disk = "the nodes' own, not seen from here".into();
        let setting = Setting::here(durability, disk, count);
        Ok(self.report(plan, stretch, setting, Vec::new()))
    }

    fn measure(
        &self,
        generator: &mut Generator,
        plan: &Plan<'_>,
        (nodes, end): (&[String], Offset),
        usages: impl Fn() -> Result<Vec<(NodeId, Usage)>, Failure>,
    ) -> Result<Stretch, Failure> {
        let mut stop = |_: &Measured| self.interrupt.is_asked();
        let consumers = size(self.shape.consumers);
        let readers = Readers::start(nodes, Reach::From(end), false, consumers)?;
        self.begin(&format!("warming up for {:?}", self.shape.warm_up), plan);
        let ids = u64::try_from(EVENT_IDS_MAX).expect("a size fits into 64 bits");
        let is_warm = |measured: &Measured| self.shape.ids && measured.events >= ids / 8;
        let mut warmed = |measured: &Measured| stop(measured) || is_warm(measured);
        generator.run(self.shape.warm_up, &mut warmed)?;
        self.interrupt.check()?;
        self.begin(&format!("measuring for {:?}", self.shape.duration), plan);
        let jitter = Jitter::start();
        let before = (own_usage()?, usages()?);
        let read_before = readers.events();
        // Asked beside the load, which does not wait for the answers.
        let asked = nodes.to_vec();
        let seen = thread::spawn(move || Sighting::of_all(&asked, STATUS_WITHIN));
        let load = generator.run(self.shape.duration, &mut stop)?;
        let read = readers.events() - read_before;
        let after = (own_usage()?, usages()?);
        let unrest = jitter.finish();
        let seen = seen.join().expect("asking does not panic");
        let writes = Writes::between(&seen, &Sighting::of_all(nodes, STATUS_WITHIN));
        self.interrupt.check()?;
        readers.finish()?;
        let nodes = before.1.into_iter().zip(after.1);
        Ok(Stretch {
            load,
            read,
            unrest,
            writes,
            client: (before.0, after.0),
            nodes: nodes
                .map(|((node, before), (_, after))| (node, before, after))
                .collect(),
        })
    }

    fn report(&self, plan: &Plan<'_>, stretch: Stretch, setting: Setting, costs: Vec<Cost>) -> Run {
        let load = stretch.load;
        let (before, after) = &stretch.client;
        let open = plan.pacing.rate.is_some();
        let events_per_s = rate(load.events, load.elapsed);
        let measures = Measures {
            events_per_s,
            mb_per_s: megabytes(events_per_s * u64::from(self.shape.event_size)),
            latency_us: Quantiles::of(&load.latency_us),
            samples: load.latency_us.len(),
            events: load.events,
            seconds: load.elapsed.as_secs_f64(),
            send_delay_us: open.then(|| Quantiles::of(&load.lateness_us)),
            unsent: load.unsent,
            consumed_events_per_s: (self.shape.consumers > 0)
                .then(|| rate(stretch.read, load.elapsed)),
            server_cpu_us_per_event: (!costs.is_empty())
                .then(|| digits(costs.iter().map(|cost| cost.cpu_us_per_event).sum())),
            client_cpu_us_per_event: us_per_event(after.cpu(), before.cpu(), load.events),
            rss_mib: costs.iter().map(|cost| cost.rss_peak_mib).max(),
            not_on_all: load.not_on_all,
            reconnects: load.reconnects,
            resends: load.resends,
            refusals: load.refusals,
        };
        let slot = load.series.slot();
        let report = Report {
            measures,
            setting,
            workload: self.shape.workload(plan.pacing),
            stages: StageFigures::of(&load.stages),
            costs,
            writes: stretch.writes,
            host: host(&stretch.unrest),
            series: load
                .series
                .points()
                .map(|point| SlotJson::new(point, slot))
                .collect(),
        };
        Run {
            report,
            latency_us: load.latency_us,
        }
    }
}

/// What a stretch of load has shown, and what everybody has used at its beginning and at its end.
struct Stretch {
    load: Measured,
    /// Events that the consumers have read.
    read: u64,
    unrest: Restlessness,
    writes: Vec<Writes>,
    client: (Usage, Usage),
    nodes: Vec<(NodeId, Usage, Usage)>,
}

fn not_drained(how: &str) -> Failure {
    let within = DRAIN_WITHIN.as_secs();
    Failure::new(format!(
        "what was in flight was not acknowledged within {within} s\n{how}"
    ))
}

/// Holds the log's length against the acknowledgements: a figure about events that are not there, or there twice, is none.
pub(super) fn check_length(generator: &Generator, local: &mut Local) -> Result<(), Failure> {
    let acked = generator.acked_events();
    let begun = Instant::now();
    let mut committed = local.wait_serving(UP_WITHIN)?.committed.0;
    // What was only accepted is committed a moment later.
    while committed < acked && begun.elapsed() < DRAIN_WITHIN {
        committed = local.wait_serving(UP_WITHIN)?.committed.0;
    }
    if committed == acked {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{acked} events were acknowledged, and {committed} are in the log"
    )))
}

/// What logs of local nodes in a directory are worth.
pub(super) fn setting_here(place: &Path, acks: AckLevel, nodes: usize) -> Result<Setting, Failure> {
    let failed = |error| Failure::new(format!("{}: {error}", place.display()));
    let disk = disk_of(place).map_err(failed)?;
    let durability = durability(acks, nodes, is_memory(&disk));
    Ok(Setting::here(durability, disk, nodes))
}

/// On so many logs of all an acknowledged event is; none if it is only in the leader's memory.
fn copies(acks: AckLevel, nodes: usize) -> Option<usize> {
    match acks {
        AckLevel::Accepted => None,
        AckLevel::Quorum => Some(nodes / 2 + 1),
        AckLevel::All => Some(nodes),
    }
}

fn durability(acks: AckLevel, nodes: usize, in_memory: bool) -> String {
    let Some(copies) = copies(acks, nodes) else {
        return "accepted: in the leader's memory, no disk is waited for".into();
    };
    if in_memory {
        return format!(
            "{acks}: {copies} of {nodes} copies, all in this host's memory: nothing survives it"
        );
    }
    let sharing = if nodes > 1 {
        "; all share this host's disk"
    } else {
        ""
    };
    format!("{acks}: {copies} of {nodes} logs, each write O_DIRECT + DSYNC{sharing}")
}

fn own_usage() -> Result<Usage, Failure> {
    usage(std::process::id())
}

fn usage(process: u32) -> Result<Usage, Failure> {
    Usage::of(process).map_err(|error| Failure::new(format!("/proc/{process}: {error}")))
}

fn usages(local: &Local) -> Result<Vec<(NodeId, Usage)>, Failure> {
    let nodes = local.nodes().into_iter();
    nodes
        .map(|node| {
            let process = local.process_id(node).ok_or_else(|| {
                let log = local.log_tail(node);
                Failure::new(format!("node {node} has ended under load\n{log}"))
            })?;
            Ok((node, usage(process)?))
        })
        .collect()
}

fn costs(local: &Local, stretch: &Stretch) -> Vec<Cost> {
    let (events, elapsed) = (stretch.load.events, stretch.load.elapsed);
    let of = |&(node, before, after): &(NodeId, Usage, Usage)| {
        let written = after.written.zip(before.written);
        Cost {
            node: node.0,
            role: local
                .status(node)
                .map_or("unknown", |status| Role::name(status.role)),
            cpu_us_per_event: us_per_event(after.cpu(), before.cpu(), events),
            user_us_per_event: us_per_event(after.user, before.user, events),
            system_us_per_event: us_per_event(after.system, before.system, events),
            voluntary_switches_per_s: rate(after.waits.saturating_sub(before.waits), elapsed),
            involuntary_switches_per_s: rate(
                after.preemptions.saturating_sub(before.preemptions),
                elapsed,
            ),
            disk_bytes_per_event: written
                .map(|(after, before)| per_event(float(after.saturating_sub(before)), events)),
            rss_mib: after.rss_kib >> 10,
            rss_peak_mib: after.rss_peak_kib >> 10,
        }
    };
    stretch.nodes.iter().map(of).collect()
}

fn host(unrest: &Restlessness) -> Host {
    Host {
        oversleep_us: Quantiles::of(&unrest.oversleep_us),
        naps: unrest.oversleep_us.len(),
        steal_percent: unrest.stolen.map(|share| digits(share * 100.0)),
    }
}

fn us_per_event(after: Duration, before: Duration, events: u64) -> f64 {
    per_event(after.saturating_sub(before).as_secs_f64() * 1e6, events)
}

fn per_event(what: f64, events: u64) -> f64 {
    digits(what / float(events.max(1)))
}

/// Four digits behind the point are more than the kernel's clock gives.
fn digits(figure: f64) -> f64 {
    (figure * 1e4).round() / 1e4
}

fn megabytes(bytes: u64) -> f64 {
    (float(bytes) / 1e5).round() / 10.0
}

/// What producers saw in a stretch, once all of it is acknowledged.
pub(super) fn acks(generator: &mut Generator, load: Measured) -> Result<Acks, Failure> {
    acks_one_by_one(generator, load).map(|(acks, _)| acks)
}

/// The same, with those that are remembered one by one.
pub(super) fn acks_one_by_one(
    generator: &mut Generator,
    mut load: Measured,
) -> Result<(Acks, Vec<Took>), Failure> {
    if !generator.drain(&mut load, DRAIN_WITHIN)? {
        return Err(Failure::new("what was in flight was not acknowledged"));
    }
    let acks = Acks {
        latency_us: Quantiles::of(&load.latency_us),
        samples: load.latency_us.len(),
    };
    Ok((acks, load.each))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quorate_client::AckLevel;

    use super::{durability, megabytes, us_per_event};

    #[test]
    fn a_cost_is_a_mean() {
        let cost = us_per_event(Duration::from_secs(3), Duration::from_secs(2), 4_000_000);
        assert!((cost - 0.25).abs() < 1e-9);
        assert!(us_per_event(Duration::ZERO, Duration::ZERO, 0).abs() < 1e-9);
        assert!((megabytes(64 * 3_000_000) - 192.0).abs() < 1e-9);
    }

    #[test]
    fn durability_names_the_quorum_and_what_it_shares() {
        assert!(
            durability(AckLevel::Quorum, 3, false)
                .starts_with("quorum: 2 of 3 logs, each write O_DIRECT + DSYNC; ")
        );
        assert!(durability(AckLevel::All, 3, false).starts_with("all: 3 of 3 logs, "));
        assert!(durability(AckLevel::Accepted, 3, false).contains("no disk"));
        assert!(
            durability(AckLevel::Quorum, 1, false)
                .ends_with("1 of 1 logs, each write O_DIRECT + DSYNC")
        );
        assert!(
            durability(AckLevel::Quorum, 5, true)
                .contains("3 of 5 copies, all in this host's memory")
        );
    }
}
