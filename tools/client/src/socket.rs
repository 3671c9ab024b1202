//! A nonblocking TCP socket that the caller's own thread waits for: dialling, reading, writing, and sleeping until there is news.
//!
//! Owns: the socket. Never: knows what the bytes mean. Called by: the blocking transport and the status question.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use std::vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::LinkCause;
use crate::connection::{Socket, passing};

/// The socket, or an attempt at one.
#[derive(Debug)]
pub(crate) enum PollSocket {
    /// Waiting for the handshake; the addresses left are tried if it fails.
    Dialing {
        socket: OwnedFd,
        left: vec::IntoIter<SocketAddr>,
    },
    Open(TcpStream),
    /// A failure has been reported; the socket is only good for being dropped.
    Over,
}

impl Socket for PollSocket {
    fn dial(address: &str) -> Result<Self, LinkCause> {
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|_| LinkCause::Unresolved)?
            .collect();
        dial_one_of(addresses.into_iter(), LinkCause::Unresolved)
    }

    fn established(&mut self) -> Result<bool, LinkCause> {
        let (socket, left) = match std::mem::replace(self, Self::Over) {
            Self::Dialing { socket, left } => (socket, left),
            Self::Open(stream) => {
                *self = Self::Open(stream);
                return Ok(true);
            }
            Self::Over => return Err(LinkCause::Closed),
        };
        let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) | Err(Errno::INTR) => {
                *self = Self::Dialing { socket, left };
                return Ok(false);
            }
            Ok(_) => {}
            Err(errno) => return Err(LinkCause::Io(errno.kind())),
        }
        let outcome = sockopt::socket_error(&socket).unwrap_or_else(Err);
        if let Err(errno) = outcome {
            *self = dial_one_of(left, LinkCause::Io(errno.kind()))?;
            return Ok(false);
        }
        let stream = TcpStream::from(socket);
        stream
            .set_nodelay(true)
            .map_err(|error| LinkCause::Io(error.kind()))?;
        *self = Self::Open(stream);
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkCause> {
        let stream = match self {
            Self::Open(stream) => stream,
            Self::Dialing { .. } => return Ok(0),
            Self::Over => return Err(LinkCause::Closed),
        };
        match stream.write(bytes) {
            Ok(written) => Ok(written),
            Err(error) if passing(&error) => Ok(0),
            Err(error) => {
                *self = Self::Over;
                Err(LinkCause::Io(error.kind()))
            }
        }
    }

    fn read(&mut self, room: &mut [u8]) -> Result<usize, LinkCause> {
        let stream = match self {
            Self::Open(stream) => stream,
            Self::Dialing { .. } => return Ok(0),
            Self::Over => return Err(LinkCause::Closed),
        };
        let cause = match stream.read(room) {
            Ok(0) => LinkCause::Closed,
            Ok(bytes) => return Ok(bytes),
            Err(error) if passing(&error) => return Ok(0),
            Err(error) => LinkCause::Io(error.kind()),
        };
        *self = Self::Over;
        Err(cause)
    }
}

impl PollSocket {
    /// Sleeps until there is news (or it can be written, if `writes`), or the time is over. A signal ends it early.
    pub(crate) fn wait(&self, writes: bool, timeout: Duration) -> io::Result<()> {
        let (socket, flags) = match self {
            Self::Dialing { socket, .. } => (socket.as_fd(), PollFlags::OUT),
            Self::Open(stream) if writes => (stream.as_fd(), PollFlags::IN | PollFlags::OUT),
            Self::Open(stream) => (stream.as_fd(), PollFlags::IN),
            Self::Over => return Ok(()),
        };
        sleep_on(&mut [PollFd::from_borrowed_fd(socket, flags)], timeout)
    }
}

fn dial_one_of(
    mut left: vec::IntoIter<SocketAddr>,
    mut cause: LinkCause,
) -> Result<PollSocket, LinkCause> {
    while let Some(address) = left.next() {
        match begin(address) {
            Ok(socket) => return Ok(PollSocket::Dialing { socket, left }),
            Err(errno) => cause = LinkCause::Io(errno.kind()),
        }
    }
    Err(cause)
}

fn begin(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Sleeps without a connection.
pub(crate) fn sleep(timeout: Duration) -> io::Result<()> {
    sleep_on(&mut [], timeout)
}

fn sleep_on(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    // Far beyond any deadline of ours; a timespec cannot hold every duration.
    const LONGEST: Duration = Duration::from_secs(3600);
    let timeout = timeout.min(LONGEST);
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).expect("an hour fits"),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
