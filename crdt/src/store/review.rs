//! The list of what a person has to look at: changes that do not stand, kept because others
//! built on them, and not decided about.
//!
//! Table `tainted` follows from the log and the revocations; decisions are operations of the
//! documents ([`crate::document::Edit::Review`]), so that they reach every node.

use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use cunlian_protocol::key::KeyPrefix;
use rusqlite::Connection;

use super::materialize::view;
use super::rows::{Range, key_of};
use super::{Fault, Store};
use crate::document::Tainted;

/// A change to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToReview {
    /// Its document.
    pub home: Home,
    /// The change and what it did.
    pub tainted: Tainted,
}

impl Store {
    /// Tainted changes under `prefix`, or anywhere, that nobody has decided about, in key order of their
    /// documents, at most `limit`.
    pub fn to_review(
        &self,
        prefix: Option<&KeyPrefix>,
        limit: usize,
    ) -> Result<Vec<ToReview>, Fault> {
        self.reviewable(prefix, &|_| true, limit)
    }

    /// Those of them anywhere whose document holds `may`, at most `limit`: those that it does not
    /// hold for take the place of none.
    pub fn to_review_where(
        &self,
        may: impl Fn(&Home) -> bool,
        limit: usize,
    ) -> Result<Vec<ToReview>, Fault> {
        self.reviewable(None, &may, limit)
    }

    fn reviewable(
        &self,
        prefix: Option<&KeyPrefix>,
        may: &dyn Fn(&Home) -> bool,
        limit: usize,
    ) -> Result<Vec<ToReview>, Fault> {
        let authority = self.authority();
        self.inner.readers.with(|connection| {
            let keys = unreviewed(connection, prefix, may, limit)?;
            let mut list = Vec::with_capacity(keys.len());
            for same in keys.chunk_by(|(left, _), (right, _)| left == right) {
                let Some((home, _)) = same.first() else { continue };
                let Some(document) = view(connection, &authority, home)? else { continue };
                let wanted = document.tainted.into_iter().filter(|tainted| {
                    same.iter().any(|(_, change)| *change == tainted.writer.change)
                });
                list.extend(wanted.map(|tainted| ToReview { home: *home, tainted }));
            }
            Ok(list)
        })
    }

    /// The document of a tainted change, reviewed or not, by the first digits of its id; more
    /// than one when the digits are too few.
    pub fn find_tainted(&self, digits: &str) -> Result<Vec<(Home, ChangeId)>, Fault> {
        self.inner.readers.with(|connection| {
            let mut select = connection.prepare("SELECT key FROM tainted")?;
            let keys = select.query_map([], |row| key_of(row.get_ref(0)?.as_blob()?))?;
            let mut found = Vec::new();
            for key in keys {
                let key = key?;
                if key.change.to_string().starts_with(digits) {
                    found.push((key.home, key.change));
                }
            }
            Ok(found)
        })
    }
}

fn unreviewed(
    connection: &Connection,
    prefix: Option<&KeyPrefix>,
    may: &dyn Fn(&Home) -> bool,
    limit: usize,
) -> rusqlite::Result<Vec<(Home, ChangeId)>> {
    let Range { start, end } = prefix.map_or_else(Range::all, Range::of);
    let mut select = connection.prepare_cached(
        "SELECT key FROM tainted WHERE key >= ?1 AND key < ?2 AND reviewed = 0 ORDER BY key",
    )?;
    let keys = select.query_map((start, end), |row| {
        key_of(row.get_ref(0)?.as_blob()?).map(|key| (key.home, key.change))
    })?;
    // The keys are read one by one, and no more of them than it takes.
    let is_wanted = |key: &rusqlite::Result<(Home, ChangeId)>| match key {
        Ok((home, _)) => may(home),
        Err(_) => true,
    };
    keys.filter(is_wanted).take(limit).collect()
}
