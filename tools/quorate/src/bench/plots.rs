//! The page of a measurement: figures, and the curves behind them.

use hdrhistogram::Histogram;
use quorate_bench::axis::{Axis, Scale, Unit};
use quorate_bench::chart::{Chart, Line};
use quorate_bench::hgrm::curve;
use quorate_bench::page::Page;

use super::report::SlotJson;
use super::{Summary, sweep_table};
use crate::figures::float;

/// A run, or a point of a sweep, as it is drawn.
#[derive(Debug)]
pub(crate) struct Plotted<'a> {
    /// Its name in the legends.
    pub(crate) name: String,
    /// Its latencies, in microseconds.
    pub(crate) latency_us: &'a Histogram<u64>,
    /// Its slots of time.
    pub(crate) series: &'a [SlotJson],
}

/// The page as HTML. `points` are those of a sweep, or the one measurement; `plotted` has what is drawn of them.
pub(crate) fn page(command: &str, points: &[Summary], plotted: &[Plotted<'_>]) -> String {
    let mut page = Page::new("quorate bench");
    if let [only] = points {
        page.heading("Figures");
        page.facts(&only.lines());
    } else if let Some(first) = points.first() {
        page.heading("Throughput and latency");
        page.chart(&trade(points));
        let (headings, rows) = sweep_table(points);
        page.table(&headings, &rows);
        page.heading("The first point in full");
        page.facts(&first.lines());
    }
    page.heading("Latency by percentile");
    page.chart(&by_percentile(plotted));
    page.heading("Over time");
    page.chart(&over_time(plotted));
    page.chart(&throughput(plotted));
    page.finish(&format!("Made by: {command}"))
}

fn axis(label: &str, scale: Scale, unit: Unit) -> Axis {
    Axis {
        label: label.into(),
        scale,
        unit,
    }
}

fn latency() -> Axis {
    axis("latency (logarithmic)", Scale::Log, Unit::Micros)
}

fn by_percentile(plotted: &[Plotted<'_>]) -> Chart {
    let line = |one: &Plotted<'_>| Line {
        name: one.name.clone(),
        points: shown(one.latency_us),
    };
    Chart {
        title: "So many requests took no longer".into(),
        x: axis("share of the requests", Scale::Nines, Unit::Share),
        y: latency(),
        lines: plotted.iter().map(line).collect(),
    }
}

/// The curve as far as there are requests to tell shares apart; the slowest one stands for the last share.
fn shown(latency_us: &Histogram<u64>) -> Vec<(f64, f64)> {
    let last = 1.0 - 1.0 / float(latency_us.len().max(2));
    let points = curve(latency_us).into_iter();
    let points = points.filter(|point| point.share < last);
    let mut points: Vec<(f64, f64)> = points.map(|point| (point.share, float(point.us))).collect();
    if !latency_us.is_empty() {
        points.push((last, float(latency_us.max())));
    }
    points
}

fn over_time(plotted: &[Plotted<'_>]) -> Chart {
    let alone = plotted.len() == 1;
    let line = |one: &Plotted<'_>, figure: &str, of: fn(&SlotJson) -> u64| Line {
        name: if alone {
            figure.to_owned()
        } else {
            format!("{figure}, {}", one.name)
        },
        // A slot in which no request began has no latency.
        points: one
            .series
            .iter()
            .filter(|slot| slot.max_us > 0)
            .map(|slot| (slot.at_s, float(of(slot))))
            .collect(),
    };
    let mut lines = Vec::new();
    for one in plotted {
        if alone {
            lines.push(line(one, "p50", |slot| slot.p50_us));
        }
        lines.push(line(one, "p99", |slot| slot.p99_us));
    }
    Chart {
        title: "Latency by the time at which requests began".into(),
        x: axis("since the warm-up", Scale::Linear, Unit::Seconds),
        y: latency(),
        lines,
    }
}

fn throughput(plotted: &[Plotted<'_>]) -> Chart {
    let line = |one: &Plotted<'_>| Line {
        name: one.name.clone(),
        points: one
            .series
            .iter()
            .map(|slot| (slot.at_s, slot.events_per_s))
            .collect(),
    };
    Chart {
        title: "Throughput".into(),
        x: axis("since the warm-up", Scale::Linear, Unit::Seconds),
        y: axis("acknowledged events/s", Scale::Linear, Unit::Count),
        lines: plotted.iter().map(line).collect(),
    }
}

/// The throughput-latency curve.
fn trade(points: &[Summary]) -> Chart {
    let line = |name: &str, of: fn(&super::Quantiles) -> u64| Line {
        name: name.into(),
        points: points
            .iter()
            .map(|point| &point.middle.measures)
            .map(|measures| {
                (
                    float(measures.events_per_s),
                    float(of(&measures.latency_us)),
                )
            })
            .collect(),
    };
    Chart {
        title: "What a throughput costs in latency".into(),
        x: axis("acknowledged events/s", Scale::Linear, Unit::Count),
        y: latency(),
        lines: vec![
            line("p50", |latency| latency.p50),
            line("p99", |latency| latency.p99),
            line("p99.9", |latency| latency.p999),
            line("max", |latency| latency.max),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::{Plotted, page, shown};
    use crate::bench::Summary;
    use crate::bench::summary::sample::run;

    #[test]
    fn one_measurement_has_its_figures_and_its_curves() {
        let run = run(1_000_000, 2_000);
        let summary = Summary::of(std::slice::from_ref(&run)).expect("there is one");
        let plotted = Plotted {
            name: "run 1".into(),
            latency_us: &run.latency_us,
            series: &run.report.series,
        };
        let html = page("quorate bench <x>", &[summary], &[plotted]);
        assert_eq!(html.matches("<svg ").count(), 3);
        for part in ["1,000,000 events/s", ">p50<", "quorate bench &lt;x&gt;"] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }

    #[test]
    fn a_curve_ends_with_the_slowest_request() {
        let latency_us = run(1, 2_000).latency_us;
        let points = shown(&latency_us);
        let last = points.last().expect("there are three requests");
        assert!(
            (last.0 - 2.0 / 3.0).abs() < 1e-9 && last.1 >= 2_000.0,
            "{points:?}"
        );
        assert!(
            points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
            "{points:?}"
        );
    }

    #[test]
    fn a_sweep_has_the_curve_of_its_points() {
        let runs = [run(1_000, 900), run(2_000, 4_000)];
        let points: Vec<Summary> = runs
            .iter()
            .filter_map(|run| Summary::of(std::slice::from_ref(run)))
            .collect();
        let plotted: Vec<Plotted<'_>> = runs
            .iter()
            .map(|run| Plotted {
                name: "a point".into(),
                latency_us: &run.latency_us,
                series: &run.report.series,
            })
            .collect();
        let html = page("quorate bench sweep", &points, &plotted);
        assert_eq!(html.matches("<svg ").count(), 4);
        assert!(html.contains("What a throughput costs"), "{html}");
    }
}
