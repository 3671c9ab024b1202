//! glommio, behind one door: the only file that names it.
//!
//! What its source (0.9.0) asks of whoever uses it:
//! - A task that yields in a loop is run again before any input is looked at, until the preemption timer fires after 100 ms.
//!   So no task here ever yields: each parks on a socket, a bell, or a timer, and a task that could go on for ever without
//!   parking parks on [`next_turn`].
//! - Each of its three rings registers its whole `io_memory`, which counts against the memlock limit. A shard does no direct
//!   I/O, so it gets the least: 64 KiB, 192 KiB in all. Where that is too much it goes on without, but it refuses to start
//!   below a limit of 512 KiB.
//! - Its listener switches `O_NONBLOCK` on and off around each accept, for everybody who shares the socket, and can be made
//!   from an existing descriptor by unsafe code only. So a thread of our own accepts, and hands connected sockets over.
//! - It spins before it parks only if told to: `shards.spin_us`, zero unless somebody wants it; and only
//!   on a core that it is told of.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2_of_glommio::Socket;

/// Memory for direct I/O, which a shard does none of.
const IO_MEMORY: usize = 64 << 10;

/// The limit on locked memory below which glommio refuses to start, whatever it then needs.
const MEMLOCK_NEEDED: u64 = 512 << 10;

/// Entries of each submission queue. More operations than that may be open: each connection has one that polls.
const RING_DEPTH: usize = 256;

/// Why a shard does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The limit on locked memory is too low.
    #[error(
        "the limit on locked memory is {bytes} bytes, and a shard does not start below {MEMLOCK_NEEDED}"
    )]
    Memlock {
        /// The limit, raised as far as it may be.
        bytes: u64,
    },
    /// The operating system has no thread or no ring for it.
    #[error("starting a shard: {0}")]
    Host(#[from] io::Error),
}

/// An executor on the calling thread.
#[derive(Debug)]
pub(super) struct Executor {
    inner: LocalExecutor,
}

impl Executor {
    /// `spin` is how long it looks for work before it parks, if the thread has a core.
    pub(super) fn new(name: &str, core: Option<usize>, spin: Duration) -> Result<Self, StartError> {
        check_memlock()?;
        // glommio spins on a core that it knows, and on no other.
        let spins = core.filter(|_| !spin.is_zero());
        let inner = LocalExecutorBuilder::new(spins.map_or(Placement::Unbound, Placement::Fixed))
            .name(name)
            .io_memory(IO_MEMORY)
            .ring_depth(RING_DEPTH)
            .spin_before_park(spin)
            .make()
            .map_err(io::Error::from)?;
        Ok(Self { inner })
    }

    /// Runs until `future` is done. Tasks that were spawned and still run end with it.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner.run(future)
    }
}

/// Raises the limit on locked memory to what the process may raise it to, if it has to.
fn check_memlock() -> Result<(), StartError> {
    let limit = getrlimit(Resource::Memlock);
    let (Some(current), maximum) = (limit.current, limit.maximum.unwrap_or(u64::MAX)) else {
        return Ok(());
    };
    if current >= MEMLOCK_NEEDED {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(MEMLOCK_NEEDED),
        ..limit
    };
    if maximum >= MEMLOCK_NEEDED && setrlimit(Resource::Memlock, raised).is_ok() {
        return Ok(());
    }
    Err(StartError::Memlock { bytes: maximum })
}

/// Starts a task on the executor of this thread.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(future).detach();
}

/// Parks until `moment`.
pub(super) async fn sleep_until(moment: Instant) {
    Timer::new(moment.saturating_duration_since(Instant::now())).await;
}

/// Parks until the other tasks have run and the sockets have been looked at.
pub(super) async fn next_turn() {
    // A timer is looked at once a turn, after the tasks. One that is over already would not park at all.
    Timer::new(Duration::from_micros(1)).await;
}

/// A connected socket. One task reads, one writes.
#[derive(Debug)]
pub(super) struct Stream {
    inner: RefCell<TcpStream>,
}

impl Stream {
    pub(super) fn new(socket: std::net::TcpStream) -> Self {
        Self {
            inner: RefCell::new(TcpStream::from(Socket::from(socket))),
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner.borrow_mut()).poll_read(cx, into)
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner.borrow_mut()).poll_write(cx, bytes)
    }

    /// Shuts one side or both. A task that waits on that side wakes up.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let stream = self.inner.borrow();
        let future = pin!(stream.shutdown(how));
        // It makes one system call and is ready. That a socket is gone already is no trouble: that was wanted.
        let _ = future.poll(&mut Context::from_waker(Waker::noop()));
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

    #[test]
    fn a_task_that_takes_turns_lets_sockets_and_timers_through() {
        take_turns(None, Duration::ZERO);
    }

    #[test]
    fn one_that_spins_does_too() {
        let core = crate::pin::cores().first().map(|core| core.id);
        take_turns(core, Duration::from_micros(100));
    }

    /// Yielding in the place of [`next_turn`] would hold all of it up until the preemption timer fires, each time. On a busy host
    /// one time may be as long.
    fn take_turns(core: Option<usize>, spin: Duration) {
        let mut times = (0..100).map(|_| turns(core, spin));
        let soon = |(rounds, took)| rounds > 1 && took < Duration::from_millis(90);
        assert!(times.any(soon), "the busy task holds the others up");
    }

    /// How often a task that takes turns ran while another one slept and read, and how long that took.
    fn turns(core: Option<usize>, spin: Duration) -> (u64, Duration) {
        let executor = Executor::new("turns", core, spin).expect("glommio starts");
        let (ours, mut theirs) = pair();
        executor.run(async move {
            let stream = Stream::new(ours);
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
            let begun = Instant::now();
            sleep_until(begun + Duration::from_millis(2)).await;
            theirs.write_all(b"!").expect("it is connected");
            let mut byte = [0];
            let read = poll_fn(|cx| stream.poll_read(cx, &mut byte)).await;
            assert_eq!((read.expect("it is connected"), byte), (1, *b"!"));
            is_over.set(true);
            (rounds.get(), begun.elapsed())
        })
    }

    #[test]
    fn a_shut_side_wakes_who_waits_on_it() {
        let executor = Executor::new("shut", None, Duration::ZERO).expect("glommio starts");
        let (ours, mut theirs) = pair();
        let read = executor.run(async move {
            let stream = Rc::new(Stream::new(ours));
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
