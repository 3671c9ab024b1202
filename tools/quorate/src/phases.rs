//! Progress for whoever watches: a bar on a terminal, a line a phase anywhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal;

/// What a longer command is doing.
#[derive(Debug)]
pub(crate) struct Phases {
    bar: Option<ProgressBar>,
}

impl Phases {
    /// Nothing is going on yet; `events` will pass.
    pub(crate) fn new(events: usize) -> Self {
        let bar = terminal::is_watched().then(|| {
            let events = u64::try_from(events).expect("a size fits into 64 bits");
            let style = ProgressStyle::with_template(
                "{spinner} {bar:32} {human_pos:>7}/{human_len} {per_sec:>12}  {msg}",
            )
            .expect("the template is well-formed");
            let bar = ProgressBar::new(events).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    /// Nothing is going on yet, and no events are counted.
    pub(crate) fn without_events() -> Self {
        let bar = terminal::is_watched().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}")
                .expect("the template is well-formed");
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    /// A new phase begins.
    pub(crate) fn begin(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => terminal::say(what),
        }
    }

    /// Nothing goes on any more: a result may be printed.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// So many events have passed.
    pub(crate) fn passed(&self, events: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(events);
        }
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        self.end();
    }
}
