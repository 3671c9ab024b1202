//! Many seeds, on one thread or several.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::Trace;

use super::report::{Failure, Report};
use super::{Shape, say};

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);

/// Many seeds.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) seeds: Range<u64>,
    pub(super) shape: Shape,
    pub(super) jobs: u8,
    /// The result will be one JSON object: failures are not printed as they come.
    pub(super) json: bool,
    /// No seed begins after this time.
    pub(super) time: Option<Duration>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    report: Mutex<(Report, Instant)>,
    start: Instant,
}

impl Campaign {
    /// Runs them all, or as many as there is time for.
    pub(super) fn run(&self) -> Report {
        let start = Instant::now();
        let shared = Shared {
            next: AtomicU64::new(self.seeds.start),
            report: Mutex::new((Report::default(), start)),
            start,
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs {
                scope.spawn(|| self.work(&shared));
            }
            self.work(&shared);
        });
        say::progress("");
        let (mut report, _) = shared
            .report
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        report.wall = start.elapsed();
        report.failures.sort_by_key(|failure| failure.seed);
        report
    }

    fn work(&self, shared: &Shared) {
        let begun = cpu_time();
        while !self.stop.load(Ordering::Relaxed)
            && self.time.is_none_or(|time| shared.start.elapsed() < time)
        {
            let seed = shared.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                break;
            }
            let case = self.shape.case(seed);
            let outcome = quorate_sim::run(&case, &Trace::default());
            let mut guard = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
            let (report, shown) = &mut *guard;
            report.seeds += 1;
            report.virtual_time += Duration::from_nanos(outcome.virtual_time);
            if let Some(violation) = outcome.violation {
                let failure = Failure::new(&case, &violation);
                if !self.json {
                    say::progress("");
                    say::line(&failure.text());
                }
                report.failures.push(failure);
            }
            if shown.elapsed() >= PROGRESS {
                *shown = Instant::now();
                report.wall = shared.start.elapsed();
                say::progress(&format!("seed {seed}: {}", report.so_far()));
            }
        }
        let mut guard = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
        // Without the kernel's count, the time on the wall is the bound.
        let busy = cpu_time().saturating_sub(begun);
        guard.0.busy += if busy.is_zero() {
            shared.start.elapsed()
        } else {
            busy
        };
    }
}

/// What this thread has taken of its core, as the kernel counts it; nothing if it does not.
fn cpu_time() -> Duration {
    let counts = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = counts.split_whitespace().next();
    let nanoseconds = first.and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}
