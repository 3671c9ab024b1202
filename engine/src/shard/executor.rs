//! tokio, behind one door: the only file that names it. A shard is one runtime on one thread, and its tasks stay there.
//!
//! Its tasks read and write sockets that epoll watches, wait for each other's bells, and are woken by the pipeline. A task that could
//! go on for ever without any of that parks on [`next_turn`], so that the others and the sockets get their turn.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local, yield_now};

/// An executor on the calling thread.
#[derive(Debug)]
pub(super) struct Executor {
    inner: Runtime,
}

impl Executor {
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        let inner = builder.enable_io().enable_time().build()?;
        Ok(Self { inner })
    }

    /// Runs until `future` is done. Tasks that were spawned and still run end with it.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        LocalSet::new().block_on(&self.inner, future)
    }
}

/// Starts a task on the executor of this thread.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    spawn_local(future);
}

/// Parks until `moment`, or up to a millisecond longer.
pub(super) async fn sleep_until(moment: Instant) {
    tokio::time::sleep_until(moment.into()).await;
}

/// Parks until the other tasks have run and the sockets have been looked at.
pub(super) async fn next_turn() {
    yield_now().await;
}

/// A connected socket. One task reads, one writes.
#[derive(Debug)]
pub(super) struct Stream {
    inner: RefCell<TcpStream>,
}

impl Stream {
    /// On the executor of this thread.
    pub(super) fn new(socket: std::net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let inner = RefCell::new(TcpStream::from_std(socket)?);
        Ok(Self { inner })
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(Pin::new(&mut *self.inner.borrow_mut()).poll_read(cx, &mut into))?;
        Poll::Ready(Ok(into.filled().len()))
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner.borrow_mut()).poll_write(cx, bytes)
    }

    /// Shuts one side or both. A task that waits on that side wakes up.
    pub(super) fn shutdown(&self, how: Shutdown) {
        // That a socket is gone already is no trouble: that was wanted.
        let _ = SockRef::from(&*self.inner.borrow()).shutdown(how);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use super::{Executor, Stream, next_turn, sleep_until, spawn};

    /// A socket of this executor and its other end.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is free");
        let address = listener.local_addr().expect("it is bound");
        let here = TcpStream::connect(address).expect("it listens");
        let (there, _) = listener.accept().expect("somebody connects");
        (here, there)
    }

    /// Were the socket never looked at, this would not end.
    #[test]
    fn a_task_that_takes_turns_lets_sockets_and_timers_through() {
        let executor = Executor::new().expect("it starts");
        let (ours, mut theirs) = pair();
        executor.run(async move {
            let stream = Stream::new(ours).expect("it is connected");
            let is_over = Rc::new(Cell::new(false));
            let seen = Rc::clone(&is_over);
            let rounds = Rc::new(Cell::new(0_u64));
            let counted = Rc::clone(&rounds);
            spawn(async move {
                while !seen.get() {
                    counted.set(counted.get() + 1);
                    next_turn().await;
                }
            });
            sleep_until(Instant::now() + Duration::from_millis(2)).await;
            theirs.write_all(b"!").expect("it is connected");
            let mut byte = [0];
            let read = poll_fn(|cx| stream.poll_read(cx, &mut byte)).await;
            assert_eq!((read.expect("it is connected"), byte), (1, *b"!"));
            is_over.set(true);
            assert!(rounds.get() > 1, "it takes its turns meanwhile");
        });
    }

    #[test]
    fn a_shut_side_wakes_who_waits_on_it() {
        let executor = Executor::new().expect("it starts");
        let (ours, mut theirs) = pair();
        let read = executor.run(async move {
            let stream = Rc::new(Stream::new(ours).expect("it is connected"));
            let of_reader = Rc::clone(&stream);
            spawn(async move {
                sleep_until(Instant::now() + Duration::from_millis(2)).await;
                stream.shutdown(Shutdown::Both);
            });
            poll_fn(|cx| of_reader.poll_read(cx, &mut [0])).await
        });
        assert_eq!(read.expect("it is the end, and no error"), 0);
        assert_eq!(theirs.read(&mut [0]).expect("it is the end"), 0);
    }
}
