//! A core with a model of what surrounds it: records, a disk that finishes its writes when the test says so, and a check of
//! every promise that the core makes at the moment it leaves.

use std::collections::VecDeque;

use quorate_raft::{
    Config, Envelope, HardState, Input, Mark, Member, Members, Message, Outcome, Output, Raft,
    Recovered, Want,
};
use quorate_wire::{DiskId, LogIndex, NodeId, Position, SessionId, Term, Time};

/// Milliseconds as the core counts time.
pub(crate) const MS: u64 = 1_000_000;

/// Size of every record in the model.
pub(crate) const RECORD_BYTES: u32 = 100;

/// A record: two are the same if and only if term and value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) term: Term,
    pub(crate) value: u64,
}

/// Set in the value of a record that names members: then a byte each tells voters, outgoing ones and learners, a bit a node.
const NAMES_MEMBERS: u64 = 1 << 63;

impl Record {
    /// A record that names members.
    pub(crate) fn naming(term: Term, members: &Members) -> Self {
        let bits = |of: &[Member]| of.iter().map(|member| 1 << (member.0.0 - 1)).sum::<u64>();
        let (voters, outgoing) = (bits(&members.voters), bits(&members.outgoing));
        let value = NAMES_MEMBERS | voters | outgoing << 8 | bits(&members.learners) << 16;
        Self { term, value }
    }

    /// The members that it names, if it does.
    pub(crate) fn members(&self) -> Option<Members> {
        let nodes = |from: u64| {
            let set = (1..=8).filter(|id| self.value >> (from + id - 1) & 1 == 1);
            set.map(|id| u32::try_from(id).expect("fits"))
                .map(|id| (NodeId(id), disk_id(id)))
                .collect()
        };
        (self.value & NAMES_MEMBERS != 0).then(|| Members {
            voters: nodes(0),
            outgoing: nodes(8),
            learners: nodes(16),
        })
    }
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
    pub(crate) unsure: bool,
    /// So many records have been released. The model keeps them, the core does not.
    pub(crate) start: usize,
    pub(crate) log: Vec<Record>,
    /// The log before its latest truncation: what shows again if the records that were written after it are lost.
    pub(crate) before: Vec<Record>,
    /// The log before each loss: what was there may have been counted.
    pub(crate) lost: Vec<Vec<Record>>,
}

impl Disk {
    pub(crate) fn store(&mut self, hard: HardState) {
        (self.term, self.vote, self.unsure) = (hard.term, hard.vote, hard.unsure);
    }

    pub(crate) fn write(&mut self, log: Vec<Record>) {
        if !log.starts_with(&self.log) {
            self.before.clone_from(&self.log);
        }
        self.log = log;
    }

    /// The end of the log rots, and recovery sees that. What is left is a first part of the log, or of what it was before
    /// its latest truncation.
    pub(crate) fn lose_end(&mut self, older: bool, kept: usize) {
        self.lost.push(self.log.clone());
        // What is released is in a snapshot.
        let kept = kept.max(self.start);
        if older && self.before.get(..self.start) == self.log.get(..self.start) {
            self.log.clone_from(&self.before);
        }
        self.log.truncate(kept);
        self.before.truncate(kept);
        self.unsure = true;
    }

    /// A snapshot of another node's log up to `upto` is installed. What is here and does not fit to it goes.
    pub(crate) fn install(&mut self, log: &[Record], upto: usize) {
        let snapshot = &log[..upto];
        if !self.log.starts_with(snapshot) {
            self.before.clone_from(&self.log);
            self.log = snapshot.to_vec();
            self.start = upto;
        }
    }
}

/// A write of the log that is on its way: what the log will be.
#[derive(Clone, Debug)]
pub(crate) struct LogWrite {
    pub(crate) mark: Mark,
    pub(crate) log: Vec<Record>,
}

/// Records that the driver was asked for. They are read when asked, and may be handed over much later.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) want: Want,
    pub(crate) records: Vec<Record>,
}

/// A message with the records that travel beside it.
pub(crate) type Parcel = (Envelope, Vec<Record>);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    /// The members of the group's beginning; none on a node that joins it later.
    pub(crate) formed: Members,
    pub(crate) raft: Raft,
    pub(crate) log: Vec<Record>,
    pub(crate) disk: Disk,
    pub(crate) hard_writes: VecDeque<HardState>,
    pub(crate) log_writes: VecDeque<LogWrite>,
    pub(crate) reads: Vec<Read>,
    /// What the last step asked for.
    pub(crate) output: Output,
    /// The messages of the last step.
    pub(crate) parcels: Vec<Parcel>,
}

/// The members that a group of so many nodes begins with.
pub(crate) fn formed(nodes: u32) -> Members {
    Members::of((1..=nodes).map(|id| (NodeId(id), disk_id(id))).collect())
}

pub(crate) fn config(id: u32, seed: u64) -> Config {
    Config {
        id: NodeId(id),
        disk: disk_id(id),
        heartbeat: 50 * MS,
        election_min: 150 * MS,
        election_max: 300 * MS,
        slack_max: 0,
        lease_reads: false,
        append_bytes_max: 10 * RECORD_BYTES,
        window_bytes: 100 * u64::from(RECORD_BYTES),
        window_appends: 8,
        seed,
    }
}

pub(crate) fn disk_id(id: u32) -> DiskId {
    DiskId([u8::try_from(id).expect("a test has few nodes"); 16])
}

pub(crate) fn length(log: &[Record]) -> LogIndex {
    LogIndex(u64::try_from(log.len()).expect("a length fits"))
}

fn place(index: LogIndex) -> usize {
    usize::try_from(index.0).expect("an index of a test fits")
}

fn start_of(disk: &Disk) -> Position {
    match disk.start.checked_sub(1) {
        None => Position::default(),
        Some(last) => Position {
            term: disk.log[last].term,
            index: length(&disk.log[..disk.start]),
        },
    }
}

impl Node {
    /// A node that starts from what its disk has. `commit` is what recovery knows to be committed.
    pub(crate) fn start(
        (config, formed): (Config, Members),
        disk: Disk,
        commit: LogIndex,
        now: Time,
    ) -> Self {
        let mut terms: Vec<(Term, LogIndex)> = Vec::new();
        for (at, record) in disk.log.iter().enumerate().skip(disk.start) {
            if terms.last().is_none_or(|run| run.0 != record.term) {
                terms.push((record.term, length(&disk.log[..=at])));
            }
        }
        let named = (1..).zip(&disk.log);
        let named = named.filter_map(|(at, record)| Some((LogIndex(at), record.members()?)));
        let begins = (LogIndex(0), formed.clone());
        let recovered = Recovered {
            members: [begins].into_iter().chain(named).collect(),
            term: disk.term,
            vote: disk.vote,
            start: start_of(&disk),
            terms,
            last: length(&disk.log),
            commit,
            unsure: disk.unsure,
        };
        Self {
            raft: Raft::new(config.clone(), recovered, now),
            config,
            formed,
            log: disk.log.clone(),
            disk,
            hard_writes: VecDeque::new(),
            log_writes: VecDeque::new(),
            reads: Vec::new(),
            output: Output::default(),
            parcels: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    /// One step. `records` travel with the input: those of a message or of a `Ready`.
    pub(crate) fn step(&mut self, input: Input, records: &[Record]) {
        let before = (self.raft.term(), self.raft.commit());
        if input == Input::Propose {
            let [record] = records else {
                panic!("one record for each proposal")
            };
            self.log.push(*record);
        }
        let arrived = match &input {
            Input::Message {
                message: Message::Append(append),
                ..
            } => append.previous.index,
            Input::Message { .. } | Input::Tick { .. } | Input::Propose | Input::PeerUp { .. } => {
                LogIndex(0)
            }
            Input::PeerDown { .. } | Input::HardStateDurable { .. } | Input::LogDurable { .. } => {
                LogIndex(0)
            }
            Input::Ready { .. } | Input::Read { .. } | Input::Transfer { .. } => LogIndex(0),
            Input::Released { .. } | Input::Gather | Input::Configured { .. } => LogIndex(0),
        };
        let own = input == Input::Propose;
        self.output.clear();
        self.raft.step(input, &mut self.output);
        self.configure(own, arrived, records);
        self.obey(arrived, records);
        assert!(self.raft.term() >= before.0, "terms never fall");
        assert!(
            self.raft.commit() >= before.1,
            "the commit index never falls"
        );
        assert_eq!(
            self.output.commit,
            (self.raft.commit() > before.1).then(|| self.raft.commit()),
            "each rise is told"
        );
        self.assert_consistent();
    }

    /// Tells the core which of the records that were just appended name members. What it says to that is told with the rest.
    fn configure(&mut self, own: bool, arrived: LogIndex, records: &[Record]) {
        let kept = match self.output.append {
            Some(kept) => kept.first..=kept.last,
            None if own => self.raft.last().index..=self.raft.last().index,
            None => return,
        };
        let before = if own {
            kept.start().previous()
        } else {
            arrived
        };
        let named = (before.0 + 1..).zip(records);
        let named = named.filter_map(|(at, record)| Some((LogIndex(at), record.members()?)));
        for (at, members) in named.filter(|(at, _)| kept.contains(at)) {
            let mut more = Output::default();
            self.raft.step(Input::Configured { at, members }, &mut more);
            self.output.notes.append(&mut more.notes);
            self.output.send.append(&mut more.send);
            self.output.reads.append(&mut more.reads);
            self.output.commit = more.commit.or(self.output.commit);
            assert_eq!(
                (more.hard_state, more.append, more.noop),
                (None, None, None),
                "other members write nothing"
            );
        }
    }

    /// Does what the step asked for.
    fn obey(&mut self, arrived: LogIndex, records: &[Record]) {
        self.hard_writes.extend(self.output.hard_state);
        if let Some(kept) = self.output.append {
            assert_eq!(
                kept.truncates,
                kept.first <= length(&self.log),
                "a truncation is told"
            );
            self.log.truncate(place(kept.first.previous()));
            assert_eq!(length(&self.log).next(), kept.first, "the log has no gap");
            let of_message =
                place(kept.first) - place(arrived) - 1..place(kept.last) - place(arrived);
            self.log.extend(&records[of_message]);
        }
        if let Some(Position { term, index }) = self.output.noop {
            assert_eq!(index, length(&self.log).next(), "a no-op goes to the end");
            self.log.push(Record { term, value: 0 });
        }
        for want in &self.output.want {
            self.reads.retain(|read| read.want.peer != want.peer);
            assert!(
                want.first > self.raft.start().index,
                "what is released is not wanted"
            );
            let records = self.log[place(want.first.previous())..place(want.last)].to_vec();
            assert!(
                records.iter().all(|record| record.term == records[0].term),
                "a want is of one term"
            );
            self.reads.push(Read {
                want: *want,
                records,
            });
        }
        self.parcels.clear();
        for envelope in self.output.send.clone() {
            self.assert_promise_is_kept(&envelope);
            let beside = self.records_beside(&envelope, records);
            self.parcels.push((envelope, beside));
        }
    }

    fn records_beside(&self, envelope: &Envelope, ready: &[Record]) -> Vec<Record> {
        let Message::Append(append) = &envelope.message else {
            return Vec::new();
        };
        let (previous, count) = (
            place(append.previous.index),
            usize::try_from(append.entries.count).expect("fits"),
        );
        if count == 0 {
            return Vec::new();
        }
        assert_eq!(
            self.log[previous..previous + count],
            *ready,
            "what was read is what is in the log"
        );
        assert!(
            ready
                .iter()
                .all(|record| record.term == append.entries.term),
            "an append is of one term"
        );
        ready.to_vec()
    }

    /// Nothing leaves that the disk does not back (TRAPS 1, 2).
    fn assert_promise_is_kept(&self, envelope: &Envelope) {
        let hard = |term, vote| {
            assert_eq!(
                (self.disk.term, self.disk.vote, self.disk.unsure),
                (term, vote, false),
                "a vote is durable: {envelope:?}"
            )
        };
        match envelope.message {
            Message::Vote { term, .. } => hard(term, Some(self.id())),
            Message::VoteReply {
                term,
                granted: true,
            } => hard(term, Some(envelope.to)),
            Message::AppendReply(reply) => {
                if let Outcome::Durable(durable) = reply.outcome {
                    assert_eq!(
                        self.disk.term, reply.term,
                        "the term of an acknowledgement is durable"
                    );
                    let acked = place(durable);
                    assert_eq!(
                        self.disk.log.get(..acked),
                        self.log.get(..acked),
                        "an acknowledged record is durable"
                    );
                }
            }
            Message::Append(append) => {
                assert_eq!(
                    (self.disk.term, self.disk.vote),
                    (append.term, Some(self.id())),
                    "who leads has voted for itself"
                );
            }
            Message::TimeoutNow { .. } => {
                let (commit, last) = (self.raft.commit(), self.raft.last().index);
                assert_eq!(commit, last, "nothing is in doubt at a hand-over");
            }
            Message::PreVote { .. } | Message::PreVoteReply { granted: true, .. } => {
                assert!(!self.raft.unsure(), "who is unsure helps nobody to lead");
            }
            Message::VoteReply { granted: false, .. }
            | Message::PreVoteReply { granted: false, .. } => {}
        }
    }

    fn assert_consistent(&self) {
        let last = self.log.last().map_or(Term(0), |record| record.term);
        assert_eq!(
            self.raft.last(),
            Position {
                term: last,
                index: length(&self.log)
            },
            "core and records agree"
        );
        let durable = place(self.raft.durable());
        assert!(
            self.raft.commit() <= self.raft.last().index && durable <= self.log.len(),
            "bounds"
        );
        assert_eq!(
            self.disk.log.get(..durable),
            self.log.get(..durable),
            "what is called durable is on the disk"
        );
        let committed = self.raft.term_at(self.raft.commit());
        let own = self.raft.leads() && committed == Some(self.raft.term());
        assert!(
            !self.raft.serves() || own,
            "only a leader serves that has committed in its term"
        );
        assert_eq!(
            self.raft.leads(),
            self.raft.leader() == Some(self.id()),
            "a leader knows that it leads"
        );
    }

    /// A durable snapshot has what the records up to `upto` amount to.
    pub(crate) fn release(&mut self, upto: LogIndex) {
        self.disk.start = place(upto);
        self.step(Input::Released { upto }, &[]);
    }

    /// Submits a write of what is not yet on its way to the disk. Says whether there was anything.
    pub(crate) fn submit_log(&mut self) -> bool {
        let mark = self.raft.mark();
        let idle = Mark {
            truncations: mark.truncations,
            last: self.raft.durable(),
        };
        let news = self.log_writes.back().map_or(idle, |write| write.mark) != mark;
        if news {
            self.log_writes.push_back(LogWrite {
                mark,
                log: self.log.clone(),
            });
        }
        news
    }

    /// The oldest write of the log is done: the disk has it, and the core hears so.
    pub(crate) fn complete_log(&mut self) -> bool {
        let Some(write) = self.log_writes.pop_front() else {
            return false;
        };
        self.disk.write(write.log);
        self.step(Input::LogDurable { mark: write.mark }, &[]);
        true
    }

    /// The oldest write of the hard state is done.
    pub(crate) fn complete_hard(&mut self) -> bool {
        let Some(hard) = self.hard_writes.pop_front() else {
            return false;
        };
        self.disk.store(hard);
        self.step(
            Input::HardStateDurable {
                version: hard.version,
            },
            &[],
        );
        true
    }

    /// The driver hands over at most `count` records of the read at `at`.
    pub(crate) fn finish_read(&mut self, at: usize, count: usize) {
        let Read { want, mut records } = self.reads.remove(at);
        records.truncate(count.clamp(
            1,
            place(LogIndex(u64::from((want.bytes_max / RECORD_BYTES).max(1)))),
        ));
        let last = want.first.previous().plus(length(&records).0);
        let bytes = RECORD_BYTES * u32::try_from(records.len()).expect("fits");
        let (peer, session, first): (NodeId, SessionId, LogIndex) =
            (want.peer, want.session, want.first);
        self.step(
            Input::Ready {
                peer,
                session,
                first,
                last,
                bytes,
            },
            &records,
        );
    }
}
