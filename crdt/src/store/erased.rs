//! Which changes erase their document.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::change::{ChangeKind, VerifiedChange};

use crate::document::Erasure;

/// Whether this change, if it stands, erases its document. Without its reason it does not.
pub(super) fn erases(change: &VerifiedChange) -> bool {
    change.header().kind == ChangeKind::ERASE && !change.is_stub()
}

/// What erased a document: of the erasures that stand the one recorded first.
pub(super) fn erasure<'a>(
    authority: &Authority,
    changes: impl Iterator<Item = &'a VerifiedChange>,
) -> Option<Erasure> {
    let stands = |change: &&VerifiedChange| {
        let header = change.header();
        erases(change) && authority.stands(&header.author, header.seq, Some(&change.id())).is_ok()
    };
    let first = changes.filter(stands).min_by_key(|c| (c.header().recorded_at_ms, c.id()))?;
    Some(Erasure {
        reason: first.erasure().unwrap_or_default().into_owned(),
        by: first.header().author,
        at_ms: first.header().recorded_at_ms,
        change: first.id(),
    })
}
