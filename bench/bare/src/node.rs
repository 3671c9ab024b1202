//! A node: takes frames, writes them to its log, sends them to its followers, and says which are on a quorum of disks. A follower
//! is a node without followers.
//!
//! ```text
//!   upstream --> input --(checksum, one copy)--> group --+--> log          one write at a time, of all that came meanwhile
//!      ^                                                 +--> follower 1   the same bytes
//!      |                                                 +--> follower 2
//!      +------- the highest sequence that a majority of logs has <-- acknowledgements
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use crate::buffer::{BLOCK, Buffer};
use crate::frame;
use crate::log::Log;
use crate::ring::{Done, Ring};

/// Bytes that one read takes.
const INPUT: usize = 1 << 20;

/// Bytes of a group. While it has no room for a whole input, nothing more is received.
pub(crate) const GROUP: usize = 16 << 20;

/// Groups that a follower may be behind: the other one's acknowledgements suffice for a while, not for ever.
const BEHIND_MAX: usize = 64;

/// An acknowledgement: a sequence.
pub(crate) const ACK: usize = 8;

const FROM_UPSTREAM: usize = 0;
const TO_UPSTREAM: usize = 1;
const TO_LOG: usize = 2;

const fn to_follower(follower: usize) -> usize {
    3 + 2 * follower
}

const fn from_follower(follower: usize) -> usize {
    4 + 2 * follower
}

/// Frames that are written and sent together.
#[derive(Debug)]
struct Group {
    buffer: Arc<Buffer>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Follower {
    socket: TcpStream,
    waiting: VecDeque<(Arc<Buffer>, usize)>,
    /// Bytes of the first one that are sent.
    sent: usize,
    acked: u64,
    /// Bytes of an acknowledgement that is not all there.
    part: usize,
}

pub(crate) struct Node {
    ring: Ring,
    log: Log,
    upstream: TcpStream,
    followers: Vec<Follower>,
    group: Group,
    /// Buffers of earlier groups: taken again when nobody holds them any more.
    old: Vec<Arc<Buffer>>,
    /// The last sequence of the group that is being written.
    writing: Option<(u64, usize)>,
    durable: u64,
    acked: u64,
    /// Bytes in the input that are no whole frame yet, and the input while nothing is received.
    filled: usize,
    input: Option<Buffer>,
}

impl Node {
    pub(crate) fn new(
        log: Log,
        upstream: TcpStream,
        followers: Vec<TcpStream>,
    ) -> io::Result<Self> {
        let follower = |socket| Follower {
            socket,
            waiting: VecDeque::new(),
            sent: 0,
            acked: 0,
            part: 0,
        };
        Ok(Self {
            ring: Ring::new(3 + 2 * followers.len())?,
            log,
            upstream,
            followers: followers.into_iter().map(follower).collect(),
            group: Group {
                buffer: Arc::new(Buffer::new(GROUP)),
                bytes: 0,
                last: 0,
            },
            old: Vec::new(),
            writing: None,
            durable: 0,
            acked: 0,
            filled: 0,
            input: Some(Buffer::new(INPUT)),
        })
    }

    /// Works until the upstream ends.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        for at in 0..self.followers.len() {
            self.hear(at, Buffer::new(4_096))?;
        }
        let mut done = Vec::new();
        loop {
            self.go_on()?;
            self.ring.wait(&mut done)?;
            for done in done.drain(..) {
                if done.slot == FROM_UPSTREAM && done.bytes == 0 {
                    return Ok(());
                }
                self.done(done)?;
            }
        }
    }

    fn done(&mut self, done: Done) -> io::Result<()> {
        match done.slot {
            FROM_UPSTREAM => {
                self.filled += done.bytes;
                self.input = done.received;
                self.take()
            }
            TO_UPSTREAM => whole(done.bytes, ACK),
            TO_LOG => {
                let (last, bytes) = self.writing.take().expect("a write was in flight");
                self.durable = last;
                whole(done.bytes, bytes)
            }
            other => self.of_follower((other - 3) / 2, done),
        }
    }

    /// Takes whole frames from the input into the group.
    fn take(&mut self) -> io::Result<()> {
        let mut input = self.input.take().expect("it was just received into");
        let mut taken = 0;
        let bytes = input.bytes().get(..self.filled).unwrap_or_default();
        while let Some((len, sequence)) = frame::parse(bytes.get(taken..).unwrap_or_default())? {
            assert_eq!(sequence, self.group.last + 1, "no frame is left out");
            self.group.last = sequence;
            taken += len;
        }
        let group = Arc::get_mut(&mut self.group.buffer)
            .expect("a group that grows is held by nobody else");
        let room = group
            .bytes_mut()
            .get_mut(self.group.bytes..self.group.bytes + taken);
        let room = room.expect("nothing was received without room for it");
        room.copy_from_slice(bytes.get(..taken).unwrap_or_default());
        self.group.bytes += taken;
        input.bytes_mut().copy_within(taken..self.filled, 0);
        self.filled -= taken;
        self.input = Some(input);
        Ok(())
    }

    fn of_follower(&mut self, at: usize, done: Done) -> io::Result<()> {
        let follower = self.followers.get_mut(at).expect("slots are of followers");
        let Some(mut buffer) = done.received else {
            follower.sent += done.bytes;
            let whole = follower
                .waiting
                .front()
                .is_some_and(|(_, bytes)| follower.sent == *bytes);
            if whole {
                follower.waiting.pop_front();
                follower.sent = 0;
            }
            return Ok(());
        };
        if done.bytes == 0 {
            return Err(io::Error::other("a follower has ended"));
        }
        let filled = follower.part + done.bytes;
        let last = filled / ACK * ACK;
        if let Some(acked) = last
            .checked_sub(ACK)
            .and_then(|at| frame::u64_at(buffer.bytes(), at))
        {
            follower.acked = acked;
        }
        buffer.bytes_mut().copy_within(last..filled, 0);
        follower.part = filled - last;
        self.hear(at, buffer)
    }

    fn hear(&mut self, at: usize, buffer: Buffer) -> io::Result<()> {
        let follower = self.followers.get(at).expect("slots are of followers");
        let slot = from_follower(at);
        self.ring
            .receive(slot, &follower.socket, buffer, follower.part)
    }

    /// Begins all that can begin.
    fn go_on(&mut self) -> io::Result<()> {
        if self.writing.is_none() && self.group.bytes > 0 {
            self.commit()?;
        }
        for (at, follower) in self.followers.iter().enumerate() {
            if self.ring.is_free(to_follower(at))
                && let Some((buffer, bytes)) = follower.waiting.front()
            {
                let part = (follower.sent, *bytes);
                self.ring
                    .send(to_follower(at), &follower.socket, buffer, part)?;
            }
        }
        let quorum = self.on_a_quorum();
        if quorum > self.acked && self.ring.is_free(TO_UPSTREAM) {
            let mut ack = Buffer::new(ACK);
            ack.bytes_mut().copy_from_slice(&quorum.to_le_bytes());
            self.ring
                .send(TO_UPSTREAM, &self.upstream, &Arc::new(ack), (0, ACK))?;
            self.acked = quorum;
        }
        if self.has_room()
            && let Some(input) = self.input.take()
        {
            self.ring
                .receive(FROM_UPSTREAM, &self.upstream, input, self.filled)?;
        }
        Ok(())
    }

    /// A disk that is slow for a while slows nobody; one that stays slow slows the client.
    fn has_room(&self) -> bool {
        let near = |follower: &Follower| follower.waiting.len() < BEHIND_MAX;
        self.group.bytes + INPUT <= GROUP && self.followers.iter().all(near)
    }

    /// Group commit: one write, and one send to each follower, of all that came while the last write was in flight.
    fn commit(&mut self) -> io::Result<()> {
        let buffer = self.fresh();
        let fresh = Group {
            buffer,
            bytes: 0,
            last: self.group.last,
        };
        let mut group = std::mem::replace(&mut self.group, fresh);
        let padded = group.bytes.next_multiple_of(BLOCK);
        let inner = Arc::get_mut(&mut group.buffer).expect("nobody holds it yet");
        inner
            .bytes_mut()
            .get_mut(group.bytes..padded)
            .unwrap_or_default()
            .fill(0);
        let position = self.log.place(padded);
        self.ring
            .write(TO_LOG, &self.log.file, &group.buffer, padded, position)?;
        self.writing = Some((group.last, padded));
        for follower in &mut self.followers {
            follower
                .waiting
                .push_back((Arc::clone(&group.buffer), group.bytes));
        }
        self.old.push(group.buffer);
        Ok(())
    }

    fn fresh(&mut self) -> Arc<Buffer> {
        let free = self.old.iter().position(|old| Arc::strong_count(old) == 1);
        match free {
            Some(at) => self.old.swap_remove(at),
            None => Arc::new(Buffer::new(GROUP)),
        }
    }

    fn on_a_quorum(&self) -> u64 {
        let others = self.followers.iter().map(|follower| follower.acked);
        majority(others.chain([self.durable]).collect())
    }
}

/// The highest sequence that a majority of logs has.
fn majority(mut durable: Vec<u64>) -> u64 {
    durable.sort_unstable();
    durable.get((durable.len() - 1) / 2).copied().unwrap_or(0)
}

fn whole(moved: usize, wanted: usize) -> io::Result<()> {
    if moved == wanted {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{moved} of {wanted} bytes were moved"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::majority;

    #[test]
    fn two_of_three_logs_are_enough_and_one_is_not() {
        assert_eq!(majority(vec![7]), 7);
        assert_eq!(majority(vec![9, 0, 0]), 0);
        assert_eq!(majority(vec![9, 4, 0]), 4);
        assert_eq!(majority(vec![4, 9, 9]), 9);
        assert_eq!(majority(vec![1, 2, 3, 4, 5]), 3);
    }
}
