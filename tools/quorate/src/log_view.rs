//! How what is in a log is printed.

use std::io;

use quorate_client::{Record, RecordKind};
use quorate_replication::seam::SegmentId;
use serde::Serialize;

use crate::event_view::{self, EventJson};

/// A record, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// In which segment.
    pub(crate) segment: SegmentId,
    /// Where in its file.
    pub(crate) position: u64,
    /// The record.
    pub(crate) record: Record<'a>,
    /// Whether a later record has taken its place.
    pub(crate) void: bool,
}

/// A record in JSON.
#[derive(Debug, Serialize)]
struct RecordJson<'a> {
    segment: u64,
    position: u64,
    index: u64,
    term: u64,
    base_offset: u64,
    event_count: u16,
    kind: &'static str,
    bytes: usize,
    log_time: u64,
    header_crc: String,
    void: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventJson<'a>>>,
}

const fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Events => "events",
        RecordKind::Noop => "no-op",
        RecordKind::Commands => "commands",
        RecordKind::Members => "members",
    }
}

/// The heading above [`Shown::write`]'s lines.
pub(crate) const HEADING: &str =
    " segment   position      index   term     offset events kind           bytes crc";

impl Shown<'_> {
    /// One line; with `events`, one further line for each event.
    pub(crate) fn write(&self, events: bool, out: &mut impl io::Write) -> io::Result<()> {
        let header = self.record.header();
        writeln!(
            out,
            "{:>8} {:>10} {:>10} {:>6} {:>10} {:>6} {:<12} {:>7} ok{}",
            self.segment.0,
            self.position,
            header.index.0,
            header.term.0,
            header.base_offset.0,
            header.event_count,
            kind_name(header.kind),
            self.record.bytes().len(),
            if self.void { " void" } else { "" }
        )?;
        if events {
            for (offset, event) in self.record.events() {
                writeln!(out, "\t{}", event_view::detail(offset, &event))?;
            }
        }
        Ok(())
    }

    /// One JSON object on a line; with `events`, they are in it.
    pub(crate) fn write_json(&self, events: bool, out: &mut impl io::Write) -> io::Result<()> {
        let header = self.record.header();
        let events = events.then(|| {
            let events = self.record.events();
            events
                .map(|(offset, event)| event_view::json(offset, &event))
                .collect()
        });
        let json = RecordJson {
            segment: self.segment.0,
            position: self.position,
            index: header.index.0,
            term: header.term.0,
            base_offset: header.base_offset.0,
            event_count: header.event_count,
            kind: kind_name(header.kind),
            bytes: self.record.bytes().len(),
            log_time: header.log_time,
            header_crc: format!("{:08x}", header.header_crc),
            void: self.void,
            events,
        };
        serde_json::to_writer(&mut *out, &json)?;
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::{Event, Record};
    use quorate_replication::seam::SegmentId;

    use super::{HEADING, Shown};
    use crate::demo::sample::record;

    fn written(write: impl Fn(&Shown<'_>, &mut Vec<u8>)) -> String {
        let event = Event {
            key: 0xab,
            time: 5,
            topic: b"t",
            payload: b"one",
            priority: 0,
        };
        let bytes = record(7, 41, &[event, event]);
        let (record, _) = Record::parse(&bytes).expect("it is sound");
        let shown = Shown {
            segment: SegmentId(3),
            position: 4_096,
            record,
            void: true,
        };
        let mut out = Vec::new();
        write(&shown, &mut out);
        String::from_utf8(out).expect("all forms are text")
    }

    #[test]
    fn a_record_is_a_line_under_the_heading() {
        let text = written(|shown, out| shown.write(true, out).expect("memory takes all"));
        let lines: Vec<&str> = text.lines().collect();
        let cells: Vec<&str> = lines[0].split_whitespace().collect();
        let expected = [
            "3", "4096", "42", "1", "41", "2", "events", "160", "ok", "void",
        ];
        assert_eq!(cells, expected);
        assert_eq!(lines[1], "\t41\t00000000000000ab\t5\tt\tone");
        assert!(lines[2].starts_with("\t42\t"), "{text}");
        for (heading, cell) in [("position", "4096"), ("index", "42"), ("bytes", "160")] {
            let end = |line: &str, cell: &str| line.find(cell).map(|at: usize| at + cell.len());
            assert_eq!(end(HEADING, heading), end(lines[0], cell), "{heading}");
        }
    }

    #[test]
    fn json_says_the_same() {
        let json = |events| {
            let text =
                written(|shown, out| shown.write_json(events, out).expect("memory takes all"));
            serde_json::from_str::<serde_json::Value>(&text).expect("it is an object")
        };
        let record = json(false);
        assert_eq!(
            (&record["index"], &record["base_offset"]),
            (&42.into(), &41.into())
        );
        assert_eq!(
            (&record["kind"], &record["void"]),
            (&"events".into(), &true.into())
        );
        assert!(record.get("events").is_none(), "{record}");
        assert_eq!(json(true)["events"][1]["offset"], 42);
    }
}
