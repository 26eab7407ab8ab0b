//! The kinds of data of the journals of nodes.

use cunlian_protocol::category::Category;

use crate::capability::sample::{self, Spot};
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// What nodes did as nodes: read by those above, never published to those below.
#[derive(Debug, Clone, Copy)]
pub struct Journals;

impl Capability for Journals {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        sample::lines(seed, spot, Role::Village, Category::JOURNAL, "event", &["start", "stop"])
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::JOURNAL,
    last: Category::JOURNAL,
    name: "journal",
    zh: "运行日志",
    en: "journal of the node",
    sensitivity: Sensitivity::Open,
    attachments: Attachments::None,
}];
