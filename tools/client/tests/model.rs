//! The session against a cluster of three nodes that fail in every way that a seed can draw: refusals, lost leadership with and
//! without the record, dropped connections, frozen nodes, garbled bytes. Each sequence must be in the log exactly once, and each
//! acknowledgement must name the offset where it is.

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use quorate_client::session::{Endpoint, LinkNumber, Session, SessionConfig};
use quorate_client::{AckLevel, Chunk, Epoch, ErrorCode, LinkCause, ProducerId, Sequence, Time};
use quorate_wire::{Frame, FrameKind};
use support::chance::Chance;
use support::frames::{self, Refuse};
use support::log::Log;

const STEP_NS: u64 = 500_000;
const PRODUCER: ProducerId = ProducerId(5);

/// The cluster's side of the one connection.
struct Link {
    number: LinkNumber,
    node: u32,
    /// Bytes under way, with the moment they arrive.
    to_node: VecDeque<(Time, Vec<u8>)>,
    to_client: VecDeque<(Time, Vec<u8>)>,
    node_holds: Vec<u8>,
    client_holds: Vec<u8>,
}

struct World {
    chance: Chance,
    now: Time,
    session: Session,
    link: Option<Link>,
    log: Log,
    /// 0 while there is none.
    leader: u32,
    /// Until when each node answers nothing and takes no connection.
    frozen: [Time; 4],
    faults: bool,
    pushed: u64,
    acked: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = SessionConfig {
            nodes: (1..=3).map(frames::address).collect(),
            cluster: None,
            producer: PRODUCER,
            epoch: Epoch(0),
            first: Sequence(0),
            acks: AckLevel::Quorum,
            priority: 0,
            all_timeout: Duration::from_secs(1),
            trace_one_in: 0,
            window_requests: 8,
            window_bytes: 1 << 20,
            connect_timeout: Duration::from_millis(100),
            request_timeout: Duration::from_millis(200),
            give_up: None,
            acks_max: 1000,
            seed,
        };
        Self {
            chance: Chance(seed),
            now: Time(0),
            session: Session::new(config, Time(0)),
            link: None,
            log: Log::default(),
            leader: 1,
            frozen: [Time(0); 4],
            faults: true,
            pushed: 0,
            acked: 0,
        }
    }

    fn step(&mut self) {
        self.now = self.now.after(STEP_NS);
        if self.faults {
            self.break_something();
        }
        self.produce();
        self.session.tick(self.now);
        self.dial();
        self.client_writes();
        self.node_reads();
        self.client_reads();
        self.take_acks();
    }

    fn break_something(&mut self) {
        let change = if self.leader == 0 { 50 } else { 5 };
        if self.chance.permille(change) {
            self.leader = u32::try_from(self.chance.below(4)).expect("it is below 4");
        }
        if self.chance.permille(1) {
            let node = usize::try_from(self.chance.below(4)).expect("it is below 4");
            if let Some(until) = self.frozen.get_mut(node) {
                *until = self.now.after(400_000_000);
            }
        }
        if self.chance.permille(5) {
            self.drop_link(LinkCause::Closed);
        }
    }

    fn drop_link(&mut self, cause: LinkCause) {
        if let Some(link) = self.link.take() {
            self.session.lost(link.number, cause, self.now);
        }
    }

    fn is_frozen(&self, node: u32) -> bool {
        let node = usize::try_from(node).expect("ids are small");
        self.frozen.get(node).is_some_and(|until| self.now < *until)
    }

    fn produce(&mut self) {
        while self.faults && self.session.has_room(200) && self.chance.permille(700) {
            let events = 1 + self.chance.below(3);
            let mut buffer = self.session.buffer();
            for _ in 0..events {
                buffer.extend_from_slice(&frames::event(b"payload"));
            }
            let count = u32::try_from(events).expect("it is at most 3");
            let first = self.session.push(count, buffer, self.now);
            assert_eq!(first.expect("it is sound").0, self.pushed);
            self.pushed += events;
        }
    }

    fn dial(&mut self) {
        let wished = self.session.wish().map(|wish| wish.number);
        if self
            .link
            .as_ref()
            .is_some_and(|link| Some(link.number) != wished)
        {
            self.link = None;
        }
        let Some(wish) = self.session.wish() else {
            return;
        };
        if self.link.is_none() {
            let number = wish.number;
            let node = (1..=3).find(|node| frames::address(*node) == wish.address);
            let node = node.expect("the session only knows the three nodes");
            let node = u32::try_from(node).expect("ids are small");
            if self.faults && self.chance.permille(100) {
                let cause = LinkCause::Io(std::io::ErrorKind::ConnectionRefused);
                self.session.lost(number, cause, self.now);
                return;
            }
            self.session.connected(number, self.now);
            self.link = Some(Link {
                number,
                node,
                to_node: VecDeque::new(),
                to_client: VecDeque::new(),
                node_holds: Vec::new(),
                client_holds: Vec::new(),
            });
        }
    }

    fn client_writes(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        loop {
            let output = self.session.output(self.now);
            if output.is_empty() {
                return;
            }
            // The socket takes a part of it.
            let limit = u64::try_from(output.len()).expect("it is in memory");
            let part = usize::try_from(1 + self.chance.below(limit)).expect("it is a length");
            let bytes = output.get(..part).expect("a part of it").to_vec();
            self.session.wrote(part);
            let at = self.now.after(self.chance.below(3_000_000));
            link.to_node.push_back((at, bytes));
        }
    }

    fn node_reads(&mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        if self.is_frozen(link.node) {
            self.link = Some(link);
            return;
        }
        while let Some((_, bytes)) = link.to_node.pop_front_if(|(at, _)| *at <= self.now) {
            link.node_holds.extend_from_slice(&bytes);
        }
        let held = std::mem::take(&mut link.node_holds);
        let mut rest = held.as_slice();
        while let Some(frame) = Frame::parse(rest).expect("the session writes sound frames") {
            rest = rest.get(frame.bytes()..).unwrap_or_default();
            let mut answer = self.answer(link.node, &frame);
            if self.faults && self.chance.permille(5) {
                let length = u64::try_from(answer.len()).expect("it is in memory");
                let at = usize::try_from(self.chance.below(length)).expect("it is a place");
                if let Some(byte) = answer.get_mut(at) {
                    *byte ^= 1;
                }
            }
            let at = self.now.after(self.chance.below(3_000_000));
            link.to_client.push_back((at, answer));
        }
        link.node_holds = rest.to_vec();
        self.link = Some(link);
    }

    fn answer(&mut self, node: u32, frame: &Frame<'_>) -> Vec<u8> {
        let correlation = frame.header.correlation;
        if frame.header.kind == FrameKind::Hello {
            return frames::welcome(correlation, node, self.leader, 3);
        }
        assert_eq!(frame.header.kind, FrameKind::Produce);
        let refused = |code| frames::refused(correlation, &Refuse::code(code));
        if node != self.leader {
            let refuse = Refuse::code(ErrorCode::NotLeader).leader(self.leader);
            return frames::refused(correlation, &refuse);
        }
        if self.faults && self.chance.permille(10) {
            return refused(ErrorCode::Overloaded);
        }
        if self.faults && self.chance.permille(10) {
            self.leader = 0;
            return refused(ErrorCode::LeadershipLost);
        }
        let (chunk, after) = Chunk::parse(frame.tail).expect("the chunk is sound");
        assert!(after.is_empty(), "a request is exactly one chunk");
        match self.log.take(&chunk) {
            Err(no) => {
                let refuse = Refuse::code(no.code).expected(no.expected);
                frames::refused(correlation, &refuse)
            }
            // It is in the log, and the leader does not live to say so.
            Ok(_) if self.faults && self.chance.permille(10) => {
                self.leader = 0;
                refused(ErrorCode::LeadershipLost)
            }
            Ok(offset) => frames::produced(correlation, offset.0),
        }
    }

    fn client_reads(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        while let Some((_, bytes)) = link.to_client.pop_front_if(|(at, _)| *at <= self.now) {
            link.client_holds.extend_from_slice(&bytes);
        }
        let taken = self
            .session
            .received(link.number, &link.client_holds, self.now);
        link.client_holds.drain(..taken);
    }

    fn take_acks(&mut self) {
        assert_eq!(self.session.failure(), None);
        while let Some(ack) = self.session.take_ack() {
            assert_eq!(ack.first.0, self.acked, "acknowledgements come in order");
            assert_eq!(
                ack.offset.0, ack.first.0,
                "this producer is alone in the log: its sequences are the offsets"
            );
            self.acked += u64::from(ack.events);
            assert!(ack.sent_at <= ack.acked_at, "sent before acknowledged");
        }
    }
}

fn live(seed: u64) -> (u64, u64) {
    let mut world = World::new(seed);
    for _ in 0..6_000 {
        world.step();
    }
    world.faults = false;
    world.leader = 2;
    world.frozen = [Time(0); 4];
    let healed = world.now;
    while world.acked < world.pushed {
        assert!(
            world.now.since(healed) < 3_000_000_000,
            "seed {seed}: {} of {} events acknowledged three seconds after all was well",
            world.acked,
            world.pushed
        );
        world.step();
    }
    let there = world.log.sequences(PRODUCER);
    let pushed: Vec<u64> = (0..there.len())
        .map(|at| u64::try_from(at).expect("it is in memory"))
        .collect();
    assert!(
        there == pushed,
        "seed {seed}: each sequence is there once, in order"
    );
    assert_eq!(world.pushed, world.log.end(), "seed {seed}");
    (world.acked, world.log.repeated)
}

#[test]
fn every_event_is_in_the_log_exactly_once_whatever_fails() {
    let (mut acked, mut repeated) = (0, 0);
    for seed in 0..100 {
        let (more_acked, more_repeated) = live(seed);
        acked += more_acked;
        repeated += more_repeated;
    }
    assert!(acked > 30_000, "only {acked} events were acknowledged");
    assert!(
        repeated > 500,
        "only {repeated} chunks came twice: the test proves too little"
    );
}
