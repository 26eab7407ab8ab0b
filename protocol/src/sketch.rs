//! Sketches: what differs between two sets of ids, in bytes that grow with the difference only.
//!
//! Each id is cut to a *short id* of 8 bytes by a hash under a key of the session
//! ([`ShortKey`]), so that nobody who writes changes can make two of them collide. A sketch is the
//! start of an endless row of *coded symbols*: a symbol holds how many short ids are mapped to it,
//! their sum (exclusive or) and the sum of their checks. Symbol 0 has all of them, symbol i each
//! with probability 1/(1+i/2). Two rows subtract symbol by symbol; from about 1.4 symbols for each
//! differing id all of these come out ([`Difference`]); with fewer, more of the same row are asked
//! for. After L. Yang et al., "Practical Rateless Set Reconciliation", SIGCOMM 2024.
//!
//! | bytes of a symbol | field |
//! |---|---|
//! | 8 | exclusive or of the short ids, little-endian |
//! | 4 | exclusive or of their checks, little-endian |
//! | 1–10 | how many, less 2n/(2+i) for n ids (zigzag varint) |

use serde::{Deserialize, Serialize};

use crate::id::ChangeId;

/// Key under which ids are cut short in one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortKey([u128; 5]);

impl ShortKey {
    /// Of the comparison with this number on the connection with this TLS exporter.
    pub fn derive(exporter: &[u8], comparison: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cunlian short ids 1");
        hasher.update(exporter);
        hasher.update(&comparison.to_be_bytes());
        let mut reader = hasher.finalize_xof();
        let mut words = [0; 5];
        for word in &mut words {
            let mut bytes = [0; 16];
            reader.fill(&mut bytes);
            *word = u128::from_le_bytes(bytes);
        }
        Self(words)
    }

    /// The short id: multiply-shift over the four words of the id, which is strongly universal.
    pub fn short(&self, id: &ChangeId) -> u64 {
        let [first, factors @ ..] = &self.0;
        let words = id.0.chunks_exact(8).map(|chunk| {
            chunk.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
        });
        let sum = words.zip(factors).fold(*first, |sum, (word, factor)| {
            sum.wrapping_add(factor.wrapping_mul(u128::from(word)))
        });
        (sum >> 64) as u64
    }
}

/// One coded symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Symbol {
    /// Exclusive or of the short ids.
    pub sum: [u8; 8],
    /// Exclusive or of their checks.
    pub check: [u8; 4],
    /// How many, less what is expected.
    pub count: i64,
}

/// A symbol while it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cell {
    sum: u64,
    check: u32,
    count: i64,
}

impl Cell {
    fn add(&mut self, short: u64, sign: i64) {
        self.sum ^= short;
        self.check ^= check(short);
        // The counts of a peer may be anything.
        self.count = self.count.wrapping_add(sign);
    }

    /// The sign of the one short id that is left, if there is one.
    fn single(&self) -> Option<i64> {
        (self.count.unsigned_abs() == 1 && check(self.sum) == self.check).then_some(self.count)
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Thoroughly mixed bits of a short id and a constant (the finalizer of splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn check(short: u64) -> u32 {
    (mix(short ^ 0x6375_6e6c_6961_6e31) >> 32) as u32
}

/// The ascending symbols that a short id is mapped to: 0 first.
struct Places {
    state: u64,
    next: u64,
}

impl Places {
    fn of(short: u64) -> Self {
        Self { state: short, next: 0 }
    }

    /// The next one below `end`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places beyond 2^52 are beyond any end, and steps are not negative"
    )]
    fn below(&mut self, end: usize) -> Option<usize> {
        let place = usize::try_from(self.next).ok().filter(|place| *place < end)?;
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let uniform = ((mix(self.state) >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        let step = (1.5 + self.next as f64) * (1.0 / uniform.sqrt() - 1.0);
        self.next = self.next.saturating_add((step.ceil() as u64).max(1));
        Some(place)
    }
}

/// How many of `items` ids are expected in symbol `place`.
fn expected(items: usize, place: usize) -> i64 {
    i64::try_from(items.saturating_mul(2) / place.saturating_add(2)).unwrap_or(i64::MAX)
}

fn cells(shorts: impl Iterator<Item = u64>, from: usize, to: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); to.saturating_sub(from)];
    for short in shorts {
        let mut places = Places::of(short);
        while let Some(place) = places.below(to) {
            if let Some(cell) = place.checked_sub(from).and_then(|at| cells.get_mut(at)) {
                cell.add(short, 1);
            }
        }
    }
    cells
}

/// The symbols `from..to` of a set.
pub fn symbols(shorts: impl ExactSizeIterator<Item = u64>, from: usize, to: usize) -> Vec<Symbol> {
    let items = shorts.len();
    let cells = cells(shorts, from, to).into_iter();
    let symbol = |(place, cell): (usize, Cell)| Symbol {
        sum: cell.sum.to_le_bytes(),
        check: cell.check.to_le_bytes(),
        count: cell.count - expected(items, place),
    };
    (from..to).zip(cells).map(symbol).collect()
}

/// How many symbols a difference of this many ids needs most of the time.
pub fn symbols_for(difference: u64) -> u64 {
    let root = difference.isqrt();
    let more = difference / 5 * 2 + difference % 5 * 2 / 5;
    difference.saturating_add(more).saturating_add(2 * root + 4)
}

/// What two sets differ in, worked out from their symbols.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    cells: Vec<Cell>,
    /// Short ids found so far that only the peer has (`1`) and only this side has (`-1`).
    found: Vec<(u64, i64)>,
}

impl Difference {
    /// How many symbols are known.
    pub fn symbols(&self) -> usize {
        self.cells.len()
    }

    /// Adds further symbols of the peer's set of `items` ids, and the same of the own set.
    /// Whether the difference is known now.
    pub fn extend(
        &mut self,
        theirs: &[Symbol],
        items: usize,
        own: impl Iterator<Item = u64>,
    ) -> bool {
        let from = self.cells.len();
        let to = from + theirs.len();
        let mine = cells(own, from, to);
        for ((place, theirs), mine) in (from..to).zip(theirs).zip(mine) {
            self.cells.push(Cell {
                sum: u64::from_le_bytes(theirs.sum) ^ mine.sum,
                check: u32::from_le_bytes(theirs.check) ^ mine.check,
                count: theirs
                    .count
                    .saturating_add(expected(items, place))
                    .saturating_sub(mine.count),
            });
        }
        // What was found before is in the new symbols too.
        for (short, sign) in self.found.clone() {
            self.take_out(short, sign, from);
        }
        self.peel()
    }

    /// What only the peer has, and what only this side has; not in order.
    pub fn sides(&self) -> (Vec<u64>, Vec<u64>) {
        let of = |side: i64| {
            let found = self.found.iter().filter(move |(_, sign)| *sign == side);
            found.map(|(short, _)| *short).collect()
        };
        (of(1), of(-1))
    }

    fn peel(&mut self) -> bool {
        let mut ready: Vec<usize> = (0..self.cells.len()).collect();
        while let Some(at) = ready.pop() {
            let Some(cell) = self.cells.get(at) else { continue };
            let (short, Some(sign)) = (cell.sum, cell.single()) else { continue };
            // Symbols that contradict themselves do not keep this busy for ever.
            if self.found.len() >= self.cells.len() {
                return false;
            }
            self.found.push((short, sign));
            ready.extend(self.take_out(short, sign, 0));
        }
        self.cells.iter().all(Cell::is_empty)
    }

    /// Takes a short id out of the symbols from `from` on; gives these.
    fn take_out(&mut self, short: u64, sign: i64, from: usize) -> Vec<usize> {
        let mut touched = Vec::new();
        let mut places = Places::of(short);
        while let Some(place) = places.below(self.cells.len()) {
            if let Some(cell) = self.cells.get_mut(place).filter(|_| place >= from) {
                cell.add(short, -sign);
                touched.push(place);
            }
        }
        touched
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shorts(range: std::ops::Range<u64>) -> Vec<u64> {
        let key = ShortKey::derive(b"exporter", 1);
        let id = |number: u64| ChangeId(*blake3::hash(&number.to_be_bytes()).as_bytes());
        range.map(|number| key.short(&id(number))).collect()
    }

    /// Symbols until `mine` and `theirs` are told apart, and what came out.
    fn tell_apart(mine: &[u64], theirs: &[u64], step: usize) -> (usize, Difference) {
        let mut difference = Difference::default();
        loop {
            let from = difference.symbols();
            let part = symbols(theirs.iter().copied(), from, from + step);
            if difference.extend(&part, theirs.len(), mine.iter().copied()) {
                return (difference.symbols(), difference);
            }
            assert!(from < 40 * (mine.len() + theirs.len() + step), "no end");
        }
    }

    /// Shows that both sides of a difference come out exactly, whatever its size, symbols coming
    /// in one piece or in many.
    #[test]
    fn both_sides_of_a_difference_come_out() {
        for (common, only_mine, only_theirs) in
            [(0, 0, 0), (0, 1, 0), (50, 0, 1), (5_000, 3, 4), (5_000, 120, 80), (0, 300, 500)]
        {
            for step in [40, 400] {
                let all = shorts(0..common + only_mine + only_theirs);
                let (shared, rest) = all.split_at(usize::try_from(common).unwrap());
                let (left, right) = rest.split_at(usize::try_from(only_mine).unwrap());
                let mine = [shared, left].concat();
                let theirs = [shared, right].concat();
                let (_, difference) = tell_apart(&mine, &theirs, step);
                let (got_theirs, got_mine) = difference.sides();
                let set = |list: &[u64]| list.iter().copied().collect::<BTreeSet<u64>>();
                assert_eq!(set(&got_theirs), set(right));
                assert_eq!(set(&got_mine), set(left));
            }
        }
    }

    /// Shows that the symbols first asked for are enough nine times out of ten, and few.
    #[test]
    fn the_first_symbols_are_mostly_enough() {
        for size in [1_u64, 2, 5, 10, 30, 75, 200, 800] {
            let enough = usize::try_from(symbols_for(size)).unwrap();
            let runs = 100;
            let told = (0..runs).filter(|run| {
                let all = shorts(run * 100_000..run * 100_000 + size);
                let symbols = symbols(all.iter().copied(), 0, enough);
                Difference::default().extend(&symbols, all.len(), std::iter::empty())
            });
            let told = told.count();
            assert!(told >= 88, "{told} of {runs} for {size}");
        }
    }

    /// Shows that symbols of no set end in failure, not in endless work.
    #[test]
    fn symbols_of_no_set_tell_nothing() {
        let lie = Symbol {
            sum: [7; 8],
            check: check(u64::from_le_bytes([7; 8])).to_le_bytes(),
            count: 1,
        };
        let mut difference = Difference::default();
        assert!(!difference.extend(&[lie; 64], 0, std::iter::empty()));
    }
}
