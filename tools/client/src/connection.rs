//! One nonblocking TCP connection: dialling, reading, writing, and waiting for any of them.
//!
//! Owns: the socket and the bytes that were read and not yet taken. Never: knows what the bytes mean. Called by: the
//! transport and the status question.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use std::vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::LinkCause;

#[derive(Debug)]
enum State {
    /// Waiting for the handshake; the addresses left are tried if it fails.
    Dialing {
        socket: OwnedFd,
        left: vec::IntoIter<SocketAddr>,
    },
    Open(TcpStream),
    /// A failure has been reported; the connection is only good for being dropped.
    Over,
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Connection {
    state: State,
    /// Read bytes lie in `input[..filled]`. Its length never changes.
    input: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Begins to connect. `input` is the buffer for what is read; it must hold the largest frame expected.
    pub(crate) fn dial(address: &str, input: Vec<u8>) -> Result<Self, LinkCause> {
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|_| LinkCause::Unresolved)?
            .collect();
        let mut connection = Self {
            state: State::Over,
            input,
            filled: 0,
        };
        connection.dial_one_of(addresses.into_iter(), LinkCause::Unresolved)?;
        Ok(connection)
    }

    fn dial_one_of(
        &mut self,
        mut left: vec::IntoIter<SocketAddr>,
        mut cause: LinkCause,
    ) -> Result<(), LinkCause> {
        while let Some(address) = left.next() {
            match begin(address) {
                Ok(socket) => {
                    self.state = State::Dialing { socket, left };
                    return Ok(());
                }
                Err(errno) => cause = LinkCause::Io(errno.kind()),
            }
        }
        self.state = State::Over;
        Err(cause)
    }

    /// Sleeps until the connection has news (or can be written, if `writes`), or the time is over. A signal ends it early.
    pub(crate) fn wait(&self, writes: bool, timeout: Duration) -> io::Result<()> {
        let (socket, flags) = match &self.state {
            State::Dialing { socket, .. } => (socket.as_fd(), PollFlags::OUT),
            State::Open(stream) if writes => (stream.as_fd(), PollFlags::IN | PollFlags::OUT),
            State::Open(stream) => (stream.as_fd(), PollFlags::IN),
            State::Over => return Ok(()),
        };
        sleep_on(&mut [PollFd::from_borrowed_fd(socket, flags)], timeout)
    }

    /// Whether the connection has come about. To be asked after [`Self::wait`].
    pub(crate) fn established(&mut self) -> Result<bool, LinkCause> {
        if matches!(self.state, State::Open(_)) {
            return Ok(true);
        }
        let State::Dialing { socket, left } = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(LinkCause::Closed);
        };
        let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) | Err(Errno::INTR) => {
                self.state = State::Dialing { socket, left };
                return Ok(false);
            }
            Ok(_) => {}
            Err(errno) => return Err(LinkCause::Io(errno.kind())),
        }
        let outcome = sockopt::socket_error(&socket).unwrap_or_else(Err);
        if let Err(errno) = outcome {
            self.dial_one_of(left, LinkCause::Io(errno.kind()))?;
            return Ok(false);
        }
        let stream = TcpStream::from(socket);
        stream
            .set_nodelay(true)
            .map_err(|error| LinkCause::Io(error.kind()))?;
        self.state = State::Open(stream);
        Ok(true)
    }

    /// Writes what the socket takes; 0 if it takes nothing now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkCause> {
        let stream = match &mut self.state {
            State::Open(stream) => stream,
            State::Dialing { .. } => return Ok(0),
            State::Over => return Err(LinkCause::Closed),
        };
        match stream.write(bytes) {
            Ok(written) => Ok(written),
            Err(error) if passing(&error) => Ok(0),
            Err(error) => {
                self.state = State::Over;
                Err(LinkCause::Io(error.kind()))
            }
        }
    }

    /// Reads what has come, as far as the buffer takes it, and returns whether that was anything.
    pub(crate) fn read(&mut self) -> Result<bool, LinkCause> {
        let stream = match &mut self.state {
            State::Open(stream) => stream,
            State::Dialing { .. } => return Ok(false),
            State::Over => return Err(LinkCause::Closed),
        };
        let room = self.input.get_mut(self.filled..).unwrap_or_default();
        assert!(
            !room.is_empty(),
            "the buffer holds the largest frame, and whole frames are taken from it"
        );
        match stream.read(room) {
            Ok(0) => {
                self.state = State::Over;
                Err(LinkCause::Closed)
            }
            Ok(bytes) => {
                self.filled += bytes;
                Ok(true)
            }
            Err(error) if passing(&error) => Ok(false),
            Err(error) => {
                self.state = State::Over;
                Err(LinkCause::Io(error.kind()))
            }
        }
    }

    /// Whether the last read filled the buffer: there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.input.len()
    }

    /// What was read and not yet taken.
    pub(crate) fn input(&self) -> &[u8] {
        self.input.get(..self.filled).unwrap_or_default()
    }

    /// So many bytes of [`Self::input`] are done with.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.input.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    /// Gives the buffer back, for the next connection.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.input
    }
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

fn passing(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
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
