//! Events from a file or a pipe: one a line, plain or gzip, each with its key.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use quorate_client::{Event, key_of};
use quorate_wire::limits::EVENT_BYTES_MAX;
use regex::bytes::Regex;

/// What the key of a line is made of.
#[derive(Clone, Debug)]
pub(crate) enum KeyRule {
    /// One column of comma-separated values, counted from 1.
    Column(NonZeroUsize),
    /// The first match: its first group, if the expression has one that takes part, else all of it.
    Match(Regex),
    /// The whole line.
    Line,
    /// Nothing: all keys are 0.
    None,
}

impl KeyRule {
    /// The key of the line with this number.
    fn key(&self, line: &[u8], number: u64) -> Result<u64, LineError> {
        let text = match self {
            Self::None => return Ok(0),
            Self::Line => line,
            Self::Column(column) => field(line, *column).ok_or(LineError::NoColumn {
                line: number,
                column: *column,
            })?,
            Self::Match(regex) => {
                let found = regex.captures(line);
                let found = found.ok_or(LineError::NoMatch { line: number })?;
                let group = found.get(1).or_else(|| found.get(0));
                group.map_or(b"".as_slice(), |group| group.as_bytes())
            }
        };
        Ok(key_of(text))
    }
}

/// Why a line cannot be an event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// The input cannot be read.
    #[error("line {line}: {error}")]
    Unreadable {
        /// Which line, from 1.
        line: u64,
        /// What the system, or the decompression, said.
        error: io::Error,
    },
    /// The line has too few columns.
    #[error("line {line} has no column {column}")]
    NoColumn {
        /// Which line, from 1.
        line: u64,
        /// The column that was asked for.
        column: NonZeroUsize,
    },
    /// The expression for the key matches nothing in the line.
    #[error("line {line} has nothing that the expression for the key matches")]
    NoMatch {
        /// Which line, from 1.
        line: u64,
    },
    /// The rest of the line is not there yet; the next call goes on where this one stopped.
    #[error("line {line} is not there yet")]
    NotYet {
        /// Which line, from 1.
        line: u64,
    },
    /// The line fits into no event.
    #[error("line {line} is longer than an event may be")]
    TooLong {
        /// Which line, from 1.
        line: u64,
    },
}

/// The bytes of an input: as they are, or decompressed if they begin as gzip does.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    decoded(BufReader::new(File::open(path)?))
}

/// The bytes behind a reader: as they are, or decompressed if they begin as gzip does.
pub(crate) fn decoded(mut from: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    if from.fill_buf()?.starts_with(GZIP) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(from))))
    } else {
        Ok(Box::new(from))
    }
}

/// The most bytes of payload that a line may have and still be an event with this topic.
pub(crate) fn payload_bytes_max(topic: &[u8]) -> usize {
    let empty = Event {
        key: 0,
        time: 0,
        topic,
        payload: b"",
        priority: 0,
    };
    EVENT_BYTES_MAX - empty.size()
}

/// Reads lines one by one into one buffer, whose size is bounded by what an event may hold.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    rule: KeyRule,
    bytes_max: usize,
    buffer: Vec<u8>,
    number: u64,
    /// The buffer holds the beginning of a line whose rest was not there.
    begun: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `bytes_max` bytes.
    pub(crate) fn new(from: R, rule: KeyRule, bytes_max: usize) -> Self {
        Self {
            from,
            rule,
            bytes_max,
            buffer: Vec::new(),
            number: 0,
            begun: false,
        }
    }

    /// Passes over a line, whatever it holds.
    pub(crate) fn skip(&mut self) -> Result<(), LineError> {
        self.read().map(|_| ())
    }

    /// The next line without its line break, and its key; `None` after the last one.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, LineError> {
        if !self.read()? {
            return Ok(None);
        }
        let line = self.buffer.as_slice();
        Ok(Some((self.rule.key(line, self.number)?, line)))
    }

    fn read(&mut self) -> Result<bool, LineError> {
        if !self.begun {
            self.buffer.clear();
            self.number += 1;
        }
        let line = self.number;
        // One byte more than the longest line with its break: then the line is known to be too long, however long it is.
        let bound = self.bytes_max + 2 - self.buffer.len();
        let bound = u64::try_from(bound).expect("a size fits into 64 bits");
        let mut bounded = (&mut self.from).take(bound);
        let read = bounded.read_until(b'\n', &mut self.buffer);
        self.begun = matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if self.begun {
            return Err(LineError::NotYet { line });
        }
        read.map_err(|error| LineError::Unreadable { line, error })?;
        let some = !self.buffer.is_empty();
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.len() > self.bytes_max {
            return Err(LineError::TooLong { line });
        }
        Ok(some)
    }
}

/// A column of comma-separated values, counted from 1, without the quotes around it. A comma between quotes separates nothing.
pub(crate) fn field(line: &[u8], column: NonZeroUsize) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut quoted = false;
    let mut columns = line.split(|&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    });
    let text = columns.nth(column.get() - 1)?;
    let unquoted = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _, Write as _};
    use std::num::NonZeroUsize;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use quorate_client::key_of;
    use regex::bytes::Regex;

    use super::{KeyRule, LineError, Lines, decoded, field, payload_bytes_max};

    fn column(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).expect("columns count from 1")
    }

    fn all(text: &str, rule: KeyRule) -> Result<Vec<(u64, String)>, LineError> {
        let mut lines = Lines::new(Cursor::new(text.to_owned()), rule, 10);
        let mut found = Vec::new();
        while let Some((key, line)) = lines.next_line()? {
            found.push((key, String::from_utf8_lossy(line).into_owned()));
        }
        Ok(found)
    }

    #[test]
    fn lines_end_with_a_break_or_with_the_input() {
        for text in ["a\n\nb", "a\n\nb\n"] {
            let lines = all(text, KeyRule::Line).expect("these are lines");
            let expected = ["a", "", "b"].map(|line| (key_of(line.as_bytes()), line.to_owned()));
            assert_eq!(lines, expected, "{text:?}");
        }
        assert!(all("", KeyRule::Line).expect("nothing is wrong").is_empty());
    }

    #[test]
    fn the_longest_line_fits_and_a_byte_more_does_not() {
        for text in ["0123456789", "0123456789\n", "0123456789\nx"] {
            assert!(all(text, KeyRule::Line).is_ok(), "{text:?}");
        }
        for text in [
            "x\n0123456789a",
            "x\n0123456789a\n",
            "x\n0123456789abcdefgh",
        ] {
            let refused = all(text, KeyRule::Line);
            assert!(
                matches!(refused, Err(LineError::TooLong { line: 2 })),
                "{text:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_column_is_the_key_and_its_lack_an_error() {
        let lines = all("1,N1\n2,N2", KeyRule::Column(column(2))).expect("both have two columns");
        assert_eq!(
            lines,
            [
                (key_of(b"N1"), "1,N1".into()),
                (key_of(b"N2"), "2,N2".into())
            ]
        );
        let refused = all("1,N1\n2", KeyRule::Column(column(2)));
        assert!(
            matches!(refused, Err(LineError::NoColumn { line: 2, column: at }) if at == column(2)),
            "{refused:?}"
        );
    }

    #[test]
    fn quotes_hold_a_column_together() {
        let of = |line: &'static str, number| field(line.as_bytes(), column(number));
        assert_eq!(of("a,b,c", 1), Some(b"a".as_slice()));
        assert_eq!(of("a,b,c\r", 3), Some(b"c".as_slice()));
        assert_eq!(of("a,\"b,c\",d", 2), Some(b"b,c".as_slice()));
        assert_eq!(of("a,\"b,c\",d", 3), Some(b"d".as_slice()));
        assert_eq!(of("a,,c", 2), Some(b"".as_slice()));
        assert_eq!(of("a,b", 3), None);
    }

    #[test]
    fn a_match_is_the_key_and_its_lack_an_error() {
        let rule = |expression| KeyRule::Match(Regex::new(expression).expect("it is well-formed"));
        let keys = |expression| {
            let lines = all("id=7;x\nid=8", rule(expression));
            lines.map(|lines| lines.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
        };
        let of = |texts: [&str; 2]| texts.map(|text| key_of(text.as_bytes()));
        assert_eq!(keys("id=[0-9]").expect("all match"), of(["id=7", "id=8"]));
        assert_eq!(keys("id=([0-9])").expect("all match"), of(["7", "8"]));
        // A group that takes no part leaves the whole match.
        assert_eq!(keys("[0-9](;x)?").expect("all match"), of([";x", "8"]));
        let refused = keys(";x");
        assert!(
            matches!(refused, Err(LineError::NoMatch { line: 2 })),
            "{refused:?}"
        );
        assert_eq!(keys(";x|$").expect("all match"), of([";x", ""]));
        let none = all("a\nb", KeyRule::None).expect("nothing can be missing");
        assert_eq!(none, [(0, "a".into()), (0, "b".into())]);
    }

    /// Gives its pieces one by one, and says "not yet" before each of them.
    struct Slow(Vec<&'static [u8]>, bool);

    impl std::io::Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            to[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        let slow = Slow(vec![b"on", b"e\ntw", b"o", b"\n", b"3"], false);
        let mut lines = Lines::new(std::io::BufReader::new(slow), KeyRule::Line, 10);
        let mut found = Vec::new();
        let mut waits = 0;
        loop {
            match lines.next_line() {
                Ok(Some((_, line))) => found.push(String::from_utf8_lossy(line).into_owned()),
                Ok(None) => break,
                Err(LineError::NotYet { line }) => {
                    assert_eq!(line, u64::try_from(found.len()).expect("it is small") + 1);
                    waits += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(found, ["one", "two", "3"]);
        assert_eq!(waits, 7, "five pieces, the end, and the end once more");

        let slow = Slow(vec![b"12345", b"67890", b"1"], false);
        let mut lines = Lines::new(std::io::BufReader::new(slow), KeyRule::Line, 10);
        let refused = loop {
            match lines.next_line() {
                Err(LineError::NotYet { .. }) => {}
                other => break other.map(|_| ()),
            }
        };
        assert!(
            matches!(refused, Err(LineError::TooLong { line: 1 })),
            "{refused:?}"
        );
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"one\ntwo\n").expect("memory takes all");
        let packed = packed.finish().expect("memory takes all");
        for bytes in [packed, b"one\ntwo\n".to_vec()] {
            let mut text = String::new();
            decoded(Cursor::new(bytes))
                .and_then(|mut from| from.read_to_string(&mut text))
                .expect("both forms are readable");
            assert_eq!(text, "one\ntwo\n");
        }
    }

    #[test]
    fn the_longest_payload_is_an_event() {
        for topic in [b"".as_slice(), b"flights"] {
            let payload = vec![b'x'; payload_bytes_max(topic)];
            let event = quorate_client::Event {
                key: 0,
                time: 0,
                topic,
                payload: &payload,
                priority: 0,
            };
            let mut room = vec![0; event.size()];
            assert!(event.write(&mut room).is_ok());
        }
    }
}
