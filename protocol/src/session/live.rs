//! How far a session has passed on what becomes durable while it is open.
//!
//! By classes of urgency, each with the row up to which it was looked at, so that an alert passes a
//! backlog of millions of other rows. Which changes these are the store finds
//! ([`Selection::Live`]).

use super::surface::Peer;
use crate::category::URGENCY;
use crate::sync::Selection;

/// Rows looked at, and what has yet to be.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// By class; `None` before the comparison.
    after: Option<[i64; URGENCY.len()]>,
    /// So many classes, from the first, that have nothing new.
    clean: usize,
    /// Classes from this one on are not read: the peer has postponed them.
    held_from: Option<usize>,
}

impl Live {
    /// A comparison sees all rows up to this one: later ones are passed on from now, and those of
    /// classes that were held up are found by the comparison.
    pub(super) fn go_on_from(&mut self, last_row: i64) {
        let held_from = self.held_from.take().unwrap_or(URGENCY.len());
        let after = self.after.get_or_insert([last_row; URGENCY.len()]);
        for row in after.iter_mut().skip(held_from) {
            *row = last_row.max(*row);
        }
    }

    /// There are new rows.
    pub(super) fn note_committed(&mut self) {
        self.clean = 0;
    }

    /// Nothing from this class on is passed on until the next comparison.
    pub(super) fn hold(&mut self, class: usize) {
        self.held_from = Some(self.held_from.map_or(class, |held| held.min(class)));
    }

    /// The first class that is held up.
    pub(super) fn held_from(&self) -> Option<usize> {
        self.held_from
    }

    /// Whether some class may have something new that may be sent.
    pub(super) fn is_waiting(&self) -> bool {
        self.after.is_some() && self.clean < self.classes()
    }

    /// What to read next of the first `classes` classes; `None` when they have nothing new.
    pub(super) fn next(&self, classes: usize, peer: &Peer) -> Option<Selection> {
        let classes = classes.min(self.classes());
        let after = self.after.filter(|_| self.clean < classes)?;
        let (scope, except) = (peer.scope.clone(), peer.certificate.serial());
        Some(Selection::Live { after, classes, scope, except })
    }

    /// A read of so many classes has begun; what comes from now on is new.
    pub(super) fn begin(&mut self, classes: usize) {
        self.clean = classes.min(self.classes());
    }

    /// A read of so many classes has ended, with more to read or at this row.
    pub(super) fn read(&mut self, classes: usize, rest: Option<&Selection>, through_row: i64) {
        let Some(after) = &mut self.after else { return };
        if let Some(Selection::Live { after: further, .. }) = rest {
            *after = *further;
            self.clean = 0;
        } else {
            for row in after.iter_mut().take(classes) {
                *row = through_row.max(*row);
            }
        }
    }

    fn classes(&self) -> usize {
        self.held_from.unwrap_or(URGENCY.len())
    }
}
