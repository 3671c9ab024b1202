//! The generator against a node made of a thread: what it sends, what it counts, and how it takes trouble.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use quorate_bench::{Generator, Load, Measured, Pace};
use quorate_client::{ClientError, ClusterName, ErrorCode};
use quorate_wire::client::{ErrorMessage, HelloReply, ProduceReply};
use quorate_wire::{Chunk, Frame, FrameHeader, FrameKind, GroupId, PROTOCOL_VERSION};
use zerocopy::{FromZeros, IntoBytes};

const SOON: Duration = Duration::from_secs(60);

/// What the node has seen.
#[derive(Debug, Default)]
struct Seen {
    /// The most requests that were open at once on one connection.
    open_max: AtomicUsize,
    chunks: AtomicU64,
    events: AtomicU64,
    connections: AtomicU64,
}

/// When a node does something else than acknowledge.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// Drops the first connection after so many chunks.
    drops_at: Option<u64>,
    /// Refuses for good after so many chunks.
    refuses_at: Option<u64>,
    /// Reads and answers nothing for so long, once, after so many chunks.
    stalls_at: Option<(u64, Duration)>,
}

/// Starts a node that answers only when `window` requests are open, or when no more come.
fn node(window: usize, trouble: Trouble) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
    let address = listener.local_addr().expect("it listens").to_string();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("the listener is sound");
            let seen = Arc::clone(&shared);
            thread::spawn(move || serve(stream, window, trouble, &seen));
        }
    });
    (address, seen)
}

fn serve(mut stream: TcpStream, window: usize, trouble: Trouble, seen: &Seen) {
    let first = seen.connections.fetch_add(1, Ordering::SeqCst) == 0;
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("it is not zero");
    let mut bytes = Vec::new();
    let mut open = Vec::new();
    let mut input = vec![0; 64 << 10];
    loop {
        let idle = match stream.read(&mut input) {
            Ok(0) => return,
            Ok(read) => {
                bytes.extend_from_slice(&input[..read]);
                false
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                true
            }
            Err(_) => return,
        };
        while let Some(frame) = Frame::parse(&bytes).expect("a generator speaks the protocol") {
            let (taken, correlation) = (frame.bytes(), frame.header.correlation);
            if frame.header.kind == FrameKind::Hello {
                stream.write_all(&welcome(correlation)).expect("it listens");
            } else {
                let (chunk, rest) = Chunk::parse(frame.tail).expect("its chunks are sound");
                assert!(rest.is_empty(), "a request is one chunk");
                let chunks = seen.chunks.fetch_add(1, Ordering::SeqCst) + 1;
                let events = u64::from(chunk.id().events);
                seen.events.fetch_add(events, Ordering::SeqCst);
                if first && trouble.drops_at.is_some_and(|at| chunks >= at) {
                    return;
                }
                if trouble.refuses_at.is_some_and(|at| chunks >= at) {
                    stream.write_all(&refusal(correlation)).expect("it listens");
                    return;
                }
                if let Some((at, pause)) = trouble.stalls_at
                    && chunks == at
                {
                    thread::sleep(pause);
                }
                open.push((correlation, chunk.id().first.0));
            }
            bytes.drain(..taken);
        }
        seen.open_max.fetch_max(open.len(), Ordering::SeqCst);
        if open.len() >= window || idle {
            let answers: Vec<u8> = open.drain(..).flat_map(acknowledgement).collect();
            if stream.write_all(&answers).is_err() {
                return;
            }
        }
    }
}

fn frame(kind: FrameKind, correlation: u64, message: &[u8]) -> Vec<u8> {
    let mut bytes = FrameHeader::seal(kind, correlation, GroupId(0), &[message], 0).to_vec();
    bytes.extend_from_slice(message);
    bytes
}

fn welcome(correlation: u64) -> Vec<u8> {
    let name = ClusterName::new("test").expect("it is a name");
    let reply = HelloReply {
        cluster: name.to_bytes(),
        node: 1.into(),
        leader: 1.into(),
        leader_term: 1.into(),
        window_bytes: (16 << 20).into(),
        window_requests: 1024.into(),
        group_count: 1.into(),
        version: PROTOCOL_VERSION,
        node_count: 0,
        reserved: 0.into(),
    };
    frame(FrameKind::HelloReply, correlation, reply.as_bytes())
}

fn acknowledgement((correlation, first): (u64, u64)) -> Vec<u8> {
    let reply = ProduceReply {
        base_offset: first.into(),
        term: 1.into(),
        level: 0,
        reserved: [0; 3],
        before: 0.into(),
    };
    frame(FrameKind::ProduceReply, correlation, reply.as_bytes())
}

fn refusal(correlation: u64) -> Vec<u8> {
    let error = ErrorMessage {
        code: ErrorCode::EpochFenced.number().into(),
        ..ErrorMessage::new_zeroed()
    };
    frame(FrameKind::Error, correlation, error.as_bytes())
}

fn load(address: &str) -> Load {
    Load {
        in_flight: 8,
        batch: 4,
        event_size: 100,
        ..Load::new([address])
    }
}

#[test]
fn the_window_is_kept_full_and_never_exceeded() {
    let (address, seen) = node(8, Trouble::default());
    let mut generator = Generator::connect(&load(&address)).expect("the node answers");
    let warm_up = generator.run(Duration::from_millis(50), &mut |_| false);
    let warm_up = warm_up.expect("the node acknowledges");
    assert!(warm_up.elapsed >= Duration::from_millis(50));
    let mut enough =
        |measured: &Measured| measured.requests >= 100 && seen.open_max.load(Ordering::SeqCst) >= 8;
    let measured = generator.run(SOON, &mut enough);
    let mut measured = measured.expect("the node acknowledges");
    assert_eq!(seen.open_max.load(Ordering::SeqCst), 8);
    assert!(measured.requests >= 100, "{measured:?}");
    assert_eq!(measured.events, 4 * measured.requests);
    assert_eq!(measured.latency_us.len(), measured.requests);
    assert_eq!((measured.reconnects, measured.resends), (0, 0));

    let counted = measured.latency_us.len();
    assert!(
        generator
            .drain(&mut measured, SOON)
            .expect("the node acknowledges")
    );
    assert_eq!(measured.latency_us.len(), counted);
    let all = seen.events.load(Ordering::SeqCst);
    assert_eq!(generator.acked_events(), all, "every event, once");
    assert!(
        all > warm_up.events + measured.events,
        "what was in flight between belongs to neither"
    );
}

#[test]
fn several_producers_share_the_loop() {
    let (address, seen) = node(8, Trouble::default());
    let load = Load {
        producers: 3,
        ..load(&address)
    };
    let mut generator = Generator::connect(&load).expect("the node answers");
    let mut all_sent =
        |measured: &Measured| measured.events > 0 && seen.connections.load(Ordering::SeqCst) == 3;
    let measured = generator.run(SOON, &mut all_sent);
    let mut measured = measured.expect("the node acknowledges");
    assert!(measured.events > 0);
    assert!(
        generator
            .drain(&mut measured, SOON)
            .expect("the node acknowledges")
    );
    assert_eq!(seen.connections.load(Ordering::SeqCst), 3);
    assert_eq!(generator.acked_events(), seen.events.load(Ordering::SeqCst));
}

#[test]
fn a_dropped_connection_is_made_again_and_its_requests_sent_again() {
    let trouble = Trouble {
        drops_at: Some(20),
        ..Trouble::default()
    };
    let (address, seen) = node(8, trouble);
    let mut generator = Generator::connect(&load(&address)).expect("the node answers");
    let recovered = std::cell::Cell::new(0);
    let mut stop = |_: &Measured| {
        recovered.set(seen.chunks.load(Ordering::SeqCst));
        recovered.get() > 100
    };
    let measured = generator.run(SOON, &mut stop).expect("the node comes back");
    assert!(recovered.get() > 100, "{measured:?}");
    assert_eq!(measured.reconnects, 1);
    assert!((1..=8).contains(&measured.resends), "{measured:?}");
}

#[test]
fn a_refusal_for_good_ends_the_run_with_its_code() {
    let trouble = Trouble {
        refuses_at: Some(20),
        ..Trouble::default()
    };
    let (address, _) = node(8, trouble);
    let mut generator = Generator::connect(&load(&address)).expect("the node answers");
    let refused = generator.run(SOON, &mut |_| false);
    let code = refused.expect_err("the node refuses").code();
    assert_eq!(code, Some(ErrorCode::EpochFenced));
}

#[test]
fn nobody_there_is_said_with_the_addresses() {
    let unused = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
    let address = unused.local_addr().expect("it listens").to_string();
    drop(unused);
    let load = Load {
        ready_timeout: Duration::from_millis(100),
        ..load(&address)
    };
    match Generator::connect(&load) {
        Err(ClientError::Unreachable { nodes, .. }) => assert_eq!(nodes, [address]),
        other => panic!("{other:?}"),
    }
}

/// A thousand events a second, one a request.
fn open_loop(address: &str) -> Load {
    Load {
        pace: Pace::Open {
            events_per_s: NonZeroU64::new(1_000).expect("it is not 0"),
        },
        batch: 1,
        in_flight: 1_024,
        ..load(address)
    }
}

#[test]
fn an_open_loop_sends_what_is_due_and_no_more() {
    let (address, seen) = node(1, Trouble::default());
    let load = Load {
        producers: 2,
        ..open_loop(&address)
    };
    let mut generator = Generator::connect(&load).expect("the node answers");
    let measured = generator.run(Duration::from_millis(300), &mut |_| false);
    let mut measured = measured.expect("the node acknowledges");
    assert!(
        generator
            .drain(&mut measured, SOON)
            .expect("the node acknowledges")
    );
    assert_eq!(measured.latency_us.len(), 300, "one a millisecond");
    assert_eq!(seen.events.load(Ordering::SeqCst) + measured.unsent, 300);
}

#[test]
fn whoever_waits_for_a_stalled_node_is_counted_as_waiting() {
    let stall = Duration::from_millis(200);
    let trouble = Trouble {
        stalls_at: Some((50, stall)),
        ..Trouble::default()
    };
    let (address, _) = node(1, trouble);
    let load = Load {
        in_flight: 4,
        ..open_loop(&address)
    };
    let mut generator = Generator::connect(&load).expect("the node answers");
    let measured = generator.run(Duration::from_millis(500), &mut |_| false);
    let mut measured = measured.expect("the node acknowledges");
    assert!(
        generator
            .drain(&mut measured, SOON)
            .expect("the node acknowledges")
    );
    // A closed loop of four would have four slow requests: some 200 were due meanwhile, and half of them waited for more than 100 ms.
    let slow = measured.latency_us.count_between(100_000, 3_600_000_000);
    assert!(slow >= 90, "{slow} of {}", measured.latency_us.len());
    assert!(measured.lateness_us.max() >= 150_000, "the window was full");
}

#[test]
fn what_an_overload_leaves_unsent_is_not_left_out() {
    let trouble = Trouble {
        stalls_at: Some((1, Duration::from_secs(2))),
        ..Trouble::default()
    };
    let (address, _) = node(1, trouble);
    let load = Load {
        in_flight: 1,
        ..open_loop(&address)
    };
    let mut generator = Generator::connect(&load).expect("the node answers");
    let measured = generator.run(Duration::from_millis(200), &mut |_| false);
    let mut measured = measured.expect("the node is only slow");
    assert_eq!((measured.events, measured.unsent), (0, 199), "{measured:?}");
    assert!(
        generator
            .drain(&mut measured, SOON)
            .expect("the node is only slow")
    );
    assert_eq!(measured.latency_us.len(), 200);
    assert!(
        measured.latency_us.max() >= 1_990_000,
        "the first one waited"
    );
    assert_eq!(measured.events, 0, "it came after the end");
}
