//! The loop: waits for answers, counts them, and fills the windows again.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use quorate_client::session::{Endpoint, Session, SessionConfig};
use quorate_client::{ClientError, Epoch, LinkCause, NodeId, ProducerId, Sequence, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::ids::Ids;
use crate::load::{Load, Pace};
use crate::measured::Measured;
use crate::schedule::{Schedule, Turns};
use crate::stream::{Requests, Stream};

/// How long a node waits for the last voters' disks, where that is asked for.
const ALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest sleep: so often the caller is asked whether to stop.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// An open loop sends no more often than that, in nanoseconds, but for what goes out with an answer: at 70,000 requests a second a
/// thread that wakes for each takes a third of two processors, and what it measures is itself. What waits for the others is
/// late, and counted from when it was due.
const TICK: u64 = 100_000;

/// Connected producers of a load. Each call continues where the last one stopped: with full windows.
#[derive(Debug)]
pub struct Generator {
    streams: Vec<Stream>,
    requests: Requests,
    pace: Pace,
    /// Requests of a stretch that are remembered one by one.
    each: usize,
    /// Which streams are to read, as the last wait has said.
    readable: Vec<bool>,
    start: Instant,
    /// When an open loop last had something to send.
    sent: Time,
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
        let requests = Requests {
            events: load.batch,
            bytes: load.encode()?,
            ids: load.ids.then(random).transpose()?.map(Ids::new),
        };
        let producers = load.producers.max(1);
        let mut streams = Vec::with_capacity(producers);
        for _ in 0..producers {
            let config = SessionConfig {
                nodes: load.nodes.clone(),
                cluster: None,
                producer: match load.ids {
                    true => ProducerId::NONE,
                    false => ProducerId(random()?),
                },
                epoch: Epoch(0),
                first: Sequence(0),
                acks: load.acks,
                priority: load.priority,
                all_timeout: ALL_TIMEOUT,
                trace_one_in: load.trace_one_in,
                window_requests: load.in_flight.max(1),
                window_bytes: usize::MAX,
                connect_timeout: load.connect_timeout,
                request_timeout: load.request_timeout,
                give_up: None,
                acks_max: usize::MAX,
                seed: random()?,
            };
            streams.push(Stream::new(Session::new(config, Time(0)), load.acks));
        }
        let mut generator = Self {
            readable: vec![false; streams.len()],
            streams,
            requests,
            pace: load.pace,
            each: load.each,
            start: Instant::now(),
            sent: Time(0),
        };
        generator.wait_ready(load.ready_timeout)?;
        Ok(generator)
    }

    fn wait_ready(&mut self, patience: Duration) -> Result<(), ClientError> {
        let mut none = self.stretch(Duration::ZERO);
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
            self.turn(&mut Intake::Shut, SLEEP_MAX, &mut none)?;
        }
    }

    fn stretch(&self, planned: Duration) -> Measured {
        Measured::new(self.pace, self.start, self.now(), (planned, self.each))
    }

    /// Sends for so long, or until `stop` says so or all [ids](Load::ids) are used up, and returns what was acknowledged meanwhile. An open loop has a new schedule
    /// each time: what was due between two calls never was.
    ///
    /// # Errors
    /// A producer has ended: a node refused for good.
    pub fn run(
        &mut self,
        duration: Duration,
        stop: &mut dyn FnMut(&Measured) -> bool,
    ) -> Result<Measured, ClientError> {
        be_punctual();
        let mut measured = self.stretch(duration);
        let mut intake = self.intake(duration);
        let before = self.counters();
        let begun = Instant::now();
        loop {
            let left = duration.saturating_sub(begun.elapsed());
            if left.is_zero() || stop(&measured) || self.is_done() {
                break;
            }
            self.turn(&mut intake, left.min(SLEEP_MAX), &mut measured)?;
        }
        let now = self.now();
        measured.end(now);
        intake.shut(now, &mut measured);
        let after = self.counters();
        measured.reconnects = after.reconnects - before.reconnects;
        measured.resends = after.resends - before.resends;
        measured.refusals = after.refusals - before.refusals;
        Ok(measured)
    }

    /// Whether nothing more can be sent, and nothing is on its way.
    fn is_done(&self) -> bool {
        self.requests.are_used_up() && !self.streams.iter().any(pending)
    }

    fn intake(&self, duration: Duration) -> Intake {
        let events_per_s = match self.pace {
            Pace::Closed => return Intake::Full,
            Pace::Open { events_per_s } => events_per_s,
        };
        let now = self.now();
        let end = now.after(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        Intake::Due(self.turns(now, events_per_s, end))
    }

    fn turns(&self, start: Time, events_per_s: NonZeroU64, end: Time) -> Vec<Turns> {
        let schedule = Schedule::new(start, events_per_s, self.requests.events);
        let producers = u64::try_from(self.streams.len()).expect("a size fits into 64 bits");
        (0..producers)
            .map(|producer| Turns::new(schedule, producer, producers, end))
            .collect()
    }

    /// Sends nothing new, and waits until everything is acknowledged, or until the time is over. Returns whether it is. In an open
    /// loop the latencies of what was still in flight at the end of `measured` come into it here.
    ///
    /// # Errors
    /// A producer has ended: a node refused for good.
    pub fn drain(
        &mut self,
        measured: &mut Measured,
        within: Duration,
    ) -> Result<bool, ClientError> {
        let begun = Instant::now();
        while self.streams.iter().any(pending) {
            if begun.elapsed() >= within {
                return Ok(false);
            }
            self.turn(&mut Intake::Shut, SLEEP_MAX, measured)?;
        }
        Ok(true)
    }

    /// The node that the first producer is connected with. One that acknowledges leads.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.streams.first()?.session().node()
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
            sum.reconnects += counters.connections.saturating_sub(1);
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
        intake: &mut Intake,
        timeout: Duration,
        measured: &mut Measured,
    ) -> Result<(), ClientError> {
        let now = self.now();
        if intake.next_due(&self.streams).is_some_and(|due| due <= now) {
            self.sent = now;
        }
        for (at, stream) in self.streams.iter_mut().enumerate() {
            if let Some(readable) = self.readable.get_mut(at)
                && std::mem::take(readable)
            {
                stream.receive(now, measured);
            }
            match intake {
                Intake::Full => stream.fill(&mut self.requests, now)?,
                Intake::Due(turns) => {
                    let turns = turns.get_mut(at).expect("each stream has its turns");
                    stream.catch_up(&mut self.requests, turns, now, measured)?;
                }
                Intake::Shut => {}
            }
            stream.send(now)?;
        }
        let due = intake.next_due(&self.streams);
        let due = due.map(|due| due.max(self.sent.after(TICK)));
        let until_due = due.map(|due| Duration::from_nanos(due.since(self.now())));
        self.wait(until_due.map_or(timeout, |until| until.min(timeout)))
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

/// Which new requests are sent.
#[derive(Debug)]
enum Intake {
    /// As many as the windows take.
    Full,
    /// Those that are due, by stream.
    Due(Vec<Turns>),
    /// None.
    Shut,
}

impl Intake {
    /// When the next request is due that its stream has room for; the others wait for an answer.
    fn next_due(&self, streams: &[Stream]) -> Option<Time> {
        match self {
            Self::Full | Self::Shut => None,
            Self::Due(turns) => {
                let free = turns.iter().zip(streams);
                let free = free.filter(|(_, stream)| stream.has_room());
                free.filter_map(|(turns, _)| turns.next_due()).min()
            }
        }
    }

    fn shut(&mut self, now: Time, measured: &mut Measured) {
        match std::mem::replace(self, Self::Shut) {
            Self::Full | Self::Shut => {}
            Self::Due(turns) => {
                for due in turns.into_iter().flat_map(|mut turns| turns.cut(now)) {
                    measured.never_sent(due, now);
                }
            }
        }
    }
}

/// By default the kernel may let a thread oversleep by 50 us, to wake fewer processors; a schedule wants its own moments. Refused,
/// it shows in the lateness.
fn be_punctual() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
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
