//! How a command fails: what happened, what cures it, the stable code, and the exit status.

use std::path::Path;
use std::{fmt, io};

use quorate_client::{ClientError, ErrorCode, LinkCause};
use quorate_engine::node::NodeError;
use quorate_engine::probe::ProbeError;
use quorate_replication::log::RecoveryError;

/// Exit status of a client command that failed.
const FAILED: u8 = 1;

/// Exit status of a command that was called wrongly; clap's own.
const USAGE: u8 = 2;

/// Exit status of a command that was asked to stop: what a shell says of SIGINT.
const INTERRUPTED: u8 = 130;

/// Exit status for a log or superblock that is damaged.
const DAMAGED: u8 = 71;

/// Why a command ends with another status than 0.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    code: Option<ErrorCode>,
    cause: String,
    cure: Option<String>,
}

impl Failure {
    /// The command could not do what it was asked for.
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self {
            status: FAILED,
            code: None,
            cause: cause.into(),
            cure: None,
        }
    }

    /// The command was called wrongly, in a way that clap cannot see.
    pub(crate) fn usage(cause: impl Into<String>) -> Self {
        Self {
            status: USAGE,
            ..Self::new(cause)
        }
    }

    /// A failure that has a stable code; the code decides the exit status.
    pub(crate) fn coded(code: ErrorCode, cause: impl Into<String>) -> Self {
        Self {
            status: code.exit_status().unwrap_or(FAILED),
            code: Some(code),
            ..Self::new(cause)
        }
    }

    /// An input that cannot be read.
    pub(crate) fn unreadable(input: &Path, error: &io::Error) -> Self {
        let failure = Self::new(format!("{}: {error}", input.display()));
        failure.cure("name a file that is there and that you may read")
    }

    /// The command was asked to stop before it was done.
    pub(crate) fn interrupted() -> Self {
        Self {
            status: INTERRUPTED,
            ..Self::new("interrupted")
        }
    }

    /// The same failure, met by a command that is no node: only damage keeps an exit status of its own.
    pub(crate) fn of_command(mut self) -> Self {
        if self.status != DAMAGED {
            self.status = FAILED;
        }
        self
    }

    /// A failure whose sentence may say what to do about it, as those of the core crates do.
    fn with_cure(sentence: &str) -> Self {
        match sentence.split_once("; cure: ") {
            Some((cause, cure)) => Self::new(cause).cure(cure),
            None => Self::new(sentence),
        }
    }

    /// The same failure, with what to do about it.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The process's exit status.
    #[must_use]
    pub const fn status(&self) -> u8 {
        self.status
    }
}

/// `error: cause [code]`, and the cure on a line of its own; further lines of either are indented.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.cause.replace('\n', "\n  "))?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        match &self.cure {
            Some(cure) => write!(f, "\n  cure: {}", cure.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::coded(error.code, error.cause).cure(error.cure)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let failure = Self {
            status: error.exit_status(),
            code: error.code,
            ..Self::with_cure(&error.cause)
        };
        if error.cure.is_empty() {
            failure
        } else {
            failure.cure(error.cure)
        }
    }
}

impl From<RecoveryError> for Failure {
    fn from(error: RecoveryError) -> Self {
        let failure = Self::with_cure(&error.to_string());
        Self {
            cure: failure.cure,
            ..Self::coded(error.code(), failure.cause)
        }
    }
}

/// What somebody can do whose address answers in another language.
const NO_CLIENT_PORT: &str = "the address is not a client port of a node; peers listen on another";

/// What somebody can do at the command line who was refused so.
const CURES: [(ErrorCode, &str); 13] = [
    (
        ErrorCode::ShuttingDown,
        "name other nodes: `quorate admin members` shows who belongs to the group",
    ),
    (ErrorCode::HelloExpected, NO_CLIENT_PORT),
    (
        ErrorCode::TransferFailed,
        "`quorate admin members` shows who is up; try again, or name another node",
    ),
    (
        ErrorCode::NotAMember,
        "`quorate admin members` shows who is one",
    ),
    (
        ErrorCode::LearnerBehind,
        "`quorate admin members` shows how far it is; `--within` waits longer",
    ),
    (
        ErrorCode::MembersRefused,
        "take an id that no node ever had, or remove a member first",
    ),
    (
        ErrorCode::NodeUnreachable,
        "start it with `join = true`, and name where it listens for peers; its log says whom it refuses",
    ),
    (
        ErrorCode::OffsetPastEnd,
        "`--from end` begins with the next event; `quorate status` says how many there are",
    ),
    (
        ErrorCode::CursorPastEnd,
        "`quorate status` says how many events there are",
    ),
    (ErrorCode::CursorBehind, "`--reset` lets it move back"),
    (
        ErrorCode::CursorBeforeStart,
        "`quorate status` says from where on the nodes have the log",
    ),
    (
        ErrorCode::OffsetNotReached,
        "`quorate status` says how many events there are; `--patience` waits longer for more",
    ),
    (
        ErrorCode::ConsistencyUnavailable,
        "`quorate status` shows which nodes are up, and who leads",
    ),
];

fn cure_of(code: ErrorCode) -> String {
    let known = CURES.iter().find(|(known, _)| *known == code);
    known.map_or_else(
        || format!("docs/errors.md says what to do about {}", code.number()),
        |(_, cure)| (*cure).to_owned(),
    )
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        // The client's sentence names the code where there is one.
        let failure = Self::new(error.to_string());
        match error {
            ClientError::Unreachable {
                last: LinkCause::Refused { code, .. },
                ..
            } => failure.cure(cure_of(code)),
            ClientError::Unreachable { .. } => failure.cure(
                "start the nodes (`quorate cluster up`), or say where they listen (`--nodes HOST:PORT,..`)",
            ),
            ClientError::TimedOut { .. } => {
                failure.cure("`quorate status` shows which nodes are up, and who leads")
            }
            ClientError::Refused { code, .. } => failure.cure(cure_of(code)),
            ClientError::AcceptedLost { .. } => failure.cure(
                "send them again; with `--acks quorum` nothing that was acknowledged is lost",
            ),
            ClientError::Io { .. } | ClientError::Closed => failure,
            ClientError::Protocol(_) => failure.cure(NO_CLIENT_PORT),
            ClientError::ChainBroken { .. } => {
                failure.cure("`quorate audit --full` says which node differs, and from where on")
            }
            ClientError::Damaged(_) => {
                failure.cure("`quorate log verify DIR` on the node's data directory finds the damage")
            }
            ClientError::InvalidEvent(_) => failure.cure("split the event, or shorten it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{ClientError, ErrorCode, LinkCause};
    use quorate_engine::node::NodeError;

    use super::Failure;

    #[test]
    fn a_failure_names_cause_code_and_cure() {
        let failure = Failure::coded(ErrorCode::AddressInUse, "127.0.0.1:9001 is taken")
            .cure("stop what listens there\nor use other ports");
        assert_eq!(
            failure.to_string(),
            "error: 127.0.0.1:9001 is taken [AddressInUse (602)]\n  cure: stop what listens there\n        or use other ports"
        );
        assert_eq!(failure.status(), 72);
    }

    #[test]
    fn who_was_refused_everywhere_is_not_told_to_start_nodes() {
        let refused = |code| {
            Failure::from(ClientError::Unreachable {
                nodes: vec!["127.0.0.1:9001".into()],
                last: LinkCause::Refused {
                    code,
                    text: "not yet".into(),
                },
            })
        };
        assert_eq!(
            refused(ErrorCode::OffsetNotReached).to_string(),
            "error: no node does what is asked (tried 127.0.0.1:9001): refused with OffsetNotReached (406): not yet\n  \
             cure: `quorate status` says how many events there are; `--patience` waits longer for more"
        );
        let other = refused(ErrorCode::Overloaded).to_string();
        assert!(
            other.ends_with("docs/errors.md says what to do about 303"),
            "{other}"
        );
    }

    #[test]
    fn a_sentence_that_ends_with_its_cure_is_taken_apart() {
        let failure = Failure::from(NodeError {
            code: Some(ErrorCode::LogDamaged),
            cause: "segment 3 is damaged; cure: replace the disk".into(),
            cure: String::new(),
        });
        assert_eq!(failure.status(), 71);
        assert_eq!(
            failure.to_string(),
            "error: segment 3 is damaged [LogDamaged (702)]\n  cure: replace the disk"
        );
    }

    #[test]
    fn statuses_tell_a_wrong_call_from_a_failed_command() {
        assert_eq!(Failure::new("no").status(), 1);
        assert_eq!(Failure::usage("no").status(), 2);
        assert_eq!(Failure::coded(ErrorCode::NotLeader, "no").status(), 1);
        assert_eq!(Failure::coded(ErrorCode::WriteFailed, "no").status(), 70);
        assert_eq!(Failure::coded(ErrorCode::LogDamaged, "no").status(), 71);
        let of_command = |code| Failure::coded(code, "no").of_command().status();
        assert_eq!(of_command(ErrorCode::DataInUse), 1);
        assert_eq!(of_command(ErrorCode::SuperblockDamaged), 71);
        assert_eq!(Failure::interrupted().status(), 130);
    }
}
