//! The power goes at any instant, and the writes that are open are torn in any way that sectors allow.

use std::collections::BTreeSet;

use quorate_sim::{Disk, Sector};
use quorate_wire::LogIndex;

use crate::machine::{Machine, members, open};
use crate::used;
use crate::work::{Body, Chance};

type Part = (Option<u64>, u64, Body);

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Part>),
    Vote(u64, Option<u32>),
    Members,
    Commit(u64),
}

const fn events(count: u32, payload: usize) -> Body {
    Body::Events { count, payload }
}

/// Every way in which a log grows.
fn script() -> Vec<Step> {
    use Step::{Commit, Members, Vote, Write};
    vec![
        Members,
        Vote(1, Some(2)),
        Write(vec![(None, 1, Body::Noop)]),
        Write(vec![(None, 1, events(3, 100)), (None, 1, events(1, 700))]),
        // A record that ends with its block, and records that begin on one.
        Write(vec![(None, 1, Body::Exactly(4096))]),
        Write(vec![
            (None, 1, Body::Exactly(4096)),
            (None, 1, Body::Exactly(8192)),
            (None, 1, events(2, 300)),
        ]),
        Vote(2, None),
        Commit(4),
        Write(vec![
            (None, 1, Body::Exactly(4096 - 8)),
            (None, 1, events(1, 30)),
        ]),
        // Records become void: the last ones, with a hard state on its way at the same time.
        Vote(3, Some(1)),
        Write(vec![(Some(7), 3, Body::Noop), (None, 3, events(4, 500))]),
        // In the middle of a group commit, and by a term below the one that is void.
        Write(vec![
            (None, 3, events(1, 40)),
            (None, 4, events(1, 2000)),
            (Some(9), 3, events(1, 60)),
            (None, 5, Body::Noop),
            (Some(10), 6, events(2, 1000)),
        ]),
        // A record that ends with a sector.
        Write(vec![
            (None, 6, Body::Exactly(1024)),
            (None, 6, events(1, 7000)),
        ]),
        // A new segment; then one that begins by voiding the one before.
        Write(vec![(None, 6, events(8, 6000))]),
        Write(vec![(None, 6, events(4, 9000))]),
        Write(vec![
            (Some(13), 7, events(7, 8000)),
            (None, 7, events(1, 8)),
        ]),
        Commit(13),
        Vote(9, Some(3)),
        Write(vec![
            (None, 9, Body::Exactly(4096 - 64)),
            (None, 9, Body::Noop),
        ]),
        Write(vec![(None, 9, Body::Noop); 9]),
        Write(vec![
            (Some(16), 10, events(9, 6000)),
            (None, 11, events(1, 1)),
        ]),
        Write(vec![(None, 11, events(1, 80_000))]),
        Write(vec![
            (Some(18), 12, events(2, 20_000)),
            (Some(18), 13, Body::Noop),
        ]),
    ]
}

/// A random one.
fn drawn(seed: u64, steps: usize) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let mut terms: Vec<u64> = Vec::new();
    let (mut commit, mut term) = (0, 1);
    let mut script = Vec::new();
    for _ in 0..steps {
        match chance.below(8) {
            0 => {
                term += 1 + chance.below(2);
                let vote = (chance.below(2) == 0).then_some(3);
                script.push(Step::Vote(term, vote));
            }
            1 if terms.len() as u64 > commit => {
                commit += 1 + chance.below(terms.len() as u64 - commit);
                script.push(Step::Commit(commit));
            }
            _ => {
                let mut parts = Vec::new();
                for _ in 0..=chance.below(6) {
                    let voids = (chance.below(9) == 0 && terms.len() as u64 > commit).then(|| {
                        let first = commit + 1 + chance.below(terms.len() as u64 - commit);
                        terms.truncate(usize::try_from(first - 1).expect("small"));
                        first
                    });
                    let before = terms.last().copied().unwrap_or(1);
                    let own = before + chance.below(2);
                    terms.push(own);
                    let body = match chance.below(6) {
                        0 => Body::Noop,
                        1 => events(1, usize::try_from(chance.below(9000)).expect("small")),
                        2 => Body::Exactly(
                            4096 - 8 * usize::try_from(chance.below(9)).expect("small"),
                        ),
                        _ => events(
                            1 + u32::try_from(chance.below(4)).expect("small"),
                            usize::try_from(chance.below(700)).expect("small"),
                        ),
                    };
                    parts.push((voids, own, body));
                }
                term = term.max(terms.last().copied().unwrap_or(1));
                script.push(Step::Write(parts));
            }
        }
    }
    script
}

#[derive(Debug, Default)]
struct Seen {
    crashes: usize,
    cuts: usize,
    /// How many records of an open write were found.
    partial: BTreeSet<usize>,
}

/// Ways to tear the writes that are open.
fn tears(sectors: &[Sector], chance: &mut Chance) -> Vec<Vec<bool>> {
    let count = sectors.len();
    let mut plans = vec![vec![false; count]];
    if count == 0 {
        return plans;
    }
    plans.push(vec![true; count]);
    let samples: Vec<usize> = if count <= 16 {
        (0..count).collect()
    } else {
        (0..6)
            .map(|_| usize::try_from(chance.below(count as u64)).expect("small"))
            .collect()
    };
    for at in samples {
        plans.push((0..count).map(|nth| nth < at).collect());
        plans.push((0..count).map(|nth| nth >= at).collect());
        plans.push((0..count).map(|nth| nth != at).collect());
        plans.push((0..count).map(|nth| nth == at).collect());
    }
    // What is left of the first block is lost, and looks like the zeros behind a group commit.
    for at in 1..count.min(8) {
        plans.push((0..count).map(|nth| nth < at || nth >= 8).collect());
    }
    plans.push((0..count).map(|nth| nth % 2 == 0).collect());
    for one_in in [2, 2, 8] {
        let lost = |_| chance.below(one_in) != 0;
        plans.push((0..count).map(lost).collect());
    }
    plans
}

/// Crashes here in every way, and looks at what is left.
fn crash(machine: &Machine, chance: &mut Chance, seen: &mut Seen, what: &str) {
    let sectors = machine.disk.waiting_sectors();
    for (nth, plan) in tears(&sectors, chance).iter().enumerate() {
        let keeps = |sector: Sector| {
            let at = sectors.iter().position(|known| *known == sector);
            plan[at.expect("a sector of an open write")]
        };
        let what = format!("{what}, plan {nth}");
        let crashed = machine.disk.crashed(&mut { keeps });
        let (at, cut) = machine.check(&crashed, &what);
        seen.crashes += 1;
        seen.cuts += usize::from(cut);
        if at > 0 && at < machine.writing.len() {
            seen.partial.insert(at);
        }
        if seen.crashes.is_multiple_of(41) || (cut && seen.cuts.is_multiple_of(7)) {
            go_on(crashed, chance, &what);
        }
    }
}

/// A node that crashed works, and crashes again, and is whole again.
fn go_on(disk: Disk, chance: &mut Chance, what: &str) {
    let was_cut = open(&disk).expect("it was opened before").0.cut.is_some();
    let mut machine = Machine::on(disk, chance.next());
    let term = machine.live.last().map_or(1, |last| last.header.term.0);
    let first = machine.live.len() as u64;
    let voids = (LogIndex(first) > machine.commit).then_some(first);
    machine.begin(&[
        (voids, term + 1, events(3, 333)),
        (None, term + 1, Body::Noop),
    ]);
    while machine.disk.waiting() > 0 {
        let half = machine
            .disk
            .crashed(&mut |sector| sector.position % 1024 == 0);
        machine.check(&half, &format!("{what}, a second crash"));
        assert!(machine.disk.perform(0));
        machine.pump();
    }
    let (at, cut) = machine.check(&machine.disk.crashed(&mut |_| false), what);
    assert!(at == 0 && !cut, "{what}: nothing is open any more");
    machine.settle();
    machine.write(&[(None, term + 2, Body::Noop)]);
    let opened = machine.disk.last_write().map(|write| write.0);
    machine.write(&[(None, term + 2, events(1, 3000))]);
    let written = machine.disk.last_write().map(|write| write.0);
    assert!(
        !was_cut || opened == written,
        "{what}: a cut costs one segment, and the next one is used further"
    );
    machine.check(&machine.disk.crashed(&mut |_| false), what);
}

fn run(name: &str, mut machine: Machine, script: Vec<Step>, seen: &mut Seen) {
    let mut chance = Chance::new(11);
    for (nth, step) in script.into_iter().enumerate() {
        match step {
            Step::Write(parts) => machine.begin(&parts),
            Step::Vote(term, vote) => {
                machine.vote(term, vote);
                if nth % 2 == 0 {
                    continue; // It is on its way while the next step is.
                }
            }
            Step::Members => machine.log.store_members(&members(), &mut machine.disk),
            Step::Commit(upto) => machine.commit(upto),
        }
        let mut operation = 0;
        loop {
            crash(
                &machine,
                &mut chance,
                seen,
                &format!("{name}, step {nth}, operation {operation}"),
            );
            let waiting = machine.disk.waiting() as u64;
            if waiting == 0 {
                break;
            }
            let next = usize::try_from(chance.below(waiting)).expect("small");
            assert!(machine.disk.perform(next));
            // Done, and nobody was told.
            let quiet = machine.disk.crashed(&mut |_| false);
            machine.check(
                &quiet,
                &format!("{name}, step {nth}, after operation {operation}"),
            );
            machine.pump();
            operation += 1;
        }
    }
    assert_eq!(machine.live, machine.durable);
}

/// Indexes and offsets go on where the sound records end, whatever a torn tail says of itself (TRAPS 7).
#[test]
fn a_crash_at_any_instant_loses_nothing_that_was_reported() {
    let mut seen = Seen::default();
    run("the script", Machine::new(5), script(), &mut seen);
    assert!(seen.crashes > 700, "{seen:?}");
    assert!(seen.cuts > 100, "{seen:?}");
    assert!(seen.partial.len() > 3, "{seen:?}");
}

#[test]
fn a_crash_in_a_random_life_loses_nothing_that_was_reported() {
    let mut seen = Seen::default();
    for seed in 1..=6 {
        let name = format!("seed {seed}");
        run(&name, Machine::new(5), drawn(seed, 24), &mut seen);
    }
    assert!(seen.cuts > 500, "{seen:?}");
}

#[test]
fn what_used_files_hold_is_told_from_what_was_written() {
    let mut seen = Seen::default();
    run("the script", used::machine(5), script(), &mut seen);
    for seed in 1..=6 {
        let name = format!("seed {seed}");
        run(&name, used::machine(5), drawn(seed, 24), &mut seen);
    }
    assert!(seen.cuts > 500, "{seen:?}");
    assert!(seen.partial.len() > 3, "{seen:?}");
}

/// A leader commits by its followers' copies, also what its own disk does not have yet.
#[test]
fn a_commit_that_is_ahead_of_the_disk_is_not_written_down_before_its_records() {
    let mut machine = Machine::new(1);
    machine.write(&[(None, 1, Body::Noop)]);
    for _ in 0..4 {
        let next = machine.live.len() as u64 + 2;
        machine.begin(&[(None, 1, events(1, 9)), (None, 1, events(5, 9000))]);
        machine.commit(next);
        machine.settle();
        machine.check(&machine.disk.crashed(&mut |_| false), "between segments");
    }
    machine.commit(11);
    machine.begin(&[(None, 1, events(1, 40)), (None, 1, events(8, 9000))]);
    assert!(machine.disk.perform(0), "the header of a segment");
    machine.pump();
    let crashed = machine.disk.crashed(&mut |_| false);
    machine.check(&crashed, "behind a header");
    let (recovery, _) = open(&crashed).expect("it is sound");
    assert_eq!(
        recovery.raft.commit,
        LogIndex(9),
        "the last one before the segment"
    );
}
