//! Consumer groups that stood still while the log let its beginning go.

use std::process::Command;
use std::time::Duration;

use quorate_client::{Committed, ConsumerOptions, GroupConsumer, Name, Names, Offset, ReadFrom};
use quorate_wire::SLOTS;

use crate::load::Load;
use crate::snapshots::{forgetful, start};
use crate::world::{QUORATE, World, wait_for};

fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

/// Has a consumer group read something, and commit it. Says up to where.
fn read_some(world: &World, group: &str) -> Offset {
    let mut options = ConsumerOptions::new(world.local.addresses());
    options.from = ReadFrom::Start;
    let session = Duration::from_secs(10);
    let mut member = GroupConsumer::join(name(group), session, options).expect("there is chance");
    let done = wait_for("a commit", || {
        let polled = member.poll(Duration::from_millis(100)).expect("it serves");
        polled.events().next()?;
        match member.commit().expect("it serves") {
            Committed::Done(commit) => Some(commit.offset),
            Committed::Fenced => None,
        }
    });
    member.leave().expect("it serves");
    done
}

/// Consumes as a member of a consumer group, to the end. Gives its exit status, the offsets that it printed, and what it said.
fn consume(world: &World, group: &str, more: &[&str]) -> (Option<i32>, Vec<u64>, String) {
    let output = Command::new(QUORATE)
        .args(["consume", "--format", "detail", "--group", group])
        .args(more)
        .env("QUORATE_NODES", world.local.addresses().join(","))
        .output()
        .expect("it is built");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let offset = |line: &str| line.split('\t').next()?.parse().ok();
    let offsets = text.lines().filter_map(offset).collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), offsets, said)
}

#[test]
fn a_group_whose_next_event_is_gone_says_so_and_goes_on_where_it_is_told() {
    let world = World::start_with(forgetful);
    let load = Load::start(world.local.addresses());
    load.wait_acked(1_000);
    let done = ["old", "lazy"].map(|group| read_some(&world, group));
    let starts = || {
        let addresses = world.local.addresses();
        addresses.iter().map(|address| start(address)).min()
    };
    wait_for("no node has what they want next", || {
        (starts() > done.iter().map(|done| done.0).max()).then_some(())
    });
    assert!(load.finish().complete);

    let (status, printed, said) = consume(&world, "old", &[]);
    assert_eq!((status, printed.len()), (Some(1), 0), "{said}");
    let first = starts().expect("three nodes");
    for part in ["OffsetBeforeStart", "before the start", "--reset earliest"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (status, printed, said) = consume(&world, "old", &["--reset", "earliest"]);
    assert_eq!(status, Some(0), "{said}");
    let begin = *printed.first().expect("it has read");
    assert!(
        (first..=starts().expect("three")).contains(&begin),
        "{said}"
    );
    let end = printed.last().expect("it has read") + 1;
    let gap = (begin..end).zip(&printed).find(|(at, is)| at != *is);
    assert_eq!(gap, None, "no event is left out: {said}");

    let (status, printed, said) = consume(&world, "lazy", &["--reset", "latest"]);
    assert_eq!((status, printed), (Some(0), vec![]), "{said}");
    let mut names = Names::new(&ConsumerOptions::new(world.local.addresses())).expect("chance");
    for group in ["old", "lazy"] {
        let standing = names.consumer_group(name(group)).expect("it serves");
        let offsets = standing.expect("it is there").offsets;
        assert_eq!(offsets, [Offset(end); SLOTS], "{group} has committed it");
    }
    // A new one begins where the log does.
    let (status, printed, said) = consume(&world, "young", &["--from", "start"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(printed.first() >= Some(&first), "{said}");
    assert_eq!(printed.last(), Some(&(end - 1)), "{said}");
}
