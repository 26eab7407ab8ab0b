//! Changes coming from the peer: handed to the store, acknowledged when durable.

use super::{
    Effect, Fault, FaultCode, Message, Outcome, Purpose, Relation, Session, StoreReply,
    StoreRequest,
};
use crate::id::{ChangeId, Serial};
use crate::limits;
use crate::receipt::Receipt;
use crate::sync::{Carried, Fate};
use crate::wire::{self, Bounded, CertificateBytes};

/// State of receiving.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    announced: u64,
    came: u64,
    last_batch: u64,
    unacknowledged: usize,
    /// Changes in batches that the store has not made durable yet, and their bytes.
    in_store: u64,
    in_store_bytes: usize,
}

impl Incoming {
    pub(super) fn announced(&mut self, changes: u64) {
        self.announced = self.announced.saturating_add(changes);
    }

    /// Nothing more is on its way than what the store is working on.
    pub(super) fn all_delivered(&mut self) {
        self.announced = self.came + self.in_store;
    }

    /// A batch with so many changes was put off; the peer does not send the rest that it announced.
    pub(super) fn postponed(&mut self, changes: u64) {
        self.came += changes;
        if self.came >= self.announced {
            self.came = 0;
            self.announced = 0;
        }
        self.all_delivered();
    }

    /// Whether more of the peer may be read; otherwise the store is behind.
    pub(super) fn has_room(&self) -> bool {
        self.in_store_bytes < limits::UNPROCESSED_BYTES
    }

    /// Bytes of changes that are held in memory until the store has made them durable.
    pub(super) fn in_store_bytes(&self) -> usize {
        self.in_store_bytes
    }

    /// Changes announced or received and not yet durable here.
    pub(super) fn expected(&self) -> u64 {
        self.announced.saturating_sub(self.came).max(u64::from(self.unacknowledged > 0))
    }
}

impl Session {
    pub(super) fn on_batch(&mut self, batch: u64, mut changes: Vec<Carried>) -> Outcome {
        if batch != self.incoming.last_batch + 1 {
            let text = format!("batch {batch} out of turn");
            return Err(Fault::new(FaultCode::Unexpected, text));
        }
        if self.incoming.unacknowledged >= limits::IN_FLIGHT_BATCHES {
            let text = "more batches than may be unacknowledged";
            return Err(Fault::new(FaultCode::Flow, text));
        }
        self.incoming.last_batch = batch;
        if let Some(until) = self.put_off() {
            self.postpone(batch, changes.len(), until);
            return Ok(());
        }
        self.incoming.unacknowledged += 1;
        self.incoming.in_store += changes.len() as u64;
        let bytes = wire::raw_bytes(&changes);
        self.incoming.in_store_bytes += bytes;
        let peer = self.open_peer();
        let sender_tiers = match peer.relation {
            Relation::Ancestor => peer.certificate.body().tier.bit(),
            Relation::Descendant | Relation::Other => {
                for change in &mut changes {
                    change.reached = 0;
                }
                0
            }
        };
        let (from, scope) = (peer.certificate.serial(), peer.accepts.clone());
        let at_ms = self.wall_ms();
        let purpose = Purpose::Ingest { batch, changes: changes.len() as u64, bytes };
        self.store(purpose, StoreRequest::Ingest { from, scope, changes, sender_tiers, at_ms });
        Ok(())
    }

    pub(super) fn on_ingested(
        &mut self,
        batch: u64,
        (changes, bytes): (u64, usize),
        reply: StoreReply,
    ) {
        // What was here already is now known to be held above: those below are waiting for that.
        let news = reply.news();
        if self.open_peer().relation == Relation::Ancestor && !news.is_empty() {
            self.effects.push(Effect::News(news));
        }
        let StoreReply::Ingested { fates, set_back } = reply else {
            unreachable!("the store answered a batch with {reply:?}");
        };
        if set_back {
            self.note_set_back();
        }
        self.incoming.unacknowledged -= 1;
        self.incoming.came += changes;
        self.incoming.in_store -= changes;
        self.incoming.in_store_bytes -= bytes;
        if self.incoming.came >= self.incoming.announced {
            self.incoming.came = 0;
            self.incoming.announced = 0;
        }
        let mut held: Vec<ChangeId> = Vec::with_capacity(fates.len());
        let mut refused = Vec::new();
        let mut first_reason = None;
        let (mut postponed, mut until) = (Vec::new(), String::new());
        for (at, (id, fate)) in (0_u32..).zip(fates) {
            match fate {
                Fate::Accepted | Fate::Known => held.push(id),
                Fate::Postponed { reason } => {
                    postponed.push(at);
                    until = reason;
                }
                Fate::Refused { reason } => {
                    self.compare.dispute(id);
                    refused.push((at, wire::bounded_text(&reason)));
                    first_reason.get_or_insert(reason);
                }
            }
        }
        self.figures.received += held.len() as u64;
        self.figures.refused += refused.len() as u64;
        if let Some(reason) = first_reason {
            let text = format!("{} changes refused, the first because: {reason}", refused.len());
            self.effects.push(Effect::Notice(text));
        }
        if !postponed.is_empty() {
            // The peer does not send the rest of what it announced; photos need not wait for it.
            self.incoming.all_delivered();
            let text = format!("{} changes postponed: {until}", postponed.len());
            self.effects.push(Effect::Notice(text));
        }
        let receipt = if held.is_empty() {
            Vec::new()
        } else {
            let holder = self.identity.certificate.serial();
            Receipt::new(holder, self.wall_ms(), held.iter()).sign(&self.identity.key)
        };
        let (postponed, until) = (Bounded(postponed), wire::bounded_text(&until));
        let (refused, receipt) = (fit(refused), Bounded(receipt));
        self.send(&Message::Ack { batch, refused, postponed, until, receipt });
    }

    /// A peer had changes of this node that it does not know itself. Its parent tells whether it is
    /// one of two machines, and certifies it anew; a founder can only say so.
    fn note_set_back(&mut self) {
        let text = "a peer has changes that were made here and are not known here: this node was \
                    set back to an older state, or another machine uses its identity";
        let has_parent = self.identity.certificate.body().issuer.is_some();
        self.effects.push(if has_parent {
            Effect::SetBack(text.to_owned())
        } else {
            Effect::Notice(text.to_owned())
        });
    }

    pub(super) fn on_certificates(&mut self, list: Vec<CertificateBytes>) {
        let is_new = |bytes: &CertificateBytes| self.authority.get(&Serial::of(&bytes.0)).is_none();
        let certificates: Vec<_> = list.into_iter().filter(is_new).map(|bytes| bytes.0).collect();
        if certificates.is_empty() {
            return;
        }
        self.store(Purpose::Note, StoreRequest::Certificates { certificates });
    }
}

type Refused = Vec<(u32, Bounded<u8, { limits::REASON_BYTES }>)>;

/// Cuts reasons so that a batch in which everything was refused is still answered in one frame.
fn fit(
    mut refused: Refused,
) -> Bounded<(u32, Bounded<u8, { limits::REASON_BYTES }>), { limits::BATCH_CHANGES }> {
    let each = limits::FRAME_BYTES / 2 / refused.len().max(1);
    for (_, reason) in &mut refused {
        reason.0.truncate(each);
    }
    Bounded(refused)
}
