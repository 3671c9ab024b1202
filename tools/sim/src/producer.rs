//! A test producer: one sequence an epoch, a window, go-back-N after any refusal, and a memory of what was acknowledged where.

use std::collections::{BTreeMap, VecDeque};

use quorate_replication::lane::{Answer, Ask, ProducedChunk, Refusal};
use quorate_wire::{Epoch, ErrorCode, NodeId, Offset, ProducerId, Sequence, Time};

use crate::chunks::{self, ChunkWeather};
use crate::post::{ClientId, ConnectionId, News, Post};
use crate::random::Random;

const MS: u64 = 1_000_000;

/// What a producer is to do.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    /// The world's seed.
    pub seed: u64,
    /// Its id.
    pub id: ProducerId,
    /// The nodes that it may turn to.
    pub nodes: Vec<NodeId>,
    /// Chunks that it keeps on the way.
    pub window: usize,
    /// Chunks to produce in all.
    pub chunks: u64,
    /// What they look like.
    pub weather: ChunkWeather,
    /// Nanoseconds without an answer after which it turns elsewhere.
    pub patience: u64,
    /// Nanoseconds between two chunks, at most; zero for as fast as it goes.
    pub pause: u64,
    /// Once in so many losses of its connection, it forgets what it was doing and begins a new epoch.
    pub restart_one_in: u64,
}

/// A chunk that is not yet acknowledged.
#[derive(Debug)]
struct Open {
    chunk: ProducedChunk,
    acked: bool,
    sent: bool,
}

/// A test producer. See the module's description.
#[derive(Debug)]
pub struct Producer {
    plan: ProducerPlan,
    client: ClientId,
    random: Random,
    connection: Option<ConnectionId>,
    node: NodeId,
    /// When to turn to the node.
    again: Time,
    heard: Time,
    /// When the next new chunk may be made.
    ready: Time,
    open: VecDeque<Open>,
    epoch: Epoch,
    next: Sequence,
    made: u64,
    /// The sequence after the last one that it made in each epoch.
    ends: BTreeMap<Epoch, Sequence>,
    /// Where each acknowledged chunk is, by its epoch and first sequence: its offset and its events.
    acked: BTreeMap<(Epoch, Sequence), (Offset, u32)>,
    /// Refusals by code, for those who ask how the world went.
    refusals: BTreeMap<u16, u64>,
    /// Refusals, of its first open chunk, that a client takes for the end.
    final_refusals: Vec<(Time, Refusal)>,
}

impl Producer {
    /// A producer that has nothing done.
    #[must_use]
    pub fn new(plan: ProducerPlan, client: ClientId) -> Self {
        let mut random = Random::new(plan.seed ^ plan.id.0, "producer");
        let node = random.below(plan.nodes.len());
        Self {
            node: *plan.nodes.get(node).expect("a place in the list"),
            client,
            random,
            connection: None,
            again: Time(0),
            heard: Time(0),
            ready: Time(0),
            open: VecDeque::new(),
            epoch: Epoch(0),
            next: Sequence(0),
            made: 0,
            ends: BTreeMap::new(),
            acked: BTreeMap::new(),
            refusals: BTreeMap::new(),
            final_refusals: Vec::new(),
            plan,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ProducerId {
        self.plan.id
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.made == self.plan.chunks && self.open.is_empty()
    }

    /// Where each acknowledged chunk is, by its epoch and first sequence: its offset and its events.
    #[must_use]
    pub fn acked(&self) -> &BTreeMap<(Epoch, Sequence), (Offset, u32)> {
        &self.acked
    }

    /// The sequence after the last chunk that it has made in an epoch.
    #[must_use]
    pub fn end(&self, epoch: Epoch) -> Sequence {
        self.ends.get(&epoch).copied().unwrap_or_default()
    }

    /// Refusals by code.
    #[must_use]
    pub fn refusals(&self) -> &BTreeMap<u16, u64> {
        &self.refusals
    }

    /// Refusals of its first open chunk that the client library takes for the end.
    #[must_use]
    pub fn final_refusals(&self) -> &[(Time, Refusal)] {
        &self.final_refusals
    }

    /// The chunk that begins at a sequence of an epoch, as it was sent.
    #[must_use]
    pub fn chunk(&self, epoch: Epoch, first: Sequence) -> ProducedChunk {
        let ProducerPlan {
            seed, weather, id, ..
        } = self.plan;
        chunks::make(seed, weather, id, (epoch, first))
    }

    /// It makes no further chunks.
    pub fn stop(&mut self) {
        self.plan.chunks = self.made;
    }

    /// When it wants to act next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.is_done() {
            return None;
        }
        if self.connection.is_none() {
            return Some(self.again);
        }
        let silence = self.heard.after(self.plan.patience);
        let silence = self.open.iter().any(|open| !open.acked).then_some(silence);
        let ready = self.may_make().then_some(self.ready);
        silence.into_iter().chain(ready).min()
    }

    /// Sends what can be sent.
    pub fn act(&mut self, now: Time, post: &mut Post) {
        if self.is_done() {
            return;
        }
        if self.connection.is_some()
            && self.open.iter().any(|open| !open.acked)
            && now >= self.heard.after(self.plan.patience)
        {
            self.turn_away(None, 0, now, post);
        }
        if self.connection.is_none() {
            if now < self.again {
                return;
            }
            self.connection = Some(post.connect(self.client, self.node));
            self.heard = now;
        }
        while self.may_make() && now >= self.ready {
            let chunk = self.chunk(self.epoch, self.next);
            self.next = chunk.id.next();
            self.ends.insert(self.epoch, self.next);
            self.made += 1;
            self.ready = now.after(self.random.between(0, self.plan.pause));
            self.open.push_back(Open {
                chunk,
                acked: false,
                sent: false,
            });
        }
        let connection = self.connection.expect("it was just opened");
        for open in self
            .open
            .iter_mut()
            .filter(|open| !open.sent && !open.acked)
        {
            open.sent = true;
            let chunk = ProducedChunk {
                id: open.chunk.id,
                bytes: open.chunk.bytes.clone(),
            };
            post.ask(connection, chunk.id.first.0, Ask::Produce(chunk), now);
        }
    }

    fn may_make(&self) -> bool {
        self.made < self.plan.chunks && self.open.len() < self.plan.window
    }

    /// Hears an answer, or that the connection is gone.
    pub fn hear(&mut self, connection: ConnectionId, news: News, now: Time, post: &mut Post) {
        if self.connection != Some(connection) {
            return;
        }
        self.heard = now;
        match news {
            News::Lost => self.turn_away(None, 5 * MS, now, post),
            News::Answer {
                correlation,
                answer: Answer::Produced { base_offset, .. },
            } => self.acknowledged(Sequence(correlation), base_offset),
            News::Answer {
                correlation,
                answer: Answer::Refused(refusal),
            } => self.refused(Sequence(correlation), refusal, now, post),
            News::Answer { answer, .. } => panic!("a producer is not answered by {answer:?}"),
        }
    }

    fn acknowledged(&mut self, first: Sequence, offset: Offset) {
        let open = self
            .open
            .iter_mut()
            .find(|open| open.chunk.id.first == first);
        if let Some(open) = open {
            open.acked = true;
            let events = open.chunk.id.events;
            let before = self.acked.insert((self.epoch, first), (offset, events));
            assert!(
                before.is_none_or(|before| before == (offset, events)),
                "producer {} was told two offsets for sequence {first}: {before:?} and {offset}",
                self.plan.id
            );
        }
        while self.open.front().is_some_and(|open| open.acked) {
            self.open.pop_front();
        }
    }

    fn refused(&mut self, first: Sequence, refusal: Refusal, now: Time, post: &mut Post) {
        *self.refusals.entry(refusal.code.number()).or_default() += 1;
        let foremost = self
            .open
            .front()
            .is_some_and(|open| open.chunk.id.first == first);
        let never = [
            ErrorCode::EpochFenced,
            ErrorCode::SequenceTooOld,
            ErrorCode::ProducersFull,
        ];
        assert!(
            !never.contains(&refusal.code),
            "producer {} was refused sequence {first} for no reason: {refusal:?}",
            self.plan.id
        );
        if foremost && !refusal.code.retry() {
            self.final_refusals.push((now, refusal));
        }
        let wait = if refusal.leader.is_some() { 0 } else { 20 * MS };
        let stays = matches!(
            refusal.code,
            ErrorCode::LeaderNotReady | ErrorCode::SequenceGap | ErrorCode::Overloaded
        );
        let to = if stays {
            Some(self.node)
        } else {
            refusal.leader
        };
        self.turn_away(to, wait, now, post);
    }

    /// Goes back to the first chunk without an acknowledgement, on a new connection.
    fn turn_away(&mut self, to: Option<NodeId>, wait: u64, now: Time, post: &mut Post) {
        if let Some(connection) = self.connection.take() {
            post.leave(connection);
        }
        for open in &mut self.open {
            open.sent = false;
        }
        if self.random.one_in(self.plan.restart_one_in) && !self.is_done() {
            self.open.clear();
            (self.epoch, self.next) = (Epoch(self.epoch.0 + 1), Sequence(0));
        }
        let any = self.random.below(self.plan.nodes.len());
        self.node = to.unwrap_or(*self.plan.nodes.get(any).expect("a place in the list"));
        self.again = now.after(wait + self.random.between(0, 10 * MS));
    }
}
