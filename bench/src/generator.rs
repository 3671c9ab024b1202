//! The loop: waits for answers, counts them, and fills the windows again.

use std::time::{Duration, Instant};

use quorate_client::session::{Endpoint, Session, SessionConfig};
use quorate_client::{ClientError, Epoch, LinkCause, ProducerId, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::load::Load;
use crate::measured::Measured;
use crate::stream::{Request, Stream};

/// The longest sleep: so often the caller is asked whether to stop.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// How long requests may stay without any answer before the connection counts as dead.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one attempt to connect, greeting included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connected producers of a load. Each call continues where the last one stopped: with full windows.
#[derive(Debug)]
pub struct Generator {
    streams: Vec<Stream>,
    request: Request,
    /// Which streams are to read, as the last wait has said.
    readable: Vec<bool>,
    start: Instant,
}

impl Generator {
    /// Connects all producers.
    ///
    /// # Errors
    /// No node answers in time, a node refuses for good, or the events are over a limit.
    pub fn connect(load: &Load) -> Result<Self, ClientError> {
        if load.nodes.is_empty() {
            return Err(unreachable(Vec::new(), LinkCause::Unresolved));
        }
        let request = Request {
            events: load.batch,
            bytes: load.encode()?,
        };
        let producers = load.producers.max(1);
        let mut streams = Vec::with_capacity(producers);
        for _ in 0..producers {
            let config = SessionConfig {
                nodes: load.nodes.clone(),
                cluster: None,
                producer: ProducerId(random()?),
                epoch: Epoch(0),
                window_requests: load.in_flight.max(1),
                // The load is told in requests: their bytes bound nothing.
                window_bytes: usize::MAX,
                connect_timeout: CONNECT_TIMEOUT,
                request_timeout: REQUEST_TIMEOUT,
                give_up: None,
                acks_max: usize::MAX,
                seed: random()?,
            };
            streams.push(Stream::new(Session::new(config, Time(0))));
        }
        let mut generator = Self {
            readable: vec![false; streams.len()],
            streams,
            request,
            start: Instant::now(),
        };
        generator.wait_ready(load.ready_timeout)?;
        Ok(generator)
    }

    fn wait_ready(&mut self, patience: Duration) -> Result<(), ClientError> {
        let mut none = Measured::new();
        loop {
            let waiting = self
                .streams
                .iter()
                .find(|stream| stream.session().node().is_none());
            let Some(waiting) = waiting else {
                return Ok(());
            };
            if self.start.elapsed() >= patience {
                let session = waiting.session();
                return Err(unreachable(session.addresses(), session.trouble().clone()));
            }
            self.turn(Pace::Rest, SLEEP_MAX, &mut none)?;
        }
    }

    /// Keeps the windows full for so long, or until `stop` says so, and returns what was acknowledged meanwhile.
    ///
    /// # Errors
    /// A producer has ended: a node refused for good.
    pub fn run(
        &mut self,
        duration: Duration,
        stop: &dyn Fn() -> bool,
    ) -> Result<Measured, ClientError> {
        let mut measured = Measured::new();
        let before = self.counters();
        let begun = Instant::now();
        loop {
            measured.elapsed = begun.elapsed();
            let left = duration.saturating_sub(measured.elapsed);
            if left.is_zero() || stop() {
                break;
            }
            self.turn(Pace::Full, left.min(SLEEP_MAX), &mut measured)?;
        }
        let after = self.counters();
        measured.reconnects = after.reconnects - before.reconnects;
        measured.resends = after.resends - before.resends;
        measured.refusals = after.refusals - before.refusals;
        Ok(measured)
    }

    /// Sends nothing new, and waits until everything is acknowledged, or until the time is over. Returns whether it is.
    ///
    /// # Errors
    /// A producer has ended: a node refused for good.
    pub fn drain(&mut self, within: Duration) -> Result<bool, ClientError> {
        let mut rest = Measured::new();
        let begun = Instant::now();
        while self.streams.iter().any(pending) {
            if begun.elapsed() >= within {
                return Ok(false);
            }
            self.turn(Pace::Rest, SLEEP_MAX, &mut rest)?;
        }
        Ok(true)
    }

    /// Events acknowledged since the beginning, whoever was looking.
    #[must_use]
    pub fn acked_events(&self) -> u64 {
        let sessions = self.streams.iter().map(Stream::session);
        sessions
            .map(|session| session.counters().acked_events)
            .sum()
    }

    fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for stream in &self.streams {
            let counters = stream.session().counters();
            sum.reconnects += counters.greetings.saturating_sub(1);
            sum.resends += counters.resends;
            sum.refusals += counters.refusals;
        }
        sum
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// One round over all streams: answers first, then the windows, then the waiting.
    fn turn(
        &mut self,
        pace: Pace,
        timeout: Duration,
        measured: &mut Measured,
    ) -> Result<(), ClientError> {
        let now = self.now();
        for (stream, readable) in self.streams.iter_mut().zip(&mut self.readable) {
            if std::mem::take(readable) {
                stream.receive(now, measured);
            }
            match pace {
                Pace::Full => stream.fill(&self.request, now)?,
                Pace::Rest => {}
            }
            stream.send(now)?;
        }
        self.wait(timeout)
    }

    /// Sleeps until a stream has news, or the time is over.
    fn wait(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let now = self.now();
        let due = self
            .streams
            .iter()
            .filter_map(|stream| stream.session().deadline());
        let timeout = due
            .map(|due| Duration::from_nanos(due.since(now)))
            .fold(timeout, Duration::min);
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).expect("no wait is longer than SLEEP_MAX"),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut fds = Vec::with_capacity(self.streams.len());
        let mut owners = Vec::with_capacity(self.streams.len());
        for (at, stream) in self.streams.iter().enumerate() {
            if let Some((socket, blocked)) = stream.awaited() {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, blocked);
                fds.push(PollFd::new(socket, flags));
                owners.push(at);
            }
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(ClientError::Io {
                    doing: "waiting for the nodes",
                    error: errno.into(),
                });
            }
        }
        for (fd, at) in fds.iter().zip(owners) {
            // An error or a hang-up shows in the read.
            let news = PollFlags::IN | PollFlags::ERR | PollFlags::HUP;
            self.readable[at] = fd.revents().intersects(news);
        }
        Ok(())
    }
}

/// Whether new requests are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Full,
    Rest,
}

#[derive(Debug, Default)]
struct Counters {
    reconnects: u64,
    resends: u64,
    refusals: u64,
}

fn pending(stream: &Stream) -> bool {
    stream.session().pending_chunks() > 0
}

fn unreachable(nodes: Vec<String>, last: LinkCause) -> ClientError {
    ClientError::Unreachable { nodes, last }
}

fn random() -> Result<u64, ClientError> {
    getrandom::u64().map_err(|error| ClientError::Io {
        doing: "drawing a random number",
        error: error.into(),
    })
}
