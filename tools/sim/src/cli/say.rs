//! What is printed. A reader that has gone away ends nothing: the exit status still says what was found.

use std::io::{self, IsTerminal, Write};

/// A line of the result.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// How it goes, for somebody who watches; overwritten by the next one.
pub(super) fn progress(text: &str) {
    let mut error = io::stderr().lock();
    if error.is_terminal() {
        let _ = write!(error, "\r\x1b[K{text}");
        let _ = error.flush();
    }
}

/// Why nothing could be done.
pub(super) fn trouble(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
