//! The kinds of data of the contact directory.

use cunlian_crdt::projector::TableSet;
use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

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
