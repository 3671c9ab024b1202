//! A producer that sends without a pause, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_client::{ClientError, Event, Offset, Producer, ProducerId, ProducerOptions};

use crate::world::{SOON, wait_for};

/// Events that are sent together, once a millisecond.
const TOGETHER: u64 = 16;

/// What was sent and acknowledged.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Who sent.
    pub(crate) producer: ProducerId,
    /// Offset of each event, as it was acknowledged: the event's sequence is its place.
    pub(crate) offsets: Vec<Offset>,
    /// Whether everything that was sent is acknowledged; otherwise further events may be in the log.
    pub(crate) complete: bool,
    /// The longest time between two acknowledgements.
    pub(crate) longest_gap: Duration,
}

/// The payload of an event.
pub(crate) fn payload(sequence: u64) -> String {
    format!("event {sequence} of a load that never pauses, and none of it may be lost")
}

/// The key of an event.
pub(crate) const fn key(sequence: u64) -> u64 {
    sequence % 7
}

/// A producer in a thread of its own.
pub(crate) struct Load {
    acked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Load {
    /// Begins to send.
    pub(crate) fn start(nodes: Vec<String>) -> Self {
        let acked = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, end) = (Arc::clone(&acked), Arc::clone(&stop));
        let thread = thread::spawn(move || produce(nodes, &count, &end));
        Self {
            acked,
            stop,
            thread,
        }
    }

    /// Events acknowledged so far.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Waits until so many more events are acknowledged.
    pub(crate) fn wait_acked(&self, more: u64) {
        let enough = self.acked() + more;
        wait_for("further acknowledgements", || {
            assert!(!self.thread.is_finished(), "the producer has ended");
            (self.acked() >= enough).then_some(())
        });
    }

    /// Ends when everything that was sent is acknowledged.
    pub(crate) fn finish(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .expect("the producer says what went wrong")
    }
}

fn produce(nodes: Vec<String>, acked: &AtomicU64, stop: &AtomicBool) -> Sent {
    let mut options = ProducerOptions::new(nodes);
    options.give_up = Some(SOON);
    let batch_bytes = options.batch_bytes;
    let mut producer = Producer::connect(options).expect("the cluster serves");
    let mut offsets = Vec::new();
    let mut next = 0;
    let (mut heard, mut longest_gap) = (Instant::now(), Duration::ZERO);
    loop {
        let is_over = stop.load(Ordering::Relaxed);
        if is_over && offsets.len() == usize::try_from(next).expect("it is a count") {
            break;
        }
        if !is_over && producer.has_room(batch_bytes) {
            for sequence in next..next + TOGETHER {
                send(&mut producer, sequence).expect("the producer goes on");
            }
            next += TOGETHER;
        }
        producer
            .poll(Duration::from_millis(1))
            .expect("the producer goes on");
        if take_acks(&mut producer, &mut offsets) {
            longest_gap = longest_gap.max(heard.elapsed());
            heard = Instant::now();
        }
        acked.store(
            u64::try_from(offsets.len()).expect("it is a count"),
            Ordering::Relaxed,
        );
    }
    let producer_id = producer.id();
    producer.close(SOON).expect("everything is acknowledged");
    Sent {
        producer: producer_id,
        offsets,
        complete: true,
        longest_gap,
    }
}

fn send(producer: &mut Producer, sequence: u64) -> Result<(), ClientError> {
    let payload = payload(sequence);
    let event = Event {
        key: key(sequence),
        time: sequence,
        topic: b"load",
        payload: payload.as_bytes(),
        priority: 0,
    };
    producer.send(&event).map(drop)
}

/// Says whether there were any.
fn take_acks(producer: &mut Producer, offsets: &mut Vec<Offset>) -> bool {
    let before = offsets.len();
    for ack in producer.take_acks() {
        assert_eq!(
            usize::try_from(ack.first.0).ok(),
            Some(offsets.len()),
            "acknowledgements come in order"
        );
        let places = ack.offset.0..ack.offset.0 + u64::from(ack.events);
        offsets.extend(places.map(Offset));
    }
    offsets.len() > before
}

/// Sends as fast as it goes, until nothing has been acknowledged for so long. Returns what was, and why it ended.
pub(crate) fn flood(nodes: Vec<String>, give_up: Duration) -> (Sent, ClientError) {
    let mut options = ProducerOptions::new(nodes);
    options.give_up = Some(give_up);
    let mut producer = Producer::connect(options).expect("the cluster serves");
    let mut offsets = Vec::new();
    for sequence in 0.. {
        let sent = send(&mut producer, sequence);
        take_acks(&mut producer, &mut offsets);
        if let Err(error) = sent {
            let sent = Sent {
                producer: producer.id(),
                offsets,
                complete: false,
                longest_gap: Duration::ZERO,
            };
            return (sent, error);
        }
    }
    unreachable!("nobody sends for so long")
}
