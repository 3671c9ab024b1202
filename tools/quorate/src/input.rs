//! Events that are held in memory, because they are compared with the logs in the end.

use std::io::{BufRead, Cursor};
use std::num::NonZeroUsize;
use std::path::Path;

use quorate_client::Event;

use crate::Failure;
use crate::lines::{self, KeyRule, Lines};

/// Real departures from New York City; `data/README.md` says where they are from.
const FLIGHTS: &[u8] = include_bytes!("../data/flights.csv.gz");

/// The flights' column with the aircraft's tail number.
const FLIGHTS_KEY_COLUMN: NonZeroUsize = NonZeroUsize::new(12).expect("12 is not 0");

/// Most bytes of lines that are held.
const BYTES_MAX: usize = 1 << 30;

/// Where events come from, and which part of it.
#[derive(Clone, Debug)]
pub(crate) struct InputOptions {
    /// What the keys are made of.
    pub(crate) rule: KeyRule,
    /// Whether the first line is a header, and no event.
    pub(crate) header: bool,
    /// Most events; all there are, if it is not said.
    pub(crate) events_max: Option<usize>,
}

/// Lines in order, each with its key.
#[derive(Debug)]
pub(crate) struct Input {
    name: String,
    topic: &'static [u8],
    bytes: Vec<u8>,
    /// Key of each line, and where it ends in `bytes`; it begins where the one before it ends.
    lines: Vec<(u64, usize)>,
}

impl Input {
    /// The flights that the binary carries.
    pub(crate) fn flights(events_max: Option<usize>) -> Result<Self, Failure> {
        let options = InputOptions {
            rule: KeyRule::Column(FLIGHTS_KEY_COLUMN),
            header: true,
            events_max,
        };
        let from = lines::decoded(Cursor::new(FLIGHTS)).expect("memory can be read");
        Self::read("flights", b"flights", from, options)
    }

    /// A file, plain or gzip.
    pub(crate) fn file(path: &Path, options: InputOptions) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let from = lines::open(path).map_err(|error| Failure::unreadable(path, &error))?;
        Self::read(&name, b"lines", from, options)
    }

    fn read(
        name: &str,
        topic: &'static [u8],
        from: impl BufRead,
        options: InputOptions,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::new(format!("{name}: {error}"));
        let mut lines = Lines::new(from, options.rule, lines::payload_bytes_max(topic));
        let mut input = Self {
            name: name.to_owned(),
            topic,
            bytes: Vec::new(),
            lines: Vec::new(),
        };
        if options.header {
            lines.skip().map_err(failed)?;
        }
        while input.len() < options.events_max.unwrap_or(usize::MAX) {
            let Some((key, line)) = lines.next_line().map_err(failed)? else {
                break;
            };
            input.bytes.extend_from_slice(line);
            input.lines.push((key, input.bytes.len()));
            if input.bytes.len() > BYTES_MAX {
                return Err(Failure::new(format!("{name} is larger than 1 GiB"))
                    .cure("take a part of it: --events N"));
            }
        }
        if input.lines.is_empty() {
            return Err(Failure::new(format!("{name} holds no events")));
        }
        Ok(input)
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many events there are.
    pub(crate) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// The event at a place, from 0; its time is 0.
    pub(crate) fn event(&self, at: usize) -> Option<Event<'_>> {
        let &(key, end) = self.lines.get(at)?;
        let start = match at.checked_sub(1) {
            Some(before) => self.lines.get(before)?.1,
            None => 0,
        };
        Some(Event {
            key,
            time: 0,
            topic: self.topic,
            payload: self.bytes.get(start..end)?,
            priority: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write as _;
    use std::num::NonZeroUsize;

    use quorate_client::key_of;

    use super::{Input, InputOptions};
    use crate::lines::KeyRule;

    #[test]
    fn the_flights_are_whole() {
        let input = Input::flights(None).expect("the binary carries them");
        assert_eq!(input.len(), 83_161);
        let first = input.event(0).expect("there are many");
        assert_eq!(first.key, key_of(b"N14228"));
        assert_eq!(first.topic, b"flights");
        assert_eq!(
            first.payload,
            b"2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
        );
        let last = input.event(83_160).expect("it is the last one");
        assert!(last.payload.starts_with(b"2013,11,30,"), "{last:?}");
        assert_eq!(input.event(83_161), None);
        let keys: BTreeSet<u64> = (0..input.len())
            .filter_map(|at| input.event(at))
            .map(|event| event.key)
            .collect();
        assert_eq!(keys.len(), 3_692, "3,691 aircraft, and NA");
    }

    #[test]
    fn a_part_of_the_flights_is_the_first_part() {
        let input = Input::flights(Some(2)).expect("the binary carries them");
        assert_eq!(input.len(), 2);
        let second = input.event(1).expect("there are two");
        assert!(second.payload.starts_with(b"2013,1,1,533,"), "{second:?}");
    }

    #[test]
    fn a_file_is_read_as_it_is() {
        let mut file = tempfile::NamedTempFile::new().expect("there is a place for files");
        file.write_all(b"id,name\n1,one\n2,\xff\n")
            .expect("it can be written");
        let with = |header, column| {
            let options = InputOptions {
                rule: match NonZeroUsize::new(column) {
                    Some(column) => KeyRule::Column(column),
                    None => KeyRule::Line,
                },
                header,
                events_max: None,
            };
            Input::file(file.path(), options)
        };
        let input = with(false, 0).expect("it has lines");
        assert_eq!(input.len(), 3);
        assert_eq!(
            input.event(0).map(|event| event.key),
            Some(key_of(b"id,name"))
        );
        let input = with(true, 2).expect("it has two columns");
        assert_eq!(input.len(), 2);
        assert_eq!(input.event(1).map(|event| event.key), Some(key_of(b"\xff")));
        let refused = with(true, 3).expect_err("it has no third column");
        assert!(
            refused.to_string().contains("line 2 has no column 3"),
            "{refused}"
        );
    }

    #[test]
    fn an_empty_file_is_no_input() {
        let file = tempfile::NamedTempFile::new().expect("there is a place for files");
        let options = InputOptions {
            rule: KeyRule::Line,
            header: false,
            events_max: None,
        };
        assert!(Input::file(file.path(), options).is_err());
    }
}
