//! The way between clients and nodes: connections that keep their order and die with the node's process.

use std::collections::BTreeMap;

use quorate_replication::lane::{Answer, Ask, Reply, Request, Ticket};
use quorate_wire::{NodeId, Time};

use crate::random::Random;
use crate::schedule::Schedule;

/// A client of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// A client's connection with one node: never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What a client hears.
#[derive(Debug)]
pub enum News {
    /// An answer.
    Answer {
        /// The client's name for the request.
        correlation: u64,
        /// What it says.
        answer: Answer,
    },
    /// The connection is gone.
    Lost,
}

/// A request on its way.
#[derive(Debug)]
pub struct Letter {
    /// On which connection.
    pub connection: ConnectionId,
    /// To which node.
    pub node: NodeId,
    /// The request.
    pub request: Request,
}

#[derive(Debug)]
struct Connection {
    client: ClientId,
    node: NodeId,
    /// When the last letter arrives, and the last answer: none overtakes another.
    last: (Time, Time),
    /// It has reached a process that lives.
    open: bool,
    /// The client does not listen any more.
    left: bool,
    lost: bool,
}

/// All connections of clients.
#[derive(Debug)]
pub struct Post {
    random: Random,
    /// Nanoseconds that a letter takes at least and at most.
    latency: (u64, u64),
    letters: Schedule<Letter>,
    news: Schedule<(ConnectionId, News)>,
    connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
}

impl Post {
    /// No connections yet.
    #[must_use]
    pub fn new(seed: u64, latency: (u64, u64)) -> Self {
        Self {
            random: Random::new(seed, "post"),
            latency,
            letters: Schedule::default(),
            news: Schedule::default(),
            connections: BTreeMap::new(),
            next: 0,
        }
    }

    /// A client turns to a node.
    pub fn connect(&mut self, client: ClientId, node: NodeId) -> ConnectionId {
        self.next += 1;
        let connection = Connection {
            client,
            node,
            last: (Time(0), Time(0)),
            open: false,
            left: false,
            lost: false,
        };
        self.connections.insert(ConnectionId(self.next), connection);
        ConnectionId(self.next)
    }

    /// A client turns away. What it has asked may still be done.
    pub fn leave(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.left = true;
        }
    }

    /// Sends a request.
    pub fn ask(&mut self, connection: ConnectionId, correlation: u64, ask: Ask, now: Time) {
        let takes = self.random.between(self.latency.0, self.latency.1);
        let known = self
            .connections
            .get_mut(&connection)
            .expect("a connection that was opened");
        let at = now.after(takes).max(known.last.0);
        known.last.0 = at;
        let ticket = Ticket {
            connection: connection.0,
            correlation,
        };
        let letter = Letter {
            connection,
            node: known.node,
            request: Request { ticket, ask },
        };
        self.letters.push(at, letter);
    }

    /// The next request that arrives now.
    pub fn letter(&mut self, now: Time) -> Option<Letter> {
        self.letters.due(now)
    }

    /// A letter has reached a living process. Says whether it is still the one that the connection leads to.
    pub fn arrived(&mut self, connection: ConnectionId) -> bool {
        let known = self
            .connections
            .get_mut(&connection)
            .expect("a connection that was opened");
        known.open |= !known.lost;
        known.open
    }

    /// A letter has found nobody.
    pub fn nobody(&mut self, connection: ConnectionId, now: Time) {
        let known = self
            .connections
            .get_mut(&connection)
            .expect("a connection that was opened");
        if !std::mem::replace(&mut known.lost, true) {
            known.open = false;
            self.tell(connection, News::Lost, now);
        }
    }

    /// A node answers.
    pub fn reply(&mut self, reply: Reply, now: Time) {
        let Reply {
            ticket: Ticket {
                connection,
                correlation,
            },
            answer,
        } = reply;
        let news = News::Answer {
            correlation,
            answer,
        };
        self.tell(ConnectionId(connection), news, now);
    }

    /// A node's process dies: its clients lose it. Answers on the way may be lost too.
    pub fn crash(&mut self, node: NodeId, now: Time) {
        let open: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, known)| known.node == node && known.open)
            .map(|(&id, _)| id)
            .collect();
        for connection in open {
            if self.random.one_in(2) {
                // What follows is not heard.
                self.drop_news(connection);
            }
            self.nobody(connection, now);
        }
    }

    /// Some connections of clients break, and the nodes live on.
    pub fn shake(&mut self, now: Time) {
        let open: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, known)| known.open && !known.left)
            .map(|(&id, _)| id)
            .collect();
        for connection in open {
            if self.random.one_in(2) {
                self.drop_news(connection);
                self.nobody(connection, now);
            }
        }
    }

    fn drop_news(&mut self, connection: ConnectionId) {
        let mut kept = Schedule::default();
        while let Some(at) = self.news.next() {
            let (of, news) = self.news.due(at).expect("one is due");
            if of != connection {
                kept.push(at, (of, news));
            }
        }
        self.news = kept;
    }

    /// What a client hears now.
    pub fn news(&mut self, now: Time) -> Option<(ClientId, ConnectionId, News)> {
        while let Some((connection, news)) = self.news.due(now) {
            if let Some(known) = self.connections.get(&connection)
                && !known.left
            {
                return Some((known.client, connection, news));
            }
        }
        None
    }

    /// When something arrives next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.letters
            .next()
            .into_iter()
            .chain(self.news.next())
            .min()
    }

    fn tell(&mut self, connection: ConnectionId, news: News, now: Time) {
        let takes = self.random.between(self.latency.0, self.latency.1);
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        let at = now.after(takes).max(known.last.1);
        known.last.1 = at;
        self.news.push(at, (connection, news));
    }
}
