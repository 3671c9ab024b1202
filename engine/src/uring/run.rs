//! The pipeline's loop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate_replication::log::Fatal;
use quorate_replication::pipeline::{Reopen, Turn};
use quorate_wire::Time;

use super::driver::Driver;

/// Why a pipeline stopped that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The pipeline said so.
    #[error("{0}")]
    Fatal(#[from] Fatal),
    /// The ring is unusable.
    #[error("the ring failed: {0}")]
    Ring(io::Error),
}

/// How a pipeline ended that did not fail.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Told,
    /// Another one shall follow, on this driver once it is reset.
    Reopen(Box<Driver>, Reopen),
}

/// Runs a pipeline on this thread: turn after turn, until one says stop, or `stop` is set and the driver's bell rung.
///
/// # Errors
/// The pipeline or the ring cannot go on.
pub fn run(
    mut driver: Driver,
    stop: &AtomicBool,
    mut turn: impl FnMut(&mut Driver) -> Turn,
) -> Result<Ended, Stopped> {
    while !stop.load(Ordering::Acquire) {
        let until = match turn(&mut driver) {
            Turn::Again => Time(0),
            Turn::IdleUntil(until) => until,
            Turn::Reopen(why) => return Ok(Ended::Reopen(Box::new(driver), why)),
            Turn::Stop(fatal) => return Err(Stopped::Fatal(fatal)),
        };
        driver.wait(Some(until)).map_err(Stopped::Ring)?;
    }
    Ok(Ended::Told)
}
