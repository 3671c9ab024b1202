//! What the tests share: a shard that runs, a pipeline that is played, and a client that says anything.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_engine::config::Limits;
use quorate_engine::lane::{PipelineLanes, lanes};
use quorate_engine::shard::{Acceptor, Counters, Listener, Shard, ShardConfig};
use quorate_replication::lane::{
    Answer, Ask, Fetched, NamedAnswer, Refusal, Reply, Request, ShardId, Ticket,
};
use quorate_wire::audit::AuditReply;
use quorate_wire::client::{
    ErrorMessage, Fetch, Hello, ProduceReply, ReadFrom, StatusReply, error_text,
};
use quorate_wire::{
    CHUNK_HEADER_BYTES, ChunkId, ClusterName, Epoch, ErrorCode, Event, Frame, FrameHeader,
    FrameKind, GroupId, Leader, NodeId, Offset, ProducerId, Sequence, Term, seal_chunk,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// How long a test waits for what should come at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("flights").expect("it is a name")
}

/// Many connections take many descriptors, two each: the usual soft limit of 1,024 is not enough.
fn raise_nofile() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)
        .expect("to raise up to the hard limit is everybody's right");
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A shard that runs, with a pipeline that is played.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) pipeline: Pipeline,
    acceptor: Option<Acceptor>,
    shard: Option<Shard>,
}

impl Rig {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::start_as(0, limits)
    }

    /// Starts it under another number: it names the thread, and nothing else.
    pub(crate) fn start_as(number: usize, limits: Limits) -> Self {
        Self::start_on(number, limits, None, Duration::ZERO)
    }

    pub(crate) fn start_on(
        number: usize,
        limits: Limits,
        core: Option<usize>,
        spin: Duration,
    ) -> Self {
        raise_nofile();
        let (back, fronts) = lanes(1, limits.shard_requests).expect("there are descriptors");
        let connections = limits.connections;
        let config = ShardConfig {
            shard: ShardId(number),
            core,
            cluster: cluster(),
            node: NodeId(2),
            nodes: vec![
                (NodeId(1), "127.0.0.1:9001".to_owned()),
                (NodeId(2), "127.0.0.1:9002".to_owned()),
                (NodeId(3), "127.0.0.1:9003".to_owned()),
            ],
            limits,
            spin,
        };
        let lane = fronts.into_iter().next().expect("there is one shard");
        let listener = Listener::bind("127.0.0.1:0").expect("a free port is free");
        let address = listener.address().expect("it is bound");
        let (shard, hall) = Shard::start(config, lane).expect("the shard starts");
        let acceptor = listener
            .accept_for(vec![hall], connections)
            .expect("the acceptor starts");
        Self {
            address,
            pipeline: Pipeline::start(back),
            acceptor: Some(acceptor),
            shard: Some(shard),
        }
    }

    pub(crate) fn with_defaults() -> Self {
        Self::start(Limits::default())
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.shard.as_ref().expect("it runs").counters()
    }

    /// A client that has greeted.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.greet();
        client
    }

    /// Tells the shard to stop, as the node does: nobody is let in any more.
    pub(crate) fn stop(&mut self) {
        self.acceptor = None;
        self.shard.as_ref().expect("it runs").stop();
    }

    /// Waits for the shard's end.
    pub(crate) fn join(&mut self) {
        self.shard.take().expect("it is joined once").join();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(shard) = self.shard.take() {
            self.acceptor = None;
            shard.stop();
            // What a test held back must not make the stop wait.
            self.pipeline.answer();
            if !thread::panicking() {
                shard.join();
            }
        }
    }
}

const ANSWERS: u8 = 0;
const HOLDS: u8 = 1;
const IS_GONE: u8 = 2;

/// A pipeline that is played: it answers, or holds all back.
pub(crate) struct Pipeline {
    does: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<ChunkId>>>,
    held: Arc<Mutex<usize>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pipeline {
    fn start(lanes: PipelineLanes) -> Self {
        let does = Arc::new(AtomicU8::new(ANSWERS));
        let (seen, held, is_over) = (Arc::default(), Arc::default(), Arc::default());
        let player = Player {
            lanes,
            does: Arc::clone(&does),
            seen: Arc::clone(&seen),
            held: Arc::clone(&held),
            is_over: Arc::clone(&is_over),
            end: Offset(0),
        };
        let thread = thread::spawn(move || player.run());
        Self {
            does,
            seen,
            held,
            is_over,
            thread: Some(thread),
        }
    }

    pub(crate) fn hold(&self) {
        self.does.store(HOLDS, Ordering::Release);
    }

    pub(crate) fn answer(&self) {
        self.does.store(ANSWERS, Ordering::Release);
    }

    pub(crate) fn die(&self) {
        self.does.store(IS_GONE, Ordering::Release);
    }

    /// The chunks that came, in order.
    pub(crate) fn seen(&self) -> Vec<ChunkId> {
        self.seen.lock().expect("no holder panics").clone()
    }

    pub(crate) fn wait_until_it_holds(&self, requests: usize) {
        wait_for("the pipeline has the requests", || {
            *self.held.lock().expect("no holder panics") == requests
        });
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let ended = self.thread.take().expect("it runs").join();
        assert!(
            ended.is_ok() || thread::panicking(),
            "the played pipeline failed"
        );
    }
}

struct Player {
    lanes: PipelineLanes,
    does: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<ChunkId>>>,
    held: Arc<Mutex<usize>>,
    is_over: Arc<AtomicBool>,
    end: Offset,
}

impl Player {
    fn run(mut self) {
        let mut held = Vec::new();
        while !self.is_over.load(Ordering::Acquire) {
            let does = self.does.load(Ordering::Acquire);
            if does == IS_GONE {
                return;
            }
            while let Some((_, request)) = self.lanes.take() {
                if let Ask::Produce(run) = &request.ask {
                    for chunk in run.iter() {
                        chunk.check().expect("it passed the gate");
                        self.seen.lock().expect("no holder panics").push(chunk.id());
                    }
                }
                held.push(request);
            }
            if does == ANSWERS {
                for mut request in held.drain(..) {
                    // Of a run, the first chunk is answered by itself.
                    if let Ask::Produce(run) = &mut request.ask
                        && run.chunks > 1
                    {
                        let first = run.iter().next().expect("it has some");
                        let (events, bytes) = (first.id().events, first.bytes().len());
                        let ask = Ask::Produce(run.take(1, events, bytes));
                        let ticket = Ticket {
                            chunks: request.ticket.chunks.take(1),
                            ..request.ticket
                        };
                        self.answer(&Request { ticket, ask });
                    }
                    self.answer(&request);
                }
                self.lanes.flush();
            }
            *self.held.lock().expect("no holder panics") = held.len();
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn answer(&mut self, request: &Request) {
        let reply = Reply {
            ticket: request.ticket,
            answer: self.answer_to(request),
        };
        self.lanes.put(ShardId(0), reply);
    }

    fn answer_to(&mut self, request: &Request) -> Answer {
        match &request.ask {
            Ask::Greet => Answer::Greeting {
                leader: Some(Leader {
                    node: NodeId(1),
                    term: Term(3),
                }),
                nodes: None,
            },
            Ask::Produce(chunk) => {
                let base_offset = self.end;
                self.end = self.end.plus(u64::from(chunk.id.events));
                Answer::Produced {
                    base_offset,
                    term: Term(3),
                    level: chunk.acks.level,
                    trace: chunk.trace.clone(),
                }
            }
            Ask::Fetch(ask) => {
                let ReadFrom::Offset(offset) = ask.from else {
                    panic!("no test asks for {:?}", ask.from);
                };
                Answer::Fetched(Fetched {
                    committed: self.end,
                    start: Offset(0),
                    begin: offset,
                    next: offset,
                    records: Bytes::from(vec![7; ask.bytes_max.min(80)]),
                })
            }
            Ask::Status => Answer::Status(Box::new(StatusReply::new_zeroed())),
            Ask::Audit(_) => Answer::Audited(Box::new(AuditReply::new_zeroed())),
            Ask::Admin(_) => Answer::Refused(Refusal::new(ErrorCode::TransferFailed)),
            Ask::Named(_) => Answer::Named(Box::new(NamedAnswer::Applied {
                value: 0,
                term: Term(3),
            })),
        }
    }
}

/// A client that says anything.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
}

/// A frame, out of its bytes.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) kind: FrameKind,
    pub(crate) correlation: u64,
    pub(crate) message: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

impl Received {
    pub(crate) fn produced(&self) -> Offset {
        assert_eq!(self.kind, FrameKind::ProduceReply, "{self:?}");
        let reply = ProduceReply::read_from_bytes(&self.message).expect("it has its length");
        Offset(reply.base_offset.get())
    }

    /// The correlations that it answers, and the offset of the first one.
    pub(crate) fn produced_all(&self) -> (std::ops::RangeInclusive<u64>, u64) {
        let offset = self.produced().0;
        let reply = ProduceReply::read_from_bytes(&self.message).expect("it has its length");
        let before = u64::from(reply.before.get());
        (self.correlation - before..=self.correlation, offset)
    }

    pub(crate) fn error(&self) -> (ErrorCode, String) {
        assert_eq!(self.kind, FrameKind::Error, "{self:?}");
        let message = ErrorMessage::read_from_bytes(&self.message).expect("it has its length");
        let code = ErrorCode::from_number(message.code.get()).expect("it is a code");
        (code, error_text(&self.tail).to_owned())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the shard listens");
        socket.set_nodelay(true).expect("it is a socket");
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&socket, Some(PATIENCE)).expect("it is a time");
        }
        Self {
            socket,
            received: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the shard reads");
    }

    pub(crate) fn greet(&mut self) {
        self.send(&hello(cluster().to_bytes(), 1, 1));
        assert_eq!(self.read().kind, FrameKind::HelloReply);
    }

    pub(crate) fn close_write_side(&self) {
        self.socket
            .shutdown(Shutdown::Write)
            .expect("it is connected");
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) fn try_read(&mut self) -> io::Result<Option<Received>> {
        loop {
            let parsed = Frame::parse(&self.received).expect("a shard sends sound frames");
            if let Some(frame) = parsed {
                let received = Received {
                    kind: frame.header.kind,
                    correlation: frame.header.correlation,
                    message: frame.message.to_vec(),
                    tail: frame.tail.to_vec(),
                };
                let bytes = frame.bytes();
                self.received.drain(..bytes);
                return Ok(Some(received));
            }
            let mut room = [0; 64 << 10];
            match self.socket.read(&mut room)? {
                0 if self.received.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => self.received.extend_from_slice(&room[..bytes]),
            }
        }
    }

    pub(crate) fn read(&mut self) -> Received {
        self.try_read()
            .expect("an answer comes in time")
            .expect("an answer comes before the end")
    }

    /// The next frame is the refusal of this request, and the connection goes on.
    pub(crate) fn expect_refusal(&mut self, correlation: u64, code: ErrorCode) -> String {
        let received = self.read();
        let (found, text) = received.error();
        assert_eq!((received.correlation, found), (correlation, code), "{text}");
        text
    }

    /// The next frame says why the connection ends, and it ends.
    pub(crate) fn expect_end(&mut self, code: ErrorCode) -> String {
        assert!(code.ends_connection(), "{code} does not end connections");
        let text = self.expect_refusal(0, code);
        self.expect_silence();
        text
    }

    /// The stream ends without another word.
    pub(crate) fn expect_silence(&mut self) {
        let end = self
            .try_read()
            .expect("the connection ends in time, and cleanly");
        assert!(end.is_none(), "nothing follows: {end:?}");
    }

    pub(crate) fn expect_answer(&mut self, correlation: u64) {
        self.send(&status(correlation));
        let received = self.read();
        assert_eq!(
            (received.kind, received.correlation),
            (FrameKind::StatusReply, correlation),
            "{received:?}"
        );
    }
}

/// A frame of any kind.
pub(crate) fn frame(
    kind: FrameKind,
    correlation: u64,
    group: u32,
    checked: &[u8],
    tail: &[u8],
) -> Vec<u8> {
    let header = FrameHeader::seal(kind, correlation, GroupId(group), &[checked], tail.len());
    [&header, checked, tail].concat()
}

pub(crate) fn hello(cluster: [u8; 16], version_min: u8, version_max: u8) -> Vec<u8> {
    hello_with(0, cluster, version_min, version_max)
}

/// The greeting of a client that takes one answer for several requests.
pub(crate) fn merging_hello() -> Vec<u8> {
    hello_with(Hello::MERGED, cluster().to_bytes(), 1, 1)
}

fn hello_with(flags: u8, cluster: [u8; 16], version_min: u8, version_max: u8) -> Vec<u8> {
    let hello = Hello {
        cluster,
        version_min,
        version_max,
        flags,
        reserved: [0; 5],
    };
    frame(FrameKind::Hello, 1, 0, hello.as_bytes(), &[])
}

pub(crate) fn status(correlation: u64) -> Vec<u8> {
    frame(FrameKind::Status, correlation, 0, &[], &[])
}

pub(crate) fn fetch(correlation: u64, offset: u64, bytes_max: u32, wait_ms: u32) -> Vec<u8> {
    let fetch = Fetch {
        wait_ms: wait_ms.into(),
        ..Fetch::new(ReadFrom::Offset(Offset(offset)), bytes_max)
    };
    frame(FrameKind::Fetch, correlation, 0, fetch.as_bytes(), &[])
}

/// A chunk of so many events with payloads of so many bytes.
pub(crate) fn chunk(first: u64, events: u32, payload: usize) -> Vec<u8> {
    let payload = vec![b'x'; payload];
    let event = Event {
        key: first,
        time: 0,
        topic: b"t",
        payload: &payload,
        priority: 0,
    };
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    for _ in 0..events {
        let at = bytes.len();
        bytes.resize(at + event.size(), 0);
        let written = event
            .write(&mut bytes[at..])
            .expect("it is under the limits");
        assert_eq!(written, Some(event.size()));
    }
    let id = ChunkId {
        producer: ProducerId(9),
        epoch: Epoch(0),
        first: Sequence(first),
        events,
    };
    seal_chunk(id, &mut bytes).expect("it is under the limits");
    bytes
}

pub(crate) fn produce(correlation: u64, chunk: &[u8]) -> Vec<u8> {
    produce_as(0, correlation, chunk)
}

/// The same, of this priority.
pub(crate) fn produce_as(priority: u8, correlation: u64, chunk: &[u8]) -> Vec<u8> {
    let message = [0, 0, priority, 0, 0, 0, 0, 0];
    frame(FrameKind::Produce, correlation, 0, &message, chunk)
}
