//! Bytes as readable text: one line a field, with its place, its bytes, its name and what it says.

use std::fmt::Write as _;

/// What lies in a dump, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// A heading.
    Heading(&'static str),
    /// An integer of so many bytes, in decimal.
    Count(&'static str, usize),
    /// An integer of four bytes, in hexadecimal.
    Bits(&'static str),
    /// Text, padded with zeros.
    Text(&'static str, usize),
    /// So many bytes without a meaning here.
    Bytes(&'static str, usize),
    /// Nothing but zeros, up to this place.
    Zeros(usize),
}

/// Most bytes on one line.
const WIDTH: usize = 16;

/// The text of `bytes`.
pub(crate) fn render(title: &str, bytes: &[u8], parts: &[Part]) -> String {
    let mut text = format!("# {title}\n");
    let mut at = 0;
    for part in parts {
        let (width, note) = match *part {
            Part::Heading(heading) => {
                writeln!(text, "# {heading}").expect("a string takes all");
                continue;
            }
            Part::Count(name, width) => (
                width,
                format!("{name} = {}", integer(&bytes[at..at + width])),
            ),
            Part::Bits(name) => (4, format!("{name} = {:#010x}", integer(&bytes[at..at + 4]))),
            Part::Text(name, width) => {
                let value = String::from_utf8_lossy(&bytes[at..at + width]).into_owned();
                (
                    width,
                    format!("{name} = \"{}\"", value.trim_end_matches('\0')),
                )
            }
            Part::Bytes(name, width) => (width, name.to_owned()),
            Part::Zeros(to) => {
                assert!(
                    bytes[at..to].iter().all(|&byte| byte == 0),
                    "zeros up to {to}"
                );
                writeln!(text, "{at:04x}  00 up to {to:04x}").expect("a string takes all");
                at = to;
                continue;
            }
        };
        let mut note = note.as_str();
        for row in bytes[at..at + width].chunks(WIDTH) {
            let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = format!("{at:04x}  {:<47}  | {note}", hex.join(" "));
            writeln!(text, "{}", line.trim_end_matches([' ', '|'])).expect("a string takes all");
            at += row.len();
            note = "";
        }
    }
    assert_eq!(at, bytes.len(), "a dump shows all bytes");
    text
}

fn integer(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

/// The bytes of a dump.
pub(crate) fn read(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.split('|').next().expect("a split has a part");
        let (at, rest) = line.split_once("  ").expect("a place and bytes");
        assert_eq!(
            usize::from_str_radix(at, 16),
            Ok(bytes.len()),
            "the place of: {line}"
        );
        if let Some(to) = rest.strip_prefix("00 up to ") {
            bytes.resize(usize::from_str_radix(to.trim(), 16).expect("a place"), 0);
            continue;
        }
        let row = rest.split_whitespace();
        bytes.extend(row.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")));
    }
    bytes
}
