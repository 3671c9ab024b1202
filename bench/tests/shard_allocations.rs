//! A shard takes memory for each read from a client and for each write to one, and none for a chunk that came in it.
//!
//! A true shard serves a client of this process; the pipeline is played. Neither of them takes memory once it has begun, and
//! nobody else is in this process: it has this one test.

mod loopback;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use quorate_engine::config::Limits;
use quorate_engine::lane::{PipelineLanes, lanes};
use quorate_engine::shard::{Listener, Shard, ShardConfig};
use quorate_replication::lane::{Answer, Ask, Reply, ShardId};
use quorate_wire::client::AckLevel;
use quorate_wire::client::Hello;
use quorate_wire::{
    ClusterName, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GroupId, NodeId, Offset, Term,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use zerocopy::IntoBytes;

use loopback::Chunks;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that the client sends together, and how often.
const TOGETHER: usize = 64;
const ROUNDS: usize = 200;

fn frame(kind: FrameKind, correlation: u64, message: &[u8], tail: &[u8]) -> Vec<u8> {
    let header = FrameHeader::seal(kind, correlation, GroupId(0), &[message], tail.len());
    [&header[..], message, tail].concat()
}

/// Answers whatever comes, until it is told to stop.
fn play(mut lanes: PipelineLanes, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        while let Some((shard, request)) = lanes.take() {
            let answer = if matches!(request.ask, Ask::Produce(_)) {
                let base_offset = Offset(0);
                let term = Term(1);
                Answer::Produced {
                    base_offset,
                    term,
                    level: AckLevel::Quorum,
                    trace: None,
                }
            } else {
                Answer::Greeting {
                    leader: None,
                    nodes: None,
                }
            };
            let ticket = request.ticket;
            lanes.put(shard, Reply { ticket, answer });
        }
        lanes.flush();
        thread::sleep(Duration::from_micros(50));
    }
}

/// A client that has greeted.
struct Client {
    socket: TcpStream,
    chunks: Chunks,
    requests: Vec<u8>,
    answers: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).expect("the shard listens");
        socket.set_nodelay(true).expect("it is a socket");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("it is a time");
        let hello = Hello {
            cluster: [0; 16],
            version_min: 1,
            version_max: 1,
            flags: 0,
            reserved: [0; 5],
        };
        let hello = frame(FrameKind::Hello, 0, hello.as_bytes(), &[]);
        socket.write_all(&hello).expect("the shard reads");
        let mut head = [0; FRAME_HEADER_BYTES];
        socket.read_exact(&mut head).expect("it is answered");
        let reply = FrameHeader::parse(&head).expect("an answer is sound");
        assert_eq!(reply.kind, FrameKind::HelloReply);
        let mut rest = vec![0; reply.body_len];
        socket.read_exact(&mut rest).expect("the answer is whole");
        Self {
            socket,
            chunks: Chunks::new(1, 1, 64),
            requests: Vec::with_capacity(1 << 20),
            answers: Vec::new(),
        }
    }

    /// How often memory was taken while so many chunks at a time went in and their answers came back.
    fn allocations(&mut self, together: usize) -> usize {
        let message = vec![0; FrameKind::Produce.message_bytes()];
        let answer = FRAME_HEADER_BYTES + FrameKind::ProduceReply.message_bytes();
        self.requests.clear();
        for correlation in 0..together {
            let correlation = u64::try_from(correlation).expect("few requests");
            let chunk = self.chunks.next().bytes;
            let request = frame(FrameKind::Produce, correlation, &message, &chunk);
            self.requests.extend_from_slice(&request);
        }
        self.answers.resize(together * answer, 0);
        let region = Region::new(ALLOCATOR);
        for _ in 0..ROUNDS {
            self.socket
                .write_all(&self.requests)
                .expect("the shard reads");
            self.socket
                .read_exact(&mut self.answers)
                .expect("all are answered");
        }
        let taken = region.change();
        let (kind, last) = (FrameKind::ProduceReply, (together - 1) * answer);
        let head = self.answers.get(last..).and_then(<[u8]>::first_chunk);
        let head = FrameHeader::parse(head.expect("an answer is as long")).expect("it is sound");
        assert_eq!(head.kind, kind);
        taken.allocations + taken.reallocations
    }
}

#[test]
fn a_chunk_takes_no_memory_of_its_own() {
    let limits = Limits::default();
    let (back, fronts) = lanes(1, limits.shard_requests).expect("there are descriptors");
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let pipeline = thread::spawn(move || play(back, &told));
    let config = ShardConfig {
        shard: ShardId(0),
        core: None,
        cluster: ClusterName::new("alone").expect("it is a name"),
        node: NodeId(1),
        nodes: vec![(NodeId(1), "127.0.0.1:9001".to_owned())],
        limits: limits.clone(),
        spin: Duration::ZERO,
    };
    let listener = Listener::bind("127.0.0.1:0").expect("a free port is free");
    let address = listener.address().expect("it is bound");
    let lane = fronts.into_iter().next().expect("there is one shard");
    let (shard, hall) = Shard::start(config, lane).expect("the shard starts");
    let acceptor = listener.accept_for(vec![hall], limits.connections);
    let acceptor = acceptor.expect("the acceptor starts");

    let mut client = Client::connect(address);
    client.allocations(TOGETHER);
    let (alone, together) = (client.allocations(1), client.allocations(TOGETHER));
    // What the kernel makes of one write is read in one piece, or in a few.
    let most = alone + 8 * ROUNDS;
    assert!(
        together <= most,
        "{alone} allocations for {ROUNDS} single chunks, {together} for {ROUNDS} times {TOGETHER}: more than {most}"
    );

    drop((client, acceptor));
    shard.stop();
    shard.join();
    stop.store(true, Ordering::Release);
    pipeline.join().expect("it ends without a panic");
}
