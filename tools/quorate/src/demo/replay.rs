//! Sends the input at a steady rate, kills the leader in the middle, and restarts it later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_client::{Event, NodeId, Offset, Producer, ProducerId, ProducerOptions, Role, Time};

use crate::Failure;
use crate::figures::Latencies;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::local::Local;
use crate::phases::Phases;

/// Events fall due together at each tick, as they do where a source is read; a tick is also as long as the longest wait.
const TICK: Duration = Duration::from_millis(1);

/// How long the cluster may go without acknowledging anything before the demonstration has failed.
const SILENCE_MAX: Duration = Duration::from_secs(15);

const NS_PER_S: u64 = 1_000_000_000;

/// What to send where.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The events.
    pub(crate) input: &'a Input,
    /// How many of them fall due in a second.
    pub(crate) rate: u64,
    /// Where progress is shown.
    pub(crate) phases: &'a Phases,
    /// What ends it early.
    pub(crate) interrupt: &'a Interrupt,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Who sent.
    pub(crate) producer: ProducerId,
    /// Offset of each event, as it was acknowledged.
    pub(crate) offsets: Vec<Option<Offset>>,
    /// From the first event's due time to the last acknowledgement.
    pub(crate) took: Duration,
    /// From an event's due time to its acknowledgement: all events.
    pub(crate) latencies: Latencies,
    /// The same for those that neither were due nor waited while no leader served or its backlog was worked off.
    pub(crate) steady: Latencies,
    /// The leader that was killed.
    pub(crate) killed: NodeId,
    /// From the kill to the next event that a new leader acknowledged.
    pub(crate) failover: Duration,
}

/// How far the failover is.
#[derive(Clone, Copy, Debug)]
enum Failover {
    /// The leader lives.
    Ahead,
    /// It was killed, and nobody has acknowledged anything since.
    Silent {
        node: NodeId,
        killed_at: Time,
        reconnects: u64,
    },
    /// A new leader acknowledges, and what fell due meanwhile is not all sent.
    Behind {
        node: NodeId,
        killed_at: Time,
        next_ack_at: Time,
    },
    /// Sending is back on time.
    Over {
        node: NodeId,
        killed_at: Time,
        next_ack_at: Time,
        caught_up_at: Time,
    },
}

struct Replay<'a> {
    plan: &'a Plan<'a>,
    local: &'a mut Local,
    producer: Producer,
    batch_bytes: usize,
    started: Time,
    sent: usize,
    acked: usize,
    last_ack_at: Time,
    offsets: Vec<Option<Offset>>,
    acked_at: Vec<Time>,
    failover: Failover,
    restarted: bool,
}

/// Sends everything, and returns when everything is acknowledged and all nodes have been started again.
pub(crate) fn replay(local: &mut Local, plan: &Plan<'_>) -> Result<Replayed, Failure> {
    let mut options = ProducerOptions::new(local.addresses());
    // What is due goes out together: there is nothing to wait for.
    options.linger = Duration::ZERO;
    let batch_bytes = options.batch_bytes;
    let producer = Producer::connect(options)?;
    let started = producer.now();
    let mut replay = Replay {
        plan,
        local,
        producer,
        batch_bytes,
        started,
        sent: 0,
        acked: 0,
        last_ack_at: started,
        offsets: vec![None; plan.input.len()],
        acked_at: vec![Time(0); plan.input.len()],
        failover: Failover::Ahead,
        restarted: false,
    };
    plan.phases.begin("replaying");
    while replay.acked < plan.input.len() {
        plan.interrupt.check()?;
        replay.turn()?;
    }
    replay.finish()
}

impl Replay<'_> {
    /// One round: send what is due, hear what is acknowledged, and do what the plan has for this moment.
    fn turn(&mut self) -> Result<(), Failure> {
        self.send_due()?;
        self.producer.poll(TICK)?;
        self.take_acks();
        let silent_for = self.producer.now().since(self.last_ack_at);
        if Duration::from_nanos(silent_for) > SILENCE_MAX {
            return Err(Failure::new(format!(
                "nothing was acknowledged for {} s\n{}",
                SILENCE_MAX.as_secs(),
                self.local.describe()
            )));
        }
        self.step()
    }

    /// When an event falls due: at the start of its tick.
    fn due(&self, at: usize) -> Time {
        let at = u64::try_from(at).expect("a size fits into 64 bits");
        let tick = u64::try_from(TICK.as_nanos()).expect("a tick is short");
        let exact = u128::from(at) * u128::from(NS_PER_S) / u128::from(self.plan.rate);
        let exact = u64::try_from(exact).expect("a replay does not last for centuries");
        self.started.after(exact / tick * tick)
    }

    fn send_due(&mut self) -> Result<(), Failure> {
        let now = self.producer.now();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = since_1970.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        while self.due(self.sent) <= now && self.producer.has_room(self.batch_bytes) {
            let Some(event) = self.plan.input.event(self.sent) else {
                break;
            };
            self.producer.send(&Event { time, ..event })?;
            self.sent += 1;
        }
        Ok(())
    }

    fn take_acks(&mut self) {
        let reconnects_now = self.producer.stats().reconnects;
        for ack in self.producer.take_acks() {
            let first = usize::try_from(ack.first.0).expect("it is a place in the input");
            let events = usize::try_from(ack.events).expect("32 bits fit into a size");
            for (place, offset) in (first..first + events).zip(ack.offset.0..) {
                self.offsets[place] = Some(Offset(offset));
                self.acked_at[place] = ack.acked_at;
            }
            self.acked += events;
            self.last_ack_at = ack.acked_at;
            // The killed leader's last answers may still lie in the socket: they prove nothing about the next leader.
            if let Failover::Silent {
                node,
                killed_at,
                reconnects,
            } = self.failover
                && (ack.attempts > 1 || reconnects_now > reconnects)
            {
                self.failover = Failover::Behind {
                    node,
                    killed_at,
                    next_ack_at: ack.acked_at,
                };
            }
        }
        let acked = u64::try_from(self.acked).expect("a size fits into 64 bits");
        self.plan.phases.passed(acked);
    }

    fn step(&mut self) -> Result<(), Failure> {
        let total = self.plan.input.len();
        match self.failover {
            Failover::Ahead => {
                if self.acked >= total / 2 {
                    self.kill_leader()?;
                }
            }
            Failover::Silent { .. } => {}
            Failover::Behind {
                node,
                killed_at,
                next_ack_at,
            } => {
                let now = self.producer.now();
                let is_on_time = self.due(self.sent) > now || self.sent == total;
                if is_on_time {
                    self.plan.phases.begin("replaying, with one node less");
                    self.failover = Failover::Over {
                        node,
                        killed_at,
                        next_ack_at,
                        caught_up_at: now,
                    };
                }
            }
            Failover::Over { node, .. } => {
                if !self.restarted && self.acked >= total / 4 * 3 {
                    self.restart(node)?;
                }
            }
        }
        Ok(())
    }

    fn kill_leader(&mut self) -> Result<(), Failure> {
        let statuses = self.local.statuses();
        let leads = |status: &&quorate_client::Status| status.role == Role::Leader && status.serves;
        // An election may be under way by itself, on a busy host: then the next turn looks again.
        let Some(leader) = statuses.iter().find(leads) else {
            return Ok(());
        };
        let node = leader.node;
        self.plan.phases.begin(&format!(
            "killed node {node}, the leader; waiting for the next one"
        ));
        let reconnects = self.producer.stats().reconnects;
        let killed_at = self.producer.now();
        self.local.kill(node);
        self.failover = Failover::Silent {
            node,
            killed_at,
            reconnects,
        };
        Ok(())
    }

    fn restart(&mut self, node: NodeId) -> Result<(), Failure> {
        self.plan
            .phases
            .begin(&format!("replaying, and node {node} catches up"));
        self.restarted = true;
        Ok(self.local.start(node)?)
    }

    fn finish(mut self) -> Result<Replayed, Failure> {
        let (node, killed_at, next_ack_at, caught_up_at) = match self.failover {
            Failover::Ahead | Failover::Silent { .. } => {
                return Err(Failure::new(
                    "everything was acknowledged before the leader was killed",
                )
                .cure("send more events, or send them more slowly: --events, --rate"));
            }
            Failover::Behind {
                node,
                killed_at,
                next_ack_at,
            } => (node, killed_at, next_ack_at, self.producer.now()),
            Failover::Over {
                node,
                killed_at,
                next_ack_at,
                caught_up_at,
            } => (node, killed_at, next_ack_at, caught_up_at),
        };
        if !self.restarted {
            self.restart(node)?;
        }
        let mut latencies = Latencies::new();
        let mut steady = Latencies::new();
        for (at, &acked_at) in self.acked_at.iter().enumerate() {
            let due = self.due(at);
            let latency = Duration::from_nanos(acked_at.since(due));
            latencies.record(latency);
            if acked_at < killed_at || due > caught_up_at {
                steady.record(latency);
            }
        }
        let took = Duration::from_nanos(self.last_ack_at.since(self.started));
        let producer = self.producer.id();
        self.producer
            .close(SILENCE_MAX)
            .map_err(|closed| *closed.error)?;
        Ok(Replayed {
            producer,
            offsets: self.offsets,
            took,
            latencies,
            steady,
            killed: node,
            failover: Duration::from_nanos(next_ack_at.since(killed_at)),
        })
    }
}
