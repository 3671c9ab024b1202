//! Events from a file or a pipe: one a line, plain or gzip, each with its key.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use quorate_client::{Event, key_of};
use quorate_wire::limits::EVENT_BYTES_MAX;

/// What the key of a line is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRule {
    /// One column of comma-separated values, counted from 1.
    Column(NonZeroUsize),
    /// The whole line.
    Line,
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
        let text = match self.rule {
            KeyRule::Line => line,
            KeyRule::Column(column) => field(line, column).ok_or(LineError::NoColumn {
                line: self.number,
                column,
            })?,
        };
        Ok(Some((key_of(text), line)))
    }

    fn read(&mut self) -> Result<bool, LineError> {
        self.buffer.clear();
        self.number += 1;
        let line = self.number;
        // One byte more than the longest line with its break: then the line is known to be too long, however long it is.
        let bound = u64::try_from(self.bytes_max + 2).expect("a size fits into 64 bits");
        let mut bounded = (&mut self.from).take(bound);
        let bytes = bounded
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| LineError::Unreadable { line, error })?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.len() > self.bytes_max {
            return Err(LineError::TooLong { line });
        }
        Ok(bytes > 0)
    }
}

/// A column of comma-separated values, counted from 1, without the quotes around it. A comma between quotes separates nothing.
fn field(line: &[u8], column: NonZeroUsize) -> Option<&[u8]> {
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
