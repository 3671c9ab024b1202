//! Why a node does not run, for whoever started it.

use std::fmt;
use std::io;
use std::path::Path;

use quorate_replication::pipeline::StartError;
use quorate_wire::ErrorCode;

use crate::config::ConfigError;
use crate::probe::ProbeError;
use crate::uring::Stopped;

/// Why a node did not start, or had to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeError {
    /// Its stable code, if there is one.
    pub code: Option<ErrorCode>,
    /// What is wrong.
    pub cause: String,
    /// What to do about it; empty where the cause says it.
    pub cure: String,
}

impl NodeError {
    /// The process's exit status.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.code.and_then(ErrorCode::exit_status).unwrap_or(1)
    }

    /// The operating system refused something that it has for everybody.
    pub(super) fn host(doing: &str, error: &io::Error) -> Self {
        Self {
            code: None,
            cause: format!("{doing}: {error}"),
            cure: "look at the limits of this user: ulimit -a".to_owned(),
        }
    }

    /// The turns cannot be written down.
    pub(super) fn trace(file: &Path, error: &io::Error) -> Self {
        Self {
            code: None,
            cause: format!("{}: {error}", file.display()),
            cure: "give --trace-turns a file that this user may write".to_owned(),
        }
    }

    /// The group cannot be recovered from the data directory, or formatted in it.
    pub(super) fn start(data: &Path, error: &StartError) -> Self {
        let cure = match error {
            // Its sentence has the cure.
            StartError::Recovery(_) | StartError::DamagedAlone(_) | StartError::Edition { .. } => {
                ""
            }
            StartError::Format(_) | StartError::GiveUp(_) => {
                "give this user the right to write there, or name another directory: --data DIR"
            }
            StartError::Foreign { .. } => {
                "name this node's own data directory: --data DIR, or `data` in the configuration"
            }
        };
        Self {
            code: Some(error.code()),
            cause: format!("{}: {error}", data.display()),
            cure: cure.to_owned(),
        }
    }

    /// An address cannot be listened on.
    pub(super) fn address(address: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            return Self {
                code: Some(ErrorCode::AddressInUse),
                cause: format!("{address} is in use"),
                cure: "stop what listens there (ss -ltnp shows it), or configure another port"
                    .to_owned(),
            };
        }
        Self {
            code: Some(ErrorCode::ConfigInvalid),
            cause: format!("{address} cannot be listened on: {error}"),
            cure: "configure an address of this host".to_owned(),
        }
    }

    /// A peer's address has no meaning here.
    pub(super) fn unknown_host(address: &str) -> Self {
        Self {
            code: Some(ErrorCode::ConfigInvalid),
            cause: format!("the peer address {address} is not known to this host"),
            cure: "configure an address, or a name that this host can resolve".to_owned(),
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code}: {}", self.cause),
            None => write!(f, "{}", self.cause),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<ProbeError> for NodeError {
    fn from(error: ProbeError) -> Self {
        let ProbeError { code, cause, cure } = error;
        Self {
            code: Some(code),
            cause,
            cure,
        }
    }
}

impl From<ConfigError> for NodeError {
    fn from(error: ConfigError) -> Self {
        Self {
            code: Some(error.code()),
            cause: error.to_string(),
            cure: String::new(),
        }
    }
}

impl From<Stopped> for NodeError {
    fn from(stopped: Stopped) -> Self {
        let code = match &stopped {
            Stopped::Fatal(fatal) => Some(fatal.code()),
            Stopped::Ring(_) => Some(ErrorCode::UringUnavailable),
        };
        Self {
            code,
            cause: stopped.to_string(),
            cure: String::new(),
        }
    }
}
