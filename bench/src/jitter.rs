//! How restless the machine was meanwhile: by how much a thread that wants nothing but to sleep for a millisecond overslept.
//!
//! A latency can be no better than this: if the thread overslept by 20 ms, so did, now and then, every thread of every node, and a
//! tail of 20 ms says something about the host, not about the log. On a host whose processors are all busy it also shows how
//! long a thread waits for its turn; the stolen time tells the one from the other.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::host::ProcessorTime;
use crate::measured::{histogram_us, record_us};

/// What the thread asks for.
const NAP: Duration = Duration::from_millis(1);

/// The thread.
#[derive(Debug)]
pub struct Jitter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Histogram<u64>>,
    before: Option<ProcessorTime>,
}

/// What it has seen.
#[derive(Clone, Debug)]
pub struct Restlessness {
    /// By how much it overslept, in microseconds: each nap once.
    pub oversleep_us: Histogram<u64>,
    /// The share of all processor time that the host under this machine took away, between 0 and 1, if the kernel says.
    pub stolen: Option<f64>,
}

impl Jitter {
    /// Begins to nap.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        Self {
            thread: thread::spawn(move || naps(&asked)),
            stop,
            before: ProcessorTime::now().ok(),
        }
    }

    /// Ends.
    ///
    /// # Panics
    /// The thread has panicked.
    #[must_use]
    pub fn finish(self) -> Restlessness {
        let after = ProcessorTime::now().ok();
        self.stop.store(true, Ordering::Relaxed);
        let stolen = |(after, before): (ProcessorTime, _)| after.stolen_since(before);
        Restlessness {
            oversleep_us: self.thread.join().expect("napping does not panic"),
            stolen: after.zip(self.before).map(stolen),
        }
    }
}

fn naps(stop: &AtomicBool) -> Histogram<u64> {
    // Without this the kernel adds up to 50 us of its own, which are no trouble of the host's.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let mut histogram = histogram_us();
    // At least one, however late it begins.
    loop {
        let begun = Instant::now();
        thread::sleep(NAP);
        record_us(&mut histogram, begun.elapsed().saturating_sub(NAP));
        if stop.load(Ordering::Relaxed) {
            return histogram;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Jitter;

    #[test]
    fn naps_are_counted_and_none_is_longer_than_the_whole() {
        let begun = Instant::now();
        let jitter = Jitter::start();
        std::thread::sleep(Duration::from_millis(20));
        let seen = jitter.finish();
        assert!(!seen.oversleep_us.is_empty());
        let whole = u64::try_from(begun.elapsed().as_micros()).expect("it was short");
        // What is counted is what comes on top of the millisecond.
        let (naps, on_top) = (seen.oversleep_us.len(), seen.oversleep_us.min());
        assert!(
            naps * (1_000 + on_top) <= whole,
            "{naps} naps in {whole} us"
        );
        assert!(seen.stolen.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
