//! Bytes as readable text: one line a field, with its offset, its bytes, its name and what it says.
//!
//! Owns: the text form of the golden files. Never: knows a format; the tables do.

use std::fmt::Write as _;

/// Most bytes on one line.
const WIDTH: usize = 16;

/// How wide a field is, and how to show what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// An integer of so many bytes, in decimal.
    Count(usize),
    /// An integer of so many bytes, in hexadecimal.
    Bits(usize),
    /// Text, padded with zeros.
    Text(usize),
    /// Bytes without a meaning of their own.
    Bytes(usize),
}

impl Show {
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Count(width) | Self::Bits(width) | Self::Text(width) | Self::Bytes(width) => {
                width
            }
        }
    }

    /// As the page's tables name it.
    pub(crate) fn type_name(self) -> String {
        match self {
            Self::Count(width) | Self::Bits(width) => format!("u{}", width * 8),
            Self::Text(width) | Self::Bytes(width) => format!("u8 × {width}"),
        }
    }

    fn value(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Count(_) => Some(integer(bytes).to_string()),
            Self::Bits(width) => Some(format!("{:#0wide$x}", integer(bytes), wide = 2 + 2 * width)),
            Self::Text(_) => Some(format!(
                "\"{}\"",
                String::from_utf8_lossy(bytes).trim_end_matches('\0')
            )),
            Self::Bytes(_) => None,
        }
    }
}

fn integer(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

/// Bytes, and how to read them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotated {
    pub(crate) bytes: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    Heading(String),
    Field { name: String, show: Show },
}

impl Annotated {
    /// `bytes` under a heading, read by `table`.
    pub(crate) fn table(heading: &str, bytes: &[u8], table: &[(&str, Show)]) -> Self {
        let mut lines = vec![Line::Heading(heading.to_owned())];
        lines.extend(table.iter().map(|&(name, show)| Line::Field {
            name: name.to_owned(),
            show,
        }));
        let width: usize = table.iter().map(|(_, show)| show.width()).sum();
        assert_eq!(bytes.len(), width, "the table of {heading} has a hole");
        Self {
            bytes: bytes.to_vec(),
            lines,
        }
    }

    /// One further field; nothing if it is empty.
    pub(crate) fn field(mut self, name: &str, bytes: &[u8], show: fn(usize) -> Show) -> Self {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            self.lines.push(Line::Field {
                name: name.to_owned(),
                show: show(bytes.len()),
            });
        }
        self
    }

    pub(crate) fn then(mut self, next: Self) -> Self {
        self.bytes.extend(next.bytes);
        self.lines.extend(next.lines);
        self
    }

    pub(crate) fn render(&self, title: &str) -> String {
        let mut text = format!("# {title}\n");
        let mut rest = self.bytes.as_slice();
        let mut at = 0;
        for line in &self.lines {
            match line {
                Line::Heading(heading) => {
                    writeln!(text, "# {heading}").expect("a string takes all");
                }
                Line::Field { name, show } => {
                    let (bytes, after) = rest.split_at(show.width());
                    let mut note = show
                        .value(bytes)
                        .map_or_else(|| name.clone(), |value| format!("{name} = {value}"));
                    for row in bytes.chunks(WIDTH) {
                        let hex: Vec<String> =
                            row.iter().map(|byte| format!("{byte:02x}")).collect();
                        let row_text = format!("{at:04x}  {:<47}  | {note}", hex.join(" "));
                        writeln!(text, "{}", row_text.trim_end()).expect("a string takes all");
                        at += row.len();
                        note.clear();
                    }
                    rest = after;
                }
            }
        }
        assert!(rest.is_empty(), "{title}: bytes without a field");
        text
    }
}

/// The bytes of a golden file: lines with `#` are comments, the others are an offset, bytes, and `|` with a comment.
pub(crate) fn read(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (left, _) = line.split_once('|').expect("a line has a bar");
        let mut words = left.split_whitespace();
        let at = words.next().map(|at| usize::from_str_radix(at, 16));
        assert_eq!(at, Some(Ok(bytes.len())), "the offset of: {line}");
        bytes.extend(words.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")));
    }
    bytes
}
