//! From documents to table rows: what the store keeps beside its log so that pages can ask.
//!
//! Every row follows from one document and the certificates alone: no clock, no order of a map
//! that is not sorted, no other document. So nodes with equal documents have byte-identical
//! tables, and the store can rebuild them from the log.
//!
//! Each capability has its tables in its own room (`<capability>/projection.rs`); what they have in
//! common, and the tables over documents of every kind, stand here. A version of a set rises with
//! every change of its tables, of what their rows mean, or of what documents it takes. Those of
//! 0.1.0 had one version for all, the fourth; so sets of that time begin with 5.
//!
//! | table | one row per | columns after `category, address, document` |
//! |---|---|---|
//! | `record` | library document (base or part) | `class, part, name, pinyin, initials, fields, search, updated_ms, author, conflicted, moved_to` |
//! | `ticket` | ticket | `receipt, state, title, text, channel, kind, assignee, assignee_address, reported_ms, accepted_ms, replied_ms, completed_ms, closed_ms, yellow_ms, due_ms, stopped_ms, stars, returns, words, updated_ms, signed, erased` |
//! | `ticket_step` | action of a ticket | `step, at_ms, author, handler, change, op, body, outcome, reason, state, tainted` |
//! | `ticket_contact` | contact document | `name, phone, text` |
//! | `conflict` | field with concurrent values | `field, options` |
//! | `title` | document that is found by its title | `title, pinyin, initials` |
//! | `erasure` | document that was erased | `reason, author, name, at_ms, change` |
//! | `catalogue` | entry of a class document | `entry, text` |
//! | `directory` | contact of a village | `role, name, phone, duty, position` |
//!
//! `fields` is a JSON object of texts; `options` a JSON array of [`ConflictOption`], the one shown
//! first being the first. `document` is the base document for records' base rows and the part's
//! own document for part rows; `moved_to` says where a record has gone, as
//! [`Place::link`](crate::library::Place::link) does, and is empty where it has not. `name` is empty in part rows: names are only in the base.

pub(crate) mod row;
pub(crate) mod shared;

use cunlian_crdt::projector::{Projector, Rollup, TableSet};

use crate::capabilities::Capabilities;

pub use row::ConflictOption;

/// The projector of every capability of the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct GovernanceProjector;

impl Projector for GovernanceProjector {
    fn sets(&self) -> Vec<&dyn TableSet> {
        Capabilities::of_program().sets()
    }

    fn rollups(&self) -> Vec<&dyn Rollup> {
        Capabilities::of_program().rollups()
    }
}

#[cfg(test)]
mod tests;
