//! What can be seen of the text alone: files that hold more than one noun, and links in the docs that lead nowhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest source file, in lines without its unit tests.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels down")
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn all(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(root(), ending, &mut found);
    assert!(!found.is_empty(), "there are files that end with {ending}");
    found
}

#[test]
fn no_file_holds_a_second_noun() {
    for path in all(".rs") {
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        let lines = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        assert!(
            is_test || lines <= LINES_MAX,
            "{} has {lines} lines without its tests: at most {LINES_MAX}; move a noun into a file of its own",
            path.display()
        );
    }
}

/// The languages of the blocks in a source file's doc comments; what has none is Rust.
fn languages(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim_start);
    let comments = lines.filter_map(|line| line.strip_prefix("///").or(line.strip_prefix("//!")));
    let fences = comments.filter_map(|line| line.trim_start().strip_prefix("```"));
    // Every other one ends a block.
    fences.step_by(2).collect()
}

#[test]
fn who_runs_no_examples_has_none() {
    for manifest in all("Cargo.toml") {
        let text = std::fs::read_to_string(&manifest).expect("a manifest is text");
        if !text.contains("doctest = false") {
            continue;
        }
        let mut sources = Vec::new();
        files(&manifest.with_file_name("src"), ".rs", &mut sources);
        for path in sources {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            assert!(
                languages(&text).iter().all(|language| *language == "text"),
                "{} has an example that nobody runs: take `doctest = false` out of {}",
                path.display(),
                manifest.display()
            );
        }
    }
}

#[test]
fn links_in_the_docs_lead_somewhere() {
    for path in all(".md") {
        let text = std::fs::read_to_string(&path).expect("a page is text");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let found = path.parent().expect("a file has a folder").join(file);
            assert!(
                found.exists(),
                "{} links to {target}, which does not exist",
                path.display()
            );
        }
    }
}

/// The numbers behind each `TRAPS` of a text: `TRAPS 9, 17` names two.
fn traps(text: &str) -> BTreeSet<u32> {
    let lists = text.split("TRAPS ").skip(1);
    let lists = lists.filter_map(|rest| rest.split(|next| !"0123456789, ".contains(next)).next());
    let numbers = lists.flat_map(|list| list.split(", "));
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn each_trap_is_listed_and_named_where_it_is_met() {
    let page = std::fs::read_to_string(root().join("docs/traps.md")).expect("a page is text");
    let cells = page.lines().filter_map(|line| line.split(" | ").next());
    let numbers = cells.filter_map(|cell| cell.strip_prefix("| ")?.parse().ok());
    let listed: BTreeSet<u32> = numbers.collect();
    let code = [all(".rs"), all(".txt")].concat();
    let code = code.iter().map(std::fs::read_to_string);
    let named: BTreeSet<_> = code
        .flat_map(|text| traps(&text.expect("code and transcripts are text")))
        .collect();
    assert_eq!(listed, named, "docs/traps.md, and what code and tests name");
}
