//! The pages that specify the formats say what the code does: `docs/protocol.md` and `docs/errors.md`.

use std::collections::BTreeMap;
use std::path::Path;

use quorate_wire::checksum::{crc32, key_of};
use quorate_wire::{ErrorCode, FrameKind, Slot, limits};

use crate::golden;
use crate::tables::{self, Table};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of a table's row, without code marks.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(
        row.split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect(),
    )
}

/// The words of a line that are marked as code.
fn code_words(line: &str) -> Vec<String> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// A byte table's rows: offset, field, type.
type Rows = Vec<(String, String, String)>;

/// The byte tables of the page, by each name in the heading above them.
fn byte_tables(page: &str) -> BTreeMap<String, Rows> {
    let mut found: BTreeMap<String, Rows> = BTreeMap::new();
    let mut names = Vec::new();
    for line in page.lines() {
        if line.starts_with('#') {
            names = code_words(line);
            names.retain(|name| name.starts_with(char::is_uppercase));
        }
        let row: Option<[String; 4]> = cells(line).and_then(|row| row.try_into().ok());
        let Some([at, field, kind, _]) = row else {
            continue;
        };
        if at.parse::<usize>().is_ok() {
            for name in &names {
                let rows = found.entry(name.clone()).or_default();
                rows.push((at.clone(), field.clone(), kind.clone()));
            }
        }
    }
    found
}

fn rows(table: Table) -> Rows {
    let mut at = 0;
    let rows = table.iter().map(|&(field, show)| {
        let row = (at.to_string(), field.to_owned(), show.type_name());
        at += show.width();
        row
    });
    rows.collect()
}

#[test]
fn the_byte_tables_are_the_formats() {
    let mut expected: BTreeMap<String, Rows> = BTreeMap::new();
    for (name, table) in [
        ("Frame", tables::FRAME),
        ("Event", tables::EVENT),
        ("Chunk", tables::CHUNK),
        ("Record", tables::RECORD),
        ("NodeEntry", tables::NODE_ENTRY),
        ("Member", tables::MEMBER),
        ("AdminMember", tables::ADMIN_MEMBER),
        ("Roster", tables::ROSTER),
        ("RosterEntry", tables::ROSTER_ENTRY),
        ("Command", tables::COMMAND),
        ("SetCursor", tables::SET_CURSOR),
        ("DeleteCursor", tables::DELETE_CURSOR),
        ("CursorEntry", tables::CURSOR_ENTRY),
        ("Clause", tables::CLAUSE),
        ("Join", tables::JOIN),
        ("Leave", tables::MEMBER_NAMED),
        ("Expire", tables::MEMBER_NAMED),
        ("Raise", tables::RAISE),
        ("DeleteGroup", tables::DELETE_CURSOR),
        ("Commit", tables::COMMIT),
        ("MemberEntry", tables::MEMBER_ENTRY),
    ] {
        expected.insert(name.to_owned(), rows(table));
    }
    for &kind in FrameKind::ALL {
        let table = rows(tables::message(kind));
        if !table.is_empty() {
            expected.insert(format!("{kind:?}"), table);
        }
    }
    let found = byte_tables(&page("protocol.md"));
    for (name, table) in &expected {
        assert_eq!(found.get(name), Some(table), "the byte table of {name}");
    }
    assert!(
        found.keys().eq(expected.keys()),
        "byte tables of something else: {:?}",
        found.keys()
    );
}

#[test]
fn each_kind_has_a_heading_with_its_byte_and_length() {
    let page = page("protocol.md");
    for &kind in FrameKind::ALL {
        let bytes = kind.message_bytes();
        let name = format!("`{kind:?}` {:#04x}", kind.to_byte());
        let length = if bytes == 0 {
            "no message".to_owned()
        } else {
            format!("{bytes} bytes")
        };
        let mut headings = page.lines().filter(|line| line.starts_with("###"));
        assert!(
            headings.any(|line| line.contains(&name) && line.contains(&length)),
            "no heading says {name}, {length}"
        );
    }
}

#[test]
fn the_dumps_are_cut_from_the_golden_files() {
    let page = page("protocol.md");
    let mut dumps = 0;
    for block in page.split("```text wire/golden/").skip(1) {
        let (name, rest) = block.split_once(".hex\n").expect("a dump names its file");
        let (dump, _) = rest.split_once("```").expect("a dump ends");
        assert!(!dump.is_empty());
        assert!(
            golden::file(name).contains(dump),
            "{name}.hex does not have:\n{dump}"
        );
        dumps += 1;
    }
    assert!(dumps >= 4, "the page has real dumps");
}

/// The page has a row that begins with these cells.
fn assert_row(page: &str, begin: &[String]) {
    let mut rows = page.lines().filter_map(cells);
    assert!(
        rows.any(|row| row.starts_with(begin)),
        "no row begins with {begin:?}"
    );
}

/// 1048576 becomes `1,048,576`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn the_limits_are_those_of_the_code() {
    let page = page("protocol.md");
    let wide = |value: u32| usize::try_from(value).expect("64 bits");
    for (name, value) in [
        ("ALIGNMENT", limits::ALIGNMENT),
        ("RECORD_BYTES_MAX", limits::RECORD_BYTES_MAX),
        ("CHUNK_BYTES_MAX", limits::CHUNK_BYTES_MAX),
        ("EVENT_BYTES_MAX", limits::EVENT_BYTES_MAX),
        ("CHUNK_EVENTS_MAX", wide(limits::CHUNK_EVENTS_MAX)),
        ("RECORD_EVENTS_FULL", wide(limits::RECORD_EVENTS_FULL)),
        ("RUN_CHUNKS_MAX", wide(limits::RUN_CHUNKS_MAX)),
        ("RUN_BYTES_MAX", limits::RUN_BYTES_MAX),
        ("WINDOW_REQUESTS_MAX", limits::WINDOW_REQUESTS_MAX),
        ("ALL_TIMEOUT_MS_MAX", wide(limits::ALL_TIMEOUT_MS_MAX)),
        (
            "PRODUCER_LIFE_SECONDS",
            usize::try_from(limits::PRODUCER_LIFE_SECONDS).expect("64 bits"),
        ),
        ("TOPIC_BYTES_MAX", limits::TOPIC_BYTES_MAX),
        ("RECORDS_BYTES_MAX", limits::RECORDS_BYTES_MAX),
        ("FILTER_CLAUSES_MAX", limits::FILTER_CLAUSES_MAX),
        ("FILTER_BYTES_MAX", limits::FILTER_BYTES_MAX),
        ("SUBSCRIPTIONS_MAX", limits::SUBSCRIPTIONS_MAX),
        ("SUBSCRIPTION_PULSE_MS", limits::SUBSCRIPTION_PULSE_MS),
        ("ERROR_TEXT_BYTES_MAX", limits::ERROR_TEXT_BYTES_MAX),
        ("NODES_MAX", limits::NODES_MAX),
        ("MEMBERS_MAX", limits::MEMBERS_MAX),
        ("ADDRESS_BYTES_MAX", limits::ADDRESS_BYTES_MAX),
        ("NAME_BYTES_MAX", limits::NAME_BYTES_MAX),
        ("AUDIT_MARKS", limits::AUDIT_MARKS),
        ("RECORD_COMMANDS_MAX", limits::RECORD_COMMANDS_MAX),
        ("CURSORS_MAX", limits::CURSORS_MAX),
        ("CONSUMER_GROUPS_MAX", limits::CONSUMER_GROUPS_MAX),
        ("GROUP_MEMBERS_MAX", limits::GROUP_MEMBERS_MAX),
        ("SESSION_MS_MIN", wide(limits::SESSION_MS_MIN)),
        ("SESSION_MS_MAX", wide(limits::SESSION_MS_MAX)),
        ("MESSAGE_BYTES_MAX", limits::MESSAGE_BYTES_MAX),
        ("FRAME_BODY_BYTES_MAX", limits::FRAME_BODY_BYTES_MAX),
    ] {
        assert_row(&page, &[name.to_owned(), grouped(value)]);
    }
}

#[test]
fn the_checksums_and_slots_are_those_of_the_code() {
    let page = page("protocol.md");
    for text in ["", "a", "foobar", "N14228"] {
        let key = format!("{:#018x}", key_of(text.as_bytes()));
        assert_row(&page, &[format!("\"{text}\""), key]);
    }
    for (text, key) in [
        ("0", 0),
        ("1", 1),
        ("0xeddd2c15ff48b181", 0xeddd_2c15_ff48_b181),
    ] {
        assert_row(&page, &[text.to_owned(), Slot::of(key).to_string()]);
    }
    let check = format!("{:#010x}", crc32(&[b"123456789"]));
    assert!(page.contains(&check), "the check value of the CRC");
}

#[test]
fn every_error_code_is_on_its_page_and_no_other() {
    let page = page("errors.md");
    let mut found = Vec::new();
    for row in page.lines().filter_map(cells) {
        let Some(Ok(number)) = row.first().map(|cell| cell.parse::<u16>()) else {
            continue;
        };
        let code = ErrorCode::from_number(number);
        let code = code.unwrap_or_else(|| panic!("the page lists {number}, which is no code"));
        assert_eq!(row[1], code.name(), "the name of {number}");
        let ends = match (code.exit_status(), code.ends_connection()) {
            (Some(status), _) => format!("process, {status}"),
            (None, true) => "connection".to_owned(),
            (None, false) => "request".to_owned(),
        };
        assert_eq!(row[2], ends, "what {code} ends");
        let retry = if code.retry() { "yes" } else { "no" };
        assert_eq!(row[3], retry, "whether {code} is retried");
        assert!(
            row.len() == 7 && row.iter().all(|cell| !cell.is_empty()),
            "{code}"
        );
        found.push(code);
    }
    assert_eq!(found, ErrorCode::ALL, "the page lists all codes by number");
}
