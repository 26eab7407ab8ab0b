//! Which changes of a document are kept, and in which form: a function of the changes that ever
//! came, and of the revocations, and of nothing else.
//!
//! - Changes that stand ([`Authority::stands`]) are kept.
//! - What they depend on is kept too, transitively, by the dependency hashes of Automerge. Those
//!   of it that do not stand are *tainted*. Of several that do not stand and are the same
//!   Automerge change, one is needed: that with the smallest id.
//! - Everything else is *withheld*: it waits in quarantine, in case something that stands and
//!   builds on it comes after it.
//! - A document with an erasure that stands is erased. Nothing has an effect in it any more, so
//!   only what stands is kept, as stubs. In a document that is not erased a stub is withheld. So
//!   when an erasure falls, the stubs it made fall with it, and full changes can come back from
//!   wherever they are left.
//!
//! Revocations only take away, so order and place do not matter: nodes that have been told the
//! same end with the same set. Nothing here reads or writes a store.

use std::collections::HashMap;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, VerifiedChange};
use cunlian_protocol::id::ChangeId;

use super::erased::erases;
use super::replay::history;
use crate::history::History;
use crate::history::payload::Payload;

/// What the kept set depends on of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: ChangeId,
    pub(super) stands: bool,
    /// Hash of its Automerge change, when it can be read.
    pub(super) hash: Option<[u8; 32]>,
    pub(super) dependencies: Vec<[u8; 32]>,
}

/// What becomes of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stands,
    Tainted,
    Withheld,
}

/// The place of each of the changes of one document, which have different ids.
pub(super) fn places(members: &[Member]) -> Vec<Place> {
    let mut providers: HashMap<[u8; 32], usize> = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        let Some(hash) = member.hash else { continue };
        let rank = |member: &Member| (!member.stands, member.id);
        let provider = providers.entry(hash).or_insert(index);
        if members.get(*provider).is_some_and(|known| rank(member) < rank(known)) {
            *provider = index;
        }
    }
    let mut places: Vec<Place> = members
        .iter()
        .map(|member| if member.stands { Place::Stands } else { Place::Withheld })
        .collect();
    let standing = members.iter().filter(|member| member.stands);
    let mut needed: Vec<[u8; 32]> =
        standing.flat_map(|member| &member.dependencies).copied().collect();
    while let Some(hash) = needed.pop() {
        let Some(index) = providers.get(&hash) else { continue };
        if let (Some(place), Some(member)) = (places.get_mut(*index), members.get(*index))
            && *place == Place::Withheld
        {
            *place = Place::Tainted;
            needed.extend(&member.dependencies);
        }
    }
    places
}

/// Where a change of a document is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In the log.
    Log {
        row: i64,
        /// Small numbers of the author and of the peer it came from.
        author: i64,
        origin: i64,
    },
    /// In a batch that is being taken in; tiers above (bits) hold it.
    Batch { reached: u8 },
    /// In quarantine.
    Quarantine { row: i64 },
}

/// One change that is here or on its way in.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) change: VerifiedChange,
    /// `None` when there is none, or a newer version wrote it.
    pub(super) payload: Option<Payload>,
    pub(super) source: Source,
}

/// A document with every change in its place.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) home: Home,
    /// Whether the payloads have to go.
    pub(super) erased: bool,
    pub(super) kept: Vec<Entry>,
    /// With the reason, for people.
    pub(super) withheld: Vec<(Entry, String)>,
    pub(super) history: History,
}

/// Puts every change of a document in its place. Of entries with one id only one is used, that
/// of the log before others, a full one before a stub.
pub(super) fn settle(authority: &Authority, home: Home, mut entries: Vec<Entry>) -> Settled {
    entries.sort_by_key(|entry| {
        let in_log = matches!(entry.source, Source::Log { .. });
        (entry.change.id(), !in_log, entry.change.is_stub())
    });
    entries.dedup_by_key(|entry| entry.change.id());
    let reasons: Vec<Option<String>> = entries
        .iter()
        .map(|Entry { change, .. }| {
            let header = change.header();
            let stands = authority.stands(&header.author, header.seq, Some(&change.id()));
            stands.err().map(|refusal| refusal.to_string())
        })
        .collect();
    let standing = entries.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
    let erased = standing.clone().any(|(entry, _)| erases(&entry.change));
    let members: Vec<Member> = entries
        .iter()
        .zip(&reasons)
        .map(|(Entry { change, payload, .. }, reason)| {
            let payload = payload.as_ref().filter(|_| !erased);
            Member {
                id: change.id(),
                stands: reason.is_none() && (erased || !change.is_stub()),
                hash: payload.map(|payload| payload.hash),
                dependencies: payload.map(|p| p.dependencies.clone()).unwrap_or_default(),
            }
        })
        .collect();
    let mut kept = Vec::with_capacity(entries.len());
    let mut withheld = Vec::new();
    for ((entry, reason), place) in entries.into_iter().zip(reasons).zip(places(&members)) {
        match (place, reason) {
            (Place::Withheld, Some(reason)) => withheld.push((entry, reason)),
            (Place::Withheld, None) => withheld.push((entry, NOT_ERASED.to_owned())),
            (Place::Stands | Place::Tainted, _) => kept.push(entry),
        }
    }
    let changes = kept.iter().map(|entry| (&entry.change, entry.payload.clone()));
    let history = history(authority, home, changes.collect());
    Settled { home, erased, kept, withheld, history }
}

/// Why a stub does not come in.
const NOT_ERASED: &str = "the payload is missing, and no erasure of the document is known here";

#[cfg(test)]
mod tests;
