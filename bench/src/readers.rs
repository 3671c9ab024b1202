//! Consumers that read beside a load: the log's end, or over and over what is far behind it. What they get is what is committed,
//! and what they take is taken from the same nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_client::{ClientError, Consumer, ConsumerOptions, Offset, ReadFrom};

/// How long a read waits for events: so often a reader looks whether it should stop.
const WAIT: Duration = Duration::from_millis(50);

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From this offset on, and then what comes.
    From(Offset),
    /// From the log's start up to this offset, again and again.
    Upto(Offset),
}

/// Readers, each with a thread and a connection of its own.
#[derive(Debug)]
pub struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), ClientError>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Readers {
    /// Connects so many. They ask for one batch after the other, or have them pushed.
    ///
    /// # Errors
    /// No node answers.
    pub fn start(
        nodes: &[String],
        reach: Reach,
        push: bool,
        count: usize,
    ) -> Result<Self, ClientError> {
        let mut consumers = Vec::with_capacity(count);
        for reader in 0..count {
            // One begins with the first node, the next with the second: each node has its share.
            let mut nodes = nodes.to_vec();
            let first = reader % nodes.len().max(1);
            nodes.rotate_left(first);
            let mut options = ConsumerOptions::new(nodes);
            options.push = push;
            options.from = match reach {
                Reach::From(offset) => ReadFrom::Offset(offset),
                Reach::Upto(_) => ReadFrom::Start,
            };
            consumers.push((Consumer::connect(options.clone())?, options));
        }
        let shared = Arc::new(Shared::default());
        let threads = consumers.into_iter().map(|(consumer, options)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(consumer, &options, reach, &shared))
        });
        Ok(Self {
            threads: threads.collect(),
            shared,
        })
    }

    /// Events read so far, by all together.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// Bytes of records read so far, by all together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Ends them.
    ///
    /// # Errors
    /// One has failed before.
    ///
    /// # Panics
    /// One has panicked.
    pub fn finish(self) -> Result<(), ClientError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut ended = self.threads.into_iter().map(JoinHandle::join);
        ended.try_for_each(|ended| ended.expect("reading does not panic"))
    }
}

fn read(
    mut consumer: Consumer,
    options: &ConsumerOptions,
    reach: Reach,
    shared: &Shared,
) -> Result<(), ClientError> {
    while !shared.stop.load(Ordering::Relaxed) {
        let batch = consumer.fetch(WAIT)?;
        shared.events.fetch_add(batch.len(), Ordering::Relaxed);
        let bytes = u64::try_from(batch.bytes()).expect("a size fits into 64 bits");
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Reach::Upto(end) = reach
            && batch.next_offset() >= end
        {
            consumer = Consumer::connect(options.clone())?;
        }
    }
    Ok(())
}
