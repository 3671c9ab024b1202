//! Producers are forgotten by log time: the same ones on every node, whatever each has been through.

use proptest::prelude::*;
use quorate_replication::state::{State, Verdict};
use quorate_wire::{ChunkId, Epoch, ProducerId, Sequence};

use crate::life::{GROUP, Life, Step, begin, cluster, steps, take};

fn append(producer: u64) -> Step {
    Step::Append {
        producer,
        events: 2,
        epoch: false,
        skip: false,
    }
}

fn chunk(producer: u64, first: u64) -> ChunkId {
    ChunkId {
        producer: ProducerId(producer),
        epoch: Epoch(0),
        first: Sequence(first),
        events: 2,
    }
}

fn judge(state: &State, producer: u64, first: u64) -> Verdict {
    state.judge(&chunk(producer, first))
}

fn live(steps: impl IntoIterator<Item = Step>) -> Life {
    let mut life = Life::default();
    steps.into_iter().for_each(|step| life.step(step));
    life
}

#[test]
fn a_producer_is_known_for_a_day_after_its_last_chunk() {
    let mut life = live([append(1), append(2), Step::Commit(0), Step::Pass(23)]);
    life.step(append(2));
    life.step(Step::Commit(0));
    assert!(matches!(judge(&life.state, 1, 0), Verdict::Committed(_)));
    for step in [Step::Pass(2), append(3), Step::Commit(0)] {
        life.step(step);
    }
    assert_eq!(judge(&life.state, 1, 2), Verdict::Unknown);
    assert_eq!(judge(&life.state, 1, 0), Verdict::New);
    assert!(matches!(judge(&life.state, 2, 2), Verdict::Committed(_)));
    assert_eq!(life.state.producers(), 2);
}

#[test]
fn the_chunk_that_comes_just_in_time_keeps_its_producer() {
    let mut life = live([append(1), Step::Commit(0), Step::Pass(30)]);
    life.step(append(1));
    life.step(Step::Commit(0));
    assert!(matches!(judge(&life.state, 1, 0), Verdict::Committed(_)));
}

#[test]
fn what_a_leader_has_taken_is_not_forgotten() {
    // The leader takes a chunk behind the record with which its producer expires.
    let before = [append(1), Step::Commit(0), Step::Pass(30), append(2)];
    let mut leader = live(before);
    leader.state.take(&chunk(1, 2));
    for step in [append(1), Step::Commit(1)] {
        leader.step(step);
    }
    assert_eq!(judge(&leader.state, 1, 4), Verdict::New);
    // A follower knows nothing of that, and amounts to the same.
    let mut follower = live(before.into_iter().chain([append(1), Step::Commit(1)]));
    assert_eq!(judge(&follower.state, 1, 4), Verdict::Unknown);
    assert_eq!(
        leader.state.producers_digest(),
        follower.state.producers_digest()
    );
    for life in [&mut leader, &mut follower] {
        life.step(Step::Commit(0));
        assert!(matches!(judge(&life.state, 1, 2), Verdict::Committed(_)));
        assert_eq!(judge(&life.state, 1, 4), Verdict::New);
    }
    assert_eq!(
        leader.state.producers_digest(),
        follower.state.producers_digest()
    );
}

proptest! {
    /// One node commits as it goes; the other starts from a snapshot in the middle, and commits all of the rest at once.
    #[test]
    fn every_node_forgets_the_same(before in steps(), after in steps()) {
        let mut one = live(before.iter().copied());
        one.step(append(9));
        one.step(Step::Commit(0));
        let mut writer = begin(&mut one.state);
        while one.state.copy(100, &mut writer) {}
        one.state.thaw();
        writer.end();
        let mut bytes = Vec::new();
        take(&mut writer, &mut bytes);
        let mut other = one.of(State::load(&bytes, cluster(), GROUP).expect("it is sound"));
        for step in after.into_iter().filter(|step| !matches!(step, Step::Void)) {
            one.step(step);
            if !matches!(step, Step::Commit(_)) {
                other.step(step);
            }
        }
        for life in [&mut one, &mut other] {
            life.step(Step::Commit(0));
        }
        prop_assert_eq!(one.state.covers(), other.state.covers());
        prop_assert_eq!(one.state.producers_digest(), other.state.producers_digest());
    }
}
