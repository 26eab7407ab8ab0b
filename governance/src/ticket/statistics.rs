//! Rates of tickets, each with the definition it is printed with.
//!
//! Published reports contradict each other because they do not say what is divided by what. Here
//! every rate is two counts and a definition, over the tickets reported within a period in a
//! region, as far as this node has them.

use std::collections::BTreeMap;

use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::category::Category;
use jiff::civil::Date;
use rusqlite::{Connection, Row, ToSql, named_params};

use crate::access::reader::{Condition, Reader};
use crate::language::Language;
use crate::query::{self, address, range};
use crate::ticket::day_start_ms;
use crate::ticket::rollup::month;

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

/// Counts of tickets, over the columns that [`DIRECT`] names.
const COUNTS: &str = "
    coalesce(sum(reported), 0), coalesce(sum(accepted), 0), coalesce(sum(rejected), 0),
    coalesce(sum(open), 0), coalesce(sum(overdue), 0), coalesce(sum(replied), 0),
    coalesce(sum(completed), 0), coalesce(sum(on_time), 0), coalesce(sum(judged), 0),
    coalesce(sum(satisfied), 0), coalesce(sum(rated), 0)";

/// What each ticket counts.
const DIRECT: &str = "
    SELECT address, 1 AS reported, accepted_ms IS NOT NULL AS accepted,
        state = 'rejected' AS rejected,
        state IN ('reported', 'accepted', 'assigned', 'handling') AS open,
        coalesce(stopped_ms IS NULL AND state <> 'rejected' AND due_ms <= :now, 0) AS overdue,
        accepted_ms IS NOT NULL AND replied_ms IS NOT NULL AS replied,
        accepted_ms IS NOT NULL AND completed_ms IS NOT NULL AS completed,
        coalesce(stopped_ms < due_ms, 0) AS on_time,
        coalesce(due_ms IS NOT NULL AND (stopped_ms IS NOT NULL OR due_ms <= :now), 0) AS judged,
        coalesce(stars >= 4, 0) AS satisfied, stars IS NOT NULL AS rated
    FROM ticket
    WHERE category = :category AND address >= :from AND address < :to";

/// What whole months count, but for what depends on the moment.
const MONTHS: &str = "
    SELECT address, reported, accepted, rejected, open, 0, replied, completed, on_time, stopped,
        satisfied, rated
    FROM ticket_month
    WHERE address >= :from AND address < :to AND month >= :from_month AND month < :to_month";

/// What those past their limit count beside that, found by their own index.
const PENDING: &str = "
    SELECT address, 0, 0, 0, 0, state <> 'rejected', 0, 0, 0, 1, 0, 0
    FROM ticket
    WHERE stopped_ms IS NULL AND due_ms <= :now AND +category = :category
        AND address >= :from AND address < :to
        AND +reported_ms >= :whole_from AND +reported_ms < :whole_to";

/// A period as whole months and what is left of it before and after them.
struct Months {
    /// First month, and the first after them.
    from: i64,
    to: i64,
    /// First moment of them, and the first after them.
    from_ms: i64,
    to_ms: i64,
}

impl Months {
    /// `None` when no whole month lies within the period.
    fn within(period: Period) -> Option<Self> {
        let first = month(period.from_ms);
        let from = if begin_ms(first) >= period.from_ms { first } else { first + 1 };
        let to = month(period.to_ms);
        // All there was, and all there will be: the ends of time are in no month.
        let (from, from_ms) = match period.from_ms {
            i64::MIN => (i64::MIN, i64::MIN),
            _ => (from, begin_ms(from)),
        };
        let (to, to_ms) = match period.to_ms {
            i64::MAX => (i64::MAX, i64::MAX),
            _ => (to, begin_ms(to)),
        };
        (from < to).then_some(Self { from, to, from_ms, to_ms })
    }
}

/// The first moment of a month, as [`month`] counts them; the end of time beyond all calendars.
fn begin_ms(month: i64) -> i64 {
    let year = i16::try_from(month.div_euclid(12)).ok();
    let number = i8::try_from(month.rem_euclid(12) + 1).ok();
    let day = year.zip(number).and_then(|(year, number)| Date::new(year, number, 1).ok());
    day.and_then(day_start_ms).unwrap_or(if month < 0 { i64::MIN } else { i64::MAX })
}

/// Where counts come from: whole months from the rollup, the rest from the tickets. Who reads
/// single documents, or what is assigned to them, is not answered from sums over regions.
fn source(readable: &Condition, months: Option<&Months>) -> String {
    let may = readable.sql();
    if months.is_none() {
        return format!("{DIRECT} AND reported_ms >= :from_ms AND reported_ms < :to_ms AND {may}");
    }
    // A plus keeps a condition from being the one that an index is chosen for.
    let of_region = "category = :category AND address >= :from AND address < :to";
    let part = DIRECT.replace(of_region, &of_region.replace("category =", "+category ="));
    format!(
        "{part} AND reported_ms >= :from_ms AND reported_ms < :whole_from AND {may}
         UNION ALL {part} AND reported_ms >= :whole_to AND reported_ms < :to_ms AND {may}
         UNION ALL {MONTHS} AND {may} UNION ALL {PENDING} AND {may}"
    )
}

/// Runs a query over [`source`], whose text is made of it.
fn ask<T>(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    period: Period,
    digits: Option<u32>,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let (from, to) = range(region);
    let readable = reader.condition(Category::TICKET);
    let months = Months::within(period).filter(|_| reader.reads_regions(Category::TICKET));
    let source = source(&readable, months.as_ref());
    let sql = match digits {
        None => format!("SELECT {COUNTS} FROM ({source})"),
        Some(_) => format!(
            "SELECT substr(address, 1, :digits) AS child, {COUNTS} FROM ({source})
             WHERE length(address) >= :digits GROUP BY child"
        ),
    };
    let mut named: Vec<(&str, &dyn ToSql)> = named_params! {
        ":category": Category::TICKET.0, ":from": from, ":to": to, ":now": period.now_ms,
        ":from_ms": period.from_ms, ":to_ms": period.to_ms,
    }
    .to_vec();
    if let Some(months) = &months {
        named.extend_from_slice(named_params! {
            ":from_month": months.from, ":to_month": months.to,
            ":whole_from": months.from_ms, ":whole_to": months.to_ms,
        });
    }
    if let Some(digits) = &digits {
        named.push((":digits", digits));
    }
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(&*readable.with(&named), read)?;
    rows.collect()
}

/// The figures of `region` for `period`, of the tickets that `reader` may read.
pub fn statistics(
    connection: &Connection,
    reader: &Reader,
    region: AddressCode,
    period: Period,
) -> rusqlite::Result<Statistics> {
    let figures = ask(connection, reader, region, period, None, |row| read(row, 0))?;
    figures.into_iter().next().ok_or(rusqlite::Error::QueryReturnedNoRows)
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
    let digits = u32::try_from(level.digits()).expect("a code has at most 26 digits");
    let of_child = |row: &Row<'_>| Ok((address(row, 0)?, read(row, 1)?));
    let figures = ask(connection, reader, region, period, Some(digits), of_child)?;
    Ok(figures.into_iter().collect())
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Statistics> {
    let count = |column: usize| query::count(row, first + column);
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
