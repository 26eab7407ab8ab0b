//! The kinds of data of alerts.

use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

/// Alerts.
#[derive(Debug, Clone, Copy)]
pub struct Alerts;

impl Capability for Alerts {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::ALERT,
    last: Category::ALERT,
    name: "alert",
    zh: "预警",
    en: "alerts",
    sensitivity: Sensitivity::Open,
    attachments: Attachments::None,
}];
