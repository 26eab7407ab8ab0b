//! Loss of scope: taking out what this node may no longer hold, without wiping the rest.
//!
//! ```text
//!  wanted ─► documents outside, a few at a time ─► compact ─► accounted for by the caller
//!  (meta)    log, outbox, summaries, rows,          (meta)    (meta, table purged)
//!            quarantine; digest of what went
//! ```
//!
//! Each step is one short transaction between those of other writers, and each state is in the
//! store, so that a purge that was killed goes on where it was. A document goes as a whole, and
//! only when a tier above is known to hold all of it: what is nowhere else stays until it has
//! been handed up, and a later run takes it out.
//!
//! Receipts of parents stay: they name no content, only digests, and are the proof that what was
//! taken out is held above. Certificates stay, because changes that stay may need them.
//!
//! Deleted cells are overwritten (`secure_delete`), but the copies that SQLite leaves in pages
//! whose rows moved are not. So the file is written anew: a small one at once, a large one, which
//! would hold up writers for seconds, when the store is next opened.
//!
//! | name in `meta` | value |
//! |---|---|
//! | `purge` | a purge is wanted or not accounted for: [`Account`], postcard |
//! | `scope` | the scope that the store was last found to be inside of, postcard |
//! | `compact` | present while deleted bytes may be left in the files |
//! | `removals` | how often something was removed, decimal |

use std::fs;
use std::path::Path;

use cunlian_protocol::id::Serial;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::region::Region;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::summary::Summary;
use cunlian_protocol::{address::Level, key::SetKey};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::facts::{meta, set_meta};
use super::rows::{Range, home_of, key_of, remember_last_row};
use super::writer::{Batch, remember_seq};
use super::{Fault, Inner, Store, follow, outbox, summary};

/// Changes removed in one transaction, which then takes some 10 ms.
const CHANGES_TOGETHER: u64 = 256;
/// Documents looked at in one snapshot.
const DOCUMENTS_LOOKED_AT: usize = 20_000;
/// Documents handed to the writer at a time.
const DOCUMENTS_TOGETHER: usize = 64;

const PURGE: &str = "purge";
const SCOPE: &str = "scope";
const COMPACT: &str = "compact";
const REMOVALS: &str = "removals";

/// What to do with changes that no tier above is known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// They stay, and are reported.
    Keep,
    /// They go. Only on the word of a person who knows that they are wanted nowhere.
    Discard,
}

/// Documents outside of the scope that stay because no tier above is known to hold all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnsentLeft {
    /// Documents.
    pub documents: u64,
    /// Changes of these.
    pub changes: u64,
}

/// What has been purged and not yet accounted for by [`Store::purge_accounted`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Purged {
    /// Changes removed.
    pub changes: u64,
    /// Documents removed.
    pub documents: u64,
    /// Bytes of the changes removed.
    pub bytes: u64,
    /// Count and sum of the ids of the changes removed.
    pub digest: Summary,
    /// The same by category and village (or, above the villages, exact address), ascending.
    pub parts: Vec<(KeyPrefix, Summary)>,
    /// What stays because it is nowhere else.
    pub unsent: UnsentLeft,
    /// Whether the files were written anew; else they are when the store is next opened.
    pub compacted: bool,
}

/// State of a purge between transactions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Account {
    /// Not all of it is done.
    wanted: bool,
    changes: u64,
    documents: u64,
    bytes: u64,
}

impl Store {
    /// Whether something lies outside of `keep`, or a purge has not been ended or not been
    /// accounted for. Cheap when the scope is the one of the last call.
    pub fn purge_due(&self, keep: &Scope) -> Result<bool, Fault> {
        let bytes = encode(keep);
        let due = self.inner.readers.with(|connection| {
            if meta(connection, PURGE)?.is_some() {
                return Ok(Some(true));
            }
            if meta(connection, SCOPE)?.as_deref() == Some(bytes.as_slice()) {
                return Ok(Some(false));
            }
            Ok(is_anything_outside(connection, keep)?.then_some(true))
        })?;
        if let Some(due) = due {
            return Ok(due);
        }
        self.inner
            .writer
            .submit(move |batch| Ok::<_, Fault>(set_meta(batch.connection, SCOPE, &bytes)?))?;
        Ok(false)
    }

    /// Removes everything outside of `keep` from log, projections, outbox and quarantine, and
    /// the bytes of it from the files. Goes on with a purge that was cut short.
    ///
    /// The result covers all that was removed since [`Store::purge_accounted`] was last called,
    /// so that a kill between the purge and the journal loses no account.
    pub fn purge(&self, keep: &Scope, unsent: Unsent) -> Result<Purged, Fault> {
        begin(&self.inner, keep)?;
        let mut left = UnsentLeft::default();
        let mut after = Some(Vec::new());
        while let Some(from) = after {
            let (doomed, next) =
                self.inner.readers.with(|connection| Ok(outside(connection, keep, &from)?))?;
            remove_documents(&self.inner, keep, unsent, doomed, &mut left)?;
            after = next;
        }
        clear_quarantine(&self.inner, keep)?;
        follow::forget_outside(&self.inner, keep)?;
        self.inner.writer.submit(move |batch| {
            let mut account = account(batch.connection)?;
            account.wanted = left.documents > 0;
            Ok::<_, Fault>(set_meta(batch.connection, PURGE, &encode(&account))?)
        })?;
        let compacted = compact(&self.inner)?;
        self.inner.readers.with(|connection| Ok(result(connection, left, compacted)?))
    }

    /// Purges what the certificate of this node no longer lets it read; `None` when there is
    /// nothing to do and nothing to account for. For every start of a node, and every change of
    /// its certificate.
    pub fn purge_lost(&self, own: &Serial) -> Result<Option<Purged>, Fault> {
        let authority = self.authority();
        // Without the certificate the scope would be empty, and everything would go.
        if authority.get(own).is_none() {
            return Ok(None);
        }
        let keep = authority.read_scope(own);
        if !self.purge_due(&keep)? {
            return Ok(None);
        }
        self.purge(&keep, Unsent::Keep).map(Some)
    }

    /// Notes that what was purged has been written into the journal.
    pub fn purge_accounted(&self) -> Result<(), Fault> {
        self.inner.writer.submit(|batch| {
            batch.connection.execute("DELETE FROM purged", [])?;
            let wanted = account(batch.connection)?.wanted;
            if wanted {
                let account = Account { wanted, ..Account::default() };
                set_meta(batch.connection, PURGE, &encode(&account))?;
            } else {
                batch.connection.execute("DELETE FROM meta WHERE name = ?1", [PURGE])?;
            }
            Ok(())
        })
    }

    /// Summary of the changes under `prefix` that are outside of `keep`: what a parent compares
    /// with the part of the same prefix in a child's account, `keep` being what the child keeps.
    pub fn outside(&self, prefix: &KeyPrefix, keep: &Scope) -> Result<Summary, Fault> {
        self.inner.readers.with(|connection| {
            let mut outside = Summary::default();
            summary::each_key(connection, prefix, |key| {
                if !keep.allows(key) {
                    outside.add(&key_of(key)?.change);
                }
                Ok(())
            })?;
            Ok(outside)
        })
    }

    /// Whether deleted bytes may be left in the files until the store is next opened.
    pub fn is_compaction_due(&self) -> Result<bool, Fault> {
        self.inner.readers.with(|connection| Ok(is_compaction_due(connection)?))
    }
}

/// Notes that something is being removed, for [`super::StoreCopy::removals`], and that its bytes
/// must leave the files.
pub(super) fn note_removal(connection: &Connection) -> rusqlite::Result<()> {
    let removals = removals(connection)? + 1;
    set_meta(connection, REMOVALS, removals.to_string().as_bytes())?;
    set_meta(connection, COMPACT, &[])
}

/// How often something was removed.
pub(super) fn removals(connection: &Connection) -> rusqlite::Result<u64> {
    let removals = meta(connection, REMOVALS)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&removals).parse().unwrap_or(0))
}

pub(super) fn is_compaction_due(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(meta(connection, COMPACT)?.is_some())
}

/// Writes the files of a store anew that nobody else has open. A failure, as on a full disk,
/// leaves them as they were.
pub(super) fn compact_closed(
    connection: Connection,
    path: &Path,
    reopen: impl FnOnce() -> rusqlite::Result<Connection>,
) -> rusqlite::Result<Connection> {
    let draft = path.with_extension("sqlite-compact");
    let cleared = match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let written = cleared.map_err(|error| error.to_string()).and_then(|()| {
        let target = draft.to_str().ok_or("the path is not in UTF-8")?;
        connection.execute("VACUUM INTO ?1", [target]).map_err(|error| error.to_string())?;
        checkpoint(&connection).map_err(|error| error.to_string())
    });
    match written {
        Ok(true) => {}
        Ok(false) => return Ok(connection),
        Err(error) => {
            tracing::warn!(error, "the store could not be written anew");
            return Ok(connection);
        }
    }
    // With the last connection the write-ahead log goes too; it is empty already.
    drop(connection);
    let swapped = fs::File::open(&draft).and_then(|file| {
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    });
    let connection = reopen()?;
    match swapped {
        Ok(()) => {
            connection.execute("DELETE FROM meta WHERE name = ?1", [COMPACT])?;
        }
        Err(error) => tracing::warn!(%error, "the store could not be written anew"),
    }
    Ok(connection)
}

/// Writes the file anew if it is small enough for writers to wait; gives whether it was done.
pub(super) fn compact(inner: &Inner) -> Result<bool, Fault> {
    let (due, bytes) = inner.readers.with(|connection| {
        let pages: u64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok((is_compaction_due(connection)?, pages * page))
    })?;
    if !due || bytes > inner.options.compact_at_once_bytes {
        return Ok(!due);
    }
    let done = inner.writer.submit_alone(|connection| {
        connection.execute_batch("VACUUM")?;
        if checkpoint(connection)? {
            connection.execute("DELETE FROM meta WHERE name = ?1", [COMPACT])?;
        }
        Ok(())
    });
    if let Err(fault) = done {
        // Everything is removed; only the last traces wait for space, or for the next start.
        tracing::warn!(%fault, "the store could not be written anew");
    }
    inner.readers.with(|connection| Ok(!is_compaction_due(connection)?))
}

/// Folds the write-ahead log into the file and empties it; gives whether no reader was in the way.
fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "PRAGMA wal_checkpoint(TRUNCATE)",
        [],
        |row| Ok(row.get::<_, i64>(0)? == 0),
    )
}

fn begin(inner: &Inner, keep: &Scope) -> Result<(), Fault> {
    let scope = encode(keep);
    inner.writer.submit(move |batch| {
        let account = Account { wanted: true, ..account(batch.connection)? };
        set_meta(batch.connection, PURGE, &encode(&account))?;
        Ok(set_meta(batch.connection, SCOPE, &scope)?)
    })
}

/// Whether the store holds more than what lies inside.
fn is_anything_outside(connection: &Connection, keep: &Scope) -> rusqlite::Result<bool> {
    let mut all = 0;
    for category in summary::categories(connection)? {
        all += summary::of_prefix(connection, &KeyPrefix::category(category))?.count;
    }
    let inside = summary::overview(connection, keep)?;
    Ok(inside.iter().map(|(_, summary)| summary.count).sum::<u64>() < all)
}

/// Documents outside of a scope, after one, and where to go on.
type Page = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn outside(connection: &Connection, keep: &Scope, after: &[u8]) -> rusqlite::Result<Page> {
    let mut select = connection
        .prepare_cached("SELECT prefix FROM document WHERE prefix > ?1 ORDER BY prefix LIMIT ?2")?;
    let mut rows = select.query((after, DOCUMENTS_LOOKED_AT))?;
    let mut outside = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let prefix: Vec<u8> = row.get(0)?;
        last = Some(prefix.clone());
        if !keep.allows(&prefix) {
            outside.push(prefix);
            if outside.len() == DOCUMENTS_TOGETHER {
                break;
            }
        }
    }
    Ok((outside, last))
}

fn remove_documents(
    inner: &Inner,
    keep: &Scope,
    unsent: Unsent,
    mut doomed: Vec<Vec<u8>>,
    left: &mut UnsentLeft,
) -> Result<(), Fault> {
    while !doomed.is_empty() {
        let keep = keep.clone();
        let (rest, more) = inner.writer.submit(move |batch| {
            let mut account = account(batch.connection)?;
            let mut left = UnsentLeft::default();
            let before = account.changes;
            remember_last_row(batch.connection)?;
            while account.changes - before < CHANGES_TOGETHER
                && let Some(document) = doomed.pop()
            {
                if !keep.allows(&document) {
                    batch.remove_document(&document, unsent, &mut account, &mut left)?;
                }
            }
            if account.changes > before {
                note_removal(batch.connection)?;
                batch.tell_again()?;
                set_meta(batch.connection, PURGE, &encode(&account))?;
            }
            Ok::<_, Fault>((doomed, left))
        })?;
        doomed = rest;
        left.documents += more.documents;
        left.changes += more.changes;
    }
    Ok(())
}

/// A change on its way out.
struct Leaving {
    row: i64,
    key: SetKey,
    author: i64,
    seq: u64,
    bytes: u64,
    held_above: bool,
}

impl Batch<'_> {
    /// Takes a document out, or counts it as left.
    fn remove_document(
        &mut self,
        document: &[u8],
        unsent: Unsent,
        account: &mut Account,
        left: &mut UnsentLeft,
    ) -> rusqlite::Result<()> {
        let home = home_of(document)?;
        let leaving = self.leaving(document)?;
        let only_here =
            leaving.iter().any(|change| !change.held_above) || self.has_unsent_blob(document)?;
        if unsent == Unsent::Keep && only_here {
            left.documents += 1;
            left.changes += leaving.len() as u64;
            return Ok(());
        }
        let mut gone = Summary::default();
        for Leaving { row, key, author, seq, bytes, .. } in &leaving {
            remember_seq(self.connection, *author, *seq)?;
            outbox::leave(self, *row)?;
            self.connection.prepare_cached("DELETE FROM change WHERE row = ?1")?.execute([row])?;
            self.summaries.remove(key);
            gone.add(&key.change);
            account.changes += 1;
            account.bytes += bytes;
        }
        let Range { start, end } = Range::of(&KeyPrefix::document(&home));
        self.connection
            .prepare_cached("DELETE FROM equivocation WHERE first >= ?1 AND first < ?2")?
            .execute((&start, &end))?;
        self.connection
            .prepare_cached("DELETE FROM tainted WHERE key >= ?1 AND key < ?2")?
            .execute((start, end))?;
        self.connection
            .prepare_cached("DELETE FROM document WHERE prefix = ?1")?
            .execute([document])?;
        self.summaries.documents(home.category, -1);
        self.withdraw_rows(&home)?;
        self.mark_tainted(&home, &[])?;
        self.refer(&home, &[])?;
        account.documents += 1;
        add_part(self.connection, &part_of(&home), &gone)
    }

    fn leaving(&self, document: &[u8]) -> rusqlite::Result<Vec<Leaving>> {
        let covering = self.shared.ancestors.covering(document);
        let Range { start, end } = Range::of(&KeyPrefix::document(&home_of(document)?));
        let mut select = self.connection.prepare_cached(
            "SELECT change.row, key, author, seq, length(change.bytes), \
             coalesce(outbox.awaited, 0) FROM change LEFT JOIN outbox USING (row) \
             WHERE key >= ?1 AND key < ?2",
        )?;
        let rows = select.query_map((start, end), |row| {
            Ok(Leaving {
                row: row.get(0)?,
                key: key_of(row.get_ref(1)?.as_blob()?)?,
                author: row.get(2)?,
                seq: row.get(3)?,
                bytes: row.get(4)?,
                held_above: covering & !row.get::<_, u8>(5)? != 0,
            })
        })?;
        rows.collect()
    }
}

/// Where a document is counted in the account: its village, or its exact address above those.
fn part_of(home: &cunlian_protocol::change::Home) -> KeyPrefix {
    let village = home.address.truncate(Level::Village);
    let region = village.map_or_else(|| Region::exact(home.address), Region::subtree);
    KeyPrefix::region(home.category, &region)
}

fn add_part(connection: &Connection, part: &KeyPrefix, gone: &Summary) -> rusqlite::Result<()> {
    let mut total = *gone;
    let mut select = connection.prepare_cached("SELECT value FROM purged WHERE prefix = ?1")?;
    let mut rows = select.query([part.as_bytes()])?;
    if let Some(row) = rows.next()? {
        total.merge(&Summary::from_bytes(row.get_ref(0)?.as_blob()?).unwrap_or_default());
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO purged VALUES (?1, ?2)")?
        .execute((part.as_bytes(), total.to_bytes()))?;
    Ok(())
}

/// What is in quarantine goes with its scope, and so does what cannot be read: nobody can tell
/// whose it is. A few at a time, as documents are.
fn clear_quarantine(inner: &Inner, keep: &Scope) -> Result<(), Fault> {
    let mut after = Some(0);
    while let Some(from) = after {
        let (rows, next) =
            inner.readers.with(|connection| Ok(quarantined_outside(connection, keep, from)?))?;
        after = next;
        if rows.is_empty() {
            continue;
        }
        inner.writer.submit(move |batch| {
            let sql = "DELETE FROM quarantine WHERE row = ?1";
            let mut delete = batch.connection.prepare_cached(sql)?;
            for row in rows {
                delete.execute([row])?;
            }
            Ok::<_, Fault>(note_removal(batch.connection)?)
        })?;
    }
    Ok(())
}

/// Rows of the quarantine outside of a scope, after one, and where to go on.
type Rows = (Vec<i64>, Option<i64>);

fn quarantined_outside(
    connection: &Connection,
    keep: &Scope,
    after: i64,
) -> rusqlite::Result<Rows> {
    let sql = "SELECT row, document FROM quarantine WHERE row > ?1 ORDER BY row";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([after])?;
    let mut outside = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        if row.get_ref(1)?.as_blob_or_null()?.is_none_or(|document| !keep.allows(document)) {
            outside.push(number);
            if outside.len() == DOCUMENTS_TOGETHER {
                return Ok((outside, Some(number)));
            }
        }
    }
    Ok((outside, None))
}

fn result(
    connection: &Connection,
    unsent: UnsentLeft,
    compacted: bool,
) -> rusqlite::Result<Purged> {
    let Account { changes, documents, bytes, .. } = account(connection)?;
    let mut select = connection.prepare("SELECT prefix, value FROM purged ORDER BY prefix")?;
    let mut rows = select.query([])?;
    let mut parts = Vec::new();
    let mut digest = Summary::default();
    while let Some(row) = rows.next()? {
        let prefix = KeyPrefix::from_bytes(row.get_ref(0)?.as_blob()?);
        let part = Summary::from_bytes(row.get_ref(1)?.as_blob()?);
        let (Ok(prefix), Some(part)) = (prefix, part) else { continue };
        digest.merge(&part);
        parts.push((prefix, part));
    }
    Ok(Purged { changes, documents, bytes, digest, parts, unsent, compacted })
}

fn account(connection: &Connection) -> rusqlite::Result<Account> {
    let bytes = meta(connection, PURGE)?.unwrap_or_default();
    Ok(postcard::from_bytes(&bytes).unwrap_or_default())
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("scopes and numbers are encodable")
}
