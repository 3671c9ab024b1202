//! What is kept of all producers together is bounded, and what is forgotten is refused, never taken twice.

use proptest::prelude::*;
use quorate_replication::log::{Identity, Replay};
use quorate_replication::snapshot::SnapshotError;
use quorate_replication::state::{State, Verdict};
use quorate_wire::{DiskId, NodeId};

use crate::life::{GROUP, Life, Step, cluster, steps, whole};

/// More than the six producers of a life, each with a few.
const BOUND: usize = 24;

/// What is left when some are forgotten.
const LEVEL: usize = (BOUND - BOUND / 8) / 6;

fn loaded(bytes: &[u8], bound: usize) -> Result<State, SnapshotError> {
    let mut state = State::new(bound);
    let of = Identity {
        cluster: cluster(),
        node: NodeId(1),
        group: GROUP,
        disk: DiskId([1; 16]),
    };
    state.begin(bytes, &of)?;
    Ok(state)
}

/// A retry of anything that is committed gets its first offset, or is too old: and not if it is one of its producer's latest.
fn check(life: &Life) -> Result<(), TestCaseError> {
    prop_assert!(life.state.runs() <= BOUND, "{} runs", life.state.runs());
    let applied = life.state.applied();
    let mut later = std::collections::BTreeMap::new();
    for (index, id, offset) in life.chunks.iter().rev() {
        if *index > applied {
            continue;
        }
        let (epoch, count) = later.entry(id.producer).or_insert((id.epoch, 0));
        match life.state.judge(id) {
            Verdict::Committed(at) => prop_assert_eq!(at, *offset),
            Verdict::TooOld => prop_assert!(*count >= LEVEL, "{id:?} with {count} later ones"),
            Verdict::Fenced { .. } => prop_assert!(id.epoch < *epoch, "{id:?} is fenced"),
            verdict @ (Verdict::New
            | Verdict::Taken
            | Verdict::Gap { .. }
            | Verdict::Unknown
            | Verdict::Full
            | Verdict::Appended(_)
            | Verdict::Mixed
            | Verdict::IdsFull) => prop_assert!(false, "{id:?}: {verdict:?}"),
        }
        *count += 1;
    }
    Ok(())
}

fn is_within_a_day(step: &Step) -> bool {
    !matches!(step, Step::Pass(_))
}

proptest! {
    /// One node goes on, the other begins with a snapshot of it: both forget the same.
    #[test]
    fn what_is_forgotten_is_refused_on_every_node(before in steps(), after in steps(), gaps in 0u64..4) {
        let mut one = Life::within(BOUND);
        // Each is a run of its own, or every fourth.
        let apart = |number: u64| Step::Append { producer: number % 6, events: 1, epoch: false, skip: number % 4 >= gaps };
        for step in (0..70).map(apart).chain(before).filter(is_within_a_day) {
            one.step(step);
            check(&one)?;
        }
        one.step(Step::Commit(0));
        check(&one)?;
        let bytes = whole(&mut one);
        let mut other = one.of(loaded(&bytes, BOUND).expect("it is sound"));
        for step in after.into_iter().chain((0..50).map(apart)).filter(is_within_a_day) {
            one.step(step);
            check(&one)?;
            other.step(step);
        }
        for life in [&mut one, &mut other] {
            life.step(Step::Commit(0));
        }
        check(&other)?;
        prop_assert_eq!(one.state.producers_digest(), other.state.producers_digest());
        prop_assert_eq!(one.state.runs(), other.state.runs());
    }
}

#[test]
fn who_has_few_runs_loses_none_to_who_has_many() {
    let mut life = Life::within(BOUND);
    let mut append = |producer| {
        life.step(Step::Append {
            producer,
            events: 1,
            epoch: false,
            skip: false,
        });
        life.step(Step::Commit(0));
        life.state.runs()
    };
    for producer in [1, 2, 1, 2, 3, 4] {
        append(producer);
    }
    // Three and four by turns: one and two have said all.
    let most = (0..100).map(|at| append(3 + at % 2)).max();
    assert_eq!(most, Some(BOUND));
    let known = |number| {
        let all = life
            .chunks
            .iter()
            .filter(|(_, id, _)| id.producer.0 == number);
        let verdicts = all.map(|(_, id, _)| life.state.judge(id));
        verdicts
            .filter(|it| matches!(it, Verdict::Committed(_)))
            .count()
    };
    assert_eq!((known(1), known(2)), (2, 2));
    assert!((7..=10).contains(&known(3)), "{}", known(3));
}

#[test]
fn a_snapshot_with_more_runs_than_are_allowed_is_refused() {
    let mut life = Life::default();
    for number in 0..40 {
        life.step(Step::Append {
            producer: number % 6,
            events: 1,
            epoch: false,
            skip: false,
        });
    }
    life.step(Step::Commit(0));
    assert_eq!(life.state.runs(), 40);
    let bytes = whole(&mut life);
    assert!(loaded(&bytes, 40).is_ok());
    let refused = loaded(&bytes, 39).expect_err("one too many");
    assert!(
        refused.to_string().contains("the number of runs"),
        "{refused}"
    );
}
