//! What stood in a field before people wrote it at the same time.
//!
//! Each value names those it was written over. Of several values the ones that all of them were
//! written over, directly or through others, are their common past; the newest of these is what
//! everybody saw before their ways parted.

use std::collections::{BTreeMap, BTreeSet};

use super::payload::Step;
use super::{History, OpId};

impl History {
    /// The value that all present values of `field` were written over; `None` when there is no such
    /// one: the field was empty, or is not in conflict.
    pub(crate) fn common_ancestor(&self, field: &str) -> Option<&str> {
        let mut written: BTreeMap<OpId, (&str, &[OpId])> = BTreeMap::new();
        for (id, step) in self.applied.iter().flat_map(super::Payload::steps) {
            if let Step::Put { field: named, text, replaced } = step
                && **named == *field
            {
                written.insert(id, (text, replaced));
            }
        }
        let past = |id: OpId| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
            while let Some(id) = open.pop() {
                let replaced = written.get(&id).map(|(_, replaced)| *replaced).unwrap_or_default();
                open.extend(replaced.iter().filter(|id| seen.insert(**id)));
            }
            seen
        };
        let values = self.fields().remove(field).filter(|values| values.len() > 1)?;
        let common = values.iter().map(|value| past(value.id)).reduce(|a, b| &a & &b)?;
        common.last().and_then(|id| written.get(id)).map(|(text, _)| *text)
    }
}
