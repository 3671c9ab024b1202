//! The pipeline: one Raft group's whole way from the lanes to the disks and back, one turn at a time.
//!
//! ```text
//! lanes -> intake -> accumulator -> tail --+--> log (own disk)
//!   ^                                      +--> links (peers)
//!   |                                                |
//!   +------ waiters <- state <- commit <- raft <-----+
//! ```
//!
//! A turn reads what completed, takes what is asked, and ends by asking for one write and one send a peer. Whatever comes
//! while the disk writes becomes the next write: the group commit adapts to the disk. Owns: the group. Never: blocks.

mod accumulator;
mod ahead;
mod arrived;
mod catch_up;
mod change;
mod codec;
mod commands;
mod config;
mod core;
mod counts;
mod disk;
mod edition;
mod fetch;
mod fresh;
mod governor;
mod handover;
mod heard;
mod intake;
mod lend;
mod link;
mod membership;
mod note;
mod peers;
mod places;
mod priority;
mod repair;
mod scrub;
mod snapshots;
mod start;
mod status;
mod tail;
mod transfer;
mod turns;
mod view;
mod waiters;
mod waits;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_raft::{Input, Output, Raft, Want};
use quorate_wire::{Edition, Leader, LogIndex, NodeId, Position, Term, Time};

use crate::lane::{Answer, Refusal, Reply, Request, ShardId, Ticket};
use crate::log::{Fatal, Log, LogEvent, ReadError};
use crate::seam::{NetworkEvent, Part, Seam, StorageDone};
use crate::state::{Done, State};
use accumulator::Accumulator;
use catch_up::CatchUp;
use commands::Commands;
use fetch::Fetches;
use fresh::Fresh;
use handover::{Ending, HandOver, Leaving};
use heard::Heard;
use link::Link;
use membership::Membership;
use priority::Prefers;
use repair::Repair;
use scrub::Scrub;
use snapshots::Snapshots;
use tail::Tail;
use transfer::Transfer;
use waiters::Waiters;

pub use config::{NodePlace, PipelineConfig, SnapshotConfig};
pub use counts::Counts;
pub use note::{Note, Weight};
pub use start::{Depth, StartError, Started};
pub use turns::{Phase, TracedTurn, Turns, Wait};
pub use view::View;

/// What a turn tells its driver.
#[derive(Debug)]
pub enum Turn {
    /// There is more to do at once.
    Again,
    /// Nothing to do until something completes, a lane is filled, or this moment comes.
    IdleUntil(Time),
    /// The pipeline is over, and the node goes on: with a new one, recovered from its files once all operations are over.
    Reopen(Reopen),
    /// The node must stop, with this reason and its exit status.
    Stop(Fatal),
}

/// Why a log is to be recovered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reopen {
    /// What was durable has changed, or cannot be read: recovery finds out what is missing.
    #[error("{0}; the log is gone through again, and what is missing is fetched from the peers")]
    Damaged(ReadError),
    /// What was missing has been put back.
    #[error("what was missing in {holes} places of the log is there again")]
    Repaired {
        /// In so many places.
        holes: usize,
    },
    /// A snapshot of another node is here, ahead of all that this one has applied: recovery begins with it.
    #[error("a snapshot of another node is there up to index {upto}: begins with it")]
    Installed {
        /// The last record that it covers.
        upto: LogIndex,
    },
    /// What is missing has been let go by others: the log begins behind it.
    #[error(
        "the log begins behind index {upto}: what is missing before has been let go by another node, and a snapshot here has what it amounts to"
    )]
    BeginsLater {
        /// The last record that is gone.
        upto: LogIndex,
    },
    /// What was missing was never committed, or let go: the log ends before it.
    #[error("the log is given up where records are missing that a whole majority lacks")]
    GaveUp,
}

impl Reopen {
    /// How the log is to be recovered.
    #[must_use]
    pub fn depth(self) -> Depth {
        match self {
            Self::Damaged(_) | Self::Repaired { .. } | Self::BeginsLater { .. } | Self::GaveUp => {
                Depth::Whole
            }
            Self::Installed { .. } => Depth::BehindSnapshot,
        }
    }
}

/// One group's pipeline. See the module's description.
#[derive(Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    membership: Membership,
    /// The members have changed, or somebody is to be dialled: what follows from that is still to be done.
    members_due: bool,
    /// This node was a member, and is none any more: it serves nobody.
    cast_out: bool,
    /// Who leads the group that this node is no member of any more, as a member has told. Forgotten soon: nobody tells when another
    /// one does, and clients would be sent back and forth between this node and one that led once.
    told: Option<(Leader, Time)>,
    /// Who led this node when somebody last was no member any more.
    led_by: Option<NodeId>,
    /// Nobody who lacks this edition is talked to any more.
    parted: Edition,
    /// A change of the members that somebody waits for.
    asked: Option<change::Asked>,
    /// Absent while the group is forming, and while the log is being repaired.
    raft: Option<Raft>,
    /// What is being done about holes in the log, if there are any.
    repair: Option<Repair>,
    scrub: Scrub,
    snapshots: Snapshots,
    transfer: Transfer,
    catch_up: CatchUp,
    /// The pipeline is about to be over.
    reopen: Option<Reopen>,
    log: Log,
    state: State,
    tail: Tail,
    accumulator: Accumulator,
    commands: Commands,
    heard: Heard,
    /// Records that this leader still owes its term and its earlier ones, while the tail has no room for them. The core counts
    /// them already, also when it leads no more: they go when others take their place.
    noops_due: VecDeque<Position>,
    /// Whether this node led when the core was last asked.
    led: bool,
    /// The last record that the core knows.
    known: LogIndex,
    /// What peers are waiting for.
    wants: Vec<Want>,
    waiters: Waiters,
    fetches: Fetches,
    fresh: Fresh,
    /// A request that found no room. Nothing else is taken from the lanes until it has.
    held: Option<(ShardId, Request)>,
    disk_full: bool,
    handing: Option<HandOver>,
    prefers: Prefers,
    leaving: Leaving,
    ending: Ending,
    links: Vec<Link>,
    dials: Vec<peers::Dial>,
    notes: Vec<Note>,
    counts: Counts,
    /// Present while somebody wants to see what turns do.
    traced: Option<Box<Turns>>,
    scratch: Scratch,
}

/// Memory that is used in every turn and holds nothing between turns.
#[derive(Debug, Default)]
struct Scratch {
    done: Vec<StorageDone>,
    network: Vec<NetworkEvent>,
    log: Vec<LogEvent>,
    output: Output,
    parts: Vec<Part>,
    copy: Vec<u8>,
    applied: Vec<Done>,
}

impl Pipeline {
    /// One turn: everything that can be done now.
    pub fn turn(&mut self, seam: &mut impl Seam) -> Turn {
        match self.try_turn(seam) {
            Ok(turn) => turn,
            Err(fatal) => Turn::Stop(fatal),
        }
    }

    fn try_turn(&mut self, seam: &mut impl Seam) -> Result<Turn, Fatal> {
        let now = seam.now();
        self.turn_begins(now);
        self.counts.turns += 1;
        self.govern(now);
        self.reap_disk(now, seam)?;
        self.phase_ended(Phase::Disk, seam);
        if self.ending == Ending::Ended {
            self.hang_up(seam);
            return Ok(Turn::IdleUntil(Time(u64::MAX)));
        }
        self.reap_network(now, seam);
        self.phase_ended(Phase::Network, seam);
        self.form_alone(seam);
        // After the messages that have arrived: a late turn must not start an election that a waiting heartbeat prevents.
        self.step(Input::Tick { now }, seam);
        self.settle_noops(seam);
        self.hand_over_due(now, seam);
        self.phase_ended(Phase::Tick, seam);
        let mut more = self.take_requests(now, seam);
        self.answer_rest(now, seam);
        self.expire_due(now);
        self.change_due(now, seam);
        self.raise_due(now);
        self.prefer_due(now, seam);
        self.phase_ended(Phase::Intake, seam);
        self.seal_due(now, seam);
        self.trace_sealed(seam);
        self.phase_ended(Phase::Seal, seam);
        self.write_due(seam);
        self.phase_ended(Phase::Write, seam);
        self.ask_fresh(now, seam);
        self.gather(now, seam);
        self.settle_fresh(now, seam);
        self.phase_ended(Phase::Gather, seam);
        self.fetch_due(now, seam);
        self.lend_due(now, seam);
        self.phase_ended(Phase::Fetch, seam);
        self.place_members(now, seam);
        self.part_from_older(seam);
        self.dial_due(now, seam);
        if self.repair.is_some() {
            self.repair_due(now, seam);
        } else {
            self.transfer_due(now, seam);
            more |= self.snapshot_due(seam);
            self.release_due(seam);
            self.log_by_edition();
            self.log.tend(now, seam);
            self.scrub_due(now, seam);
        }
        self.phase_ended(Phase::Tend, seam);
        for link in &mut self.links {
            if let Some(bytes) = link.flush(now, seam) {
                self.counts.sends += 1;
                self.counts.sent_bytes += bytes as u64;
            }
        }
        self.phase_ended(Phase::Send, seam);
        self.end_due(seam);
        if self.log.owes_sums() {
            seam.start();
            self.log.sum();
        }
        let (wait, deadline) = self.deadline(now);
        self.turn_ends(if more { Wait::Not } else { wait });
        if let Some(why) = self.reopen
            && self.log.is_noted()
        {
            self.refuse_all(seam);
            Ok(Turn::Reopen(why))
        } else if more {
            Ok(Turn::Again)
        } else {
            Ok(Turn::IdleUntil(deadline))
        }
    }

    /// Moves what happened since the last call to the end of `notes`.
    pub fn take_notes(&mut self, notes: &mut Vec<Note>) {
        notes.append(&mut self.notes);
    }

    /// All records up to here are durable on this node; nothing is known while its log is being repaired or its group formed.
    #[must_use]
    pub fn durable(&self) -> Option<LogIndex> {
        self.raft.as_ref().map(Raft::durable)
    }

    /// When there is something to do at the latest, and what.
    fn deadline(&self, now: Time) -> (Wait, Time) {
        let raft = self.raft.as_ref().map(Raft::deadline);
        // What has waited long enough and is still open waits for room, or for the end of a hand-over, and not for a moment.
        let batch = self
            .batch_since()
            .map(|since| since.after(config::BATCH_WAIT))
            .filter(|&due| due > now);
        let network = self.network_deadline();
        let fetch = self.fetches.deadline();
        let fresh = self.fresh.deadline();
        let rest = self.waiters.deadline();
        let hand_over = self.hand_over_deadline();
        let repair = self.repair.as_ref().and_then(Repair::deadline);
        // What is not done while the log is being repaired has no moment.
        let whole = self.repair.is_none();
        let log = whole.then(|| self.log.deadline().min(self.scrub.deadline()));
        let transfer = self.transfer.deadline(&self.catch_up.governor);
        let transfer = transfer.filter(|_| whole);
        let serves = self.raft.as_ref().is_some_and(Raft::serves);
        let members = serves.then(|| self.heard.due());
        let deadlines = [
            (Wait::Raft, raft),
            (Wait::Batch, batch),
            (Wait::Members, members),
            (Wait::Peers, network),
            (Wait::Fetch, fetch),
            (Wait::Fetch, fresh),
            (Wait::Rest, rest),
            (Wait::Raft, hand_over),
            (Wait::Raft, self.prefer_deadline()),
            (Wait::Members, self.change_deadline()),
            (Wait::Repair, repair),
            (Wait::Log, log),
            (Wait::Peers, transfer),
            (Wait::Peers, self.catch_up_deadline()),
        ];
        deadlines
            .into_iter()
            .filter_map(|(wait, deadline)| Some((wait, deadline?)))
            .min_by_key(|&(_, deadline)| deadline)
            .unwrap_or((Wait::Log, Time(u64::MAX)))
    }

    fn turn_begins(&mut self, now: Time) {
        if let Some(turns) = &mut self.traced {
            turns.begin(now, &self.counts);
        }
    }

    fn phase_ended(&mut self, phase: Phase, seam: &impl Seam) {
        if let Some(turns) = &mut self.traced {
            turns.ended(phase, seam.now());
        }
    }

    fn turn_ends(&mut self, wait: Wait) {
        if let Some(turns) = &mut self.traced {
            turns.end(&self.counts, wait);
        }
    }

    fn reply(ticket: Ticket, answer: Answer, shard: ShardId, seam: &mut impl Seam) {
        seam.put(shard, Reply { ticket, answer });
    }

    fn refuse(ticket: Ticket, refusal: Refusal, shard: ShardId, seam: &mut impl Seam) {
        Self::reply(ticket, Answer::Refused(refusal), shard, seam);
    }

    fn term(&self) -> Term {
        self.raft.as_ref().map_or_else(Default::default, Raft::term)
    }

    fn leader(&self) -> Option<NodeId> {
        self.raft.as_ref().and_then(Raft::leader)
    }

    /// What clients are told of who leads, and peers that are no members any more.
    fn hint(&self) -> Option<Leader> {
        let term = self.term();
        let followed = self.leader().map(|node| Leader { node, term });
        let told = self.told.map(|told| told.0);
        let known = followed.into_iter().chain(told);
        known.max_by_key(|leader| leader.term)
    }
}
