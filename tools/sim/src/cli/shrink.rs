//! Makes a failing plan small: takes entries away as long as the same violation remains (Zeller's ddmin).

use quorate_sim::{Case, Trace, run};

use super::{FINE, FOUND, replay, report, say};

/// Most worlds that are tried.
const TRIES: usize = 1000;

struct Shrink<'a> {
    case: &'a Case,
    /// Where the violation was seen: another one is another bug.
    place: String,
    tries: usize,
}

/// Shrinks the plan of a failing case.
pub(super) fn shrink(case: &Case) -> u8 {
    let outcome = run(case, &Trace::default());
    let Some(violation) = outcome.violation else {
        say::line(&format!(
            "seed {} finds nothing: there is nothing to make small",
            case.seed
        ));
        return FINE;
    };
    say::line(&report::violation(&violation));
    let mut shrink = Shrink {
        case,
        place: violation.place,
        tries: 0,
    };
    let all: Vec<usize> = case
        .plan()
        .entries
        .iter()
        .map(|entry| entry.number)
        .collect();
    let few = shrink.reduce(all.clone());
    let mut small = Case {
        only: Some(few),
        ..case.clone()
    };
    let fewer = Case {
        few_clients: true,
        ..small.clone()
    };
    if shrink.fails(&fewer) {
        small = fewer;
    }
    let plan = small.plan();
    say::progress("");
    say::line(&format!(
        "{} of {} entries, after {} tries:",
        plan.entries.len(),
        all.len(),
        shrink.tries
    ));
    for entry in plan.entries {
        say::line(&format!("  {entry}"));
    }
    say::line(&replay(&small));
    FOUND
}

impl Shrink<'_> {
    fn reduce(&mut self, mut entries: Vec<usize>) -> Vec<usize> {
        if self.fails_with(&[]) {
            return Vec::new();
        }
        let mut parts = 2;
        while entries.len() > 1 && self.tries < TRIES {
            let size = entries.len().div_ceil(parts);
            let without = (0..entries.len()).step_by(size).find_map(|from| {
                let to = (from + size).min(entries.len());
                let rest = [
                    entries.get(..from).unwrap_or_default(),
                    entries.get(to..).unwrap_or_default(),
                ]
                .concat();
                self.fails_with(&rest).then_some(rest)
            });
            match without {
                Some(rest) => {
                    entries = rest;
                    parts = (parts - 1).max(2);
                }
                None if parts >= entries.len() => break,
                None => parts = (parts * 2).min(entries.len()),
            }
        }
        entries
    }

    fn fails_with(&mut self, entries: &[usize]) -> bool {
        let case = Case {
            only: Some(entries.to_vec()),
            ..self.case.clone()
        };
        self.fails(&case)
    }

    fn fails(&mut self, case: &Case) -> bool {
        self.tries += 1;
        let entries = case.only.as_ref().map_or(0, Vec::len);
        say::progress(&format!("try {}: {entries} entries", self.tries));
        let outcome = run(case, &Trace::default());
        outcome
            .violation
            .is_some_and(|violation| violation.place == self.place)
    }
}
