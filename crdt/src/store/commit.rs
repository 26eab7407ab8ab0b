//! Putting one document's new changes into the transaction: log, document, summaries,
//! projections and outbox together.

use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody};
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::key::{KeyPrefix, SetKey};
use rusqlite::OptionalExtension as _;

use super::materialize::{Base, Outcome};
use super::outbox::{self, Waits};
use super::rows::{Range, insert_sql};
use super::writer::Batch;
use crate::projector::Row;

/// One new change and the tiers above (bits) known to hold it.
#[derive(Debug)]
pub(super) struct New {
    pub(super) change: VerifiedChange,
    pub(super) reached: u8,
}

/// New changes of one document and what the document comes to with them.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) home: Home,
    /// The document before.
    pub(super) base: Base,
    pub(super) new: Vec<New>,
    pub(super) outcome: Outcome,
}

impl Batch<'_> {
    /// Writes everything that follows from the addition. `origin` is the peer it came from.
    pub(super) fn add(
        &mut self,
        addition: Addition,
        origin: Option<&Serial>,
    ) -> rusqlite::Result<()> {
        let Addition { home, base, new, outcome } = addition;
        let origin = origin.map_or(Ok(0), |origin| self.author(origin))?;
        let document = KeyPrefix::document(&home);
        let awaiting = self.shared.ancestors.covering(document.as_bytes());
        let mut bytes = base.bytes;
        for New { change, reached } in &new {
            bytes += change.bytes().len() as u64;
            let row = self.log(change, origin)?;
            let recorded_at_ms = change.header().recorded_at_ms;
            let key = change.key();
            let waits =
                Waits { awaited: awaiting & !reached, recorded_at_ms, bytes: change.bytes().len() };
            outbox::enter(self, row, &key, waits)?;
        }
        let added = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO document VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (prefix) \
             DO UPDATE SET changes = ?2, waiting = ?3, conflicted = ?4, bytes = ?5, beyond = ?6",
        )?;
        let changes = base.changes.saturating_add(added);
        upsert.execute((
            document.as_bytes(),
            changes,
            outcome.waiting,
            outcome.conflicted,
            bytes,
            outcome.beyond,
            origin,
        ))?;
        if base.changes == 0 {
            self.summaries.documents(home.category, 1);
        } else {
            self.withdraw_rows(&home)?;
            self.mark_tainted(&home, &outcome.tainted)?;
        }
        if base.changes > 0 || !outcome.blobs.is_empty() {
            self.refer(&home, &outcome.blobs)?;
        }
        self.insert_rows(outcome.rows)
    }

    /// Notes which changes of a document are tainted, and whether a person has looked at each.
    pub(super) fn mark_tainted(
        &self,
        home: &Home,
        tainted: &[(ChangeId, bool)],
    ) -> rusqlite::Result<()> {
        let Range { start, end } = Range::of(&KeyPrefix::document(home));
        let sql = "DELETE FROM tainted WHERE key >= ?1 AND key < ?2";
        self.connection.prepare_cached(sql)?.execute((start, end))?;
        for (change, reviewed) in tainted {
            let key = SetKey { home: *home, change: *change }.to_bytes();
            let sql = "INSERT INTO tainted VALUES (?1, ?2)";
            self.connection.prepare_cached(sql)?.execute((key, reviewed))?;
        }
        Ok(())
    }

    pub(super) fn insert_rows(&mut self, rows: Vec<Row>) -> rusqlite::Result<()> {
        self.roll_up(&rows);
        for Row { table, values } in rows {
            let columns = values.len();
            let sql = self.memory.inserts.entry((table, columns));
            let sql = sql.or_insert_with(|| insert_sql(table, columns));
            let mut insert = self.connection.prepare_cached(sql)?;
            insert.execute(rusqlite::params_from_iter(values))?;
        }
        Ok(())
    }

    pub(super) fn log(&mut self, change: &VerifiedChange, origin: i64) -> rusqlite::Result<i64> {
        let header = change.header();
        let key = change.key();
        let key_bytes = key.to_bytes();
        let author = self.author(&header.author)?;
        let is_later = header.seq > self.last_seq(author)?;
        let is_new = is_later || self.watch_for_equivocation(author, header.seq, &key_bytes)?;
        self.set_back |= origin != 0 && is_new && self.writes_here(&header.author, author)?;
        self.saw_seq(author, header.seq);
        let row = self.next_row()?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO change (row, key, author, seq, origin, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        insert.execute((row, key_bytes, author, header.seq, origin, change.bytes()))?;
        self.summaries.add(&key);
        self.added += 1;
        Ok(row)
    }

    /// Whether this author's changes are made at this node and nowhere else: the node itself, and
    /// a person whom it certified and who has written here. What comes back after a purge or a
    /// revocation was numbered here before; a number that was not is of a later state of this node
    /// that is gone, or of another machine.
    fn writes_here(&self, serial: &Serial, author: i64) -> rusqlite::Result<bool> {
        let Some(own) = self.shared.own else { return Ok(false) };
        let certificate = self.authority.get(serial).map(Certificate::body);
        let is_person =
            |body: &CertificateBody| body.kind == AuthorKind::Operator && body.issuer == Some(own);
        if *serial == own || !certificate.is_some_and(is_person) {
            return Ok(*serial == own);
        }
        let sql = "SELECT 1 FROM change WHERE author = ?1 AND origin = 0 LIMIT 1";
        self.connection.prepare_cached(sql)?.exists([author])
    }

    /// Notes it when another change has this number already.
    fn watch_for_equivocation(
        &mut self,
        author: i64,
        seq: u64,
        second: &[u8],
    ) -> rusqlite::Result<bool> {
        let mut select = self
            .connection
            .prepare_cached("SELECT key FROM change WHERE author = ?1 AND seq = ?2 LIMIT 1")?;
        let first = select.query_row((author, seq), |row| row.get::<_, Vec<u8>>(0)).optional()?;
        let Some(first) = first else { return Ok(false) };
        tracing::warn!(author, seq, "an author gave one number to two changes; both are kept");
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO equivocation VALUES (?1, ?2, ?3, ?4)")?
            .execute((author, seq, first, second))?;
        Ok(true)
    }
}
