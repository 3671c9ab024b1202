//! A snapshot of the state, whole and in parts.
//!
//! An input is a list of changes to a small sound one, and how it comes in parts.

use quorate_replication::snapshot::{Checker, HEADER_BYTES, Pieces, Writer};
use quorate_replication::state::State;
use quorate_wire::checksum::crc32;
use quorate_wire::{ClusterName, GroupId};

use crate::script::Script;
use crate::seeds::golden;

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let mut bytes = golden("snapshot_v1");
    let mut script = Script(data);
    let part = 1 + usize::from(script.byte());
    while !script.is_over() {
        change(&mut bytes, &mut script);
    }
    let whole = pieces(&bytes);
    let mut checker = Checker::default();
    let taken = bytes.chunks(part).try_for_each(|part| checker.take(part));
    assert_eq!(
        whole,
        taken.is_ok() && checker.is_whole(),
        "parts are as good as the whole"
    );
    let cluster = ClusterName::new("flights").expect("a name");
    let Ok(mut state) = State::load(&bytes, cluster, GroupId(0)) else {
        return;
    };
    assert!(whole, "what is loaded is sound");
    // What was loaded is written, and is the same again.
    let mut writer = Writer::new(
        Pieces::of(&bytes)
            .map(|(header, _)| header)
            .as_ref()
            .expect("it is sound"),
    );
    state.freeze();
    while state.copy(3, &mut writer) {}
    writer.end();
    let mut again = Vec::new();
    while let Some(part) = writer.take(1 << 20) {
        again.extend_from_slice(&part);
    }
    let again = State::load(&again, cluster, GroupId(0)).expect("it was just written");
    assert_eq!(again.covers(), state.covers());
    assert_eq!(again.producers_digest(), state.producers_digest());
}

fn pieces(bytes: &[u8]) -> bool {
    let Ok((_, mut pieces)) = Pieces::of(bytes) else {
        return false;
    };
    loop {
        match pieces.next_piece() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Writes some bytes somewhere, and makes checksums right again.
fn change(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    let how = script.byte();
    let at = usize::from(script.short());
    let count = usize::from(script.byte() % 80);
    let put = script.bytes(count);
    match how & 3 {
        3 => bytes.truncate(at),
        2 => drop(bytes.splice(
            at.min(bytes.len())..at.min(bytes.len()),
            put.iter().copied(),
        )),
        _ => {
            let to = bytes.len().min(at + put.len());
            if at < to {
                bytes[at..to].copy_from_slice(&put[..to - at]);
            }
        }
    }
    if how & 4 != 0 {
        seal(bytes);
    }
}

/// Makes the checksums of the header, of each piece and of the end right.
fn seal(bytes: &mut [u8]) {
    if let Some(header) = bytes.get_mut(..HEADER_BYTES) {
        let crc = crc32(&[&header[8..]]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    let mut at = HEADER_BYTES;
    while let Some(head) = bytes.get(at..at + 16) {
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (section, length) = (word(0), usize::try_from(word(8)).expect("32 bits"));
        if section == 0 && length == 24 && bytes.len() >= at + 40 {
            let crc = crc32(&[&bytes[..at]]);
            bytes[at + 32..at + 36].copy_from_slice(&crc.to_le_bytes());
        }
        let Some(payload) = bytes.get(at + 16..).and_then(|rest| rest.get(..length)) else {
            return;
        };
        let crc = crc32(&[&bytes[at..at + 12], payload]);
        bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
        at += 16 + length;
        if section == 0 {
            return;
        }
    }
}
