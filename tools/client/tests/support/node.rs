//! A cluster of test nodes on real TCP: threads that speak the client protocol over one shared log. They lead, refuse, freeze,
//! die and garble as the test says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate_client::{Chunk, ErrorCode};
use quorate_wire::client::{Fetch, FetchReply, ReadFrom, StatusReply};
use quorate_wire::{Frame, FrameKind};
use zerocopy::{FromBytes, IntoBytes};

use super::frames::{self, Refuse};
use super::log::Log;

/// What goes wrong, counted in answers: time would make the tests a matter of luck.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Each so-many-th answer to a chunk is cut in the middle, and the connection dropped.
    pub cut_each: u64,
    /// Each so-many-th chunk is refused as overloaded.
    pub overloaded_each: u64,
    /// After each so-many-th chunk another node leads.
    pub leader_moves_each: u64,
    /// The first record of an answer to a fetch has a flipped bit, at this node.
    pub garbled_by: u32,
    /// This node tells clients that the log ends here.
    pub behind: Option<(u32, u64)>,
}

#[derive(Debug)]
struct Node {
    address: SocketAddr,
    alive: bool,
    frozen: bool,
    connections: Vec<TcpStream>,
}

#[derive(Debug)]
struct State {
    log: Log,
    leader: u32,
    nodes: Vec<Node>,
    faults: Faults,
    chunks: u64,
    /// Answers that sockets have taken.
    answered: u64,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The cluster. Dropped, it is gone.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
}

impl Cluster {
    /// So many nodes; the first one leads.
    pub fn start(count: u32) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                log: Log::default(),
                leader: 1,
                nodes: Vec::new(),
                faults: Faults::default(),
                chunks: 0,
                answered: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
        });
        for id in 1..=count {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
            let address = listener.local_addr().expect("it listens");
            shared.state().nodes.push(Node {
                address,
                alive: true,
                frozen: false,
                connections: Vec::new(),
            });
            serve(Arc::clone(&shared), listener, id);
        }
        shared.state().log.noop();
        Self { shared }
    }

    pub fn address(&self, id: u32) -> String {
        self.shared.state().node(id).address.to_string()
    }

    pub fn addresses(&self) -> Vec<String> {
        let state = self.shared.state();
        let nodes = state.nodes.iter();
        nodes.map(|node| node.address.to_string()).collect()
    }

    pub fn leader(&self) -> u32 {
        self.shared.state().leader
    }

    pub fn lead(&self, leader: u32) {
        let mut state = self.shared.state();
        state.leader = leader;
        state.log.noop();
        self.shared.changed.notify_all();
    }

    pub fn break_with(&self, faults: Faults) {
        self.shared.state().faults = faults;
    }

    /// Closes its sockets, listening and connected.
    pub fn kill(&self, id: u32) {
        let mut state = self.shared.state();
        let node = state.node_mut(id);
        node.alive = false;
        for connection in node.connections.drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
        let address = node.address;
        drop(state);
        // The accepting thread is woken to see it, and drops the listener.
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "node {id} still listens");
            thread::yield_now();
        }
    }

    pub fn restart(&self, id: u32) {
        let address = self.shared.state().node(id).address;
        let listener = TcpListener::bind(address).expect("the port is still free");
        self.shared.state().node_mut(id).alive = true;
        serve(Arc::clone(&self.shared), listener, id);
    }

    /// Takes connections and bytes, and answers nothing.
    pub fn freeze(&self, id: u32) {
        self.shared.state().node_mut(id).frozen = true;
    }

    /// Answers again. What it took while it was frozen stays without an answer.
    pub fn thaw(&self, id: u32) {
        self.shared.state().node_mut(id).frozen = false;
    }

    /// Waits until so many answers, greetings among them, lie where their clients can read them.
    pub fn wait_answered(&self, count: u64) {
        let state = self.shared.state();
        let wait = Duration::from_secs(60);
        let fewer = |state: &mut State| state.answered < count;
        let waited = self.shared.changed.wait_timeout_while(state, wait, fewer);
        let (state, timeout) = waited.expect("no test node panics");
        drop(state);
        assert!(!timeout.timed_out(), "fewer than {count} answers");
    }

    /// Looks at the log.
    pub fn with_log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.shared.state().log)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stopped = true;
        let addresses: Vec<_> = state.nodes.iter().map(|node| node.address).collect();
        for node in &mut state.nodes {
            for connection in node.connections.drain(..) {
                drop(connection.shutdown(Shutdown::Both));
            }
        }
        drop(state);
        self.shared.changed.notify_all();
        for address in addresses {
            drop(TcpStream::connect(address));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test node panics")
    }
}

impl State {
    fn node(&self, id: u32) -> &Node {
        self.nodes.get(place(id)).expect("the node exists")
    }

    fn node_mut(&mut self, id: u32) -> &mut Node {
        self.nodes.get_mut(place(id)).expect("the node exists")
    }
}

fn place(id: u32) -> usize {
    usize::try_from(id).expect("ids are small") - 1
}

fn serve(shared: Arc<Shared>, listener: TcpListener, id: u32) {
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut state = shared.state();
            if state.stopped || !state.node(id).alive {
                return;
            }
            let copy = stream.try_clone().expect("a handle is to be had");
            state.node_mut(id).connections.push(copy);
            drop(state);
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                converse(&shared, &stream, id);
                drop(stream.shutdown(Shutdown::Both));
            });
        }
    });
}

/// A port where nobody listens, and that nobody else is given: a connection has it at its near end.
#[derive(Debug)]
pub struct ClosedPort {
    taken: TcpStream,
    _far: TcpListener,
}

impl ClosedPort {
    pub fn new() -> Self {
        let far = TcpListener::bind("127.0.0.1:0").expect("a free port is to be had");
        let address = far.local_addr().expect("it listens");
        let taken = TcpStream::connect(address).expect("it listens");
        Self { taken, _far: far }
    }

    pub fn address(&self) -> String {
        let address = self.taken.local_addr();
        address.expect("it is connected").to_string()
    }
}

/// What to do with an answer.
enum Say {
    Whole(Vec<u8>),
    /// Half of it, and then nothing any more.
    Half(Vec<u8>),
    Nothing,
}

fn converse(shared: &Shared, mut stream: &TcpStream, id: u32) {
    let mut held = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        held.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
        let mut taken = 0;
        let mut answers = Vec::new();
        let mut whole = 0;
        let mut goes_on = true;
        while let Ok(Some(frame)) = Frame::parse(held.get(taken..).unwrap_or_default()) {
            taken += frame.bytes();
            match answer(shared, id, &frame) {
                Say::Whole(bytes) => {
                    answers.extend_from_slice(&bytes);
                    whole += 1;
                }
                Say::Half(bytes) => {
                    let half = bytes.len() / 2;
                    answers.extend_from_slice(bytes.get(..half).unwrap_or_default());
                    goes_on = false;
                    break;
                }
                Say::Nothing => {}
            }
        }
        held.drain(..taken);
        if stream.write_all(&answers).is_err() || !goes_on {
            return;
        }
        shared.state().answered += whole;
        shared.changed.notify_all();
    }
}

fn answer(shared: &Shared, id: u32, frame: &Frame<'_>) -> Say {
    let correlation = frame.header.correlation;
    let mut state = shared.state();
    if state.node(id).frozen {
        return Say::Nothing;
    }
    if frame.header.kind == FrameKind::Hello {
        let nodes: Vec<_> = (1..)
            .zip(&state.nodes)
            .map(|(id, node)| (id, node.address.to_string()))
            .collect();
        let leader = state.leader;
        return Say::Whole(frames::welcome_to(
            correlation,
            id,
            leader,
            &nodes,
            64,
            4 << 20,
        ));
    }
    if frame.header.kind == FrameKind::Produce {
        let say = produce(&mut state, id, frame);
        shared.changed.notify_all();
        return say;
    }
    if frame.header.kind == FrameKind::Fetch {
        return fetch(shared, state, id, frame);
    }
    if frame.header.kind == FrameKind::Status {
        return Say::Whole(status(&state, id, correlation));
    }
    Say::Half(Vec::new())
}

fn each(count: u64, times: u64) -> bool {
    times > 0 && count.is_multiple_of(times)
}

fn produce(state: &mut State, id: u32, frame: &Frame<'_>) -> Say {
    let correlation = frame.header.correlation;
    let refused = |refuse: Refuse| Say::Whole(frames::refused(correlation, &refuse));
    if id != state.leader {
        return refused(Refuse::code(ErrorCode::NotLeader).leader(state.leader));
    }
    state.chunks += 1;
    let (faults, count) = (state.faults, state.chunks);
    if each(count, faults.overloaded_each) {
        return refused(Refuse::code(ErrorCode::Overloaded));
    }
    let chunk = match Chunk::parse(frame.tail) {
        Ok((chunk, [])) => chunk,
        Ok(_) => return refused(Refuse::code(ErrorCode::ChunkInvalid)),
        Err(error) => return refused(Refuse::code(error.code())),
    };
    let answer = match state.log.take(&chunk) {
        Ok(offset) => frames::produced(correlation, offset.0),
        Err(no) => return refused(Refuse::code(no.code).expected(no.expected)),
    };
    if each(count, faults.leader_moves_each) {
        let nodes = u32::try_from(state.nodes.len()).expect("few nodes");
        state.leader = state.leader % nodes + 1;
        state.log.noop();
    }
    if each(count, faults.cut_each) {
        return Say::Half(answer);
    }
    Say::Whole(answer)
}

fn fetch(shared: &Shared, state: MutexGuard<'_, State>, id: u32, frame: &Frame<'_>) -> Say {
    let correlation = frame.header.correlation;
    let fetch = Fetch::ref_from_bytes(frame.message).expect("the frame was parsed");
    let offset = match fetch.from().expect("it is one of the kinds") {
        ReadFrom::Offset(offset) => offset.0,
        ReadFrom::Start | ReadFrom::Time(_) => 0,
        ReadFrom::Tail => state.log.end(),
    };
    let end = |state: &State| match state.faults.behind {
        Some((node, end)) if node == id => end,
        Some(_) | None => state.log.end(),
    };
    if offset > end(&state) {
        let refuse = Refuse::code(ErrorCode::OffsetPastEnd).expected(end(&state));
        return Say::Whole(frames::refused(correlation, &refuse));
    }
    let wait = Duration::from_millis(u64::from(fetch.wait_ms.get()));
    let nothing = |state: &mut State| end(state) <= offset && !state.stopped;
    let (state, _) = shared
        .changed
        .wait_timeout_while(state, wait, nothing)
        .expect("no test node panics");
    let bytes_max = usize::try_from(fetch.bytes_max.get()).expect("32 bits fit");
    let (mut records, mut next) = (Vec::new(), offset);
    if offset < end(&state) {
        records = state.log.from(offset, bytes_max.min(1 << 20));
        next = frames::end(&records).max(offset);
    }
    if state.faults.garbled_by == id
        && let Some(byte) = records.get_mut(100)
    {
        *byte ^= 1;
    }
    let reply = FetchReply {
        committed: end(&state).into(),
        start: 0.into(),
        begin: offset.into(),
        next: next.into(),
    };
    Say::Whole(frames::frame(
        FrameKind::FetchReply,
        correlation,
        reply.as_bytes(),
        &records,
    ))
}

fn status(state: &State, id: u32, correlation: u64) -> Vec<u8> {
    let records = u64::try_from(state.log.records.len()).expect("it is in memory");
    let reply = StatusReply {
        cluster: frames::cluster().to_bytes(),
        node: id.into(),
        leader: state.leader.into(),
        term: 7.into(),
        last_index: records.into(),
        durable_index: records.into(),
        commit_index: records.into(),
        committed: state.log.end().into(),
        digest: 0xd1.into(),
        log_bytes: 4096.into(),
        producers: 1.into(),
        start_index: 0.into(),
        start_offset: 0.into(),
        ready_bytes: 0.into(),
        snapshot_index: 0.into(),
        snapshot_bytes: 0.into(),
        writes: records.into(),
        written_records: records.into(),
        written_bytes: 4096.into(),
        commit_p99: 0.into(),
        catch_up_bytes: 0.into(),
        process: 42.into(),
        role: if id == state.leader { 3 } else { 1 },
        serves: u8::from(id == state.leader),
        peers_up: 2,
        edition: 1,
        build: 2,
        priority: 1,
        reserved: [0; 6],
    };
    frames::frame(FrameKind::StatusReply, correlation, reply.as_bytes(), &[])
}
