//! The kinds of data of prepared answers (预制答案).

use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

/// Prepared answers to common questions.
#[derive(Debug, Clone, Copy)]
pub struct Answers;

impl Capability for Answers {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }
}

const KINDS: [Kind; 1] = [Kind {
    first: Category::ANSWER,
    last: Category::ANSWER,
    name: "answer",
    zh: "常见问题答复",
    en: "common answers",
    sensitivity: Sensitivity::Open,
    attachments: Attachments::None,
}];
