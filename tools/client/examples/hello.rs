//! Produces ten events and reads them back: `cargo run -p quorate-client --example hello -- 127.0.0.1:9001`.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use quorate_client::{Consumer, ConsumerOptions, Event, Producer, ProducerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let mut out = stdout().lock();

    let mut producer = Producer::connect(ProducerOptions::new([address.as_str()]))?;
    for number in 0..10 {
        let payload = format!("event {number}");
        producer.send(&Event {
            key: number,
            time: 0,
            topic: b"hello",
            payload: payload.as_bytes(),
            priority: 0,
        })?;
    }
    producer.flush()?;
    let ack = producer
        .take_acks()
        .next()
        .ok_or("ten events make one chunk, and it was acknowledged")?;
    writeln!(
        out,
        "{} events are on two of three disks, from offset {} on, after {:?}",
        ack.events,
        ack.offset,
        ack.latency()
    )?;

    let mut options = ConsumerOptions::new([address]);
    options.offset = ack.offset;
    let mut consumer = Consumer::connect(options)?;
    while consumer.offset() < ack.offset.plus(u64::from(ack.events)) {
        let batch = consumer.fetch(Duration::from_secs(1))?;
        for (offset, event) in batch.events() {
            let payload = String::from_utf8_lossy(event.payload);
            writeln!(out, "{offset}: key {} {payload}", event.key)?;
        }
    }
    Ok(())
}
