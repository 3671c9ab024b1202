//! The task that reads one connection: bytes in, requests to the pipeline.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_replication::gate::{No, Opened};
use quorate_wire::{ErrorCode, Time};

use super::connection::{Connection, Phase};
use super::desk::Desk;
use super::executor;
use super::inbox::{Batch, Inbox};
use crate::clock;

/// Reads until the connection is over, then forgets it.
pub(super) async fn read(desk: Rc<Desk>, connection: Rc<Connection>) {
    let mut inbox = Inbox::default();
    let mut frames = Vec::new();
    while let Some(batch) = next(&desk, &connection, &mut inbox).await {
        let full = batch.full;
        desk.counters.bytes_in.add(batch.bytes().len());
        match connection.phase() {
            Phase::Greeting | Phase::Open => {
                take(&desk, &connection, &mut inbox, batch, &mut frames);
            }
            Phase::Ending | Phase::Finishing | Phase::Closed => {
                inbox.clear();
                desk.memory.borrow_mut().put_back(batch, 0, 0);
            }
        }
        if full {
            // A client that sends without end must not keep the others from being heard.
            executor::next_turn().await;
        }
    }
    if connection.phase() != Phase::Closed {
        let patience = Duration::from_millis(desk.limits.frame_ms);
        connection.finish(Instant::now() + patience);
        desk.watch(&connection);
        connection.gone.wait().await;
    }
    desk.forget(&connection);
}

/// The next read; `None` if there will be none.
async fn next(desk: &Desk, connection: &Connection, inbox: &mut Inbox) -> Option<Batch> {
    poll_fn(|cx| inbox.poll_read(cx, &connection.stream, &mut desk.memory.borrow_mut()))
        .await
        // Whatever the socket complains about, the client is gone.
        .unwrap_or_default()
}

/// Takes a batch apart. `frames` is memory to work in.
fn take(
    desk: &Desk,
    connection: &Connection,
    inbox: &mut Inbox,
    batch: Batch,
    frames: &mut Vec<Opened>,
) {
    let read = clock::now();
    let was_partial = inbox.is_partial();
    let greeted = connection.phase() == Phase::Open;
    let (taken, end) = desk.gate.open(batch.bytes(), greeted, frames);
    inbox.brought(frames.len(), taken);
    let chunk_bytes = frames.iter().map(|frame| frame.chunk().len()).sum();
    let batch = match &end {
        Ok(needed) => inbox.keep(batch, taken, *needed),
        Err(_) => {
            inbox.clear();
            Some(batch)
        }
    };
    let shared =
        batch.and_then(|batch| desk.memory.borrow_mut().put_back(batch, taken, chunk_bytes));
    let mut rest = frames.as_slice();
    while let Some(frame) = rest.first() {
        let run = connection.merged.get().then(|| Opened::run(rest)).flatten();
        // One that finds no room may find some chunk by chunk.
        let run = run.filter(|(run, _)| ask(desk, connection, run, shared.as_ref(), read).is_ok());
        if run.is_none()
            && let Err(no) = ask(desk, connection, frame, shared.as_ref(), read)
        {
            desk.refuse(connection, frame.correlation, &no);
        }
        rest = &rest[run.map_or(1, |(_, frames)| frames)..];
    }
    frames.clear();
    match end {
        // What came before it is asked all the same: it does not depend on how the network cut the stream.
        Err(no) => desk.end(connection, &no),
        Ok(_) if inbox.is_partial() => desk.expect_frame(connection, taken > 0 || !was_partial),
        Ok(_) if connection.phase() == Phase::Open => connection.deadline.set(None),
        Ok(_) => {}
    }
    desk.lane.borrow_mut().kick();
}

/// Has the pipeline asked, or says why not. `read` is when the bytes came.
fn ask(
    desk: &Desk,
    connection: &Connection,
    frame: &Opened,
    shared: Option<&Bytes>,
    read: Time,
) -> Result<(), No> {
    let asked = frame.asked.as_ref().map_err(Clone::clone)?;
    if connection.phase() == Phase::Greeting && !frame.greets() {
        let text = "the greeting before it found no room";
        return Err(No::new(ErrorCode::Overloaded, text));
    }
    let chunk = || {
        let shared = shared.expect("a batch with chunks is shared");
        shared.slice(frame.chunk())
    };
    desk.admit(connection, frame.correlation, asked, chunk, read)
}
