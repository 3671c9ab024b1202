//! The tasks that a shard has once: answers in, guests in, deadlines, and the stop.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use quorate_replication::gate::{No, Quota};
use quorate_wire::ErrorCode;

use super::acceptor::{Door, Guest};
use super::connection::{Connection, ENDING_TIME, Overdue, Phase};
use super::desk::Desk;
use super::executor::{self, Stream};
use super::{reader, writer};

/// Connections beyond the node's limit that are told so at a time. Further ones are closed without a word.
const EXTRA_MAX: usize = 256;

/// The pump: gives each answer of the pipeline to its connection. Ends when the pipeline is gone.
pub(super) async fn pump(desk: Rc<Desk>, spin: Duration) {
    loop {
        look(&desk, spin).await;
        poll_fn(|cx| desk.lane.borrow().poll_wait(cx)).await;
        let gone = desk.lane.borrow().is_closed();
        loop {
            let reply = desk.lane.borrow_mut().try_take();
            let Some(reply) = reply else { break };
            desk.settle(&reply);
            desk.feed_hungry();
        }
        desk.lane.borrow_mut().kick();
        if gone {
            desk.pipeline_gone();
            return;
        }
    }
}

/// Looks for answers, and so at the sockets, without sleep for at most so long.
async fn look(desk: &Desk, spin: Duration) {
    if spin.is_zero() {
        return;
    }
    let begun = Instant::now();
    while !desk.lane.borrow().is_ready() && begun.elapsed() < spin {
        executor::next_turn().await;
    }
}

/// The doorman: lets guests in, until the shard is told to stop.
pub(super) async fn doorman(desk: Rc<Desk>, mut door: Door) {
    while let Some(guest) = poll_fn(|cx| door.poll_next(cx)).await {
        let_in(&desk, guest);
    }
}

fn let_in(desk: &Rc<Desk>, guest: Guest) {
    let stream = match Stream::new(guest.socket) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!("a connection cannot be watched, and is closed: {error}");
            return;
        }
    };
    let is_extra = guest.seat.is_none();
    if is_extra {
        if desk.extra.get() == EXTRA_MAX {
            return;
        }
        desk.extra.set(desk.extra.get() + 1);
    }
    let quota = Quota::new(
        desk.limits.connection_events_per_second,
        desk.limits.connection_bytes_per_second,
    );
    let connection = desk
        .connections
        .borrow_mut()
        .insert(|name| Connection::new(name, guest.client, stream, guest.seat, quota));
    desk.counters.connections_opened.add(1);
    executor::spawn(reader::read(Rc::clone(desk), Rc::clone(&connection)));
    executor::spawn(writer::write(Rc::clone(desk), Rc::clone(&connection)));
    if is_extra {
        let text = format!(
            "all {} connections of the node are taken",
            desk.limits.connections
        );
        desk.end(&connection, &No::new(ErrorCode::TooManyConnections, text));
        return;
    }
    let patience = Duration::from_millis(desk.limits.hello_ms);
    connection
        .deadline
        .set(Some((Instant::now() + patience, Overdue::Hello)));
    desk.watch(&connection);
}

/// The sweeper: sleeps until the first deadline of any connection, and without a timer while there is none.
pub(super) async fn sweep(desk: Rc<Desk>) {
    loop {
        let next = sweep_once(&desk, Instant::now());
        desk.next_sweep.set(next);
        match next {
            Some(moment) => or(executor::sleep_until(moment), desk.sweeper.wait()).await,
            None => desk.sweeper.wait().await,
        }
    }
}

/// Ends what is overdue, and says when the next deadline comes.
fn sweep_once(desk: &Desk, now: Instant) -> Option<Instant> {
    let overdue: Vec<(Rc<Connection>, Overdue)> = desk
        .connections
        .borrow()
        .iter()
        .filter_map(|connection| {
            let (deadline, overdue) = connection.deadline.get()?;
            (deadline <= now).then(|| (Rc::clone(connection), overdue))
        })
        .collect();
    for (connection, overdue) in overdue {
        match overdue {
            Overdue::Hello => {
                let text = format!("no greeting came within {} ms", desk.limits.hello_ms);
                desk.end(&connection, &No::new(ErrorCode::HelloExpected, text));
            }
            Overdue::Frame => {
                let text = format!("the frame did not end within {} ms", desk.limits.frame_ms);
                desk.end(&connection, &No::new(ErrorCode::FrameTimeout, text));
            }
            Overdue::Leave => connection.close(),
        }
    }
    let connections = desk.connections.borrow();
    let deadlines = connections
        .iter()
        .filter_map(|connection| connection.deadline.get());
    deadlines.map(|(deadline, _)| deadline).min()
}

/// The stop: no new work, the answers in flight, then every client is let go.
pub(super) async fn stop(desk: &Desk) {
    desk.close_intake();
    let patience = Instant::now() + Duration::from_millis(desk.limits.stop_ms);
    let settled = async {
        while !desk.is_settled() {
            desk.settled.wait().await;
        }
    };
    or(settled, executor::sleep_until(patience)).await;
    let now = Instant::now();
    let all: Vec<Rc<Connection>> = desk.connections.borrow().iter().map(Rc::clone).collect();
    for connection in all {
        if connection.phase() != Phase::Closed {
            connection.end(now);
        }
    }
    let left = async {
        while desk.connections.borrow().len() > 0 {
            desk.left.wait().await;
        }
    };
    or(left, executor::sleep_until(now + ENDING_TIME)).await;
}
