//! Two sides' runs held against each other, with what so many runs can show.

use std::path::Path;

use quorate_bench::statistics::{Better, RUNS_MIN, Ratio, Verdict, median};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;
use crate::figures::duration_text;
use crate::table::{Table, thousands};

/// The runs of one side under one load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Side {
    /// What was sent on what: the sides should agree in it.
    load: Vec<(&'static str, Value)>,
    runs: Vec<Figures>,
}

/// What is read of a run's report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Figures {
    events_per_s: f64,
    latency_us: LatencyFigures,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct LatencyFigures {
    p99: f64,
}

/// What a load is known by: points of two sweeps belong together if they agree in these.
const KEY: [&str; 3] = ["loop", "rate", "in_flight"];

/// What makes two loads different besides.
const SHAPE: [&str; 8] = [
    "event_size",
    "batch",
    "producers",
    "consumers",
    "keys",
    "nodes",
    "durability",
    "machine",
];

impl Side {
    /// The loads of a file that `quorate bench --json` has written: one, or as many as a sweep has points.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>, Failure> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::unreadable(path, &error))?;
        let value = serde_json::from_str(&text).map_err(|error| error.to_string());
        value.and_then(|value| Self::all(&value)).map_err(|what| {
            Failure::new(format!("{}: {what}", path.display())).cure(
                "compare what `quorate bench --json` or `quorate bench sweep --json` has printed",
            )
        })
    }

    /// The loads of a result.
    pub(crate) fn all(value: &Value) -> Result<Vec<Self>, String> {
        match value.get("sweep").and_then(Value::as_array) {
            Some(points) => points.iter().map(Self::one).collect(),
            None => Ok(vec![Self::one(value)?]),
        }
    }

    fn one(value: &Value) -> Result<Self, String> {
        let runs = match value.get("runs").and_then(Value::as_array) {
            Some(runs) => runs.iter().map(figures).collect::<Result<_, _>>()?,
            None => vec![figures(value)?],
        };
        let field = |name: &'static str| (name, value.get(name).cloned().unwrap_or(Value::Null));
        Ok(Self {
            load: KEY.into_iter().chain(SHAPE).map(field).collect(),
            runs,
        })
    }

    fn key(&self) -> &[(&'static str, Value)] {
        self.load.get(..KEY.len()).unwrap_or_default()
    }

    fn label(&self) -> String {
        let field = |name: &str| {
            let found = self.load.iter().find(|(field, _)| *field == name);
            found.and_then(|(_, value)| value.as_u64())
        };
        match (field("rate"), field("in_flight")) {
            (Some(rate), _) => format!("{} events/s due", thousands(rate)),
            (None, Some(in_flight)) => format!("{in_flight} in flight"),
            (None, None) => "the load".into(),
        }
    }

    fn figures(&self, of: impl Fn(&Figures) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).collect()
    }
}

fn figures(value: &Value) -> Result<Figures, String> {
    Figures::deserialize(value).map_err(|error| format!("no report of a measurement: {error}"))
}

/// What two sides show.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    /// Which load.
    load: String,
    /// In what the sides differ although they should not.
    differs_in: Vec<String>,
    runs_a: usize,
    runs_b: usize,
    throughput: Compared,
    p99: Compared,
}

/// One figure of both.
#[derive(Clone, Debug, Serialize)]
struct Compared {
    a: f64,
    b: f64,
    /// B over A.
    ratio: f64,
    /// 95 % of what these runs could have shown as well.
    interval: Option<[f64; 2]>,
    verdict: &'static str,
    /// By which share B is worse.
    regression: f64,
}

impl Comparison {
    /// Compares the loads that both sides have.
    pub(crate) fn of(a: &[Side], b: &[Side]) -> Result<Vec<Self>, Failure> {
        let mut compared = Vec::new();
        for side in a {
            // One load a side may differ in anything: it is said what in.
            let alone = a.len() == 1 && b.len() == 1;
            let other = b.iter().find(|other| alone || other.key() == side.key());
            if let Some(other) = other {
                compared.push(Self::one(side, other)?);
            }
        }
        if compared.is_empty() {
            return Err(Failure::new("the two sweeps have no point in common")
                .cure("measure both sides with the same --rates or --in-flights"));
        }
        Ok(compared)
    }

    fn one(a: &Side, b: &Side) -> Result<Self, Failure> {
        let differs = |((name, a), (_, b)): (&(&str, Value), &(&str, Value))| {
            (a != b).then(|| format!("{name}: {a} and {b}"))
        };
        Ok(Self {
            load: a.label(),
            differs_in: a.load.iter().zip(&b.load).filter_map(differs).collect(),
            runs_a: a.runs.len(),
            runs_b: b.runs.len(),
            throughput: Compared::of(a, b, |run| run.events_per_s, Better::Higher)?,
            p99: Compared::of(a, b, |run| run.latency_us.p99, Better::Lower)?,
        })
    }

    /// Whether B is worse by more than such a share, as far as these runs can show.
    pub(crate) fn is_regression(&self, gate: f64) -> bool {
        let figures = [&self.throughput, &self.p99];
        let is_worse = |figure: &&Compared| figure.verdict == WORSE && figure.regression > gate;
        figures.iter().any(is_worse)
    }

    /// Whether there are too few runs to say anything.
    pub(crate) fn is_undecided(&self) -> bool {
        self.runs_a.min(self.runs_b) < RUNS_MIN
    }

    /// A row for each figure of each load.
    pub(crate) fn table(all: &[Self]) -> Table {
        let mut table = Table::with_headings(&[
            "load",
            "figure",
            "A",
            "B",
            "B/A",
            "95 % of the draws",
            "B is",
        ]);
        for one in all {
            let rate = |figure: f64| thousands(whole(figure));
            table.row(one.throughput.row(&one.load, "events/s", rate));
            let latency = |figure: f64| duration_text(whole(figure));
            table.row(one.p99.row(&one.load, "p99", latency));
        }
        table
    }

    /// What is to be said besides.
    pub(crate) fn notes(all: &[Self]) -> Vec<String> {
        let mut notes = Vec::new();
        for one in all {
            for what in &one.differs_in {
                notes.push(format!("note: the sides differ in {what}"));
            }
            let (a, b) = (one.runs_a, one.runs_b);
            if one.is_undecided() {
                notes.push(format!(
                    "note: {a} and {b} runs: no verdict below {RUNS_MIN} a side (--runs)"
                ));
            } else if a.min(b) < 5 {
                notes.push(format!(
                    "note: {a} and {b} runs: three a side fall apart by chance once in ten times; take five"
                ));
            }
        }
        notes.dedup();
        notes
    }
}

const WORSE: &str = "worse";

impl Compared {
    fn of(a: &Side, b: &Side, of: fn(&Figures) -> f64, better: Better) -> Result<Self, Failure> {
        let (a, b) = (a.figures(of), b.figures(of));
        let (Some(ratio), Some(median_a), Some(median_b)) =
            (Ratio::of(&a, &b), median(&a), median(&b))
        else {
            return Err(Failure::new("a side has no runs, or acknowledged nothing"));
        };
        Ok(Self {
            a: median_a,
            b: median_b,
            ratio: ratio.ratio,
            interval: ratio.interval.map(|(low, high)| [low, high]),
            verdict: match ratio.verdict(better) {
                Verdict::Better => "better",
                Verdict::Worse => WORSE,
                Verdict::NoDifference => "no difference that these runs can show",
                Verdict::TooFew => "undecided: too few runs",
            },
            regression: ratio.regression(better),
        })
    }

    fn row(&self, load: &str, figure: &str, text: impl Fn(f64) -> String) -> [String; 7] {
        let interval = self
            .interval
            .map(|[low, high]| format!("{low:.3} to {high:.3}"));
        [
            load.to_owned(),
            figure.to_owned(),
            text(self.a),
            text(self.b),
            format!("{:.3}", self.ratio),
            interval.unwrap_or_else(|| "-".into()),
            self.verdict.to_owned(),
        ]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and microseconds are positive and far below 2^53"
)]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Comparison, Side};

    /// A result with runs of such throughputs, and a p99 of 2 ms each.
    fn result(rates: &[f64]) -> Value {
        let run = |rate: &f64| json!({"events_per_s": rate, "latency_us": {"p99": 2_000}});
        let runs: Vec<Value> = rates.iter().map(run).collect();
        json!({"loop": "closed", "in_flight": 64, "batch": 64, "runs": runs})
    }

    fn compare(a: &Value, b: &Value) -> Vec<Comparison> {
        let side = |value| Side::all(value).expect("it is a result");
        Comparison::of(&side(a), &side(b)).expect("they have a load in common")
    }

    const A: [f64; 5] = [1e6, 1.01e6, 0.99e6, 1.005e6, 0.995e6];

    #[test]
    fn a_loss_of_a_fifth_is_worse_and_a_regression() {
        let slower = A.map(|rate| rate * 0.8);
        let compared = compare(&result(&A), &result(&slower));
        let text = Comparison::table(&compared).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("worse") && lines[1].contains("0.800"),
            "{text}"
        );
        assert!(
            lines[2].ends_with("no difference that these runs can show"),
            "{text}"
        );
        assert!(compared[0].is_regression(0.1) && !compared[0].is_regression(0.25));
        let gain = compare(&result(&slower), &result(&A));
        assert!(!gain[0].is_regression(0.1), "a gain is none");
    }

    #[test]
    fn noise_is_no_regression() {
        let noisy = [1.4e6, 0.5e6, 0.8e6, 1.3e6, 0.9e6];
        let compared = compare(&result(&noisy), &result(&noisy.map(|rate| rate * 0.85)));
        assert!(compared[0].throughput.regression > 0.1);
        assert!(!compared[0].is_regression(0.1));
    }

    #[test]
    fn a_single_run_decides_nothing() {
        let one = json!({"events_per_s": 10, "latency_us": {"p99": 5}});
        let compared = compare(&one, &one);
        assert!(compared[0].is_undecided());
        assert!(Comparison::notes(&compared)[0].contains("no verdict below 3"));
    }

    #[test]
    fn sweeps_meet_at_their_common_points() {
        let point = |rate| json!({"loop": "open", "rate": rate, "events_per_s": rate, "latency_us": {"p99": 5}});
        let sweep = |rates: &[u64]| {
            let points: Vec<Value> = rates.iter().map(|&rate| point(rate)).collect();
            json!({"sweep": points})
        };
        let compared = compare(&sweep(&[1_000, 5_000, 9_000]), &sweep(&[5_000, 9_000]));
        let loads: Vec<&str> = compared.iter().map(|one| one.load.as_str()).collect();
        assert_eq!(loads, ["5,000 events/s due", "9,000 events/s due"]);
        let none = Comparison::of(
            &Side::all(&sweep(&[1, 2])).expect("it is a result"),
            &Side::all(&sweep(&[3, 4])).expect("it is a result"),
        );
        assert!(none.is_err());
    }

    #[test]
    fn different_loads_are_said_to_be_different() {
        let mut other = result(&A);
        other["batch"] = json!(1);
        let notes = Comparison::notes(&compare(&result(&A), &other));
        assert_eq!(notes, ["note: the sides differ in batch: 64 and 1"]);
        assert!(Side::all(&json!({"up": true})).is_err());
    }
}
