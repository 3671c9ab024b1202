//! Consumers that read the log's end while it is loaded: what they get is what is committed, and what they take is taken from the
//! same nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_client::{ClientError, Consumer, ConsumerOptions, Offset, ReadFrom};

/// How long a read waits for events: so often a reader looks whether it should stop.
const WAIT: Duration = Duration::from_millis(50);

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
}

impl Readers {
    /// Connects so many, each to begin at an offset.
    ///
    /// # Errors
    /// No node answers.
    pub fn start(nodes: &[String], from: Offset, count: usize) -> Result<Self, ClientError> {
        let mut consumers = Vec::with_capacity(count);
        for reader in 0..count {
            // One begins with the first node, the next with the second: each node has its share.
            let mut nodes = nodes.to_vec();
            let first = reader % nodes.len().max(1);
            nodes.rotate_left(first);
            let mut options = ConsumerOptions::new(nodes);
            options.from = ReadFrom::Offset(from);
            consumers.push(Consumer::connect(options)?);
        }
        let shared = Arc::new(Shared::default());
        let threads = consumers.into_iter().map(|consumer| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(consumer, &shared))
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

fn read(mut consumer: Consumer, shared: &Shared) -> Result<(), ClientError> {
    while !shared.stop.load(Ordering::Relaxed) {
        let batch = consumer.fetch(WAIT)?;
        shared.events.fetch_add(batch.len(), Ordering::Relaxed);
    }
    Ok(())
}
