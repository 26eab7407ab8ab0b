//! Times as people in the county read them: Asia/Shanghai, which is UTC+8 all year.

use cunlian_host::local_time::{CHINA, time_words};
use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::frame::text::Text;

fn civil(at_ms: i64) -> DateTime {
    let timestamp = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    CHINA.to_datetime(timestamp)
}

/// `2026-11-22 14:05`, the form in tables and traces.
pub fn full(at_ms: i64) -> String {
    time_words(at_ms)
}

/// `2026-11-22T14:05:00+08:00`, for the `datetime` attribute.
pub(crate) fn machine(at_ms: i64) -> String {
    civil(at_ms).strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}

/// `11-22 14:05` this year, with the year otherwise.
pub(crate) fn short(at_ms: i64, now_ms: i64) -> String {
    let (at, now) = (civil(at_ms), civil(now_ms));
    let form = if at.year() == now.year() { "%m-%d %H:%M" } else { "%Y-%m-%d %H:%M" };
    at.strftime(form).to_string()
}

/// How long ago in words: just now, minutes, hours, days.
pub(crate) fn ago(texts: Text, at_ms: i64, now_ms: i64) -> String {
    let minutes = now_ms.saturating_sub(at_ms).max(0) / 60_000;
    match minutes {
        0 => texts.t("ago-now"),
        1..60 => texts.t1("ago-minutes", "n", minutes),
        60..1440 => texts.t1("ago-hours", "n", minutes / 60),
        _ => texts.t1("ago-days", "n", minutes / 1440),
    }
}

/// How long from now to a limit, in the largest unit that is not zero.
pub(crate) fn span(texts: Text, span_ms: i64) -> String {
    let minutes = span_ms.unsigned_abs() / 60_000;
    match minutes {
        0..60 => texts.t1("span-minutes", "n", minutes),
        60..2880 => texts.t1("span-hours", "n", minutes / 60),
        _ => texts.t1("span-days", "n", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a time late in the evening UTC is the next day in Shanghai.
    #[test]
    fn times_are_shown_eight_hours_east_of_utc() {
        assert_eq!(full(1_763_755_200_000), "2025-11-22 04:00");
        assert_eq!(machine(1_763_740_800_000), "2025-11-22T00:00:00+08:00");
    }
}
