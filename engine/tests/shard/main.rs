//! A shard on a real port, with a thread at the other end of its lanes that plays the pipeline.
#![expect(
    clippy::indexing_slicing,
    reason = "a test that reads past its own bytes has failed"
)]

mod bad_input;
mod bounds;
mod greeting;
mod requests;
mod stop;
mod subscriptions;
mod support;
