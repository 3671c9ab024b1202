//! Standard output and standard error. A reader that has gone away (`quorate ... | head`) is no trouble of ours.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Prints a result to standard output.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a result to standard output, as one JSON value on one line.
pub(crate) fn print_json(value: &impl Serialize) {
    let text = serde_json::to_string(value).expect("our results have text keys and finite numbers");
    print(&text);
}

/// Says something about the work, which is no result, on standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}
