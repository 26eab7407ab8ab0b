//! Capabilities: what the program can do for people, each of them one room of this crate.
//!
//! What it is: the one place that names them all ([`CAPABILITIES`]), and what each has to say of
//! itself ([`Capability`]). What it is not: a registry that changes while the program runs. Who
//! has capabilities of their own, such as a test, makes another [`Kinds`] and passes it on.

use cunlian_crdt::projector::TableSet;

pub mod kind;
mod kinds;

pub use kind::{Attachments, Kind, Sensitivity};
pub use kinds::{KindError, Kinds};

/// One capability: its kinds of data, and the tables that lists and figures are asked from.
pub trait Capability: Sync {
    /// The kinds of data it keeps, by number.
    fn kinds(&self) -> &'static [Kind];

    /// The table sets its documents are projected into.
    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[]
    }
}

/// Every capability of the program.
pub const CAPABILITIES: [&dyn Capability; 8] = [
    &crate::catalogue::kinds::Catalogues,
    &crate::notice::kinds::Notices,
    &crate::directory::kinds::Directories,
    &crate::journal::kinds::Journals,
    &crate::alert::kinds::Alerts,
    &crate::ticket::kinds::Tickets,
    &crate::answer::kinds::Answers,
    &crate::library::kinds::Library,
];

#[cfg(test)]
mod tests;
