//! One seed in two processes: if they differ, the simulator looks at something that is not in the seed.

use std::io;
use std::process::{Command, Stdio};

use quorate_sim::{Case, Profile};

use super::{FINE, FOUND, USAGE, say};

/// Runs a case twice, and compares.
pub(super) fn meta(case: &Case) -> u8 {
    let (one, other) = match (trace(case), trace(case)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) => {
            say::trouble(&format!("quorate-sim cannot be run: {error}"));
            return USAGE;
        }
    };
    let (mut ones, mut others) = (one.lines(), other.lines());
    for number in 1_u64.. {
        match (ones.next(), others.next()) {
            (None, None) => {
                let last = one.lines().next_back().unwrap_or_default();
                say::line(&format!("{} lines, all equal; {last}", number - 1));
                return FINE;
            }
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                say::line(&format!("line {number} differs:"));
                say::line(&format!("  {}", a.unwrap_or("(ended)")));
                say::line(&format!("  {}", b.unwrap_or("(ended)")));
                break;
            }
        }
    }
    FOUND
}

fn trace(case: &Case) -> io::Result<String> {
    let profile = match case.profile {
        Profile::Calm => "calm",
        Profile::Faults => "faults",
        Profile::Damage => "damage",
        Profile::Mixed => "mixed",
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--trace", "all", "--profile", profile, "--seeds"]);
    command.arg(format!("{}..{}", case.seed, case.seed + 1));
    if let Some(only) = &case.only {
        let numbers: Vec<String> = only.iter().map(usize::to_string).collect();
        command.arg("--only").arg(numbers.join(","));
    }
    if case.few_clients {
        command.arg("--few-clients");
    }
    let output = command.stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
