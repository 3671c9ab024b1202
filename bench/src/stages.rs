//! How long the stages of chunks took on their leader.

use hdrhistogram::Histogram;
use quorate_client::{Stage, StageTimes};

/// The longest time that an answer tells apart, in nanoseconds.
const LONGEST_NS: u64 = 1 << 32;

/// A histogram of nanoseconds for each stage.
#[derive(Clone, Debug)]
pub struct Stages {
    /// In the order of [`Stage::ALL`].
    histograms: Vec<Histogram<u64>>,
    /// Chunks that told of their way.
    chunks: u64,
}

impl Default for Stages {
    fn default() -> Self {
        let histogram = |_| {
            Histogram::new_with_bounds(1, LONGEST_NS, 3)
                .expect("from 1 ns to four seconds in three digits is a valid histogram")
        };
        Self {
            histograms: Stage::ALL.iter().map(histogram).collect(),
            chunks: 0,
        }
    }
}

impl Stages {
    /// Counts a chunk.
    pub fn record(&mut self, times: &StageTimes) {
        self.chunks += 1;
        for (stage, histogram) in Stage::ALL.iter().zip(&mut self.histograms) {
            if let Some(time) = times.get(*stage) {
                histogram.saturating_record(u64::from(time).max(1));
            }
        }
    }

    /// How many chunks were counted.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The stages that were over in some chunk when it was acknowledged, each with its histogram of nanoseconds.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, &Histogram<u64>)> {
        let all = Stage::ALL.into_iter().zip(&self.histograms);
        all.filter(|(_, histogram)| !histogram.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_of_the_chunks_that_knew_it() {
        let mut stages = Stages::default();
        let mut times = StageTimes::NONE;
        times.set(Stage::Gate, 2_000);
        stages.record(&times);
        times.set(Stage::Commit, 400_000);
        stages.record(&times);
        let found: Vec<_> = stages
            .iter()
            .map(|(stage, histogram)| (stage, histogram.len()))
            .collect();
        assert_eq!(found, [(Stage::Gate, 2), (Stage::Commit, 1)]);
        assert_eq!(stages.chunks(), 2);
    }
}
