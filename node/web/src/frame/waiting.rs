//! What waits for whom: the counts beside the navigation.

mod counting;

/// How much waits for a person, by entry of the navigation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Waiting(Vec<(&'static str, u64)>);

impl Waiting {
    /// How much of it is behind an entry.
    pub(crate) fn behind(&self, href: &str) -> u64 {
        self.0.iter().find(|(entry, _)| *entry == href).map_or(0, |(_, count)| *count)
    }
}
