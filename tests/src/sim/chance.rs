//! Numbers from a seed, the same on every machine and with every version of the libraries.
//!
//! Each purpose has a stream of its own, so that one more draw of the product's dice does not move
//! the plan of the faults.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng as _};

/// One stream of numbers.
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of this purpose.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cunlian simulator 2026-11 stream");
        hasher.update(&seed.to_be_bytes()).update(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// What the product asks for randomness.
    pub(super) fn rng(&mut self) -> &mut dyn Rng {
        &mut self.0
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to, and without, `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    /// A place in a list of this length, which is not 0.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("less than a length")
    }

    /// One of these, if there is one.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { list.get(self.place(list.len())).copied() }
    }

    /// Milliseconds from `least` up to, and without, `end`.
    pub(super) fn ms(&mut self, least: i64, end: i64) -> i64 {
        let span = u64::try_from(end - least).expect("a range of times ascends");
        least + i64::try_from(self.below(span)).expect("less than a range of times")
    }

    /// True once in so many.
    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// So many bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
