//! Figures about many of a kind.

use serde::Serialize;

/// The middle, the slow end and the slowest.
#[expect(clippy::struct_field_names, reason = "they are the keys of the JSON, unit included")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// Half took at most so many milliseconds.
    pub p50_ms: f64,
    /// Of a hundred, 99 took at most so many.
    pub p99_ms: f64,
    /// The slowest.
    pub worst_ms: f64,
}

/// The spread of some milliseconds; all zero when there are none.
pub(super) fn spread(mut milliseconds: Vec<f64>) -> Spread {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: usize| {
        // The smallest value that `share` of a hundred do not pass.
        let rank = (milliseconds.len() * share).div_ceil(100).max(1);
        milliseconds.get(rank - 1).copied().unwrap_or_default()
    };
    Spread { p50_ms: at(50), p99_ms: at(99), worst_ms: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the ranks at their edges: one value is all of them, and of two hundred values two
    /// are slower than the 99th part.
    #[test]
    fn ranks_at_their_edges() {
        assert_eq!(spread(Vec::new()), Spread::default());
        let one = Spread { p50_ms: 7.0, p99_ms: 7.0, worst_ms: 7.0 };
        assert_eq!(spread(vec![7.0]), one);
        let many = (1..=200).rev().map(f64::from).collect();
        assert_eq!(spread(many), Spread { p50_ms: 100.0, p99_ms: 198.0, worst_ms: 200.0 });
    }
}
