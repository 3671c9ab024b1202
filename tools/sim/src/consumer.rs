//! A test consumer: fetches from the start of the log to its end, over and over, from any node, and shows the oracle what it got.

use quorate_replication::lane::{Answer, Ask};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{ErrorCode, NodeId, Offset, Record, Time};

use crate::oracle::Oracle;
use crate::post::{ClientId, ConnectionId, News, Post};
use crate::random::Random;

const MS: u64 = 1_000_000;

/// A test consumer. See the module's description.
#[derive(Debug)]
pub struct Consumer {
    client: ClientId,
    random: Random,
    nodes: Vec<NodeId>,
    node: NodeId,
    connection: Option<ConnectionId>,
    again: Time,
    correlation: u64,
    offset: Offset,
    /// Index and checksum of the last record that it got, if the next one shall follow it.
    last: Option<(u64, u32)>,
    /// An open fetch, and until when it is waited for.
    open: Option<Time>,
    fetched: u64,
    unreadable: u64,
}

impl Consumer {
    /// A consumer that has seen nothing.
    #[must_use]
    pub fn new(seed: u64, nodes: Vec<NodeId>, client: ClientId) -> Self {
        let node = *nodes.first().expect("a cluster has nodes");
        Self {
            client,
            random: Random::new(seed, &format!("consumer {}", client.0)),
            nodes,
            node,
            connection: None,
            again: Time(0),
            correlation: 0,
            offset: Offset(0),
            last: None,
            open: None,
            fetched: 0,
            unreadable: 0,
        }
    }

    /// Records that it got.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Fetches that a node said it could not read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// When it wants to act next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        Some(self.open.unwrap_or(self.again))
    }

    /// Fetches on.
    pub fn act(&mut self, now: Time, post: &mut Post) {
        if self.open.is_some_and(|until| until <= now) {
            self.turn_away(now, post);
        }
        if self.open.is_some() || now < self.again {
            return;
        }
        let connection = match self.connection {
            Some(connection) => connection,
            None => {
                let any = self.random.below(self.nodes.len());
                self.node = *self.nodes.get(any).expect("a place in the list");
                post.connect(self.client, self.node)
            }
        };
        self.connection = Some(connection);
        self.correlation += 1;
        let most = u64::try_from(RECORDS_BYTES_MAX).expect("it fits");
        let bytes_max = usize::try_from(self.random.scaled(1, most)).expect("it fits");
        let wait = self.random.of(&[0, 1, 30, 300]) * MS;
        let ask = Ask::Fetch {
            offset: self.offset,
            bytes_max,
            wait,
        };
        post.ask(connection, self.correlation, ask, now);
        self.open = Some(now.after(wait + 2000 * MS));
    }

    /// Hears an answer, or that the connection is gone.
    pub fn hear(
        &mut self,
        connection: ConnectionId,
        news: News,
        now: Time,
        post: &mut Post,
        oracle: &mut Oracle,
    ) {
        if self.connection != Some(connection) {
            return;
        }
        let (correlation, answer) = match news {
            News::Lost => return self.turn_away(now, post),
            News::Answer {
                correlation,
                answer,
            } => (correlation, answer),
        };
        assert_eq!(correlation, self.correlation, "one fetch is open at a time");
        self.open = None;
        self.again = now.after(self.random.between(0, 2 * MS));
        match answer {
            Answer::Fetched {
                committed,
                start,
                records,
            } => {
                assert_eq!(
                    start,
                    Offset(0),
                    "nothing is ever taken off the log's start"
                );
                self.got(&records, committed, oracle);
                if self.random.one_in(16) {
                    self.turn_away(now, post);
                }
            }
            Answer::Refused(refusal) => {
                let expected = [
                    ErrorCode::OffsetPastEnd,
                    ErrorCode::RecordUnreadable,
                    ErrorCode::Repairing,
                ];
                assert!(
                    expected.contains(&refusal.code),
                    "a fetch is refused with {refusal:?}"
                );
                self.unreadable += u64::from(refusal.code == ErrorCode::RecordUnreadable);
                self.turn_away(now, post);
            }
            Answer::Greeting { .. } | Answer::Produced { .. } | Answer::Status(_) => {
                panic!("a consumer is not answered by {answer:?}")
            }
        }
    }

    fn got(&mut self, mut records: &[u8], committed: Offset, oracle: &mut Oracle) {
        assert!(committed >= self.offset, "the asked offset was committed");
        let mut first = true;
        while !records.is_empty() {
            let (record, rest) = Record::parse(records).expect("records are sound");
            let header = *record.header();
            if first {
                let holds = (header.base_offset..header.next_offset()).contains(&self.offset);
                assert!(
                    holds,
                    "the first record holds offset {}: {header:?}",
                    self.offset
                );
            }
            if let Some((index, crc)) = self.last
                && header.index.0 == index + 1
            {
                assert_eq!(header.previous, crc, "the chain has no break");
            }
            assert!(
                header.next_offset() <= committed,
                "node {} hands out offset {} and says that {committed} is committed",
                self.node,
                header.next_offset()
            );
            oracle.fetched(self.node, &record);
            self.last = Some((header.index.0, header.header_crc));
            self.offset = header.next_offset();
            self.fetched += 1;
            (first, records) = (false, rest);
        }
        // Old records come from the disk: it goes back now and then.
        if self.random.one_in(24) && self.offset.0 > 0 {
            self.offset = Offset(self.random.between(0, self.offset.0 - 1));
            self.last = None;
        }
    }

    fn turn_away(&mut self, now: Time, post: &mut Post) {
        if let Some(connection) = self.connection.take() {
            post.leave(connection);
        }
        self.open = None;
        self.again = now.after(self.random.between(1, 20 * MS));
    }
}
