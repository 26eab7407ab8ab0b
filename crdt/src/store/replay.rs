//! From changes of the log to the history of a document.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{Home, VerifiedChange};

use super::erased::erasure;
use crate::history::History;
use crate::history::payload::{Payload, Reading};

/// A change with its payload, if this node can read it.
pub(super) type Readable<'a> = (&'a VerifiedChange, Option<Payload>);

/// Changes of the log with their payloads.
pub(super) fn read(changes: &[VerifiedChange]) -> Vec<Readable<'_>> {
    let mut reading = Reading::default();
    changes.iter().map(|change| (change, reading.read(change))).collect()
}

/// The history that changes of the log make. A change this node cannot read counts as waiting.
pub(super) fn history(authority: &Authority, home: Home, changes: Vec<Readable<'_>>) -> History {
    if let Some(erasure) = erasure(authority, changes.iter().map(|(change, _)| *change)) {
        return History::erased(home, u32::try_from(changes.len()).unwrap_or(u32::MAX), erasure);
    }
    let all = changes.len();
    let unread = changes.iter().filter(|(_, payload)| payload.is_none());
    let too_far = unread.filter(|(change, _)| Payload::unfolds_too_far(change)).count();
    let payloads = changes.into_iter().filter_map(|(change, payload)| {
        let header = change.header();
        let stands = authority.stands(&header.author, header.seq, Some(&change.id()));
        payload.map(|mut payload| {
            payload.writer.tainted = stands.is_err();
            payload
        })
    });
    let payloads: Vec<Payload> = payloads.collect();
    let opaque = u32::try_from(all - payloads.len()).unwrap_or(u32::MAX);
    let mut history = History::new(home, payloads, opaque);
    history.note_beyond(u32::try_from(too_far).unwrap_or(u32::MAX));
    history
}
