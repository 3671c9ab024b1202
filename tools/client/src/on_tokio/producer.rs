//! The producer on tokio: the session over one socket, moved by a task of its own.
//!
//! Owns: the task. Never: decides what to send when; that is the session's. Called by: programs.

use std::sync::Arc;
use std::time::Duration;

use quorate_wire::{Event, ProducerId, Time};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::core::Shared;
use super::receipt::Receipt;
use super::socket::TokioSocket;
use crate::packer::Packer;
use crate::producer::INPUT_BYTES;
use crate::session::Session;
use crate::transport::{Pause, Transport};
use crate::{ClientError, CloseError, ProducerOptions, Stats};

/// A producer on a tokio runtime: one stream of events in order, each in the log exactly once.
///
/// Any number of tasks may send by one producer, by reference or in an `Arc`: the order is that in which their calls take effect.
/// A task of the producer's own moves the bytes, so that a chunk which has lingered goes out whatever the program does. What is not
/// yet acknowledged is bounded by the window; at the bound [`Self::send`] waits.
///
/// A producer that is dropped drops what it holds: [`Self::close`] says what became of it.
#[derive(Debug)]
pub struct AsyncProducer {
    shared: Arc<Shared>,
    id: ProducerId,
    task: JoinHandle<()>,
}

impl AsyncProducer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `ready_timeout`, or a node refuses the greeting for good.
    pub async fn connect(options: ProducerOptions) -> Result<Self, ClientError> {
        let packer = Packer::new(&options);
        let ready_timeout = options.ready_timeout;
        let mut config = options.session()?;
        // Each acknowledgement is handed to its receipts before the next turn.
        config.acks_max = usize::MAX;
        let id = config.producer;
        let transport = Transport::new(INPUT_BYTES);
        let session = Session::new(config, Time(0));
        let shared = Arc::new(Shared::new(session, packer, transport.clock()));
        let task = tokio::spawn(drive(Arc::clone(&shared), transport));
        let producer = Self { shared, id, task };
        let greeted = producer.shared.until(|core| {
            core.check()?;
            Ok(core.session.node())
        });
        match timeout(ready_timeout, greeted).await {
            Ok(greeted) => greeted.map(|_| producer),
            Err(_) => Err(producer.shared.lock().session.unreachable()),
        }
    }

    /// Takes an event, and waits before that while the window is full. The event is safe when its [`Receipt`] says so, or
    /// [`Self::flush`].
    ///
    /// It is cancel-safe: a future that was dropped before it was ready has taken nothing.
    ///
    /// # Errors
    /// The event is over a limit (the producer goes on), or the producer has ended.
    pub async fn send(&self, event: &Event<'_>) -> Result<Receipt, ClientError> {
        let now = || self.shared.clock.now();
        let (sequence, chunk) = self.shared.until(|core| core.send(event, now())).await?;
        self.shared.work.notify_one();
        Ok(Receipt::new(sequence, chunk, Arc::clone(&self.shared)))
    }

    /// Waits until everything that was sent before this call is acknowledged. It is cancel-safe: what was sent goes out all the same.
    ///
    /// # Errors
    /// The producer has ended.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let before = self.shared.lock().flush();
        self.shared.work.notify_one();
        let acked = self.shared.until(|core| {
            let acked = core.session.acked_before() >= before;
            if !acked {
                core.check()?;
            }
            Ok(acked.then_some(()))
        });
        acked.await
    }

    /// What the producer has done, and what it still holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared.lock().session)
    }

    /// The producer's id.
    #[must_use]
    pub fn id(&self) -> ProducerId {
        self.id
    }

    /// The producer's clock: nanoseconds since it was made. [`Ack`](crate::Ack) speaks in it.
    #[must_use]
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Waits up to `patience` until everything is acknowledged, and closes the connection.
    ///
    /// # Errors
    /// Not everything was acknowledged: the error says what was.
    pub async fn close(self, patience: Duration) -> Result<Stats, CloseError> {
        let flushed = timeout(patience, self.flush()).await;
        let core = self.shared.lock();
        let what = "closing the producer";
        match flushed.unwrap_or_else(|_| Err(core.session.timed_out(what, patience))) {
            Ok(()) => Ok(Stats::of(&core.session)),
            Err(error) => Err(CloseError::new(&core.session, &core.packer, error)),
        }
    }
}

impl Drop for AsyncProducer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells all who wait that the task is gone, however it went.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.lock().end();
        self.0.progress.notify_waiters();
    }
}

/// What the task does after a round.
enum Next {
    Again,
    Wait(Pause),
    End,
}

/// Moves bytes until the session ends.
async fn drive(shared: Arc<Shared>, mut transport: Transport<TokioSocket>) {
    let end = AtEnd(shared);
    let shared = &end.0;
    loop {
        match turn(shared, &mut transport) {
            Next::Again => yield_now().await,
            Next::Wait(pause) => tokio::select! {
                () = transport.wait(pause) => {}
                () = shared.work.notified() => {}
            },
            Next::End => return,
        }
    }
}

/// One round without waiting.
fn turn(shared: &Shared, transport: &mut Transport<TokioSocket>) -> Next {
    let mut core = shared.lock();
    let node = core.session.node();
    let pause = transport.advance(&mut core.session);
    if core.report() || core.session.node() != node {
        shared.progress.notify_waiters();
    }
    if core.check().is_err() {
        return Next::End;
    }
    let now = shared.clock.now();
    let sealed = core.seal_due(now);
    let Some(mut pause) = pause.filter(|_| !sealed) else {
        return Next::Again;
    };
    // One that is due already waits for room: an acknowledgement brings it.
    if let Some(due) = core.packer.due().filter(|due| *due > now) {
        let left = Duration::from_nanos(due.since(now));
        pause.timeout = Some(pause.timeout.map_or(left, |timeout| timeout.min(left)));
    }
    Next::Wait(pause)
}
