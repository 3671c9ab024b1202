//! Which crate may import which: the folder tree is the architecture, and this checks its arrows.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// One row a crate: what of ours it may import, and what of others it may not. A crate without a row fails.
const MAY_IMPORT: &[(&str, &[&str], &[&str])] = &[
    ("quorate-wire", &[], OF_THE_SYSTEM),
    ("quorate-raft", &["quorate-wire"], OF_THE_SYSTEM),
    (
        "quorate-replication",
        &["quorate-wire", "quorate-raft"],
        OF_THE_SYSTEM,
    ),
    (
        "quorate-engine",
        &["quorate-wire", "quorate-raft", "quorate-replication"],
        &[],
    ),
    ("quorate-client", &["quorate-wire"], &["io-uring"]),
    (
        "quorate-sim",
        &[
            "quorate-wire",
            "quorate-raft",
            "quorate-replication",
            "quorate-client",
        ],
        OF_THE_SYSTEM,
    ),
    (
        "quorate-bench",
        &["quorate-wire", "quorate-client"],
        &["io-uring"],
    ),
    // The yardstick shares nothing with what it measures.
    ("quorate-bare", &[], &["tokio"]),
    (
        "quorate",
        &[
            "quorate-wire",
            "quorate-replication",
            "quorate-engine",
            "quorate-client",
            "quorate-bench",
        ],
        &["io-uring"],
    ),
    ("quorate-tidy", &[], &[]),
];

/// What code that decides must not know.
const OF_THE_SYSTEM: &[&str] = &[
    "io-uring",
    "libc",
    "rustix",
    "tokio",
    "memmap2",
    "getrandom",
    "tracing",
];

/// Crates without the standard library: in them `std::time` and `std::net` do not even resolve.
const WITHOUT_STD: &[&str] = &["wire", "raft", "replication"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels down")
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

fn imports(package: &Package) -> BTreeSet<&str> {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn every_arrow_points_down() {
    for package in &packages() {
        let name = package.name.as_str();
        let row = MAY_IMPORT
            .iter()
            .find(|(crate_name, _, _)| *crate_name == name);
        let (_, ours, banned) =
            row.unwrap_or_else(|| panic!("{name} has no row in MAY_IMPORT: give it one"));
        for import in imports(package) {
            let is_ours = import == "quorate" || import.starts_with("quorate-");
            assert!(
                !is_ours || ours.contains(&import),
                "{name} must not import {import} (docs/architecture.md, Crates)"
            );
            assert!(
                !banned.contains(&import),
                "{name} must not import {import}: it decides, it does not move"
            );
        }
    }
}

#[test]
fn what_decides_has_no_standard_library() {
    for crate_folder in WITHOUT_STD {
        let path = root().join(crate_folder).join("src/lib.rs");
        let text = std::fs::read_to_string(&path).expect("the crate has a lib.rs");
        for line in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            assert!(text.contains(line), "{} must say {line}", path.display());
        }
    }
}

#[test]
fn the_top_level_holds_what_people_look_for_there() {
    let known = [
        "wire",
        "raft",
        "replication",
        "engine",
        "tools",
        "bench",
        "perf",
        "docs",
        "target",
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "rust-toolchain.toml",
    ];
    for entry in std::fs::read_dir(root()).expect("the root can be listed") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        assert!(
            name.starts_with('.') || known.contains(&name.as_ref()),
            "{name} does not belong at the top level"
        );
    }
}
