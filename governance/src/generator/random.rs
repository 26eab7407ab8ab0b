//! A small generator of numbers, `SplitMix64` (Steele, Lea, Flood 2014): one word of state, and the
//! same numbers on every machine and in every version. Not for secrets.

use cunlian_protocol::id::DocumentId;

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a seed and a purpose; different purposes give unrelated streams.
    pub(crate) fn new(seed: u64, purpose: &[&[u8]]) -> Self {
        let mut random = Self(seed);
        for byte in purpose.iter().flat_map(|part| part.iter().chain(&[0])) {
            random.0 = random.next() ^ u64::from(*byte);
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small enough for the remainder to be fair.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let drawn = self.next() % u64::from(bound.max(1));
        u32::try_from(drawn).expect("a remainder of a u32")
    }

    /// A number from `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, which are constants and not empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let count = u32::try_from(items.len()).expect("lists are short");
        let place = usize::try_from(self.below(count)).expect("a place in the list");
        *items.get(place).expect("lists are not empty")
    }

    pub(crate) fn document(&mut self) -> DocumentId {
        let (high, low) = (self.next(), self.next());
        DocumentId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the numbers of the published algorithm for seed 0: another number here would change
    /// every generated document.
    #[test]
    fn numbers_are_those_of_the_algorithm() {
        let mut random = Random::new(0, &[]);
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    /// Shows that purposes and seeds give different streams.
    #[test]
    fn purposes_give_different_streams() {
        let draw = |seed, purpose: &[&[u8]]| Random::new(seed, purpose).next();
        assert_ne!(draw(1, &[b"ab"]), draw(1, &[b"a", b"b"]));
        assert_ne!(draw(1, &[b"a"]), draw(2, &[b"a"]));
    }
}
