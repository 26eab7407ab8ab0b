//! Carrying out what [`super::validity`] found of one document: log, quarantine, outbox, summary,
//! document and projections together, in the transaction of the writer.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, SignedChange, VerifiedChange};
use cunlian_protocol::id::Serial;
use cunlian_protocol::key::KeyPrefix;
use cunlian_protocol::signing::{self, Context};
use rusqlite::Connection;

use super::erased::erases;
use super::materialize::{Outcome, base};
use super::outbox::{self, Waits};
use super::rows::{Range, damaged, remember_last_row};
use super::validity::{Entry, Settled, Source};
use super::writer::{Batch, remember_seq};
use super::{purge, quarantine};
use crate::history::payload::Reading;

/// All there is of a document, in the log and withheld.
pub(super) fn entries(
    connection: &Connection,
    authority: &Authority,
    home: &Home,
) -> rusqlite::Result<Vec<Entry>> {
    let Range { start, end } = Range::of(&KeyPrefix::document(home));
    let mut select = connection.prepare_cached(
        "SELECT row, author, origin, bytes FROM change WHERE key >= ?1 AND key < ?2 ORDER BY key",
    )?;
    let mut rows = select.query((start, end))?;
    let mut entries = Vec::new();
    let mut reading = Reading::default();
    let mut entry = |change: VerifiedChange, source| {
        let payload = reading.read(&change);
        Entry { change, payload, source }
    };
    while let Some(row) = rows.next()? {
        let source = Source::Log { row: row.get(0)?, author: row.get(1)?, origin: row.get(2)? };
        let change = SignedChange::from_log(row.get(3)?);
        entries.push(entry(change.map_err(|error| damaged(Box::new(error)))?, source));
    }
    for (row, change) in verified(authority, quarantine::withheld(connection, home)?) {
        entries.push(entry(change, Source::Quarantine { row }));
    }
    Ok(entries)
}

/// Changes out of quarantine, those whose right and signature still hold.
fn verified(
    authority: &Authority,
    mut changes: Vec<(i64, SignedChange)>,
) -> Vec<(i64, VerifiedChange)> {
    changes.retain(|(_, change)| {
        let header = change.header();
        authority.may(&header.author, header.kind.needs(), &header.home).is_ok()
    });
    let claim = |(_, change): &(i64, SignedChange)| {
        Some(change.claim(authority.get(&change.header().author)?.body().subject))
    };
    let claims: Vec<_> = changes.iter().filter_map(claim).collect();
    let holds = signing::verify_all(Context::Change, &claims);
    let checked = changes.into_iter().zip(holds);
    checked.filter_map(|((row, change), holds)| Some((row, change.verified(holds).ok()?))).collect()
}

impl Batch<'_> {
    /// All there is of a document, as this transaction sees it.
    pub(super) fn entries(&self, home: &Home) -> rusqlite::Result<Vec<Entry>> {
        entries(self.connection, &self.authority, home)
    }

    /// Puts every change of a document in its place. `from` is the peer that changes of the batch
    /// came from.
    pub(super) fn place(
        &mut self,
        settled: Settled,
        outcome: Outcome,
        from: Option<&Serial>,
    ) -> rusqlite::Result<()> {
        self.arrange(settled, outcome, from)?;
        self.take_out()
    }

    /// As [`Batch::place`], but what leaves the log does so with [`Batch::take_out`].
    pub(super) fn arrange(
        &mut self,
        settled: Settled,
        outcome: Outcome,
        from: Option<&Serial>,
    ) -> rusqlite::Result<()> {
        let Settled { home, erased, kept, withheld, .. } = settled;
        if erased {
            quarantine::forget_refused(self.connection, &home)?;
        }
        let leaves = withheld.iter().any(|(entry, _)| matches!(entry.source, Source::Log { .. }));
        if leaves {
            remember_last_row(self.connection)?;
        }
        let added = self.added;
        for (entry, reason) in withheld {
            self.put_aside(&entry, &reason, erased, from)?;
        }
        let origin = from.map_or(Ok(0), |from| self.author(from))?;
        let awaiting = self.shared.ancestors.covering(KeyPrefix::document(&home).as_bytes());
        let (mut changes, mut bytes) = (0_u32, 0_u64);
        for entry in kept {
            changes += 1;
            bytes += self.take(entry, erased, awaiting, origin)?;
        }
        self.describe(&home, (changes, bytes), outcome, origin)?;
        // What is added is told by its row of the log. Without a peer it is the authority that
        // changed, and with it what stands in the document.
        if self.added == added && (leaves || from.is_none()) {
            self.touch(&home)?;
        }
        Ok(())
    }

    /// Brings one kept change into the log in its form; gives its bytes.
    fn take(
        &mut self,
        entry: Entry,
        erased: bool,
        awaiting: u8,
        origin: i64,
    ) -> rusqlite::Result<u64> {
        let Entry { change, source, .. } = entry;
        let wipes = erased && !erases(&change) && !change.is_stub();
        let change = if wipes { change.stub() } else { change };
        let length = change.bytes().len();
        let (reached, origin) = match source {
            Source::Log { row, .. } => {
                if wipes {
                    self.wipe(row, &change)?;
                }
                return Ok(length as u64);
            }
            Source::Batch { reached } => (reached, origin),
            Source::Quarantine { .. } => (0, 0),
        };
        let row = self.log(&change, origin)?;
        let recorded_at_ms = change.header().recorded_at_ms;
        let waits = Waits { awaited: awaiting & !reached, recorded_at_ms, bytes: length };
        outbox::enter(self, row, &change.key(), waits)?;
        // A copy with its payload may be withheld of what came in as a stub.
        quarantine::release(self.connection, &change.id())?;
        if wipes && matches!(source, Source::Quarantine { .. }) {
            self.note_wiped()?;
        }
        Ok(length as u64)
    }

    /// Overwrites the payload of a change of the log.
    fn wipe(&mut self, row: i64, stub: &VerifiedChange) -> rusqlite::Result<()> {
        self.note_wiped()?;
        self.connection
            .prepare_cached("UPDATE change SET bytes = ?2 WHERE row = ?1")?
            .execute((row, stub.bytes()))?;
        outbox::resize(self, row, stub.bytes().len())
    }

    fn note_wiped(&mut self) -> rusqlite::Result<()> {
        if !self.wiped {
            self.wiped = true;
            purge::note_removal(self.connection)?;
        }
        Ok(())
    }

    /// Brings one change that is not kept into quarantine, out of the log if it is there.
    fn put_aside(
        &mut self,
        entry: &Entry,
        reason: &str,
        erased: bool,
        from: Option<&Serial>,
    ) -> rusqlite::Result<()> {
        let Entry { change, source, .. } = entry;
        let wipes = erased && !change.is_stub();
        let stub = wipes.then(|| change.stub());
        let bytes = stub.as_ref().unwrap_or(change).bytes();
        let (id, header) = (change.id(), change.header());
        self.memory.nothing_withheld = false;
        match source {
            Source::Quarantine { row } => {
                if wipes {
                    self.note_wiped()?;
                    quarantine::overwrite(self.connection, *row, bytes)?;
                }
                Ok(())
            }
            Source::Batch { .. } => {
                let from = from.unwrap_or(&header.author);
                tracing::debug!(%from, change = %id, reason, "a change is withheld");
                quarantine::withhold(self.connection, from, &id, &header.home, reason, bytes)
            }
            Source::Log { row, author, origin } => {
                if wipes {
                    self.note_wiped()?;
                }
                let from = self.serial(*origin)?.unwrap_or(header.author);
                quarantine::withhold(self.connection, &from, &id, &header.home, reason, bytes)?;
                remember_seq(self.connection, *author, header.seq)?;
                outbox::leave(self, *row)?;
                self.leaving.push(*row);
                self.summaries.remove(&change.key());
                Ok(())
            }
        }
    }

    /// Takes what was put aside out of the log: all by one statement, for each such statement
    /// walks the list of all that its transaction has changed so far, which SQLite keeps in memory.
    pub(super) fn take_out(&mut self) -> rusqlite::Result<()> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let rows: Vec<String> = self.leaving.drain(..).map(|row| row.to_string()).collect();
        let sql = "DELETE FROM change WHERE row IN (SELECT value FROM json_each(?1))";
        self.connection.prepare_cached(sql)?.execute([format!("[{}]", rows.join(","))])?;
        Ok(())
    }

    /// What the tables say of a document. `origin` is where it comes from if it is new.
    fn describe(
        &mut self,
        home: &Home,
        (changes, bytes): (u32, u64),
        outcome: Outcome,
        origin: i64,
    ) -> rusqlite::Result<()> {
        let document = KeyPrefix::document(home);
        self.withdraw_rows(home)?;
        self.mark_tainted(home, &outcome.tainted)?;
        self.refer(home, if changes == 0 { &[] } else { &outcome.blobs })?;
        if changes == 0 {
            let sql = "DELETE FROM document WHERE prefix = ?1";
            if self.connection.prepare_cached(sql)?.execute([document.as_bytes()])? > 0 {
                self.summaries.documents(home.category, -1);
            }
            return Ok(());
        }
        if base(self.connection, home)?.changes == 0 {
            self.summaries.documents(home.category, 1);
        }
        self.connection
            .prepare_cached(
                "INSERT INTO document VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (prefix) \
                 DO UPDATE SET changes = ?2, waiting = ?3, conflicted = ?4, bytes = ?5, beyond = ?6",
            )?
            .execute((
                document.as_bytes(),
                changes,
                outcome.waiting,
                outcome.conflicted,
                bytes,
                outcome.beyond,
                origin,
            ))?;
        self.insert_rows(outcome.rows)
    }

    /// The serial behind a small number; `None` for 0.
    fn serial(&self, number: i64) -> rusqlite::Result<Option<Serial>> {
        let mut select =
            self.connection.prepare_cached("SELECT serial FROM author WHERE id = ?1")?;
        let serials = select.query_map([number], |row| Ok(Serial(row.get(0)?)))?;
        serials.last().transpose()
    }
}
