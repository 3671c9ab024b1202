//! Damage: each flipped bit, each cut and each lie of a header is refused, and by its own error.

use quorate_wire::limits::{
    CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, EVENT_BYTES_MAX, FRAME_BODY_BYTES_MAX, MESSAGE_BYTES_MAX,
    RECORD_BYTES_MAX, RECORD_COMMANDS_MAX, RECORDS_BYTES_MAX, SESSION_MS_MAX, SESSION_MS_MIN,
};
use quorate_wire::{
    Chunk, ChunkError, Command, CommandError, Edition, ErrorCode, Event, EventError,
    FRAME_HEADER_BYTES, Frame, FrameError, FrameKind, RECORD_HEADER_BYTES, Record, RecordError,
    Tail,
};

use crate::reseal::{self, patch};
use crate::samples;
use crate::vectors::{self, Holds};

/// `bytes` with each bit flipped in turn, and the byte that holds it.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..8 * bytes.len()).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

fn frames() -> Vec<(FrameKind, Vec<u8>)> {
    let kinds = vectors::all().into_iter().filter_map(|vector| {
        let Holds::Frame(kind) = vector.holds else {
            return None;
        };
        Some((kind, vector.content.bytes))
    });
    kinds.collect()
}

fn frame_of(kind: FrameKind) -> Vec<u8> {
    let mut all = frames().into_iter();
    let (_, bytes) = all.find(|(of, _)| *of == kind).expect("each kind has one");
    bytes
}

/// Parses records until none are left.
fn records(mut bytes: &[u8]) -> Result<usize, RecordError> {
    let mut count = 0;
    while !bytes.is_empty() {
        (_, bytes) = Record::parse(bytes)?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_flipped_bit_of_a_record_is_seen() {
    for sound in [
        samples::noop().bytes,
        samples::events().bytes,
        samples::commands().bytes,
    ] {
        for (at, bytes) in flips(&sound) {
            let error = Record::parse(&bytes).expect_err("the record is damaged");
            let right = match at {
                0..4 => matches!(error, RecordError::Magic { .. }),
                4..RECORD_HEADER_BYTES => matches!(error, RecordError::HeaderChecksum { .. }),
                _ => matches!(error, RecordError::BodyChecksum { .. }),
            };
            assert!(right, "byte {at}: {error}");
        }
    }
}

#[test]
fn a_flipped_bit_of_a_chunk_is_seen() {
    for (at, bytes) in flips(&samples::first_chunk().bytes) {
        let error = Chunk::parse(&bytes).expect_err("the chunk is damaged");
        let by_checksum = matches!(error, ChunkError::Checksum { .. });
        let right = match at {
            // The counts are held against their bounds before anything is summed up.
            20..24 => by_checksum || matches!(error, ChunkError::Count { .. }),
            24..28 => {
                by_checksum || matches!(error, ChunkError::Length { .. } | ChunkError::Cut { .. })
            }
            _ => by_checksum,
        };
        assert!(right, "byte {at}: {error}");
    }
}

#[test]
fn a_flipped_bit_of_a_frame_is_seen() {
    for (kind, sound) in frames() {
        let checked = FRAME_HEADER_BYTES + kind.checked_bytes(sound.len() - FRAME_HEADER_BYTES);
        for (at, bytes) in flips(&sound) {
            match Frame::parse(&bytes) {
                Err(error) => {
                    let right = match at {
                        0..4 => matches!(error, FrameError::Magic { .. }),
                        4..FRAME_HEADER_BYTES => {
                            matches!(error, FrameError::HeaderChecksum { .. })
                        }
                        _ => at < checked && matches!(error, FrameError::BodyChecksum { .. }),
                    };
                    assert!(right, "{kind:?}, byte {at}: {error}");
                }
                Ok(frame) => {
                    let frame = frame.expect("it is whole");
                    assert!(at >= checked, "{kind:?}, byte {at}: not seen");
                    assert_eq!(kind.tail(), Tail::SelfChecked);
                    let refused = if kind == FrameKind::Produce {
                        Chunk::parse(frame.tail).is_err()
                    } else {
                        records(frame.tail).is_err()
                    };
                    assert!(refused, "{kind:?}, byte {at}: not seen by its tail");
                }
            }
        }
    }
}

#[test]
fn a_cut_frame_asks_for_more() {
    for (kind, sound) in frames() {
        for length in 0..sound.len() {
            assert_eq!(Frame::parse(&sound[..length]), Ok(None), "{kind:?}");
        }
        let mut longer = sound.clone();
        longer.extend_from_slice(b"QRF1");
        let frame = Frame::parse(&longer).expect("it is sound");
        assert_eq!(frame.map(|frame| frame.bytes()), Some(sound.len()));
    }
}

#[test]
fn a_cut_record_chunk_or_event_says_what_is_missing() {
    let whole = samples::events().bytes;
    for bytes in 0..whole.len() {
        let needed = if bytes < RECORD_HEADER_BYTES {
            RECORD_HEADER_BYTES
        } else {
            whole.len()
        };
        let cut = Record::parse(&whole[..bytes]);
        assert_eq!(cut, Err(RecordError::Cut { bytes, needed }));
    }
    let whole = samples::first_chunk().bytes;
    for bytes in 0..whole.len() {
        let needed = if bytes < 32 { 32 } else { whole.len() };
        let cut = Chunk::parse(&whole[..bytes]);
        assert_eq!(cut, Err(ChunkError::Cut { bytes, needed }));
    }
    let whole = samples::event(&samples::flight(0)).bytes;
    for bytes in 0..whole.len() {
        let needed = if bytes < 24 { 24 } else { whole.len() };
        let cut = Event::parse(&whole[..bytes]);
        assert_eq!(cut, Err(EventError::Cut { bytes, needed }));
    }
}

#[test]
fn another_protocol_is_refused_by_its_first_word() {
    let strangers: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0; 4],
        b"QRF2",
    ];
    for stranger in strangers {
        let error = Frame::parse(stranger).expect_err("it is no frame");
        assert!(matches!(error, FrameError::Magic { .. }), "{error}");
    }
    assert_eq!(Frame::parse(b"GET"), Ok(None));
}

/// The error of a frame whose header lies at `at`, under a sound checksum.
fn lie(kind: FrameKind, at: usize, bytes: &[u8]) -> FrameError {
    let mut frame = frame_of(kind);
    let checked = kind.checked_bytes(frame.len() - FRAME_HEADER_BYTES);
    patch(&mut frame, at, bytes);
    reseal::frame(&mut frame, checked);
    Frame::parse(&frame).expect_err("the header lies")
}

#[test]
fn a_lying_frame_header_gets_its_own_error() {
    let hello = FrameKind::Hello;
    assert_eq!(lie(hello, 28, &[2]), FrameError::Version { version: 2 });
    let kind = |kind, flags| FrameError::Kind { kind, flags };
    assert_eq!(lie(hello, 29, &[0x55]), kind(0x55, 0));
    assert_eq!(lie(hello, 29, &[0]), kind(0, 0));
    assert_eq!(lie(hello, 30, &[0, 0x80]), kind(1, 0x8000));
    // A version that is not read may have given kinds and flags another meaning.
    let both = lie(hello, 28, &[9, 0x55]);
    assert_eq!(both, FrameError::Version { version: 9 });
}

#[test]
fn a_lying_body_length_is_refused_before_the_body_is_waited_for() {
    let length = |kind, bytes: usize| {
        let length = u32::try_from(bytes).expect("the test's lengths are short");
        lie(kind, 8, &length.to_le_bytes())
    };
    let too_large = |bytes| FrameError::TooLarge { bytes };
    for &kind in FrameKind::ALL {
        let needed = kind.message_bytes();
        let huge = usize::try_from(u32::MAX).expect("64 bits");
        assert_eq!(length(kind, huge), too_large(huge), "{kind:?}");
        let over = FRAME_BODY_BYTES_MAX + 1;
        assert_eq!(length(kind, over), too_large(over), "{kind:?}");
        let wrong = |bytes| FrameError::Length { bytes, needed };
        if needed > 0 {
            assert_eq!(length(kind, needed - 1), wrong(needed - 1), "{kind:?}");
        }
        match kind.tail() {
            Tail::None => assert_eq!(length(kind, needed + 1), wrong(needed + 1), "{kind:?}"),
            Tail::Checked => {
                let over = MESSAGE_BYTES_MAX + 1;
                assert_eq!(length(kind, over), too_large(over), "{kind:?}");
            }
            Tail::SelfChecked => {
                let over = needed + RECORDS_BYTES_MAX + 1;
                assert_eq!(length(kind, over), too_large(over), "{kind:?}");
            }
        }
    }
}

#[test]
fn each_frame_error_has_its_code() {
    let hello = FrameKind::Hello;
    let mut damaged = frame_of(hello);
    damaged[40] ^= 1;
    let body = Frame::parse(&damaged).expect_err("the body is damaged");
    damaged[16] ^= 1;
    let header = Frame::parse(&damaged).expect_err("the header is damaged");
    let magic = Frame::parse(b"GET /").expect_err("it is no frame");
    let invalid = FrameError::Invalid { what: "" };
    for (error, code) in [
        (magic, ErrorCode::FrameMagic),
        (header, ErrorCode::FrameHeaderChecksum),
        (lie(hello, 28, &[2]), ErrorCode::FrameVersion),
        (lie(hello, 29, &[0]), ErrorCode::FrameKind),
        (lie(hello, 8, &[0xff; 4]), ErrorCode::FrameTooLarge),
        (lie(hello, 8, &[8]), ErrorCode::FrameLength),
        (body, ErrorCode::FrameBodyChecksum),
        (invalid, ErrorCode::MessageInvalid),
    ] {
        assert_eq!(error.code(), code, "{error}");
        assert!(code.ends_connection(), "{code}");
    }
}

#[test]
fn a_lying_command_gets_its_own_error() {
    let lie = |at: usize, bytes: &[u8]| {
        let mut command = samples::set_cursor().bytes;
        patch(&mut command, at, bytes);
        Command::parse(&command).expect_err("the command lies")
    };
    let (kind, flags) = (1, 2);
    assert_eq!(lie(0, &[77]), CommandError::Kind { kind: 77 });
    assert_eq!(lie(4, &[2]), CommandError::Flags { kind, flags });
    assert_eq!(lie(2, &[72]), CommandError::Length { kind, bytes: 72 });
    assert_eq!(lie(2, &[7]), CommandError::Length { kind, bytes: 8 });
    let (bytes, needed) = (80, 88);
    assert_eq!(lie(2, &[88]), CommandError::Cut { bytes, needed });
    for name in [&[0_u8][..], b" ", b"\xe9", b"a\0b"] {
        assert_eq!(lie(8, name), CommandError::Name, "{name:?}");
    }
    let mut join = samples::member_commands()
        .bytes
        .split_off(RECORD_HEADER_BYTES);
    for ms in [SESSION_MS_MIN - 1, SESSION_MS_MAX + 1] {
        patch(&mut join, 88, &ms.to_le_bytes());
        let refused = Command::parse(&join).map(|_| ());
        assert_eq!(refused, Err(CommandError::Session { ms }));
    }
    assert_eq!(CommandError::Name.code(), ErrorCode::NameInvalid);
    assert!(lie(0, &[77]).code().ends_connection());
}

#[test]
fn a_record_has_so_many_commands_and_no_more() {
    let record = |count: usize| {
        let mut record = samples::commands().bytes;
        record.truncate(RECORD_HEADER_BYTES);
        record.extend(samples::set_cursor().bytes.repeat(count));
        let length = u32::try_from(record.len() - RECORD_HEADER_BYTES).expect("it is short");
        patch(&mut record, 12, &length.to_le_bytes());
        reseal::record(&mut record);
        record
    };
    let most = record(RECORD_COMMANDS_MAX);
    let parsed = Record::parse(&most).map(|(record, _)| record.commands().count());
    assert_eq!(parsed, Ok(RECORD_COMMANDS_MAX));
    let over = Record::parse(&record(RECORD_COMMANDS_MAX + 1)).map(|_| ());
    assert_eq!(over, Err(RecordError::Commands));
    let none = Record::parse(&record(0)).map(|_| ());
    assert_eq!(none, Err(RecordError::Length { bytes: 0 }));
}

/// What becomes of a record whose header lies at `at`, under sound checksums.
fn record_lie(mut record: Vec<u8>, at: usize, bytes: &[u8]) -> RecordError {
    patch(&mut record, at, bytes);
    reseal::record(&mut record);
    Record::parse(&record).expect_err("the header lies")
}

#[test]
fn who_reads_events_passes_over_records_of_later_editions_that_have_none() {
    let later = |mut record: Vec<u8>| {
        patch(&mut record, 55, &[Edition::BUILD.0 + 1]);
        reseal::record(&mut record);
        record
    };
    let (commands, events) = (
        later(samples::commands().bytes),
        later(samples::events().bytes),
    );
    let (record, rest) = Record::parse_events(&commands).expect("it has no events");
    assert!(rest.is_empty() && record.header().event_count == 0);
    let version = Edition::BUILD.0 + 1;
    let refused = RecordError::Version { version };
    assert_eq!(Record::parse(&commands), Err(refused));
    assert_eq!(Record::parse_events(&events), Err(refused));
}

#[test]
fn a_command_of_a_later_edition_than_its_records_version_is_refused() {
    let mut record = samples::delete_group().bytes;
    patch(&mut record, 55, &[1]);
    reseal::record(&mut record);
    let refused = RecordError::Version { version: 2 };
    assert_eq!(Record::parse(&record), Err(refused));
}

#[test]
fn a_lying_record_header_gets_its_own_error() {
    let lie = |at, bytes: &[u8]| record_lie(samples::events().bytes, at, bytes);
    for version in [0, Edition::BUILD.0 + 1] {
        assert_eq!(lie(55, &[version]), RecordError::Version { version });
    }
    assert_eq!(lie(54, &[0]), RecordError::Kind { kind: 0 });
    assert_eq!(lie(54, &[9]), RecordError::Kind { kind: 9 });
    assert_eq!(lie(60, &[4]), RecordError::Flags { flags: 4 });
    assert_eq!(lie(24, &[0; 8]), RecordError::Range);
    assert_eq!(lie(24, &[0xff; 8]), RecordError::Range);
    assert_eq!(lie(32, &[0xff; 8]), RecordError::Range);
    assert_eq!(lie(52, &[4]), RecordError::Count { said: 4, held: 3 });
    let length = |bytes| RecordError::Length { bytes };
    assert_eq!(lie(12, &[0xa9]), length(0x1a9));
    let over = RECORD_BYTES_MAX - RECORD_HEADER_BYTES + 8;
    let over_bytes = u32::try_from(over).expect("it is short").to_le_bytes();
    assert_eq!(lie(12, &over_bytes), length(over));
}

#[test]
fn a_record_holds_what_its_kind_says() {
    let length = |bytes| RecordError::Length { bytes };
    let with_body = record_lie(samples::events().bytes, 54, &[2]);
    assert_eq!(with_body, length(424), "a no-op with a body");
    let without = record_lie(samples::noop().bytes, 54, &[1]);
    assert_eq!(without, length(0), "events without a chunk");
    let counts = record_lie(samples::noop().bytes, 52, &[1]);
    assert_eq!(counts, RecordError::Count { said: 1, held: 0 });
    // The second chunk's length runs past the body.
    let cut = record_lie(samples::events().bytes, 0x168, &[0x80]);
    let (bytes, needed) = (152, 160);
    assert_eq!(cut, RecordError::Chunk(ChunkError::Cut { bytes, needed }));
}

/// What becomes of a chunk with other bytes at `at`, under a sound checksum.
fn chunk_lie(at: usize, bytes: &[u8]) -> ChunkError {
    let mut chunk = samples::first_chunk().bytes;
    patch(&mut chunk, at, bytes);
    reseal::chunk(&mut chunk);
    Chunk::parse(&chunk).expect_err("the chunk lies")
}

#[test]
fn a_lying_chunk_gets_its_own_error() {
    let count = |events| ChunkError::Count { events };
    assert_eq!(chunk_lie(20, &[0; 4]), count(0));
    let over = CHUNK_EVENTS_MAX + 1;
    assert_eq!(chunk_lie(20, &over.to_le_bytes()), count(over));
    let length = |bytes| ChunkError::Length { bytes };
    assert_eq!(chunk_lie(24, &[0xf1]), length(32 + 0xf1));
    assert_eq!(chunk_lie(24, &[0xff; 4]), length(32 + 0xffff_ffff));
    let over = u32::try_from(EVENT_BYTES_MAX + 8).expect("it is short");
    assert_eq!(
        chunk_lie(24, &over.to_le_bytes()),
        length(CHUNK_BYTES_MAX + 8)
    );
    assert_eq!(chunk_lie(8, &[0xff; 8]), ChunkError::SequenceOverflow);
    let (events, left) = (1, 120);
    assert_eq!(chunk_lie(20, &[1]), ChunkError::Leftover { events, left });
    let event = |at, error| ChunkError::Event { at, error };
    assert_eq!(
        chunk_lie(32 + 120 + 23, &[1]),
        event(1, EventError::UnknownFlags { flags: 1 })
    );
    assert_eq!(chunk_lie(32 + 119, &[1]), event(0, EventError::Padding));
    assert_eq!(
        chunk_lie(32 + 21, &[1]),
        event(0, EventError::TopicTooLong { bytes: 263 })
    );
    let bytes = 0x0100_0057 + 24 + 7 + 2;
    assert_eq!(
        chunk_lie(32 + 19, &[1]),
        event(0, EventError::TooLarge { bytes })
    );
    let (bytes, needed) = (0, 24);
    assert_eq!(
        chunk_lie(20, &[3]),
        event(2, EventError::Cut { bytes, needed })
    );
}

#[test]
fn each_chunk_error_has_its_code() {
    for (error, code) in [
        (chunk_lie(20, &[0; 4]), ErrorCode::ChunkInvalid),
        (chunk_lie(20, &[1]), ErrorCode::ChunkInvalid),
        (chunk_lie(8, &[0xff; 8]), ErrorCode::ChunkInvalid),
        (chunk_lie(32 + 119, &[1]), ErrorCode::EventInvalid),
    ] {
        assert_eq!(error.code(), code, "{error}");
    }
    let mut chunk = samples::first_chunk().bytes;
    chunk[40] ^= 1;
    let error = Chunk::parse(&chunk).expect_err("it is damaged");
    assert_eq!(error.code(), ErrorCode::ChunkChecksum);
}
