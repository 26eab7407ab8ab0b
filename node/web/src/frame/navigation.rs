//! The entries of the navigation: where they lead, who sees them, and what waits behind them.

use cunlian_governance::access::reader::Reader;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use rusqlite::Connection;

/// An entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Where it leads.
    pub(crate) href: &'static str,
    /// Key of its text.
    pub(crate) text: &'static str,
    /// Its place among all entries, ascending. Where people of a tier begin is their first.
    pub(crate) order: u8,
    /// Who sees it.
    pub(crate) shown: ShownTo,
    /// What of it waits for a person, counted beside it.
    pub(crate) waiting: Option<Count>,
}

/// Who sees an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ShownTo {
    /// Everybody who has logged in.
    All,
    /// Everybody who has logged in to a node of these tiers.
    At(&'static [Tier]),
    /// Who administers the node.
    Administrators,
}

/// Counts what waits for somebody.
pub(crate) type Count = fn(&Connection, &Asking<'_>) -> rusqlite::Result<u64>;

/// For whom it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// Key of their role.
    pub(crate) role: &'a str,
    /// What they may read.
    pub(crate) reader: &'a Reader,
    /// Where.
    pub(crate) regions: &'a [AddressCode],
}

impl ShownTo {
    /// Whether somebody at a node of this tier sees it.
    pub(crate) fn is_at(self, tier: Tier, administers: bool) -> bool {
        match self {
            Self::All => true,
            Self::At(tiers) => tiers.contains(&tier),
            Self::Administrators => administers,
        }
    }
}
