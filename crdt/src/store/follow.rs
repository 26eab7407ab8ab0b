//! Following: committed changes are told to whoever reacts to them.
//!
//! ```text
//!  a transaction ─► log: a row for each change          ┐
//!                 ─► touched: what changed otherwise    ├─ one row of numbers, ascending
//!                 ─► fact `again`: what has no name     ┘             │
//!                                                                     ▼
//!  Follower::wait ─► Follower::news ─► it reads those documents and reacts
//!                                   └► Follower::confirm ─► its place, durable
//! ```
//!
//! The unit is the document: a follower is told that it changed, and reads it as it stands. So an
//! edit, an erasure, a revocation and a purge are the same to it, and being told twice is harmless.
//! What it is told is read from the log, in which every change has a row already: following costs
//! the writer nothing, and whoever lags behind holds nothing back.
//!
//! | table | one row for each |
//! |---|---|
//! | `follower` | follower by name, with the last row that it has confirmed, and the last `again` |
//! | `touched` | document that changed without a change being added, under a row of its own |
//!
//! | name in `meta` | value |
//! |---|---|
//! | `again` | the last row at which documents changed that are not named, decimal |
//! | `copied` | present in a copy that was not opened yet |
//!
//! Rows count within one file and mean nothing outside of it: who needs a name for a change that
//! others understand takes its id.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use cunlian_protocol::category::CategorySet;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::scope::Scope;
use rusqlite::{Connection, OptionalExtension as _};

use super::facts::{meta, set_meta};
use super::reading::Reader;
use super::rows::{home_of, key_of, last_row};
use super::writer::Batch;
use super::{Fault, Inner, Store};

/// Documents handed out together.
const DOCUMENTS_TOGETHER: usize = 256;
/// Rows looked at in one snapshot.
const ROWS_LOOKED_AT: i64 = 4_096;
/// Rows that do not concern a follower, after which its place is kept all the same: so many it may
/// have to look through again after a start.
const ROWS_SKIPPED: i64 = 16_384;
/// Entries of table `touched`; of what is older it is told that there was something.
const TOUCHED_KEPT: usize = 65_536;

const AGAIN: &str = "again";
const COPIED: &str = "copied";

const _: () = assert!(ROWS_LOOKED_AT <= ROWS_SKIPPED);

/// Where a follower begins that was not there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With everything there is.
    Beginning,
    /// With what comes from now on.
    Now,
}

/// A document that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The document. [`Store::view`] says what it is now, and gives none when it has gone.
    pub home: Home,
    /// Where it stands in the order of commits. For logs only: it counts within this file.
    pub row: i64,
    /// The changes that were added to it, oldest first; none when it changed otherwise, as by a
    /// revocation.
    pub changes: Vec<ChangeId>,
}

/// What a follower has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Documents in the order in which they were last touched, each once.
    pub documents: Vec<Touched>,
    /// Documents have changed, gone or come back that are not named, as when a scope was lost or
    /// the store came from a copy. Who keeps what follows from documents looks at all it has, and
    /// confirms by [`Follower::begin_anew`]; others pass over it.
    pub again: bool,
    /// How far the follower is when it has confirmed this.
    reaches: Reached,
}

/// What a follower has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    /// The last row.
    row: i64,
    /// The last value of the fact `again`.
    again: i64,
}

/// One who follows a store, by name. It does not keep the store open.
#[derive(Debug)]
pub struct Follower {
    name: String,
    categories: CategorySet,
    store: Weak<Inner>,
    latest: Arc<Latest>,
    place: Mutex<Place>,
}

/// How far a follower is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What is durably behind it.
    kept: Reached,
    /// The last row that need not be looked at again by this process.
    looked: i64,
    /// It has to look at all it has, whether anything is committed or not.
    lost: bool,
}

/// How far behind a follower is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Its name.
    pub name: String,
    /// Rows that it has not confirmed, those that do not concern it included.
    pub rows: u64,
}

impl Store {
    /// Follows documents of these categories. `start` counts when there is no follower of this
    /// name yet; else it goes on after what it confirmed last.
    ///
    /// Everything committed is told at least once, in order. A name is used by one at a time.
    pub fn follow(
        &self,
        name: &str,
        categories: CategorySet,
        start: Start,
    ) -> Result<Follower, Fault> {
        let owned = name.to_owned();
        let place = self
            .inner
            .writer
            .submit(move |batch| Ok::<_, Fault>(place_of(batch.connection, &owned, start)?))?;
        Ok(Follower {
            name: name.to_owned(),
            categories,
            store: Arc::downgrade(&self.inner),
            latest: Arc::clone(&self.inner.shared.latest),
            place: Mutex::new(place),
        })
    }

    /// Forgets a follower; gives whether there was one. Who follows under that name again begins
    /// anew.
    pub fn unfollow(&self, name: &str) -> Result<bool, Fault> {
        let name = name.to_owned();
        let sql = "DELETE FROM follower WHERE name = ?1";
        self.inner.writer.submit(move |batch| Ok(batch.connection.execute(sql, [name])? > 0))
    }

    /// All followers this store has had and how far behind each is, by name.
    pub fn followers(&self) -> Result<Vec<Lag>, Fault> {
        self.inner.readers.with(|connection| {
            let last_row = last_row(connection)?;
            let mut select = connection.prepare("SELECT name, row FROM follower ORDER BY name")?;
            let lags = select.query_map([], |row| {
                let behind = last_row - row.get::<_, i64>(1)?;
                Ok(Lag { name: row.get(0)?, rows: u64::try_from(behind).unwrap_or(0) })
            })?;
            Ok(lags.collect::<rusqlite::Result<_>>()?)
        })
    }
}

impl Follower {
    /// What comes next; `None` when there is nothing that concerns it. The same again until it is
    /// confirmed, with what came since where there is room.
    ///
    /// Nothing is read from the disk when nothing was committed since the last call.
    pub fn news(&self) -> Result<Option<News>, Fault> {
        let inner = self.store.upgrade().ok_or(Fault::Stopped)?;
        loop {
            let place = *self.lock();
            if self.latest.row() <= place.looked && !place.lost {
                return Ok(None);
            }
            let mut news = inner.readers.with_for(Reader::Peer, |connection| {
                Ok(page(connection, &self.categories, place.looked)?)
            })?;
            news.again = place.lost || news.reaches.again > place.kept.again;
            if news.again || !news.documents.is_empty() {
                return Ok(Some(news));
            }
            self.skip(&inner, news.reaches)?;
        }
    }

    /// Waits until there may be news: at once, when not all was confirmed. An error when the store
    /// is closed.
    pub fn wait(&self) -> Result<(), Fault> {
        let place = *self.lock();
        if place.lost { self.latest.check() } else { self.latest.wait_beyond(place.looked) }
    }

    /// Notes durably that all of this was reacted to. What is not confirmed is told again, at the
    /// latest after the next start.
    pub fn confirm(&self, news: &News) -> Result<(), Fault> {
        self.settle(news.reaches)
    }

    /// The same, and has everything told again from the beginning: for who keeps what follows from
    /// documents, when [`News::again`] says so, or when it has lost what it kept.
    pub fn begin_anew(&self, news: &News) -> Result<(), Fault> {
        self.settle(Reached { row: 0, ..news.reaches })
    }

    fn settle(&self, reached: Reached) -> Result<(), Fault> {
        let inner = self.store.upgrade().ok_or(Fault::Stopped)?;
        self.keep(&inner, reached)?;
        let mut place = self.lock();
        place.looked = reached.row;
        place.lost = false;
        Ok(())
    }

    /// Goes past rows that do not concern it. This is seldom made durable: it costs a transaction,
    /// and looking at them again costs little.
    fn skip(&self, inner: &Inner, reached: Reached) -> Result<(), Fault> {
        let mut place = self.lock();
        place.looked = reached.row;
        let is_long = reached.row - place.kept.row >= ROWS_SKIPPED;
        drop(place);
        if is_long { self.keep(inner, reached) } else { Ok(()) }
    }

    fn keep(&self, inner: &Inner, reached: Reached) -> Result<(), Fault> {
        let name = self.name.clone();
        inner.writer.submit(move |batch| {
            let sql = "UPDATE follower SET row = ?2, again = ?3 WHERE name = ?1";
            let mut update = batch.connection.prepare_cached(sql)?;
            update.execute((name, reached.row, reached.again))?;
            Ok::<_, Fault>(())
        })?;
        self.lock().kept = reached;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a follower, which is given one if it has none.
fn place_of(connection: &Connection, name: &str, start: Start) -> rusqlite::Result<Place> {
    let last_row = last_row(connection)?;
    let first = match start {
        Start::Beginning => 0,
        Start::Now => last_row,
    };
    connection.execute("INSERT OR IGNORE INTO follower VALUES (?1, ?2, 0)", (name, first))?;
    let sql = "SELECT row, again FROM follower WHERE name = ?1";
    let kept = connection
        .query_row(sql, [name], |row| Ok(Reached { row: row.get(0)?, again: row.get(1)? }))?;
    if kept.row.max(kept.again) <= last_row {
        let lost = kept.again < again_row(connection)?;
        return Ok(Place { kept, looked: kept.row, lost });
    }
    tracing::warn!(name, ?kept, last_row, "a follower was further than the store; it begins anew");
    connection.execute("UPDATE follower SET row = 0, again = 0 WHERE name = ?1", [name])?;
    Ok(Place { kept: Reached { row: 0, again: 0 }, looked: 0, lost: true })
}

/// What was committed after a row, up to the bounds.
fn page(connection: &Connection, categories: &CategorySet, after: i64) -> rusqlite::Result<News> {
    let mut select = connection.prepare_cached(
        "SELECT row, key, 1 FROM change WHERE row > ?1 UNION ALL \
         SELECT row, document, 0 FROM touched WHERE row > ?1 ORDER BY row LIMIT ?2",
    )?;
    let mut rows = select.query((after, ROWS_LOOKED_AT))?;
    let mut documents: BTreeMap<Home, Touched> = BTreeMap::new();
    let (mut looked, mut through) = (0, after);
    while let Some(found) = rows.next()? {
        let (row, name) = (found.get(0)?, found.get_ref(1)?.as_blob()?);
        let (home, change) = if found.get::<_, bool>(2)? {
            let key = key_of(name)?;
            (key.home, Some(key.change))
        } else {
            (home_of(name)?, None)
        };
        if categories.contains(home.category) {
            if documents.len() == DOCUMENTS_TOGETHER && !documents.contains_key(&home) {
                break;
            }
            let touched = documents.entry(home);
            let touched = touched.or_insert(Touched { home, row, changes: Vec::new() });
            touched.row = row;
            touched.changes.extend(change);
        }
        (looked, through) = (looked + 1, row);
    }
    drop(rows);
    if looked < ROWS_LOOKED_AT && documents.len() < DOCUMENTS_TOGETHER {
        // Numbers of rows that were removed are behind it as well.
        through = last_row(connection)?.max(through);
    }
    let mut documents: Vec<Touched> = documents.into_values().collect();
    documents.sort_unstable_by_key(|touched| touched.row);
    let reaches = Reached { row: through, again: again_row(connection)? };
    Ok(News { documents, again: false, reaches })
}

/// The last row at which there was something without a name; 0 when there was nothing.
fn again_row(connection: &Connection) -> rusqlite::Result<i64> {
    let row = meta(connection, AGAIN)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&row).parse().unwrap_or(0))
}

fn set_again(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    set_meta(connection, AGAIN, row.max(again_row(connection)?).to_string().as_bytes())
}

/// Notes under a row that a document changed without a change being added.
fn touch(connection: &Connection, row: i64, document: &[u8]) -> rusqlite::Result<()> {
    // Replaces an earlier note of the document, which nobody needs who is told this one.
    let sql = "INSERT OR REPLACE INTO touched VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((row, document))?;
    Ok(())
}

/// Takes out the oldest notes when there are too many.
fn bound(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT row FROM touched ORDER BY row DESC LIMIT 1 OFFSET ?1";
    let last: Option<i64> =
        connection.query_row(sql, [TOUCHED_KEPT], |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok(()) };
    connection.execute("DELETE FROM touched WHERE row <= ?1", [last])?;
    set_again(connection, last)
}

/// Notes of documents that are read otherwise than before, while the store is being opened.
pub(super) fn touch_at_opening(
    connection: &Connection,
    documents: &[Vec<u8>],
) -> rusqlite::Result<()> {
    for (row, document) in (last_row(connection)? + 1..).zip(documents) {
        touch(connection, row, document)?;
    }
    bound(connection)
}

/// Marks a copy, so that followers learn of it when it is opened as a store.
pub(super) fn mark_copy(connection: &Connection) -> rusqlite::Result<()> {
    set_meta(connection, COPIED, &[])
}

/// Tells followers of a copy that is opened for the first time: what they did since it was made is
/// not in it.
pub(super) fn adapt(connection: &Connection) -> rusqlite::Result<()> {
    if meta(connection, COPIED)?.is_none() {
        return Ok(());
    }
    tell_again(connection, last_row(connection)? + 1)?;
    connection.execute("DELETE FROM meta WHERE name = ?1", [COPIED])?;
    Ok(())
}

fn tell_again(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    set_meta(connection, "last row", row.to_string().as_bytes())?;
    set_again(connection, row)
}

/// Forgets what lies outside of a scope, documents that are here no more among it.
pub(super) fn forget_outside(inner: &Inner, keep: &Scope) -> Result<(), Fault> {
    let keep = keep.clone();
    inner.writer.submit(move |batch| {
        super::rows::remember_last_row(batch.connection)?;
        let mut select = batch.connection.prepare("SELECT row, document FROM touched")?;
        let notes = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let notes = notes.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()?;
        let outside: Vec<i64> = notes
            .into_iter()
            .filter(|(_, document)| !keep.allows(document))
            .map(|(row, _)| row)
            .collect();
        for row in &outside {
            batch.connection.execute("DELETE FROM touched WHERE row = ?1", [row])?;
        }
        if outside.is_empty() { Ok(()) } else { Ok::<_, Fault>(batch.tell_again()?) }
    })
}

impl Batch<'_> {
    /// Tells followers of a document that changed without a change being added.
    pub(super) fn touch(&mut self, home: &Home) -> rusqlite::Result<()> {
        let row = self.next_row()?;
        touch(self.connection, row, KeyPrefix::document(home).as_bytes())
    }

    /// Keeps what is told so within its bound; after many.
    pub(super) fn bound_touched(&self) -> rusqlite::Result<()> {
        bound(self.connection)
    }

    /// Tells followers that documents changed or went which must not, or cannot, be named.
    pub(super) fn tell_again(&mut self) -> rusqlite::Result<()> {
        let row = self.next_row()?;
        tell_again(self.connection, row)
    }
}

/// The last row that was committed, for those who wait for it.
#[derive(Debug)]
pub(super) struct Latest {
    /// The row, and whether the store is closed.
    state: Mutex<(i64, bool)>,
    changed: Condvar,
}

impl Latest {
    pub(super) fn new(row: i64) -> Self {
        Self { state: Mutex::new((row, false)), changed: Condvar::new() }
    }

    /// Called after each commit.
    pub(super) fn set(&self, row: i64) {
        let mut state = self.lock();
        if row > state.0 {
            state.0 = row;
            self.changed.notify_all();
        }
    }

    /// Sends those away who wait.
    pub(super) fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    fn row(&self) -> i64 {
        self.lock().0
    }

    fn check(&self) -> Result<(), Fault> {
        if self.lock().1 { Err(Fault::Stopped) } else { Ok(()) }
    }

    fn wait_beyond(&self, row: i64) -> Result<(), Fault> {
        let mut state = self.lock();
        while state.0 <= row && !state.1 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.1 { Err(Fault::Stopped) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, (i64, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
