//! The blocking consumer: asks for records from an offset on, of any node, and checks what comes.
//!
//! Owns: the offset, and the way to a node. Never: gives out an event twice or leaves one out. Called by: programs.

use std::time::{Duration, Instant};

use quorate_wire::client::{Fetch, FetchReply};
use quorate_wire::{ClusterName, ErrorCode, FrameError, FrameKind, LogIndex, NodeId, Offset, Time};
use zerocopy::FromBytes;

use crate::batch::{BatchError, Expect};
use crate::connection::sleep;
use crate::conversation::{Answer, Conversation, OpenError};
use crate::greeting::Refusal;
use crate::route::{Loss, Route};
use crate::session::nanoseconds;
use crate::{Batch, ClientError, ConsumerOptions, LinkCause};

/// A longer wait is asked for in pieces, so that a node which froze is noticed.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Between two questions to a node that answers "nothing yet" without having waited.
const EMPTY_PAUSE: Duration = Duration::from_millis(1);

/// Reads the log from an offset on, from any node.
#[derive(Debug)]
pub struct Consumer {
    options: ConsumerOptions,
    cluster: Option<ClusterName>,
    route: Route,
    link: Option<Link>,
    offset: Offset,
    /// The last record given out: one that holds the boundary of two batches, or no events, is not given out twice.
    seen: LogIndex,
    committed: Offset,
    trouble: LinkCause,
    start: Instant,
}

#[derive(Debug)]
struct Link {
    conversation: Conversation,
    node: NodeId,
    /// The fetch that has been asked and not yet answered.
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    offset: Offset,
    wait: Duration,
}

/// Why a node did not give what was wanted.
enum Miss {
    /// The node failed: another one may do.
    Link(LinkCause),
    /// The node is behind, or not ready: another one may do, or the same one later.
    Later(LinkCause),
    /// No node will do.
    Final(ClientError),
}

impl Consumer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `patience`, or a node refuses the greeting for good.
    pub fn connect(options: ConsumerOptions) -> Result<Self, ClientError> {
        let mut options = options;
        if options.stick {
            options.nodes.truncate(1);
        }
        if options.nodes.is_empty() {
            return Err(ClientError::Unreachable {
                nodes: Vec::new(),
                last: LinkCause::Unresolved,
            });
        }
        let seed = getrandom::u64().map_err(|error| ClientError::Io {
            doing: "drawing a random number",
            error: error.into(),
        })?;
        let mut consumer = Self {
            cluster: options.cluster,
            route: Route::new(&options.nodes, seed),
            link: None,
            offset: options.offset,
            seen: LogIndex(0),
            committed: Offset(0),
            trouble: LinkCause::None,
            start: Instant::now(),
            options,
        };
        consumer.persist(|consumer| consumer.link().map(drop))?;
        Ok(consumer)
    }

    /// The next batch. Waits up to `wait` for an event to be committed; then the batch has no events. Failures of a node are
    /// made good with another one.
    ///
    /// # Errors
    /// No node answers within `patience`, the offset is past the end, or a node sent damaged records. After damage, the next
    /// call asks another node.
    pub fn fetch(&mut self, wait: Duration) -> Result<Batch, ClientError> {
        let until = Instant::now() + wait;
        let mut batch = Batch::new(self.offset, self.committed);
        let mut seen = self.seen;
        loop {
            seen = self.persist(|consumer| {
                let left = until.saturating_duration_since(Instant::now());
                consumer.fetch_once(left, seen, &mut batch)
            })?;
            let left = until.saturating_duration_since(Instant::now());
            if batch.is_empty() && !left.is_zero() {
                self.rest(EMPTY_PAUSE.min(left))?;
                continue;
            }
            self.seen = seen;
            self.offset = batch.next_offset();
            if self.offset < batch.committed() {
                self.fetch_ahead();
            }
            return Ok(batch);
        }
    }

    /// Offset of the next event that [`Self::fetch`] gives.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Offset after the last committed event, as far as the answers so far have said.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.committed
    }

    /// The node that it reads from.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.link.as_ref().map(|link| link.node)
    }

    /// Tries, with one node after the other, until it works, is refused for good, or patience ends.
    fn persist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Miss>,
    ) -> Result<T, ClientError> {
        let start = Instant::now();
        loop {
            let now = Time(nanoseconds(self.start.elapsed()));
            let (cause, dial_at) = match attempt(self) {
                Ok(done) => {
                    self.route.progress();
                    return Ok(done);
                }
                Err(Miss::Final(error)) => {
                    self.link = None;
                    self.route.lost(Loss::Node, now);
                    return Err(error);
                }
                Err(Miss::Link(cause)) => (cause, self.route.lost(Loss::Node, now)),
                Err(Miss::Later(cause)) => (cause, self.route.elsewhere(now)),
            };
            self.link = None;
            self.trouble = cause;
            if start.elapsed() >= self.options.patience {
                return Err(ClientError::Unreachable {
                    nodes: self.route.addresses(),
                    last: self.trouble.clone(),
                });
            }
            let now = Time(nanoseconds(self.start.elapsed()));
            self.rest(Duration::from_nanos(dial_at.since(now)))?;
        }
    }

    fn rest(&self, pause: Duration) -> Result<(), ClientError> {
        if pause.is_zero() {
            return Ok(());
        }
        sleep(pause).map_err(|error| ClientError::Io {
            doing: "waiting to try again",
            error,
        })
    }

    /// The present connection, or a new one.
    fn link(&mut self) -> Result<&mut Link, Miss> {
        let link = match self.link.take() {
            Some(link) => link,
            None => self.open()?,
        };
        Ok(self.link.insert(link))
    }

    fn open(&mut self) -> Result<Link, Miss> {
        let opened = Conversation::open(
            self.route.address(),
            self.cluster,
            self.options.connect_timeout,
        );
        let (conversation, welcome) = opened.map_err(|error| match error {
            OpenError::Link(cause) => Miss::Link(cause),
            OpenError::Refused(refusal) => Miss::Final(refusal.into()),
            OpenError::Mismatch(text) => Miss::Final(ClientError::Refused {
                code: ErrorCode::ClusterMismatch,
                text,
                expected: 0,
            }),
        })?;
        self.cluster = Some(welcome.cluster);
        if !self.options.stick {
            self.route.learn(welcome.node, &welcome.nodes);
        }
        Ok(Link {
            conversation,
            node: welcome.node,
            asked: None,
        })
    }

    /// One question and its answer, into `batch`. Returns the last record that has now been given out.
    fn fetch_once(
        &mut self,
        wait: Duration,
        seen: LogIndex,
        batch: &mut Batch,
    ) -> Result<LogIndex, Miss> {
        let (offset, bytes_max) = (self.offset, self.options.bytes_max);
        let timeout = self.options.request_timeout;
        let committed = self.committed;
        let expect = Expect {
            check_chunks: self.options.check_chunks,
            seen,
        };
        let link = self.link()?;
        let asked = match link.asked.take() {
            Some(asked) => asked,
            None => link.ask(offset, bytes_max, wait, timeout)?,
        };
        assert!(
            asked.offset == offset,
            "the offset only moves with the batch that is asked for next"
        );
        let deadline = Instant::now() + asked.wait + timeout;
        let answer = link
            .conversation
            .answer(FrameKind::FetchReply, deadline)
            .map_err(Miss::Link)?;
        let frame = match answer {
            Answer::Frame(frame) => frame,
            Answer::Refused(refusal) => return Err(judge(refusal, offset, committed)),
        };
        let reply = FetchReply::ref_from_bytes(frame.message).map_err(|_| {
            Miss::Link(LinkCause::Frame(FrameError::Invalid {
                what: "the answer to a fetch is cut",
            }))
        })?;
        let node_committed = Offset(reply.committed.get());
        let seen = batch
            .extend(frame.tail, expect)
            .map_err(|error| match error {
                BatchError::Damaged(error) => Miss::Final(ClientError::Damaged(error)),
                BatchError::Misplaced(error) => Miss::Final(ClientError::Protocol(error)),
            })?;
        batch.set_committed(node_committed);
        link.conversation.taken();
        self.committed = self.committed.max(node_committed);
        Ok(seen)
    }

    /// While the caller looks at a batch, the next one is already on its way.
    fn fetch_ahead(&mut self) {
        let (bytes_max, timeout) = (self.options.bytes_max, self.options.request_timeout);
        let Some(link) = &mut self.link else {
            return;
        };
        match link.ask(self.offset, bytes_max, Duration::ZERO, timeout) {
            Ok(asked) => link.asked = Some(asked),
            // The next call connects anew.
            Err(_) => self.link = None,
        }
    }
}

impl Link {
    fn ask(
        &mut self,
        offset: Offset,
        bytes_max: u32,
        wait: Duration,
        timeout: Duration,
    ) -> Result<Asked, Miss> {
        let wait = wait.min(WAIT_MAX);
        let wait_ms = u32::try_from(wait.as_millis()).expect("the wait is bounded");
        let fetch = Fetch {
            offset: offset.0.into(),
            bytes_max: bytes_max.into(),
            wait_ms: wait_ms.into(),
        };
        let deadline = Instant::now() + timeout;
        self.conversation
            .ask(FrameKind::Fetch, &fetch, deadline)
            .map_err(Miss::Link)?;
        Ok(Asked { offset, wait })
    }
}

fn judge(refusal: Refusal, offset: Offset, committed: Offset) -> Miss {
    // Another node has already shown that the offset exists: this one is behind.
    let behind = refusal.code == ErrorCode::OffsetPastEnd && offset <= committed;
    if behind || refusal.ends_connection_only() {
        Miss::Later(refusal.into_cause())
    } else {
        Miss::Final(refusal.into())
    }
}
