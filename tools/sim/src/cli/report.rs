//! What a campaign found, for people and for programs.

use std::time::Duration;

use quorate_sim::{Case, Violation};
use serde::Serialize;

/// A seed that failed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) what: String,
    pub(super) replay: String,
}

impl Failure {
    pub(super) fn new(case: &Case, violation: &Violation) -> Self {
        Self {
            seed: case.seed,
            what: self::violation(violation),
            replay: super::replay(case),
        }
    }

    pub(super) fn text(&self) -> String {
        let Self { seed, what, replay } = self;
        format!("seed {seed}: {what}\n  {replay}")
    }
}

/// A violation, on one line.
pub(super) fn violation(violation: &Violation) -> String {
    let Violation { what, place, at } = violation;
    let what = what.replace('\n', " ");
    format!("VIOLATION at {} ms: {what} ({place})", at.0 / 1_000_000)
}

/// How a campaign went.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) seeds: u64,
    pub(super) virtual_time: Duration,
    /// From start to end.
    pub(super) wall: Duration,
    /// What the threads took of their cores together.
    pub(super) busy: Duration,
    pub(super) failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Json<'a> {
    seeds: u64,
    virtual_seconds: f64,
    violations: usize,
    wall_seconds: f64,
    cpu_seconds: f64,
    virtual_seconds_per_second: f64,
    failures: &'a [Failure],
}

impl Report {
    /// Virtual seconds in a second of one core.
    fn speed(&self) -> f64 {
        let busy = self.busy.as_secs_f64();
        if busy > 0.0 {
            self.virtual_time.as_secs_f64() / busy
        } else {
            0.0
        }
    }

    pub(super) fn so_far(&self) -> String {
        format!(
            "{} seeds, {:.0} virtual seconds in {:.0} s, {} violations",
            self.seeds,
            self.virtual_time.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.failures.len()
        )
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{} seeds, {:.0} virtual seconds in {:.1} s ({:.0} a second of one core), {} violations",
            self.seeds,
            self.virtual_time.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.speed(),
            self.failures.len()
        )
    }

    pub(super) fn json(&self) -> String {
        let json = Json {
            seeds: self.seeds,
            virtual_seconds: self.virtual_time.as_secs_f64(),
            violations: self.failures.len(),
            wall_seconds: self.wall.as_secs_f64(),
            cpu_seconds: self.busy.as_secs_f64(),
            virtual_seconds_per_second: self.speed(),
            failures: &self.failures,
        };
        serde_json::to_string(&json).expect("numbers and text can be written as JSON")
    }
}
