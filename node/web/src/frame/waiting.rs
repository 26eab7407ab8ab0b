//! What waits for whom: the counts beside the navigation.

mod counting;

/// How much waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waiting {
    tickets: u64,
    conflicts: u64,
}

impl Waiting {
    /// How much of it is behind an entry of the navigation.
    pub(crate) fn behind(self, href: &str) -> u64 {
        match href {
            "/today" | "/queue" => self.tickets,
            "/conflicts" => self.conflicts,
            _ => 0,
        }
    }
}
