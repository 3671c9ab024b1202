//! The checker against another one, which knows nothing of logs: stateright's tester searches all orders. Small histories by chance,
//! good and bad, get the same answer from both.

use quorate_sim::{Append, Freshness, Random, Read};
use quorate_wire::{ChunkId, Offset, Time};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::build::{append, chunk, history, latest, read, unknown};

/// What a log is: appends answer with an offset, the same one however often; reads answer with a slice and the end.
#[derive(Clone, Debug, Default)]
struct Log {
    chunks: Vec<(Offset, ChunkId)>,
    end: Offset,
}

#[derive(Clone, Debug)]
enum Ask {
    Append(ChunkId),
    Read { from: Offset },
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Appended(Offset),
    Slice {
        shown: Vec<(Offset, ChunkId)>,
        committed: Offset,
    },
}

fn end_of(&(offset, chunk): &(Offset, ChunkId)) -> Offset {
    offset.plus(u64::from(chunk.events))
}

impl SequentialSpec for Log {
    type Op = Ask;
    type Ret = Answer;

    fn invoke(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Append(chunk) => {
                let known = self.chunks.iter().find(|(_, known)| known == chunk);
                let place = *known.unwrap_or(&(self.end, *chunk));
                if place.0 == self.end {
                    self.chunks.push(place);
                    self.end = end_of(&place);
                }
                Answer::Appended(place.0)
            }
            Ask::Read { from } => {
                let behind = self.chunks.iter().filter(|it| end_of(it) > *from);
                Answer::Slice {
                    shown: behind.copied().collect(),
                    committed: self.end,
                }
            }
        }
    }

    /// A read may begin and end where it likes, as long as nothing that was asked for is left out.
    fn is_valid_step(&mut self, ask: &Ask, answer: &Answer) -> bool {
        match (ask, answer) {
            (Ask::Read { from }, Answer::Slice { shown, committed }) => {
                let first = shown.first().map_or(*from, |&(offset, _)| offset);
                let there =
                    shown.is_empty() || self.chunks.windows(shown.len()).any(|it| it == shown);
                first <= *from && *from <= self.end && *committed == self.end && there
            }
            (ask, answer) => self.invoke(ask) == *answer,
        }
    }
}

/// What stateright's tester says of a history. Each operation is a thread; a stale read may be of any earlier moment, as if it had
/// been asked at the beginning.
fn other(appends: &[Append], reads: &[Read]) -> bool {
    let mut moments = Vec::new();
    let mut threads = 0..;
    for it in appends {
        let thread = threads.next();
        let answer = it.answered;
        moments.push((it.invoked, thread, Ok(Ask::Append(it.chunk))));
        moments.extend(answer.map(|(at, offset)| (at, thread, Err(Answer::Appended(offset)))));
    }
    for it in reads {
        let thread = threads.next();
        let invoked = match it.freshness {
            Freshness::Stale => Time(0),
            Freshness::Latest => it.invoked,
        };
        let slice = Answer::Slice {
            shown: it.shown.clone(),
            committed: it.committed,
        };
        moments.push((invoked, thread, Ok(Ask::Read { from: it.from })));
        moments.push((it.answered, thread, Err(slice)));
    }
    // What begins when something else ends may have been first.
    moments.sort_by_key(|(at, _, what)| (*at, what.is_err()));
    let mut tester = LinearizabilityTester::new(Log::default());
    for (_, thread, what) in moments {
        let told = match what {
            Ok(ask) => tester.on_invoke(thread, ask),
            Err(answer) => tester.on_return(thread, answer),
        };
        told.expect("each thread has one operation");
    }
    tester.is_consistent()
}

/// A history of a true log: operations that overlap by chance, each with its effect at a moment of its own.
fn good(random: &mut Random, events: u64) -> (Vec<Append>, Vec<Read>) {
    let (mut log, mut appends, mut reads) = (Log::default(), Vec::<Append>::new(), Vec::new());
    let count = random.between(2, 6);
    for number in 1..=count {
        let at = 10 * number;
        let span = (
            at - random.between(0, 9.min(at - 1)) - 10 * random.between(0, 1).min(number - 1),
            at + random.between(0, 25),
        );
        if random.one_in(3) {
            let from = random.between(0, log.end.0);
            let Answer::Slice { mut shown, .. } = log.invoke(&Ask::Read { from: Offset(from) })
            else {
                unreachable!("a read gets a slice")
            };
            shown.truncate(random.below(shown.len() + 1));
            let shown: Vec<_> = shown.iter().map(|&(at, id)| (at.0, id)).collect();
            let read = read(number, span, from, &shown, log.end.0);
            reads.push(if random.one_in(2) { latest(read) } else { read });
            continue;
        }
        let again = appends.last().filter(|_| random.one_in(6));
        let chunk = again.map_or_else(
            || {
                chunk(
                    number,
                    u32::try_from(random.between(1, events)).expect("a few"),
                )
            },
            |append| append.chunk,
        );
        let unanswered = random.one_in(4);
        if unanswered && random.one_in(2) {
            appends.push(unknown(chunk, span.0));
            continue;
        }
        let Answer::Appended(offset) = log.invoke(&Ask::Append(chunk)) else {
            unreachable!("an append gets an offset")
        };
        appends.push(if unanswered {
            unknown(chunk, span.0)
        } else {
            append(chunk, span, offset.0)
        });
    }
    // Chunks of several events in a hole are not told apart by the checker: then somebody sees all.
    if events > 1 {
        let shown: Vec<_> = log.chunks.iter().map(|&(at, id)| (at.0, id)).collect();
        reads.push(latest(read(0, (90, 95), 0, &shown, log.end.0)));
    }
    (appends, reads)
}

/// Makes one thing another one than it was. The read that sees all stays.
fn bend(random: &mut Random, appends: &mut [Append], reads: &mut [Read]) {
    let near = |random: &mut Random, it: u64| (it + random.between(0, 2)).saturating_sub(1);
    let time =
        |random: &mut Random, it: Time| Time((it.0 + random.between(0, 60)).saturating_sub(30));
    let at = random.below(appends.len() + reads.len());
    if let Some(append) = appends.get_mut(at) {
        match (&mut append.answered, random.below(3)) {
            (Some((_, offset)), 0) => *offset = Offset(near(random, offset.0)),
            (Some((to, _)), 1) => *to = time(random, *to).max(append.invoked),
            _ => {
                let latest = append.answered.map_or(Time(80), |(to, _)| to);
                append.invoked = time(random, append.invoked).min(latest);
            }
        }
        return;
    }
    let Some(read) = reads
        .get_mut(at - appends.len())
        .filter(|it| it.answered != Time(95))
    else {
        return;
    };
    match random.below(5) {
        0 => read.committed = Offset(near(random, read.committed.0)),
        1 => read.answered = time(random, read.answered).max(read.invoked),
        2 => read.invoked = time(random, read.invoked).min(read.answered),
        3 => read.from = Offset(near(random, read.from.0)),
        _ if read.shown.is_empty() => {}
        _ => {
            let place = random.below(read.shown.len());
            let other = read.shown.remove(place);
            if random.one_in(2) {
                read.shown.insert(random.below(read.shown.len() + 1), other);
            } else if random.one_in(2) {
                read.shown.insert(
                    place,
                    (other.0, chunk(random.between(1, 5), other.1.events)),
                );
            }
        }
    }
}

#[test]
fn both_checkers_agree() {
    let mut counts = [0, 0];
    for seed in 0..20_000 {
        let mut random = Random::new(seed, "histories");
        let events = random.of(&[1, 3]);
        let (mut appends, mut reads) = good(&mut random, events);
        let bends = random.between(0, 4);
        if !appends.is_empty() {
            (0..bends).for_each(|_| bend(&mut random, &mut appends, &mut reads));
        }
        let here = history(&appends, &reads).check();
        let there = other(&appends, &reads);
        assert_eq!(
            here.is_ok(),
            there,
            "{seed}: {here:?}: {appends:#?} {reads:#?}"
        );
        assert!(there || bends > 0, "{seed}: a true log's history is good");
        counts[usize::from(there)] += 1;
    }
    assert!(
        counts.iter().all(|&count| count > 3000),
        "bad and good: {counts:?}"
    );
}
