//! What is checked of a change from a peer before it is worked on: layout, scope of the peer,
//! right of the author, signature, payload. Nothing here writes.

use std::collections::{HashMap, HashSet};

use cunlian_protocol::authority::{Authority, Refusal};
use cunlian_protocol::change::{ChangeKind, Header, Home, SignedChange, VERSION, VerifiedChange};
use cunlian_protocol::id::{ChangeId, Serial};
use cunlian_protocol::limits;
use cunlian_protocol::scope::Scope;
use cunlian_protocol::signing::{self, Claim, Context};
use cunlian_protocol::sync::{Carried, Fate};
use rayon::prelude::*;
use rusqlite::Connection;

use super::health::Fault;
use super::materialize::base;
use super::rows::row_of;
use crate::history::payload::Payload;

/// Signatures checked in one batch equation.
const SIGNATURES_TOGETHER: usize = 128;

/// The peer that sends a batch.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) serial: Serial,
    /// What it may send.
    pub(super) scope: Scope,
    /// Its tier bit and those above it, when it is above this node; else 0.
    pub(super) tiers: u8,
    /// When it came, milliseconds since 1970-01-01 UTC.
    pub(super) at_ms: i64,
}

/// One change on its way in.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Place in the batch.
    pub(super) place: usize,
    pub(super) change: VerifiedChange,
    /// `None` when a newer version wrote it.
    pub(super) payload: Option<Payload>,
    /// Tiers above that hold it.
    pub(super) reached: u8,
}

/// What became of each change so far, and what was refused.
#[derive(Debug)]
pub(super) struct Fates {
    pub(super) each: Vec<Option<Fate>>,
    pub(super) refused: Vec<(usize, String)>,
    /// Whether a change was put into quarantine that may come in later.
    pub(super) withheld: bool,
}

impl Fates {
    pub(super) fn new(changes: usize) -> Self {
        Self { each: vec![None; changes], refused: Vec::new(), withheld: false }
    }

    /// Notes all reasons.
    pub(super) fn refuse_all(&mut self, refused: &[(usize, String)]) {
        for (place, reason) in refused {
            self.refuse(*place, reason);
        }
    }

    pub(super) fn refuse(&mut self, place: usize, reason: &impl ToString) {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES));
        self.refused.push((place, reason.clone()));
        self.set(place, Fate::Refused { reason });
    }

    /// Notes the reason for a change that is in quarantine already.
    pub(super) fn withhold(&mut self, place: usize, reason: &str) {
        let end = reason.floor_char_boundary(limits::REASON_BYTES);
        let reason = reason.get(..end).unwrap_or_default().to_owned();
        self.withheld = true;
        self.set(place, Fate::Refused { reason });
    }

    pub(super) fn set(&mut self, place: usize, fate: Fate) {
        if let Some(slot) = self.each.get_mut(place) {
            *slot = Some(fate);
        }
    }
}

/// Reads the layout. Gives the ids of all, and of those that the sender may send the change; of
/// those that came twice only the first.
pub(super) fn decode(
    carried: &[Carried],
    scope: &Scope,
    fates: &mut Fates,
) -> (Vec<ChangeId>, Vec<(usize, SignedChange)>) {
    let read = |Carried { bytes, .. }: &Carried| {
        let result = SignedChange::decode(bytes.clone());
        let id = result.as_ref().map_or_else(|_| ChangeId::of(bytes), SignedChange::id);
        (id, result)
    };
    let decoded: Vec<_> = carried.par_iter().map(read).collect();
    let mut ids = Vec::with_capacity(decoded.len());
    let mut seen = HashSet::new();
    let mut changes = Vec::with_capacity(decoded.len());
    for (place, (id, result)) in decoded.into_iter().enumerate() {
        ids.push(id);
        if !seen.insert(id) {
            continue;
        }
        match result {
            Ok(change) if scope.allows(&change.key().to_bytes()) => changes.push((place, change)),
            Ok(_) => fates.refuse(place, &"the change is outside of what this peer may send"),
            Err(error) => fates.refuse(place, &error),
        }
    }
    (ids, changes)
}

/// Rows of those changes that are here already.
pub(super) fn known(
    connection: &Connection,
    changes: &[(usize, SignedChange)],
) -> Result<HashMap<ChangeId, i64>, Fault> {
    let mut known = HashMap::new();
    let mut documents: HashMap<Home, bool> = HashMap::new();
    for (_, change) in changes {
        let home = change.header().home;
        let exists = if let Some(exists) = documents.get(&home) {
            *exists
        } else {
            let exists = base(connection, &home)?.changes > 0;
            documents.insert(home, exists);
            exists
        };
        if exists && let Some(row) = row_of(connection, &change.key())? {
            known.insert(change.id(), row);
        }
    }
    Ok(known)
}

/// Rights, signatures and payloads. Whether a change stands is not asked here.
pub(super) fn check(
    authority: &Authority,
    changes: Vec<(usize, SignedChange)>,
    reached: impl Fn(usize) -> u8,
    fates: &mut Fates,
) -> Vec<Candidate> {
    let mut allowed = Vec::with_capacity(changes.len());
    for (place, change) in changes {
        let header = change.header();
        if i64::try_from(header.seq).is_err() {
            fates.refuse(place, &"the number of the change is out of range");
        } else if let Err(refusal) = may(authority, header) {
            fates.refuse(place, &refusal);
        } else {
            allowed.push((place, change));
        }
    }
    // Neighbours by one author share the decoding of the key.
    allowed.sort_by_key(|(_, change)| change.header().author);
    let holds: Vec<bool> = allowed
        .par_chunks(SIGNATURES_TOGETHER)
        .flat_map_iter(|chunk| {
            let claims: Vec<Claim<'_>> = chunk
                .iter()
                .filter_map(|(_, change)| {
                    let certificate = authority.get(&change.header().author)?;
                    Some(change.claim(certificate.body().subject))
                })
                .collect();
            signing::verify_all(Context::Change, &claims)
        })
        .collect();
    let mut verified = Vec::with_capacity(allowed.len());
    for ((place, change), holds) in allowed.into_iter().zip(holds) {
        match change.verified(holds) {
            Ok(change) => verified.push((place, change)),
            Err(error) => fates.refuse(place, &error),
        }
    }
    let read: Vec<_> = verified
        .into_par_iter()
        .map(|(place, change)| {
            let payload = Payload::decode(&change).transpose();
            (place, change, payload)
        })
        .collect();
    let mut candidates = Vec::with_capacity(read.len());
    for (place, change, payload) in read {
        match payload {
            Ok(_) if !is_whole(&change) => fates.refuse(place, &NOT_WHOLE),
            Ok(payload) => {
                let reached = reached(place);
                candidates.push(Candidate { place, change, payload, reached });
            }
            Err(error) => fates.refuse(place, &error),
        }
    }
    candidates
}

fn may(authority: &Authority, header: &Header) -> Result<(), Refusal> {
    authority.may(&header.author, header.kind.needs(), &header.home)
}

const NOT_WHOLE: &str = "an erasure says why, in 1 to 400 bytes of text";

/// Of an erasure: whether its reason is there.
fn is_whole(change: &VerifiedChange) -> bool {
    change.header().kind != ChangeKind::ERASE
        || change.header().version != VERSION
        || change.erasure().is_some_and(|reason| is_reason(&reason))
}

/// Whether a text can be the reason of an erasure.
pub(super) fn is_reason(text: &str) -> bool {
    (1..=limits::REASON_BYTES).contains(&text.len())
}
