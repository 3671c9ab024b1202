//! The client: keeps so many frames in flight, and times each until it is acknowledged.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::buffer::Buffer;
use crate::frame;
use crate::node::ACK;
use crate::ring::Ring;

/// Frames are put together for one send up to so many bytes.
const OUTPUT: usize = 1 << 20;

const SEND: usize = 0;
const RECEIVE: usize = 1;

/// What is sent, and for how long.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) event_size: usize,
    pub(crate) batch: usize,
    pub(crate) in_flight: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) frames: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latency_us: Histogram<u64>,
}

struct Client<'a> {
    ring: Ring,
    leader: &'a TcpStream,
    in_flight: usize,
    template: Vec<u8>,
    /// When each frame that is not acknowledged was made.
    made: VecDeque<Instant>,
    sequence: u64,
    acked: u64,
    output: Option<Arc<Buffer>>,
    /// Bytes of the output, and how many of them are sent.
    bytes: usize,
    sent: usize,
    part: usize,
}

/// Loads a leader.
pub(crate) fn run(leader: &TcpStream, load: &Load) -> io::Result<Measured> {
    let template = frame::template(load.event_size, load.batch);
    let mut client = Client {
        ring: Ring::new(2)?,
        leader,
        in_flight: load.in_flight,
        output: Some(Arc::new(Buffer::new(OUTPUT.max(template.len())))),
        template,
        made: VecDeque::with_capacity(load.in_flight),
        sequence: 0,
        acked: 0,
        bytes: 0,
        sent: 0,
        part: 0,
    };
    client
        .ring
        .receive(RECEIVE, leader, Buffer::new(4_096), 0)?;
    client.stretch(load.warm_up)?;
    client.stretch(load.duration)
}

impl Client<'_> {
    fn stretch(&mut self, duration: Duration) -> io::Result<Measured> {
        let latency_us = Histogram::new_with_bounds(1, 60_000_000, 3);
        let mut measured = Measured {
            frames: 0,
            elapsed: Duration::ZERO,
            latency_us: latency_us
                .expect("from 1 to a minute in three digits is a valid histogram"),
        };
        let begun = Instant::now();
        let mut done = Vec::new();
        while measured.elapsed < duration {
            self.fill();
            self.send()?;
            self.ring.wait(&mut done)?;
            let now = Instant::now();
            for done in done.drain(..) {
                match done.received {
                    Some(buffer) => self.acknowledged(done.bytes, buffer, now, &mut measured)?,
                    None => self.sent += done.bytes,
                }
            }
            measured.elapsed = now - begun;
        }
        Ok(measured)
    }

    /// Puts frames together, if the last ones are all sent, as far as the window and the buffer allow.
    fn fill(&mut self) {
        if self.sent < self.bytes || !self.ring.is_free(SEND) {
            return;
        }
        let Some(output) = self.output.as_mut().and_then(Arc::get_mut) else {
            return;
        };
        (self.bytes, self.sent) = (0, 0);
        let now = Instant::now();
        while self.made.len() < self.in_flight {
            let place = self.bytes..self.bytes + self.template.len();
            let Some(frame) = output.bytes_mut().get_mut(place) else {
                return;
            };
            frame.copy_from_slice(&self.template);
            self.sequence += 1;
            frame::seal(frame, self.sequence);
            self.bytes += self.template.len();
            self.made.push_back(now);
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if let Some(output) = self.output.as_ref().filter(|_| self.sent < self.bytes)
            && self.ring.is_free(SEND)
        {
            self.ring
                .send(SEND, self.leader, output, (self.sent, self.bytes))?;
        }
        Ok(())
    }

    fn acknowledged(
        &mut self,
        bytes: usize,
        mut buffer: Buffer,
        now: Instant,
        measured: &mut Measured,
    ) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::Error::other("the leader has ended"));
        }
        let filled = self.part + bytes;
        let last = filled / ACK * ACK;
        let acked = last
            .checked_sub(ACK)
            .and_then(|at| frame::u64_at(buffer.bytes(), at));
        while self.acked < acked.unwrap_or(0) {
            self.acked += 1;
            let made = self.made.pop_front();
            let made =
                made.ok_or_else(|| io::Error::other("more is acknowledged than was sent"))?;
            let us = u64::try_from((now - made).as_micros()).unwrap_or(u64::MAX);
            measured.latency_us.saturating_record(us.max(1));
            measured.frames += 1;
        }
        buffer.bytes_mut().copy_within(last..filled, 0);
        self.part = filled - last;
        self.ring.receive(RECEIVE, self.leader, buffer, self.part)
    }
}
