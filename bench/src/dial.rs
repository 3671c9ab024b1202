//! An attempt to connect that blocks nobody: a host that has vanished answers to nothing, and the load must go on meanwhile.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};

use quorate_client::LinkCause;
use quorate_client::session::LinkNumber;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// The attempt. How long it may take is the session's to say.
#[derive(Debug)]
pub(crate) struct Dial {
    number: LinkNumber,
    /// Addresses that have not been tried.
    rest: VecDeque<SocketAddr>,
    socket: Option<TcpStream>,
    /// Why the last address that was tried failed.
    cause: LinkCause,
}

/// How it stands.
#[derive(Debug)]
pub(crate) enum DialState {
    Open,
    Connected(TcpStream),
    Failed(LinkCause),
}

impl Dial {
    pub(crate) fn begin(number: LinkNumber, address: &str) -> Self {
        let rest = address.to_socket_addrs().map(Iterator::collect);
        Self {
            number,
            rest: rest.unwrap_or_default(),
            socket: None,
            cause: LinkCause::Unresolved,
        }
    }

    /// Which connection it is to be.
    pub(crate) const fn number(&self) -> LinkNumber {
        self.number
    }

    /// The socket that gets writable when there is news.
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// Looks how it stands, and goes on to the next address if one has failed.
    pub(crate) fn state(&mut self) -> DialState {
        loop {
            if let Some(socket) = self.socket.take() {
                match is_connected(&socket) {
                    Ok(true) => return DialState::Connected(socket),
                    Ok(false) => {
                        self.socket = Some(socket);
                        return DialState::Open;
                    }
                    Err(error) => self.cause = LinkCause::Io(error.kind()),
                }
            }
            let Some(address) = self.rest.pop_front() else {
                return DialState::Failed(self.cause.clone());
            };
            match start(address) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => self.cause = LinkCause::Io(error.kind()),
            }
        }
    }
}

fn start(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use quorate_client::LinkCause;
    use quorate_client::session::LinkNumber;

    use super::{Dial, DialState};

    fn wait(dial: &mut Dial) -> DialState {
        loop {
            match dial.state() {
                DialState::Open => std::thread::yield_now(),
                news @ (DialState::Connected(_) | DialState::Failed(_)) => return news,
            }
        }
    }

    #[test]
    fn whoever_listens_is_connected_and_whoever_does_not_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
        let address = listener.local_addr().expect("it listens").to_string();
        let mut dial = Dial::begin(LinkNumber(7), &address);
        let connected = wait(&mut dial);
        assert!(
            matches!(connected, DialState::Connected(_)),
            "{connected:?}"
        );
        assert_eq!(dial.number(), LinkNumber(7));
        drop(listener);
        let refused = wait(&mut Dial::begin(LinkNumber(8), &address));
        let DialState::Failed(cause) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(cause, LinkCause::Io(std::io::ErrorKind::ConnectionRefused));
        let nowhere = wait(&mut Dial::begin(LinkNumber(9), "no address"));
        assert!(matches!(nowhere, DialState::Failed(LinkCause::Unresolved)));
    }
}
