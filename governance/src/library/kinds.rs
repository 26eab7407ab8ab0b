//! The kinds of data of the library (一库): one for each part of a record, over all classes.
//!
//! A county adds classes as data, so a kind is the part of all 256 classes there can be. Parts
//! 6–15 mean nothing: they have no kind, and are granted to nobody.

use cunlian_crdt::projector::TableSet;
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

use super::whole;
use crate::capability::sample::Spot;
use crate::capability::{Attachments, Capability, Kind, Sensitivity, Subject, Whole};
use crate::generator::{Generator, Role, Scene};
use crate::library::catalogue::Part;

/// The records of the library.
#[derive(Debug, Clone, Copy)]
pub struct Library;

impl Capability for Library {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&super::projection::Library]
    }

    fn whole(&self, store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
        whole::whole(store, home)
    }

    fn subject(&self, store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
        whole::subject(store, home)
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        let writes = Generator::new(seed).records(spot.village, spot.count).flatten();
        writes.map(|write| Scene { role: Role::Village, at_ms: spot.now_ms, write }).collect()
    }
}

const KINDS: [Kind; 6] = [
    part(Part::Base, "library.base", "档案·基本信息", "Library: basics", Sensitivity::Open),
    part(Part::Identity, "library.identity", "档案·身份", "Library: identity", Sensitivity::Closed),
    part(
        Part::Contact,
        "library.contact",
        "档案·联系方式",
        "Library: contact",
        Sensitivity::Closed,
    ),
    part(Part::Health, "library.health", "档案·健康", "Library: health", Sensitivity::Closed),
    part(Part::Welfare, "library.welfare", "档案·保障", "Library: welfare", Sensitivity::Closed),
    part(Part::Minors, "library.minors", "档案·未成年人", "Library: minors", Sensitivity::Closed),
];

const fn part(
    part: Part,
    name: &'static str,
    zh: &'static str,
    en: &'static str,
    sensitivity: Sensitivity,
) -> Kind {
    Kind {
        first: Category::library(0, part.number()),
        last: Category::library(u8::MAX, part.number()),
        name,
        zh,
        en,
        sensitivity,
        attachments: Attachments::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that every part of a record has its kind, and what has none is not a part.
    #[test]
    fn every_part_has_its_kind() {
        for number in 0..16 {
            let kind = KINDS.iter().find(|kind| kind.contains(Category::library(7, number)));
            assert_eq!(kind.is_some(), Part::from_number(number).is_some(), "part {number}");
        }
    }
}
