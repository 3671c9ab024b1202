//! Holds a log's events against what was sent.

use quorate_client::{Event, Offset, ProducerId, Record};

use crate::input::Input;

/// What is wrong with a log; all zero if nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Acknowledged events that are not in the log.
    pub(crate) lost: u64,
    /// Events that are in the log once more than they should be.
    pub(crate) duplicated: u64,
    /// Events of the log that nobody sent so, stand in another order, or at another offset than was acknowledged.
    pub(crate) different: u64,
}

/// The events of one producer, which sent an input from its first line on.
#[derive(Debug)]
pub(crate) struct Audit<'a> {
    input: &'a Input,
    producer: ProducerId,
    /// Offset of each event, as it was acknowledged.
    offsets: &'a [Option<Offset>],
    /// How often each event was found.
    found: Vec<u32>,
    /// The event that comes next, if nothing is wrong.
    next: usize,
    findings: Findings,
}

impl<'a> Audit<'a> {
    /// Nothing is found yet.
    pub(crate) fn new(
        input: &'a Input,
        producer: ProducerId,
        offsets: &'a [Option<Offset>],
    ) -> Self {
        assert_eq!(
            input.len(),
            offsets.len(),
            "an acknowledgement for each event, or none"
        );
        Self {
            input,
            producer,
            offsets,
            found: vec![0; input.len()],
            next: 0,
            findings: Findings::default(),
        }
    }

    /// The log's next record.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        for (first, chunk) in record.chunks() {
            let id = chunk.id();
            if id.producer != self.producer || chunk.check().is_err() {
                self.findings.different += u64::from(id.events);
                continue;
            }
            for (at, event) in (0..).zip(chunk.events()) {
                let sequence = usize::try_from(id.first.0 + at).unwrap_or(usize::MAX);
                self.event(sequence, first.plus(at), &event);
            }
        }
    }

    fn event(&mut self, sequence: usize, offset: Offset, event: &Event<'_>) {
        let Some(sent) = self.input.event(sequence) else {
            self.findings.different += 1;
            return;
        };
        self.found[sequence] += 1;
        if self.found[sequence] > 1 {
            self.findings.duplicated += 1;
            return;
        }
        let in_order = sequence == self.next;
        let at_its_offset = self.offsets[sequence].is_none_or(|acked| acked == offset);
        // The time is the producer's clock at the sending, and not the input's.
        let same = (event.key, event.topic, event.payload) == (sent.key, sent.topic, sent.payload);
        if !(in_order && at_its_offset && same) {
            self.findings.different += 1;
        }
        self.next = sequence + 1;
    }

    /// What was found, now that the log is through.
    pub(crate) fn finish(self) -> Findings {
        let acked_and_missing = self
            .offsets
            .iter()
            .zip(&self.found)
            .filter(|(offset, found)| offset.is_some() && **found == 0);
        Findings {
            lost: u64::try_from(acked_and_missing.count()).expect("a size fits into 64 bits"),
            ..self.findings
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{Event, Offset, ProducerId, Record};

    use super::{Audit, Findings};
    use crate::demo::sample::record;
    use crate::input::Input;

    fn audit(offsets: &[Option<Offset>], records: &[Vec<u8>]) -> Findings {
        let input = Input::flights(Some(3)).expect("the binary carries them");
        let mut audit = Audit::new(&input, ProducerId(7), offsets);
        for bytes in records {
            let (record, _) = Record::parse(bytes).expect("it is sound");
            audit.record(&record);
        }
        audit.finish()
    }

    const ACKED: [Option<Offset>; 3] = [Some(Offset(0)), Some(Offset(1)), Some(Offset(2))];

    fn flights() -> Input {
        Input::flights(Some(3)).expect("the binary carries them")
    }

    fn sent(input: &Input, at: usize) -> Event<'_> {
        input.event(at).expect("there are three")
    }

    #[test]
    fn a_log_that_holds_what_was_sent_is_sound() {
        let input = flights();
        let [a, b, c] = [0, 1, 2].map(|at| sent(&input, at));
        let timed = Event { time: 9, ..b };
        let records = [record(7, 0, &[a, timed]), record(7, 2, &[c])];
        assert_eq!(audit(&ACKED, &records), Findings::default());
    }

    #[test]
    fn what_is_missing_is_lost_only_if_it_was_acknowledged() {
        let input = flights();
        let records = [record(7, 0, &[sent(&input, 0), sent(&input, 1)])];
        let lost = Findings {
            lost: 1,
            ..Findings::default()
        };
        assert_eq!(audit(&ACKED, &records), lost);
        let acked = [ACKED[0], ACKED[1], None];
        assert_eq!(audit(&acked, &records), Findings::default());
    }

    #[test]
    fn what_comes_twice_is_duplicated() {
        let input = flights();
        let [a, b, c] = [0, 1, 2].map(|at| sent(&input, at));
        let records = [record(7, 0, &[a, b, c]), record(7, 1, &[b, c])];
        let duplicated = Findings {
            duplicated: 2,
            ..Findings::default()
        };
        assert_eq!(audit(&ACKED, &records), duplicated);
    }

    #[test]
    fn what_nobody_sent_so_is_different() {
        let input = flights();
        let [a, b, c] = [0, 1, 2].map(|at| sent(&input, at));
        let different = |events: u64| Findings {
            different: events,
            ..Findings::default()
        };
        let other_key = Event { key: 1, ..b };
        assert_eq!(
            audit(&ACKED, &[record(7, 0, &[a, other_key, c])]),
            different(1)
        );
        let swapped = [record(7, 0, &[a, c, b])];
        assert_eq!(audit(&ACKED, &swapped), different(2));
        let fourth = [record(7, 0, &[a, b, c, c])];
        assert_eq!(
            audit(&ACKED, &fourth),
            different(1),
            "there is no fourth event"
        );
        let foreign = [record(7, 0, &[a, b, c]), record(8, 3, &[a])];
        assert_eq!(audit(&ACKED, &foreign), different(1), "another producer's");
        let moved = [Some(Offset(0)), Some(Offset(2)), None];
        assert_eq!(audit(&moved, &[record(7, 0, &[a, b, c])]), different(1));
        let reordered = [record(7, 0, &[a]), record(7, 2, &[c]), record(7, 1, &[b])];
        assert_eq!(audit(&ACKED, &reordered), different(2));
    }
}
