//! A read from a log time begins at the first record that is late enough; where the node knows of none, at the end of what it knows
//! (docs/protocol.md, Fetching).

use quorate_wire::Offset;

use super::Verdict;

/// Where a read from a time began.
#[derive(Clone, Copy, Debug)]
struct Began {
    time: u64,
    at: Offset,
    /// The end that the node knew.
    committed: Offset,
}

/// All reads that began at a log time.
#[derive(Debug, Default)]
pub(super) struct FromTime {
    began: Vec<Began>,
}

impl FromTime {
    /// A read from a log time began at an offset; the node, which did not wait, knew this end.
    pub(super) fn began(&mut self, time: u64, at: Offset, committed: Offset) {
        self.began.push(Began {
            time,
            at,
            committed,
        });
    }

    /// The world has ended: log time and first offset of each record, in order.
    pub(super) fn check(&self, records: &[(u64, Offset)]) -> Verdict {
        for Began {
            time,
            at,
            committed,
        } in &self.began
        {
            let late = records.partition_point(|(log_time, _)| log_time < time);
            let first = records.get(late).map(|(_, offset)| offset);
            let right = first.is_some_and(|first| first == at);
            let none_known = at == committed && first.is_none_or(|first| first >= committed);
            if !right && !none_known {
                return Err(format!(
                    "a read from log time {time} began at offset {at} of {committed}, and the first late record is at {first:?}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FromTime, Offset};

    #[test]
    fn beginning_too_early_or_too_late_is_seen() {
        let records = [
            (10, Offset(0)),
            (20, Offset(4)),
            (20, Offset(6)),
            (30, Offset(8)),
        ];
        for (time, at, committed, sound) in [
            (5, 0, 9, true),
            (20, 4, 9, true),
            (20, 6, 9, false),
            (21, 8, 9, true),
            (21, 4, 9, false),
            (21, 8, 8, true),
            (21, 6, 6, true),
            (20, 6, 6, false),
            (31, 9, 9, true),
            (31, 8, 9, false),
        ] {
            let mut from_time = FromTime::default();
            from_time.began(time, Offset(at), Offset(committed));
            assert_eq!(from_time.check(&records).is_ok(), sound, "{time} at {at}");
        }
    }
}
