//! Reads the whole log and counts events by topic: `cargo run -p quorate-client --example consumer -- 127.0.0.1:9001`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use quorate_client::{Consumer, ConsumerOptions, Offset, ReadFrom};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args().skip(1).collect())
}

/// Reads from the cluster of these nodes, up to what it has when asked.
pub fn run(nodes: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();

    let mut options = ConsumerOptions::new(nodes);
    options.from = ReadFrom::Offset(Offset(0)); // where your program stopped the last time
    let mut consumer = Consumer::connect(options)?;
    let mut topics = BTreeMap::<String, u64>::new();
    loop {
        let batch = consumer.fetch(Duration::from_millis(100))?;
        for (_offset, event) in batch.events() {
            let topic = String::from_utf8_lossy(event.topic).into_owned();
            *topics.entry(topic).or_default() += 1;
        }
        if batch.is_empty() {
            break; // nothing was committed for 100 ms
        }
    }

    for (topic, events) in topics {
        writeln!(out, "{topic}: {events} events")?;
    }
    writeln!(out, "the next one will be offset {}", consumer.offset())?;
    Ok(())
}
