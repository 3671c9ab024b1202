//! What the nodes' disks had to do: how well group commit gathers.

use std::time::{Duration, Instant};

use quorate_client::{NodeId, Written};
use serde::Serialize;

use crate::figures::float;
use crate::survey::survey;
use crate::table::thousands;

/// What a node has written by a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    node: NodeId,
    at: Instant,
    written: Written,
}

/// A node's writes to its log. Field names are those of the JSON object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Writes {
    /// Its id.
    pub(crate) node: u32,
    pub(crate) writes_per_s: f64,
    pub(crate) records_per_write: f64,
    /// With what fills the last block.
    pub(crate) bytes_per_write: f64,
}

impl Sighting {
    /// Asks all nodes. Those that do not answer are left out.
    pub(crate) fn of_all(addresses: &[String], within: Duration) -> Vec<Self> {
        let answers = survey(addresses, within);
        let at = Instant::now();
        let answers = answers.into_iter().flatten();
        answers
            .map(|status| Self {
                node: status.node,
                at,
                written: status.written,
            })
            .collect()
    }
}

impl Writes {
    /// Of the nodes that were seen at both moments, and did not begin anew in between.
    pub(crate) fn between(before: &[Sighting], after: &[Sighting]) -> Vec<Self> {
        let of = |after: &Sighting| {
            let before = before.iter().find(|before| before.node == after.node)?;
            let written = after.written.since(&before.written)?;
            let writes = float(written.writes.max(1));
            Some(Self {
                node: after.node.0,
                writes_per_s: tenths(
                    float(written.writes) / (after.at - before.at).as_secs_f64().max(1e-3),
                ),
                records_per_write: tenths(float(written.records) / writes),
                bytes_per_write: tenths(float(written.bytes) / writes),
            })
        };
        after.iter().filter_map(of).collect()
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{} a second, of {:.1} records and {} bytes",
            thousands(whole(self.writes_per_s)),
            self.records_per_write,
            thousands(whole(self.bytes_per_write))
        )
    }
}

fn tenths(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of counts is not negative, and small"
)]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use quorate_client::{NodeId, Written};

    use super::{Sighting, Writes};

    #[test]
    fn means_are_of_what_was_written_between() {
        let begun = Instant::now();
        let seen = |node, seconds, writes, records, bytes| Sighting {
            node: NodeId(node),
            at: begun + Duration::from_secs(seconds),
            written: Written {
                writes,
                records,
                bytes,
            },
        };
        let before = [
            seen(1, 0, 100, 1_000, 409_600),
            seen(2, 0, 50, 50, 4_096),
            seen(3, 0, 9, 9, 9),
        ];
        // The second one has begun anew, the third does not answer, the fourth was not there.
        let after = [
            seen(1, 2, 5_100, 36_000, 81_920_000 + 409_600),
            seen(2, 2, 7, 7, 7),
            seen(4, 2, 1, 1, 1),
        ];
        let writes = Writes::between(&before, &after);
        let only = Writes {
            node: 1,
            writes_per_s: 2_500.0,
            records_per_write: 7.0,
            bytes_per_write: 16_384.0,
        };
        assert_eq!(writes, [only]);
        assert_eq!(
            writes[0].text(),
            "2,500 a second, of 7.0 records and 16,384 bytes"
        );
        let idle = Writes::between(&before[..1], &before[..1]);
        assert!(idle[0].records_per_write.abs() < 1e-9);
    }
}
