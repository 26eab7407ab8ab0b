//! The kinds of data of prepared answers (预制答案).

use cunlian_crdt::document::DocumentView;
use cunlian_protocol::category::{Category, CategorySet};

use crate::capability::sample::{self, Spot};
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// Prepared answers to common questions.
#[derive(Debug, Clone, Copy)]
pub struct Answers;

impl Capability for Answers {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn title(&self, view: &DocumentView) -> Option<String> {
        view.fields.get("question").map(|field| field.current.text.clone())
    }

    fn titled(&self) -> CategorySet {
        CategorySet::of([Category::ANSWER])
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        sample::lines(seed, spot, Role::Dispatcher, Category::ANSWER, "question", &TEXTS)
    }
}

const TEXTS: [&str; 3] = ["翻建老房需要什么材料", "医保怎么缴费", "高龄津贴什么时候发"];

const KINDS: [Kind; 1] = [Kind {
    first: Category::ANSWER,
    last: Category::ANSWER,
    name: "answer",
    zh: "常见问题答复",
    en: "common answers",
    sensitivity: Sensitivity::Open,
    attachments: Attachments::None,
}];
