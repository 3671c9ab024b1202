//! What can go wrong with node processes on this host.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_client::{ErrorCode, NodeId};
use quorate_engine::config::ConfigError;

use crate::Failure;

/// Why a local cluster does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The operating system refused something.
    #[error("{doing} {}: {error}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no cluster in the directory.
    #[error("there is no cluster in {}", dir.display())]
    NoCluster {
        /// The directory.
        dir: PathBuf,
    },
    /// The files of the cluster in the directory do not fit together.
    #[error("{}: {what}", path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A node's configuration is not sound.
    #[error("{0}")]
    Config(ConfigError),
    /// The cluster in the directory is another than the one that was asked for.
    #[error("the cluster in {} has {what}", dir.display())]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// What it has, and what was asked for.
        what: String,
    },
    /// Somebody listens on an address that a node needs.
    #[error("{address} is in use by another process")]
    AddressTaken {
        /// The address.
        address: String,
    },
    /// A node process ended on its own.
    #[error("node {node} ended with {ending}; its log ends with:\n{log}")]
    NodeEnded {
        /// The node.
        node: NodeId,
        /// How, in words.
        ending: String,
        /// Its last log lines.
        log: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {} s\n{log}", within.as_secs())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        within: Duration,
        /// How the nodes are, and their last log lines.
        log: String,
    },
    /// The machine gives nodes no network namespaces of their own.
    #[error("no network namespaces for nodes: `{command}` says: {why}")]
    NoHosts {
        /// What was tried.
        command: String,
        /// What came of it.
        why: String,
    },
    /// Somebody asked the command to stop.
    #[error("interrupted")]
    Interrupted,
}

impl LocalError {
    /// Names what was done to a file when the operating system refused.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        let cause = error.to_string();
        match error {
            LocalError::AddressTaken { address } => {
                let port = address.rsplit(':').next().unwrap_or_default();
                Self::coded(ErrorCode::AddressInUse, cause).cure(format!(
                    "stop what listens there (`ss -ltnp 'sport = :{port}'` names it), or take free ports: --ports auto"
                ))
            }
            LocalError::NoCluster { dir } => Self::new(cause).cure(format!(
                "make one: quorate cluster up --dir {}",
                dir.display()
            )),
            LocalError::OtherCluster { .. } => {
                Self::usage(cause).cure("leave the option out, or take another --dir")
            }
            LocalError::Layout { .. } | LocalError::Config(_) => {
                Self::coded(ErrorCode::ConfigInvalid, cause)
                    .cure("mend the file, or take another --dir")
            }
            LocalError::NodeEnded { .. } => Self::new(cause)
                .cure("its last log line says what to do; docs/errors.md lists the codes"),
            LocalError::Late { .. } => {
                Self::new(cause).cure("see the nodes' logs; --log-level debug makes them say more")
            }
            LocalError::NoHosts { .. } => Self::new(cause)
                .cure("run it as root on a host with iproute2, outside containers that forbid it"),
            LocalError::Io { .. } | LocalError::Interrupted => Self::new(cause),
        }
    }
}
