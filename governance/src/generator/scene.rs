//! One write of a story, and who signs it.

use cunlian_crdt::document::Write;

/// Who signs an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The village's node: it signs what villagers report and rate.
    Village,
    /// The dispatcher at the town.
    Dispatcher,
    /// The village secretary.
    Secretary,
    /// The county's node: what it publishes for everybody.
    County,
}

/// One write of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Who signs it.
    pub role: Role,
    /// When it was recorded, milliseconds since 1970-01-01 UTC. To be stored with this time: the
    /// receipt and the clock follow from it.
    pub at_ms: i64,
    /// What is written.
    pub write: Write,
}
