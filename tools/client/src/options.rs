//! What a caller may choose, each with its default.

use std::time::Duration;

use quorate_wire::client::{AckLevel, Consistency, ReadFrom};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ClusterName, Epoch, ProducerId, Sequence};

use crate::Filter;
use crate::cursor::CursorConfig;
use crate::session::SessionConfig;
use crate::{ClientError, LinkCause};

/// How a [`Producer`](crate::Producer) behaves. [`ProducerOptions::new`] has the defaults; set the fields that should differ.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Addresses of nodes, `host:port`. One is enough: it names the others.
    pub nodes: Vec<String>,
    /// The cluster that is meant; by default whichever the first node belongs to, and only that one from then on.
    pub cluster: Option<ClusterName>,
    /// The producer's id; by default one drawn at random. An id of old needs a higher epoch.
    pub producer: Option<ProducerId>,
    /// The producer's incarnation; sequences begin at 0 in each.
    pub epoch: Epoch,
    /// Sequence of the first event: 0, unless an earlier run of the same producer and epoch has everything before it acknowledged.
    /// What that run had sent beyond must be sent again in the same chunks.
    pub first: Sequence,
    /// What an acknowledgement is to promise; by default, that a majority of the disks has the events.
    pub acks: AckLevel,
    /// Who is shed first when a node has much to do: chunks of lower priority are refused first, and sent again later.
    pub priority: u8,
    /// For [`AckLevel::All`]: how long a node waits for the last disks, a minute at most. Then the acknowledgement says
    /// [`AckLevel::Quorum`]: committed, not on all.
    pub all_timeout: Duration,
    /// One in so many chunks is told how long its stages took, see [`Ack::stages`](crate::Ack::stages); zero: none.
    pub trace_one_in: u64,
    /// Most chunks that are not yet acknowledged. The node may allow fewer on the wire.
    pub window_requests: usize,
    /// Most bytes of chunks that are not yet acknowledged; one chunk always fits.
    pub window_bytes: usize,
    /// Events in a chunk: it is sealed when it has so many.
    pub batch_events: u32,
    /// Bytes in a chunk: it is sealed before it gets larger. A single larger event gets a chunk of its own.
    pub batch_bytes: usize,
    /// How long an unfilled chunk waits for further events before [`poll`](crate::Producer::poll) seals it.
    pub linger: Duration,
    /// How long [`connect`](crate::Producer::connect) tries before it reports [`Unreachable`](crate::ClientError::Unreachable).
    pub ready_timeout: Duration,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long requests may stay without any answer before the connection counts as dead.
    pub request_timeout: Duration,
    /// How old a chunk may get without an acknowledgement before the producer ends with
    /// [`TimedOut`](crate::ClientError::TimedOut); by default it is sent again for ever.
    pub give_up: Option<Duration>,
    /// Most acknowledgements kept for [`take_acks`](crate::Producer::take_acks); beyond it the oldest are dropped and counted.
    pub acks_max: usize,
}

impl ProducerOptions {
    /// The defaults, for these nodes.
    #[must_use]
    pub fn new<T: Into<String>>(nodes: impl IntoIterator<Item = T>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            cluster: None,
            producer: None,
            epoch: Epoch(0),
            first: Sequence(0),
            acks: AckLevel::Quorum,
            priority: 0,
            all_timeout: Duration::from_secs(1),
            trace_one_in: 0,
            window_requests: 64,
            window_bytes: 8 << 20,
            batch_events: 64,
            batch_bytes: 64 << 10,
            linger: Duration::from_millis(1),
            ready_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            give_up: None,
            acks_max: 1 << 16,
        }
    }

    /// An id that no other producer has: for programs that keep it.
    ///
    /// # Errors
    /// The operating system has no chance to give.
    pub fn draw_producer() -> Result<ProducerId, ClientError> {
        random().map(ProducerId)
    }

    /// What a session is told, with chance for what the caller left open.
    pub(crate) fn session(self) -> Result<SessionConfig, ClientError> {
        Ok(SessionConfig {
            nodes: at_least_one(self.nodes)?,
            cluster: self.cluster,
            producer: match self.producer {
                Some(id) => id,
                None => Self::draw_producer()?,
            },
            epoch: self.epoch,
            first: self.first,
            acks: self.acks,
            priority: self.priority,
            all_timeout: self.all_timeout,
            trace_one_in: self.trace_one_in,
            window_requests: self.window_requests,
            window_bytes: self.window_bytes,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            give_up: self.give_up,
            acks_max: self.acks_max,
            seed: random()?,
        })
    }
}

/// How a [`Consumer`](crate::Consumer) behaves. [`ConsumerOptions::new`] has the defaults; set the fields that should differ.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Addresses of nodes, `host:port`. One is enough: it names the others.
    pub nodes: Vec<String>,
    /// The cluster that is meant; by default whichever the first node belongs to, and only that one from then on.
    pub cluster: Option<ClusterName>,
    /// Where to begin.
    pub from: ReadFrom,
    /// Which events are wanted; by default all.
    pub filter: Filter,
    /// Whether nodes push records as they are committed, by a subscription, instead of being asked for each batch: for those who
    /// follow the log. A call that does not wait may then come back before what was committed a moment ago.
    pub push: bool,
    /// How fresh what is read must be.
    pub consistency: Consistency,
    /// Most bytes of records in one batch; at least one record comes if there is one.
    pub bytes_max: u32,
    /// Whether the chunks' own checksums and every event are checked, besides the records' checksums: from the producer's
    /// memory to here.
    pub check_chunks: bool,
    /// Stay with the first address, whatever happens: for comparing nodes.
    pub stick: bool,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, beyond the wait that was asked for, before the connection counts as dead.
    pub request_timeout: Duration,
    /// How long a call goes on trying other nodes before it reports [`Unreachable`](crate::ClientError::Unreachable).
    pub patience: Duration,
}

impl ConsumerOptions {
    /// The defaults, for these nodes: everything, from the start on.
    #[must_use]
    pub fn new<T: Into<String>>(nodes: impl IntoIterator<Item = T>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            cluster: None,
            from: ReadFrom::Start,
            filter: Filter::default(),
            push: false,
            consistency: Consistency::Any,
            bytes_max: u32::try_from(RECORDS_BYTES_MAX).expect("answers are bounded to 1 MiB"),
            check_chunks: true,
            stick: false,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(10),
        }
    }

    /// What a cursor is told, with chance for what the caller left open.
    pub(crate) fn cursor(self) -> Result<CursorConfig, ClientError> {
        let mut nodes = at_least_one(self.nodes)?;
        if self.stick {
            nodes.truncate(1);
        }
        Ok(CursorConfig {
            nodes,
            cluster: self.cluster,
            from: self.from,
            filter: self.filter,
            push: self.push,
            consistency: self.consistency,
            bytes_max: self.bytes_max,
            check_chunks: self.check_chunks,
            stick: self.stick,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            patience: self.patience,
            seed: random()?,
        })
    }
}

fn at_least_one(nodes: Vec<String>) -> Result<Vec<String>, ClientError> {
    if nodes.is_empty() {
        return Err(ClientError::Unreachable {
            nodes,
            last: LinkCause::Unresolved,
        });
    }
    Ok(nodes)
}

fn random() -> Result<u64, ClientError> {
    getrandom::u64().map_err(|error| ClientError::Io {
        doing: "drawing a random number",
        error: error.into(),
    })
}
