//! What the tasks of a shard share: its connections, the lane, and the bounds on what is in flight.
//!
//! Owns: admission (each request gets a place or a no), and the way of each answer back to its connection. Never: parses.
//! Called by: the reader, the pump, the doorman and the sweeper, all on one thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_replication::gate::{self, Asked, Gate, Greeting, No};
use quorate_replication::lane::{Ask, Reply, Request};
use quorate_replication::trace::Trace;
use quorate_wire::client::Stage;
use quorate_wire::{ErrorCode, Time};

use super::bell::Bell;
use super::connection::{Connection, InFlight, Overdue, Phase};
use super::connections::{Connections, Holds, OpenRequest, OpenRequests};
use super::counters::Counters;
use super::inbox::ReadMemory;
use crate::clock;
use crate::config::Limits;
use crate::lane::ShardLane;

/// When to try again at a bound, in nanoseconds: what is in flight is answered within a few disk writes.
const OVERLOADED_FOR: u64 = 5_000_000;

/// When to try again if room is kept for those of higher priorities, in nanoseconds: not at once when it is.
const SHED_FOR: u64 = 4 * OVERLOADED_FOR;

/// What the tasks of a shard share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) gate: Gate,
    pub(super) greeting: Greeting,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    pub(super) lane: RefCell<ShardLane>,
    pub(super) memory: RefCell<ReadMemory>,
    pub(super) connections: RefCell<Connections>,
    open: RefCell<OpenRequests>,
    /// What all connections have in flight; `requests` is what `open` counts.
    in_flight: InFlight,
    /// Connections whose subscriptions wait for room in flight.
    pub(super) hungry: RefCell<VecDeque<u64>>,
    /// Whether new chunks and fetches are taken.
    intake: Cell<bool>,
    /// Whether the pipeline is gone, and will answer nothing any more.
    is_orphan: Cell<bool>,
    /// Connections that came when all places were taken, and are being told so.
    pub(super) extra: Cell<usize>,
    /// Rung when an answer came, while intake is closed.
    pub(super) settled: Bell,
    /// Rung when a connection is gone, while intake is closed.
    pub(super) left: Bell,
    /// Rung when a deadline comes before the sweeper's next look.
    pub(super) sweeper: Bell,
    /// When the sweeper looks next.
    pub(super) next_sweep: Cell<Option<Instant>>,
}

impl Desk {
    pub(super) fn new(
        gate: Gate,
        greeting: Greeting,
        limits: Limits,
        counters: Arc<Counters>,
        lane: ShardLane,
    ) -> Self {
        Self {
            gate,
            greeting,
            limits,
            counters,
            lane: RefCell::new(lane),
            memory: RefCell::default(),
            connections: RefCell::default(),
            open: RefCell::default(),
            in_flight: InFlight::default(),
            hungry: RefCell::default(),
            intake: Cell::new(true),
            is_orphan: Cell::new(false),
            extra: Cell::new(0),
            settled: Bell::default(),
            left: Bell::default(),
            sweeper: Bell::default(),
            next_sweep: Cell::new(None),
        }
    }

    /// Hands a request to the pipeline, or says why not. `chunk` is the memory of the produced chunks; `read` is when the request
    /// came.
    pub(super) fn admit(
        &self,
        connection: &Connection,
        correlation: u64,
        asked: &Asked,
        chunk: impl FnOnce() -> Bytes,
        read: Time,
    ) -> Result<(), No> {
        let requests = asked.requests();
        let holds = match asked {
            Asked::Greet { .. }
            | Asked::Status
            | Asked::Audit(_)
            | Asked::Named(_)
            | Asked::Admin(_) => Holds::Place,
            Asked::Produce { .. } => Holds::Chunk(asked.chunk_bytes()),
            Asked::Fetch { .. } => Holds::Fetch,
            Asked::Talk(talk) => {
                self.talk(connection, correlation, talk);
                return Ok(());
            }
        };
        self.has_room(connection, holds, requests)?;
        self.is_important_enough(asked)?;
        within_quota(connection, asked, read)?;
        let ask = asked.to_ask(chunk, || {
            let mut trace = Trace::new(read);
            trace.over(Stage::Gate, clock::now());
            trace
        });
        let filter = match asked {
            Asked::Fetch { filter, .. } => filter.clone(),
            Asked::Greet { .. }
            | Asked::Status
            | Asked::Audit(_)
            | Asked::Produce { .. }
            | Asked::Named(_)
            | Asked::Talk(_)
            | Asked::Admin(_) => None,
        };
        let request = OpenRequest {
            connection: connection.name,
            correlation,
            holds,
            requests,
            filter,
        };
        self.put(connection, request, ask);
        if let Holds::Chunk(bytes) = holds {
            self.counters.chunk_bytes.add(bytes);
        }
        if let Asked::Greet { merged } = asked {
            connection.open(*merged);
        }
        Ok(())
    }

    /// Hands a request to the pipeline, for which there is room.
    pub(super) fn put(&self, connection: &Connection, request: OpenRequest, ask: Ask) {
        let requests = to_count(request.requests);
        connection.in_flight.take(request.holds, requests);
        self.in_flight.take(request.holds, requests);
        let ticket = self.open.borrow_mut().open(request);
        let put = self.lane.borrow_mut().try_put(Request { ticket, ask });
        assert!(put.is_ok(), "there was room in the lane");
        self.counters.requests.add(requests);
    }

    /// Whether new chunks and fetches are taken no more.
    pub(super) fn is_closing(&self) -> bool {
        self.is_orphan.get() || !self.intake.get()
    }

    /// Whether a chunk leaves enough room to those of higher priorities.
    fn is_important_enough(&self, asked: &Asked) -> Result<(), No> {
        let Asked::Produce {
            chunks, priority, ..
        } = asked
        else {
            return Ok(());
        };
        let (limits, all) = (&self.limits, &self.in_flight);
        let requests = gate::share(limits.shard_requests, *priority);
        let bytes = gate::share(limits.shard_bytes, *priority);
        if all.requests.get() + to_count(*chunks) <= requests
            && all.chunk_bytes.get() + asked.chunk_bytes() <= bytes
        {
            return Ok(());
        }
        let text = format!(
            "in flight on this shard: priority {priority} may have it filled up to {requests} requests and {bytes} bytes"
        );
        Err(No::for_now(ErrorCode::Overloaded, text, SHED_FOR))
    }

    /// Whether so many requests find room that hold this together.
    pub(super) fn has_room(
        &self,
        connection: &Connection,
        holds: Holds,
        requests: u32,
    ) -> Result<(), No> {
        let requests = to_count(requests);
        let over = |what: &str, most: usize| {
            Err(No::for_now(
                ErrorCode::Overloaded,
                format!("{what}: the bound is {most}"),
                OVERLOADED_FOR,
            ))
        };
        let (limits, mine, all) = (&self.limits, &connection.in_flight, &self.in_flight);
        if self.is_orphan.get() || (!self.intake.get() && holds != Holds::Place) {
            return Err(No::new(
                ErrorCode::ShuttingDown,
                "the node is about to stop",
            ));
        }
        if mine.requests.get() + requests > limits.connection_requests {
            return over(
                "requests in flight on this connection",
                limits.connection_requests,
            );
        }
        if self.lane.borrow().room() < requests {
            return over("requests in flight on this shard", limits.shard_requests);
        }
        match holds {
            Holds::Place => Ok(()),
            Holds::Chunk(bytes) => {
                if mine.chunk_bytes.get() + bytes > limits.connection_bytes {
                    return over(
                        "bytes in flight on this connection",
                        limits.connection_bytes,
                    );
                }
                if all.chunk_bytes.get() + bytes > limits.shard_bytes {
                    return over("bytes in flight on this shard", limits.shard_bytes);
                }
                Ok(())
            }
            Holds::Fetch => {
                if mine.fetches.get() >= limits.connection_fetches {
                    return over(
                        "fetches in flight on this connection",
                        limits.connection_fetches,
                    );
                }
                all.has_fetch(limits.shard_fetches)
            }
            Holds::Push => all.has_fetch(limits.shard_fetches),
        }
    }

    /// Answers one request with a no.
    pub(super) fn refuse(&self, connection: &Connection, correlation: u64, no: &No) {
        self.counters.refusals.add(1);
        self.send(connection, |output| gate::write_no(no, correlation, output));
    }

    /// Tells the client why its connection ends, and ends it.
    pub(super) fn end(&self, connection: &Connection, no: &No) {
        if matches!(connection.phase(), Phase::Ending | Phase::Closed) {
            return;
        }
        self.counters.connections_refused.add(1);
        tracing::debug!(client = ?connection.client, code = no.code.number(), text = no.text, "ends a connection");
        self.send(connection, |output| gate::write_no(no, 0, output));
        connection.end(Instant::now());
        self.watch(connection);
    }

    /// Gives the pipeline's answer to whoever waits for it, if it is still there.
    pub(super) fn settle(&self, reply: &Reply) {
        let request = self.open.borrow_mut().close(reply.ticket);
        let request = request.expect("a request is answered once");
        let requests = to_count(request.requests);
        self.in_flight.give(request.holds, requests);
        if !self.intake.get() {
            self.settled.ring();
        }
        let Some(connection) = self.connections.borrow().get(request.connection) else {
            return;
        };
        connection.in_flight.give(request.holds, requests);
        if !self.intake.get() && request.holds == Holds::Fetch {
            // The node's stop has answered it already. The writer looks whether that was the last that was waited for.
            connection.writer.ring();
            return;
        }
        if request.holds == Holds::Push {
            self.fed(&connection, request.correlation, &reply.answer);
            connection.writer.ring(); // It may have been the last that was waited for.
            return;
        }
        let (answer, filter) = (&reply.answer, request.filter.as_ref());
        let (whom, greeting) = ((request.correlation, reply.ticket.chunks), &self.greeting);
        self.send(&connection, |output| {
            gate::write(answer, whom, filter, greeting, clock::now, output);
        });
    }

    pub(super) fn send(&self, connection: &Connection, write: impl FnOnce(&mut Vec<u8>)) {
        let sent = connection.answer(self.limits.connection_output_bytes, write);
        if sent.is_err() {
            self.counters.connections_slow.add(1);
            tracing::info!(
                client = ?connection.client,
                bound = self.limits.connection_output_bytes,
                "closes a connection that does not read its answers"
            );
            connection.close();
        }
    }

    /// Lets the sweeper look in time for the connection's deadline.
    pub(super) fn watch(&self, connection: &Connection) {
        let Some((deadline, _)) = connection.deadline.get() else {
            return;
        };
        if self.next_sweep.get().is_none_or(|next| deadline < next) {
            self.sweeper.ring();
        }
    }

    /// A part of a frame is there: it has so long for becoming whole. `fresh` says that it began just now.
    pub(super) fn expect_frame(&self, connection: &Connection, fresh: bool) {
        let waits = matches!(connection.deadline.get(), Some((_, Overdue::Frame)));
        if connection.phase() == Phase::Open && (fresh || !waits) {
            let deadline = Instant::now() + Duration::from_millis(self.limits.frame_ms);
            connection.deadline.set(Some((deadline, Overdue::Frame)));
            self.watch(connection);
        }
    }

    /// Takes no more chunks and fetches, and answers the fetches that wait.
    pub(super) fn close_intake(&self) {
        if !self.intake.replace(false) {
            return;
        }
        self.end_subscriptions();
        let waiting: Vec<OpenRequest> = self
            .open
            .borrow()
            .iter()
            .filter(|request| request.holds == Holds::Fetch)
            .cloned()
            .collect();
        let no = No::new(ErrorCode::ShuttingDown, "the node is about to stop");
        for request in waiting {
            let connection = self.connections.borrow().get(request.connection);
            if let Some(connection) = connection {
                self.refuse(&connection, request.correlation, &no);
            }
        }
    }

    /// Whether the pipeline owes no answer that anybody waits for.
    pub(super) fn is_settled(&self) -> bool {
        let fetches = self.in_flight.fetches.get() + self.in_flight.pushes.get();
        self.is_orphan.get() || self.open.borrow().len() == fetches
    }

    /// The pipeline is gone, and all that it had answered is settled.
    pub(super) fn pipeline_gone(&self) {
        self.is_orphan.set(true);
        self.intake.set(false);
        self.settled.ring();
    }

    /// The connection's reader has ended.
    pub(super) fn forget(&self, connection: &Rc<Connection>) {
        connection.close();
        let known = self.connections.borrow_mut().remove(connection.name);
        assert!(known.is_some(), "a connection is forgotten once");
        if connection.is_extra() {
            self.extra.set(self.extra.get() - 1);
        }
        self.counters.connections_closed.add(1);
        self.left.ring();
    }
}

/// Counts a chunk against what its client may send.
fn within_quota(connection: &Connection, asked: &Asked, now: Time) -> Result<(), No> {
    let Asked::Produce { id, .. } = asked else {
        return Ok(());
    };
    let mut quota = connection.quota.get();
    let taken = quota.take(id.events, asked.chunk_bytes(), now);
    connection.quota.set(quota);
    taken.map_err(|wait| {
        let text = "this client sends more than it may in a second";
        No::for_now(ErrorCode::QuotaExceeded, text, wait)
    })
}

impl InFlight {
    /// Whether there is room for a fetch more, of whatever kind.
    fn has_fetch(&self, most: usize) -> Result<(), No> {
        if self.fetches.get() + self.pushes.get() < most {
            return Ok(());
        }
        let text = format!("fetches in flight on this shard: the bound is {most}");
        Err(No::new(ErrorCode::Overloaded, text))
    }

    fn take(&self, holds: Holds, requests: usize) {
        self.requests.set(self.requests.get() + requests);
        match holds {
            Holds::Place => {}
            Holds::Chunk(bytes) => self.chunk_bytes.set(self.chunk_bytes.get() + bytes),
            Holds::Fetch => self.fetches.set(self.fetches.get() + 1),
            Holds::Push => self.pushes.set(self.pushes.get() + 1),
        }
    }

    fn give(&self, holds: Holds, requests: usize) {
        self.requests.set(self.requests.get() - requests);
        match holds {
            Holds::Place => {}
            Holds::Chunk(bytes) => self.chunk_bytes.set(self.chunk_bytes.get() - bytes),
            Holds::Fetch => self.fetches.set(self.fetches.get() - 1),
            Holds::Push => self.pushes.set(self.pushes.get() - 1),
        }
    }
}

fn to_count(requests: u32) -> usize {
    usize::try_from(requests).expect("32 bits fit into a size")
}
