//! A driver that breaks its contract, or a message that no honest core can send, stops the core: going on would lose data.

#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;

use node::{Disk, Node, config};
use quorate_raft::{Append, HardState, Input, Mark, Message, Run};
use quorate_wire::{LogIndex, NodeId, Position, SessionId, Term, Time};

/// Node 2 of three, after an append by node 1 in term 1.
fn follower() -> Node {
    let mut node = Node::start(config(2, 3, 1), Disk::default(), LogIndex(0), Time(0));
    for peer in [1, 3] {
        node.step(
            Input::PeerUp {
                peer: NodeId(peer),
                disk: node::disk_id(peer),
            },
            &[],
        );
    }
    append(&mut node, 1, 1, 0, 1);
    node
}

fn append(node: &mut Node, from: u32, term: u64, previous: u64, commit: u64) {
    let record = node::Record {
        term: Term(term),
        value: 7,
    };
    let previous = Position {
        term: Term(previous),
        index: LogIndex(previous),
    };
    let entries = Run {
        term: Term(term),
        count: 1,
    };
    let append = Append {
        term: Term(term),
        session: SessionId(1),
        round: 1,
        previous,
        entries,
        commit: LogIndex(commit),
    };
    node.step(
        Input::Message {
            from: NodeId(from),
            message: Message::Append(append),
        },
        &[record],
    );
}

#[test]
fn it_follows() {
    let node = follower();
    assert_eq!(
        (node.raft.leader(), node.raft.commit()),
        (Some(NodeId(1)), LogIndex(1))
    );
}

#[test]
#[should_panic(expected = "only a leader appends")]
fn a_follower_takes_no_proposal() {
    follower().step(
        Input::Propose,
        &[node::Record {
            term: Term(1),
            value: 8,
        }],
    );
}

#[test]
#[should_panic(expected = "a term has one leader")]
fn a_term_has_one_leader() {
    append(&mut follower(), 3, 1, 1, 1);
}

#[test]
#[should_panic(expected = "a committed record never becomes void")]
fn a_committed_record_is_never_truncated() {
    append(&mut follower(), 1, 2, 0, 1);
}

#[test]
#[should_panic(expected = "a monotonic clock does not go back")]
fn the_clock_does_not_go_back() {
    let mut node = follower();
    node.step(Input::Tick { now: Time(5) }, &[]);
    node.step(Input::Tick { now: Time(4) }, &[]);
}

#[test]
#[should_panic(expected = "the disk cannot have what was not yet appended")]
fn the_disk_has_no_more_than_the_log() {
    follower().step(
        Input::LogDurable {
            mark: Mark {
                truncations: 0,
                last: LogIndex(2),
            },
        },
        &[],
    );
}

#[test]
#[should_panic(expected = "the disk cannot have what was not yet written")]
fn the_disk_has_no_later_hard_state() {
    let mut node = follower();
    let HardState { version, .. } = *node.hard_writes.back().expect("a new term is written");
    node.step(
        Input::HardStateDurable {
            version: version + 1,
        },
        &[],
    );
}

#[test]
#[should_panic(expected = "this node is a voter")]
fn a_node_is_in_its_own_group() {
    let mut config = config(2, 3, 1);
    config.voters.retain(|voter| voter.0 != NodeId(2));
    Node::start(config, Disk::default(), LogIndex(0), Time(0));
}
