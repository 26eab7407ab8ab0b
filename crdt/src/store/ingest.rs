//! Taking in changes from peers.
//!
//! ```text
//!  caller's thread, spread over the cores            writer thread
//!  decode → known? → may the author? → signatures
//!         → payload → document → rows          ──►   still the same? → one transaction
//! ```
//!
//! The work before the transaction is done on a snapshot. The writer looks whether document and
//! authority are still what they were, and does the work again if they are not, so the outcome is
//! that of one batch after the other. A bad change is refused with its reason, kept in quarantine,
//! and costs the others nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::sync::{Carried, Fate};
use rayon::prelude::*;
use rusqlite::Connection;

use super::checking::{Candidate, Fates, Sender, check, decode, known};
use super::commit::{Addition, New};
use super::health::Fault;
use super::materialize::{Base, Outcome, base, payloads, project};
use super::reading::{changes_of, row_of};
use super::writer::Batch;
use super::{Inner, outbox, quarantine};
use crate::history::History;
use crate::projector::Projector;

/// The candidates of one document, worked out on top of `base`.
#[derive(Debug)]
struct Prepared {
    home: Home,
    base: Base,
    candidates: Vec<Candidate>,
    outcome: Outcome,
}

/// Checks a batch and makes it durable; gives id and fate of each change, in order.
pub(super) fn ingest(
    inner: &Inner,
    sender: &Sender,
    carried: Vec<Carried>,
) -> Result<Vec<(ChangeId, Fate)>, Fault> {
    let authority = inner.shared.authority();
    let from = sender.serial;
    let mut fates = Fates::new(carried.len());
    let (ids, decoded) = decode(&carried, &sender.scope, &mut fates);
    // What a peer says of tiers above this node counts only if it stands above itself.
    let reached = |place: usize| match sender.tiers {
        0 => 0,
        tiers => tiers | carried.get(place).map_or(0, |carried| carried.reached),
    };
    // One snapshot for what is known and what the documents are: a change that another batch
    // adds in between would be neither known here nor seen as a difference by the writer.
    let (prepared, held) = inner.readers.with(|connection| {
        let known = known(connection, &decoded)?;
        let (old, new): (Vec<_>, Vec<_>) =
            decoded.into_iter().partition(|(_, change)| known.contains_key(&change.id()));
        for (place, _) in &old {
            fates.set(*place, Fate::Known);
        }
        let held = old.iter().filter_map(|(place, change)| {
            let bits = reached(*place);
            known.get(&change.id()).filter(|_| bits != 0).map(|row| (*row, bits))
        });
        let held: Vec<(i64, u8)> = held.collect();
        let candidates = check(&authority, new, reached, &mut fates);
        let projector = &*inner.shared.projector;
        Ok((prepare(connection, projector, &authority, candidates, &mut fates)?, held))
    })?;
    if prepared.is_empty() && fates.refused.is_empty() && held.is_empty() {
        return Ok(finish(&ids, fates));
    }
    inner.writer.submit(move |batch| {
        for (row, bits) in held {
            outbox::mark_reached(batch.connection, row, bits)?;
        }
        for document in prepared {
            batch.take_in(document, &authority, &from, &mut fates)?;
        }
        quarantine::keep(batch.connection, &from, &fates.refused, &carried)?;
        Ok(finish(&ids, fates))
    })
}

/// A change that came twice in the batch has no fate of its own: it is known if the other one
/// was taken in.
fn finish(ids: &[ChangeId], fates: Fates) -> Vec<(ChangeId, Fate)> {
    let mut first: HashMap<ChangeId, Fate> = HashMap::new();
    for (id, fate) in ids.iter().zip(&fates.fates) {
        if let Some(fate) = fate {
            first.insert(*id, fate.clone());
        }
    }
    let repeated = |id: &ChangeId| match first.get(id) {
        Some(Fate::Accepted) | None => Fate::Known,
        Some(fate) => fate.clone(),
    };
    ids.iter()
        .zip(fates.fates)
        .map(|(id, fate)| (*id, fate.unwrap_or_else(|| repeated(id))))
        .collect()
}

/// Works out every document, in key order.
fn prepare(
    connection: &Connection,
    projector: &dyn Projector,
    authority: &Authority,
    candidates: Vec<Candidate>,
    fates: &mut Fates,
) -> Result<Vec<Prepared>, Fault> {
    let mut by_home: BTreeMap<Home, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        by_home.entry(candidate.change.header().home).or_default().push(candidate);
    }
    let mut documents = Vec::with_capacity(by_home.len());
    for (home, candidates) in by_home {
        let base = base(connection, &home)?;
        let existing = match base.changes {
            0 => Vec::new(),
            _ => changes_of(connection, &home)?,
        };
        documents.push((home, base, existing, candidates));
    }
    let worked_out: Vec<_> = documents
        .into_par_iter()
        .map(|(home, base, existing, candidates)| {
            work_out(projector, authority, home, base, &existing, candidates)
        })
        .collect();
    let mut prepared = Vec::with_capacity(worked_out.len());
    for (document, refused) in worked_out {
        fates.refuse_all(&refused);
        prepared.extend(document);
    }
    Ok(prepared)
}

type WorkedOut = (Option<Prepared>, Vec<(usize, String)>);

/// One document with its candidates; those that cannot be taken in come with the reason.
fn work_out(
    projector: &dyn Projector,
    authority: &Authority,
    home: Home,
    base: Base,
    existing: &[VerifiedChange],
    candidates: Vec<Candidate>,
) -> WorkedOut {
    let mut refused = Vec::new();
    let mut bytes = base.bytes;
    let mut fitting = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let length = candidate.change.bytes().len() as u64;
        if bytes + length > limits::DOCUMENT_BYTES as u64 {
            let limit = limits::DOCUMENT_BYTES;
            let reason = format!("the document would have more than {limit} bytes");
            refused.push((candidate.place, reason));
        } else {
            bytes += length;
            fitting.push(candidate);
        }
    }
    if fitting.is_empty() {
        return (None, refused);
    }
    let (mut payloads, mut opaque) = payloads(existing);
    for candidate in &fitting {
        match &candidate.payload {
            Some(payload) => payloads.push(payload.clone()),
            None => opaque += 1,
        }
    }
    match project(projector, authority, &History::new(home, payloads, opaque)) {
        Ok(outcome) => (Some(Prepared { home, base, candidates: fitting, outcome }), refused),
        Err(panicked) => {
            let places = fitting.iter().map(|candidate| (candidate.place, panicked.to_string()));
            refused.extend(places);
            (None, refused)
        }
    }
}

impl Batch<'_> {
    /// Adds a prepared document, after doing the work again if it is out of date.
    fn take_in(
        &mut self,
        prepared: Prepared,
        seen: &Arc<Authority>,
        from: &Serial,
        fates: &mut Fates,
    ) -> rusqlite::Result<()> {
        let now = base(self.connection, &prepared.home)?;
        let current = now == prepared.base && Arc::ptr_eq(seen, &self.authority);
        let prepared = if current { Some(prepared) } else { self.again(prepared, now, fates)? };
        let Some(Prepared { home, base, candidates, outcome }) = prepared else { return Ok(()) };
        let mut new = Vec::with_capacity(candidates.len());
        for Candidate { place, change, reached, .. } in candidates {
            fates.set(place, Fate::Accepted);
            new.push(New { change, reached });
        }
        self.add(Addition { home, base, new, outcome }, Some(from))
    }

    fn again(
        &self,
        prepared: Prepared,
        base: Base,
        fates: &mut Fates,
    ) -> rusqlite::Result<Option<Prepared>> {
        let mut candidates = Vec::with_capacity(prepared.candidates.len());
        for candidate in prepared.candidates {
            if row_of(self.connection, &candidate.change.key())?.is_some() {
                fates.set(candidate.place, Fate::Known);
            } else if let Err(refusal) =
                self.authority.may_write(candidate.change.header(), &candidate.change.id())
            {
                fates.refuse(candidate.place, &refusal);
            } else {
                candidates.push(candidate);
            }
        }
        let existing = changes_of(self.connection, &prepared.home)?;
        let projector = &*self.shared.projector;
        let (prepared, refused) =
            work_out(projector, &self.authority, prepared.home, base, &existing, candidates);
        fates.refuse_all(&refused);
        Ok(prepared)
    }
}
