//! What an ancestor takes later: noted by class, so that everything that waits for it can say why.
//!
//! The peer names the changes it postpones, which are those that were sent. For those that were not
//! it stands in the store, by tier and class ([`StoreRequest::MarkPostponed`]), until the peer takes
//! something of the class again or both hold the same. [`super::outgoing`] has what is held back.

use super::{Purpose, Relation, Session, StoreRequest};
use crate::category::URGENCY;

/// What the store was told.
#[derive(Debug)]
pub(super) struct Backpressure {
    /// From this class on the store may say that the peer takes nothing.
    from: Option<usize>,
    /// What was said last.
    told: Option<(usize, String)>,
}

impl Default for Backpressure {
    /// An earlier session may have left something.
    fn default() -> Self {
        Self { from: Some(0), told: None }
    }
}

impl Session {
    /// A batch was acknowledged, with something taken up to this class, and something of this
    /// class, and everything after it, postponed for this reason.
    pub(super) fn note_room(&mut self, taken: Option<usize>, postponed: Option<(usize, String)>) {
        let before = |class: &usize| postponed.as_ref().is_none_or(|(first, _)| class < first);
        if let Some(class) = taken.filter(before)
            && self.outgoing.backpressure.from.is_some_and(|from| from <= class)
        {
            let rest = class + 1;
            self.outgoing.backpressure.from = (rest < URGENCY.len()).then_some(rest);
            self.outgoing.backpressure.told.take_if(|(told, _)| *told <= class);
            self.mark_postponed(class, None);
        }
        if postponed.is_some() && self.outgoing.backpressure.told != postponed {
            self.outgoing.backpressure.told.clone_from(&postponed);
            let Some((class, reason)) = postponed else { return };
            let from = self.outgoing.backpressure.from.unwrap_or(class);
            self.outgoing.backpressure.from = Some(from.min(class));
            self.mark_postponed(class, Some(reason));
        }
    }

    /// Both hold the same: nothing waits.
    pub(super) fn note_room_for_all(&mut self) {
        self.note_room(Some(URGENCY.len() - 1), None);
    }

    fn mark_postponed(&mut self, class: usize, reason: Option<String>) {
        let peer = self.open_peer();
        if peer.relation == Relation::Ancestor {
            let tier = peer.certificate.body().tier.bit();
            let class = u8::try_from(class).expect("there are three classes");
            let request = StoreRequest::MarkPostponed { tier, class, reason };
            self.store(Purpose::Note, request);
        }
    }
}
