//! Any two quorums in force share a disk (Raft §6): in no log two members' lists follow one another of which a quorum of the first
//! and one of the second have nobody in common, and no list is appended before the one before it is committed.

use quorate_raft::{Member, Members};

use crate::node::Record;

/// Holds a log against it, from the record at `from` on. `committed` records are.
pub(super) fn check(formed: &Members, log: &[Record], from: usize, committed: usize) {
    let before = log[..from].iter().enumerate().rev();
    let mut before = before.filter_map(|(at, record)| Some((at, record.members()?)));
    let (mut at, mut members) = before
        .next()
        .map_or((None, formed.clone()), |(at, members)| (Some(at), members));
    for (next, record) in log.iter().enumerate().skip(from) {
        let Some(named) = record.members() else {
            continue;
        };
        assert!(
            at.is_none_or(|at| at < committed),
            "record {} names members, and those of record {at:?} are not committed",
            next + 1
        );
        assert!(
            meet(&members, &named),
            "quorums of {members:?} and of {named:?} have no disk in common"
        );
        (at, members) = (Some(next), named);
    }
}

fn is_quorum(members: &Members, of: u64) -> bool {
    let majority = |list: &[Member]| {
        let here = list.iter().filter(|member| of >> member.0.0 & 1 == 1);
        here.count() > list.len() / 2
    };
    majority(&members.voters) && (members.outgoing.is_empty() || majority(&members.outgoing))
}

/// Whether each quorum of one has a node in common with each of the other.
fn meet(one: &Members, other: &Members) -> bool {
    let quorums = (0..1 << 9).filter(|&nodes| is_quorum(one, nodes));
    quorums.into_iter().all(|nodes| !is_quorum(other, !nodes))
}

#[test]
fn disjoint_quorums_are_seen() {
    let of = |ids: std::ops::RangeInclusive<u32>| {
        Members::of(
            ids.map(|id| (quorate_wire::NodeId(id), crate::node::disk_id(id)))
                .collect(),
        )
    };
    let joint = |new: Members, old: &Members| Members {
        outgoing: old.voters.clone(),
        ..new
    };
    assert!(meet(&of(1..=3), &of(1..=4)) && !meet(&of(1..=3), &of(1..=5)));
    assert!(!meet(&of(1..=1), &of(2..=2)));
    let change = joint(of(4..=6), &of(1..=3));
    assert!(meet(&of(1..=3), &change) && meet(&change, &of(4..=6)));
}
