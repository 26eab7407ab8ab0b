//! The kinds of data of the catalogue.

use cunlian_crdt::projector::TableSet;
use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

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
