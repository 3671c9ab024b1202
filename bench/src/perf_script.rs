//! The stacks that `perf script` prints.

use std::io::{self, BufRead};

/// Hands on each sample's stack: the thread's name, then its frames, the outermost caller first.
///
/// # Errors
/// The text cannot be read.
pub fn stacks(text: impl BufRead, visit: &mut dyn FnMut(Vec<String>)) -> io::Result<()> {
    let mut thread = None;
    let mut frames: Vec<String> = Vec::new();
    let mut over = |thread: &mut Option<String>, frames: &mut Vec<String>| {
        if let Some(thread) = thread.take() {
            frames.push(thread);
            frames.reverse();
            visit(std::mem::take(frames));
        }
    };
    for line in text.lines() {
        let line = line?;
        if line.trim().is_empty() {
            over(&mut thread, &mut frames);
        } else if line.starts_with(char::is_whitespace) {
            frames.extend(frame(line.trim()));
        } else if !line.starts_with('#') {
            over(&mut thread, &mut frames);
            thread = Some(thread_of(&line));
        }
    }
    over(&mut thread, &mut frames);
    Ok(())
}

/// The name of the thread in `name pid time: period event:`. It may have spaces.
fn thread_of(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_process = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'/')
    };
    let name = words.iter().skip(1).position(is_process);
    words[..name.map_or(words.len().min(1), |nth| nth + 1)].join(" ")
}

/// The function in `address function+0x12 (file)`; without one, the file.
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(' ')?;
    let (function, file) = rest.rsplit_once(" (")?;
    if function == "[unknown]" {
        let file = file.trim_end_matches(')');
        let name = file.rsplit('/').next().unwrap_or(file);
        return Some(format!("[{}]", name.trim_matches(['[', ']'])));
    }
    let name = function.rfind("+0x").map_or(function, |at| &function[..at]);
    Some(without_hash(name).to_owned())
}

/// A name without what the compiler adds to tell equal ones apart: `::h` and sixteen digits.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash))
            if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            name
        }
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::stacks;

    #[test]
    fn a_sample_is_a_stack_under_its_thread() {
        let text = "\
# captured on: some day
pipeline-0  4711 [001]   123.456789:    2004008 cpu-clock:pppH: 
\t    5581d2a4 quorate_engine::uring::run::h0123456789abcdef+0x1f4 (/opt/quorate)
\t    5581d2a0 std::rt::lang_start (a, b)+0x9 (/opt/quorate)
\t    7f00aa10 [unknown] (/usr/lib/libc.so.6)

my thread  4711/4712   1.5:  1 cycles:
\tffffffff9a0 __schedule+0x2 ([kernel.kallsyms])
";
        let mut found = Vec::new();
        stacks(text.as_bytes(), &mut |stack| found.push(stack.join(";"))).expect("it is text");
        assert_eq!(
            found,
            [
                "pipeline-0;[libc.so.6];std::rt::lang_start (a, b);quorate_engine::uring::run",
                "my thread;__schedule",
            ]
        );
    }
}
