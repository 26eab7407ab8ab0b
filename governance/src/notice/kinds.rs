//! The kinds of data of notices.

use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

/// Policies and notices.
#[derive(Debug, Clone, Copy)]
pub struct Notices;

impl Capability for Notices {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::NOTICE,
    last: Category::NOTICE,
    name: "notice",
    zh: "通知公告",
    en: "notices",
    sensitivity: Sensitivity::Public,
    attachments: Attachments::None,
}];
