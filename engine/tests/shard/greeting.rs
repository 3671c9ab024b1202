//! The first frame of a connection.

use quorate_engine::config::Limits;
use quorate_wire::client::{HelloReply, NodeEntry};
use quorate_wire::{ErrorCode, FrameKind};
use zerocopy::FromBytes;

use crate::support::{Client, Rig, cluster, hello, status};

#[test]
fn a_client_greets_and_learns_the_nodes() {
    let rig = Rig::with_defaults();
    let mut client = Client::connect(rig.address);
    client.send(&hello(cluster().to_bytes(), 1, 9));
    let answer = client.read();
    assert_eq!(
        (answer.kind, answer.correlation),
        (FrameKind::HelloReply, 1)
    );
    let reply = HelloReply::read_from_bytes(&answer.message).expect("it has its length");
    assert_eq!(reply.cluster, cluster().to_bytes());
    assert_eq!(
        (reply.node.get(), reply.leader.get(), reply.version),
        (2, 1, 1)
    );
    assert_eq!(reply.window_requests.get(), 1024);
    assert_eq!(reply.window_bytes.get(), 16 << 20);
    let nodes = NodeEntry::parse_all(&answer.tail, reply.node_count).expect("they are listed");
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| (node.node.get(), node.address().expect("it is text")))
        .collect();
    assert_eq!(
        nodes,
        [
            (1, "127.0.0.1:9001"),
            (2, "127.0.0.1:9002"),
            (3, "127.0.0.1:9003")
        ]
    );
}

#[test]
fn a_client_need_not_know_the_cluster() {
    let rig = Rig::with_defaults();
    let mut client = Client::connect(rig.address);
    client.send(&hello([0; 16], 1, 1));
    assert_eq!(client.read().kind, FrameKind::HelloReply);
}

#[test]
fn a_client_of_another_cluster_is_refused() {
    let rig = Rig::with_defaults();
    let mut client = Client::connect(rig.address);
    client.send(&hello(*b"orders\0\0\0\0\0\0\0\0\0\0", 1, 1));
    let text = client.expect_end(ErrorCode::ClusterMismatch);
    assert!(text.contains("flights"), "{text}");
}

#[test]
fn a_client_that_speaks_other_versions_is_refused() {
    let rig = Rig::with_defaults();
    for (least, most) in [(2, 9), (0, 0), (3, 1)] {
        let mut client = Client::connect(rig.address);
        client.send(&hello(cluster().to_bytes(), least, most));
        client.expect_end(ErrorCode::FrameVersion);
    }
}

#[test]
fn nothing_comes_before_the_greeting() {
    let rig = Rig::with_defaults();
    let mut client = Client::connect(rig.address);
    client.send(&status(1));
    client.expect_end(ErrorCode::HelloExpected);
}

#[test]
fn a_client_that_does_not_greet_is_let_go() {
    let rig = Rig::start(Limits {
        hello_ms: 50,
        ..Limits::default()
    });
    // A half greeting is none.
    let whole = hello(cluster().to_bytes(), 1, 1);
    for bytes in [&[][..], &whole[..whole.len() - 1]] {
        let mut client = Client::connect(rig.address);
        client.send(bytes);
        let text = client.expect_end(ErrorCode::HelloExpected);
        assert!(text.contains("50 ms"), "{text}");
    }
}

#[test]
fn a_connection_greets_once() {
    let rig = Rig::with_defaults();
    let mut client = rig.client();
    client.send(&hello(cluster().to_bytes(), 1, 1));
    client.expect_end(ErrorCode::FrameKind);
}

#[test]
fn requests_may_follow_the_greeting_at_once() {
    let rig = Rig::with_defaults();
    let mut client = Client::connect(rig.address);
    client.send(&[hello([0; 16], 1, 1), status(2), status(3)].concat());
    let answers: Vec<_> = (0..3).map(|_| client.read().correlation).collect();
    assert_eq!(answers, [1, 2, 3]);
}
