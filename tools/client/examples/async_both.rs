//! Produces and consumes on tokio: `cargo run -p quorate-client --features tokio --example async_both -- 127.0.0.1:9001`.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use quorate_client::{
    AsyncConsumer, AsyncProducer, ClientError, ConsumerOptions, Event, Offset, ProducerOptions,
    ReadFrom,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args().skip(1).collect()).await
}

/// Sends to the cluster of these nodes, and reads what it sent.
pub async fn run(nodes: Vec<String>) -> Result<(), Box<dyn Error>> {
    let first = produce(nodes.clone()).await?;
    let read = consume(nodes, first, 100).await?;
    writeln!(stdout(), "{read} events from offset {first} on")?;
    Ok(())
}

/// Returns the offset of the first event.
async fn produce(nodes: Vec<String>) -> Result<Offset, Box<dyn Error>> {
    let producer = AsyncProducer::connect(ProducerOptions::new(nodes)).await?;
    let mut receipts = Vec::new();
    for number in 0..100_u64 {
        let payload = format!("reading {number}");
        let event = Event {
            key: number % 4,
            time: 0,
            topic: b"sensors",
            payload: payload.as_bytes(),
            priority: 0,
        };
        receipts.push(producer.send(&event).await?);
    }
    let first = receipts.first_mut().ok_or("a hundred were sent")?;
    let offset = first.offset().await?; // two of three disks have it
    producer.close(Duration::from_secs(5)).await?;
    Ok(offset)
}

async fn consume(nodes: Vec<String>, from: Offset, events: u64) -> Result<u64, ClientError> {
    let mut options = ConsumerOptions::new(nodes);
    options.from = ReadFrom::Offset(from);
    let mut consumer = AsyncConsumer::connect(options).await?;
    let mut read = 0;
    while read < events {
        let batch = consumer.fetch(Duration::from_secs(1)).await?;
        read += batch.len();
    }
    Ok(read)
}
