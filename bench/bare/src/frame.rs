//! What goes over the wire and to the disk: a request's events behind a header of 32 bytes.
//!
//! | at | field | |
//! | --- | --- | --- |
//! | 0 | bytes | u32, of the events |
//! | 4 | crc | u32, CRC-32 of the rest of the header and of the events |
//! | 8 | sequence | u64, from 1 on |
//! | 16 | | zeros |
//!
//! An event is as long as one of Quorate's: 24 bytes and its payload, padded to 8.

use std::io;

pub(crate) const HEADER: usize = 32;

/// The frame of so many events, without its sequence.
pub(crate) fn template(event_size: usize, batch: usize) -> Vec<u8> {
    let event = (24 + event_size).next_multiple_of(8);
    let events = event * batch;
    let mut frame = vec![0; HEADER + events];
    let bytes = u32::try_from(events).expect("the arguments bound a frame");
    put(&mut frame, 0, &bytes.to_le_bytes());
    // Bytes that no disk compresses, the same in each frame.
    let mut state = 1_u64;
    for eight in frame.get_mut(HEADER..).unwrap_or_default().chunks_mut(8) {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        eight.copy_from_slice(state.to_le_bytes().get(..eight.len()).unwrap_or_default());
    }
    frame
}

/// Gives a frame its sequence, and seals it.
pub(crate) fn seal(frame: &mut [u8], sequence: u64) {
    put(frame, 8, &sequence.to_le_bytes());
    let crc = crc32fast::hash(frame.get(8..).unwrap_or_default());
    put(frame, 4, &crc.to_le_bytes());
}

/// The length and the sequence of the first frame, if all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(usize, u64)>> {
    let (Some(events), Some(crc), Some(sequence)) =
        (u32_at(bytes, 0), u32_at(bytes, 4), u64_at(bytes, 8))
    else {
        return Ok(None);
    };
    let len = HEADER + usize::try_from(events).expect("32 bits fit into a size");
    let Some(sealed) = bytes.get(8..len) else {
        return Ok(None);
    };
    if crc32fast::hash(sealed) != crc {
        return Err(io::Error::other("a frame's checksum is wrong"));
    }
    Ok(Some((len, sequence)))
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{HEADER, parse, seal, template};

    #[test]
    fn a_frame_is_read_as_it_was_sealed() {
        let mut frame = template(64, 3);
        assert_eq!(frame.len(), HEADER + 3 * 88);
        seal(&mut frame, 17);
        assert_eq!(parse(&frame).expect("it is sound"), Some((frame.len(), 17)));
        assert_eq!(parse(&frame[..frame.len() - 1]).expect("it is short"), None);
        assert_eq!(parse(&frame[..3]).expect("it is short"), None);
        for at in [4, 9, HEADER, frame.len() - 1] {
            let mut bent = frame.clone();
            bent[at] ^= 1;
            assert!(parse(&bent).is_err(), "byte {at}");
        }
    }
}
