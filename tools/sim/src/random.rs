//! Chance that is no chance: one seed makes one world, and each concern draws from a stream of its own, so that a further draw
//! of one does not move the others.

/// The splitmix64 sequence (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of one concern of a world.
    #[must_use]
    pub fn new(seed: u64, concern: &str) -> Self {
        let salted = concern.bytes().fold(seed, |mixed, byte| {
            mix(mixed.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte))
        });
        Self(salted)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        assert!(least <= most, "a range has its smaller end first");
        let span = u128::from(most - least) + 1;
        let share = (u128::from(self.any()) * span) >> 64;
        least + u64::try_from(share).expect("a share of a span is below the span")
    }

    /// A place in a list of `count`.
    pub fn below(&mut self, count: usize) -> usize {
        assert!(count > 0, "there is something to choose from");
        let most = u64::try_from(count).expect("a count fits") - 1;
        usize::try_from(self.between(0, most)).expect("below a count")
    }

    /// Yes, once in `count` times on average.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.between(1, count) == 1
    }

    /// One of several.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len());
        *choices.get(at).expect("a place in the list")
    }

    /// A number from `least` to `most` whose magnitude is drawn first: small ones are as likely as large ones.
    pub fn scaled(&mut self, least: u64, most: u64) -> u64 {
        assert!(0 < least && least <= most, "a scale begins above zero");
        let bits = self.between(u64::from(least.ilog2()), u64::from(most.ilog2()));
        let low = 1 << bits;
        self.between(low, low * 2 - 1).clamp(least, most)
    }
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn concerns_have_streams_of_their_own() {
        let draw = |seed, concern| Random::new(seed, concern).any();
        assert_eq!(draw(1, "disk"), draw(1, "disk"));
        assert_ne!(draw(1, "disk"), draw(1, "network"));
        assert_ne!(draw(1, "disk"), draw(2, "disk"));
    }

    #[test]
    fn a_scale_stays_in_its_bounds() {
        let mut random = Random::new(1, "test");
        for _ in 0..1000 {
            assert!((3..=1000).contains(&random.scaled(3, 1000)));
            assert!((5..=5).contains(&random.scaled(5, 5)));
        }
    }
}
