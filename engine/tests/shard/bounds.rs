//! Everything has a bound, and says so.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_engine::config::Limits;
use quorate_wire::client::ErrorMessage;
use quorate_wire::{ErrorCode, FrameKind, Offset};
use zerocopy::FromBytes;

use crate::support::{
    Client, PATIENCE, Rig, chunk, cluster, fetch, hello, merging_hello, produce, produce_as,
    status, wait_for,
};

#[test]
fn a_connection_too_many_is_told_so() {
    let rig = Rig::start(Limits {
        connections: 2,
        ..Limits::default()
    });
    let first = rig.client();
    let mut second = rig.client();
    for _ in 0..3 {
        let mut extra = Client::connect(rig.address);
        extra.send(&hello(cluster().to_bytes(), 1, 1));
        let text = extra.expect_end(ErrorCode::TooManyConnections);
        assert!(text.contains('2'), "{text}");
    }
    second.expect_answer(1);
    drop(first);
    wait_for("the place is free again", || {
        let mut next = Client::connect(rig.address);
        next.send(&hello(cluster().to_bytes(), 1, 1));
        next.read().kind == FrameKind::HelloReply
    });
}

#[test]
fn of_a_run_that_finds_no_room_as_much_is_taken_as_fits() {
    let rig = Rig::start(Limits {
        connection_requests: 3,
        ..Limits::default()
    });
    let mut client = Client::connect(rig.address);
    client.send(&merging_hello());
    assert_eq!(client.read().kind, FrameKind::HelloReply);
    rig.pipeline.hold();
    let run: Vec<u8> = (0..5)
        .flat_map(|at| produce(at, &chunk(at, 1, 64)))
        .collect();
    client.send(&run);
    for at in [3, 4] {
        client.expect_refusal(at, ErrorCode::Overloaded);
    }
    rig.pipeline.answer();
    for at in 0..3 {
        assert_eq!(client.read().produced_all(), (at..=at, at));
    }
    // What was answered has given its room back.
    client.send(&[produce(5, &chunk(3, 1, 64)), produce(6, &chunk(4, 1, 64))].concat());
    assert_eq!(client.read().produced_all(), (5..=5, 3));
    assert_eq!(client.read().produced_all(), (6..=6, 4));
}

#[test]
fn a_thousand_clients_come_at_once() {
    const CLIENTS: u64 = 1000;
    let rig = Rig::with_defaults();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(rig.address)).collect();
    for (at, client) in (0..).zip(&mut clients) {
        client.send(&[hello([0; 16], 1, 1), produce(at, &chunk(at, 1, 64))].concat());
    }
    for (at, client) in (0..).zip(&mut clients) {
        assert_eq!(client.read().kind, FrameKind::HelloReply, "client {at}");
        let answer = client.read();
        assert_eq!(
            (answer.kind, answer.correlation),
            (FrameKind::ProduceReply, at)
        );
    }
    assert_eq!(rig.pipeline.seen().len(), 1000);
    drop(clients);
    wait_for("all are gone", || {
        rig.counters().connections_closed.get() == CLIENTS
    });
}

#[test]
fn many_more_than_fit_come_at_once_and_those_who_fit_are_served() {
    const FIT: usize = 300;
    let rig = Rig::start(Limits {
        connections: FIT,
        ..Limits::default()
    });
    let mut seated: Vec<_> = (0..FIT).map(|_| rig.client()).collect();
    let extra: Vec<_> = (0..1000).map(|_| Client::connect(rig.address)).collect();
    for (at, client) in (0..).zip(&mut seated) {
        client.expect_answer(at);
    }
    let mut told = 0;
    for mut client in extra {
        // Whoever comes when too many are being told already is closed without a word.
        if let Ok(Some(received)) = client.try_read() {
            assert_eq!(received.error().0, ErrorCode::TooManyConnections);
            told += 1;
        }
    }
    assert!(told > 0, "some are told why");
    for (at, client) in (0..).zip(&mut seated) {
        client.expect_answer(at);
    }
}

/// Sends one request too many of what `frame` makes, sees it refused, and sees the others answered.
fn one_too_many(limits: Limits, most: u64, frame: impl Fn(u64) -> Vec<u8>) -> String {
    let rig = Rig::start(limits);
    let mut client = rig.client();
    for round in 0..3 {
        rig.pipeline.hold();
        let frames: Vec<u8> = (0..=most).flat_map(&frame).collect();
        client.send(&frames);
        let text = client.expect_refusal(most, ErrorCode::Overloaded);
        rig.pipeline.answer();
        for at in 0..most {
            let answer = client.read();
            assert_eq!(answer.correlation, at, "round {round}");
            assert_ne!(answer.kind, FrameKind::Error, "round {round}");
        }
        if round == 2 {
            return text;
        }
    }
    unreachable!("the last round returns")
}

#[test]
fn requests_in_flight_on_a_connection_are_bounded() {
    let limits = Limits {
        connection_requests: 5,
        ..Limits::default()
    };
    let text = one_too_many(limits, 5, status);
    assert!(
        text.contains("on this connection: the bound is 5"),
        "{text}"
    );
}

#[test]
fn fetches_in_flight_on_a_connection_are_bounded() {
    let text = one_too_many(Limits::default(), 4, |at| fetch(at, 0, 1, 1000));
    assert!(
        text.contains("fetches in flight on this connection: the bound is 4"),
        "{text}"
    );
}

#[test]
fn fetches_in_flight_on_a_shard_are_bounded() {
    let limits = Limits {
        shard_fetches: 3,
        ..Limits::default()
    };
    let text = one_too_many(limits, 3, |at| fetch(at, 0, 1, 1000));
    assert!(text.contains("fetches in flight on this shard"), "{text}");
}

#[test]
fn a_client_sends_no_more_than_its_quota_and_is_told_when_to_go_on() {
    let rig = Rig::start(Limits {
        connection_events_per_second: 1,
        ..Limits::default()
    });
    let (mut greedy, mut other) = (rig.client(), rig.client());
    greedy.send(&produce(1, &chunk(0, 60, 8)));
    assert_eq!(greedy.read().produced(), Offset(0));
    greedy.send(&produce(2, &chunk(60, 1, 8)));
    let answer = greedy.read();
    assert_eq!(answer.error().0, ErrorCode::QuotaExceeded);
    let message = ErrorMessage::read_from_bytes(&answer.message).expect("it has its length");
    let wait = message.retry_after_ms.get();
    assert!((1_000..=59_000).contains(&wait), "{wait} ms");
    // It may ask, and the others may send.
    greedy.expect_answer(3);
    other.send(&produce(1, &chunk(0, 1, 8)));
    assert_eq!(other.read().produced(), Offset(60));
    assert_eq!(rig.pipeline.seen().len(), 2);
}

#[test]
fn bytes_in_flight_on_a_connection_are_bounded() {
    let chunk = chunk(0, 10, 100);
    let limits = Limits {
        connection_bytes: 7 * chunk.len() + 1,
        ..Limits::default()
    };
    let text = one_too_many(limits, 7, |at| produce(at, &chunk));
    assert!(
        text.contains("bytes in flight on this connection"),
        "{text}"
    );
}

#[test]
fn bytes_in_flight_on_a_shard_are_bounded() {
    let chunk = chunk(0, 10, 100);
    let limits = Limits {
        shard_bytes: 6 * chunk.len(),
        ..Limits::default()
    };
    let text = one_too_many(limits, 6, |at| produce_as(255, at, &chunk));
    assert!(text.contains("bytes in flight on this shard"), "{text}");
}

#[test]
fn chunks_of_low_priority_are_shed_first() {
    let chunk = chunk(0, 10, 100);
    for limits in [
        Limits {
            shard_bytes: 8 * chunk.len(),
            ..Limits::default()
        },
        Limits {
            shard_requests: 8,
            ..Limits::default()
        },
    ] {
        let rig = Rig::start(limits);
        let (mut low, mut high) = (rig.client(), rig.client());
        rig.pipeline.hold();
        low.send(
            &(0..=6)
                .flat_map(|at| produce(at, &chunk))
                .collect::<Vec<_>>(),
        );
        let text = low.expect_refusal(6, ErrorCode::Overloaded);
        assert!(text.contains("priority 0 may have it filled"), "{text}");
        rig.pipeline.wait_until_it_holds(6);
        high.send(
            &(0..=2)
                .flat_map(|at| produce_as(255, at, &chunk))
                .collect::<Vec<_>>(),
        );
        high.expect_refusal(2, ErrorCode::Overloaded);
        rig.pipeline.answer();
        for at in 0..6 {
            assert_eq!(low.read().correlation, at);
        }
        for at in 0..2 {
            assert_eq!(high.read().correlation, at);
        }
        low.send(&produce(7, &chunk));
        assert_eq!(low.read().correlation, 7, "it is taken when it comes again");
    }
}

#[test]
fn requests_in_flight_on_a_shard_are_bounded() {
    let rig = Rig::start(Limits {
        shard_requests: 3,
        ..Limits::default()
    });
    let (mut one, mut other) = (rig.client(), rig.client());
    rig.pipeline.hold();
    one.send(&[status(1), status(2)].concat());
    rig.pipeline.wait_until_it_holds(2);
    other.send(&[status(3), status(4)].concat());
    other.expect_refusal(4, ErrorCode::Overloaded);
    // Not even a greeting has room; the client may try it again.
    let mut late = Client::connect(rig.address);
    late.send(&hello([0; 16], 1, 1));
    late.expect_refusal(1, ErrorCode::Overloaded);
    rig.pipeline.answer();
    assert_eq!([one.read().correlation, one.read().correlation], [1, 2]);
    assert_eq!(other.read().correlation, 3);
    late.greet();
}

#[test]
fn a_client_that_never_reads_is_closed_and_others_are_served() {
    let rig = Rig::start(Limits {
        connection_output_bytes: 1 << 20,
        connection_fetches: 1000,
        ..Limits::default()
    });
    let mut other = rig.client();
    let mut deaf = rig.client();
    let asking: Vec<u8> = (0..100).flat_map(status).collect();
    let deadline = Instant::now() + PATIENCE;
    while rig.counters().connections_slow.get() == 0 {
        assert!(
            Instant::now() < deadline,
            "the client that never reads is closed"
        );
        // It fails when it was closed.
        if deaf.socket.write_all(&asking).is_err() {
            break;
        }
    }
    wait_for("it is counted", || {
        rig.counters().connections_slow.get() == 1
    });
    other.expect_answer(1);
    wait_for("it is gone", || {
        rig.counters().connections_closed.get() == 1
    });
}

#[test]
fn clients_that_talk_without_end_do_not_silence_others() {
    let rig = Rig::with_defaults();
    let stop = Arc::new(AtomicBool::new(false));
    let talkers: Vec<_> = (0..2)
        .map(|_| {
            let client = rig.client();
            let mut reader = client.socket.try_clone().expect("a socket has two ends");
            thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            let stop = Arc::clone(&stop);
            thread::spawn(move || talk(&client.socket, &stop))
        })
        .collect();
    let mut other = rig.client();
    let begun = Instant::now();
    // Each answer comes before the patience ends; and they talk for a while.
    let mut rounds = 0;
    while rounds <= 10 || begun.elapsed() < Duration::from_millis(600) {
        other.expect_answer(rounds);
        rounds += 1;
    }
    assert!(!talkers.iter().any(thread::JoinHandle::is_finished));
    stop.store(true, Ordering::Relaxed);
    for talker in talkers {
        talker.join().expect("it does not panic");
    }
}

fn talk(mut socket: &TcpStream, stop: &AtomicBool) {
    let bytes: Vec<u8> = (0..64)
        .flat_map(|at| produce(at, &chunk(at, 64, 64)))
        .collect();
    while !stop.load(Ordering::Relaxed) {
        socket.write_all(&bytes).expect("the shard reads");
    }
}

/// How often the threads of this name have gone to sleep, and how many they are.
fn sleeps(thread: &str) -> (u64, usize) {
    let tasks = std::fs::read_dir("/proc/self/task").expect("there is a /proc");
    let counts: Vec<u64> = tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let mut lines = status.lines();
            let line = lines.find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            (name.trim() == thread).then(|| line.rsplit('\t').next()?.parse().ok())?
        })
        .collect();
    (counts.iter().sum(), counts.len())
}

#[test]
fn a_shard_with_nothing_to_do_sleeps() {
    // A shard of its own number, so that its threads are known among those of the tests beside this one.
    let rig = Rig::start_as(7, Limits::default());
    let mut clients: Vec<_> = (0..50).map(|_| rig.client()).collect();
    clients[0].expect_answer(1);
    wait_for_sleep("shard-7");
}

fn wait_for_sleep(thread: &str) {
    let watch = Duration::from_secs(1);
    wait_for("it sleeps on", || {
        let (before, threads) = sleeps(thread);
        assert!(threads > 0, "the shard has a thread");
        thread::sleep(watch);
        let (after, _) = sleeps(thread);
        // In the first second, the last answers may still be going out.
        after - before <= 3
    });
}

#[test]
fn a_shard_that_spins_does_not_sleep_between_answers_and_does_when_none_come() {
    let core = quorate_engine::pin::cores().first().map(|core| core.id);
    let spins = |number, spin| Rig::start_on(number, Limits::default(), core, spin);
    let rig = spins(8, Duration::from_secs(10));
    let mut client = rig.client();
    client.expect_answer(1);
    let (before, _) = sleeps("shard-8");
    (2..52).for_each(|correlation| client.expect_answer(correlation));
    let (after, _) = sleeps("shard-8");
    assert!(after - before < 25, "it slept {} times", after - before);

    let rig = spins(9, Duration::from_micros(100));
    rig.client().expect_answer(1);
    wait_for_sleep("shard-9");
}
