//! Who is shed when a shard fills up: chunks of low priority first, before anything of them has come near the log.
//!
//! Called by: the shards, for each chunk.

/// Of a bound, the part that chunks of this priority may fill: all of it those of the highest, three quarters those of the lowest. What
/// is left is for whoever is more important.
#[must_use]
pub const fn share(bound: usize, priority: u8) -> usize {
    let reserve = bound / 4;
    let less = (u8::MAX - priority) as usize;
    bound - reserve.saturating_mul(less) / u8::MAX as usize
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn the_more_important_may_fill_more() {
        assert_eq!(share(16_384, 0), 12_288);
        assert_eq!(share(16_384, 255), 16_384);
        assert_eq!(share(3, 0), 3, "a small bound has nothing to keep");
        assert_eq!(share(usize::MAX, 255), usize::MAX);
        assert!(share(usize::MAX, 0) > usize::MAX / 2);
        let shares = (0..=255).map(|priority| share(1020, priority));
        assert!(shares.is_sorted());
    }
}
