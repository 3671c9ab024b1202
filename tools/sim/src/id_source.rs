//! A source of the world that has an id for each event, and no sequences: the client library's caller over wires. What it says, others
//! say too, and it says itself again, now and then, after it has forgotten that it did.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use quorate_client::caller::{Answer, Caller, CallerConfig};
use quorate_client::endpoint::Endpoint as _;
use quorate_client::{ClientError, Event, EventId, id_question};
use quorate_wire::{ChunkId, Epoch, ErrorCode, ProducerId, Sequence, Time};

use crate::oracle::Oracle;
use crate::random::Random;
use crate::terminal::Terminal;
use crate::wires::Wires;

const MS: u64 = 1_000_000;

/// Most events of a chunk.
const TOGETHER: u64 = 4;

/// The id of the event of a number.
#[must_use]
pub(crate) fn event_id(number: u64) -> EventId {
    EventId::of(&number.to_le_bytes())
}

/// A source. See the module's description.
#[derive(Debug)]
pub struct IdSource {
    random: Random,
    number: u32,
    caller: Caller,
    terminal: Terminal,
    /// Chunks that are to be made yet.
    left: u64,
    /// So many have been sent, each under a name of its own, also when it is sent after a refusal.
    sent: u64,
    /// What is to be sent before anything else.
    queue: VecDeque<Range<u64>>,
    /// The events that are on their way.
    asked: Option<Range<u64>>,
    /// When the next one may be asked.
    ready: Time,
    mixed: u64,
}

impl IdSource {
    /// A source that has said nothing.
    #[must_use]
    pub fn new(seed: u64, mut nodes: Vec<String>, number: u32, chunks: u64) -> Self {
        let mut random = Random::new(seed, &format!("source {number}"));
        let first = random.below(nodes.len());
        nodes.rotate_left(first);
        let caller = Caller::new(CallerConfig {
            nodes,
            cluster: None,
            connect_timeout: Duration::from_millis(random.of(&[100, 1000])),
            request_timeout: Duration::from_millis(random.of(&[300, 1000])),
            patience: Duration::from_secs(5),
            linearizable: true,
            seed: random.any(),
        });
        Self {
            random,
            number,
            caller,
            terminal: Terminal::default(),
            left: chunks,
            sent: 0,
            queue: VecDeque::new(),
            asked: None,
            ready: Time(0),
            mixed: 0,
        }
    }

    /// It makes no further chunks.
    pub fn stop(&mut self) {
        self.left = 0;
    }

    /// Whether all that it said has its place.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0 && self.asked.is_none() && self.queue.is_empty()
    }

    /// Chunks that were refused since some of their ids were known.
    #[must_use]
    pub fn mixed(&self) -> u64 {
        self.mixed
    }

    /// When it wants to act next, if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let rests = self.asked.is_none() && !self.is_done();
        let ready = rests.then_some(self.ready);
        self.caller.deadline().into_iter().chain(ready).min()
    }

    /// Hears, and says what is to be said next.
    pub fn act(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let due = self.terminal.is_due(&self.caller, wires, now)
            || self.deadline().is_some_and(|due| due <= now);
        if !due {
            return;
        }
        self.terminal.listen(&mut self.caller, wires, now);
        if let Some(end) = self.caller.take() {
            let events = self.asked.take().expect("it was asked");
            self.answered(end, events, oracle);
            let pause = self.random.of(&[0, 2, 20]) * MS;
            self.ready = now.after(self.random.between(0, pause));
        }
        if self.asked.is_none() && self.ready <= now {
            self.ask(now, oracle);
            self.terminal.listen(&mut self.caller, wires, now);
        }
        self.terminal.speak(&mut self.caller, wires, now);
    }

    fn answered(
        &mut self,
        end: Result<Answer, ClientError>,
        events: Range<u64>,
        oracle: &mut Oracle,
    ) {
        match end {
            Ok(Answer::Placed(offset)) => oracle.ids().told(events, offset),
            Ok(answer) => panic!("a chunk is answered by {answer:?}"),
            Err(error) if error.code() == Some(ErrorCode::EventIdsMixed) => {
                assert!(events.end - events.start > 1, "one id is known or is not");
                self.mixed += 1;
                let singly = events.map(|number| number..number + 1);
                self.queue.extend(singly);
            }
            Err(ClientError::Unreachable { .. }) => self.queue.push_front(events),
            Err(error) => panic!("a chunk with ids ends with {error}"),
        }
    }

    fn ask(&mut self, now: Time, oracle: &mut Oracle) {
        let events = match self.queue.pop_front() {
            Some(events) => events,
            None if self.left == 0 => return,
            None => {
                self.left -= 1;
                // Not far from what all of them have said so far.
                let most = oracle.ids().said() + TOGETHER;
                let first = self.random.between(most.saturating_sub(20), most);
                first..first + self.random.between(1, TOGETHER)
            }
        };
        oracle.ids().says(&events);
        let place = (Epoch(self.number), Sequence(self.sent * TOGETHER));
        self.sent += 1;
        let payloads: Vec<_> = events.clone().map(u64::to_le_bytes).collect();
        let with_ids: Vec<_> = events
            .clone()
            .zip(&payloads)
            .map(|(number, payload)| {
                let event = Event {
                    key: number,
                    time: number,
                    topic: b"ids",
                    payload,
                    priority: 0,
                };
                (event_id(number), event)
            })
            .collect();
        let question = id_question(&with_ids, place).expect("it is within its limits");
        let chunk = ChunkId {
            producer: ProducerId::NONE,
            epoch: place.0,
            first: place.1,
            events: u32::try_from(with_ids.len()).expect("a few"),
        };
        oracle.made(chunk, now);
        self.caller.ask(question, now);
        self.asked = Some(events);
    }
}
