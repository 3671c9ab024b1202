//! A consumer group of processes, while leaders are killed: each event is in one member's commits.
//!
//! `QUORATE_FLIGHTS=1000000` takes a million events, and so almost two minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use quorate_client::{
    ConsumerOptions, Event, Name, Names, Offset, Producer, ProducerOptions, Slot, Slots, key_of,
};
use quorate_wire::SLOTS;

use crate::world::{QUORATE, World, wait_for};

/// So many events a second are produced.
const RATE: u64 = 10_000;

const GROUP: &str = "readers";

/// Lines of the flights' file, over and over, each with its number and its airplane.
fn flights(count: u64) -> Vec<(u64, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights.csv.gz");
    let mut text = String::new();
    let file = File::open(path).expect("it is in the repository");
    (GzDecoder::new(file).read_to_string(&mut text)).expect("it is text");
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let numbered = (0..count).zip(lines.into_iter().cycle());
    numbered
        .map(|(number, line)| {
            let plane = line.split(',').nth(11).expect("its column");
            (key_of(plane.as_bytes()), format!("{number},{line}"))
        })
        .collect()
}

/// Sends the flights, at their rate.
fn produce(nodes: Vec<String>, flights: &[(u64, String)]) {
    let mut producer = Producer::connect(ProducerOptions::new(nodes)).expect("it serves");
    let start = Instant::now();
    for (sent, (key, payload)) in (0..).zip(flights) {
        let event = Event {
            key: *key,
            time: 0,
            topic: b"flights",
            payload: payload.as_bytes(),
            priority: 0,
        };
        producer.send(&event).expect("the cluster comes back");
        let due = Duration::from_micros(sent * 1_000_000 / RATE);
        if sent % 100 == 0 {
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    producer.flush().expect("the cluster comes back");
}

/// A member's process, and what it writes.
struct MemberProcess {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl MemberProcess {
    fn start(world: &World, number: u32) -> Self {
        let path = |what| world.path().join(format!("member-{number}.{what}"));
        let (out, log) = (path("out"), path("log"));
        let file = |path| Stdio::from(File::create(path).expect("it can be made"));
        let child = Command::new(QUORATE)
            .args([
                "--log-level",
                "info",
                "consume",
                "--follow",
                "--format",
                "detail",
            ])
            .args([
                "--group",
                GROUP,
                "--member-timeout",
                "2",
                "--patience",
                "60",
                "--nodes",
            ])
            .arg(world.local.addresses().join(","))
            .stdout(file(&out))
            .stderr(file(&log))
            .spawn()
            .expect("it is built");
        Self { child, out, log }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    fn stop(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.expect("kill is there").success());
        let ending = self.child.wait().expect("it runs");
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(ending.success(), "{ending}\n{log}");
    }

    /// What it printed: of each event its offset, slot and number. A line that was cut by its death is left out.
    fn printed(&self) -> Vec<(Offset, Slot, u64)> {
        let file = BufReader::new(File::open(&self.out).expect("it was made"));
        let lines = file.lines().map_while(Result::ok);
        let event = |line: String| {
            let mut cells = line.split('\t');
            let offset = cells.next()?.parse().ok()?;
            let key = cells.next()?.trim_start_matches("0x");
            let key = u64::from_str_radix(key, 16).ok()?;
            let number = cells.nth(2)?.split(',').next()?.parse().ok()?;
            Some((Offset(offset), Slot::of(key), number))
        };
        lines.filter_map(event).collect()
    }

    /// The parts of slots that it committed, and what it had begun and not committed.
    fn committed(&self) -> (Vec<Part>, BTreeMap<usize, u64>) {
        let text = std::fs::read_to_string(&self.log).expect("it was made");
        let (mut parts, mut from) = (Vec::new(), BTreeMap::new());
        for line in text.lines() {
            let field = |name: &str| {
                let rest = line.split_once(&format!(" {name}="))?.1;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            };
            if let (Some(slot), Some(begin)) = (field("slot"), field("from")) {
                from.insert(usize::try_from(slot).expect("one of 64"), begin);
            } else if let (Some(slots), Some(below)) = (field("slots"), field("below")) {
                for slot in Slots(slots).iter().map(Slot::number) {
                    let begin = from.get_mut(&slot).expect("it was gained before");
                    let end = below.max(*begin);
                    parts.push(Part {
                        slot,
                        begin: *begin,
                        end,
                    });
                    *begin = end;
                }
            }
        }
        (parts, from)
    }
}

/// A part of a slot, from an offset to another.
#[derive(Clone, Copy, Debug)]
struct Part {
    slot: usize,
    begin: u64,
    end: u64,
}

/// Waits until the consumer group has so many members.
fn wait_members(nodes: &[String], count: usize) {
    let name = Name::new(GROUP).expect("it is a name");
    let mut names = Names::new(&ConsumerOptions::new(nodes)).expect("there is chance");
    wait_for("all members have joined", || {
        let group = names.consumer_group(name).ok()??;
        (group.members.len() == count).then_some(())
    });
}

/// Waits until the consumer group has committed everything, as long as it moves on.
fn wait_done(nodes: &[String], events: u64) {
    let name = Name::new(GROUP).expect("it is a name");
    let mut names = Names::new(&ConsumerOptions::new(nodes)).expect("there is chance");
    let mut before = 0;
    while before < events * u64::try_from(SLOTS).expect("64") {
        before = wait_for("the consumer group moves on", || {
            let group = names.consumer_group(name).ok()??;
            let done = group.offsets.iter().map(|offset| offset.0).sum();
            (done > before).then_some(done)
        });
    }
}

#[test]
fn each_event_is_in_one_members_commits_while_leaders_and_a_member_are_killed() {
    let count = std::env::var("QUORATE_FLIGHTS").map_or(40_000, |count| {
        count.parse().expect("QUORATE_FLIGHTS is a number")
    });
    let flights = flights(count);
    let mut world = World::start();
    let nodes = world.local.addresses();
    let mut members: Vec<_> = (1..=3).map(|at| MemberProcess::start(&world, at)).collect();
    wait_members(&nodes, members.len());
    thread::scope(|scope| {
        let producing = scope.spawn(|| produce(nodes.clone(), &flights));
        let mut lives = true;
        for seconds in 0.. {
            if producing.is_finished() && !lives {
                break;
            }
            assert!(seconds < 60 || !lives, "the first member commits nothing");
            thread::sleep(Duration::from_secs(1));
            let leader = world.leader();
            world.local.kill(leader);
            world.local.start(leader).expect("its ports are free again");
            // Somewhere in the middle of what it reads.
            if lives && !members[0].committed().0.is_empty() {
                members[0].kill();
                lives = false;
            }
        }
    });
    wait_done(&nodes, count);
    members[1..].iter_mut().for_each(MemberProcess::stop);
    check(&members, count);
}

/// Each event is in one part that a member committed, and that member printed it once; or the member that was killed did, and had
/// not heard yet that its last commit counts.
fn check(members: &[MemberProcess], count: u64) {
    let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    let mut open = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        let printed = member.printed();
        let (parts, begun) = member.committed();
        let mut of_slot: BTreeMap<usize, BTreeMap<u64, u64>> = BTreeMap::new();
        for (offset, slot, number) in printed {
            let events = of_slot.entry(slot.number()).or_default();
            events.insert(offset.0, number);
        }
        for Part { slot, begin, end } in parts {
            let events = of_slot.get(&slot).map(|events| events.range(begin..end));
            for (offset, number) in events.into_iter().flatten() {
                shared.insert(at);
                let before = counted.insert(*offset, *number);
                assert_eq!(before, None, "offset {offset} is in two members' commits");
            }
        }
        if at == 0 {
            let left = |slot: &usize| begun.get(slot).copied().unwrap_or(u64::MAX);
            open = (of_slot.iter())
                .flat_map(|(slot, events)| events.range(left(slot)..))
                .map(|(offset, number)| (*offset, *number))
                .collect();
        }
    }
    assert_eq!(shared.len(), 3, "each member has read something");
    for (offset, number) in open {
        // Whoever got its slot began behind this one, or has printed it again and committed it.
        counted.entry(offset).or_insert(number);
    }
    let offsets: Vec<u64> = counted.keys().copied().collect();
    assert!(
        offsets.iter().copied().eq(0..count),
        "every event, once: {} of {count}",
        offsets.len()
    );
    // One producer sent them in order, and the log keeps it.
    assert!(counted.values().copied().eq(0..count), "as they were sent");
}
