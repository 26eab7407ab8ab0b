//! A capability: something the program can do for people, one room of this crate, and what it has to
//! say of itself. [`crate::capabilities`] names them all.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::{Rollup, TableSet};
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::change::Home;

pub mod kind;
pub mod sample;
pub mod subject;

pub use kind::{Attachments, Kind, Sensitivity};
pub use sample::Spot;
pub use subject::{Subject, Whole};

use crate::generator::Scene;

/// One capability: its kinds of data, the tables that lists and figures are asked from, and what
/// everybody has to know of its documents who works on documents of every kind.
pub trait Capability: Sync {
    /// The kinds of data it keeps, by number.
    fn kinds(&self) -> &'static [Kind];

    /// The table sets its documents are projected into.
    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[]
    }

    /// The sums over rows of these tables that figures are asked from.
    fn rollups(&self) -> &'static [&'static dyn Rollup] {
        &[]
    }

    /// What is erased or moved together with a document; `None` when the thing it belongs to is
    /// not here. For who has things of several documents.
    fn whole(&self, store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
        subject::alone(store, home).map(Some)
    }

    /// What a document is about, for inbox, review, search and interfaces: the document with a page
    /// of its own, and its title. `None` when that is not here.
    fn subject(&self, store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
        let view = store.view(home)?;
        Ok(view.map(|view| Subject { home: *home, title: self.title(&view).unwrap_or_default() }))
    }

    /// The title of a document that is found by it; `None` where other tables are searched. Pure,
    /// as [`TableSet::rows`].
    fn title(&self, _: &DocumentView) -> Option<String> {
        None
    }

    /// The kinds of which [`title`](Self::title) is asked.
    fn titled(&self) -> CategorySet {
        CategorySet::none()
    }

    /// Believable documents, for demo, simulator and benchmarks. Of a seed and a spot they are
    /// always the same, in the order in which they are written.
    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene>;
}

/// The capability among some that has a kind with this number.
pub(crate) fn owner(
    capabilities: &[&'static dyn Capability],
    category: Category,
) -> Option<&'static dyn Capability> {
    let has = |capability: &&&dyn Capability| {
        capability.kinds().iter().any(|kind| kind.contains(category))
    };
    capabilities.iter().find(has).copied()
}
