//! A driver sleeps, and is woken by whatever should wake it, and by nothing else; and it leaves nothing behind.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails at whatever event it does not wait for"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use quorate_engine::clock;
use quorate_engine::lane::{PipelineLanes, ShardLane, lanes};
use quorate_engine::uring::{Driver, DriverOptions, run};
use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
use quorate_replication::lane::{Answer, Ask, Chunks, Reply, Request, Ticket};
use quorate_replication::pipeline::Turn;
use quorate_replication::seam::{
    FileId, Lanes, LinkId, Network, NetworkEvent, OpId, Part, Receive, SegmentId, Send, Storage,
    StorageOp,
};
use quorate_wire::NodeId;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

const SECOND: u64 = 1_000_000_000;

/// Long enough for the busiest machine; whatever takes longer was never woken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where nobody else listens.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Host {
    driver: Driver,
    shard: ShardLane,
    address: SocketAddr,
    home: TempDir,
}

fn host(peers: Vec<(NodeId, SocketAddr)>) -> Host {
    host_that_spins(peers, Duration::ZERO)
}

fn host_that_spins(peers: Vec<(NodeId, SocketAddr)>, spin: Duration) -> Host {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    let listener = TcpListener::bind(ANY).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (lanes, mut shards): (PipelineLanes, _) = lanes(1, 64).expect("descriptors are free");
    let driver = Driver::new(DriverOptions {
        directory: home.path().to_owned(),
        listener: Some(listener),
        peers,
        lanes,
        spin,
        buffers: 0,
    })
    .expect("this host has a ring");
    Host {
        driver,
        shard: shards.pop().expect("one was asked for"),
        address,
        home,
    }
}

fn request(correlation: u64) -> Request {
    Request {
        ticket: Ticket {
            connection: 0,
            correlation,
            chunks: Chunks::ONE,
        },
        ask: Ask::Greet,
    }
}

/// Waits, again and again, until `what` gives something: each wait far longer than the patience.
fn until<T>(driver: &mut Driver, mut what: impl FnMut(&mut Driver) -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = what(driver) {
            return it;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing woke the driver");
        let late = clock::now().after(10 * 60 * SECOND);
        driver.wait(Some(late)).expect("the ring works");
    }
}

fn next_event(driver: &mut Driver) -> NetworkEvent {
    let mut events = Vec::new();
    until(driver, |driver| {
        driver.happened(&mut events);
        (!events.is_empty()).then(|| events.remove(0))
    })
}

/// Accepts one link and begins to receive from it.
fn accept(driver: &mut Driver, room: usize) -> LinkId {
    let link = match next_event(driver) {
        NetworkEvent::Accepted { link } => link,
        event => panic!("a stranger connects, but: {event:?}"),
    };
    let memory = vec![0; room];
    driver.receive(link, Receive { memory, from: 0 });
    link
}

/// Ends the process if a test hangs in a wait that nothing ends: no panic can end it.
fn watched<T>(test: impl FnOnce() -> T) -> T {
    let (over, ended) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(3 * PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let told = std::io::stderr().write_all(b"the driver sleeps for ever\n");
            drop(told);
            std::process::abort();
        }
    });
    let result = test();
    drop(over);
    watchdog.join().expect("it saw the end");
    result
}

#[test]
fn a_deadline_wakes_it_once() {
    let Host { mut driver, .. } = host(Vec::new());
    driver.wait(Some(clock::now())).expect("the ring works");
    for milliseconds in [0, 1, 30, 120] {
        let deadline = clock::now().after(milliseconds * 1_000_000);
        driver.wait(Some(deadline)).expect("the ring works");
        let now = clock::now();
        assert!(now >= deadline, "woken too early: nothing had happened");
        assert!(now.since(deadline) < 60 * SECOND, "woken too late");
    }
}

#[test]
fn a_kick_wakes_it() {
    kick(Duration::ZERO);
}

#[test]
fn a_kick_wakes_it_whether_it_spins_or_sleeps() {
    kick(Duration::from_micros(100));
}

fn kick(spin: Duration) {
    watched(|| {
        let Host {
            mut driver,
            mut shard,
            ..
        } = host_that_spins(Vec::new(), spin);
        let pipeline = thread::spawn(move || {
            for correlation in 0..2000 {
                let (shard, request) = until(&mut driver, Driver::take);
                assert_eq!(request.ticket.correlation, correlation);
                let answer = Answer::Greeting {
                    leader: None,
                    nodes: None,
                };
                let ticket = request.ticket;
                // Before the reply: a shard that is awake may ask again as soon as it is there.
                assert!(driver.take().is_none(), "one request is open");
                driver.put(shard, Reply { ticket, answer });
            }
            // The last reply is woken for by the end of a turn.
            driver.wait(Some(clock::now())).expect("the ring works");
        });
        for correlation in 0..2000 {
            if correlation % 10 == 0 {
                // Time to fall asleep.
                thread::sleep(Duration::from_micros(300));
            }
            shard.try_put(request(correlation)).expect("there is room");
            shard.kick();
            futures_lite::future::block_on(shard.wait());
            let reply = shard.try_take().expect("the wait ended for it");
            assert_eq!(reply.ticket.correlation, correlation);
        }
        pipeline.join().expect("all were answered");
        futures_lite::future::block_on(shard.wait());
        assert!(shard.is_closed() && shard.try_take().is_none());
    });
}

#[test]
fn requests_that_were_left_do_not_wake_it() {
    let Host {
        mut driver,
        mut shard,
        ..
    } = host(Vec::new());
    for correlation in 0..3 {
        shard.try_put(request(correlation)).expect("there is room");
    }
    shard.kick();
    // A pipeline without room takes none, or some.
    for taken in 0..2 {
        for _ in 0..taken {
            assert!(driver.take().is_some(), "requests are there");
        }
        let deadline = clock::now().after(20_000_000);
        driver.wait(Some(deadline)).expect("the ring works");
        assert!(
            clock::now() >= deadline,
            "it was woken for what it had left"
        );
    }
    // One that has taken all is woken for a new one, at once.
    while driver.take().is_some() {}
    shard.try_put(request(9)).expect("there is room");
    let begun = Instant::now();
    let late = clock::now().after(60 * SECOND);
    driver.wait(Some(late)).expect("the ring works");
    assert!(begun.elapsed() < PATIENCE, "it slept over a request");
    assert!(driver.take().is_some(), "a request is there");
}

#[test]
fn a_kick_for_nothing_does_not_wake_it() {
    let Host {
        mut driver,
        mut shard,
        ..
    } = host(Vec::new());
    let (over, ended) = mpsc::channel::<()>();
    let kicker = thread::spawn(move || {
        while ended.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
            shard.kick();
        }
    });
    assert!(driver.take().is_none(), "nothing was put");
    let deadline = clock::now().after(30_000_000);
    driver.wait(Some(deadline)).expect("the ring works");
    assert!(clock::now() >= deadline, "nothing was put");
    drop(over);
    kicker.join().expect("it saw the end");
}

/// The kernel says that it has work to do for a ring, and may go on saying so when that is done. A driver that believed it turned some
/// 200 times between two rounds, in about one of 5,000 of them.
#[test]
fn it_wakes_no_more_often_than_it_is_woken() {
    const ROUNDS: u32 = 5_000;
    watched(|| {
        let Host {
            mut driver,
            address,
            ..
        } = host(Vec::new());
        let wake = Arc::clone(driver.wake());
        let waits = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&waits);
        let sender = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_nodelay(true).expect("it is a socket");
            let mut most = 0;
            for round in 0..ROUNDS {
                let before = counted.load(Ordering::Acquire);
                wake.ring();
                // What comes second finds it at each place of its way to sleep again.
                for _ in 0..round % 1000 {
                    std::hint::spin_loop();
                }
                stream.write_all(&[0]).expect("it is open");
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(200) {
                    std::hint::spin_loop();
                }
                most = most.max(counted.load(Ordering::Acquire) - before);
            }
            most
        });
        let link = accept(&mut driver, BLOCK_BYTES);
        let mut events = Vec::new();
        while !sender.is_finished() {
            driver
                .wait(Some(clock::now().after(SECOND / 10)))
                .expect("the ring works");
            waits.fetch_add(1, Ordering::Release);
            driver.happened(&mut events);
            for event in events.drain(..) {
                if let NetworkEvent::Received { receive, .. } = event {
                    driver.receive(link, receive);
                }
            }
        }
        let most = sender.join().expect("it only sends");
        assert!(
            most <= 8,
            "{most} turns for one ring of the bell and one byte"
        );
    });
}

#[test]
fn a_byte_wakes_it() {
    watched(|| {
        let Host {
            mut driver,
            address,
            ..
        } = host(Vec::new());
        let sender = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_nodelay(true).expect("it is a socket");
            for byte in 0..100_u8 {
                thread::sleep(Duration::from_millis(1));
                stream.write_all(&[byte]).expect("it is open");
                let mut echo = [0];
                stream.read_exact(&mut echo).expect("it answers");
                assert_eq!(echo, [byte]);
            }
        });
        let link = accept(&mut driver, 16);
        for byte in 0..100_u8 {
            let (receive, bytes) = match next_event(&mut driver) {
                NetworkEvent::Received { receive, bytes, .. } => (receive, bytes),
                event => panic!("a byte comes, but: {event:?}"),
            };
            assert_eq!((bytes, receive.memory[0]), (1, byte));
            driver.receive(link, receive);
            let parts = vec![Part::Head(0..1)];
            let head = vec![byte];
            driver.send(link, Send { head, parts });
            assert!(matches!(next_event(&mut driver), NetworkEvent::Sent { .. }));
        }
        let event = next_event(&mut driver);
        assert!(matches!(event, NetworkEvent::Closed { .. }), "{event:?}");
        sender.join().expect("all came back");
    });
}

#[test]
fn a_prepared_segment_wakes_it() {
    watched(|| {
        let Host {
            mut driver, home, ..
        } = host(Vec::new());
        let mut done = Vec::new();
        for number in 1..=3 {
            let segment = SegmentId(number);
            let bytes = 4 << 20;
            driver.submit(
                OpId(number),
                StorageOp::Prepare {
                    segment,
                    bytes,
                    from: None,
                },
            );
            let done = until(&mut driver, |driver| {
                driver.completed(&mut done);
                done.pop()
            });
            assert_eq!(done.id, OpId(number));
            assert!(done.result.is_ok(), "{done:?}");
        }
        let left = std::fs::read_dir(home.path()).expect("it is there").count();
        assert_eq!(left, 3, "three segments, and nothing half done");
    });
}

#[test]
fn a_dial_that_nobody_answers_is_given_up() {
    watched(|| {
        // Connections that are not accepted fill the queue; then the host drops whoever comes.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is free");
        full.bind(&ANY.into()).expect("a port is free");
        full.listen(0).expect("it is bound");
        let address = full.local_addr().expect("it is bound");
        let address = address.as_socket().expect("it has an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue does not fill");
        }
        let Host { mut driver, .. } = host(vec![(NodeId(2), address)]);
        let begun = Instant::now();
        driver.connect(NodeId(2));
        let event = next_event(&mut driver);
        assert!(
            matches!(event, NetworkEvent::ConnectFailed { peer: NodeId(2) }),
            "{event:?}"
        );
        assert!(begun.elapsed() < PATIENCE, "far too late");
    });
}

#[test]
fn strangers_leave_room_for_peers() {
    watched(|| {
        let peer = TcpListener::bind(ANY).expect("a port is free");
        let peer_address = peer.local_addr().expect("it is bound");
        let Host {
            mut driver,
            address,
            ..
        } = host(vec![(NodeId(2), peer_address)]);
        let strangers: Vec<TcpStream> = (0..100)
            .map(|_| {
                let stream = TcpStream::connect(address).expect("it listens");
                driver.wait(Some(clock::now())).expect("the ring works");
                stream
            })
            .collect();
        driver.connect(NodeId(2));
        let mut links = Vec::new();
        let connected = until(&mut driver, |driver| {
            let mut events = Vec::new();
            driver.happened(&mut events);
            let mut connected = None;
            for event in events {
                match event {
                    NetworkEvent::Accepted { link } => links.push(link),
                    NetworkEvent::Connected { link, .. } => connected = Some(link),
                    event => panic!("nobody else does anything, but: {event:?}"),
                }
            }
            connected
        });
        assert!((1..64).contains(&links.len()), "{} links", links.len());
        assert!(!links.contains(&connected));
        // Those who were turned away see the end; the others are let go.
        for link in links {
            driver.close(link);
        }
        driver.wait(Some(clock::now())).expect("the ring works");
        for mut stream in strangers {
            let patience = Some(PATIENCE);
            stream.set_read_timeout(patience).expect("it is a socket");
            let ended = stream.read(&mut [0]).unwrap_or(0);
            assert_eq!(ended, 0, "nobody says anything");
        }
    });
}

#[test]
fn a_dropped_driver_gives_everything_back() {
    const HALF_DONE: &str = "segment-0000000002.preparing";
    watched(|| {
        let Host {
            mut driver,
            address,
            shard,
            home,
        } = host(Vec::new());
        let mut done = Vec::new();
        let bytes = 1 << 20;
        let segment = SegmentId(1);
        driver.submit(
            OpId(0),
            StorageOp::Prepare {
                segment,
                bytes,
                from: None,
            },
        );
        until(&mut driver, |driver| {
            driver.completed(&mut done);
            done.pop()
        });
        let mut stream = TcpStream::connect(address).expect("it listens");
        let link = accept(&mut driver, 100);
        let records = Arc::new(Buffer::zeroed(16 << 20));
        let all = Slice::new(Arc::clone(&records), 0..records.len());
        let parts = vec![Part::Records(all)];
        let head = Vec::new();
        driver.send(link, Send { head, parts });
        for block in 0..8 {
            let bytes = Slice::new(Arc::clone(&records), 0..BLOCK_BYTES);
            let position = block * u64::try_from(BLOCK_BYTES).expect("it is small");
            let file = FileId::Segment(segment);
            driver.submit(
                OpId(block),
                StorageOp::Write {
                    file,
                    position,
                    bytes,
                },
            );
        }
        // Far longer than a drop may take.
        let huge = StorageOp::Prepare {
            segment: SegmentId(2),
            bytes: 4 << 30,
            from: None,
        };
        driver.submit(OpId(99), huge);
        let begun = Instant::now();
        while !home.path().join(HALF_DONE).exists() {
            assert!(begun.elapsed() < PATIENCE, "nobody prepares it");
            driver.wait(Some(clock::now())).expect("the ring works");
        }
        assert!(Arc::strong_count(&records) > 1, "the kernel has some of it");

        let begun = Instant::now();
        drop(driver);
        assert!(begun.elapsed() < PATIENCE, "a drop takes too long");
        assert_eq!(Arc::strong_count(&records), 1, "all memory is back");
        assert!(shard.is_closed(), "the shard is told");
        let _port = TcpListener::bind(address).expect("the port is free again");
        let mut rest = vec![0; 1 << 20];
        while stream.read(&mut rest).unwrap_or(0) > 0 {}
        let mut names: Vec<String> = std::fs::read_dir(home.path())
            .expect("it is there")
            .map(|entry| entry.expect("it can be listed").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        let left = ["segment-0000000001", HALF_DONE];
        assert_eq!(names, left, "what is half done has no name that counts");
    });
}

#[test]
fn what_was_left_of_a_segment_is_filled_anew() {
    watched(|| {
        let Host {
            mut driver, home, ..
        } = host(Vec::new());
        let bytes = 1 << 20;
        for (segment, left) in [(1, bytes), (2, 300)] {
            let path = home.path().join(format!("segment-{segment:010}"));
            let preparing = path.with_extension("preparing");
            std::fs::write(&preparing, vec![0xff; left]).expect("there is room");
            driver.submit(
                OpId(segment),
                StorageOp::Prepare {
                    segment: SegmentId(segment),
                    bytes: bytes as u64,
                    from: None,
                },
            );
            let mut done = Vec::new();
            until(&mut driver, |driver| {
                driver.completed(&mut done);
                done.pop()
            });
            let filled = std::fs::read(&path).expect("it has its name");
            assert!(filled == vec![0; bytes], "of {left} bytes");
            assert!(!preparing.exists(), "it was renamed");
        }
    });
}

#[test]
fn it_stops_when_told() {
    watched(|| {
        let Host { driver, .. } = host(Vec::new());
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(driver.wake());
        let told = Arc::clone(&stop);
        let pipeline = thread::spawn(move || {
            let mut turns: u64 = 0;
            let ended = run(driver, &told, |_| {
                turns += 1;
                Turn::IdleUntil(clock::now().after(600 * SECOND))
            });
            assert!(ended.is_ok(), "{ended:?}");
            turns
        });
        thread::sleep(Duration::from_millis(20));
        stop.store(true, Ordering::Release);
        wake.ring();
        let turns = pipeline.join().expect("it stops");
        assert!(turns <= 2, "it took {turns} turns with nothing to do");
    });
}
