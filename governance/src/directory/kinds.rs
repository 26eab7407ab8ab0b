//! The kinds of data of the contact directory.

use cunlian_crdt::document::DocumentView;
use cunlian_crdt::projector::TableSet;
use cunlian_protocol::category::{Category, CategorySet};

use crate::capability::sample::Spot;
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Generator, Role, Scene};

/// The public contacts of a village.
#[derive(Debug, Clone, Copy)]
pub struct Directories;

impl Capability for Directories {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&super::projection::Directory]
    }

    fn title(&self, view: &DocumentView) -> Option<String> {
        let text = |field: &str| Some(view.fields.get(field)?.current.text.as_str());
        Some(format!("{} {}", text("role")?, text("name")?))
    }

    fn titled(&self) -> CategorySet {
        CategorySet::of([Category::DIRECTORY])
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        let writes = Generator::new(seed).directory(spot.village).into_iter().take(spot.count);
        writes.map(|write| Scene { role: Role::Village, at_ms: spot.now_ms, write }).collect()
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::DIRECTORY,
    last: Category::DIRECTORY,
    name: "directory",
    zh: "便民电话",
    en: "useful numbers",
    sensitivity: Sensitivity::Public,
    attachments: Attachments::None,
}];
