//! Ctrl-C and its kin, as a flag that loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::Failure;

/// Whether the process was asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. A second signal ends the process at once, in case cleaning up hangs.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The order matters: the first signal finds the flag down, and only then raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&interrupt.asked))
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.asked)))
                .map_err(|error| Failure::new(format!("listening for signals: {error}")))?;
        }
        Ok(interrupt)
    }

    /// Whether the process was asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends the command if the process was asked to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_asked() {
            Err(Failure::new("interrupted"))
        } else {
            Ok(())
        }
    }
}
