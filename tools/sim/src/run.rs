//! One seed, from the first start to the last check: faults, then health, in which a quorum of sound nodes must elect, serve and
//! converge within bounded virtual time.
//!
//! Owns: the phases, their bounds, and what counts as a violation. A panic is one, whether an oracle's or the product's. Never:
//! lets a panic out.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use quorate_wire::Time;

use crate::faults::Faults;
use crate::group::Group;
use crate::id_source::IdSource;
use crate::member::GroupMember;
use crate::options::Options;
use crate::plan::Plan;
use crate::random::Random;
use crate::trace::Trace;
use crate::world::{Summary, World};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// How long a calm world runs before its end is checked.
const CALM: u64 = 60 * SECOND;

/// After faults, so much time has the cluster until each group has a leader that serves.
const ELECTED: u64 = 30 * SECOND;

/// Then, until all that producers have open is acknowledged.
const SERVED: u64 = 60 * SECOND;

/// Then, until all sound nodes have the same log.
const CONVERGED: u64 = 60 * SECOND;

/// What worlds are to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Three nodes, a light load, and nothing goes wrong.
    Calm,
    /// Everything is drawn: nodes, load, weather and faults.
    Faults,
    /// The same, and what was durable on disks is damaged too.
    Damage,
    /// One world in eight is calm.
    Mixed,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Case {
    /// Draws the world.
    pub seed: u64,
    /// What it is like.
    pub profile: Profile,
    /// Of the plan that is drawn, only these entries.
    pub only: Option<Vec<usize>>,
    /// Of the producers and consumers that are drawn, only the first producer.
    pub few_clients: bool,
}

impl Case {
    /// The whole world of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        Self {
            seed,
            profile,
            only: None,
            few_clients: false,
        }
    }

    /// What the world is like.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut options = if self.is_calm() {
            Options::light(self.seed)
        } else {
            Options::drawn(self.seed)
        };
        if self.few_clients {
            (options.producers, options.consumers, options.members) = (1, 0, 0);
        }
        options
    }

    /// What goes wrong in it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        if self.is_calm() {
            return Plan::calm(CALM);
        }
        let mut plan = Plan::draw(self.seed, self.profile == Profile::Damage);
        if self.options().spare > 0 {
            plan = plan.with_changes(self.seed);
        }
        let ends = self.options().members > 0 && Random::new(self.seed, "forgets").one_in(2);
        if ends && self.profile != Profile::Damage {
            plan = plan.with_ends(self.seed);
        }
        let cut = Random::new(self.seed, "cuts clients").one_in(3);
        if cut && self.profile != Profile::Damage {
            plan = plan.with_cut_clients(self.seed);
        }
        if Random::new(self.seed, "asks to stop").one_in(3) {
            plan = plan.with_stops(self.seed);
        }
        match &self.only {
            Some(numbers) => plan.only(numbers),
            None => plan,
        }
    }

    fn is_calm(&self) -> bool {
        match self.profile {
            Profile::Calm => true,
            Profile::Faults | Profile::Damage => false,
            Profile::Mixed => self.seed.is_multiple_of(8),
        }
    }
}

/// What was not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In words.
    pub what: String,
    /// Where in the code it was seen.
    pub place: String,
    /// When.
    pub at: Time,
}

/// How a seed went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Nanoseconds of virtual time.
    pub virtual_time: u64,
    /// One number for all that happened: two runs of a seed have the same.
    pub trace_hash: u64,
    /// What went wrong that must not.
    pub violation: Option<Violation>,
    /// What happened; nothing if there was a violation.
    pub summary: Option<Summary>,
}

thread_local! {
    /// While a seed runs: the last panic's words and place.
    static CAUGHT: RefCell<Option<Option<(String, String)>>> = const { RefCell::new(None) };
}

/// Runs a seed.
#[must_use]
pub fn run(case: &Case, trace: &Trace) -> Outcome {
    quiet_panics();
    CAUGHT.set(Some(None));
    let result = panic::catch_unwind(AssertUnwindSafe(|| live(case, trace)));
    let caught = CAUGHT.take().flatten();
    let at = trace.time();
    let violation = match &result {
        Ok(_) => None,
        Err(_) => {
            let (what, place) = caught.unwrap_or_default();
            Some(Violation { what, place, at })
        }
    };
    Outcome {
        seed: case.seed,
        virtual_time: at.0,
        trace_hash: trace.hash(),
        violation,
        summary: result.ok(),
    }
}

/// Panics while a seed runs are kept, not printed.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, |place| {
                format!("{}:{}", place.file(), place.line())
            });
            let what = info.payload_as_str().unwrap_or("a panic without words");
            let kept = CAUGHT.with_borrow_mut(|caught| {
                let running = caught.as_mut()?;
                // The first one is the cause.
                running.get_or_insert_with(|| (what.to_owned(), place));
                Some(())
            });
            if kept.is_none() {
                loud(info);
            }
        }));
    });
}

fn live(case: &Case, trace: &Trace) -> Summary {
    let mut world = World::new(case.options(), trace.clone());
    world.start_all();
    let plan = case.plan();
    Faults::new(plan).rage(&mut world);
    recover(&mut world);
    world.summary()
}

/// From here on nothing goes wrong. A quorum of sound nodes must elect, serve and converge.
pub fn recover(world: &mut World) {
    world.restart_fallen();
    let led = |world: &World| world.groups().iter().all(|group| group.leader().is_some());
    assert!(
        world.run_until(ELECTED, led),
        "liveness: each group has a leader within {} s",
        ELECTED / SECOND
    );
    // The load goes on for a while.
    world.run_for(200 * MS);
    for group in world.groups_mut() {
        for producer in group.producers_mut() {
            producer.stop();
        }
        group.sources_mut().iter_mut().for_each(IdSource::stop);
        group.read_to_end();
    }
    let done = |world: &World| {
        let mut groups = world.groups().iter();
        groups.all(|group| {
            let produced = group.producers().iter().all(crate::Producer::is_done);
            produced && group.sources().iter().all(IdSource::is_done)
        })
    };
    assert!(
        world.run_until(SERVED, done),
        "liveness: everything is acknowledged within {} s; open: {}",
        SERVED / SECOND,
        open(world)
    );
    assert!(
        world.run_until(SERVED, |world| world.groups().iter().all(Group::is_read)),
        "liveness: the consumer group has read everything within {} s",
        SERVED / SECOND
    );
    world.groups_mut().iter_mut().for_each(Group::members_leave);
    let gone = |group: &Group| group.members().iter().all(GroupMember::is_gone);
    assert!(
        world.run_until(SERVED, |world| world.groups().iter().all(gone)),
        "liveness: all members have left within {} s",
        SERVED / SECOND
    );
    let since = world.now();
    assert!(
        world.run_until(CONVERGED, |world| world.converged(since)),
        "liveness: all sound nodes have the same log within {} s",
        CONVERGED / SECOND
    );
    // What is looked at rarely is dear to look at.
    let whole = (0..CONVERGED / SECOND).any(|_| {
        let whole = world.is_whole() && world.converged(since);
        if !whole {
            world.run_for(SECOND);
        }
        whole
    });
    assert!(
        whole,
        "liveness: all sound logs are repaired within {} s",
        CONVERGED / SECOND
    );
    world.check_logs();
    stays_bounded(world);
}

/// The producers that are not done, and how they stand.
fn open(world: &World) -> String {
    let producers = world.groups().iter().flat_map(Group::producers);
    let open = producers.filter(|producer| !producer.is_done());
    open.map(|producer| producer.standing())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Memory is bounded whatever happens: no more links than peers, old links that end and strangers; no more bytes waiting for a
/// peer than a window of records.
fn stays_bounded(world: &World) {
    let summary = world.summary();
    let peers = usize::try_from(world.options().nodes + world.options().spare - 1).expect("a few");
    assert!(
        summary.links_most <= 2 * peers + 16,
        "memory: {peers} peers, and {} links at a time",
        summary.links_most
    );
    assert!(
        summary.head_most <= 3 << 20,
        "memory: one send carries {} bytes beside its records",
        summary.head_most
    );
}
