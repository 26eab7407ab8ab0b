//! The kinds of data of the register of divisions.

use cunlian_crdt::projector::TableSet;
use cunlian_protocol::address::Level;
use cunlian_protocol::category::Category;

use super::{Division, Status, entry};
use crate::capability::sample::Spot;
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// Which places there are, their names, and what became of their codes.
#[derive(Debug, Clone, Copy)]
pub struct Divisions;

impl Capability for Divisions {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&super::projection::Divisions]
    }

    fn sample(&self, _: u64, spot: &Spot) -> Vec<Scene> {
        let Some(county) = spot.village.truncate(Level::County) else { return Vec::new() };
        let names = [(Level::Village, "样村"), (Level::Town, "样镇"), (Level::County, "样县")];
        let division = |(level, name): (Level, &str)| {
            let code = spot.village.truncate(level)?;
            let parent = code.parent().filter(|parent| parent.level() >= Level::County);
            let (name, status) = (name.to_owned(), Status::Active);
            Some(Division { code, name, parent, status, successors: Vec::new() })
        };
        let divisions = names.into_iter().filter_map(division).take(spot.count);
        let writes = divisions.flat_map(|division| entry::writes(county, &[division], "sample"));
        writes.map(|write| Scene { role: Role::County, at_ms: spot.now_ms, write }).collect()
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::DIVISION,
    last: Category::DIVISION,
    name: "division",
    zh: "区划名册",
    en: "register of divisions",
    sensitivity: Sensitivity::Public,
    attachments: Attachments::None,
}];
