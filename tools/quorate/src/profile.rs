//! Where a node's processor time goes, sampled from inside it: no rights are needed for that, and no other program.
//!
//! A timer of the process's own processor time interrupts whichever thread runs, and the signal's handler notes its stack. So
//! a thread that sleeps costs nothing and is not seen. What the kernel does stands at the call into it. Owns: the sampling and the page that it makes. Never: runs unless asked to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pprof::ProfilerGuardBuilder;
use quorate_bench::flames::Flames;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::{Handle, Signals};

use crate::Failure;

/// Samples a second of processor time, at most: the kernel looks at such timers once a tick. A prime number: what happens every so many milliseconds is not always or never seen.
const SAMPLES_PER_SECOND: i32 = 499;

/// What the thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Again,
    Stop,
}

/// A profiler that runs: from now on for so long, and again for so long at each SIGUSR1.
#[derive(Debug)]
pub(crate) struct Profiler {
    tell: Sender<Told>,
    signals: Handle,
    threads: [JoinHandle<()>; 2],
}

impl Profiler {
    /// Begins. Each profile is written over the one before.
    pub(crate) fn start(length: Duration, page: PathBuf) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("starting a profile: {error}"));
        let mut signals = Signals::new([SIGUSR1]).map_err(failed)?;
        let handle = signals.handle();
        let (tell, told) = channel();
        let again = tell.clone();
        let listen = move || {
            for _ in signals.forever() {
                // Nobody listens to it any more: the node stops.
                let _ = again.send(Told::Again);
            }
        };
        let listener = named("profile-bell", listen).map_err(failed)?;
        let sampler = named("profile", move || {
            while sample(length, &page, &told) == Told::Again {}
        });
        Ok(Self {
            tell,
            signals: handle,
            threads: [listener, sampler.map_err(failed)?],
        })
    }

    /// Writes what there is, if a profile is being made.
    pub(crate) fn finish(self) {
        self.signals.close();
        // A sampler that failed has said so.
        let _ = self.tell.send(Told::Stop);
        for thread in self.threads {
            thread.join().expect("a panic ends the process");
        }
    }
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Makes one profile, and waits for what comes next.
fn sample(length: Duration, page: &Path, told: &Receiver<Told>) -> Told {
    let guard = match ProfilerGuardBuilder::default()
        .frequency(SAMPLES_PER_SECOND)
        .build()
    {
        Ok(guard) => guard,
        Err(error) => {
            tracing::error!(%error, "cannot profile");
            return Told::Stop;
        }
    };
    tracing::info!(seconds = length.as_secs_f64(), "profiles");
    let stops = match told.recv_timeout(length) {
        Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => true,
        Ok(Told::Again) | Err(RecvTimeoutError::Timeout) => false,
    };
    match write(&guard, page) {
        Ok(0) => tracing::warn!("no profile: the node took next to no processor time"),
        Ok(samples) => {
            tracing::info!(file = %page.display(), samples, "wrote where the processor time went");
        }
        Err(error) => tracing::error!(file = %page.display(), %error, "cannot write the profile"),
    }
    drop(guard);
    if stops {
        return Told::Stop;
    }
    told.recv().unwrap_or(Told::Stop)
}

/// Writes a flame graph with a tower for each thread. Returns how many samples are in it.
fn write(guard: &pprof::ProfilerGuard<'_>, page: &Path) -> Result<u64, pprof::Error> {
    let report = guard.report().build()?;
    let mut flames = Flames::default();
    for (seen, &samples) in &report.data {
        let callers = seen.frames.iter().rev();
        let names = callers.flat_map(|frame| frame.iter().rev().map(ToString::to_string));
        let tower = [seen.thread_name_or_id()].into_iter().chain(names);
        flames.add(tower, u64::try_from(samples).unwrap_or(0));
    }
    let samples = flames.samples();
    if samples == 0 {
        return Ok(samples);
    }
    let subtitle = format!(
        "{samples} samples, at most {SAMPLES_PER_SECOND} a second of processor time; perf/README.md says what each tower is"
    );
    let svg = flames.svg("Processor time of a node, by thread", &subtitle);
    fs::write(page, svg)?;
    Ok(samples)
}
