//! The binary `quorate-sim`: runs worlds by their seeds, replays them, makes their plans small.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
