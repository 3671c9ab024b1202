//! The binary `quorate`: a shell around the library, which does the work.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_cli::main()
}
