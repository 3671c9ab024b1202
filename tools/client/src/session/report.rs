//! What the producers say when a session has ended, or took too long.

use std::time::Duration;

use super::{Failure, Session};
use crate::ClientError;

impl Session {
    /// Whether the session goes on.
    ///
    /// # Errors
    /// It has ended, and why.
    pub fn check(&self) -> Result<(), ClientError> {
        let Some(failure) = self.failure() else {
            return Ok(());
        };
        Err(match failure.clone() {
            Failure::Refused {
                code,
                text,
                expected,
            } => ClientError::Refused {
                code,
                text,
                expected,
                limit: 0,
            },
            Failure::AcceptedLost { first } => ClientError::AcceptedLost { first },
            Failure::Protocol(error) => ClientError::Protocol(error),
            Failure::GaveUp { after } => self.timed_out("the acknowledgement of a chunk", after),
        })
    }

    pub(crate) fn unreachable(&self) -> ClientError {
        ClientError::Unreachable {
            nodes: self.addresses(),
            last: self.trouble().clone(),
        }
    }

    pub(crate) fn timed_out(&self, what: &'static str, after: Duration) -> ClientError {
        ClientError::TimedOut {
            what,
            after,
            last: self.trouble().clone(),
        }
    }
}
