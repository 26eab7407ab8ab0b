//! Tickets counted by address and month of report, for figures over whole regions.
//!
//! What depends on the moment that is asked for, tickets that are past their limit, is not in it:
//! these are few, and found by the index `ticket_pending`.

use cunlian_crdt::projector::{KeyPart, Rollup, Share};
use cunlian_protocol::category::Category;
use rusqlite::types::Value;

use super::calendar::local_date;
use super::projection::column;

/// The table `ticket_month`.
#[derive(Debug)]
pub(crate) struct Months;

/// Months since the year 0 of the local day of a time: 24000 is January 2000.
pub(crate) fn month(at_ms: i64) -> i64 {
    let day = local_date(at_ms);
    i64::from(day.year()) * 12 + i64::from(day.month()) - 1
}

impl Rollup for Months {
    fn table(&self) -> &'static str {
        "ticket_month"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        "
CREATE TABLE IF NOT EXISTS ticket_month (
    address TEXT NOT NULL, month INTEGER NOT NULL,
    reported INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL,
    open INTEGER NOT NULL, replied INTEGER NOT NULL, completed INTEGER NOT NULL,
    on_time INTEGER NOT NULL, stopped INTEGER NOT NULL,
    satisfied INTEGER NOT NULL, rated INTEGER NOT NULL,
    PRIMARY KEY (address, month)
) STRICT, WITHOUT ROWID;
"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["address", "month"]
    }

    fn sums(&self) -> &'static [&'static str] {
        &[
            "reported",
            "accepted",
            "rejected",
            "open",
            "replied",
            "completed",
            "on_time",
            "stopped",
            "satisfied",
            "rated",
        ]
    }

    fn source(&self) -> &'static str {
        "ticket"
    }

    fn share(&self, row: &[Value]) -> Option<Share> {
        let number = |name: &str| match row.get(column(name)?)? {
            Value::Integer(number) => Some(*number),
            Value::Null | Value::Real(_) | Value::Text(_) | Value::Blob(_) => None,
        };
        let text = |name: &str| match row.get(column(name)?)? {
            Value::Text(text) => Some(text.as_str()),
            Value::Null | Value::Real(_) | Value::Integer(_) | Value::Blob(_) => None,
        };
        if number("category") != Some(i64::from(Category::TICKET.0)) {
            return None;
        }
        // The last moment of all is in no period.
        let reported_ms = number("reported_ms").filter(|at_ms| *at_ms < i64::MAX)?;
        let state = text("state")?;
        let accepted = number("accepted_ms").is_some();
        let (stopped, due) = (number("stopped_ms"), number("due_ms"));
        let is_open = ["reported", "accepted", "assigned", "handling"].contains(&state);
        let in_time = stopped.zip(due).is_some_and(|(stopped, due)| stopped < due);
        let sums = [
            true,
            accepted,
            state == "rejected",
            is_open,
            accepted && number("replied_ms").is_some(),
            accepted && number("completed_ms").is_some(),
            in_time,
            stopped.is_some() && due.is_some(),
            number("stars").is_some_and(|stars| stars >= 4),
            number("stars").is_some(),
        ];
        let key =
            vec![KeyPart::Text(text("address")?.to_owned()), KeyPart::Integer(month(reported_ms))];
        Some(Share { key, sums: sums.map(i64::from).to_vec() })
    }
}
