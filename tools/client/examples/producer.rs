//! Sends a thousand orders, each exactly once: `cargo run -p quorate-client --example producer -- 127.0.0.1:9001`.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::{Duration, SystemTime};

use quorate_client::{Event, Producer, ProducerOptions, key_of};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args().skip(1).collect())
}

/// Sends to the cluster of these nodes.
pub fn run(nodes: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();

    let mut producer = Producer::connect(ProducerOptions::new(nodes))?;
    for number in 0..1000 {
        let customer = format!("customer {}", number % 10);
        let payload = format!("order {number} of {customer}");
        let now = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
        producer.send(&Event {
            key: key_of(customer.as_bytes()), // orders of one customer keep their order
            time: u64::try_from(now)?,
            topic: b"orders",
            payload: payload.as_bytes(),
            priority: 0,
        })?;
    }
    producer.flush()?; // two of three disks have all of them

    for ack in producer.take_acks().take(3) {
        let (events, offset, latency) = (ack.events, ack.offset, ack.latency());
        writeln!(out, "{events} events from offset {offset} on, {latency:?}")?;
    }
    let stats = producer.close(Duration::from_secs(5))?;
    writeln!(out, "{} events are in the log", stats.acked_events)?;
    Ok(())
}
