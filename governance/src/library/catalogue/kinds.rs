//! The kinds of data of the catalogue.

use cunlian_crdt::projector::TableSet;
use cunlian_protocol::address::Level;
use cunlian_protocol::category::Category;

use super::Catalogue;
use crate::capability::sample::Spot;
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// The field dictionary of the library.
#[derive(Debug, Clone, Copy)]
pub struct Catalogues;

impl Capability for Catalogues {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&super::projection::Catalogues]
    }

    fn sample(&self, _: u64, spot: &Spot) -> Vec<Scene> {
        let Some(county) = spot.village.truncate(Level::County) else { return Vec::new() };
        let writes = Catalogue::built_in().writes(county, "sample").into_iter().take(spot.count);
        writes.map(|write| Scene { role: Role::County, at_ms: spot.now_ms, write }).collect()
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::CATALOGUE,
    last: Category::CATALOGUE,
    name: "catalogue",
    zh: "档案目录",
    en: "catalogue",
    sensitivity: Sensitivity::Public,
    attachments: Attachments::None,
}];
