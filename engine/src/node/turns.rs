//! The trace of a pipeline's turns: who keeps it, and who writes it down when.
//!
//! ```text
//!  SIGUSR1 --> bell thread -- due, wake --> pipeline -- its full ring --> writer thread --> FILE
//!                                           the node's end -----------------'
//! ```
//! The pipeline gives its ring away and goes on with an empty one: it neither writes nor copies.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use quorate_replication::pipeline::{Pipeline, Turns};
use quorate_wire::NodeId;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::{Handle, Signals};

use super::chrome;
use crate::lane::Wake;

/// Turns that are kept: some seconds of a busy pipeline, and about 10 MiB.
const TURNS: usize = 1 << 16;

/// What runs beside a pipeline that is traced.
#[derive(Debug)]
pub(super) struct Tracer {
    signals: Handle,
    threads: [JoinHandle<()>; 2],
}

/// The pipeline's side.
#[derive(Debug)]
pub(super) struct Traced {
    due: Arc<AtomicBool>,
    full: Sender<Box<Turns>>,
}

impl Tracer {
    /// Begins to listen. A trace goes to `file`, over the one before.
    pub(super) fn start(
        file: PathBuf,
        node: NodeId,
        wake: Arc<Wake>,
    ) -> io::Result<(Self, Traced)> {
        // Whoever cannot write there shall know it before he has waited for the trace.
        drop(File::create(&file)?);
        let mut signals = Signals::new([SIGUSR1])?;
        let handle = signals.handle();
        let due = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&due);
        let listen = move || {
            for _ in signals.forever() {
                told.store(true, Ordering::Release);
                wake.ring();
            }
        };
        let (full, taken) = channel();
        let threads = [
            named("trace-bell", listen)?,
            named("trace-writer", move || write_all(&taken, &file, node))?,
        ];
        let tracer = Self {
            signals: handle,
            threads,
        };
        Ok((tracer, Traced { due, full }))
    }

    /// Waits until the last trace is written. The pipeline's side is gone.
    pub(super) fn finish(self) {
        self.signals.close();
        for thread in self.threads {
            thread.join().expect("a panic ends the process");
        }
    }
}

impl Traced {
    /// A pipeline begins: the first one, or one that goes on where another one has ended.
    pub(super) fn begin(pipeline: &mut Pipeline, before: Option<Box<Turns>>) {
        let trace = before.unwrap_or_else(|| Box::new(Turns::new(TURNS)));
        let other = pipeline.trace(Some(trace));
        assert!(other.is_none(), "a pipeline is traced once");
    }

    /// Hands the trace to the writer, if somebody has asked for it.
    pub(super) fn look(&self, pipeline: &mut Pipeline) {
        if self.due.load(Ordering::Acquire) {
            self.due.store(false, Ordering::Release);
            let full = pipeline.trace(Some(Box::new(Turns::new(TURNS))));
            self.hand_over(full.expect("it is traced"));
        }
    }

    /// Hands a trace to the writer: also the last one, when the pipeline has ended.
    pub(super) fn hand_over(&self, full: Box<Turns>) {
        // A writer that is gone has said why.
        let _ = self.full.send(full);
    }
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn write_all(taken: &Receiver<Box<Turns>>, file: &Path, node: NodeId) {
    for trace in taken {
        let written = File::create(file).and_then(|out| {
            let mut out = BufWriter::new(out);
            chrome::write(&trace, node, &mut out)?;
            out.flush()
        });
        let turns = trace.all().count();
        match written {
            Ok(()) => tracing::info!(file = %file.display(), turns, "wrote the pipeline's turns"),
            Err(error) => tracing::error!(file = %file.display(), %error, "cannot write the turns"),
        }
    }
}
