//! Three nodes with default settings on this host: what some measurements have in common, and their arguments.

use std::path::PathBuf;

use quorate_client::AckLevel;
use serde::Serialize;

use super::super::cluster::executable;
use super::measure::{DOWN_WITHIN, UP_WITHIN, setting_here};
use crate::bench::Setting;
use crate::demo::Workplace;
use crate::interrupt::Interrupt;
use crate::local::{Hosts, Local, LocalOptions};
use crate::phases::Phases;
use crate::{Failure, terminal};

/// Where, and how the figures are said.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Where the nodes work, and leave what they wrote; otherwise a temporary directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Place {
    /// Prints the figures.
    pub(super) fn print(&self, figures: &impl Serialize, table: impl FnOnce() -> String) {
        if self.json {
            terminal::print_json(figures);
        } else {
            terminal::print(&table());
        }
    }
}

/// The nodes.
#[derive(Debug)]
pub(super) struct Three {
    pub(super) local: Local,
    workplace: Workplace,
}

impl Three {
    /// Starts them, each on a host of its own if there are such.
    pub(super) fn start(
        args: &Place,
        hosts: Option<Hosts>,
        log_level: Option<&str>,
        phases: &Phases,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let workplace = Workplace::new(args.dir.as_deref())?;
        let options = LocalOptions {
            hosts,
            log_level: log_level.map(Into::into),
            ..LocalOptions::new(executable()?)
        };
        phases.begin("starting 3 nodes");
        let mut local = Local::create(workplace.path(), options)?;
        local.heed(interrupt);
        local.start_all()?;
        local.wait_complete(UP_WITHIN)?;
        Ok(Self { local, workplace })
    }

    /// Stops them. Says what they ran on.
    pub(super) fn stop(mut self, phases: &Phases) -> Result<Setting, Failure> {
        self.local.stop_all(DOWN_WITHIN);
        phases.end();
        setting_here(self.workplace.path(), AckLevel::Quorum, 3)
    }
}
