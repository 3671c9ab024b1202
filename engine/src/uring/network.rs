//! Links through the ring.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::opcode;
use io_uring::types::Fd;
use quorate_replication::seam::{LinkId, Network, NetworkEvent, Receive, Send as Outgoing};
use quorate_wire::NodeId;
use rustix::net::Shutdown;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::driver::{Driver, Lent};
use super::flight::total;
use super::ops::{Op, Token};
use crate::clock;

/// How long not to listen after the host had no descriptor for a connection.
const ACCEPT_PAUSE_NANOSECONDS: u64 = 100_000_000;

impl Network for Driver {
    fn locate(&mut self, peer: NodeId, at: SocketAddr) {
        self.peers.retain(|known| known.0 != peer);
        self.peers.push((peer, at));
    }

    fn connect(&mut self, peer: NodeId) {
        assert!(
            !self.dials.is_open(peer),
            "a peer is dialled once at a time"
        );
        if self.dial(peer).is_none() {
            self.events.push(NetworkEvent::ConnectFailed { peer });
        }
    }

    fn send(&mut self, link: LinkId, send: Outgoing) {
        let Some(slot) = self.lent.links.find(link) else {
            return; // Its `Closed` is on the way.
        };
        assert!(
            self.lent.links.link(slot).send.is_none(),
            "a link has one send open"
        );
        let left = total(&send);
        if left == 0 {
            self.events.push(NetworkEvent::Sent { link, send });
            return;
        }
        self.begin_send(slot, send, left);
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        let Some(slot) = self.lent.links.find(link) else {
            return; // Its `Closed` is on the way.
        };
        assert!(
            self.lent.links.link(slot).receive.is_none(),
            "a link has one receive open"
        );
        assert!(
            receive.from < receive.memory.len(),
            "a receive has room for a byte"
        );
        self.begin_receive(slot, receive);
    }

    fn close(&mut self, link: LinkId) {
        if let Some(slot) = self.lent.links.find(link) {
            self.shut(slot);
        }
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        events.append(&mut self.events);
    }
}

impl Driver {
    fn dial(&mut self, peer: NodeId) -> Option<()> {
        let (_, address) = *self.peers.iter().find(|(id, _)| *id == peer)?;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
        socket.set_tcp_nodelay(true).ok()?;
        let socket = OwnedFd::from(socket);
        let descriptor = Fd(socket.as_raw_fd());
        let address = Box::new(SockAddr::from(address));
        let (name, length) = (address.as_ptr(), address.len());
        let token = self.lent.ops.insert(Op::Connect {
            peer,
            socket,
            address,
        });
        let entry = opcode::Connect::new(descriptor, name.cast(), length)
            .build()
            .user_data(token.user_data());
        // SAFETY: the address is boxed in the op, which owns the socket too, until the connect has completed.
        unsafe { self.ring.push(&entry) };
        self.dials.begin(peer, token, clock::now());
        Some(())
    }

    pub(super) fn connected(&mut self, token: Token, peer: NodeId, socket: OwnedFd, result: i32) {
        self.dials.end(token);
        let link = if result < 0 || is_own_echo(&socket) {
            None
        } else {
            self.lent.links.insert(socket)
        };
        self.events.push(match link {
            Some(link) => NetworkEvent::Connected { peer, link },
            None => NetworkEvent::ConnectFailed { peer },
        });
    }

    /// Takes connections until the entry ends.
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let token = self.lent.ops.insert(Op::Accept);
        let entry = opcode::AcceptMulti::new(Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(token.user_data());
        // SAFETY: the entry points to no memory; the listener is open as long as the ring.
        unsafe { self.ring.push(&entry) };
    }

    pub(super) fn accepted(&mut self, result: i32) {
        if result < 0 {
            return;
        }
        // SAFETY: the kernel has just made this descriptor for this completion; nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(result) };
        if SockRef::from(&socket).set_tcp_nodelay(true).is_err() {
            return; // It is gone already.
        }
        if let Some(link) = self.lent.links.accept(socket) {
            self.events.push(NetworkEvent::Accepted { link });
        }
    }

    /// The last completion of an entry that takes connections: another one follows.
    pub(super) fn accept_ended(&mut self, result: i32) {
        self.accepted(result);
        let exhausted = matches!(
            -result,
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
        );
        if exhausted {
            // At once it would fail again, and again.
            self.accept_again = Some(clock::now().after(ACCEPT_PAUSE_NANOSECONDS));
        } else {
            self.accept();
        }
    }

    fn begin_send(&mut self, slot: usize, send: Outgoing, left: usize) {
        let skip = total(&send) - left;
        let Lent { ops, links } = &mut *self.lent;
        let (link, flight) = links.flight(slot);
        let header = flight.aim(&send, skip);
        let descriptor = Fd(link.socket.as_raw_fd());
        let op = Op::Send {
            link: slot,
            send,
            left,
        };
        let token = ops.insert(op);
        link.send = Some(token);
        // A link that the peer has closed shall give an error, not a signal.
        let entry = opcode::SendMsg::new(descriptor, header)
            .flags(libc::MSG_NOSIGNAL.unsigned_abs())
            .build()
            .user_data(token.user_data());
        // SAFETY: the header and its vectors are the link's flight, which never moves, and which only the next send of this
        // link changes; they point into the heap memory of the send in the op, which nobody changes, until it has completed.
        // The link and its socket outlive the op.
        unsafe { self.ring.push(&entry) };
    }

    pub(super) fn sent(&mut self, slot: usize, send: Outgoing, left: usize, result: i32) {
        let link = self.lent.links.link(slot);
        link.send = None;
        let (id, closing) = (link.id, link.closing);
        let again = matches!(-result, libc::EINTR | libc::EAGAIN);
        if closing {
            self.bury(slot);
        } else if again {
            self.begin_send(slot, send, left);
        } else {
            match usize::try_from(result) {
                Ok(bytes) if bytes == left => {
                    self.events.push(NetworkEvent::Sent { link: id, send })
                }
                Ok(bytes) if bytes > 0 => {
                    assert!(bytes < left, "no more is sent than was given");
                    self.begin_send(slot, send, left - bytes);
                }
                Ok(_) | Err(_) => self.shut(slot),
            }
        }
    }

    fn begin_receive(&mut self, slot: usize, mut receive: Receive) {
        let room = &mut receive.memory[receive.from..];
        // What does not fit 32 bits is received the next time.
        let (address, length) = (
            room.as_mut_ptr(),
            u32::try_from(room.len()).unwrap_or(u32::MAX),
        );
        let Lent { ops, links } = &mut *self.lent;
        let link = links.link(slot);
        let descriptor = Fd(link.socket.as_raw_fd());
        let op = Op::Receive {
            link: slot,
            receive,
        };
        let token = ops.insert(op);
        link.receive = Some(token);
        let entry = opcode::Recv::new(descriptor, address, length)
            .build()
            .user_data(token.user_data());
        // SAFETY: the op owns the memory, of which the entry names the end from `from` on, until the receive has completed.
        // The link and its socket outlive the op.
        unsafe { self.ring.push(&entry) };
    }

    pub(super) fn received(&mut self, slot: usize, receive: Receive, result: i32) {
        let link = self.lent.links.link(slot);
        link.receive = None;
        let (id, closing) = (link.id, link.closing);
        let again = matches!(-result, libc::EINTR | libc::EAGAIN);
        if closing {
            self.bury(slot);
        } else if again {
            self.begin_receive(slot, receive);
        } else {
            match usize::try_from(result) {
                Ok(bytes) if bytes > 0 => self.events.push(NetworkEvent::Received {
                    link: id,
                    receive,
                    bytes,
                }),
                // The peer has ended it, or it broke.
                Ok(_) | Err(_) => self.shut(slot),
            }
        }
    }

    /// Ends a link: its ops come back, and then it is gone.
    fn shut(&mut self, slot: usize) {
        let link = self.lent.links.link(slot);
        assert!(!link.closing, "a link is shut once");
        link.closing = true;
        // What the kernel has been given to send is still sent. A link that is already down is as good.
        let _down = rustix::net::shutdown(&link.socket, Shutdown::Both);
        let open = [link.send, link.receive];
        for token in open.into_iter().flatten() {
            self.cancel(token);
        }
        self.bury(slot);
    }

    fn bury(&mut self, slot: usize) {
        if let Some(link) = self.lent.links.bury(slot) {
            self.events.push(NetworkEvent::Closed { link });
        }
    }
}

/// A dial to a free local port can be answered by itself: the kernel may draw the same port for its near end.
fn is_own_echo(socket: &OwnedFd) -> bool {
    let socket = SockRef::from(socket);
    let near = socket.local_addr().ok().and_then(|name| name.as_socket());
    let far = socket.peer_addr().ok().and_then(|name| name.as_socket());
    near == far
}
