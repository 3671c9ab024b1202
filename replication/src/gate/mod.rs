//! The gate: a client's bytes become requests, and answers become bytes.
//!
//! Owns: every check of what a client sent, the sentence of each refusal, and the layout of each answer. Never: a socket, a
//! limit that depends on what else is in flight. Called by: the engine's shards, and the simulator's.

mod answer;
mod asked;
mod filter;
mod named;
mod quota;
mod records;
mod request;
mod run;
mod shed;
mod subscription;

pub use answer::{Greeting, write, write_no};
pub use asked::{Asked, Opened};
pub use filter::Filter;
pub use quota::Quota;
pub use request::{Gate, No};
pub use shed::share;
pub use subscription::{Subscribe, SubscriptionId, Subscriptions, Talk};
