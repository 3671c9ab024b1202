//! The producer, the consumer and the member of a consumer group for programs that run on tokio: the same session and cursor as the blocking ones.
//!
//! Owns: the sockets, and the task that moves a producer's bytes. Never: decides what to send when. Called by: programs. They are to
//! be made and used inside a tokio runtime with its I/O and time drivers enabled.

mod consumer;
mod core;
mod group_consumer;
mod producer;
mod receipt;
mod socket;

pub use consumer::AsyncConsumer;
pub use group_consumer::AsyncGroupConsumer;
pub use producer::AsyncProducer;
pub use receipt::Receipt;
