//! The way in: one thread accepts for all shards, and hands them the sockets in turn.
//!
//! Owns: the listening socket, the count of the node's connections. Never: reads or writes a client's bytes. Called by: the
//! node, which binds before anything starts, so that an address in use costs nothing; and each shard's doorman.
//!
//! The thread sleeps in `accept`. It is not on the data's way: a client meets it once.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use rtrb::{Consumer, Producer, RingBuffer};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that the kernel holds for us until we accept them.
const BACKLOG: i32 = 4096;

/// Sockets on their way to one shard.
const GUESTS_MAX: usize = 1024;

/// How long the thread rests when the process has no descriptors left.
const REST: Duration = Duration::from_millis(100);

/// How long it waits for a shard that is behind with its guests.
const WAIT_FOR_SHARD: Duration = Duration::from_millis(1);

/// How long a connection may be silent before the kernel asks whether the client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A socket that is bound and listens. Nobody is accepted yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on `host:port`.
    ///
    /// # Errors
    /// The host has no address, or the operating system refuses it.
    pub fn bind(address: &str) -> io::Result<Self> {
        let mut refusal = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in address.to_socket_addrs()? {
            match Self::bind_one(address) {
                Ok(socket) => return Ok(Self { socket }),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Connections of an earlier process that linger do not keep the port; another listener does.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Begins to accept, for these shards, at most so many connections at a time.
    ///
    /// # Errors
    /// The operating system has no thread for it.
    ///
    /// # Panics
    /// There is no shard.
    pub fn accept_for(self, shards: Vec<Hall>, connections: usize) -> io::Result<Acceptor> {
        assert!(!shards.is_empty(), "somebody takes the connections");
        let socket = self.socket.try_clone()?;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let accepting = Accepting {
            socket: self.socket,
            shards,
            next: 0,
            seats: Seats {
                taken: Arc::default(),
                all: connections,
            },
            is_stopping: Arc::clone(&is_stopping),
        };
        let thread = thread::Builder::new()
            .name("acceptor".to_owned())
            .spawn(move || accepting.run())?;
        Ok(Acceptor {
            socket,
            is_stopping,
            thread: Some(thread),
        })
    }
}

/// The thread that accepts. It ends when this is dropped, and with it the way into its shards.
#[derive(Debug)]
pub struct Acceptor {
    socket: TcpListener,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        // It ends the `accept` that the thread sleeps in, and each one after it.
        let woken = SockRef::from(&self.socket).shutdown(Shutdown::Both);
        if let (Ok(()), Some(thread)) = (woken, self.thread.take()) {
            // A panic of that thread has been told by itself, and ends the process where it matters.
            let _ = thread.join();
        }
    }
}

struct Accepting {
    socket: TcpListener,
    shards: Vec<Hall>,
    next: usize,
    seats: Seats,
    is_stopping: Arc<AtomicBool>,
}

impl Accepting {
    fn run(mut self) {
        let mut in_trouble = false;
        while !self.is_stopping.load(Ordering::Acquire) {
            match self.socket.accept() {
                Ok((socket, client)) => {
                    in_trouble = false;
                    self.seat(socket, client);
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(_) if self.is_stopping.load(Ordering::Acquire) => return,
                Err(error) => {
                    if !in_trouble {
                        tracing::warn!(%error, "cannot accept connections: those in the queue wait");
                    }
                    in_trouble = true;
                    thread::sleep(REST);
                }
            }
        }
    }

    fn seat(&mut self, socket: TcpStream, client: SocketAddr) {
        // A socket whose options cannot be set has lost its client already, and will say so when it is read.
        let _ = socket.set_nodelay(true);
        let _ = SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        let mut guest = Guest {
            socket,
            client: Some(client),
            seat: self.seats.take(),
        };
        loop {
            for _ in 0..self.shards.len() {
                let shard = self.next;
                self.next = (shard + 1) % self.shards.len();
                match self.shards[shard].send(guest) {
                    Ok(()) => return,
                    Err(back) => guest = back,
                }
            }
            if self.is_stopping.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(WAIT_FOR_SHARD);
        }
    }
}

/// Whether the error is about the connection that was to be accepted, and the next one may be fine.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// The node's connections, counted.
#[derive(Debug)]
struct Seats {
    taken: Arc<AtomicUsize>,
    all: usize,
}

impl Seats {
    /// Only the acceptor takes seats, so none is given twice between the look and the taking.
    fn take(&self) -> Option<Seat> {
        if self.taken.load(Ordering::Relaxed) >= self.all {
            return None;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Seat(Arc::clone(&self.taken)))
    }
}

/// One of the node's connections. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on its way to its shard.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) socket: TcpStream,
    pub(super) client: Option<SocketAddr>,
    /// None if all are taken: it is told so, and let go.
    pub(super) seat: Option<Seat>,
}

/// The acceptor's end of the way into a shard.
#[derive(Debug)]
pub struct Hall {
    guests: Producer<Guest>,
    knock: Arc<Knock>,
}

impl Hall {
    fn send(&mut self, guest: Guest) -> Result<(), Guest> {
        match self.guests.push(guest) {
            Ok(()) => {
                self.knock.waker.wake();
                Ok(())
            }
            Err(rtrb::PushError::Full(guest)) => Err(guest),
        }
    }
}

/// How a doorman is woken.
#[derive(Debug, Default)]
pub(super) struct Knock {
    waker: AtomicWaker,
    is_closing: AtomicBool,
}

impl Knock {
    /// Tells the doorman to let nobody in any more.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The shard's end of the way in.
#[derive(Debug)]
pub(super) struct Door {
    guests: Consumer<Guest>,
    knock: Arc<Knock>,
}

impl Door {
    /// The next guest; `None` when the shard is told to stop.
    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Guest>> {
        self.knock.waker.register(cx.waker());
        if self.knock.is_closing.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        self.guests
            .pop()
            .map_or(Poll::Pending, |guest| Poll::Ready(Some(guest)))
    }
}

/// A way into a shard.
pub(super) fn way_in() -> (Hall, Door, Arc<Knock>) {
    let (put, take) = RingBuffer::new(GUESTS_MAX);
    let knock = Arc::<Knock>::default();
    let hall = Hall {
        guests: put,
        knock: Arc::clone(&knock),
    };
    let door = Door {
        guests: take,
        knock: Arc::clone(&knock),
    };
    (hall, door, knock)
}
