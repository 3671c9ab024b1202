//! Chance from a seed.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit`, exclusive.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    /// True `times` in a thousand.
    pub fn permille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }
}
