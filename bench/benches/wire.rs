//! What each chunk costs before anything is decided about it: frames, checksums, sealing.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quorate_wire::{
    CHUNK_HEADER_BYTES, Chunk, ChunkId, EVENT_HEADER_BYTES, Epoch, Event, Frame, FrameHeader,
    FrameKind, GroupId, LogIndex, Offset, Position, ProducerId, RecordHeader, RecordKind, Sequence,
    Stamp, Term, checksum, seal_chunk,
};

/// Events of a chunk, and bytes of an event's payload.
const EVENTS: u32 = 64;
const PAYLOAD: usize = 64;

const ID: ChunkId = ChunkId {
    producer: ProducerId(7),
    epoch: Epoch(0),
    first: Sequence(0),
    events: EVENTS,
};

/// A chunk whose header is still to be sealed.
fn unsealed() -> Vec<u8> {
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    (0..EVENTS).for_each(|key| write_event(key, &mut bytes));
    bytes
}

fn write_event(key: u32, bytes: &mut Vec<u8>) {
    let event = Event {
        key: u64::from(key),
        time: 1_700_000_000_000_000_000,
        topic: b"",
        payload: &[b'x'; PAYLOAD],
        priority: 0,
    };
    let at = bytes.len();
    bytes.resize(at + (EVENT_HEADER_BYTES + PAYLOAD).next_multiple_of(8), 0);
    let room = bytes.get_mut(at..).expect("it was just made");
    event.write(room).expect("an event is within its limits");
}

fn sealed() -> Vec<u8> {
    let mut chunk = unsealed();
    seal_chunk(ID, &mut chunk).expect("a chunk is within its limits");
    chunk
}

fn bytes(length: usize) -> Throughput {
    Throughput::Bytes(u64::try_from(length).expect("a length fits"))
}

fn frames(criterion: &mut Criterion) {
    let chunk = sealed();
    let kind = FrameKind::Produce;
    let message = vec![0; kind.message_bytes()];
    // The chunk has a checksum of its own, so the frame's does not cover it.
    let seal =
        |chunk: &[u8]| FrameHeader::seal(kind, 7, GroupId(0), &[&message], black_box(chunk.len()));
    let header = seal(&chunk);
    let mut group = criterion.benchmark_group("frame");
    group.bench_function("parse header", |bencher| {
        bencher.iter(|| FrameHeader::parse(black_box(&header)));
    });
    group.bench_function("seal", |bencher| bencher.iter(|| seal(&chunk)));
    let frame = [&header[..], &message, &chunk].concat();
    group.bench_function("parse, 64 events", |bencher| {
        bencher.iter(|| Frame::parse(black_box(&frame)).expect("it is sound"));
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let (blank, chunk) = (unsealed(), sealed());
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Elements(u64::from(EVENTS)));
    group.bench_function("write and seal, 64 events", |bencher| {
        bencher.iter_batched_ref(
            || Vec::with_capacity(blank.len()),
            |bytes| {
                bytes.resize(CHUNK_HEADER_BYTES, 0);
                (0..EVENTS).for_each(|key| write_event(key, bytes));
                seal_chunk(ID, bytes)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("check at the gate, 64 events", |bencher| {
        bencher.iter(|| Chunk::parse(black_box(&chunk)).expect("it is sound"));
    });
    group.finish();
}

fn checksums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crc32");
    for length in [64, 1 << 10, 6 << 10, 512 << 10] {
        let data = vec![b'x'; length];
        group.throughput(bytes(length));
        group.bench_function(format!("{length} bytes"), |bencher| {
            bencher.iter(|| checksum::crc32(&[black_box(&data)]));
        });
    }
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let body = sealed();
    let stamp = Stamp {
        position: Position {
            term: Term(1),
            index: LogIndex(1),
        },
        base_offset: Offset(0),
        log_time: 0,
        group: GroupId(0),
        event_count: u16::try_from(EVENTS).expect("few events"),
        kind: RecordKind::Events,
        previous: 0,
    };
    let mut group = criterion.benchmark_group("record");
    group.throughput(bytes(body.len()));
    group.bench_function("stamp, 64 events", |bencher| {
        bencher.iter(|| RecordHeader::stamp(black_box(&stamp), black_box(&body)));
    });
    group.finish();
}

criterion_group!(benches, frames, chunks, checksums, records);
criterion_main!(benches);
