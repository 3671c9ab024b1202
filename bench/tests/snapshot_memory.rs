//! What a snapshot of the largest state takes, while it is made and while it is installed.

mod committed;

use std::fs;

use quorate_replication::snapshot::{Header, Writer};
use quorate_replication::state::State;
use quorate_wire::limits::{PRODUCERS_MAX, SNAPSHOT_CHUNK_BYTES_MAX, WINDOW_REQUESTS_MAX};
use quorate_wire::{ChunkId, ClusterName, Epoch, GroupId, ProducerId, Sequence};

use committed::{commit, fill_with_ids};

/// What a snapshot may take beside the state.
const BYTES_MAX: usize = 64 << 20;

/// Producers in so many runs each, and ids: all that there can be but for names.
fn largest() -> State {
    let mut state = State::default();
    let all = u64::try_from(PRODUCERS_MAX).expect("few");
    let window = u64::try_from(WINDOW_REQUESTS_MAX).expect("few");
    for (producers, rounds) in [(0..1000, 0..window), (1000..all, 0..1)] {
        for round in rounds {
            let ids: Vec<u64> = producers.clone().collect();
            for some in ids.chunks(1000) {
                let chunk = |&producer: &u64| ChunkId {
                    producer: ProducerId(producer),
                    epoch: Epoch(0),
                    first: Sequence(round),
                    events: 1,
                };
                let made: Vec<ChunkId> = some.iter().map(chunk).collect();
                commit(&mut state, &made, made.len());
            }
        }
    }
    fill_with_ids(&mut state);
    state
}

/// Memory that this process has: now, and at most since it was last asked.
fn memory() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says");
    let of = |what: &str| {
        let line = status.lines().find(|line| line.starts_with(what));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<usize>().ok())
            .expect("a number")
            << 10
    };
    let now = (of("VmRSS"), of("VmHWM"));
    fs::write("/proc/self/clear_refs", "5").expect("Linux forgets");
    now
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn a_snapshot_of_the_largest_state_takes_less_than_64_mib() {
    let mut state = largest();
    let home = tempfile::tempdir().expect("there is room for a directory");
    let file = home.path().join("snapshot");
    let (before, _) = memory();

    let (cluster, group) = (ClusterName::new("bench").expect("a name"), GroupId(0));
    let mut writer = Writer::new(&Header::new(cluster, group, state.freeze()));
    let mut written = fs::File::create(&file).expect("there is room for a file");
    let mut more = true;
    while more {
        more = state.copy(128, &mut writer);
        if !more {
            state.thaw();
            writer.end();
        }
        while writer.ready() >= SNAPSHOT_CHUNK_BYTES_MAX || !more {
            let Some(part) = writer.take(SNAPSHOT_CHUNK_BYTES_MAX) else {
                break;
            };
            std::io::Write::write_all(&mut written, &part).expect("there is room for a part");
        }
    }
    let (_, most) = memory();
    let making = most.saturating_sub(before);

    drop(state);
    let (before, _) = memory();
    let bytes = fs::read(&file).expect("it was just written");
    let state = State::load(&bytes, cluster, group).expect("it is sound");
    let (_, most) = memory();
    let length = bytes.len();
    drop(bytes);
    let (after, _) = memory();
    println!(
        "{length} bytes of {} producers, {} runs and all ids: {making} to make; to install, at most {} beside a state of {}",
        state.producers(),
        state.runs(),
        most - after,
        after.saturating_sub(before)
    );
    assert!(length > 40 << 20, "{length} bytes are not all");
    assert!(making < BYTES_MAX, "{making} bytes to make it");
    assert!(
        most - after < BYTES_MAX,
        "{} bytes to install it",
        most - after
    );
}
