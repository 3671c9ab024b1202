//! Runs the transcripts in `testdata`: commands, `----`, and what the cores did.
//!
//! `QUORATE_UPDATE=1` writes what they do now into the files; read the difference before it is committed. The commands are
//! described in `stage`.

#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;
mod stage;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use stage::Stage;

#[test]
fn transcripts_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let update = std::env::var_os("QUORATE_UPDATE").is_some();
    let mut wrong = String::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the folder of transcripts is there") {
        let path = entry.expect("a folder can be read").path();
        let written = fs::read_to_string(&path).expect("a transcript can be read");
        let done = replay(&path, &written);
        count += 1;
        if done == written {
            continue;
        }
        if update {
            fs::write(&path, &done).expect("a transcript can be written");
            continue;
        }
        let (line, (was, is)) = first_difference(&written, &done);
        writeln!(
            wrong,
            "{}:{line}\n  was: {was}\n  is:  {is}",
            path.display()
        )
        .expect("a string takes it");
    }
    assert!(count > 0, "there are transcripts in {}", folder.display());
    assert!(
        wrong.is_empty(),
        "{wrong}if that is right: QUORATE_UPDATE=1 cargo test -p quorate-raft --test transcripts"
    );
}

/// The transcript with what the cores do now.
fn replay(path: &Path, written: &str) -> String {
    let mut stage = Stage::default();
    let mut done = String::new();
    let mut heard = String::new();
    let mut lines = written.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        writeln!(done, "{line}").expect("a string takes it");
        if line == "----" {
            done.push_str(if heard.is_empty() {
                "(nothing)\n"
            } else {
                &heard
            });
            heard.clear();
            if lines.by_ref().any(|(_, line)| line.is_empty()) {
                done.push('\n');
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            heard.push_str(
                &stage.run(line).unwrap_or_else(|wrong| {
                    panic!("{}:{}: {wrong}: {line}", path.display(), at + 1)
                }),
            );
        }
    }
    assert!(
        heard.is_empty(),
        "{}: the last command has no ----",
        path.display()
    );
    done
}

fn first_difference<'a>(was: &'a str, is: &'a str) -> (usize, (&'a str, &'a str)) {
    let end = std::iter::once("(end)");
    let pairs = was.lines().chain(end.clone()).zip(is.lines().chain(end));
    let mut different = pairs.enumerate().filter(|(_, (was, is))| was != is);
    different
        .next()
        .map_or((0, ("(blank lines)", "(blank lines)")), |(at, pair)| {
            (at + 1, pair)
        })
}
