//! The log of the process: standard error, one line an event.

use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::terminal;

/// Starts logging at a level, or by the directives of `tracing`: `info`, or `warn,quorate_engine=debug`.
pub(crate) fn start(level: &str) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(level).map_err(|error| {
        Failure::usage(format!("--log-level {level}: {error}")).cure(
            "error, warn, info, debug or trace; or directives, such as warn,quorate_engine=debug",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal::is_watched())
        .init();
    Ok(())
}
