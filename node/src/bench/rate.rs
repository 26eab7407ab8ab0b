//! Counts by time or by each other.

/// `count` for each of `parts`, such as documents per second.
pub(super) fn rate(count: u64, parts: f64) -> f64 {
    as_float(count) / parts
}

/// A count where a float is needed.
#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^52")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
