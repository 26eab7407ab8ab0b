//! Figures of people as they may be told: one or two in a place can be pointed at.
//!
//! A *cell* is the number of records of one class in one village, or at one exact address above the
//! villages. A cell of one or two is not told. Every other figure is a sum of cells, and is told as
//! such: the cells that may be told, and how many may not. So whatever figures of whatever pages are
//! subtracted from each other, a cell that is not told adds the same to all of them, be it one or two,
//! and nothing tells which. It needs no second cell to be hidden for the sake of the first, and no
//! page to know what another shows.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The smallest figure of people that is told.
pub const SMALLEST_DISCLOSED: u64 = 3;

/// A sum of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellSum {
    /// Sum of the cells that may be told.
    sum: u64,
    /// Cells that may not.
    untold: u64,
}

/// What may be said of a sum of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// All of it.
    Exactly(u64),
    /// One cell, and that it is less than [`SMALLEST_DISCLOSED`].
    Few,
    /// What is told of it, and one for each cell that is not.
    AtLeast(u64),
}

impl CellSum {
    /// One cell.
    pub const fn cell(number: u64) -> Self {
        match number {
            1..SMALLEST_DISCLOSED => Self { sum: 0, untold: 1 },
            _ => Self { sum: number, untold: 0 },
        }
    }

    /// What may be said.
    pub const fn figure(self) -> Figure {
        match self {
            Self { sum, untold: 0 } => Figure::Exactly(sum),
            Self { sum: 0, untold: 1 } => Figure::Few,
            Self { sum, untold } => Figure::AtLeast(sum + untold),
        }
    }
}

impl Add for CellSum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, untold: self.untold + other.untold }
    }
}

impl AddAssign for CellSum {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for CellSum {
    fn sum<I: Iterator<Item = Self>>(cells: I) -> Self {
        cells.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows what is said of one cell, and of several together.
    #[test]
    fn one_or_two_are_not_told() {
        let figure =
            |cells: &[u64]| cells.iter().copied().map(CellSum::cell).sum::<CellSum>().figure();
        assert_eq!(figure(&[]), Figure::Exactly(0));
        assert_eq!([figure(&[1]), figure(&[2]), figure(&[0, 2, 0])], [Figure::Few; 3]);
        assert_eq!(figure(&[3, 0, 1_000]), Figure::Exactly(1_003));
        assert_eq!([figure(&[3, 1, 1_000]), figure(&[3, 2, 1_000])], [Figure::AtLeast(1_004); 2]);
        assert_eq!([figure(&[1, 1]), figure(&[2, 2])], [Figure::AtLeast(2); 2]);
    }
}
