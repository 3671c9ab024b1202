//! The start of a pipeline: recovery, or the formatting of a fresh data directory.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_raft::VOTERS_MAX;
use quorate_wire::{Edition, ErrorCode, LogIndex, Time};

use super::catch_up::CatchUp;
use super::config::PipelineConfig;
use super::handover::{Ending, Leaving};
use super::membership::Membership;
use super::priority::Prefers;
use super::repair::Repair;
use super::scrub::Scrub;
use super::tail::Tail;
use super::waiters::Waiters;
use super::{
    Accumulator, Commands, Counts, Fetches, Fresh, Heard, Note, Pipeline, Scratch, Snapshots,
    Transfer,
};
use crate::log::{self, Cut, Damaged, Identity, Recovery, RecoveryError, Restart, Superblock};
use crate::seam::{Files, FilesError, SnapshotId};
use crate::snapshot::SnapshotError;
use crate::state::State;

/// How much of a log a start goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What lies behind the newest snapshot; all of it if anything is odd.
    BehindSnapshot,
    /// All of it: it is known to be damaged, or was.
    Whole,
}

/// What the start found.
#[derive(Debug)]
pub struct Started {
    /// The data directory was empty, and has been formatted.
    pub formatted: bool,
    /// The last record.
    pub last: LogIndex,
    /// Bytes of log.
    pub bytes: u64,
    /// So many segments were passed over: a snapshot has what is in them.
    pub passed: usize,
    /// So many segments that lie ready were not read: nothing was under way when the last process stopped.
    pub ready_unread: usize,
    /// A torn tail that was cut.
    pub cut: Option<Cut>,
    /// The log is damaged here. With holes, it is being repaired; without, its end is lost, and the node is unsure.
    pub damaged: Option<Damaged>,
    /// So many holes are in it.
    pub holes: usize,
    /// The last record that the snapshot has that the state began with; zero if there was none.
    pub snapshot: LogIndex,
    /// Snapshots that are damaged: an older one was taken, or none.
    pub unsound: Vec<(SnapshotId, SnapshotError)>,
    /// The log did not join the snapshot, and begins anew behind it.
    pub restarts: Option<Restart>,
}

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files cannot be read or are damaged.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The data directory cannot be formatted.
    #[error("the data directory cannot be formatted: {0}")]
    Format(FilesError),
    /// The log is damaged, and names no other member: if there is none, what is missing cannot come back.
    #[error(
        "segment {} of the log is damaged at byte {}: {}; what is sound of it names no other node that could help; cure: keep the \
         directory; if the group has other nodes, replace this one; else put a whole copy in its place, or read what is sound with \
         quorate log dump and produce it into a new cluster (docs/runbooks/damaged-disk.md)",
        .0.segment.0, .0.position, .0.why
    )]
    DamagedAlone(Damaged),
    /// The group uses an edition that this build lacks.
    #[error(
        "the group uses edition {used}, this build has {own} at most; cure: start a build of Quorate that has it \
         (docs/runbooks/rolling-upgrade.md)"
    )]
    Edition {
        /// The group's.
        used: Edition,
        /// The build's.
        own: Edition,
    },
    /// What is left of a damaged log's end cannot be taken away.
    #[error("the damaged end of the log cannot be given up: {0}")]
    GiveUp(FilesError),
    /// The data directory belongs to somebody else.
    #[error("the data directory belongs to {whose}")]
    Foreign {
        /// Its stable code.
        code: ErrorCode,
        /// To whom.
        whose: alloc::string::String,
    },
}

impl StartError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Recovery(error) => error.code(),
            Self::DamagedAlone(_) => ErrorCode::LogDamaged,
            Self::Format(_) | Self::GiveUp(_) => ErrorCode::DataUnwritable,
            Self::Edition { .. } => ErrorCode::DataVersion,
            Self::Foreign { code, .. } => *code,
        }
    }
}

/// Recovers a log, and the state that it leads to.
fn recover(
    files: &impl Files,
    config: &PipelineConfig,
    depth: Depth,
) -> Result<(State, Recovery), RecoveryError> {
    let mut state = State::new(config.runs_max);
    if depth == Depth::BehindSnapshot {
        if let Some(recovery) = log::recover_behind(files, config.log, &mut state)? {
            return Ok((state, recovery));
        }
        state = State::new(config.runs_max);
    }
    let recovery = log::recover(files, config.log, &mut state)?;
    Ok((state, recovery))
}

impl Pipeline {
    /// Recovers a group from its files, or formats them if there are none. `now` is the pipeline's clock.
    ///
    /// # Errors
    /// The files are damaged, cannot be read or written, or belong to another cluster or node.
    ///
    /// # Panics
    /// The configuration is out of its bounds: the caller has checked it.
    pub fn start<F: Files>(
        files: &mut F,
        config: PipelineConfig,
        depth: Depth,
        now: Time,
    ) -> Result<(Self, Started), StartError> {
        assert!(
            (1..=VOTERS_MAX).contains(&config.nodes.len()),
            "a group has one to seven nodes"
        );
        assert!(
            config.nodes.iter().any(|place| place.node == config.node),
            "a node is one of its cluster's"
        );
        assert!(
            config.buffers >= 4,
            "one buffer fills, one is written, one is sent, one is spare"
        );
        let formatted = Self::claim(files, &config)?;
        let (state, mut recovery) = recover(files, &config, depth)?;
        let (used, own) = (state.newest_edition(), config.edition);
        if used > own {
            return Err(StartError::Edition { used, own });
        }
        let holes = core::mem::take(&mut recovery.holes);
        let Superblock {
            identity,
            ref members,
            removed,
            ..
        } = recovery.superblock;
        let mut membership = Membership::new(
            config.cluster,
            (config.node, identity.disk),
            config.nodes.clone(),
            members.clone(),
            config.joins,
        );
        if let Some(newest) = state.member_lists().next_back() {
            membership.learn(Some(newest));
        }
        if let Some((at, list)) = state.applied_members() {
            membership.settle(*at, list);
        }
        let alone = !config.joins && membership.list().entries.len() < 2;
        if let Some(damaged) = recovery.damaged.filter(|_| alone) {
            return Err(StartError::DamagedAlone(damaged));
        }
        if recovery.restarts == Some(Restart::StateLost) && alone {
            return Err(RecoveryError::StateLost.into());
        }
        // While something is missing in the middle, nothing is done about the rest.
        if holes.is_empty() {
            recovery.settle(files).map_err(StartError::GiveUp)?;
        }
        let last = recovery.raft.last;
        let hole_count = holes.len();
        let snapshots = Snapshots::new(recovery.snapshot, recovery.bytes_behind);
        let mut pipeline = Self {
            membership,
            members_due: true,
            cast_out: removed,
            told: None,
            led_by: None,
            parted: Edition::FIRST,
            asked: None,
            raft: None,
            repair: (!holes.is_empty()).then(|| Repair::new(holes, now)),
            scrub: Scrub::new(&config, recovery.log.has_unread(), now),
            snapshots,
            transfer: Transfer::default(),
            catch_up: CatchUp::new(now),
            reopen: None,
            state,
            tail: Tail::new(config.buffers, last),
            accumulator: Accumulator::default(),
            commands: Commands::default(),
            heard: Heard::default(),
            noops_due: VecDeque::new(),
            led: false,
            known: last,
            wants: Vec::new(),
            waiters: Waiters::default(),
            fetches: Fetches::default(),
            fresh: Fresh::default(),
            held: None,
            disk_full: false,
            handing: None,
            prefers: Prefers::default(),
            leaving: Leaving::default(),
            ending: Ending::default(),
            links: Vec::new(),
            dials: Vec::new(),
            notes: removed.then_some(Note::CastOut).into_iter().collect(),
            counts: Counts::default(),
            traced: None,
            scratch: Scratch::default(),
            log: recovery.log,
            config,
        };
        if !pipeline.membership.forms() && pipeline.repair.is_none() {
            pipeline.start_raft(recovery.raft, now);
        }
        let started = Started {
            formatted,
            last,
            bytes: pipeline.log.bytes(),
            passed: recovery.passed,
            ready_unread: recovery.ready_unread,
            cut: recovery.cut,
            damaged: recovery.damaged,
            holes: hole_count,
            snapshot: recovery.snapshot,
            unsound: recovery.unsound,
            restarts: recovery.restarts,
        };
        Ok((pipeline, started))
    }

    /// Makes sure that the files are this node's: formats them if there are none. Returns whether it did.
    fn claim<F: Files>(files: &mut F, config: &PipelineConfig) -> Result<bool, StartError> {
        use alloc::format;
        let Some(found) = log::read_superblock(files)? else {
            let (cluster, node, group, disk) =
                (config.cluster, config.node, config.group, config.fresh_disk);
            let fresh = Superblock::fresh(Identity {
                cluster,
                node,
                group,
                disk,
            });
            log::format(files, &fresh).map_err(StartError::Format)?;
            return Ok(true);
        };
        let Identity { cluster, node, .. } = found.identity;
        if cluster != config.cluster {
            let whose = format!("cluster {cluster}, not to cluster {}", config.cluster);
            return Err(StartError::Foreign {
                code: ErrorCode::DataOfAnotherCluster,
                whose,
            });
        }
        if node != config.node {
            let whose = format!("node {node}, not to node {}", config.node);
            return Err(StartError::Foreign {
                code: ErrorCode::DataOfAnotherNode,
                whose,
            });
        }
        Ok(false)
    }
}
