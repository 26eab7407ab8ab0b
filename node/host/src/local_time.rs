//! Times as people in China read them: UTC+8 all year.

use jiff::Timestamp;
use jiff::tz::Offset;

/// The one offset.
pub const CHINA: Offset = Offset::constant(8);

/// `2026-11-22 14:05`, milliseconds since 1970-01-01 UTC given; in words what no calendar has.
pub fn time_words(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => CHINA.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) if at_ms > 0 => "the end of time".to_owned(),
        Err(_) => "the beginning of time".to_owned(),
    }
}
