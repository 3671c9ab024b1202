//! Asks several nodes at once how they are.

use std::thread;
use std::time::Duration;

use quorate_client::{ClientError, Status};

/// Each address's answer, in the order of the addresses. Takes no longer than the slowest of them.
pub(crate) fn survey(addresses: &[String], within: Duration) -> Vec<Result<Status, ClientError>> {
    thread::scope(|scope| {
        let asked: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || quorate_client::status(address, within)))
            .collect();
        asked
            .into_iter()
            .map(|answer| answer.join().expect("asking does not panic"))
            .collect()
    })
}
