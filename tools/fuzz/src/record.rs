//! Records, chunks and events.

use quorate_wire::checksum::crc32;
use quorate_wire::{CHUNK_HEADER_BYTES, Chunk, Event, RECORD_HEADER_BYTES, Record};

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if how & 1 != 0 {
        seal_chunks(bytes.get_mut(RECORD_HEADER_BYTES..).unwrap_or_default());
    }
    if how & 2 != 0 {
        seal(&mut bytes);
    }
    open_all(&bytes);
    let mut chunk = bytes.clone();
    seal_chunks(&mut chunk);
    if let Ok((chunk, rest)) = Chunk::parse(&chunk) {
        assert_eq!(chunk.bytes().len() + rest.len(), bytes.len());
        let events = u32::try_from(chunk.events().count());
        assert_eq!(
            events,
            Ok(chunk.id().events),
            "a chunk has the events that it says"
        );
    }
    if let Ok((event, rest)) = Event::parse(&bytes) {
        assert_eq!(event.size() + rest.len(), bytes.len());
        let mut again = vec![0; event.size()];
        assert_eq!(
            event.write(&mut again),
            Ok(Some(event.size())),
            "what is read can be written"
        );
        assert_eq!(
            Event::parse(&again).map(|(event, _)| event),
            Ok(event),
            "and is the same"
        );
    }
}

/// Opens records side by side.
///
/// # Panics
/// There is a bug.
pub fn open_all(mut bytes: &[u8]) {
    while let Ok((record, rest)) = Record::parse(bytes) {
        assert_eq!(record.bytes().len() + rest.len(), bytes.len());
        let header = record.header();
        let mut offset = header.base_offset;
        for (at, event) in record.events() {
            assert!(at >= offset, "offsets rise");
            assert!(event.size() <= record.body().len());
            offset = at.plus(1);
        }
        assert!(
            offset <= header.next_offset(),
            "no more events than the record says"
        );
        let mut next = header.base_offset;
        for (at, chunk) in record.chunks() {
            assert_eq!(at, next, "chunks have no gap");
            next = at.plus(u64::from(chunk.id().events));
            // Events are checked where they come in, at the gate.
            if chunk.check().is_ok() {
                let events = u32::try_from(chunk.events().count());
                assert_eq!(
                    events,
                    Ok(chunk.id().events),
                    "a chunk has the events that it says"
                );
            }
        }
        assert_eq!(
            next,
            header.next_offset(),
            "a record has the events that it says"
        );
        bytes = rest;
    }
}

/// Puts a record's checksums right, if there is room for a header and its body.
pub(crate) fn seal(bytes: &mut [u8]) {
    let Some((head, rest)) = bytes.split_at_mut_checked(RECORD_HEADER_BYTES) else {
        return;
    };
    let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
    let length = usize::try_from(length)
        .expect("32 bits fit")
        .min(rest.len());
    head[8..12].copy_from_slice(&crc32(&[&rest[..length]]).to_le_bytes());
    let crc = crc32(&[&head[8..]]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Puts the checksums of chunks side by side right.
fn seal_chunks(mut bytes: &mut [u8]) {
    while let Some((head, rest)) = bytes.split_at_mut_checked(CHUNK_HEADER_BYTES) {
        let length = u32::from_le_bytes([head[24], head[25], head[26], head[27]]);
        let length = usize::try_from(length).expect("32 bits fit");
        let Some((events, rest)) = rest.split_at_mut_checked(length) else {
            return;
        };
        let crc = crc32(&[&head[..28], events]);
        head[28..].copy_from_slice(&crc.to_le_bytes());
        bytes = rest;
    }
}
