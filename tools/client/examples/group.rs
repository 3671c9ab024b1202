//! Sends an event that has an id, twice, and reads as a member of a consumer group: `cargo run -p quorate-client --example group -- 127.0.0.1:9001`.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use quorate_client::{
    Committed, ConsumerOptions, Event, EventId, GroupConsumer, IdProducer, Name, ProducerOptions,
    key_of,
};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args().skip(1).collect())
}

/// Sends to the cluster of these nodes, and reads what the consumer group has not read yet.
pub fn run(nodes: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();

    let mut producer = IdProducer::new(&ProducerOptions::new(nodes.clone()))?;
    let payment = Event {
        key: key_of(b"customer 7"),
        time: 0,
        topic: b"payments",
        payload: b"9.95",
        priority: 0,
    };
    let id = EventId::of(b"payment 4711"); // or the 16 bytes of a UUID
    let first = producer.send(&[(id, payment)])?;
    let again = producer.send(&[(id, payment)])?; // by another process, an hour later at most
    assert_eq!(first, again, "it is in the log once");

    let group = Name::new("billing").ok_or("it is no name")?;
    let session = Duration::from_secs(10); // silent for so long, and the others have its share
    let mut member = GroupConsumer::join(group, session, ConsumerOptions::new(nodes))?;
    let mut handled = 0;
    loop {
        let polled = member.poll(Duration::from_millis(100))?;
        let events = polled.events().count();
        if events > 0 && member.commit()? != Committed::Fenced {
            handled += events;
        }
        if polled.is_at_end() {
            break;
        }
    }
    member.leave()?;

    writeln!(out, "{handled} events were this member's")?;
    Ok(())
}
