//! A driver that breaks its contract, or a message that no honest core can send, stops the core: going on would lose data.

#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;

use node::{Disk, Node, config, formed};
use quorate_raft::{Append, HardState, Input, Mark, Member, Members, Message, Run};
use quorate_wire::{LogIndex, NodeId, Position, SessionId, Term, Time};

/// Node 2 of three, after an append by node 1 in term 1.
fn follower() -> Node {
    let mut node = Node::start(
        (config(2, 1), formed(3)),
        Disk::default(),
        LogIndex(0),
        Time(0),
    );
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

/// Node 1, alone and leading, changes the voters.
fn change(outgoing: &[Member]) {
    let start = (config(1, 1), formed(1));
    let mut node = Node::start(start, Disk::default(), LogIndex(0), Time(0));
    let now = node.raft.deadline();
    node.step(Input::Tick { now }, &[]);
    while node.complete_hard() || node.submit_log() && node.complete_log() {}
    assert!(node.raft.may_change());
    let voters = [1, 2].map(|id| (NodeId(id), node::disk_id(id))).to_vec();
    let members = Members {
        outgoing: outgoing.to_vec(),
        ..Members::of(voters)
    };
    let record = node::Record::naming(node.raft.term(), &members);
    node.step(Input::Propose, &[record]);
    assert!(!node.raft.may_change(), "one change at a time");
}

#[test]
fn voters_change_by_joint_consensus() {
    change(&formed(1).voters);
}

#[test]
#[should_panic(expected = "voters change by joint consensus only")]
fn voters_do_not_change_at_once() {
    change(&[]);
}

#[test]
#[should_panic(expected = "voters change by joint consensus only")]
fn those_who_go_are_those_who_voted() {
    change(&formed(3).voters);
}
