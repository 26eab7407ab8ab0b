//! Rates of tickets, each with the definition it is printed with.
//!
//! Published reports contradict each other because they do not say what is divided by what. Here
//! every rate is two counts and a definition, over the tickets reported within a period in a
//! region, as far as this node has them.

use std::collections::BTreeMap;

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use rusqlite::{Connection, Row, named_params};

use super::{address, range};
use crate::access::reader::Reader;
use crate::catalogue::Language;

/// A rate as two counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// What has the property.
    pub numerator: u64,
    /// What could have it.
    pub denominator: u64,
}

impl Rate {
    /// Hundredths of a percent, rounded down; `None` when there is nothing to divide by.
    pub fn basis_points(self) -> Option<u64> {
        (self.numerator * 10_000).checked_div(self.denominator)
    }
}

/// Which rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// 回复率.
    Reply,
    /// 办结率.
    Completion,
    /// 按时率.
    OnTime,
    /// 满意率.
    Satisfaction,
}

impl Measure {
    /// All rates, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Reply, Self::Completion, Self::OnTime, Self::Satisfaction];

    /// The name in `language`.
    pub const fn name(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Reply, Language::Chinese) => "回复率",
            (Self::Reply, Language::English) => "Reply rate",
            (Self::Completion, Language::Chinese) => "办结率",
            (Self::Completion, Language::English) => "Completion rate",
            (Self::OnTime, Language::Chinese) => "按时率",
            (Self::OnTime, Language::English) => "On-time rate",
            (Self::Satisfaction, Language::Chinese) => "满意率",
            (Self::Satisfaction, Language::English) => "Satisfaction rate",
        }
    }

    /// The definition in `language`.
    pub const fn definition(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Reply, Language::Chinese) => {
                "期内上报且已受理的工单中，群众已得到答复（处置说明、反馈结果或不予受理理由）的比例"
            }
            (Self::Reply, Language::English) => {
                "Of the tickets reported in the period and accepted, those whose reporter was told \
                 something: progress, result or reason of rejection"
            }
            (Self::Completion, Language::Chinese) => {
                "期内上报且已受理的工单中，已反馈结果或说明理由办结的比例"
            }
            (Self::Completion, Language::English) => {
                "Of the tickets reported in the period and accepted, those with a result or a \
                 reasoned rejection"
            }
            (Self::OnTime, Language::Chinese) => {
                "期内上报、已达到时限目标或已到期的工单中，在时限内达到目标的比例"
            }
            (Self::OnTime, Language::English) => {
                "Of the tickets reported in the period that met their goal or are past their \
                 limit, those that met it within the limit"
            }
            (Self::Satisfaction, Language::Chinese) => {
                "期内上报且群众已评价的工单中，评价为四星或五星的比例"
            }
            (Self::Satisfaction, Language::English) => {
                "Of the tickets reported in the period and rated, those with four or five stars"
            }
        }
    }
}

/// Counts of tickets of one region and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Reported in the period.
    pub reported: u64,
    /// Of these, accepted.
    pub accepted: u64,
    /// Of these, rejected.
    pub rejected: u64,
    /// Of these, still to be worked on by somebody in office.
    pub open: u64,
    /// Of these, past their limit and not at their goal.
    pub overdue: u64,
    /// Reply rate.
    pub reply: Rate,
    /// Completion rate.
    pub completion: Rate,
    /// On-time rate.
    pub on_time: Rate,
    /// Satisfaction rate.
    pub satisfaction: Rate,
}

impl Statistics {
    /// The rate of `measure`.
    pub fn rate(&self, measure: Measure) -> Rate {
        match measure {
            Measure::Reply => self.reply,
            Measure::Completion => self.completion,
            Measure::OnTime => self.on_time,
            Measure::Satisfaction => self.satisfaction,
        }
    }
}

/// The time a report covers, milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First moment of reports that count.
    pub from_ms: i64,
    /// First moment after them.
    pub to_ms: i64,
    /// The moment for which overdue is judged.
    pub now_ms: i64,
}

impl Period {
    /// All time up to `now_ms`.
    pub const fn until(now_ms: i64) -> Self {
        Self { from_ms: i64::MIN, to_ms: i64::MAX, now_ms }
    }
}

const COUNTS: &str = "
    count(*),
    count(accepted_ms),
    coalesce(sum(state = 'rejected'), 0),
    coalesce(sum(state IN ('reported', 'accepted', 'assigned', 'handling')), 0),
    coalesce(sum(stopped_ms IS NULL AND state <> 'rejected' AND due_ms <= :now), 0),
    coalesce(sum(accepted_ms IS NOT NULL AND replied_ms IS NOT NULL), 0),
    coalesce(sum(accepted_ms IS NOT NULL AND completed_ms IS NOT NULL), 0),
    coalesce(sum(stopped_ms < due_ms), 0),
    coalesce(sum(due_ms IS NOT NULL AND (stopped_ms IS NOT NULL OR due_ms <= :now)), 0),
    coalesce(sum(stars >= 4), 0),
    count(stars)";

/// The figures of `region` for `period`, of the tickets that `reader` may read.
pub fn statistics(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    period: Period,
) -> rusqlite::Result<Statistics> {
    let (from, to) = range(region);
    let readable = reader.condition(Category::TICKET);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COUNTS} FROM ticket
         WHERE category = :category AND address >= :from AND address < :to
             AND reported_ms >= :from_ms AND reported_ms < :to_ms AND {}",
        readable.sql()
    ))?;
    let named = named_params! {
        ":category": Category::TICKET.0, ":from": from, ":to": to, ":now": period.now_ms,
        ":from_ms": period.from_ms, ":to_ms": period.to_ms,
    };
    statement.query_row(&*readable.with(named), |row| read(row, 0))
}

/// The figures of the regions of `level` below `region` that have tickets in `period` that
/// `reader` may read.
pub fn by_child(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    level: Level,
    period: Period,
) -> rusqlite::Result<BTreeMap<AddressCode, Statistics>> {
    let (from, to) = range(region);
    let digits = u32::try_from(level.digits()).expect("a code has at most 26 digits");
    let readable = reader.condition(Category::TICKET);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT substr(address, 1, :digits) AS child, {COUNTS} FROM ticket
         WHERE category = :category AND address >= :from AND address < :to
             AND length(address) >= :digits
             AND reported_ms >= :from_ms AND reported_ms < :to_ms AND {}
         GROUP BY child",
        readable.sql()
    ))?;
    let named = named_params! {
        ":category": Category::TICKET.0, ":from": from, ":to": to, ":now": period.now_ms, ":digits": digits,
        ":from_ms": period.from_ms, ":to_ms": period.to_ms,
    };
    let named = readable.with(named);
    let rows = statement.query_map(&*named, |row| Ok((address(row, 0)?, read(row, 1)?)))?;
    rows.collect()
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Statistics> {
    let count = |column: usize| super::count(row, first + column);
    let accepted = count(1)?;
    Ok(Statistics {
        reported: count(0)?,
        accepted,
        rejected: count(2)?,
        open: count(3)?,
        overdue: count(4)?,
        reply: Rate { numerator: count(5)?, denominator: accepted },
        completion: Rate { numerator: count(6)?, denominator: accepted },
        on_time: Rate { numerator: count(7)?, denominator: count(8)? },
        satisfaction: Rate { numerator: count(9)?, denominator: count(10)? },
    })
}
