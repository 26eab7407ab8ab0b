//! Who is further below than a child: it reads, and hands up what it has when nobody between does.
//!
//! A node dials its grandparent as a fallback, for the days on which its parent is not there. The
//! grandparent did not certify it, and does not see which of two machines its parent knows by the
//! lineage token. So, as long as anybody between the two is heard, what it has comes through them:
//! its batches are postponed, and the next comparison finds them again. When those between have
//! been silent for [`limits::BETWEEN_SILENT_MS`], it hands up here if it presents the lineage token
//! that it was given here last. These are kept by certificate, so that a node that is certified
//! anew begins anew. Nobody is marked by it: whoever is turned down has its parent to go to.
//!
//! A node that is dialled presents no token. One below that this node has dialled only reads.

use super::{Effect, Message, Purpose, Session, StoreReply, StoreRequest, wire};
use crate::id::PublicKey;
use crate::limits;
use crate::sync::Verdict;
use crate::wire::{Bounded, Hello, LineageToken};

/// State of a session with one below that does not come in as a child.
#[derive(Debug, Default)]
pub(super) struct Below {
    /// Whether what it has is postponed unless the rest allows it.
    is_kept_out: bool,
    /// Keys of those between, its parent last.
    between: Vec<PublicKey>,
    /// Whether it is the machine that this node knows.
    is_single: bool,
    /// Whether those between have been silent for long.
    is_alone: bool,
}

impl Session {
    /// Keys of those between this node and a peer further below; of any other peer there are none.
    pub fn between(&self) -> &[PublicKey] {
        &self.below.between
    }

    /// Whether those between have been silent for [`limits::BETWEEN_SILENT_MS`].
    pub fn note_silence(&mut self, silent: bool) {
        self.below.is_alone = silent;
    }

    /// One further below has said hello: the store looks at its lineage token.
    pub(super) fn ask_below(&mut self, hello: &Hello, chain: &[PublicKey]) {
        let own = chain.iter().rposition(|key| self.identity.is_own_key(key));
        let between = chain.iter().skip(own.map_or(0, |own| own + 1)).copied().collect();
        self.below = Below { is_kept_out: true, between, is_single: false, is_alone: false };
        let certificate = &self.open_peer().certificate;
        let request = StoreRequest::AdmitBelow {
            serial: certificate.serial(),
            lineage: hello.lineage,
            given: self.gave_lineage_token(&certificate.body().subject, &hello.lineage),
            fresh: self.renewing.lineage,
        };
        self.store(Purpose::AdmitBelow, request);
    }

    /// One below was dialled.
    pub(super) fn keep_out(&mut self) {
        self.below.is_kept_out = true;
    }

    pub(super) fn on_admitted_below(&mut self, reply: &StoreReply) {
        let StoreReply::Admit(verdict) = reply else {
            unreachable!("the store answered an admission with {reply:?}");
        };
        self.below.is_single = *verdict == Verdict::Open;
        if !self.below.is_single {
            // A token from now would be later than what the other machine presents.
            self.renewing.lineage = LineageToken::default();
            let text = "another machine with this identity was here last, or this one was set \
                        back: it reads, and hands nothing up";
            self.effects.push(Effect::Notice(text.to_owned()));
        }
        self.welcome(false);
    }

    /// Why a batch of the peer is put off; `None` when it is taken.
    pub(super) fn put_off(&self) -> Option<&'static str> {
        let Below { is_kept_out, is_single, is_alone, .. } = self.below;
        match (is_kept_out, is_single, is_alone) {
            (false, _, _) | (_, true, true) => None,
            (true, true, false) => Some("it comes through the node above the one that sent it"),
            (true, false, _) => {
                Some("it is not known which of two machines sent it; the node above decides")
            }
        }
    }

    /// Answers a batch without looking at it: all of it may come again.
    pub(super) fn postpone(&mut self, batch: u64, changes: usize, until: &str) {
        self.incoming.postponed(changes as u64);
        let postponed = Bounded((0..u32::try_from(changes).unwrap_or(u32::MAX)).collect());
        let (refused, receipt) = (Bounded(Vec::new()), Bounded(Vec::new()));
        let until = wire::bounded_text(until);
        self.send(&Message::Ack { batch, refused, postponed, until, receipt });
    }
}

const _: () = assert!(limits::BETWEEN_SILENT_MS > 2 * super::COMPARE_AGAIN_MS);
