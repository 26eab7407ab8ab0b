//! The working-day calendar: weekends, public holidays and make-up days, as data.
//!
//! The embedded file holds what the State Council has announced (its `source` says where).
//! Years it does not list are reckoned by weekends alone, and [`Calendar::knows`] says so.
//!
//! Clocks on walls in the whole country show UTC+8 without summer time, so local days are a
//! fixed offset and need no time zone database.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::Offset;
use serde::Deserialize;

const CHINA: Offset = Offset::constant(8);

/// A calendar file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// Not the JSON of a calendar.
    #[error("the calendar is not readable: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A holiday that ends before it begins.
    #[error("the holiday {name} ends on {last}, before it begins on {first}")]
    Reversed {
        /// Its name.
        name: String,
        /// First day.
        first: Date,
        /// Last day.
        last: Date,
    },
}

/// Which days are worked.
#[derive(Debug, Clone, Deserialize)]
pub struct Calendar {
    /// Where the facts come from.
    pub source: String,
    /// The years whose holidays are listed.
    years: Vec<i16>,
    days_off: Vec<DaysOff>,
    make_up_days: Vec<Date>,
}

#[derive(Debug, Clone, Deserialize)]
struct DaysOff {
    name: String,
    first: Date,
    last: Date,
}

impl Calendar {
    /// The calendar embedded in this version.
    pub fn built_in() -> Self {
        let text = include_str!("../../ticket/calendar.json");
        Self::parse(text).expect("the embedded calendar is valid")
    }

    /// Reads a calendar file.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let calendar: Self = serde_json::from_str(text)?;
        match calendar.days_off.iter().find(|days| days.last < days.first) {
            None => Ok(calendar),
            Some(DaysOff { name, first, last }) => {
                Err(CalendarError::Reversed { name: name.clone(), first: *first, last: *last })
            }
        }
    }

    /// Whether the holidays of this year are listed.
    pub fn knows(&self, year: i16) -> bool {
        self.years.contains(&year)
    }

    /// The name of the holiday on this day.
    pub fn holiday(&self, day: Date) -> Option<&str> {
        let holds = |days: &&DaysOff| (days.first..=days.last).contains(&day);
        self.days_off.iter().find(holds).map(|days| days.name.as_str())
    }

    /// Whether offices work on this day.
    pub fn is_working(&self, day: Date) -> bool {
        if self.make_up_days.contains(&day) {
            return true;
        }
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        !weekend && self.holiday(day).is_none()
    }

    /// The `count`-th working day after `day`; the day itself does not count. `None` past the
    /// end of civil time.
    pub fn working_day_after(&self, day: Date, count: u32) -> Option<Date> {
        let mut day = day;
        let mut left = count;
        while left > 0 {
            day = day.tomorrow().ok()?;
            left -= u32::from(self.is_working(day));
        }
        Some(day)
    }

    /// The last working day before `day`. `None` before the beginning of civil time.
    pub fn working_day_before(&self, day: Date) -> Option<Date> {
        let mut day = day.yesterday().ok()?;
        while !self.is_working(day) {
            day = day.yesterday().ok()?;
        }
        Some(day)
    }
}

/// Local date and time of `at_ms`, clamped to civil time.
pub fn local_datetime(at_ms: i64) -> DateTime {
    let bound = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    CHINA.to_datetime(Timestamp::from_millisecond(at_ms).unwrap_or(bound))
}

/// Local day of `at_ms`.
pub fn local_date(at_ms: i64) -> Date {
    local_datetime(at_ms).date()
}

/// The moment `day` begins; `None` outside of what timestamps can hold.
pub fn day_start_ms(day: Date) -> Option<i64> {
    let midnight = day.to_datetime(jiff::civil::Time::midnight());
    CHINA.to_timestamp(midnight).ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use jiff::civil::date;

    use super::*;

    /// Shows weekends, a holiday on a weekday and a make-up Saturday.
    #[test]
    fn holidays_and_make_up_days_are_known() {
        let calendar = Calendar::built_in();
        assert!(calendar.is_working(date(2026, 7, 10)), "a Friday");
        assert!(!calendar.is_working(date(2026, 7, 11)), "a Saturday");
        assert!(!calendar.is_working(date(2026, 2, 16)), "Monday of the Spring Festival");
        assert!(calendar.is_working(date(2026, 2, 14)), "a make-up Saturday");
        assert!(calendar.is_working(date(2026, 9, 20)), "a make-up Sunday");
        assert_eq!(calendar.holiday(date(2026, 10, 7)), Some("国庆节"));
        assert!(calendar.knows(2026) && !calendar.knows(2027));
    }

    /// Shows that every make-up day of the file is a weekend day outside all holidays, and that
    /// every holiday makes at least one difference: a mistyped date would break one of these.
    #[test]
    fn the_file_is_consistent() {
        let calendar = Calendar::built_in();
        for day in &calendar.make_up_days {
            assert!(matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday), "{day}");
            assert_eq!(calendar.holiday(*day), None, "{day}");
        }
        for days in &calendar.days_off {
            let mut span = days.first.series(jiff::ToSpan::day(1)).take_while(|d| *d <= days.last);
            let weekday = |d: Date| !matches!(d.weekday(), Weekday::Saturday | Weekday::Sunday);
            assert!(span.any(weekday), "{}", days.name);
        }
    }

    /// Shows that working days are counted over a holiday in both directions.
    #[test]
    fn working_days_step_over_holidays() {
        let calendar = Calendar::built_in();
        let friday = date(2026, 2, 13);
        assert_eq!(calendar.working_day_after(friday, 1), Some(date(2026, 2, 14)));
        assert_eq!(calendar.working_day_after(friday, 2), Some(date(2026, 2, 24)));
        assert_eq!(calendar.working_day_before(date(2026, 2, 24)), Some(date(2026, 2, 14)));
    }

    /// Shows that a day begins at midnight of UTC+8 and that times far away do not panic.
    #[test]
    fn days_begin_at_midnight_in_china() {
        let start = day_start_ms(date(2026, 7, 11)).unwrap();
        assert_eq!(start, 1_783_699_200_000);
        assert_eq!(local_date(start), date(2026, 7, 11));
        assert_eq!(local_date(start - 1), date(2026, 7, 10));
        assert!(local_date(i64::MAX).year() == 9999 && local_date(i64::MIN).year() < 0);
    }

    /// Shows that a file with a reversed holiday is refused with its name.
    #[test]
    fn a_reversed_holiday_is_refused() {
        let text = r#"{"source":"x","years":[2026],"make_up_days":[],
            "days_off":[{"name":"元旦","first":"2026-01-03","last":"2026-01-01"}]}"#;
        let error = Calendar::parse(text).unwrap_err();
        assert!(matches!(error, CalendarError::Reversed { name, .. } if name == "元旦"));
    }
}
