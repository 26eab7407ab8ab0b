//! The kinds of data of alerts.

use cunlian_crdt::document::DocumentView;
use cunlian_protocol::category::{Category, CategorySet};

use crate::capability::sample::{self, Spot};
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// Alerts.
#[derive(Debug, Clone, Copy)]
pub struct Alerts;

impl Capability for Alerts {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn title(&self, view: &DocumentView) -> Option<String> {
        view.fields.get("text").map(|field| field.current.text.clone())
    }

    fn titled(&self) -> CategorySet {
        CategorySet::of([Category::ALERT])
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        sample::lines(seed, spot, Role::Village, Category::ALERT, "text", &TEXTS)
    }
}

const TEXTS: [&str; 3] = ["河水上涨，请转移", "大风蓝色预警，加固大棚", "低温预警，注意防冻"];

const KINDS: [Kind; 1] = [Kind {
    first: Category::ALERT,
    last: Category::ALERT,
    name: "alert",
    zh: "预警",
    en: "alerts",
    sensitivity: Sensitivity::Open,
    attachments: Attachments::None,
}];
