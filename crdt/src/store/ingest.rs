//! Taking in changes from peers.
//!
//! ```text
//!  caller's thread, spread over the cores            writer thread
//!  decode → known? → may the author? → signatures
//!         → payload → document → rows          ──►   still the same? → one transaction
//! ```
//!
//! The work before the transaction is done on a snapshot, for documents in which everything stands
//! and nothing is erased. Others are settled by the writer ([`super::validity`]).
//! The writer looks whether document and authority are still what they were, and does the work again if they are not, so the outcome is
//! that of one batch after the other. A bad change is refused with its reason, kept in quarantine,
//! and costs the others nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{ChangeKind, Home, VerifiedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::sync::{Carried, Fate};
use rayon::prelude::*;
use rusqlite::Connection;

use super::checking::{Candidate, Fates, Sender, check, decode, known};
use super::commit::{Addition, New};
use super::health::Fault;
use super::materialize::{Base, Outcome, base, project};
use super::reading::Reader;
use super::replay::{history, read};
use super::rows::{changes_of, row_of};
use super::validity::{Entry, Source, settle};
use super::writer::{Batch, Part};
use super::{Inner, erasure, outbox, quarantine, quota};
use crate::history::payload::Reading;
use crate::projector::Projector;

/// Bytes of documents, what is new of them included, that are worked out side by side. Each takes
/// many times the memory while it is.
const TOGETHER_BYTES: u64 = 1 << 20;
/// Bytes of rows that wait for the writer. What a batch makes beyond that is worked out by the
/// writer, one document after the other.
const OUTCOME_BYTES: usize = 8 << 20;

const _: () = assert!(
    (limits::BATCH_BYTES + limits::CHANGE_BYTES) as u64 <= TOGETHER_BYTES,
    "a batch of new documents must be worked out in one go"
);

/// The candidates of one document, worked out on top of `base`.
#[derive(Debug)]
struct Prepared {
    home: Home,
    base: Base,
    /// Without their payloads, which take many times the memory.
    candidates: Vec<Candidate>,
    /// `None` when there is more to it than adding what stands; the writer then does it all.
    outcome: Option<Outcome>,
}

impl Prepared {
    /// The writer does all the work.
    fn left_to_writer(home: Home, base: Base, mut candidates: Vec<Candidate>) -> Self {
        for candidate in &mut candidates {
            candidate.payload = None;
        }
        Self { home, base, candidates, outcome: None }
    }

    fn outcome_bytes(&self) -> usize {
        self.outcome.as_ref().map_or(0, Outcome::bytes)
    }
}

/// Ids and fates, and whether this node made one of the changes and did not know it.
pub(super) type Ingested = (Vec<(ChangeId, Fate)>, bool);

/// Checks a batch and makes it durable; gives id and fate of each change, in order.
pub(super) fn ingest(
    inner: &Inner,
    sender: Sender,
    carried: Vec<Carried>,
) -> Result<Ingested, Fault> {
    let authority = inner.shared.authority();
    let from = sender.serial;
    let mut fates = Fates::new(carried.len());
    let (ids, decoded) = decode(&carried, &sender.scope, &mut fates);
    // What a peer says of tiers above this node counts only if it stands above itself.
    let tiers = sender.tiers;
    let reached = |place: usize| match tiers {
        0 => 0,
        tiers => tiers | carried.get(place).map_or(0, |carried| carried.reached),
    };
    // One snapshot for what is known and what the documents are: a change that another batch
    // adds in between would be neither known here nor seen as a difference by the writer.
    let (prepared, held) = inner.readers.with_for(Reader::Batch, |connection| {
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
        let usual = &inner.options.quota;
        let new = quota::admit(connection, &authority, usual, &sender, new, &mut fates)?;
        let candidates = check(&authority, new, reached, &mut fates);
        let projector = &*inner.shared.projector;
        Ok((prepare(connection, projector, &authority, candidates, &mut fates)?, held))
    })?;
    if prepared.is_empty() && fates.refused.is_empty() && held.is_empty() {
        return Ok((finish(&ids, fates), false));
    }
    let mut held = held.into_iter();
    let mut documents = prepared.into_iter();
    let (mut wiped, mut set_back) = (false, false);
    let (ingested, wiped) = inner.writer.submit_in_parts(move |batch| {
        for (row, bits) in held.by_ref() {
            outbox::mark_reached(batch, row, bits)?;
        }
        for document in documents.by_ref() {
            batch.take_in(document, &authority, &from, &mut fates)?;
            if batch.should_pause() {
                break;
            }
        }
        wiped |= batch.wiped;
        if batch.set_back && !set_back && !batch.is_suspended() {
            // An older state of this node came back, and its followers are further than it is.
            batch.tell_again()?;
        }
        set_back |= batch.set_back;
        if documents.len() > 0 {
            return Ok(Part::Paused);
        }
        quota::count(batch.connection, &authority, &sender, &carried, &fates.each)?;
        quarantine::keep(batch.connection, &from, &fates.refused, &carried, &ids)?;
        if fates.withheld {
            quarantine::bound(batch.connection)?;
        }
        let fates = std::mem::replace(&mut fates, Fates::new(0));
        Ok::<_, Fault>(Part::Done(((finish(&ids, fates), set_back), wiped)))
    })?;
    if wiped {
        erasure::compact(inner);
    }
    Ok(ingested)
}

/// A change that came twice in the batch has no fate of its own: it is known if the other one
/// was taken in.
fn finish(ids: &[ChangeId], fates: Fates) -> Vec<(ChangeId, Fate)> {
    let mut first: HashMap<ChangeId, Fate> = HashMap::new();
    for (id, fate) in ids.iter().zip(&fates.each) {
        if let Some(fate) = fate {
            first.insert(*id, fate.clone());
        }
    }
    let repeated = |id: &ChangeId| match first.get(id) {
        Some(Fate::Accepted) | None => Fate::Known,
        Some(fate) => fate.clone(),
    };
    ids.iter()
        .zip(fates.each)
        .map(|(id, fate)| (*id, fate.unwrap_or_else(|| repeated(id))))
        .collect()
}

/// Works out every document, in key order, a few at a time.
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
    let mut prepared = Vec::with_capacity(by_home.len());
    let mut outcome_bytes = 0;
    let mut rest = by_home.into_iter().peekable();
    while rest.peek().is_some() {
        if outcome_bytes > OUTCOME_BYTES {
            for (home, candidates) in rest {
                let base = base(connection, &home)?;
                prepared.push(Prepared::left_to_writer(home, base, candidates));
            }
            break;
        }
        let mut documents = Vec::new();
        let mut bytes = 0;
        while bytes < TOGETHER_BYTES
            && let Some((home, candidates)) = rest.next()
        {
            let base = base(connection, &home)?;
            let existing = match base.changes {
                0 => Vec::new(),
                _ => changes_of(connection, &home)?,
            };
            let new = candidates.iter().map(|candidate| candidate.change.bytes().len() as u64);
            bytes += base.bytes + new.sum::<u64>();
            documents.push((home, base, existing, candidates));
        }
        let worked_out: Vec<_> = documents
            .into_par_iter()
            .map(|(home, base, existing, candidates)| {
                work_out(projector, authority, home, base, &existing, candidates)
            })
            .collect();
        for (document, refused) in worked_out {
            fates.refuse_all(&refused);
            if rest.peek().is_some() {
                outcome_bytes += document.as_ref().map_or(0, Prepared::outcome_bytes);
            }
            prepared.extend(document);
        }
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
    let new = candidates.iter().map(|candidate| &candidate.change);
    if !existing.iter().chain(new).all(|change| is_plain(authority, change)) {
        return (Some(Prepared::left_to_writer(home, base, candidates)), Vec::new());
    }
    let mut refused = Vec::new();
    let mut bytes = base.bytes;
    let mut fitting = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let length = candidate.change.bytes().len() as u64;
        if bytes + length > limits::DOCUMENT_BYTES as u64 {
            refused.push((candidate.place, too_large()));
        } else {
            bytes += length;
            fitting.push(candidate);
        }
    }
    if fitting.is_empty() {
        return (None, refused);
    }
    let mut changes = read(existing);
    let payloads: Vec<_> = fitting.iter_mut().map(|c| c.payload.take()).collect();
    changes.extend(fitting.iter().map(|c| &c.change).zip(payloads));
    match project(projector, authority, &history(authority, home, changes)) {
        Ok(outcome) => {
            let outcome = Some(outcome);
            (Some(Prepared { home, base, candidates: fitting, outcome }), refused)
        }
        Err(panicked) => {
            let places = fitting.iter().map(|candidate| (candidate.place, panicked.to_string()));
            refused.extend(places);
            (None, refused)
        }
    }
}

/// Whether a change is what nearly all are: an edit that stands and has its payload.
fn is_plain(authority: &Authority, change: &VerifiedChange) -> bool {
    let header = change.header();
    header.kind != ChangeKind::ERASE
        && !change.is_stub()
        && authority.stands(&header.author, header.seq, Some(&change.id())).is_ok()
}

fn too_large() -> String {
    format!("the document would have more than {} bytes", limits::DOCUMENT_BYTES)
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
        let Prepared { home, base: before, candidates, outcome } = prepared;
        let current = base(self.connection, &home)? == before
            && Arc::ptr_eq(seen, &self.authority)
            && !self.is_any_withheld(&home)?;
        let Some(outcome) = outcome.filter(|_| current) else {
            return self.take_in_settled(home, candidates, from, fates);
        };
        let mut new = Vec::with_capacity(candidates.len());
        for Candidate { place, change, reached, .. } in candidates {
            fates.set(place, Fate::Accepted);
            new.push(New { change, reached });
        }
        self.add(Addition { home, base: before, new, outcome }, Some(from))
    }

    /// Puts candidates and all there is of their document in their places.
    fn take_in_settled(
        &mut self,
        home: Home,
        candidates: Vec<Candidate>,
        from: &Serial,
        fates: &mut Fates,
    ) -> rusqlite::Result<()> {
        let mut entries = self.entries(&home)?;
        let mut bytes = base(self.connection, &home)?.bytes;
        let mut places = Vec::with_capacity(candidates.len());
        let mut reading = Reading::default();
        for Candidate { place, change, reached, .. } in candidates {
            let header = change.header();
            if self.authority.stands(&header.author, header.seq, Some(&change.id())).is_ok() {
                bytes += change.bytes().len() as u64;
            }
            if row_of(self.connection, &change.key())?.is_some() {
                fates.set(place, Fate::Known);
            } else if bytes > limits::DOCUMENT_BYTES as u64 {
                fates.refuse(place, &too_large());
            } else {
                places.push((change.id(), place));
                let payload = reading.read(&change);
                entries.push(Entry { change, payload, source: Source::Batch { reached } });
            }
        }
        let settled = settle(&self.authority, home, entries);
        let projected = project(&*self.shared.projector, &self.authority, &settled.history);
        let outcome = match projected {
            Ok(outcome) => outcome,
            Err(panicked) => {
                for (_, place) in places {
                    fates.refuse(place, &panicked);
                }
                return Ok(());
            }
        };
        let reasons: HashMap<ChangeId, &str> =
            settled.withheld.iter().map(|(e, reason)| (e.change.id(), reason.as_str())).collect();
        for (id, place) in places {
            match reasons.get(&id) {
                Some(reason) => fates.withhold(place, reason),
                None => fates.set(place, Fate::Accepted),
            }
        }
        self.place(settled, outcome, Some(from))
    }
}
