//! What the pipeline costs, disks and links aside: they are memory here.

#[path = "../tests/committed/mod.rs"]
mod committed;
#[path = "../tests/loopback/mod.rs"]
mod loopback;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quorate_replication::log::{From, LogEvent, Read, Recovery, Replay, recover};
use quorate_replication::seam::Storage;
use quorate_replication::state::{State, Verdict};
use quorate_wire::Offset;

use committed::{fill_with_ids, ids};
use loopback::{Chunks, Disk, Group, LOG};

/// Bytes of an event's payload.
const PAYLOAD: usize = 64;

/// Chunks that are on their way together.
const CHUNKS: usize = 64;

/// Bytes of the log that is recovered and read.
const LOG_BYTES: usize = 32 << 20;

/// A turn that takes chunks while the disk is busy: deduplication, the open record, and the buffers behind it.
fn intake(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("accumulate");
    for events in [1, 64] {
        benches.throughput(elements(CHUNKS * events));
        let mut group = Group::new(3);
        let mut chunks = Chunks::new(1, count(events), PAYLOAD);
        benches.bench_function(format!("{CHUNKS} chunks of {events} events"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    group.leader().around.disk.holds = true;
                    group.ask(chunks.next());
                    group.leader().turn();
                    (0..CHUNKS).for_each(|_| group.ask(chunks.next()));
                    let begun = Instant::now();
                    group.leader().turn();
                    spent += begun.elapsed();
                    group.leader().around.disk.holds = false;
                    group.settle(1 + CHUNKS);
                }
                spent
            });
        });
    }
    benches.finish();
}

/// The whole way: from the lane through three logs to the answer, all three pipelines' work on one thread.
fn commit(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("commit");
    for events in [1, 64] {
        benches.throughput(elements(CHUNKS * events));
        let mut group = Group::new(3);
        let mut chunks = Chunks::new(1, count(events), PAYLOAD);
        let name = format!("{CHUNKS} chunks of {events} events on three nodes");
        benches.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    (0..CHUNKS).for_each(|_| group.ask(chunks.next()));
                    let begun = Instant::now();
                    group.settle(CHUNKS);
                    spent += begun.elapsed();
                }
                spent
            });
        });
    }
    benches.finish();
}

/// Whether a chunk is new.
fn dedup(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("judge");
    for producers in [1, 100_000] {
        let mut group = Group::new(1);
        let mut last = Vec::new();
        // Producer 0 is for who has ids and no sequences.
        for producer in 1..=producers {
            let chunk = Chunks::new(producer, 1, 0).next();
            last.push(chunk.id);
            group.ask(chunk);
            if last.len() % CHUNKS == 0 {
                group.settle(CHUNKS);
            }
        }
        group.settle(last.len() % CHUNKS);
        let mut state = State::default();
        let recovery = recovered(&group.leader().around.disk, &mut state);
        state.commit(recovery.raft.last);
        // Far enough apart that no two are in one cache line, and never in the order of the table.
        let step = last.len() / 2 + 7;
        for (name, ahead) in [("a new chunk", 1), ("a retry", 0)] {
            let mut at = 0;
            benches.bench_function(format!("{name}, {producers} producers"), |bencher| {
                bencher.iter(|| {
                    at = (at + step) % last.len();
                    let mut id = last[at];
                    id.first = id.first.plus(ahead);
                    state.judge(black_box(&id))
                });
            });
        }
        let retry = state.judge(&last[0]);
        assert!(matches!(retry, Verdict::Committed(_)), "{retry:?}");
    }
    benches.finish();
}

/// Whether events that have ids are new, with as many ids known as there may be (so that new ones are looked up, and then find no room);
/// and what these cost a chunk without.
fn judge_ids(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("judge ids");
    let mut state = State::default();
    let retry = Chunks::new(1, 1, 0).next().id;
    state.take(&retry);
    committed::commit(&mut state, &[retry], 1);
    let known = fill_with_ids(&mut state);
    for count in [1, 64] {
        benches.throughput(elements(count));
        // Far enough apart that no two are in one cache line, and never in the order of the table.
        let step = (known / 2 + 7) / count * count;
        for (name, from) in [("a retry", 0), ("new ones", known)] {
            let mut at = 0;
            benches.bench_function(format!("{name}, {count} a chunk"), |bencher| {
                bencher.iter_batched_ref(
                    || {
                        at = (at + step) % (known - count);
                        ids(from + at, count)
                    },
                    |ids| state.judge_ids(black_box(ids), 0),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    benches.throughput(elements(1));
    benches.bench_function("a chunk without ids", |bencher| {
        bencher.iter(|| state.judge(black_box(&retry)));
    });
    for judged in [state.judge(&retry), state.judge_ids(&ids(0, 64), 0)] {
        assert!(matches!(judged, Verdict::Committed(_)), "{judged:?}");
    }
    assert_eq!(state.judge_ids(&ids(known, 1), 0), Verdict::IdsFull);
    benches.finish();
}

/// A log of so many bytes, and how many events are in it.
fn log() -> (Group, u64) {
    let mut group = Group::new(1);
    let mut chunks = Chunks::new(1, 64, PAYLOAD);
    let mut events = 0;
    while group.leader().around.disk.written < LOG_BYTES {
        (0..CHUNKS).for_each(|_| group.ask(chunks.next()));
        group.settle(CHUNKS);
        events += 64 * u64::try_from(CHUNKS).expect("few chunks");
    }
    (group, events)
}

fn recovered(disk: &Disk, state: &mut State) -> Recovery {
    recover(disk, LOG, state).expect("the log is sound")
}

/// Recovery goes through every byte.
fn recovery(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("recover");
    let (mut group, _) = log();
    let disk = &group.leader().around.disk;
    let bytes = u64::try_from(LOG_BYTES).expect("a length fits");
    benches.throughput(Throughput::Bytes(bytes)).sample_size(10);
    benches.bench_function("32 MiB of log", |bencher| {
        bencher.iter(|| recovered(disk, &mut State::default()));
    });
    benches.finish();
}

/// A read of one record somewhere in the log: the landmark before it, one read of the disk, and the way to the record.
fn index(criterion: &mut Criterion) {
    let (mut group, events) = log();
    let disk = &mut group.leader().around.disk;
    let Recovery { mut log, raft, .. } = recovered(disk, &mut State::default());
    let through = raft.last;
    log.committed(through);
    let (mut done, mut found, mut offset) = (Vec::new(), Vec::new(), 0);
    let mut read = || {
        offset = (offset + events / 2 + 64_007) % events;
        let read = Read {
            token: 0,
            from: From::Offset(Offset(offset)),
            through,
            bytes_max: 1,
            one_term: false,
        };
        let begun = Instant::now();
        log.read(read, disk).expect("it is in the log");
        let looked_up = begun.elapsed();
        while found.is_empty() {
            disk.completed(&mut done);
            for done in done.drain(..) {
                log.completed(done, disk, &mut found).expect("reads only");
            }
        }
        let event = found.pop();
        let is_read = matches!(&event, Some(LogEvent::Read { result: Ok(_), .. }));
        assert!(is_read, "{event:?}");
        (looked_up, begun.elapsed())
    };
    let mut benches = criterion.benchmark_group("read");
    benches.bench_function("look a record up", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| read().0).sum());
    });
    benches.bench_function("read it, from a disk that takes no time", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| read().1).sum());
    });
    benches.finish();
}

fn elements(count: usize) -> Throughput {
    Throughput::Elements(u64::try_from(count).expect("a count fits"))
}

fn count(events: usize) -> u32 {
    u32::try_from(events).expect("a count fits")
}

criterion_group!(benches, intake, commit, dedup, judge_ids, recovery, index);
criterion_main!(benches);
