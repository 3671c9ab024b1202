//! The program of the build before, if it is built without the features that came since. A name of its own keeps it from taking the
//! place of the present one.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_cli::main()
}
