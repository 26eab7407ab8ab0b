//! Time limits of tickets, as data, and the clock they give a ticket.
//!
//! | class | goal | limit | yellow card |
//! |---|---|---|---|
//! | emergency | solved | 2 hours, nights included | the last 30 minutes |
//! | policy | answered | the same day | the last 4 hours |
//! | service | answered | 2 working days | one working day before |
//! | other | solved | 7 working days | one working day before |
//!
//! The classes and limits are the county's rule; the yellow cards of the two short limits, for
//! which "one working day before" means nothing, are this file's choice. The clock runs from the
//! accepting node's time. The day of acceptance does not count, and a limit in working days ends
//! with the end of its last day. The red card is shown from the first moment after.

use std::sync::LazyLock;

use serde::Deserialize;

use super::action::Kind;
use super::calendar::{Calendar, day_start_ms, local_date};
use crate::language::Language;

const MINUTE_MS: i64 = 60_000;

/// What has to happen within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The villager is told something of substance.
    Answered,
    /// The result is fed back.
    Solved,
}

/// How long there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Minutes of any day and night.
    Minutes(u32),
    /// Until the end of the day of acceptance.
    SameDay,
    /// Until the end of the n-th working day after the day of acceptance.
    WorkingDays(u32),
}

/// When the yellow card is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Yellow {
    /// This many minutes before the end.
    Minutes(u32),
    /// One working day before the end.
    WorkingDay,
}

/// The limit of one class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Limit {
    /// The class.
    #[serde(rename = "key")]
    pub kind: Kind,
    /// Chinese name of the class.
    pub zh: String,
    /// English name of the class.
    pub en: String,
    /// What has to happen.
    pub goal: Goal,
    /// How long there is.
    pub span: Span,
    /// When the yellow card is shown.
    pub yellow: Yellow,
}

/// The card a clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Card {
    /// In time.
    Green,
    /// Soon due.
    Yellow,
    /// Overdue, or met too late.
    Red,
}

/// The clock of one ticket. All times in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// When the yellow card begins.
    pub yellow_ms: i64,
    /// The last moment in time is the one before this.
    pub due_ms: i64,
    /// When the goal was met.
    pub stopped_ms: Option<i64>,
}

impl Clock {
    /// The card at `now_ms`. A stopped clock no longer depends on it.
    pub fn card(&self, now_ms: i64) -> Card {
        let at_ms = self.stopped_ms.unwrap_or(now_ms);
        if at_ms >= self.due_ms {
            Card::Red
        } else if self.stopped_ms.is_none() && at_ms >= self.yellow_ms {
            Card::Yellow
        } else {
            Card::Green
        }
    }
}

impl Limit {
    /// The name of the class in `language`.
    pub fn name(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }

    /// The clock of a ticket accepted at `accepted_ms`; `None` outside of civil time.
    pub fn clock(
        &self,
        accepted_ms: i64,
        stopped_ms: Option<i64>,
        calendar: &Calendar,
    ) -> Option<Clock> {
        let accepted = local_date(accepted_ms);
        let (last_day, due_ms) = match self.span {
            Span::Minutes(minutes) => {
                (accepted, accepted_ms.checked_add(i64::from(minutes) * MINUTE_MS)?)
            }
            Span::SameDay => (accepted, day_start_ms(accepted.tomorrow().ok()?)?),
            Span::WorkingDays(count) => {
                let last = calendar.working_day_after(accepted, count)?;
                (last, day_start_ms(last.tomorrow().ok()?)?)
            }
        };
        let yellow_ms = match self.yellow {
            Yellow::Minutes(minutes) => due_ms.checked_sub(i64::from(minutes) * MINUTE_MS)?,
            Yellow::WorkingDay => {
                day_start_ms(calendar.working_day_before(last_day)?.tomorrow().ok()?)?
            }
        };
        Some(Clock { yellow_ms: yellow_ms.max(accepted_ms), due_ms, stopped_ms })
    }
}

/// The limits and the calendar they are reckoned by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which days are worked.
    pub calendar: Calendar,
    limits: Vec<Limit>,
}

impl Rules {
    /// The rules embedded in this version.
    pub fn built_in() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
            calendar: Calendar::built_in(),
            limits: serde_json::from_str(include_str!("../../ticket/limits.json"))
                .expect("the embedded limits are valid"),
        });
        &RULES
    }

    /// The limit of a class.
    pub fn limit(&self, kind: Kind) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.kind == kind)
    }

    /// All limits, the most urgent first.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use jiff::civil::datetime;

    use super::super::calendar::local_datetime;
    use super::*;

    fn at(day: jiff::civil::DateTime) -> i64 {
        jiff::tz::Offset::constant(8).to_timestamp(day).unwrap().as_millisecond()
    }

    fn clock(kind: Kind, accepted: jiff::civil::DateTime) -> Clock {
        let rules = Rules::built_in();
        rules.limit(kind).unwrap().clock(at(accepted), None, &rules.calendar).unwrap()
    }

    /// Shows that every class has a limit.
    #[test]
    fn every_class_has_a_limit() {
        for kind in Kind::ALL {
            assert!(Rules::built_in().limit(kind).is_some(), "{}", kind.as_str());
        }
    }

    /// Shows that two working days from a Friday end on Tuesday night, with the yellow card on
    /// Tuesday morning.
    #[test]
    fn working_days_step_over_the_weekend() {
        let clock = clock(Kind::Service, datetime(2026, 7, 10, 16, 30, 0, 0));
        assert_eq!(local_datetime(clock.due_ms), datetime(2026, 7, 15, 0, 0, 0, 0));
        assert_eq!(local_datetime(clock.yellow_ms), datetime(2026, 7, 14, 0, 0, 0, 0));
    }

    /// Shows that an acceptance on a Saturday counts from Monday, and that holidays and make-up
    /// days of the National Day are reckoned in.
    #[test]
    fn holidays_stop_the_count() {
        let saturday = clock(Kind::Service, datetime(2026, 7, 11, 9, 0, 0, 0));
        assert_eq!(local_datetime(saturday.due_ms), datetime(2026, 7, 15, 0, 0, 0, 0));
        let before = clock(Kind::Other, datetime(2026, 9, 28, 9, 0, 0, 0));
        assert_eq!(local_datetime(before.due_ms), datetime(2026, 10, 14, 0, 0, 0, 0));
        assert_eq!(local_datetime(before.yellow_ms), datetime(2026, 10, 13, 0, 0, 0, 0));
    }

    /// Shows that emergencies run through the night and advice ends with the day.
    #[test]
    fn short_limits_ignore_working_days() {
        let fire = clock(Kind::Emergency, datetime(2026, 10, 1, 23, 30, 0, 0));
        assert_eq!(local_datetime(fire.due_ms), datetime(2026, 10, 2, 1, 30, 0, 0));
        let advice = clock(Kind::Policy, datetime(2026, 7, 10, 8, 0, 0, 0));
        assert_eq!(local_datetime(advice.due_ms), datetime(2026, 7, 11, 0, 0, 0, 0));
        let late = clock(Kind::Policy, datetime(2026, 7, 10, 23, 0, 0, 0));
        assert_eq!(late.yellow_ms, at(datetime(2026, 7, 10, 23, 0, 0, 0)), "never before it began");
    }

    /// Shows the cards at their boundaries, and that a stopped clock keeps its card.
    #[test]
    fn cards_change_exactly_at_their_time() {
        let mut clock = Clock { yellow_ms: 10, due_ms: 20, stopped_ms: None };
        let cards: Vec<Card> = [9, 10, 19, 20].into_iter().map(|now| clock.card(now)).collect();
        assert_eq!(cards, [Card::Green, Card::Yellow, Card::Yellow, Card::Red]);
        clock.stopped_ms = Some(19);
        assert_eq!(clock.card(1_000), Card::Green);
        clock.stopped_ms = Some(20);
        assert_eq!(clock.card(0), Card::Red);
    }
}
