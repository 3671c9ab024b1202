//! Chance that is no chance: a small seeded generator, so that one seed makes one world.

use quorate_wire::NodeId;

/// The splitmix64 sequence (Steele, Lea, Flood 2014). It spreads election timeouts; it guards no secret.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The node takes part, so that nodes which share a seed do not time out together for ever.
    pub(crate) fn new(seed: u64, node: NodeId) -> Self {
        let mut random = Self(seed ^ (u64::from(node.0) << 32));
        random.next();
        random
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        assert!(least <= most, "a range has its smaller end first");
        let span = u128::from(most - least) + 1;
        let share = (u128::from(self.next()) * span) >> 64;
        least + u64::try_from(share).expect("a share of a span is below the span")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
