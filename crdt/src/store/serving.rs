//! Answering the requests of a session.

use cunlian_protocol::id::Serial;
use cunlian_protocol::key::SetKey;
use cunlian_protocol::sync::{StoreReply, StoreRequest};
use cunlian_protocol::wire::LineageToken;

use super::checking::Sender;
use super::clone_guard::{self, Presented};
use super::deferral::{self, Word};
use super::reading::Reader;
use super::{
    Fault, Inner, blob, durability, ingest, outbox, permission, reconcile, selection, summary,
};

pub(super) fn serve(inner: &Inner, request: StoreRequest) -> Result<StoreReply, Fault> {
    let ancestors = &inner.shared.ancestors;
    match request {
        StoreRequest::Overview { scope } => inner.readers.with_for(Reader::Peer, |connection| {
            let last_row = super::rows::last_row(connection)?;
            let tops = summary::overview(connection, &scope)?;
            Ok(StoreReply::Overview { tops, last_row })
        }),
        StoreRequest::Frontier { prefixes, nodes } => {
            inner.readers.with_for(Reader::Peer, |connection| {
                Ok(StoreReply::Frontier(reconcile::frontier(connection, prefixes, nodes)?))
            })
        }
        StoreRequest::Against { within, theirs } => {
            inner.readers.with_for(Reader::Peer, |connection| {
                let (mine, alone) = reconcile::against(connection, &within, &theirs)?;
                Ok(StoreReply::Against { mine, alone })
            })
        }
        StoreRequest::Shorts { prefix, key } => {
            inner.readers.with_for(Reader::Peer, |connection| {
                Ok(StoreReply::Shorts(reconcile::shorts(connection, &prefix, &key)?))
            })
        }
        StoreRequest::Read { selection, bytes } => {
            inner.readers.with_for(Reader::Peer, |connection| {
                let (changes, rest, through_row) =
                    selection::select(connection, selection, bytes, ancestors)?;
                Ok(StoreReply::Read { changes, rest, through_row })
            })
        }
        StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms } => {
            let sender = Sender { serial: from, scope, tiers: sender_tiers, at_ms };
            let (fates, set_back) = ingest::ingest(inner, sender, changes)?;
            Ok(StoreReply::Ingested { fates, set_back })
        }
        StoreRequest::Certificates { certificates } => {
            let refused = permission::add_certificates(inner, &certificates)?;
            Ok(StoreReply::Certificates { refused })
        }
        StoreRequest::Successions { successions } => {
            let refused = permission::add_successions(inner, successions)?;
            Ok(StoreReply::Successions { refused })
        }
        StoreRequest::Admit { subject, lineage, given, fresh, renewing, certified, elsewhere } => {
            let child =
                Presented { subject, lineage, given, fresh, renewing, certified, elsewhere };
            admit(inner, child)
        }
        StoreRequest::AdmitBelow { serial, lineage, given, fresh } => {
            admit_below(inner, serial, (lineage, given), fresh)
        }
        StoreRequest::Revocations { revocations } => {
            permission::add_revocations(inner, &revocations)
                .map(|refused| StoreReply::Revocations { refused })
        }
        StoreRequest::Waiting { after } => waiting(inner, after),
        StoreRequest::Durability(request) => {
            Ok(StoreReply::Durability(durability::serve(inner, request)?))
        }
        StoreRequest::MarkReached { reached, receipt } => inner.writer.submit(move |batch| {
            let news = outbox::mark_all_reached(batch, &reached, receipt.as_deref())?;
            Ok(StoreReply::MarkReached { news })
        }),
        StoreRequest::Blob(request) => Ok(StoreReply::Blob(blob::serve(inner, request)?)),
        StoreRequest::MarkRefused { by, refused } => mark_refused(inner, by, refused),
        StoreRequest::MarkPostponed { tier, class, reason } => {
            note_postponed(inner, Word { tier, class, reason })
        }
    }
}

fn waiting(inner: &Inner, after: i64) -> Result<StoreReply, Fault> {
    inner.readers.with_for(Reader::Peer, |connection| {
        let (waiting, rest) = outbox::waiting(connection, after)?;
        Ok(StoreReply::Waiting { waiting, rest })
    })
}

fn admit(inner: &Inner, child: Presented) -> Result<StoreReply, Fault> {
    inner
        .writer
        .submit(move |batch| Ok(StoreReply::Admit(clone_guard::admit(batch.connection, &child)?)))
}

fn admit_below(
    inner: &Inner,
    serial: Serial,
    (lineage, given): (LineageToken, bool),
    fresh: LineageToken,
) -> Result<StoreReply, Fault> {
    inner.writer.submit(move |batch| {
        let verdict = clone_guard::admit_below(batch.connection, &serial, lineage, given, fresh)?;
        Ok(StoreReply::Admit(verdict))
    })
}

fn mark_refused(
    inner: &Inner,
    by: Serial,
    refused: Vec<(SetKey, String)>,
) -> Result<StoreReply, Fault> {
    inner.writer.submit(move |batch| {
        outbox::mark_refused(batch.connection, &by, &refused)?;
        Ok(StoreReply::MarkRefused)
    })
}

/// Mostly there is nothing to be noted, and then nobody waits for a transaction.
fn note_postponed(inner: &Inner, word: Word) -> Result<StoreReply, Fault> {
    let known = inner
        .readers
        .with_for(Reader::Peer, |connection| Ok(deferral::is_known(connection, &word)?))?;
    if !known {
        inner
            .writer
            .submit(move |batch| Ok::<_, Fault>(deferral::note(batch.connection, &word)?))?;
    }
    Ok(StoreReply::MarkPostponed)
}
