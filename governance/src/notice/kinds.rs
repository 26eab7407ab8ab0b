//! The kinds of data of notices.

use cunlian_crdt::document::DocumentView;
use cunlian_protocol::category::{Category, CategorySet};

use crate::capability::sample::{self, Spot};
use crate::capability::{Attachments, Capability, Kind, Sensitivity};
use crate::generator::{Role, Scene};

/// Policies and notices.
#[derive(Debug, Clone, Copy)]
pub struct Notices;

impl Capability for Notices {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn title(&self, view: &DocumentView) -> Option<String> {
        view.fields.get("title").map(|field| field.current.text.clone())
    }

    fn titled(&self) -> CategorySet {
        CategorySet::of([Category::NOTICE])
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        sample::lines(seed, spot, Role::County, Category::NOTICE, "title", &TEXTS)
    }
}

const TEXTS: [&str; 4] =
    ["关于秸秆禁烧的通知", "城乡居民医保缴费开始", "森林防火期禁火令", "冬季清洁取暖补贴申报"];

const KINDS: [Kind; 1] = [Kind {
    first: Category::NOTICE,
    last: Category::NOTICE,
    name: "notice",
    zh: "通知公告",
    en: "notices",
    sensitivity: Sensitivity::Public,
    attachments: Attachments::None,
}];
