//! Capabilities: what the program can do for people, each of them one room of this crate.
//!
//! What it is: the one place that names them all ([`CAPABILITIES`]), and who of them answers for a
//! document ([`Capabilities`]). What it is not: a registry that changes while the program runs. Who
//! has capabilities of their own, such as a test, makes another [`Capabilities`] and passes it on.

use std::sync::LazyLock;

use cunlian_crdt::projector::{Projector, Rollup, TableSet};
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

mod kinds;

pub use kinds::{KindError, Kinds};

use crate::capability::subject::{self, Subject, Whole};
use crate::capability::{Capability, owner};
use crate::projection::shared;

/// Every capability of the program.
pub const CAPABILITIES: [&dyn Capability; 9] = [
    &crate::library::catalogue::kinds::Catalogues,
    &crate::notice::kinds::Notices,
    &crate::directory::kinds::Directories,
    &crate::journal::kinds::Journals,
    &crate::divisions::kinds::Divisions,
    &crate::alert::kinds::Alerts,
    &crate::ticket::kinds::Tickets,
    &crate::answer::kinds::Answers,
    &crate::library::kinds::Library,
];

/// The capabilities of a program, and who of them answers for a document.
#[derive(Clone)]
pub struct Capabilities {
    all: Vec<&'static dyn Capability>,
    kinds: Kinds,
    titles: shared::Titles,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Capabilities {
    /// Those of the program.
    pub fn built_in() -> Self {
        let titles = shared::Titles(CAPABILITIES.to_vec());
        Self { all: CAPABILITIES.to_vec(), kinds: Kinds::built_in(), titles }
    }

    /// The same, made once.
    pub fn of_program() -> &'static Self {
        static OF_PROGRAM: LazyLock<Capabilities> = LazyLock::new(Capabilities::built_in);
        &OF_PROGRAM
    }

    /// These and one more.
    pub fn with(mut self, capability: &'static dyn Capability) -> Result<Self, KindError> {
        self.kinds = self.kinds.with(capability)?;
        self.all.push(capability);
        self.titles.0.push(capability);
        Ok(self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Capability> + '_ {
        self.all.iter().copied()
    }

    /// The kinds of all of them.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Whose kind a number is.
    pub fn of(&self, category: Category) -> Option<&'static dyn Capability> {
        owner(&self.all, category)
    }

    /// What is erased or moved together with a document, see [`Capability::whole`]. A document of
    /// an unknown kind stands alone.
    pub fn whole(&self, store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
        match self.of(home.category) {
            Some(capability) => capability.whole(store, home),
            None => subject::alone(store, home).map(Some),
        }
    }

    /// What a document is about, see [`Capability::subject`].
    pub fn subject(&self, store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
        self.of(home.category).map_or(Ok(None), |capability| capability.subject(store, home))
    }
}

impl Projector for Capabilities {
    fn sets(&self) -> Vec<&dyn TableSet> {
        let own = self.all.iter().flat_map(|capability| capability.tables());
        own.copied().chain(shared::sets(&self.titles)).collect()
    }

    fn rollups(&self) -> Vec<&dyn Rollup> {
        let rollups = self.all.iter().flat_map(|capability| capability.rollups());
        rollups.copied().collect::<Vec<&'static dyn Rollup>>()
    }
}

#[cfg(test)]
mod tests;
