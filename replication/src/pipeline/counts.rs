//! What a pipeline has done since its start, in numbers that only rise.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        /// What a pipeline has done. Counting is an addition to the pipeline's own memory: it costs no more than that.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counts {
            /// Each number with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }

            /// What was done since an earlier moment.
            #[must_use]
            pub const fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name - earlier.$name),+ }
            }
        }
    };
}

counts! {
    /// Turns.
    turns;
    /// Requests that were taken from the lanes.
    requests;
    /// Chunks among them that were new, and were appended here.
    chunks;
    /// Groups that were sealed: each becomes a write.
    groups;
    /// Groups that were handed to the disk.
    writes;
    /// Records in them.
    written_records;
    /// Bytes of them, with what fills their last blocks.
    written_bytes;
    /// Sends to peers.
    sends;
    /// Bytes of them.
    sent_bytes;
    /// Operations of the disk that came to their end.
    completions;
    /// What came from the network: bytes, the ends of sends, connections.
    arrivals;
    /// Fetches that were answered by what had been read ahead.
    read_ahead;
    /// Records that became committed.
    commits;
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Counts;

    #[test]
    fn what_was_done_since_is_a_difference() {
        let earlier = Counts {
            turns: 3,
            ..Counts::default()
        };
        let now = Counts {
            turns: 5,
            commits: 7,
            ..earlier
        };
        let since = now.since(&earlier);
        let some: Vec<_> = since.named().filter(|&(_, count)| count > 0).collect();
        assert_eq!(some, [("turns", 2), ("commits", 7)]);
    }
}
