//! An axis of a chart: where a value lies on it, which ticks it has, and how a value is said.

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithm: latencies from a disk's best to a host's worst.
    Log,
    /// Shares, each further nine as far as the one before it: 0, 90 %, 99 %, 99.9 % ...
    Nines,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// A share, between 0 and 1.
    Share,
    /// So many, or so many a second.
    Count,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// In what.
    pub unit: Unit,
}

/// An axis that spans given values.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

/// The finest share that is told from 1.
const SHARE_MAX: f64 = 0.999_999_9;

impl Span {
    /// An axis that holds all values; those that it cannot show (a logarithm of 0) count as the smallest that it can.
    pub(crate) fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter(|value| value.is_finite());
        let shown = shown.filter(|&value| scale != Scale::Log || value > 0.0);
        let ends = shown.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| {
                (low.min(value), high.max(value))
            }))
        });
        let (low, high) = ends.unwrap_or((1.0, 10.0));
        match scale {
            Scale::Linear => {
                let high = if high > 0.0 { high } else { 1.0 };
                let step = step_of(high);
                Self {
                    scale,
                    low: 0.0,
                    high: (high / step).ceil() * step,
                }
            }
            Scale::Log => {
                let low = round_down(low);
                let high = round_up(high).max(low * 10.0);
                Self { scale, low, high }
            }
            Scale::Nines => Self {
                scale,
                low: 0.0,
                high: high.clamp(0.9, SHARE_MAX),
            },
        }
    }

    /// Where a value lies, from 0 at the low end to 1 at the high one.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.along(self.low), self.along(self.high));
        ((self.along(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn along(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).log10(),
            Scale::Nines => -(1.0 - value.clamp(0.0, SHARE_MAX)).log10(),
        }
    }

    /// Values that get a line and a number.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step_of(self.high);
                let tick = |number: u32| f64::from(number) * step;
                (0..=20)
                    .map(tick)
                    .take_while(|&tick| tick <= self.high * 1.000_001)
                    .collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10();
                let between: &[f64] = if decades < 2.5 {
                    &[1.0, 2.0, 5.0]
                } else {
                    &[1.0]
                };
                let first = self.low.log10().floor();
                let tick = |decade: u32| 10_f64.powf(first + f64::from(decade));
                let within =
                    |tick: &f64| (self.low * 0.999_999..=self.high * 1.000_001).contains(tick);
                (0..20)
                    .map(tick)
                    .flat_map(|decade| between.iter().map(move |part| decade * part))
                    .filter(within)
                    .collect()
            }
            Scale::Nines => {
                let nines = [0.0, 0.5, 0.9, 0.99, 0.999, 0.999_9, 0.999_99, 0.999_999];
                // With many nines the first half of all has too little room for a number of its own.
                let fits = |tick: &f64| *tick <= self.high && (*tick != 0.5 || self.high < 0.999_5);
                nines.into_iter().filter(fits).collect()
            }
        }
    }
}

/// A step that gives four to ten ticks: 1, 2 or 5 times a power of ten.
fn step_of(high: f64) -> f64 {
    let rough = high / 6.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|part| part * decade);
    steps
        .into_iter()
        .find(|&step| step >= rough)
        .unwrap_or(10.0 * decade)
}

fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let parts = [5.0, 2.0, 1.0].map(|part| part * decade);
    parts
        .into_iter()
        .find(|&part| part <= value)
        .unwrap_or(decade)
}

fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0].map(|part| part * decade);
    parts
        .into_iter()
        .find(|&part| part >= value)
        .unwrap_or(10.0 * decade)
}

impl Unit {
    /// A value with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Micros if value < 1e3 => format!("{} us", digits(value)),
            Self::Micros if value < 1e6 => format!("{} ms", digits(value / 1e3)),
            Self::Micros => format!("{} s", digits(value / 1e6)),
            Self::Seconds => format!("{} s", digits(value)),
            Self::Share => share_text(value),
            Self::Count if value >= 1e6 => format!("{} M", digits(value / 1e6)),
            Self::Count if value >= 1e3 => format!("{} K", digits(value / 1e3)),
            Self::Count => digits(value),
        }
    }
}

/// Three digits at most, without zeros behind the point.
fn digits(value: f64) -> String {
    let text = if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn share_text(share: f64) -> String {
    let percent = format!("{:.5}", share * 100.0);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    format!("{percent} %")
}

#[cfg(test)]
mod tests {
    use super::{Scale, Span, Unit};

    fn over(scale: Scale, values: &[f64]) -> Span {
        Span::over(scale, values.iter().copied())
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_has_round_ticks() {
        let span = over(Scale::Linear, &[300.0, 4_700.0]);
        assert_eq!(
            span.ticks(),
            [0.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0, 5_000.0]
        );
        assert!((span.place(2_500.0) - 0.5).abs() < 1e-9);
        assert_eq!(over(Scale::Linear, &[]).ticks().first(), Some(&0.0));
        assert_eq!(over(Scale::Linear, &[0.0, f64::NAN]).ticks().len(), 6);
    }

    #[test]
    fn a_log_axis_has_decades_and_puts_nothing_at_its_foot() {
        let span = over(Scale::Log, &[0.0, 130.0, 90_000.0]);
        assert_eq!(span.ticks(), [100.0, 1_000.0, 10_000.0, 100_000.0]);
        assert!(span.place(0.0).abs() < 1e-9);
        assert!((span.place(100_000.0) - 1.0).abs() < 1e-9);
        let narrow = over(Scale::Log, &[400.0, 600.0]);
        assert_eq!(narrow.ticks(), [200.0, 500.0, 1_000.0, 2_000.0]);
    }

    #[test]
    fn each_nine_is_as_far_as_the_one_before_it() {
        let span = over(Scale::Nines, &[0.0, 0.999]);
        let [first, second, third] = [0.9, 0.99, 0.999].map(|share| span.place(share));
        assert!((second - 2.0 * first).abs() < 1e-9 && (third - 3.0 * first).abs() < 1e-9);
        assert!((span.place(1.0) - 1.0).abs() < 1e-9, "all is at the end");
        assert_eq!(span.ticks(), [0.0, 0.5, 0.9, 0.99, 0.999]);
        let long = over(Scale::Nines, &[0.999_99]);
        assert_eq!(long.ticks(), [0.0, 0.9, 0.99, 0.999, 0.999_9, 0.999_99]);
    }

    #[test]
    fn values_have_the_unit_that_suits_them() {
        assert_eq!(Unit::Micros.text(812.0), "812 us");
        assert_eq!(Unit::Micros.text(1_500.0), "1.5 ms");
        assert_eq!(Unit::Micros.text(2e6), "2 s");
        assert_eq!(Unit::Count.text(3_120_000.0), "3.12 M");
        assert_eq!(Unit::Count.text(70_000.0), "70 K");
        assert_eq!(Unit::Share.text(0.999_9), "99.99 %");
        assert_eq!(Unit::Share.text(0.0), "0 %");
        assert_eq!(Unit::Seconds.text(100.0), "100 s");
    }
}
