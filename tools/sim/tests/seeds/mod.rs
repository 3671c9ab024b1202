//! Which seeds to run, and what to say of the one that fails.

use std::fmt::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate_sim::Trace;

/// Runs a test for each seed of a range, or for those that the environment names.
pub(crate) fn each_seed(test: &str, seeds: Range<u64>, run: impl Fn(u64, &Trace)) {
    let one = std::env::var("QUORATE_SEED").ok();
    let some = std::env::var("QUORATE_SEEDS").ok();
    let number = |text: &str| text.trim().parse().expect("a seed is a number");
    let seeds = match (&one, &some) {
        (Some(seed), _) => number(seed)..number(seed) + 1,
        (None, Some(range)) => {
            let (from, to) = range.split_once("..").expect("seeds are given as from..to");
            number(from)..number(to)
        }
        (None, None) => seeds,
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let trace = Trace::default();
        let result = catch_unwind(AssertUnwindSafe(|| run(seed, &trace)));
        let Err(panic) = result else { continue };
        let why = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_default();
        let mut said = format!("seed {seed}: {why}");
        if one.is_some() {
            for line in trace.lines() {
                let _ = write!(said, "\n{line}");
            }
        }
        failed.push(said);
        if some.is_none() {
            break;
        }
    }
    assert!(
        failed.is_empty(),
        "{test}: {} failed; replay the first with QUORATE_SEED\n{}",
        failed.len(),
        failed.join("\n")
    );
}
