//! How far a session has passed on what becomes durable while it is open.
//!
//! By classes of urgency, each with the row up to which it was looked at, so that an alert passes a
//! backlog of millions of other rows. Which changes these are the store finds
//! ([`Selection::Push`]).
//!
//! Most of what a town takes in from one of five hundred children is for none of the others. A
//! session that found nothing twice looks again only after a pause, which grows while it finds
//! nothing.

use super::types::Peer;
use crate::category::URGENCY;
use crate::sync::Selection;

/// Rows looked at, and what has yet to be.
#[derive(Debug, Default)]
pub(super) struct Push {
    /// By class; `None` before the comparison.
    after: Option<[i64; URGENCY.len()]>,
    /// So many classes, from the first, that have nothing new.
    clean: usize,
    /// Classes from this one on are not read: the peer has postponed them.
    held_from: Option<usize>,
    /// Reads in a row that found nothing.
    empty: u8,
    /// Not to look again before then.
    pause_until_ms: i64,
}

/// The pause after the second read that found nothing; it grows by as much with each.
const PAUSE_MS: i64 = 20;
/// The longest pause.
const LONGEST_PAUSE_MS: i64 = 400;

impl Push {
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

    /// The end of the pause, if something may be new then.
    pub(super) fn wake_ms(&self) -> Option<i64> {
        self.is_waiting().then_some(self.pause_until_ms)
    }

    /// What to read next of the first `classes` classes; `None` when they have nothing new, or it
    /// is too early to look.
    pub(super) fn next(&self, now_ms: i64, classes: usize, peer: &Peer) -> Option<Selection> {
        let classes = classes.min(self.classes());
        let due = self.clean < classes && now_ms >= self.pause_until_ms;
        let after = self.after.filter(|_| due)?;
        let (scope, except) = (peer.scope.clone(), peer.certificate.serial());
        Some(Selection::Push { after, classes, scope, except })
    }

    /// A read of so many classes has begun; what comes from now on is new.
    pub(super) fn begin(&mut self, classes: usize) {
        self.clean = classes.min(self.classes());
    }

    /// A read of so many classes has ended, with more to read or at this row.
    pub(super) fn read(&mut self, classes: usize, rest: Option<&Selection>, through_row: i64) {
        let Some(after) = &mut self.after else { return };
        if let Some(Selection::Push { after: further, .. }) = rest {
            *after = *further;
            self.clean = 0;
        } else {
            for row in after.iter_mut().take(classes) {
                *row = through_row.max(*row);
            }
        }
    }

    /// Notes whether a read has found anything.
    pub(super) fn note_found(&mut self, now_ms: i64, found: bool) {
        self.empty = if found { 0 } else { self.empty.saturating_add(1) };
        let pause_ms = PAUSE_MS * i64::from(self.empty.saturating_sub(1));
        self.pause_until_ms = now_ms + pause_ms.min(LONGEST_PAUSE_MS);
    }

    fn classes(&self) -> usize {
        self.held_from.unwrap_or(URGENCY.len())
    }
}
