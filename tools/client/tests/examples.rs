//! The examples do what they say, and the tutorial shows nothing that is not in them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each example is a program of its own"
)]

mod support;

#[path = "../examples/async_both.rs"]
mod async_both;
#[path = "../examples/consumer.rs"]
mod consumer;
#[path = "../examples/producer.rs"]
mod producer;

use quorate_client::{Consumer, ConsumerOptions};
use support::node::Cluster;

const TUTORIAL: &str = include_str!("../../../docs/tutorial-rust.md");

// `group.rs` wants true nodes: it runs with the command's process tests.
const EXAMPLES: [&str; 4] = [
    include_str!("../examples/async_both.rs"),
    include_str!("../examples/consumer.rs"),
    include_str!("../examples/group.rs"),
    include_str!("../examples/producer.rs"),
];

#[test]
fn the_blocking_ones_produce_and_consume() {
    let cluster = Cluster::start(3);
    producer::run(cluster.addresses()).expect("it runs");
    assert_eq!(cluster.with_log(|log| log.end()), 1000);
    consumer::run(cluster.addresses()).expect("it runs");
    let mut check =
        Consumer::connect(ConsumerOptions::new(cluster.addresses())).expect("it connects");
    let batch = check.fetch(std::time::Duration::ZERO).expect("records");
    let (_, event) = batch.events().nth(13).expect("a thousand were sent");
    assert_eq!(event.payload, b"order 13 of customer 3");
}

#[tokio::test]
async fn the_async_one_does_both() {
    let cluster = Cluster::start(3);
    async_both::run(cluster.addresses()).await.expect("it runs");
    assert_eq!(cluster.with_log(|log| log.end()), 100);
}

/// Lines without what they are indented by.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_tutorial_shows_what_runs() {
    let blocks: Vec<_> = TUTORIAL
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a first part"))
        .collect();
    assert!(blocks.len() >= 3, "only {} blocks", blocks.len());
    for block in blocks {
        let shown = lines(block);
        let runs = EXAMPLES.iter().any(|example| {
            let example = lines(example);
            example.windows(shown.len()).any(|part| part == shown)
        });
        assert!(runs, "no example has these lines:\n{block}");
    }
}
