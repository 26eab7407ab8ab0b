//! From changes to documents to projection rows, and the making of all projections anew.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, VERSION};
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use rayon::prelude::*;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};

use super::blob::naming::{Named, named};
use super::facts::{meta, set_meta};
use super::replay::{history, read};
use super::rows::{Range, changes_of, home_of, insert_sql};
use super::{follow, rollup};
use crate::document::{DocumentView, Tainted};
use crate::history::History;
use crate::projector::{Projector, Row, TableSet, rows_of};

/// Documents projected together when everything is made anew, and their bytes.
const REBUILD_DOCUMENTS: usize = 2_000;
const REBUILD_BYTES: u64 = 2 << 20;

/// What a document came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) waiting: u32,
    pub(super) conflicted: u32,
    /// Changes that do not count because they, or the document, hold too much.
    pub(super) beyond: u32,
    pub(super) rows: Vec<Row>,
    /// Tainted changes, and whether a person has looked at each.
    pub(super) tainted: Vec<(ChangeId, bool)>,
    /// Blobs that it names, ascending.
    pub(super) blobs: Vec<Named>,
}

impl Outcome {
    /// Memory that the rows take, about.
    pub(super) fn bytes(&self) -> usize {
        let value = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
        };
        let row = |row: &Row| {
            size_of::<Row>()
                + row.values.iter().map(|it| size_of_val(it) + value(it)).sum::<usize>()
        };
        self.rows.iter().map(row).sum()
    }
}

/// Projector or document code panicked on a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document could not be worked out (panic)")]
pub(super) struct Panicked;

/// Projects a document into all sets.
pub(super) fn project(
    projector: &dyn Projector,
    authority: &Authority,
    history: &History,
) -> Result<Outcome, Panicked> {
    project_into(&projector.sets(), authority, history)
}

/// Projects a document into those of `sets` that take it.
fn project_into(
    sets: &[&dyn TableSet],
    authority: &Authority,
    history: &History,
) -> Result<Outcome, Panicked> {
    let work = || {
        let view = history.view();
        let conflicted = view.fields.values().filter(|field| !field.others.is_empty()).count();
        let reviewed = |tainted: &Tainted| (tainted.writer.change, tainted.review.is_some());
        let tainted = view.tainted.iter().map(reviewed);
        Outcome {
            waiting: view.waiting,
            conflicted: u32::try_from(conflicted).unwrap_or(u32::MAX),
            beyond: history.beyond(),
            rows: rows_of(sets, &view, authority),
            tainted: tainted.collect(),
            blobs: named(&view),
        }
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// The document as it stands; `None` when there is none.
pub(super) fn view(
    connection: &Connection,
    authority: &Authority,
    home: &Home,
) -> rusqlite::Result<Option<DocumentView>> {
    let changes = changes_of(connection, home)?;
    Ok((!changes.is_empty()).then(|| history(authority, *home, read(&changes)).view()))
}

/// Told of the blobs that a document names.
pub(super) type Refer<'a> = dyn Fn(&Home, &[Named]) -> rusqlite::Result<()> + 'a;

/// The fact that says which changes the program understood that made the tables.
const UNDERSTOOD: &str = "understood";
/// What the names of the facts about table sets begin with.
const SET: &str = "set.";

/// What is kept about a set that was made: its version, and the names of its tables.
fn made(set: &dyn TableSet) -> Vec<u8> {
    [set.version().to_be_bytes().as_slice(), set.tables().join(" ").as_bytes()].concat()
}

fn fact_of(set: &str) -> String {
    format!("{SET}{set}")
}

/// Makes those table sets anew that were made by another version of them, and all of them if
/// changes are understood that were not before. Sets that are no more go.
pub(super) fn adapt(
    connection: &Connection,
    projector: &dyn Projector,
    authority: &Authority,
) -> rusqlite::Result<()> {
    let sets = projector.sets();
    let is_understood = meta(connection, UNDERSTOOD)?.is_some_and(|it| it == [VERSION]);
    if !is_understood {
        understand(connection, projector, authority)?;
        set_meta(connection, UNDERSTOOD, &[VERSION])?;
    }
    for name in made_before(connection)? {
        if !sets.iter().any(|set| set.name() == name) {
            tracing::info!(set = name, "tables that are no more are dropped");
            drop_tables(connection, &name)?;
        }
    }
    let mut stale = Vec::new();
    for set in sets {
        let kept = meta(connection, &fact_of(set.name()))?;
        if !is_understood || kept.is_none_or(|kept| kept != made(set)) {
            stale.push(set);
        }
    }
    if stale.is_empty() {
        return rollup::adapt(connection, projector, &[]);
    }
    let names: Vec<&str> = stale.iter().map(|set| set.name()).collect();
    tracing::info!(sets = names.join(" "), "tables are made anew");
    for set in &stale {
        make_empty(connection, *set)?;
    }
    // Which blobs a document names does not depend on the projector.
    fill(connection, connection, &stale, authority, None)?;
    rollup::adapt(connection, projector, &stale)
}

/// Drops the projection tables, makes them and fills them from the log; `refer` is told of the
/// blobs of each document.
pub(super) fn rebuild(
    connection: &Connection,
    projector: &dyn Projector,
    authority: &Authority,
    refer: &Refer<'_>,
) -> rusqlite::Result<()> {
    let sets = projector.sets();
    for set in &sets {
        make_empty(connection, *set)?;
    }
    fill(connection, connection, &sets, authority, Some(refer))?;
    rollup::adapt(connection, projector, &sets)
}

/// Names of the sets that were made.
fn made_before(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select =
        connection.prepare("SELECT name FROM meta WHERE name >= 'set.' AND name < 'set/'")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| name.trim_start_matches(SET).to_owned())).collect()
}

/// Makes the tables of a set, without rows, in the place of those it had.
fn make_empty(connection: &Connection, set: &dyn TableSet) -> rusqlite::Result<()> {
    drop_tables(connection, set.name())?;
    for table in set.tables() {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute_batch(set.schema())?;
    set_meta(connection, &fact_of(set.name()), &made(set))
}

/// Drops the tables that a set had, and what is kept about it.
fn drop_tables(connection: &Connection, set: &str) -> rusqlite::Result<()> {
    let kept = meta(connection, &fact_of(set))?.unwrap_or_default();
    let tables = String::from_utf8_lossy(kept.get(4..).unwrap_or_default()).into_owned();
    for table in tables.split(' ').filter(|table| !table.is_empty()) {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute("DELETE FROM meta WHERE name = ?1", [fact_of(set)])?;
    Ok(())
}

/// Looks again at every document of which a change waits: some may have waited only because an
/// older program did not understand them.
fn understand(
    connection: &Connection,
    projector: &dyn Projector,
    authority: &Authority,
) -> rusqlite::Result<()> {
    let mut select = connection
        .prepare("SELECT prefix FROM document INDEXED BY document_waiting WHERE waiting > 0")?;
    let prefixes = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let prefixes = prefixes.collect::<Result<Vec<_>, _>>()?;
    let mut update = connection.prepare(
        "UPDATE document SET waiting = ?2, conflicted = ?3, beyond = ?4 WHERE prefix = ?1",
    )?;
    for prefix in &prefixes {
        let home = home_of(prefix)?;
        let changes = changes_of(connection, &home)?;
        let history = history(authority, home, read(&changes));
        match project(projector, authority, &history) {
            Ok(outcome) => {
                update.execute((prefix, outcome.waiting, outcome.conflicted, outcome.beyond))?;
            }
            Err(error) => tracing::error!(%error, "a document stays as it was read before"),
        }
    }
    follow::touch_at_opening(connection, &prefixes)
}

/// Projects the documents of the log in `source` into the tables of `sets` in `target`. With
/// `refer` every document is looked at, and it is told of the blobs of each; without it those alone
/// that some set takes.
pub(super) fn fill(
    source: &Connection,
    target: &Connection,
    sets: &[&dyn TableSet],
    authority: &Authority,
    refer: Option<&Refer<'_>>,
) -> rusqlite::Result<()> {
    let mut after: Vec<u8> = Vec::new();
    let mut homes = source
        .prepare("SELECT prefix, bytes FROM document WHERE prefix > ?1 ORDER BY prefix LIMIT ?2")?;
    loop {
        let mut rows = homes.query((&after, REBUILD_DOCUMENTS))?;
        let mut documents = Vec::new();
        let (mut bytes, mut any) = (0, false);
        while bytes < REBUILD_BYTES
            && let Some(row) = rows.next()?
        {
            any = true;
            after = row.get(0)?;
            let home = home_of(&after)?;
            if refer.is_some() || sets.iter().any(|set| set.takes(home.category)) {
                documents.push((home, changes_of(source, &home)?));
                bytes += row.get::<_, u64>(1)?;
            }
        }
        drop(rows);
        if !any {
            return Ok(());
        }
        let outcomes: Vec<(Home, Result<Outcome, Panicked>)> = documents
            .into_par_iter()
            .map(|(home, changes)| {
                let history = history(authority, home, read(&changes));
                (home, project_into(sets, authority, &history))
            })
            .collect();
        for (home, outcome) in outcomes {
            match outcome {
                Ok(outcome) => {
                    insert_rows(target, outcome.rows)?;
                    if let Some(refer) = refer {
                        refer(&home, &outcome.blobs)?;
                    }
                }
                Err(error) => tracing::error!(%error, "a document is missing in the tables"),
            }
        }
    }
}

pub(super) fn insert_rows(connection: &Connection, rows: Vec<Row>) -> rusqlite::Result<()> {
    for Row { table, values } in rows {
        let sql = insert_sql(table, values.len());
        connection.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// What table `document` says of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Base {
    pub(super) changes: u32,
    pub(super) bytes: u64,
}

/// The entry of a document; all zero when there is none.
pub(super) fn base(connection: &Connection, home: &Home) -> rusqlite::Result<Base> {
    let mut select =
        connection.prepare_cached("SELECT changes, bytes FROM document WHERE prefix = ?1")?;
    let entry = select.query_row([KeyPrefix::document(home).as_bytes()], |row| {
        Ok(Base { changes: row.get(0)?, bytes: row.get(1)? })
    });
    Ok(entry.optional()?.unwrap_or_default())
}

/// Documents under a prefix, in key order, at most `limit`.
pub(super) fn under(
    connection: &Connection,
    prefix: &KeyPrefix,
    limit: usize,
) -> rusqlite::Result<Vec<Home>> {
    let Range { start, end } = Range::of(prefix);
    let mut select = connection.prepare_cached(
        "SELECT prefix FROM document WHERE prefix >= ?1 AND prefix < ?2 ORDER BY prefix LIMIT ?3",
    )?;
    let homes = select.query_map((start, end, limit), |row| home_of(row.get_ref(0)?.as_blob()?))?;
    homes.collect()
}

/// Documents under a prefix with a field in conflict, in key order, at most `limit`.
pub(super) fn in_conflict(
    connection: &Connection,
    prefix: &KeyPrefix,
    limit: usize,
) -> rusqlite::Result<Vec<Home>> {
    let Range { start, end } = Range::of(prefix);
    let mut select = connection.prepare_cached(
        "SELECT prefix FROM document INDEXED BY document_in_conflict \
         WHERE conflicted > 0 AND prefix >= ?1 AND prefix < ?2 ORDER BY prefix LIMIT ?3",
    )?;
    let homes = select.query_map((start, end, limit), |row| home_of(row.get_ref(0)?.as_blob()?))?;
    homes.collect()
}
