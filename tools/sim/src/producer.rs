//! A producer of the world: the client library's session over wires, fed with chunks, and a memory of what was acknowledged where.
//!
//! Now and then its process begins anew under a higher epoch; sometimes the old process is still there, knows nothing of it, and
//! goes on sending until it is fenced.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_client::endpoint::Endpoint as _;
use quorate_client::session::{Counters, Failure, Session, SessionConfig};
use quorate_client::{AckLevel, ClusterName};
use quorate_replication::lane::Produced;
use quorate_wire::{ChunkId, Epoch, ErrorCode, Offset, ProducerId, Sequence, Time};

use crate::chunks::{self, ChunkWeather};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::terminal::Terminal;
use crate::wires::Wires;

/// Old processes that are there at a time, at most.
const ZOMBIES_MAX: usize = 2;

/// What a producer is to do.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    /// The world's seed.
    pub seed: u64,
    /// Its id.
    pub id: ProducerId,
    /// Its cluster.
    pub cluster: ClusterName,
    /// The nodes that it may turn to.
    pub addresses: Vec<String>,
    /// Chunks that it keeps on the way.
    pub window: usize,
    /// Chunks to produce in all.
    pub chunks: u64,
    /// What they look like.
    pub weather: ChunkWeather,
    /// Nanoseconds between two chunks, at most; zero for as fast as it goes.
    pub pause: u64,
    /// Chunks between two pauses.
    pub burst: u64,
    /// Once in so many losses of its connection, it forgets what it was doing and begins a new epoch.
    pub restart_one_in: u64,
}

/// A producer's process.
#[derive(Debug)]
struct Life {
    epoch: Epoch,
    acks: AckLevel,
    session: Session,
    terminal: Terminal,
    losses: u64,
    /// A chunk's events that the session has no room for yet, behind the room for its header.
    made: Option<(u32, Vec<u8>)>,
    /// When the next chunk may be made.
    ready: Time,
}

/// A producer of the world. See the module's description.
#[derive(Debug)]
pub struct Producer {
    plan: ProducerPlan,
    random: Random,
    /// Draws what its processes want acknowledged.
    levels: Random,
    /// The last one is the true one; the others have not heard of it.
    lives: Vec<Life>,
    made: u64,
    stopped: bool,
    /// The sequence after the last one that it made in each epoch.
    ends: BTreeMap<Epoch, Sequence>,
    /// Where each acknowledged chunk is, by its epoch and first sequence: its offset and its events.
    acked: BTreeMap<(Epoch, Sequence), (Offset, u32)>,
    fenced: u64,
}

impl Producer {
    /// A producer that has done nothing.
    #[must_use]
    pub fn new(plan: ProducerPlan) -> Self {
        let mut producer = Self {
            random: Random::new(plan.seed ^ plan.id.0, "producer"),
            levels: Random::new(plan.seed ^ plan.id.0, "levels"),
            lives: Vec::new(),
            made: 0,
            stopped: false,
            ends: BTreeMap::new(),
            acked: BTreeMap::new(),
            fenced: 0,
            plan,
        };
        producer.begin(Epoch(0), Time(0));
        producer
    }

    fn begin(&mut self, epoch: Epoch, now: Time) {
        let Self {
            plan,
            random,
            levels,
            ..
        } = self;
        // It knows some of the nodes, and learns the others from them.
        let mut nodes = plan.addresses.clone();
        nodes.rotate_left(random.below(plan.addresses.len()));
        nodes.truncate(1 + random.below(nodes.len()));
        let acks = levels.of(&[
            AckLevel::Quorum,
            AckLevel::Quorum,
            AckLevel::All,
            AckLevel::Accepted,
        ]);
        let config = SessionConfig {
            nodes,
            cluster: random.one_in(2).then_some(plan.cluster),
            producer: plan.id,
            epoch,
            first: Sequence(0),
            acks,
            priority: levels.of(&[0, 0, 100, 255]),
            all_timeout: Duration::from_millis(levels.of(&[0, 20, 1000])),
            trace_one_in: levels.of(&[0, 0, 1, 3]),
            window_requests: plan.window,
            window_bytes: random.of(&[64 << 10, 8 << 20]),
            connect_timeout: Duration::from_millis(random.of(&[100, 1000])),
            request_timeout: Duration::from_millis(random.of(&[500, 2000])),
            give_up: None,
            acks_max: usize::MAX,
            seed: random.any(),
        };
        self.lives.push(Life {
            epoch,
            acks,
            session: Session::new(config, now),
            terminal: Terminal::default(),
            losses: 0,
            made: None,
            ready: now,
        });
    }

    fn life(&self) -> &Life {
        self.lives.last().expect("a producer lives")
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ProducerId {
        self.plan.id
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let life = self.life();
        self.made == self.plan.chunks && life.made.is_none() && life.session.pending_chunks() == 0
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

    /// What the session of its present epoch has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.life().session.counters()
    }

    /// How it stands, for a line.
    #[must_use]
    pub fn standing(&self) -> String {
        let life = self.life();
        let (node, session) = (life.session.node(), &life.session);
        format!(
            "producer {}, epoch {}, at node {node:?}: {} chunks, {} in flight, last trouble: {}",
            self.plan.id,
            life.epoch,
            session.pending_chunks(),
            session.in_flight(),
            session.trouble()
        )
    }

    /// Processes of older epochs that were told so.
    #[must_use]
    pub fn fenced(&self) -> u64 {
        self.fenced
    }

    /// The chunk that begins at a sequence of an epoch, as it was sent.
    #[must_use]
    pub fn chunk(&self, epoch: Epoch, first: Sequence) -> Produced {
        let ProducerPlan {
            seed, weather, id, ..
        } = self.plan;
        chunks::make(seed, weather, id, (epoch, first))
    }

    /// It makes no further chunks, and its old processes are stopped.
    pub fn stop(&mut self) {
        self.plan.chunks = self.made;
        self.stopped = true;
    }

    /// When it wants to act next, if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let may_make = self.made < self.plan.chunks;
        let lives = self.lives.iter();
        lives.flat_map(|life| life.deadline(may_make)).min()
    }

    /// Hears, makes chunks, and sends what can be sent.
    pub fn act(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let may_make = self.made < self.plan.chunks;
        for at in 0..self.lives.len() {
            let Some(life) = self.lives.get_mut(at) else {
                return;
            };
            let due = life.terminal.is_due(&life.session, wires, now)
                || life.deadline(may_make).is_some_and(|due| due <= now);
            if !due {
                continue;
            }
            life.terminal.listen(&mut life.session, wires, now);
            while let Some(ack) = life.session.take_ack() {
                let epoch = life.epoch;
                if ack.level != AckLevel::Accepted {
                    self.acked
                        .insert((epoch, ack.first), (ack.offset, ack.events));
                }
                oracle.heard(self.plan.id, epoch, &ack, now);
            }
            self.make(at, now, oracle);
            if let Some(life) = self.lives.get_mut(at) {
                life.terminal.speak(&mut life.session, wires, now);
            }
        }
        self.bury(wires, now);
        self.restart(wires, now);
    }

    /// Makes chunks as long as there is room for them.
    fn make(&mut self, at: usize, now: Time, oracle: &mut Oracle) {
        let Self {
            plan, random, made, ..
        } = self;
        let Some(life) = self.lives.get_mut(at) else {
            return;
        };
        loop {
            if life.made.is_none() && *made < plan.chunks && now >= life.ready {
                let mut buffer = life.session.buffer();
                let place = (life.epoch, life.session.next_sequence());
                let events = chunks::fill(plan.seed, plan.weather, plan.id, place, &mut buffer);
                life.made = Some((events, buffer));
                *made += 1;
                if made.is_multiple_of(plan.burst) {
                    life.ready = now.after(random.between(0, plan.pause));
                }
            }
            let Some((events, buffer)) = life.made.take() else {
                return;
            };
            if !life.session.has_room(buffer.len()) {
                life.made = Some((events, buffer));
                return;
            }
            let pushed = life.session.push(events, buffer, now);
            let chunk = ChunkId {
                producer: plan.id,
                epoch: life.epoch,
                first: pushed.expect("a chunk within its limits"),
                events,
            };
            oracle.made(chunk, now);
            self.ends.insert(life.epoch, life.session.next_sequence());
        }
    }

    /// Sessions end only when they are fenced by a newer one, or when what was only accepted is lost.
    fn bury(&mut self, wires: &mut Wires, now: Time) {
        let present = self.life().epoch;
        let (id, stopped, fenced) = (self.plan.id, self.stopped, &mut self.fenced);
        self.lives.retain_mut(|life| {
            if stopped && life.epoch < present {
                life.terminal.leave(wires, now);
                return false;
            }
            let Some(failure) = life.session.failure() else {
                return true;
            };
            let is_old = life.epoch < present;
            let fair = match failure {
                Failure::Refused { code, .. } => *code == ErrorCode::EpochFenced && is_old,
                Failure::AcceptedLost { .. } => life.acks == AckLevel::Accepted,
                Failure::Protocol(_) | Failure::GaveUp { .. } => false,
            };
            assert!(
                fair,
                "exactly once: the session of producer {id}, epoch {} of {present}, ends: {failure:?}",
                life.epoch
            );
            life.terminal.leave(wires, now);
            *fenced += u64::from(is_old);
            false
        });
        if self.lives.last().is_none_or(|life| life.epoch < present) {
            self.begin(Epoch(present.0 + 1), now);
        }
    }

    /// A new process takes the place of one that has lost its connection, and may be thought dead.
    fn restart(&mut self, wires: &mut Wires, now: Time) {
        let restart_one_in = self.plan.restart_one_in;
        let life = self.lives.last_mut().expect("a producer lives");
        let lost = life.terminal.losses() > life.losses;
        life.losses = life.terminal.losses();
        if !lost || !self.random.one_in(restart_one_in) || self.is_done() {
            return;
        }
        let next = Epoch(self.life().epoch.0 + 1);
        let zombie = self.random.one_in(2) && self.lives.len() <= ZOMBIES_MAX;
        if !zombie && let Some(mut life) = self.lives.pop() {
            life.terminal.leave(wires, now);
        }
        self.begin(next, now);
    }
}

impl Life {
    fn deadline(&self, may_make: bool) -> Option<Time> {
        let ready = (may_make && self.made.is_none()).then_some(self.ready);
        self.session.deadline().into_iter().chain(ready).min()
    }
}
