//! The task that writes one connection: all that came together since the last write goes out in one.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use super::connection::{Connection, Phase};
use super::desk::Desk;

/// Memory of an output above this is given back when it is empty.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

/// Writes until the connection is over.
pub(super) async fn write(desk: Rc<Desk>, connection: Rc<Connection>) {
    let mut writing = Vec::new();
    let mut half_closed = false;
    loop {
        connection.writer.wait().await;
        loop {
            connection.take_output(&mut writing);
            if writing.is_empty() {
                break;
            }
            if write_all(&connection, &writing).await.is_err() {
                connection.close();
                return;
            }
            desk.counters.bytes_out.add(writing.len());
            connection.sent(writing.len());
            desk.feed(&connection);
            desk.lane.borrow_mut().kick();
            writing.clear();
            if writing.capacity() > OUTPUT_BYTES_KEPT {
                writing = Vec::new();
            }
        }
        match connection.phase() {
            Phase::Greeting | Phase::Open => {}
            Phase::Ending if connection.has_client_left() => connection.close(),
            Phase::Ending if half_closed => {}
            Phase::Ending => {
                connection.stream.shutdown(Shutdown::Write);
                half_closed = true;
            }
            Phase::Finishing if connection.is_settled() => connection.close(),
            Phase::Finishing => {}
            Phase::Closed => return,
        }
    }
}

async fn write_all(connection: &Connection, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = poll_fn(|cx| connection.stream.poll_write(cx, rest)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    Ok(())
}
