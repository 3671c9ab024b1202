//! The command line of Quorate.
//!
//! Owns: arguments, what is printed and where, exit statuses, and node processes on this host ([`local`]). Never: anything that a
//! node or a client does; that is the engine's and the client library's. Called by: the binary `quorate`, and its process tests.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod commands;
mod demo;
mod event_view;
mod failure;
mod figures;
mod input;
mod interrupt;
mod lines;
pub mod local;
mod log_view;
mod logging;
mod phases;
mod profile;
mod reading;
mod source;
mod stages;
mod status_view;
mod survey;
mod table;
mod terminal;
mod usage;

use std::process::ExitCode;

use clap::Parser;

pub use failure::Failure;

/// Runs the command that the arguments name, and says what came of it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::say(&failure.to_string());
            ExitCode::from(failure.status())
        }
    }
}
