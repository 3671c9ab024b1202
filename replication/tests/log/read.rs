//! Reading back: by index and by offset, across blocks, segments and void records.

use quorate_replication::log::{From, LogEvent, Read, ReadError, ReadRecords};
use quorate_replication::seam::{FileId, Files, SegmentId, StorageError};
use quorate_wire::{LogIndex, Offset, Record};

use crate::machine::Machine;
use crate::work::{Body, Chance, Made};

const fn events(count: u32, payload: usize) -> Body {
    Body::Events { count, payload }
}

/// A log of several segments, with void records of each kind.
fn long() -> Machine {
    let mut machine = Machine::new(8);
    let mut chance = Chance::new(21);
    machine.write(&[(None, 1, Body::Noop)]);
    let mut term = 1;
    for round in 0..60 {
        let mut parts = Vec::new();
        let last = machine.live.len() as u64;
        if round % 9 == 5 {
            term += 1;
            let back = 1 + chance.below(9).min(last - machine.commit.0 - 1);
            parts.push((Some(last + 1 - back), term, Body::Noop));
        }
        for _ in 0..=chance.below(5) {
            let payload = usize::try_from(chance.below(1500)).expect("small");
            let count = 1 + u32::try_from(chance.below(6)).expect("small");
            let body = match chance.below(12) {
                0 => Body::Noop,
                1 => events(1, 60_000),
                2 => Body::Exactly(4096),
                _ => events(count, payload),
            };
            parts.push((None, term, body));
            let bytes: usize = 90_000;
            if matches!(body, Body::Events { payload, .. } if payload * 2 > bytes) {
                break;
            }
        }
        // A void record in the middle of a group commit.
        if round % 13 == 7 {
            parts.push((None, term, events(1, 20)));
            let index = machine.live.len() as u64 + parts.len() as u64;
            if parts.iter().all(|part| part.0.is_none()) {
                parts.push((Some(index), term + 1, events(2, 30)));
                term += 1;
            }
        }
        machine.write(&parts);
        if round % 4 == 3 {
            let last = machine.live.len() as u64;
            machine.commit(last.saturating_sub(4).max(machine.commit.0));
        }
    }
    machine
}

/// The answer to a read, with its token; `None` as an answer if its records have become void.
fn answer(event: &LogEvent) -> Option<(u64, Option<&ReadRecords>)> {
    match event {
        LogEvent::Read { token, result } => {
            Some((*token, Some(result.as_ref().expect("the log is sound"))))
        }
        LogEvent::ReadVoid { token } => Some((*token, None)),
        LogEvent::Durable(_)
        | LogEvent::HardStateDurable { .. }
        | LogEvent::MembersDurable
        | LogEvent::RoomMade
        | LogEvent::MendReady
        | LogEvent::Mended
        | LogEvent::MendFailed
        | LogEvent::GivenUp
        | LogEvent::Released { .. }
        | LogEvent::Damaged(_)
        | LogEvent::Snapshot(_)
        | LogEvent::DiskFull => None,
    }
}

/// What a read shall return: the records from `at` on.
fn expected(
    machine: &Machine,
    at: usize,
    through: u64,
    bytes_max: usize,
    one_term: bool,
) -> Vec<Made> {
    let first = &machine.live[at];
    let mut bytes = 0;
    machine.live[at..]
        .iter()
        .take_while(|made| {
            bytes += made.bytes.len();
            let fits = bytes <= bytes_max || made.header.index == first.header.index;
            let term = !one_term || made.header.term == first.header.term;
            fits && term && made.header.index.0 <= through
        })
        .cloned()
        .collect()
}

fn check(
    machine: &mut Machine,
    from: From,
    at: usize,
    through: u64,
    bytes_max: usize,
    one_term: bool,
) -> usize {
    let what = format!("{from:?} through {through}, {bytes_max} bytes");
    let records = machine
        .read(from, through, bytes_max, one_term)
        .unwrap_or_else(|| panic!("{what}: there is nothing"))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let wanted = expected(machine, at, through, bytes_max, one_term);
    let mut rest: &[u8] = &records.bytes;
    let mut found = 0;
    for made in &wanted {
        if rest.is_empty() {
            break; // The end of a segment.
        }
        let (record, after) = Record::parse(rest).expect("whole records side by side");
        assert!(
            record.bytes() == made.bytes,
            "{what}: record {}",
            made.header.index
        );
        rest = after;
        found += 1;
    }
    assert!(rest.is_empty() && found > 0, "{what}");
    assert_eq!(records.first, wanted[0].header.index, "{what}");
    assert_eq!(records.term, wanted[0].header.term, "{what}");
    assert_eq!(records.last, wanted[found - 1].header.index, "{what}");
    assert_eq!(
        records.next_offset,
        wanted[found - 1].header.next_offset(),
        "{what}"
    );
    found
}

#[test]
fn every_record_is_read_by_its_index_and_by_each_of_its_offsets() {
    let fresh = long();
    assert!(
        fresh.log.bytes() > 3 * 96 * 1024,
        "there are several segments"
    );
    let recovered = Machine::on(fresh.disk.crashed(&mut |_| false), 1);
    assert_eq!(recovered.live, fresh.live);
    for mut machine in [fresh, recovered] {
        let count = machine.live.len();
        for at in 0..count {
            let header = machine.live[at].header;
            for bytes_max in [0, 5000, 1 << 20] {
                check(
                    &mut machine,
                    From::Index(header.index),
                    at,
                    u64::MAX,
                    bytes_max,
                    false,
                );
            }
            for offset in header.base_offset.0..header.next_offset().0 {
                check(
                    &mut machine,
                    From::Offset(Offset(offset)),
                    at,
                    u64::MAX,
                    1000,
                    false,
                );
            }
            check(
                &mut machine,
                From::Index(header.index),
                at,
                u64::MAX,
                1 << 20,
                true,
            );
            let through = (at as u64 + 3).min(count as u64);
            let found = check(
                &mut machine,
                From::Index(header.index),
                at,
                through,
                1 << 20,
                false,
            );
            assert!(found <= 3);
        }
    }
}

#[test]
fn a_log_time_leads_to_the_first_record_that_is_late_enough() {
    let fresh = long();
    let recovered = Machine::on(fresh.disk.crashed(&mut |_| false), 1);
    for mut machine in [fresh, recovered] {
        let count = machine.live.len();
        for at in 0..count {
            let time = machine.live[at].header.log_time;
            for bytes_max in [0, 1 << 20] {
                check(
                    &mut machine,
                    From::Time(time),
                    at,
                    u64::MAX,
                    bytes_max,
                    false,
                );
            }
        }
        check(&mut machine, From::Time(0), 0, u64::MAX, 1000, false);
        let last = machine.live[count - 1].header.log_time;
        assert!(
            machine
                .read(From::Time(last + 1), u64::MAX, 9, false)
                .is_none()
        );
        let early = From::Time(machine.live[9].header.log_time);
        assert!(
            machine.read(early, 9, 9, false).is_none(),
            "what is late enough is not to be read"
        );
    }
}

#[test]
fn reading_on_from_the_last_record_reads_everything_once() {
    let mut machine = long();
    for bytes_max in [1, 10_000, 70_000, 1 << 20] {
        let mut next = 0;
        let mut reads = 0;
        while next < machine.live.len() {
            let from = From::Index(LogIndex(next as u64 + 1));
            next += check(&mut machine, from, next, u64::MAX, bytes_max, false);
            reads += 1;
        }
        if bytes_max == 1 << 20 {
            let segments = machine.disk.segments().expect("a disk in memory").len();
            assert!(
                reads <= segments,
                "a read ends with its segment: {reads} of {segments}"
            );
        }
    }
}

#[test]
fn what_is_not_there_is_not_read() {
    let mut machine = Machine::new(1);
    let read =
        |machine: &mut Machine, from, through| machine.read(from, through, 1000, false).is_some();
    assert!(!read(&mut machine, From::Index(LogIndex(1)), 9));
    assert!(!read(&mut machine, From::Offset(Offset(0)), 9));
    machine.write(&[(None, 1, Body::Noop)]);
    assert!(
        !read(&mut machine, From::Offset(Offset(0)), 9),
        "a no-op holds no event"
    );
    machine.write(&[(None, 1, events(2, 10)), (None, 1, Body::Noop)]);
    assert!(read(&mut machine, From::Offset(Offset(1)), 9));
    assert!(!read(&mut machine, From::Offset(Offset(2)), 9));
    assert!(!read(&mut machine, From::Index(LogIndex(0)), 9));
    assert!(!read(&mut machine, From::Index(LogIndex(4)), 9));
    assert!(
        !read(&mut machine, From::Index(LogIndex(3)), 2),
        "past what may be read"
    );
    assert!(
        !read(&mut machine, From::Offset(Offset(1)), 1),
        "past what may be read"
    );
}

#[test]
fn what_is_not_durable_is_not_read() {
    let mut machine = Machine::new(1);
    machine.write(&[
        (None, 1, Body::Noop),
        (None, 1, events(1, 10)),
        (None, 1, events(1, 10)),
    ]);
    // Records 2 and 3 become void by a write that is open.
    machine.begin(&[(Some(2), 2, events(1, 20))]);
    let read = |from| Read {
        token: 1,
        from,
        through: LogIndex(9),
        bytes_max: 1000,
        one_term: false,
    };
    assert!(
        machine
            .log
            .read(read(From::Index(LogIndex(2))), &mut machine.disk)
            .is_err()
    );
    assert!(
        machine
            .log
            .read(read(From::Offset(Offset(0))), &mut machine.disk)
            .is_err()
    );
    // A read that is asked for before a write is durable returns what was durable then; and it waits for that write, as it is
    // producers who wait for the disk.
    let writes = machine.disk.waiting();
    machine
        .log
        .read(read(From::Index(LogIndex(1))), &mut machine.disk)
        .expect("it is durable");
    assert_eq!(machine.disk.waiting(), writes, "a read waits for the write");
    machine.settle();
    let answers: Vec<_> = machine.events.iter().filter_map(answer).collect();
    let [(1, Some(records))] = answers[..] else {
        panic!("one read is answered, not {answers:?}");
    };
    assert_eq!((records.first, records.last), (LogIndex(1), LogIndex(1)));
    assert_eq!(
        check(&mut machine, From::Offset(Offset(0)), 1, 9, 1000, false),
        1
    );
}

#[test]
fn a_read_whose_records_become_void_is_told_so() {
    let mut machine = Machine::new(1);
    machine.write(&[
        (None, 1, Body::Noop),
        (None, 1, events(1, 10)),
        (None, 1, events(1, 10)),
    ]);
    let read = |token, index| Read {
        token,
        from: From::Index(LogIndex(index)),
        through: LogIndex(9),
        bytes_max: 100_000,
        one_term: false,
    };
    // Two are on their way when the write begins, and one waits for it.
    for (token, index) in [(2, 2), (3, 3), (1, 1)] {
        machine
            .log
            .read(read(token, index), &mut machine.disk)
            .expect("it is durable");
    }
    machine.begin(&[(Some(3), 2, Body::Noop)]);
    machine.events.clear();
    machine.settle();
    let mut answers: Vec<_> = machine
        .events
        .iter()
        .filter_map(answer)
        .map(|(token, records)| {
            (
                token,
                records.map(|records| (records.first.0, records.last.0)),
            )
        })
        .collect();
    answers.sort_unstable();
    // Those that are found again return what is durable by then.
    assert_eq!(answers, [(1, Some((1, 3))), (2, Some((2, 2))), (3, None)]);
}

#[test]
fn many_reads_wait_for_their_turn() {
    let mut machine = long();
    let count = machine.live.len() as u64;
    for token in 0..200 {
        let read = Read {
            token,
            from: From::Index(LogIndex(1 + token % count)),
            through: LogIndex(u64::MAX),
            bytes_max: 1,
            one_term: false,
        };
        machine
            .log
            .read(read, &mut machine.disk)
            .expect("it is durable");
        assert!(machine.disk.waiting() <= 2);
    }
    machine.events.clear();
    machine.settle();
    let mut tokens: Vec<u64> = machine
        .events
        .iter()
        .filter_map(answer)
        .map(|(token, records)| {
            let first = records.expect("nothing becomes void").first;
            assert_eq!(first.0, 1 + token % count);
            token
        })
        .collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..200).collect::<Vec<_>>());
}

#[test]
fn damage_is_found_by_reading_too() {
    let mut machine = Machine::new(1);
    for _ in 0..4 {
        machine.write(&[(None, 1, events(2, 1000)), (None, 1, events(1, 10))]);
    }
    let file = FileId::Segment(SegmentId(1));
    for (at, index) in [
        (4096 + 1, 1),
        (4096 + 20, 1),
        (4096 + 500, 1),
        (8192 + 70, 3),
    ] {
        machine.disk.bytes_mut(file)[at] ^= 4;
        // What is sound before it is answered with, and what comes then is not.
        for first in 1..index {
            let answer = machine.read(From::Index(LogIndex(first)), 9, 1 << 20, false);
            let records = answer.expect("it is answered").expect("it is sound");
            assert_eq!((records.first.0, records.last.0), (first, index - 1));
        }
        let answer = machine.read(From::Index(LogIndex(index)), 9, 1 << 20, false);
        let error = answer.expect("it is answered").expect_err("it is damaged");
        assert!(
            matches!(error, ReadError::Damaged { .. }),
            "byte {at}: {error}"
        );
        machine.disk.bytes_mut(file)[at] ^= 4;
    }
    machine.disk.fail_read(StorageError::Os { errno: 5 });
    let answer = machine.read(From::Index(LogIndex(1)), 9, 1 << 20, false);
    let error = answer
        .expect("it is answered")
        .expect_err("it cannot be read");
    assert!(matches!(error, ReadError::Failed { .. }), "{error}");
    assert_eq!(
        check(&mut machine, From::Index(LogIndex(1)), 0, 9, 1 << 20, false),
        8
    );
}
