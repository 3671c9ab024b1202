//! Snapshots of a state.

use proptest::prelude::*;
use quorate_replication::snapshot::{Checker, Pieces, SnapshotError};
use quorate_replication::state::State;
use quorate_wire::GroupId;

use crate::life::{GROUP, Life, Step, begin, cluster, steps, take, whole};

/// What the state says of everything that can be asked, and what it amounts to.
fn says(state: &State, life: &Life) -> (Vec<String>, u64, u64) {
    let verdicts = life.questions().into_iter().map(|id| state.judge(&id));
    let verdicts = verdicts.map(|verdict| format!("{verdict:?}")).collect();
    (verdicts, state.digest(), state.producers_digest())
}

fn load(bytes: &[u8]) -> Result<State, SnapshotError> {
    State::load(bytes, cluster(), GROUP)
}

/// A life with a record in it.
fn lived() -> Life {
    let mut life = Life::default();
    for producer in 0..40 {
        for events in 1..4 {
            life.step(Step::Append {
                producer,
                events,
                epoch: false,
                skip: producer % 3 == 0,
            });
        }
    }
    life.step(Step::Commit(0));
    life
}

proptest! {
    /// The state of the moment at which the copy began comes back, whatever happens while it is made.
    #[test]
    fn a_snapshot_is_the_state_of_one_moment(
        before in steps(),
        during in steps(),
        most in 1usize..4,
    ) {
        let mut life = Life::default();
        before.into_iter().for_each(|step| life.step(step));
        life.step(Step::Append { producer: 9, events: 2, epoch: false, skip: false });
        life.step(Step::Commit(0));
        let then = says(&life.state, &life);
        let (applied, committed) = (*life.state.covers(), life.state.committed());
        let asked = life.questions();

        let mut writer = begin(&mut life.state);
        let mut bytes = Vec::new();
        let mut during = during.into_iter();
        while life.state.copy(most, &mut writer) {
            during.by_ref().take(2).for_each(|step| life.step(step));
            take(&mut writer, &mut bytes);
        }
        life.state.thaw();
        writer.end();
        take(&mut writer, &mut bytes);

        let state = load(&bytes).expect("it was just written");
        let verdicts: Vec<_> = asked.iter().map(|id| format!("{:?}", state.judge(id))).collect();
        prop_assert_eq!((verdicts, state.digest(), state.producers_digest()), then);
        prop_assert_eq!((*state.covers(), state.committed()), (applied, committed));
        prop_assert_eq!(state.next_offset(), committed);
    }

    /// However it comes, its checker says the same.
    #[test]
    fn parts_of_any_size_are_checked(parts in prop::collection::vec(1usize..3000, 1..40)) {
        let bytes = whole(&mut lived());
        let mut checker = Checker::default();
        let mut rest = bytes.as_slice();
        for part in parts.into_iter().cycle() {
            let (now, later) = rest.split_at(part.min(rest.len()));
            checker.take(now).expect("it is sound");
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(checker.is_whole());
    }

    #[test]
    fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(load(&bytes).is_err());
    }
}

#[test]
fn each_flipped_bit_and_each_cut_is_seen() {
    let bytes = whole(&mut lived());
    let header = Pieces::of(&bytes).expect("it is sound").0;
    assert_eq!(header.group, GROUP);
    let end = bytes.iter().rposition(|&byte| byte != 0).expect("an end") + 1;
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(load(&flipped).is_err(), "bit {bit}");
    }
    for cut in 0..end - 1 {
        assert!(load(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(load(&longer).err(), Some(SnapshotError::TooLong));
}

#[test]
fn another_groups_snapshot_is_refused() {
    let bytes = whole(&mut lived());
    let group = GroupId(4);
    let refused = State::load(&bytes, cluster(), group).err();
    assert_eq!(refused, Some(SnapshotError::Foreign { group: GROUP }));
}

#[test]
fn what_only_a_leader_has_taken_is_not_in_it() {
    let mut life = lived();
    let then = says(&life.state, &life);
    for id in life.questions() {
        if id.first.0 > 0 && life.state.judge(&id) == quorate_replication::state::Verdict::New {
            life.state.take(&id);
        }
    }
    let state = load(&whole(&mut life)).expect("it was just written");
    assert_eq!(says(&state, &life), then);
}

#[test]
fn a_snapshot_of_many_producers_has_many_pieces() {
    let mut life = Life::default();
    for producer in 0..5000 {
        life.step(Step::Append {
            producer,
            events: 1,
            epoch: false,
            skip: false,
        });
    }
    life.step(Step::Commit(0));
    let bytes = whole(&mut life);
    let (_, mut pieces) = Pieces::of(&bytes).expect("it is sound");
    let mut count = 0;
    while pieces.next_piece().expect("it is sound").is_some() {
        count += 1;
    }
    assert!(count > 4, "{count} pieces");
    let state = load(&bytes).expect("it is sound");
    assert_eq!(state.producers(), 5000);
    assert_eq!(state.producers_digest(), life.state.producers_digest());
}
