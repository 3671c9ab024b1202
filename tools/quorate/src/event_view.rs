//! How an event is printed.

use std::fmt::Write as _;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_client::{Event, Offset};
use serde::Serialize;

/// The form of an event on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The payload and a line break.
    Line,
    /// One JSON object a line.
    Json,
    /// Offset, key, time, topic and payload, with tabs between them.
    Detail,
}

/// An event in JSON. What is no text is base64, under another name.
#[derive(Debug, Serialize)]
pub(crate) struct EventJson<'a> {
    offset: u64,
    key: String,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// The event for JSON.
pub(crate) fn json<'a>(offset: Offset, event: &Event<'a>) -> EventJson<'a> {
    let (topic, topic_base64) = text_or_base64(event.topic);
    let (payload, payload_base64) = text_or_base64(event.payload);
    EventJson {
        offset: offset.0,
        key: key_text(event.key),
        time: event.time,
        topic,
        topic_base64,
        payload,
        payload_base64,
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// A key as it is shown: numbers of 64 bits do not survive every reader of JSON.
fn key_text(key: u64) -> String {
    format!("{key:016x}")
}

/// Offset, key, time, topic and payload, with tabs between them.
pub(crate) fn detail(offset: Offset, event: &Event<'_>) -> String {
    format!(
        "{offset}\t{}\t{}\t{}\t{}",
        key_text(event.key),
        event.time,
        visible(event.topic),
        visible(event.payload)
    )
}

/// Bytes on one line between tabs: control characters, backslashes and what is no UTF-8 are escaped.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        for character in piece.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in piece.invalid() {
            write!(text, "\\x{byte:02x}").expect("a string takes all");
        }
    }
    text
}

impl Format {
    /// Writes an event.
    pub(crate) fn write(
        self,
        offset: Offset,
        event: &Event<'_>,
        out: &mut impl io::Write,
    ) -> io::Result<()> {
        match self {
            Self::Line => out.write_all(event.payload)?,
            Self::Json => serde_json::to_writer(&mut *out, &json(offset, event))?,
            Self::Detail => out.write_all(detail(offset, event).as_bytes())?,
        }
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{Event, Offset};

    use super::Format;

    fn written(format: Format, payload: &[u8]) -> Vec<u8> {
        let event = Event {
            key: 0xab,
            time: 5,
            topic: b"flights",
            payload,
            priority: 0,
        };
        let mut out = Vec::new();
        let done = format.write(Offset(7), &event, &mut out);
        done.expect("memory takes all");
        out
    }

    fn text(format: Format, payload: &[u8]) -> String {
        String::from_utf8(written(format, payload)).expect("this form is text")
    }

    #[test]
    fn a_line_is_the_payload_as_it_is() {
        assert_eq!(written(Format::Line, b"a\xff\tb"), b"a\xff\tb\n");
    }

    #[test]
    fn json_holds_text_or_base64() {
        assert_eq!(
            text(Format::Json, "\"ä\"".as_bytes()),
            "{\"offset\":7,\"key\":\"00000000000000ab\",\"time\":5,\"topic\":\"flights\",\"payload\":\"\\\"ä\\\"\"}\n"
        );
        let json = text(Format::Json, b"\xff\x00");
        assert!(json.ends_with(",\"payload_base64\":\"/wA=\"}\n"), "{json}");
        assert!(!json.contains("\"payload\""), "{json}");
    }

    #[test]
    fn detail_stays_on_its_line() {
        assert_eq!(
            text(Format::Detail, "a\tb\n\\ ä\u{1b}".as_bytes()),
            "7\t00000000000000ab\t5\tflights\ta\\tb\\n\\\\ ä\\u{1b}\n"
        );
        assert!(text(Format::Detail, b"\xff!").ends_with("\t\\xff!\n"));
    }
}
