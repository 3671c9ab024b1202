//! Good histories pass; each kind of bad one is refused, with the names of the two operations.

use quorate_sim::{Append, Read};
use quorate_wire::ChunkId;

use crate::build::{append, chunk, history, latest, read, unknown};

fn passes(appends: &[Append], reads: &[Read]) {
    assert_eq!(history(appends, reads).check(), Ok(()));
}

/// The history is refused, and each of these is in the sentence.
fn refused(appends: &[Append], reads: &[Read], words: &[&str]) {
    let why = history(appends, reads).check().expect_err("it is bad");
    for word in words {
        assert!(why.contains(word), "'{word}' is not in: {why}");
    }
}

const A: &str = "the append of producer 1,";
const B: &str = "the append of producer 2,";

fn chunks() -> [ChunkId; 3] {
    [chunk(1, 2), chunk(2, 3), chunk(3, 1)]
}

#[test]
fn good_histories_pass() {
    let [a, b, c] = chunks();
    passes(&[], &[read(1, (0, 1), 0, &[], 0)]);
    // What is open at once may have any order.
    passes(&[append(a, (0, 5), 3), append(b, (1, 6), 0)], &[]);
    // A stale read need not know the newest; one from the middle of a chunk gets it whole.
    let appends = [append(a, (0, 1), 0), append(b, (2, 3), 2)];
    passes(&appends, &[read(1, (8, 9), 0, &[(0, a)], 2)]);
    passes(&appends, &[read(1, (8, 9), 3, &[(2, b)], 5)]);
    // Nobody knows whether an append without an answer is there: it may be seen, or not, or fill a hole.
    passes(
        &[unknown(a, 0), append(b, (4, 6), 2)],
        &[read(1, (3, 5), 0, &[(0, a)], 2)],
    );
    passes(&[unknown(a, 0), append(b, (4, 6), 2)], &[]);
    passes(&[unknown(a, 0), append(b, (4, 6), 0)], &[]);
    // All retries get one offset, and it takes effect between the first question and the first answer.
    let tries = [append(a, (0, 9), 0), append(a, (4, 5), 0)];
    passes(&tries, &[read(1, (2, 3), 0, &[(0, a)], 2)]);
    passes(&[append(c, (4, 5), 0), append(a, (3, 8), 1)], &[]);
}

#[test]
fn an_append_before_one_that_was_over_is_refused() {
    let [a, b, _] = chunks();
    let appends = [append(a, (0, 1), 3), append(b, (2, 3), 0)];
    refused(&appends, &[], &[A, B, "was over before"]);
    // The retry's answer counts, and the first invocation.
    let tries = [
        append(a, (0, 9), 3),
        append(a, (0, 1), 3),
        append(b, (2, 3), 0),
    ];
    refused(&tries, &[], &[A, B, "was over before"]);
    // What was seen has happened, whether it was answered or not.
    let seen = read(7, (0, 1), 0, &[(0, chunk(3, 1)), (1, a)], 3);
    let appends = [unknown(chunk(3, 1), 2), unknown(a, 0)];
    refused(&appends, &[seen], &["consumer 7", "producer 3", "was over"]);
}

#[test]
fn shared_offsets_are_refused() {
    let [a, b, _] = chunks();
    for offset in [0, 1, 2] {
        let appends = [append(a, (0, 5), offset), append(b, (0, 5), 0)];
        refused(&appends, &[], &[A, B, "share offsets"]);
    }
}

#[test]
fn a_retry_that_is_there_twice_is_refused() {
    let [a, b, _] = chunks();
    let tries = [append(a, (0, 5), 0), append(a, (1, 6), 2)];
    refused(&tries, &[], &["two offsets", "at offset 0", "at offset 2"]);
    // One that no answer tells of, but a read does.
    let reads = [read(7, (6, 7), 0, &[(0, a), (2, a)], 4)];
    refused(&[unknown(a, 0)], &reads, &["two offsets", "consumer 7"]);
    let reads = [
        read(7, (6, 7), 0, &[(0, a)], 2),
        read(8, (6, 7), 0, &[(0, b), (3, a)], 5),
    ];
    let appends = [unknown(a, 0), unknown(b, 0)];
    refused(&appends, &reads, &["consumer 7", "consumer 8"]);
}

#[test]
fn an_acknowledged_append_that_is_not_where_it_was_said_is_refused() {
    let [a, b, c] = chunks();
    let appends = [append(a, (0, 1), 0), unknown(b, 0), append(c, (0, 9), 3)];
    let reads = [read(7, (2, 3), 0, &[(0, b), (3, c)], 4)];
    refused(&appends, &reads, &[A, "consumer 7", "share offsets"]);
    // Who is promised the newest must get it; who is not, need not.
    let appends = [append(a, (0, 1), 0)];
    let stale = read(7, (2, 3), 0, &[], 0);
    passes(&appends, std::slice::from_ref(&stale));
    refused(&appends, &[latest(stale)], &[A, "consumer 7", "was over"]);
}

#[test]
fn gaps_are_refused() {
    let [a, b, c] = chunks();
    let appends = [
        append(a, (0, 1), 0),
        append(b, (0, 1), 2),
        append(c, (0, 1), 5),
    ];
    let gap = [read(7, (2, 3), 0, &[(0, a), (5, c)], 6)];
    refused(&appends, &gap, &["consumer 7", "leaves a gap"]);
    let late = [read(7, (2, 3), 1, &[(2, b)], 6)];
    refused(&appends, &late, &["consumer 7", "leaves a gap"]);
    // Offsets that no append can have.
    refused(&[append(b, (0, 1), 2)], &[], &["a gap", B]);
    // An append that began too late does not fill it, and one that is too small does not either.
    let appends = [append(b, (0, 1), 2), unknown(a, 2)];
    refused(&appends, &[], &["a gap", B]);
    refused(&[append(b, (0, 1), 2), unknown(c, 0)], &[], &["a gap", B]);
    // An end that no append has reached, or that is inside of one.
    let end = [read(7, (0, 1), 0, &[], 2)];
    refused(&[], &end, &["a gap", "consumer 7"]);
    let inside = [read(7, (2, 3), 0, &[], 1)];
    refused(
        &[append(a, (0, 1), 0)],
        &inside,
        &["inside", A, "consumer 7"],
    );
}

#[test]
fn reads_that_disagree_are_refused() {
    let [a, b, _] = chunks();
    let appends = [unknown(a, 0), unknown(b, 0)];
    let reads = [
        read(7, (2, 3), 0, &[(0, a)], 2),
        read(8, (2, 3), 0, &[(0, b)], 3),
    ];
    refused(&appends, &reads, &["consumer 7", "consumer 8", "share"]);
}

#[test]
fn a_read_of_the_future_is_refused() {
    let [a, ..] = chunks();
    let reads = [read(7, (0, 1), 0, &[(0, a)], 2)];
    refused(&[append(a, (2, 3), 0)], &reads, &[A, "consumer 7"]);
    refused(&[unknown(a, 2)], &reads, &[A, "consumer 7"]);
    refused(&[], &reads, &["consumer 7", "nobody appended"]);
    let more = ChunkId { events: 3, ..a };
    refused(&[unknown(more, 0)], &reads, &["nobody appended"]);
}

#[test]
fn an_unknown_append_that_comes_back_is_refused() {
    let [a, b, _] = chunks();
    // It was not there when others had its place.
    let appends = [unknown(a, 0), append(b, (1, 2), 0)];
    let reads = [read(7, (3, 4), 0, &[(0, a)], 2)];
    refused(&appends, &reads, &[B, "consumer 7", "share"]);
    // It began after others were told that the log goes on behind its place.
    let appends = [unknown(a, 5), unknown(b, 0)];
    let reads = [
        read(7, (3, 4), 2, &[(2, b)], 5),
        read(8, (6, 7), 0, &[(0, a)], 2),
    ];
    refused(&appends, &reads, &[A, "consumer 7", "was over"]);
}

#[test]
fn a_cursor_that_does_not_go_on_is_refused() {
    let [a, b, _] = chunks();
    let appends = [append(a, (0, 1), 0), append(b, (0, 1), 2)];
    let first = read(7, (2, 3), 0, &[(0, a)], 5);
    let again = read(7, (4, 5), 0, &[(0, a)], 5);
    refused(&appends, &[first.clone(), again], &["does not go on"]);
    let less = read(7, (4, 5), 2, &[], 2);
    refused(&appends, &[first.clone(), less], &["earlier end"]);
    let more = read(7, (4, 5), 5, &[], 5);
    refused(&appends, &[first, more], &["does not go on"]);
    let over = read(7, (2, 3), 0, &[(0, a)], 1);
    refused(&appends, &[over], &["more than is committed"]);
}
