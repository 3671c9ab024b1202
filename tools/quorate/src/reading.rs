//! Holds events that are read back against the lines that were produced.

use std::collections::HashMap;

use quorate_client::{Offset, key_of};

use crate::input::Input;

/// How many findings are told in words.
const EXAMPLES_MAX: usize = 8;

/// Bytes of a line that an example shows.
const SHOWN_BYTES: usize = 60;

/// What was found, now that all is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Lines that are in the log.
    pub(crate) found: u64,
    /// Lines that are not.
    pub(crate) lost: u64,
    /// Events that are in the log more often than their line is in the file.
    pub(crate) doubled: u64,
    /// Events that stand behind a later line of their key.
    pub(crate) out_of_order: u64,
    /// Events that are no line of the file.
    pub(crate) foreign: u64,
    /// The first few, in words.
    pub(crate) examples: Vec<String>,
}

/// Events so far.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    input: &'a Input,
    /// By key and the payload's hash: the lines that may be meant, in order.
    lines: HashMap<(u64, u64), Vec<usize>>,
    /// Whether each line was found.
    seen: Vec<bool>,
    /// The last line of each key that was found.
    last: HashMap<u64, usize>,
    findings: Findings,
}

impl<'a> Reading<'a> {
    /// Nothing is read yet.
    pub(crate) fn new(input: &'a Input) -> Self {
        let mut lines: HashMap<(u64, u64), Vec<usize>> = HashMap::with_capacity(input.len());
        for at in 0..input.len() {
            let event = input.event(at).expect("a place below the length");
            let place = (event.key, key_of(event.payload));
            lines.entry(place).or_default().push(at);
        }
        Self {
            input,
            lines,
            seen: vec![false; input.len()],
            last: HashMap::new(),
            findings: Findings::default(),
        }
    }

    /// The log's next event.
    pub(crate) fn event(&mut self, offset: Offset, key: u64, payload: &[u8]) {
        let meant = self.lines.get(&(key, key_of(payload)));
        let mut same = meant
            .into_iter()
            .flatten()
            .copied()
            .filter(|&at| {
                self.input
                    .event(at)
                    .is_some_and(|line| line.payload == payload)
            })
            .peekable();
        if same.peek().is_none() {
            self.findings.foreign += 1;
            return;
        }
        let Some(line) = same.find(|&at| !self.seen[at]) else {
            self.findings.doubled += 1;
            return self.tell("doubled", offset, payload);
        };
        self.seen[line] = true;
        self.findings.found += 1;
        let last = self.last.entry(key).or_insert(line);
        if *last > line {
            self.findings.out_of_order += 1;
            return self.tell("out of order", offset, payload);
        }
        *last = line;
    }

    /// What was found, now that all is read.
    pub(crate) fn finish(mut self) -> Findings {
        for at in 0..self.seen.len() {
            if !self.seen[at] {
                self.findings.lost += 1;
                let line = self.input.event(at).expect("a place below the length");
                let example = format!("lost: event {at} of the file: {}", shown(line.payload));
                self.example(example);
            }
        }
        self.findings
    }

    fn tell(&mut self, what: &str, offset: Offset, payload: &[u8]) {
        let example = format!("{what}: offset {offset}: {}", shown(payload));
        self.example(example);
    }

    fn example(&mut self, example: String) {
        if self.findings.examples.len() < EXAMPLES_MAX {
            self.findings.examples.push(example);
        }
    }
}

fn shown(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let end = text.floor_char_boundary(SHOWN_BYTES);
    let rest = if end < text.len() { " .." } else { "" };
    format!("{}{rest}", text[..end].escape_debug())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::num::NonZeroUsize;

    use quorate_client::{Offset, key_of};

    use super::{Findings, Reading};
    use crate::input::{Input, InputOptions};
    use crate::lines::KeyRule;

    /// Lines of a key, a comma, and something else.
    fn input(lines: &[&str]) -> Input {
        let mut file = tempfile::NamedTempFile::new().expect("there is a place for files");
        for line in lines {
            writeln!(file, "{line}").expect("it can be written");
        }
        let options = InputOptions {
            rule: KeyRule::Column(NonZeroUsize::MIN),
            header: false,
            events_max: None,
        };
        Input::file(file.path(), options).expect("it has lines")
    }

    fn read(lines: &[&str], events: &[&str]) -> Findings {
        let input = input(lines);
        let mut reading = Reading::new(&input);
        for (offset, event) in (0..).zip(events) {
            let key = event.split(',').next().expect("a first part");
            reading.event(Offset(offset), key_of(key.as_bytes()), event.as_bytes());
        }
        reading.finish()
    }

    fn counts(findings: &Findings) -> [u64; 5] {
        [
            findings.found,
            findings.lost,
            findings.doubled,
            findings.out_of_order,
            findings.foreign,
        ]
    }

    #[test]
    fn a_log_that_holds_each_line_once_is_sound_also_where_keys_interleave() {
        let lines = ["a,1", "b,1", "a,2", "b,2"];
        let findings = read(&lines, &["b,1", "a,1", "b,2", "a,2"]);
        assert_eq!(counts(&findings), [4, 0, 0, 0, 0]);
        assert!(findings.examples.is_empty());
    }

    #[test]
    fn each_kind_of_mistake_is_told_from_the_others() {
        let lines = ["a,1", "a,2", "a,3"];
        assert_eq!(counts(&read(&lines, &["a,1", "a,3"])), [2, 1, 0, 0, 0]);
        let doubled = read(&lines, &["a,1", "a,2", "a,1", "a,3"]);
        assert_eq!(counts(&doubled), [3, 0, 1, 0, 0]);
        assert_eq!(doubled.examples, ["doubled: offset 2: a,1"]);
        let swapped = read(&lines, &["a,1", "a,3", "a,2"]);
        assert_eq!(counts(&swapped), [3, 0, 0, 1, 0]);
        let foreign = read(&lines, &["a,1", "x,1", "a,2", "a,3"]);
        assert_eq!(counts(&foreign), [3, 0, 0, 0, 1]);
    }

    #[test]
    fn a_line_that_is_there_twice_counts_twice() {
        let lines = ["a,1", "a,1"];
        assert_eq!(counts(&read(&lines, &["a,1", "a,1"])), [2, 0, 0, 0, 0]);
        assert_eq!(counts(&read(&lines, &["a,1"])), [1, 1, 0, 0, 0]);
        assert_eq!(counts(&read(&lines, &["a,1"; 3])), [2, 0, 1, 0, 0]);
    }
}
