//! A client by hand: frames and what comes back, without a library between.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use quorate_client::ErrorCode;
use quorate_wire::client::{ErrorMessage, Hello};
use quorate_wire::{Frame, FrameHeader, FrameKind, GroupId};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::world::SOON;

/// A frame.
pub(crate) fn frame(kind: FrameKind, message: &[u8], tail: &[u8]) -> Vec<u8> {
    let header = FrameHeader::seal(kind, 77, GroupId(0), &[message], tail.len());
    [header.as_slice(), message, tail].concat()
}

/// A greeting.
pub(crate) fn hello() -> Vec<u8> {
    let hello = Hello {
        cluster: [0; 16],
        version_min: 1,
        version_max: 1,
        flags: 0,
        reserved: [0; 5],
    };
    frame(FrameKind::Hello, hello.as_bytes(), &[])
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// What came from a node.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(FrameKind),
    Refused(ErrorCode),
    End,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream
            .set_read_timeout(Some(SOON))
            .expect("the socket is sound");
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// A node that has heard enough may have closed the connection already.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn hear(&mut self) -> Heard {
        let mut room = [0; 4096];
        loop {
            let parsed = Frame::parse(&self.received).expect("nodes speak the protocol");
            if let Some(frame) = parsed {
                let heard = heard(&frame);
                let bytes = frame.bytes();
                self.received.drain(..bytes);
                return heard;
            }
            match self.stream.read(&mut room) {
                Ok(0) => return Heard::End,
                Ok(bytes) => self.received.extend_from_slice(&room[..bytes]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Heard::End,
                Err(error) => panic!("the node says nothing: {error}"),
            }
        }
    }
}

fn heard(frame: &Frame<'_>) -> Heard {
    if frame.header.kind != FrameKind::Error {
        return Heard::Frame(frame.header.kind);
    }
    let message = ErrorMessage::ref_from_bytes(frame.message).expect("a frame has its message");
    let code = ErrorCode::from_number(message.code.get());
    assert!(!frame.tail.is_empty(), "a refusal says why");
    Heard::Refused(code.expect("nodes use the codes of the manual"))
}
