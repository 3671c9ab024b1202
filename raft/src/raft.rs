//! The core: its state, and the one function that changes it.
//!
//! Owns: what is true in every role. What a role adds is in `election`, `follower` and `leader`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::{DiskId, LogIndex, NodeId, SessionId, Term, Time};

use crate::ballot::Ballot;
use crate::delays::Delays;
use crate::lease::Loyalty;
use crate::members::Configurations;
use crate::progress::Ready;
use crate::reads::Reads;
use crate::role::Role;
use crate::terms::Terms;
use crate::timer::ElectionTimer;
use crate::{Config, Input, Mark, Message, Note, Output, Recovered};

/// A Raft core: one node in one group.
///
/// ```text
///     0        commit      verified      durable      last
///     |##########|-------------|------------|-----------|
/// ```
/// `commit` and `durable` may stand in any order; both are at most `last`. `verified` is a follower's, and bounds its commit
/// index and its acknowledgements.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    /// The driver's clock at the last tick.
    pub(crate) now: Time,
    pub(crate) ballot: Ballot,
    pub(crate) terms: Terms,
    /// All records up to here are durable. Invariant: `durable <= last`.
    pub(crate) durable: LogIndex,
    /// How often records became void.
    pub(crate) truncations: u64,
    /// All records up to here are committed. Invariant: never falls; `commit <= last`.
    pub(crate) commit: LogIndex,
    /// Who belongs to the group, as the log says.
    pub(crate) configurations: Configurations,
    /// The other members, and whoever else is up: a node may hear from others before its own log names them.
    pub(crate) peers: Vec<Peer>,
    /// The latest session that this core has opened.
    pub(crate) session: SessionId,
    pub(crate) timer: ElectionTimer,
    pub(crate) role: Role,
    /// Invariant: empty unless this node leads.
    pub(crate) reads: Reads,
    pub(crate) loyalty: Loyalty,
    pub(crate) delays: Delays,
    /// Since when hard states are being written.
    pub(crate) writes_since: Option<Time>,
}

/// Another node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    /// The disk that it has shown, while it is up. Invariant: if it is a member, its disk is that of the configuration.
    pub(crate) shown: Option<DiskId>,
    /// When the pre-votes left that it has not answered yet, oldest first: it answers each, in order.
    pub(crate) asked: VecDeque<Time>,
}

impl Peer {
    pub(crate) fn new(id: NodeId) -> Self {
        Self {
            id,
            shown: None,
            asked: VecDeque::new(),
        }
    }
}

impl Raft {
    /// A follower with what recovery found.
    ///
    /// # Panics
    /// If the configuration or what was recovered contradicts itself.
    #[must_use]
    pub fn new(config: Config, recovered: Recovered, now: Time) -> Self {
        assert_valid(&config);
        assert!(
            recovered.start.index <= recovered.commit && recovered.commit <= recovered.last,
            "what is committed was in the log, and what is released was committed"
        );
        let configurations = Configurations::new(recovered.members.clone(), recovered.commit);
        assert!(
            configurations.at() <= recovered.last,
            "members come with a record of the log"
        );
        let members = configurations.now().all().map(|member| member.0);
        let peers = members
            .filter(|&id| id != config.id)
            .map(Peer::new)
            .collect();
        let (durable, commit) = (recovered.last, recovered.commit);
        let seen = recovered.terms.last();
        let seen = seen.map_or(recovered.start.term, |run| run.0);
        Self {
            now,
            ballot: Ballot::new(&recovered, seen),
            terms: Terms::new(recovered.start, recovered.terms, recovered.last),
            durable,
            truncations: 0,
            commit,
            configurations,
            peers,
            session: SessionId(0),
            timer: ElectionTimer::new(&config, now),
            role: Role::Follower { leader: None },
            reads: Reads::default(),
            loyalty: Loyalty::new(&config, now),
            delays: Delays::new(config.slack_max, now),
            writes_since: None,
            config,
        }
    }

    /// Takes what happened and says what to do. The caller has cleared `output`.
    ///
    /// # Panics
    /// If the driver broke its contract, or an invariant of Raft does not hold: going on would lose data.
    pub fn step(&mut self, input: Input, output: &mut Output) {
        assert!(
            output.append.is_none() && output.noop.is_none(),
            "an output is cleared before each step"
        );
        self.ballot.tell(output);
        match input {
            Input::Tick { now } => self.on_tick(now, output),
            Input::Propose => self.on_propose(),
            Input::Configured { at, members } => self.on_configured(at, members, output),
            Input::Message { from, message } => self.on_message(from, message, output),
            Input::PeerUp { peer, disk } => self.on_peer_up(peer, disk, output),
            Input::PeerDown { peer } => self.on_peer_down(peer),
            Input::HardStateDurable { version } => self.on_hard_state_durable(version, output),
            Input::LogDurable { mark } => self.on_log_durable(mark, output),
            Input::Ready {
                peer,
                session,
                first,
                last,
                bytes,
            } => {
                self.on_ready(
                    peer,
                    &Ready {
                        session,
                        first,
                        last,
                        bytes,
                    },
                    output,
                );
            }
            Input::Read { id } => self.on_read(id, output),
            Input::Transfer { to } => self.on_transfer(to, output),
            Input::Released { upto } => self.on_released(upto),
            Input::Gather => self.on_gather(output),
        }
        if !self.leads() {
            self.reads.refuse_all(output);
        }
        if output.hard_state.is_some() {
            self.writes_since.get_or_insert(self.now);
        }
    }

    fn on_tick(&mut self, now: Time, output: &mut Output) {
        assert!(now >= self.now, "a monotonic clock does not go back");
        self.now = now;
        self.loyalty.on_tick(now);
        self.delays.on_tick(now);
        // A disk that is slower than terms change is never done.
        if let Some(since) = self.writes_since {
            self.delays.observe(now.since(since));
        }
        // Messages carry no time. What came since the last tick is dated now: dated at the last tick, a heartbeat that waited
        // behind a slow turn would look as old as that turn (TRAPS 21).
        match &mut self.role {
            Role::Follower { leader } => {
                if let Some(leader) = leader.as_mut().filter(|leader| leader.heard_since_tick) {
                    let silence = now.since(leader.spoke);
                    self.delays
                        .observe(silence.saturating_sub(self.config.heartbeat));
                    (leader.heard, leader.spoke) = (now, now);
                    leader.heard_since_tick = false;
                    self.timer.reset(now, self.delays.slack());
                }
            }
            Role::PreCandidate { .. } | Role::Candidate { .. } => {}
            Role::Leader(leader) => {
                leader
                    .progress
                    .iter_mut()
                    .for_each(|(_, peer)| peer.on_tick(now));
                self.end_late_transfer(output);
                self.check_quorum(output);
                return self.read_by_lease(output);
            }
        }
        if now >= self.timer.deadline() {
            if !self.stands() {
                return self.wait_on();
            }
            if self.loyalty.holds(now) {
                return self.timer.hint(self.loyalty.until());
            }
            self.ask_pre_votes(output);
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, output: &mut Output) {
        if !self.is_up(from) {
            return output.notes.push(Note::IgnoredStranger { from });
        }
        match message {
            Message::PreVote { term, last } => self.on_pre_vote(from, term, last, output),
            Message::PreVoteReply { term, granted } => {
                self.on_pre_vote_reply(from, term, granted, output)
            }
            Message::Vote { term, last, handed } => {
                self.on_vote(from, (term, last), handed, output)
            }
            Message::TimeoutNow { term } => self.on_timeout_now(from, term, output),
            Message::VoteReply { term, granted } => self.on_vote_reply(from, term, granted, output),
            Message::Append(append) => self.on_append(from, &append, output),
            Message::AppendReply(reply) => self.on_append_reply(from, &reply, output),
        }
    }

    fn on_peer_up(&mut self, peer: NodeId, disk: DiskId, output: &mut Output) {
        self.on_peer_down(peer); // Should the end of an earlier conversation not have been told.
        assert!(peer != self.config.id, "a peer is another node");
        let members = self.members();
        if members.disk_of(peer).is_some_and(|known| known != disk) {
            return output.notes.push(Note::WrongDisk { peer });
        }
        let (member, votes) = (members.disk_of(peer).is_some(), members.counts(peer));
        let shown = Some(disk);
        match self.peers.iter_mut().find(|known| known.id == peer) {
            Some(known) => known.shown = shown,
            None => self.peers.push(Peer {
                shown,
                ..Peer::new(peer)
            }),
        }
        match &self.role {
            Role::Follower { .. } | Role::Candidate { asked: false, .. } => {}
            Role::PreCandidate { .. } if votes => self.send_pre_vote(peer, output),
            Role::Candidate {
                asked: true,
                handed,
                ..
            } if votes => self.send_vote(peer, *handed, output),
            Role::PreCandidate { .. } | Role::Candidate { .. } => {}
            // A peer that was away for a moment has everything; the others answer with a hint.
            Role::Leader(_) if member => self.open_talk(peer, self.terms.last().index.next()),
            Role::Leader(_) => {}
        }
    }

    fn on_peer_down(&mut self, peer: NodeId) {
        let Some(known) = self.peers.iter_mut().find(|known| known.id == peer) else {
            return;
        };
        known.shown = None;
        known.asked.clear();
        if self.members().disk_of(peer).is_none() {
            self.peers.retain(|known| known.id != peer);
        }
        self.ballot.forget_grant(peer);
        match &mut self.role {
            Role::Follower { leader } => {
                if leader.take_if(|leader| leader.id == peer).is_some() && !self.ballot.unsure() {
                    self.timer.hint(self.now);
                }
            }
            Role::PreCandidate { .. } | Role::Candidate { .. } => {}
            Role::Leader(leader) => {
                if let Some(progress) = leader.progress_of_mut(peer) {
                    progress.close();
                }
                leader.transfer.take_if(|transfer| transfer.to == peer);
            }
        }
    }

    fn on_hard_state_durable(&mut self, version: u64, output: &mut Output) {
        self.ballot.on_durable(version);
        if self.ballot.is_durable()
            && let Some(since) = self.writes_since.take()
        {
            self.delays.observe(self.now.since(since));
        }
        self.send_owed_grant(output);
        self.stand_when_durable(output);
    }

    fn on_log_durable(&mut self, mark: Mark, output: &mut Output) {
        assert!(
            mark.truncations <= self.truncations,
            "a mark is taken before it is reported"
        );
        if mark.truncations < self.truncations && !canary::on(Canary::StaleCompletionCounted) {
            return; // Written before a truncation: says nothing about the records that took the place (TRAPS 3).
        }
        assert!(
            mark.last <= self.terms.last().index,
            "the disk cannot have what was not yet appended"
        );
        self.durable = self.durable.max(mark.last);
        self.count_copies(output);
        self.advance_transfer(output);
        self.become_whole(output);
    }

    fn on_released(&mut self, upto: LogIndex) {
        assert!(
            upto <= self.commit.min(self.durable),
            "only what is committed, and in the snapshot of this disk, is released"
        );
        self.terms.release(upto);
        if let Role::Leader(leader) = &mut self.role {
            let peers = leader.progress.iter_mut();
            peers.for_each(|(_, peer)| peer.on_released(&self.terms));
        }
    }

    fn on_gather(&mut self, output: &mut Output) {
        match &self.role {
            Role::Follower { .. } => self.gather_reply(output),
            Role::PreCandidate { .. } | Role::Candidate { .. } => {}
            Role::Leader(_) => self.gather_appends(output),
        }
    }

    /// Takes over a later term that another node has shown. Its leader is not known yet.
    pub(crate) fn enter_term(&mut self, term: Term, output: &mut Output) {
        self.ballot.enter(term, output);
        self.stand_back();
    }

    /// Becomes a follower without a leader. Only who led needs a new deadline: a candidate's or a follower's runs on, or
    /// candidates who cannot win could keep everybody from standing.
    pub(crate) fn stand_back(&mut self) {
        if self.leads() {
            self.timer.reset(self.now, self.delays.slack());
        }
        self.role = Role::Follower { leader: None };
    }

    /// Everything up to `commit` is committed.
    pub(crate) fn raise_commit(&mut self, commit: LogIndex, output: &mut Output) {
        assert!(
            commit <= self.terms.last().index,
            "what is committed is in the log"
        );
        if commit > self.commit {
            self.commit = commit;
            self.configurations.committed(commit);
            if self.terms.term_at(commit) == Some(self.term()) {
                self.delays.settled();
            }
            output.commit = Some(commit);
        }
    }

    /// Whether this node and those who granted are a quorum.
    pub(crate) fn quorum_granted(&self, granted: &[NodeId]) -> bool {
        let me = self.config.id;
        self.members()
            .is_quorum(|node| node == me || granted.contains(&node))
    }

    /// Whether a conversation with `peer` is open.
    pub(crate) fn is_up(&self, peer: NodeId) -> bool {
        let up = |known: &Peer| known.id == peer && known.shown.is_some();
        self.peers.iter().any(up)
    }

    /// The other voters that are up.
    pub(crate) fn electors_up(&self) -> impl Iterator<Item = NodeId> + '_ {
        let peers = self.peers.iter().map(|peer| peer.id);
        peers.filter(|&peer| self.is_up(peer) && self.members().counts(peer))
    }
}

fn assert_valid(config: &Config) {
    assert!(config.heartbeat > 0, "a heartbeat takes time");
    assert!(
        config.heartbeat < config.election_min,
        "followers hear a heartbeat before they stand for election"
    );
    assert!(
        config.election_min <= config.election_max,
        "the shortest timeout is not above the longest"
    );
    assert!(
        config.append_bytes_max > 0,
        "an append has room for a record"
    );
    assert!(
        config.window_bytes > 0 && config.window_appends > 0,
        "a window has room for an append"
    );
}
