//! A socket of the runtime, as a transport needs it.
//!
//! Owns: the socket, or the future that connects one. Never: knows what the bytes mean. Called by: the transport.

use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::Pin;

use tokio::io::Interest;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::LinkCause;
use crate::connection::{Socket, passing};
use crate::transport::{Pause, Transport};

type Connecting = dyn Future<Output = Result<TcpStream, LinkCause>> + Send;

pub(super) enum TokioSocket {
    /// It gets on whenever somebody waits for it.
    Dialing(Pin<Box<Connecting>>),
    Open(TcpStream),
    Over(LinkCause),
}

impl Socket for TokioSocket {
    fn dial(address: &str) -> Result<Self, LinkCause> {
        Ok(Self::Dialing(Box::pin(connect(address.to_owned()))))
    }

    fn established(&mut self) -> Result<bool, LinkCause> {
        match self {
            Self::Dialing(_) => Ok(false),
            Self::Open(_) => Ok(true),
            Self::Over(cause) => Err(cause.clone()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkCause> {
        let stream = self.open()?;
        match stream.try_write(bytes) {
            Err(error) if passing(&error) => Ok(0),
            written => written.map_err(|error| LinkCause::Io(error.kind())),
        }
    }

    fn read(&mut self, room: &mut [u8]) -> Result<usize, LinkCause> {
        let stream = self.open()?;
        match stream.try_read(room) {
            Ok(0) => Err(LinkCause::Closed),
            Err(error) if passing(&error) => Ok(0),
            read => read.map_err(|error| LinkCause::Io(error.kind())),
        }
    }
}

impl TokioSocket {
    fn open(&mut self) -> Result<&mut TcpStream, LinkCause> {
        match self {
            Self::Open(stream) => Ok(stream),
            Self::Dialing(_) => Err(LinkCause::None),
            Self::Over(cause) => Err(cause.clone()),
        }
    }

    /// Waits until there is news, or it can be written, if `writes`. Whoever drops the future loses nothing.
    async fn news(&mut self, writes: bool) {
        match self {
            Self::Dialing(connecting) => {
                let connected = poll_fn(|context| connecting.as_mut().poll(context)).await;
                *self = connected.map_or_else(Self::Over, Self::Open);
            }
            Self::Open(stream) => {
                let interest = if writes {
                    Interest::READABLE | Interest::WRITABLE
                } else {
                    Interest::READABLE
                };
                // A failure shows when the socket is read.
                drop(stream.ready(interest).await);
            }
            Self::Over(_) => {}
        }
    }
}

impl fmt::Debug for TokioSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialing(_) => f.write_str("Dialing"),
            Self::Open(stream) => stream.fmt(f),
            Self::Over(cause) => cause.fmt(f),
        }
    }
}

impl Transport<TokioSocket> {
    /// Waits for what the pause says. Whoever drops the future loses nothing.
    pub(super) async fn wait(&mut self, pause: Pause) {
        let news = async {
            match self.socket() {
                Some(socket) => socket.news(pause.blocked).await,
                None => pending().await,
            }
        };
        match pause.timeout {
            // Which of the two it was, the next round sees.
            Some(longest) => drop(timeout(longest, news).await),
            None => news.await,
        }
    }
}

async fn connect(address: String) -> Result<TcpStream, LinkCause> {
    let addresses = lookup_host(&address)
        .await
        .map_err(|_| LinkCause::Unresolved)?;
    let mut cause = LinkCause::Unresolved;
    for address in addresses {
        let connected = TcpStream::connect(address).await;
        let stream = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => cause = LinkCause::Io(error.kind()),
        }
    }
    Err(cause)
}
