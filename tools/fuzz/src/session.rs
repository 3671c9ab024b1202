//! What a node sends to a client: to a producer's session and to a consumer's cursor.

use std::time::Duration;

use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::{Endpoint, LinkNumber};
use quorate_client::session::{Session, SessionConfig};
use quorate_client::{AckLevel, Consistency, Filter, LinkCause, ReadFrom};
use quorate_wire::{CHUNK_HEADER_BYTES, Epoch, Event, Offset, ProducerId, Sequence, Time};

use crate::script::Script;

const SECOND: Duration = Duration::from_secs(1);

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let mut script = Script(data);
    if script.byte() & 1 == 0 {
        produce(script);
    } else {
        consume(script);
    }
}

fn produce(mut script: Script<'_>) {
    let mut session = Session::new(
        SessionConfig {
            nodes: vec!["a:1".to_owned(), "b:2".to_owned()],
            cluster: None,
            producer: ProducerId(1),
            epoch: Epoch(0),
            first: Sequence(0),
            acks: AckLevel::Quorum,
            priority: 0,
            all_timeout: Duration::from_secs(1),
            trace_one_in: 0,
            window_requests: 8,
            window_bytes: 1 << 16,
            connect_timeout: SECOND,
            request_timeout: SECOND,
            give_up: None,
            acks_max: 4,
            seed: 1,
        },
        Time(0),
    );
    let mut now = Time(0);
    let mut taken = 0;
    while !script.is_over() {
        if script.byte() % 4 == 0 && session.has_room(CHUNK_HEADER_BYTES + 64) {
            let mut buffer = session.buffer();
            let at = buffer.len();
            buffer.resize(at + EVENT.size(), 0);
            EVENT.write(&mut buffer[at..]).expect("there is room");
            session.push(1, buffer, now).expect("one event is a chunk");
        }
        move_on(&mut session, &mut script, &mut now);
        while let Some(ack) = session.take_ack() {
            assert!(ack.first.0 >= taken, "acknowledgements come in order");
            taken = ack.first.0 + u64::from(ack.events);
        }
        assert!(
            taken <= session.next_sequence().0,
            "only what was sent is acknowledged"
        );
    }
}

const EVENT: Event<'static> = Event {
    key: 1,
    time: 2,
    priority: 0,
    topic: b"t",
    payload: b"payload",
};

fn consume(mut script: Script<'_>) {
    let mut cursor = Cursor::new(CursorConfig {
        nodes: vec!["a:1".to_owned(), "b:2".to_owned()],
        cluster: None,
        from: ReadFrom::Offset(Offset(u64::from(script.byte() % 8))),
        filter: Filter::default(),
        push: script.byte() & 1 == 0,
        consistency: Consistency::Any,
        bytes_max: 1 << 16,
        check_chunks: true,
        stick: false,
        connect_timeout: SECOND,
        request_timeout: SECOND,
        patience: 3 * SECOND,
        seed: 1,
    });
    let mut now = Time(0);
    let mut asks = false;
    let mut next = cursor.offset();
    while !script.is_over() {
        if !asks {
            cursor.fetch(1_000_000_000, now);
            asks = true;
        }
        move_on(&mut cursor, &mut script, &mut now);
        if let Some(done) = cursor.take() {
            asks = false;
            if let Ok(batch) = done {
                for event in batch.events() {
                    assert_eq!(event.0, next, "offsets have no gap");
                    next = next.plus(1);
                }
            }
            assert!(cursor.offset() >= next, "a cursor does not go back");
            next = cursor.offset();
        }
    }
}

/// One thing happens to the connection.
fn move_on(endpoint: &mut impl Endpoint, script: &mut Script<'_>, now: &mut Time) {
    let number = endpoint.wish().map_or(LinkNumber(0), |wish| wish.number);
    match script.byte() % 8 {
        0 | 1 => endpoint.connected(number, *now),
        2 => endpoint.lost(number, LinkCause::Closed, *now),
        3 => {
            *now = now.after(u64::from(script.short()) * 100_000);
            endpoint.tick(*now);
        }
        4 => {
            let count = usize::from(script.short()) % 512;
            let bytes = script.bytes(count);
            assert!(endpoint.received(number, bytes, *now) <= bytes.len());
        }
        _ => {
            let mut bytes = Vec::new();
            script.frame(&mut bytes);
            assert!(endpoint.received(number, &bytes, *now) <= bytes.len());
        }
    }
    let written = endpoint.output(*now).len();
    endpoint.wrote(written);
}
