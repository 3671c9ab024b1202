//! What is said of the stages of chunks.

use hdrhistogram::Histogram;
use quorate_bench::Stages;
use serde::Serialize;

use crate::figures::float;
use crate::table::thousands;

/// One stage, in microseconds. Field names are those of the JSON object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageFigures {
    /// Its name.
    pub(crate) stage: &'static str,
    /// How many requests the figures are of: those whose stages were asked for, and in which it was over when they were answered.
    pub(crate) samples: u64,
    /// Half of them took no longer.
    pub(crate) p50_us: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99_us: f64,
    /// None took longer.
    pub(crate) max_us: f64,
}

impl StageFigures {
    /// Those of all stages that are known, in their order.
    pub(crate) fn of(stages: &Stages) -> Vec<Self> {
        let of = |(stage, histogram): (quorate_client::Stage, &Histogram<u64>)| Self {
            stage: stage.name(),
            samples: histogram.len(),
            p50_us: microseconds(histogram.value_at_quantile(0.5)),
            p99_us: microseconds(histogram.value_at_quantile(0.99)),
            max_us: microseconds(histogram.max()),
        };
        stages.iter().map(of).collect()
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        format!(
            "p50 {:.1} us, p99 {:.1} us, max {:.1} us   ({} requests)",
            self.p50_us,
            self.p99_us,
            self.max_us,
            thousands(self.samples)
        )
    }
}

/// To a tenth.
fn microseconds(nanoseconds: u64) -> f64 {
    float(nanoseconds / 100) / 10.0
}

#[cfg(test)]
mod tests {
    use quorate_client::{Stage, StageTimes};

    use super::*;

    #[test]
    fn a_stage_is_told_in_microseconds() {
        let mut stages = Stages::default();
        let mut times = StageTimes::NONE;
        times.set(Stage::OwnWrite, 312_345);
        stages.record(&times);
        let [own] = StageFigures::of(&stages).try_into().expect("one is known");
        assert_eq!((own.stage, own.samples), ("own_write", 1));
        assert!((312.0..313.0).contains(&own.p50_us), "{own:?}");
        assert!(own.text().contains("(1 requests)"));
    }
}
