#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;

use super::*;
use crate::capability::{Attachments, Kind, Sensitivity, Spot};
use crate::generator::Scene;
use crate::language::Language;

struct Sample(&'static [Kind]);

impl Capability for Sample {
    fn kinds(&self) -> &'static [Kind] {
        self.0
    }

    fn sample(&self, _: u64, _: &Spot) -> Vec<Scene> {
        Vec::new()
    }
}

const fn kind(first: u16, last: u16, name: &'static str) -> Kind {
    Kind {
        first: Category(first),
        last: Category(last),
        name,
        zh: "借用的工具",
        en: "borrowed tools",
        sensitivity: Sensitivity::Open,
        attachments: Attachments::None,
    }
}

const MET: [[Kind; 1]; 4] = [
    [kind(0x2000, 0x2000, "tool")],
    [kind(0x2fff, 0x3000, "tool")],
    [kind(0x35ff, 0x3600, "tool")],
    [kind(0, u16::MAX, "tool")],
];
const TWO: [Kind; 2] = [kind(0x4000, 0x4002, "tool"), kind(0x4002, 0x4003, "tool.owner")];
const BESIDE: [Kind; 2] = [kind(0x4000, 0x4001, "tool"), kind(0x4002, 0x4002, "tool.owner")];
const NO_CHINESE: [Kind; 1] = [Kind { zh: "", ..kind(0x4000, 0x4000, "tool") }];
const NO_ENGLISH: [Kind; 1] = [Kind { en: " ", ..kind(0x4000, 0x4000, "tool") }];
const NUMBER: [Kind; 1] = [kind(0x4000, 0x4000, "4000")];
const SET: [Kind; 1] = [kind(0x4000, 0x4000, "tool.*")];
const TWICE: [Kind; 1] = [kind(0x4000, 0x4000, "ticket")];
const BACKWARDS: [Kind; 1] = [kind(0x4001, 0x4000, "tool")];

/// Shows that kinds that overlap anywhere, with themselves or with those of the program, are not
/// taken, and that neighbours are.
#[test]
fn kinds_never_overlap() {
    let tried = |sample: &'static [Kind]| Kinds::built_in().with(&Sample(sample));
    for bad in &MET {
        assert!(matches!(tried(bad), Err(KindError::Overlap { .. })), "{bad:?}");
    }
    let overlap = KindError::Overlap { one: "tool", other: "tool.owner" };
    assert_eq!(tried(&TWO), Err(overlap));
    let kinds = tried(&BESIDE).unwrap();
    assert_eq!(kinds.of(Category(0x4002)).unwrap().capability(), "tool");
    for number in 0..=u16::MAX {
        let those = kinds.iter().filter(|kind| kind.contains(Category(number)));
        assert!(those.count() <= 1, "{number:04x}");
    }
}

/// Shows that a kind has a name of its own and texts in both languages, or is not taken.
#[test]
fn every_kind_has_a_name_and_both_texts() {
    for kind in Kinds::built_in().iter() {
        for language in [Language::Chinese, Language::English] {
            assert!(!kind.text(language).trim().is_empty(), "{}", kind.name);
        }
        assert_eq!(Kinds::built_in().named(kind.name), Some(kind));
    }
    for bad in [&NO_CHINESE, &NO_ENGLISH, &NUMBER, &SET] {
        let refused = Kinds::built_in().with(&Sample(bad));
        assert!(matches!(refused, Err(KindError::Unnamed { .. })), "{bad:?}");
    }
    let refused = Kinds::built_in().with(&Sample(&TWICE));
    assert_eq!(refused, Err(KindError::SameName { name: "ticket" }));
    let refused = Kinds::built_in().with(&Sample(&BACKWARDS));
    assert_eq!(refused, Err(KindError::Empty { name: "tool" }));
}

/// Shows that the numbers of kinds, which stand in every change and certificate there is, are the
/// ones they always were.
#[test]
fn numbers_do_not_change() {
    let numbers = |kind: &Kind| format!("{} {}-{}", kind.name, kind.first, kind.last);
    let kinds: Vec<_> = Kinds::built_in().iter().map(numbers).collect();
    assert_eq!(
        kinds,
        [
            "catalogue 0010-0010",
            "notice 0011-0011",
            "directory 0012-0012",
            "journal 0013-0013",
            "division 0014-0014",
            "alert 1000-1000",
            "ticket 2000-2000",
            "ticket.contact 2001-2001",
            "ticket.photo 2002-2002",
            "answer 2003-2003",
            "library.base 3000-30ff",
            "library.identity 3100-31ff",
            "library.contact 3200-32ff",
            "library.health 3300-33ff",
            "library.welfare 3400-34ff",
            "library.minors 3500-35ff",
        ]
    );
}

/// Shows that a number is called by its kind, and said to be undefined where it has none.
#[test]
fn a_number_is_called_by_its_kind() {
    let kinds = Kinds::built_in();
    assert_eq!(kinds.text(Category::TICKET_CONTACT, Language::Chinese), "工单联系人");
    assert_eq!(kinds.text(Category(0x3600), Language::Chinese), "未定义的数据（3600）");
    assert_eq!(kinds.text(Category(0x3600), Language::English), "undefined data (3600)");
}

/// Shows that every kind without photos has a sample, that samples are of the kinds of who gives
/// them, the same each time, and other ones for another seed.
#[test]
fn every_kind_has_a_sample() {
    let village = AddressCode::parse("370322102310").unwrap();
    let spot = Spot { village, count: 2_000, now_ms: 1_783_735_200_000 };
    for capability in CAPABILITIES {
        let spot = match capability.kinds().first().unwrap().capability() {
            "library" => spot,
            _ => Spot { count: 12, ..spot },
        };
        let scenes = capability.sample(1, &spot);
        assert_eq!(scenes, capability.sample(1, &spot));
        let drawn = |scenes: &[Scene]| -> BTreeSet<Category> {
            scenes.iter().map(|scene| scene.write.home.category).collect()
        };
        let own = Kinds::of_capability(capability);
        assert!(drawn(&scenes).iter().all(|category| own.contains(*category)));
        for kind in capability.kinds().iter().filter(|kind| kind.attachments == Attachments::None) {
            assert!(drawn(&scenes).iter().any(|it| kind.contains(*it)), "{}", kind.name);
        }
        // What a county publishes does not depend on chance.
        let published = ["catalogue", "division"];
        let is_drawn = capability.kinds().iter().all(|kind| !published.contains(&kind.name));
        assert_eq!(scenes != capability.sample(2, &spot), is_drawn);
    }
}
