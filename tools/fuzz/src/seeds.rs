//! What the targets begin with: the golden files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::script::of_frame;

fn folders() -> [PathBuf; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    [root.join("wire/golden"), root.join("replication/golden")]
}

/// The bytes of a golden file of the log.
///
/// # Panics
/// It is missing, or no dump.
#[must_use]
pub fn golden(name: &str) -> Vec<u8> {
    let text = match name {
        "superblock_v1" => include_str!("../../../replication/golden/superblock_v1.hex"),
        "segment_v1" => include_str!("../../../replication/golden/segment_v1.hex"),
        "snapshot_v1" => include_str!("../../../replication/golden/snapshot_v1.hex"),
        other => panic!("no golden file {other}"),
    };
    read(text)
}

/// The bytes of a dump.
fn read(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.split('|').next().expect("a split has a part");
        let (_, rest) = line.split_once("  ").expect("a place and bytes");
        if let Some(to) = rest.strip_prefix("00 up to ") {
            bytes.resize(usize::from_str_radix(to.trim(), 16).expect("a place"), 0);
            continue;
        }
        let row = rest.split_whitespace();
        bytes.extend(row.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")));
    }
    bytes
}

/// Writes a target's seeds to where its corpus is.
///
/// # Panics
/// They cannot be written.
pub fn write(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("a folder beside the targets");
    for (of, name, bytes) in all() {
        if of == target {
            fs::write(folder.join(name), bytes).expect("a seed can be written");
        }
    }
}

/// All seeds: a target, a name, the bytes.
///
/// # Panics
/// The golden files are not there.
#[must_use]
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for folder in folders() {
        for entry in fs::read_dir(folder).expect("the golden files are there") {
            let path = entry.expect("a folder can be read").path();
            let name = path
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.expect("a golden file has a name");
            let bytes = read(&fs::read_to_string(&path).expect("it can be read"));
            if name.starts_with("frame_") {
                let script = of_frame(&bytes);
                for target in ["frame", "gate"] {
                    seeds.push((target, name.clone(), [&[0], bytes.as_slice()].concat()));
                    seeds.push((
                        target,
                        format!("{name}_made"),
                        [&[1], script.as_slice()].concat(),
                    ));
                }
                for how in [1, 3] {
                    seeds.push((
                        "peer",
                        format!("{name}_{how}"),
                        [&[how, 1], script.as_slice()].concat(),
                    ));
                }
                // Connected, greeted, and then this.
                let greeting = [&[1, 5], hello_reply().as_slice(), &[1, 5]].concat();
                for end in [0, 1] {
                    let begin: &[u8] = if end == 0 { &[0, 0, 0] } else { &[1, 0, 1, 0] };
                    let seed = [begin, &greeting, &script].concat();
                    seeds.push(("session", format!("{name}_{end}"), seed));
                }
            } else if !name.starts_with("s") {
                for how in [0, 3] {
                    seeds.push((
                        "record",
                        format!("{name}_{how}"),
                        [&[how], bytes.as_slice()].concat(),
                    ));
                }
            }
        }
    }
    // Each field of the header, of the piece and of the end becomes another one, and the checksums fit.
    for at in (0..232u16).step_by(4) {
        let [low, high] = at.to_le_bytes();
        let seed = vec![50, 4, low, high, 4, 7, 0, 0, 0];
        seeds.push(("snapshot", format!("field_{at}"), seed));
    }
    for (at, how) in [
        (64u16, 9u8),
        (0x5c, 9),
        (4096, 16),
        (8192, 16),
        (32, 8),
        (4096, 6),
    ] {
        let at = at.to_le_bytes();
        seeds.push((
            "log",
            format!("{how}_{}", at[1]),
            vec![how, at[0], at[1], 4, 1, 0, 0, 0],
        ));
    }
    seeds
}

fn hello_reply() -> Vec<u8> {
    of_frame(&read(include_str!(
        "../../../wire/golden/frame_hello_reply_v1.hex"
    )))
}
