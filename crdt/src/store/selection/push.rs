//! What became durable since a session looked last, the most urgent class first.
//!
//! When a town takes in the library of a village, millions of rows wait to be passed on, and an
//! alert is among the latest of them. Each class of categories has a row of its own to go on from,
//! and the urgent ones an index of their rows, so the alert is found without looking at the rest.

use cunlian_protocol::category::{Category, URGENCY};
use cunlian_protocol::sync::Selection;
use rusqlite::Connection;

use super::{COLUMNS, Gathered, ROWS_LOOKED_AT, Receiver, Selected};
use crate::store::outbox::Ancestors;
use crate::store::rows::last_row;
use crate::store::writer::known_author;

/// By class, the index of its rows with its condition; the last class is what is left when reading
/// row by row.
const INDEXES: [Option<(&str, &str)>; URGENCY.len()] = [
    Some(("change_most_urgent", "change.key < x'2000'")),
    Some(("change_urgent", "change.key >= x'2000' AND change.key < x'3000'")),
    None,
];

/// How far one class was read.
enum Reading {
    /// To the end.
    Whole,
    /// To this row; there is more.
    Through(i64),
}

pub(super) fn select(
    connection: &Connection,
    mut gathered: Gathered,
    mut after: [i64; URGENCY.len()],
    classes: usize,
    receiver: Receiver,
    ancestors: &Ancestors,
) -> rusqlite::Result<Selected> {
    let last_row = last_row(connection)?;
    let peer = known_author(connection, &receiver.except)?.unwrap_or(-1);
    for (class, after_row) in after.iter_mut().enumerate().take(classes) {
        let of_class = OfClass { class, after: *after_row, peer, receiver: &receiver };
        let reading = of_class.read(connection, &mut gathered, ancestors)?;
        let is_last = class + 1 == classes.min(URGENCY.len());
        let (through, more) = match reading {
            Reading::Whole => (last_row, !gathered.changes.is_empty() && !is_last),
            Reading::Through(row) => (row, true),
        };
        *after_row = through;
        if more {
            let Receiver { scope, except } = receiver;
            let rest = Selection::Push { after, classes, scope, except };
            return Ok((gathered.changes, Some(rest), last_row));
        }
    }
    Ok((gathered.changes, None, last_row))
}

struct OfClass<'a> {
    class: usize,
    after: i64,
    /// Number of the receiver, whose own changes it need not get.
    peer: i64,
    receiver: &'a Receiver,
}

impl OfClass<'_> {
    fn read(
        &self,
        connection: &Connection,
        gathered: &mut Gathered,
        ancestors: &Ancestors,
    ) -> rusqlite::Result<Reading> {
        let (columns, condition) = match INDEXES.get(self.class).copied().flatten() {
            Some((index, condition)) => {
                let from = format!("FROM change INDEXED BY {index} ");
                (COLUMNS.replacen("FROM change ", &from, 1), condition)
            }
            None => (COLUMNS.to_owned(), "TRUE"),
        };
        let sql =
            format!("{columns} WHERE change.row > ?1 AND {condition} ORDER BY change.row LIMIT ?2");
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query((self.after, ROWS_LOOKED_AT))?;
        let mut through = self.after;
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(1)?.as_blob()?;
            let category = key.first_chunk().map(|category| u16::from_be_bytes(*category));
            let of_class = category.is_some_and(|c| Category(c).urgency() == self.class);
            let origin: i64 = row.get(5)?;
            let visible = of_class && origin != self.peer && self.receiver.scope.allows(key);
            if visible && !gathered.offer(row, ancestors)? {
                return Ok(Reading::Through(through));
            }
            through = row.get(0)?;
            looked_at += 1;
        }
        Ok(if looked_at == ROWS_LOOKED_AT { Reading::Through(through) } else { Reading::Whole })
    }
}
