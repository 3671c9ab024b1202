//! Client library of Quorate: produce events exactly once, read them back, ask a node how it is.
//!
//! Owns: a producer's sequences and its retries, the way to the leader, and the checks of what a consumer gets. Never: a thread,
//! anything of raft, replication or engine; an async runtime only with the feature `tokio`. Called by: the command line, the load
//! generator, and programs that emit events. `docs/tutorial-rust.md` is the way in.
//!
//! ```no_run
//! use std::time::Duration;
//! use quorate_client::{Consumer, ConsumerOptions, Event, Producer, ProducerOptions};
//!
//! # fn main() -> Result<(), quorate_client::ClientError> {
//! let nodes = ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"];
//! let mut producer = Producer::connect(ProducerOptions::new(nodes))?;
//! producer.send(&Event { key: 7, time: 0, topic: b"orders", payload: b"one", priority: 0 })?;
//! producer.flush()?; // two of three disks have it
//!
//! let mut consumer = Consumer::connect(ConsumerOptions::new(nodes))?;
//! let batch = consumer.fetch(Duration::from_secs(1))?;
//! for (offset, event) in batch.events() {
//!     assert!(offset.0 > 0 || event.payload == b"one");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Producer`] | blocking: [`send`](Producer::send), [`send_encoded`](Producer::send_encoded) for load generators, [`poll`](Producer::poll), [`flush`](Producer::flush), [`take_acks`](Producer::take_acks), [`stats`](Producer::stats), [`close`](Producer::close) |
//! | [`IdProducer`] | blocking, for sources that have an id for each event and no order of their own: each is in the log once |
//! | [`Consumer`] | blocking: [`fetch`](Consumer::fetch) gives a [`Batch`] of verified records and events; follows to any node, or sticks to one |
//! | [`GroupConsumer`] | blocking: a member of a consumer group, which reads its share of the slots, and commits |
//! | `AsyncProducer`, `AsyncConsumer`, `AsyncGroupConsumer` | the same on tokio, with the feature `tokio`; every future may be dropped at any moment |
//! | [`Filter`], [`ReadFrom`], [`Consistency`] | which events a consumer wants, from where on, and how fresh |
//! | [`status`], [`audit`] | one question to one node: how it is, and what its log amounts to |
//! | [`members`], [`transfer`] | what operators ask |
//! | [`ClientError`] | what went wrong, with its stable code where there is one |
//! | [`session`], [`cursor`] | a producer's and a consumer's protocol without sockets, clocks or chance: what the blocking ones and the simulator both run |
//!
//! A producer is one stream of sequences: a chunk is sent again, after whatever failure, until a leader acknowledges it, and the
//! cluster takes each sequence once. What a producer holds is bounded by its window; at the bound `send` waits.
#![forbid(unsafe_code)]

mod admin;
mod audit;
mod batch;
pub mod caller;
mod connection;
mod consumer;
mod conversation;
pub mod cursor;
pub mod endpoint;
mod error;
mod filter;
mod greeting;
mod group_consumer;
mod id_producer;
mod link;
pub mod member;
mod named;
#[cfg(feature = "tokio")]
mod on_tokio;
mod options;
mod outbox;
mod packer;
mod producer;
mod route;
pub mod session;
mod socket;
mod stats;
mod status;
mod transport;

pub use admin::{Group, Member, addition, change, change_and_tell, members, transfer};
pub use audit::{AuditMark, Audited, audit};
pub use batch::Batch;
pub use caller::{CursorPage, GroupMember, GroupStanding, NamedCursor};
pub use consumer::Consumer;
pub use error::{ClientError, InvalidEvent, LinkCause};
pub use filter::Filter;
pub use group_consumer::GroupConsumer;
pub use id_producer::{IdProducer, question as id_question};
pub use member::{Commit, Committed, Polled, Regrouped, Reset};
pub use named::Names;
#[cfg(feature = "tokio")]
pub use on_tokio::{AsyncConsumer, AsyncGroupConsumer, AsyncProducer, Receipt};
pub use options::{ConsumerOptions, ProducerOptions};
pub use producer::Producer;
pub use session::Ack;
pub use stats::{CloseError, Stats};
pub use status::{Role, Status, Written, status};

pub use quorate_wire::admin::Change;
pub use quorate_wire::client::{AckLevel, Consistency, ReadFrom, Stage, StageTimes};
pub use quorate_wire::filter::{Clause, FilterError};
pub use quorate_wire::{
    Chunk, ChunkId, ClusterName, Edition, Epoch, ErrorCode, Event, EventId, Generation, LogIndex,
    MemberId, MemberRole, Name, NodeId, Offset, ProducerId, Record, RecordKind, Sequence, Slot,
    Slots, Term, Time, checksum::key_of,
};
