//! A small group of cores whose messages, disks and clocks move by hand.
//!
//! ```text
//! cluster 3 [key=value ..]   a group, all linked; keys: spare=2 (nodes that may join it); window_bytes, window_appends, append_bytes_max (of 100-byte records);
//!                            lease=1; slack=300 (ms); of node 2: term2=4 vote2=1 log2=1,1,4 (the terms of its records) commit2=1 unsure2=1
//! tick 1 10ms | tick 1 deadline | tick all 10ms
//! deliver 1->2 [count] | deliver all      the messages that wait on a link, or on all until none is left
//! drop 1->2 [count]                       they are lost
//! queue                                   which messages wait
//! inject 2->1 Vote term=1 last=0/0        a message by hand, written as the transcripts write them
//! propose 1 [count]
//! submit 1                                a write of the log starts; what is appended later is not in it
//! log-durable 1 | hard-state-durable 1    the oldest write is done; a write of the log starts if none is on its way
//! sync 1                                  all writes are done
//! settle                                  messages and writes until all is quiet, not shown
//! elect 1                                 its deadline comes, and all settles, not shown
//! cut 1 2 | link 1 2                      both ends are told
//! peer-down 1 2 | peer-up 1 2 [disk 9]    node 1 is told about node 2
//! crash 1 | restart 1                     nobody is told; link it again
//! rot 1 2                                 of node 1, which has crashed, the last 2 records are lost; it comes back unsure
//! change 1 voters=1,2,4 [outgoing=1,2,3] [learners=5]     node 1 proposes a record that names these members
//! transfer 1 [2]                          node 1 hands its lead over, to node 2 or to whom it chooses
//! ask 1 [count]                           somebody wants to read what is committed by now
//! release 1 3                             a snapshot has what records 1 to 3 amount to: node 1 forgets them
//! install 1->2 4                          node 2, which has crashed, gets what records 1 to 4 of node 1 amount to
//! slow-reads 1 | read 1                   records are not at hand until `read` hands over what waits
//! ready 1 2 session=1 first=2 last=2 bytes=100     a report by hand, about records for node 2
//! state [1]
//! deadline 1                              how far it is away
//! ```
//! After each command a node gathers, and gets the records that it wants.

mod words;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use quorate_raft::{Input, Member, Members, Message, RoleName};
use quorate_wire::{LogIndex, NodeId, SessionId, Term, Time};

use crate::node::{self, Disk, MS, Node, Record, disk_id, length};
use words::{Words, number};

#[derive(Debug, Default)]
pub(crate) struct Stage {
    nodes: BTreeMap<u32, Node>,
    /// Disks of crashed nodes.
    crashed: BTreeMap<u32, Node>,
    clocks: BTreeMap<u32, Time>,
    queues: BTreeMap<(u32, u32), Queue>,
    slow: Vec<u32>,
    value: u64,
    asked: u64,
    shown: String,
}

type Done = Result<(), String>;
/// What waits on a link, with the records that travel beside it.
type Queue = VecDeque<(Message, Vec<Record>)>;

impl Stage {
    /// Runs one command, and says what the cores did.
    pub(crate) fn run(&mut self, line: &str) -> Result<String, String> {
        let words = Words::new(line);
        match words.at(0)? {
            "cluster" => self.cluster(&words)?,
            "tick" => self.tick(&words)?,
            "deliver" => self.deliver(&words)?,
            "drop" => self.drop(&words)?,
            "queue" => self.show_queues(),
            "inject" => self.inject(&words)?,
            "propose" => self.propose(&words)?,
            "submit" => drop(
                self.node(words.id(1)?)?
                    .submit_log()
                    .then_some(())
                    .ok_or("nothing to write")?,
            ),
            "log-durable" => self.log_durable(words.id(1)?)?,
            "hard-state-durable" => self.hard_durable(words.id(1)?)?,
            "sync" => drop(self.sync(words.id(1)?)?),
            "settle" => self.settle()?,
            "elect" => self.elect(words.id(1)?)?,
            "cut" => self.both(&words, Self::peer_down)?,
            "link" => self.both(&words, |stage, one, other| stage.peer_up(one, other, other))?,
            "peer-down" => self.peer_down(words.id(1)?, words.id(2)?)?,
            "peer-up" => {
                let disk = words.at(4).map_or_else(|_| words.id(2), number)?;
                self.peer_up(words.id(1)?, words.id(2)?, disk)?;
            }
            "crash" => self.crash(words.id(1)?)?,
            "restart" => self.restart(words.id(1)?)?,
            "rot" => self.rot(words.id(1)?, number(words.at(2)?)?)?,
            "release" => {
                let upto = LogIndex(number(words.at(2)?)?);
                self.step(words.id(1)?, |node| node.release(upto))?;
                self.gather(words.id(1)?)?;
            }
            "install" => self.install(words.link(1)?, number(words.at(2)?)?)?,
            "slow-reads" => self.slow.push(words.id(1)?),
            "change" => self.change(&words)?,
            "transfer" => self.transfer(&words)?,
            "ask" => self.ask(&words)?,
            "read" => self.read(words.id(1)?)?,
            "ready" => self.ready(&words)?,
            "state" => self.state(words.id(1).ok())?,
            "deadline" => self.deadline(words.id(1)?)?,
            unknown => return Err(format!("no such command as {unknown}")),
        }
        Ok(std::mem::take(&mut self.shown))
    }

    fn node(&mut self, id: u32) -> Result<&mut Node, String> {
        self.nodes
            .get_mut(&id)
            .ok_or_else(|| format!("node {id} does not run"))
    }

    fn cluster(&mut self, words: &Words<'_>) -> Done {
        *self = Self::default();
        let count = words.id(1)?;
        let all = count + words.value::<u32>("spare")?.unwrap_or(0);
        for id in 1..=all {
            let mut config = node::config(id, 1);
            for (key, value) in [
                ("window_bytes", &mut config.window_bytes),
                ("heartbeat", &mut config.heartbeat),
            ] {
                *value = words.value(key)?.unwrap_or(*value);
            }
            config.append_bytes_max = words
                .value("append_bytes_max")?
                .unwrap_or(config.append_bytes_max);
            config.window_appends = words
                .value("window_appends")?
                .unwrap_or(config.window_appends);
            config.slack_max = words.value::<u64>("slack")?.unwrap_or(0) * MS;
            config.lease_reads = words.value::<u8>("lease")? == Some(1);
            let term = Term(words.value(&format!("term{id}"))?.unwrap_or(0));
            let vote = words.value(&format!("vote{id}"))?.map(NodeId);
            let terms = words.list(&format!("log{id}"))?;
            let log = terms
                .into_iter()
                .map(|term| Record {
                    term: Term(term),
                    value: 0,
                })
                .collect();
            let commit = LogIndex(words.value(&format!("commit{id}"))?.unwrap_or(0));
            let unsure = words.value::<u8>(&format!("unsure{id}"))? == Some(1);
            let disk = Disk {
                term,
                vote,
                unsure,
                log,
                ..Disk::default()
            };
            let formed = node::formed(if id > count { 0 } else { count });
            let node = Node::start((config, formed), disk, commit, Time(0));
            self.nodes.insert(id, node);
            self.clocks.insert(id, Time(0));
        }
        for id in 1..=all {
            (1..id).try_for_each(|other| self.link(id, other))?;
        }
        Ok(())
    }

    /// Steps a node, shows what it does, and posts what it sends.
    fn step(&mut self, id: u32, work: impl FnOnce(&mut Node)) -> Done {
        let node = self
            .nodes
            .get_mut(&id)
            .ok_or_else(|| format!("node {id} does not run"))?;
        work(node);
        let slow = self.slow.contains(&id);
        words::show(&mut self.shown, node, slow);
        for (envelope, records) in std::mem::take(&mut node.parcels) {
            self.queues
                .entry((id, envelope.to.0))
                .or_default()
                .push_back((envelope.message, records));
        }
        node.output.clear();
        Ok(())
    }

    fn input(&mut self, id: u32, input: Input, records: &[Record]) -> Done {
        self.step(id, |node| node.step(input, records))
    }

    /// The end of a turn.
    fn gather(&mut self, id: u32) -> Done {
        self.input(id, Input::Gather, &[])?;
        while !self.slow.contains(&id) && !self.node(id)?.reads.is_empty() {
            self.step(id, |node| node.finish_read(0, usize::MAX))?;
            self.input(id, Input::Gather, &[])?;
        }
        Ok(())
    }

    fn read(&mut self, id: u32) -> Done {
        while !self.node(id)?.reads.is_empty() {
            self.step(id, |node| node.finish_read(0, usize::MAX))?;
        }
        self.gather(id)
    }

    fn ready(&mut self, words: &Words<'_>) -> Done {
        let (first, last) = (
            LogIndex(words.need("first")?),
            LogIndex(words.need("last")?),
        );
        let (peer, session) = (NodeId(words.id(2)?), SessionId(words.need("session")?));
        let bytes = words.need("bytes")?;
        self.input(
            words.id(1)?,
            Input::Ready {
                peer,
                session,
                first,
                last,
                bytes,
            },
            &[],
        )
    }

    fn tick(&mut self, words: &Words<'_>) -> Done {
        let ids = if words.at(1)? == "all" {
            self.nodes.keys().copied().collect()
        } else {
            vec![words.id(1)?]
        };
        for id in ids {
            let deadline = self.node(id)?.raft.deadline();
            let clock = self.clocks.entry(id).or_default();
            *clock = match words.at(2)? {
                "deadline" => deadline.max(*clock),
                span => {
                    clock.after(MS * number::<u64>(span.strip_suffix("ms").ok_or("a time in ms")?)?)
                }
            };
            let now = *clock;
            self.input(id, Input::Tick { now }, &[])?;
            self.gather(id)?;
        }
        Ok(())
    }

    fn deliver(&mut self, words: &Words<'_>) -> Done {
        if words.at(1)? != "all" {
            let count = words.at(2).map_or(Ok(usize::MAX), number)?;
            return self.deliver_link(words.link(1)?, count);
        }
        while let Some(link) = self.busy_link() {
            self.deliver_link(link, usize::MAX)?;
        }
        Ok(())
    }

    fn busy_link(&self) -> Option<(u32, u32)> {
        let busy = |link: &(&(u32, u32), &VecDeque<_>)| {
            !link.1.is_empty() && self.nodes.contains_key(&link.0.1)
        };
        self.queues.iter().find(busy).map(|link| *link.0)
    }

    fn deliver_link(&mut self, link: (u32, u32), count: usize) -> Done {
        let waiting = self.queues.get(&link).map_or(0, VecDeque::len);
        for _ in 0..count.min(waiting) {
            let (message, records) = self
                .queues
                .get_mut(&link)
                .and_then(VecDeque::pop_front)
                .ok_or("it waits")?;
            self.input(
                link.1,
                Input::Message {
                    from: NodeId(link.0),
                    message,
                },
                &records,
            )?;
        }
        self.gather(link.1)
    }

    fn drop(&mut self, words: &Words<'_>) -> Done {
        let queue = self.queues.entry(words.link(1)?).or_default();
        let count = words.at(2).map_or(Ok(queue.len()), number)?;
        queue.drain(..count.min(queue.len()));
        Ok(())
    }

    fn show_queues(&mut self) {
        for ((from, to), queue) in &self.queues {
            for (message, _) in queue {
                words::show_message(&mut self.shown, *from, *to, message);
            }
        }
    }

    fn inject(&mut self, words: &Words<'_>) -> Done {
        let (from, to) = words.link(1)?;
        let message = words.message()?;
        let mut records = Vec::new();
        if let Message::Append(append) = &message {
            for _ in 0..append.entries.count {
                self.value += 1;
                records.push(Record {
                    term: append.entries.term,
                    value: self.value,
                });
            }
        }
        self.input(
            to,
            Input::Message {
                from: NodeId(from),
                message,
            },
            &records,
        )?;
        self.gather(to)
    }

    fn propose(&mut self, words: &Words<'_>) -> Done {
        let id = words.id(1)?;
        for _ in 0..words.at(2).map_or(Ok(1), number::<u32>)? {
            self.value += 1;
            let record = Record {
                term: self.node(id)?.raft.term(),
                value: self.value,
            };
            self.input(id, Input::Propose, &[record])?;
        }
        self.gather(id)
    }

    fn change(&mut self, words: &Words<'_>) -> Done {
        let id = words.id(1)?;
        let list = |key| {
            let ids = words.list(key)?.into_iter().map(u32::try_from);
            let ids = ids.map(|id| id.map_err(|wrong| wrong.to_string()));
            ids.map(|id| id.map(|id| (NodeId(id), disk_id(id))))
                .collect::<Result<Vec<_>, _>>()
        };
        let members = Members {
            voters: list("voters")?,
            outgoing: list("outgoing")?,
            learners: list("learners")?,
        };
        if !self.node(id)?.raft.may_change() {
            return Err("the members cannot be changed now".to_owned());
        }
        let record = Record::naming(self.node(id)?.raft.term(), &members);
        self.input(id, Input::Propose, &[record])?;
        self.gather(id)
    }

    fn ask(&mut self, words: &Words<'_>) -> Done {
        let node = words.id(1)?;
        for _ in 0..words.at(2).map_or(Ok(1), number::<u32>)? {
            self.asked += 1;
            self.input(node, Input::Read { id: self.asked }, &[])?;
        }
        self.gather(node)
    }

    fn transfer(&mut self, words: &Words<'_>) -> Done {
        let (id, wanted) = (words.id(1)?, words.id(2).ok().map(NodeId));
        let to = self.node(id)?.raft.successor(wanted);
        let to = to.ok_or("nobody can take over")?;
        self.input(id, Input::Transfer { to }, &[])?;
        self.gather(id)
    }

    fn log_durable(&mut self, id: u32) -> Done {
        let node = self.node(id)?;
        if node.log_writes.is_empty() && !node.submit_log() {
            return Err("nothing to write".to_owned());
        }
        self.step(id, |node| {
            assert!(node.complete_log(), "a write was submitted")
        })?;
        self.gather(id)
    }

    fn hard_durable(&mut self, id: u32) -> Done {
        if self.node(id)?.hard_writes.is_empty() {
            return Err("no hard state waits to be written".to_owned());
        }
        self.step(id, |node| assert!(node.complete_hard(), "a write waits"))?;
        self.gather(id)
    }

    /// Says whether there was anything to write.
    fn sync(&mut self, id: u32) -> Result<bool, String> {
        let mut any = false;
        while !self.node(id)?.hard_writes.is_empty() {
            self.hard_durable(id)?;
            any = true;
        }
        while self.node(id)?.submit_log() || !self.node(id)?.log_writes.is_empty() {
            self.log_durable(id)?;
            any = true;
        }
        Ok(any)
    }

    fn settle(&mut self) -> Done {
        loop {
            while let Some(link) = self.busy_link() {
                self.deliver_link(link, usize::MAX)?;
            }
            let ids: Vec<_> = self.nodes.keys().copied().collect();
            let mut any = false;
            for id in ids {
                any |= self.sync(id)?;
            }
            if !any && self.busy_link().is_none() {
                break;
            }
        }
        self.shown = "ok\n".to_owned();
        Ok(())
    }

    fn elect(&mut self, id: u32) -> Done {
        self.tick(&Words::new(&format!("tick {id} deadline")))?;
        self.settle()?;
        if !self.node(id)?.raft.serves() {
            return Err(format!("node {id} was not elected"));
        }
        Ok(())
    }

    fn both(&mut self, words: &Words<'_>, tell: impl Fn(&mut Self, u32, u32) -> Done) -> Done {
        let (one, other) = (words.id(1)?, words.id(2)?);
        for (one, other) in [(one, other), (other, one)] {
            self.queues.remove(&(one, other));
            if self.nodes.contains_key(&one) {
                tell(self, one, other)?;
            }
        }
        Ok(())
    }

    fn link(&mut self, one: u32, other: u32) -> Done {
        self.peer_up(one, other, other)?;
        self.peer_up(other, one, one)
    }

    fn peer_up(&mut self, id: u32, peer: u32, disk: u32) -> Done {
        self.input(
            id,
            Input::PeerUp {
                peer: NodeId(peer),
                disk: disk_id(disk),
            },
            &[],
        )?;
        self.gather(id)
    }

    fn peer_down(&mut self, id: u32, peer: u32) -> Done {
        self.input(id, Input::PeerDown { peer: NodeId(peer) }, &[])?;
        self.gather(id)
    }

    fn install(&mut self, (from, to): (u32, u32), upto: usize) -> Done {
        let log = self.node(from)?.log.clone();
        let crashed = self.crashed.get_mut(&to).ok_or("it has not crashed")?;
        crashed.disk.install(&log, upto);
        Ok(())
    }

    fn crash(&mut self, id: u32) -> Done {
        let node = self.nodes.remove(&id).ok_or("it does not run")?;
        self.queues.retain(|link, _| link.0 != id && link.1 != id);
        self.crashed.insert(id, node);
        Ok(())
    }

    fn restart(&mut self, id: u32) -> Done {
        let Node {
            config,
            formed,
            disk,
            ..
        } = self.crashed.remove(&id).ok_or("it did not crash")?;
        let commit = length(&disk.log[..disk.start]);
        let node = Node::start((config, formed), disk, commit, self.clocks[&id]);
        self.nodes.insert(id, node);
        Ok(())
    }

    fn rot(&mut self, id: u32, records: usize) -> Done {
        let node = self.crashed.get_mut(&id).ok_or("it did not crash")?;
        let kept = node.disk.log.len().checked_sub(records);
        node.disk
            .lose_end(false, kept.ok_or("it has not so many records")?);
        Ok(())
    }

    fn deadline(&mut self, id: u32) -> Done {
        let now = self.clocks[&id];
        let away = self.node(id)?.raft.deadline().since(now);
        writeln!(self.shown, "in {} ms", away / MS).map_err(|wrong| wrong.to_string())
    }

    fn state(&mut self, only: Option<u32>) -> Done {
        for (id, node) in self
            .nodes
            .iter()
            .filter(|(id, _)| only.is_none_or(|only| only == **id))
        {
            let raft = &node.raft;
            let role = match (raft.role(), raft.leader()) {
                (RoleName::Follower, Some(leader)) => format!("follows {leader}"),
                (RoleName::Follower, None) => "follows nobody".to_owned(),
                (RoleName::Candidate, _) => "candidate".to_owned(),
                (RoleName::Leader, _) => if raft.serves() { "serves" } else { "leads" }.to_owned(),
            };
            let (term, last, durable, commit) =
                (raft.term(), raft.last(), raft.durable(), raft.commit());
            let mut line =
                format!("{id}: {role} term={term} last={last} durable={durable} commit={commit}");
            if raft.unsure() {
                line.push_str(" unsure");
            }
            if raft.start().index > LogIndex(0) {
                write!(line, " start={}", raft.start()).map_err(|wrong| wrong.to_string())?;
            }
            if raft.members_at() > LogIndex(0) {
                line.push_str(&named(raft.members()));
            }
            if raft.must_go() {
                line.push_str(" must-go");
            }
            for peer in raft.behind() {
                write!(line, " behind={peer}").map_err(|wrong| wrong.to_string())?;
            }
            if raft.leads() {
                for (peer, up, matched) in raft.peer_progress() {
                    write!(line, " {peer}={}{matched}", if up { "" } else { "down," })
                        .map_err(|wrong| wrong.to_string())?;
                }
            }
            writeln!(self.shown, "{line}").map_err(|wrong| wrong.to_string())?;
        }
        Ok(())
    }
}

/// Members, as `change` reads them.
fn named(members: &Members) -> String {
    let list = |key, of: &[Member]| {
        let ids: Vec<_> = of.iter().map(|member| member.0.to_string()).collect();
        let ids = ids.join(",");
        (!of.is_empty()).then(|| format!(" {key}={ids}"))
    };
    let lists = [
        list("voters", &members.voters),
        list("outgoing", &members.outgoing),
        list("learners", &members.learners),
    ];
    lists.into_iter().flatten().collect()
}
