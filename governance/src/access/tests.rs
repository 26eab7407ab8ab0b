#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::certificate::{Grant, Tier};
use cunlian_protocol::region::Depth;
use cunlian_protocol::rights::Rights;

use super::{preset, role};
use crate::capabilities::Kinds;
use crate::capability::{Attachments, Capability, Kind, Sensitivity, Spot};
use crate::generator::Scene;

const TIERS: [(Tier, &str); 6] = [
    (Tier::Province, "37"),
    (Tier::City, "3703"),
    (Tier::County, "370322"),
    (Tier::Town, "370322102"),
    (Tier::Village, "370322102310"),
    (Tier::Grid, "370322102310001"),
];

/// The presets of release 0.1.0, in numbers: open, closed and published above.
const OPEN_BEFORE: [(u16, u16); 2] = [(0, 0x2000), (0x2002, 0x30ff)];
const CLOSED_BEFORE: [(u16, u16); 2] = [(0x2001, 0x2001), (0x3100, 0x3fff)];
const PUBLIC_BEFORE: [(u16, u16); 2] = [(0, 0x0012), (0x0014, 0x0fff)];
/// Rights of each tier in release 0.1.0 on what is open, on what is closed, and to pass on.
const RIGHTS_BEFORE: [(Tier, &str, &str, &str); 6] = [
    (Tier::Province, "rwase", "", "rwase"),
    (Tier::City, "rwase", "", "rwase"),
    (Tier::County, "rwase", "", "rwase"),
    (Tier::Town, "rwase", "rwase", "rwase"),
    (Tier::Village, "rwae", "rwae", "rwae"),
    (Tier::Grid, "rwae", "rwae", "rwae"),
];
/// The roles of release 0.1.0.
type RoleBefore = (&'static str, &'static [(&'static [(u16, u16)], &'static str)]);
const ROLES_BEFORE: [RoleBefore; 9] = [
    (
        "village_operator",
        &[
            (&[(0x0010, 0x0011), (0x1000, 0x1fff), (0x2003, 0x2003)], "r"),
            (&[(0x0012, 0x0012), (0x2000, 0x2002), (0x3000, 0x3fff)], "rw"),
        ],
    ),
    (
        "grid_worker",
        &[
            (&[(0x0010, 0x0012), (0x1000, 0x1fff), (0x2003, 0x2003)], "r"),
            (&[(0x2000, 0x2002), (0x3000, 0x3fff)], "rw"),
        ],
    ),
    (
        "dispatcher",
        &[
            (&[(0x0010, 0x0011), (0x1000, 0x1fff)], "r"),
            (&[(0x0012, 0x0012), (0x2003, 0x2003), (0x3000, 0x30ff), (0x3200, 0x32ff)], "rw"),
            (&[(0x2000, 0x2002)], "rwa"),
        ],
    ),
    (
        "leader",
        &[
            (&[(0x0010, 0x0012), (0x1000, 0x1fff), (0x2003, 0x2003), (0x3000, 0x30ff)], "r"),
            (&[(0x2000, 0x2002)], "rwas"),
        ],
    ),
    (
        "department_officer",
        &[(&[(0x0010, 0x0012), (0x2003, 0x2003)], "r"), (&[(0x2000, 0x2002)], "rw")],
    ),
    (
        "analyst",
        &[(
            &[
                (0x0010, 0x0012),
                (0x1000, 0x1fff),
                (0x2000, 0x2000),
                (0x2003, 0x2003),
                (0x3000, 0x30ff),
            ],
            "r",
        )],
    ),
    (
        "supervisor",
        &[
            (&[(0x0010, 0x0012), (0x1000, 0x1fff), (0x2002, 0x2003), (0x3000, 0x30ff)], "r"),
            (&[(0x2000, 0x2000)], "rw"),
        ],
    ),
    (
        "administrator",
        &[
            (&[(0x0000, 0x0fff)], "rwe"),
            (&[(0x1000, 0x1fff), (0x2000, 0x2000), (0x2003, 0x2003), (0x3000, 0x30ff)], "re"),
            (&[(0x2001, 0x2002), (0x3100, 0xffff)], "e"),
        ],
    ),
    (
        "auditor",
        &[(
            &[
                (0x0000, 0x0fff),
                (0x1000, 0x1fff),
                (0x2000, 0x2000),
                (0x2003, 0x2003),
                (0x3000, 0x30ff),
            ],
            "r",
        )],
    ),
];

/// A list of tools that a village lends, which no program but this test knows.
struct Tools;

impl Capability for Tools {
    fn kinds(&self) -> &'static [Kind] {
        const TOOL: Kind = Kind {
            first: Category(0x2010),
            last: Category(0x2010),
            name: "tool",
            zh: "借用工具",
            en: "borrowed tools",
            sensitivity: Sensitivity::Open,
            attachments: Attachments::None,
        };
        const BORROWER: Kind = Kind {
            first: Category(0x4001),
            last: Category(0x4001),
            name: "tool.borrower",
            zh: "借用人",
            en: "borrowers",
            sensitivity: Sensitivity::Closed,
            ..TOOL
        };
        &[TOOL, BORROWER]
    }

    fn sample(&self, _: u64, _: &Spot) -> Vec<Scene> {
        Vec::new()
    }
}

fn with_tools() -> Kinds {
    Kinds::built_in().with(&Tools).unwrap()
}

fn rights(letters: &str) -> Rights {
    let right = |letter| match letter {
        'r' => Rights::READ,
        'w' => Rights::WRITE,
        'a' => Rights::ASSIGN,
        's' => Rights::SIGN_OFF,
        'e' => Rights::ERASE,
        other => panic!("{other}"),
    };
    letters.chars().fold(Rights::NONE, |all, letter| all.with(right(letter)))
}

fn preset_of(kinds: &Kinds, tier: Tier, region: &str) -> Vec<Grant> {
    preset::grants(kinds, tier, AddressCode::parse(region).unwrap())
}

/// Rights on a number, and rights to pass on, in the own region or above it.
fn held(grants: &[Grant], depth: Depth, number: u16) -> (Rights, Rights) {
    let here = grants
        .iter()
        .filter(|grant| grant.region.depth == depth && grant.categories.contains(Category(number)));
    here.fold((Rights::NONE, Rights::NONE), |(rights, delegable), grant| {
        (rights.with(grant.rights), delegable.with(grant.delegable))
    })
}

fn within(ranges: &[(u16, u16)], number: u16) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
}

/// Numbers that `found` gives something on although they have no kind.
fn without_kind(kinds: &Kinds, found: impl Fn(u16) -> bool) -> Vec<u16> {
    let numbers = (0..=u16::MAX).filter(|number| kinds.of(Category(*number)).is_none());
    numbers.filter(|number| found(*number)).collect()
}

/// Shows that each tier has on every kind there was exactly the rights it had, to use and to pass
/// on, in its region and above it, and on numbers without a kind none.
#[test]
fn presets_give_what_they_gave_for_every_kind() {
    let kinds = Kinds::built_in();
    for ((tier, region), (same, open, closed, delegable)) in TIERS.into_iter().zip(RIGHTS_BEFORE) {
        assert_eq!(tier, same);
        let grants = preset_of(&kinds, tier, region);
        for number in 0..=u16::MAX {
            let is_kind = kinds.of(Category(number)).is_some();
            let is_open = within(&OPEN_BEFORE, number);
            let own = match (is_kind, is_open, within(&CLOSED_BEFORE, number)) {
                (true, true, false) => (rights(open), rights(delegable)),
                (true, false, true) => (rights(closed), rights(delegable)),
                (true, ..) => panic!("{number:04x} was both or neither"),
                (false, ..) => (Rights::NONE, Rights::NONE),
            };
            assert_eq!(held(&grants, Depth::Subtree, number), own, "{tier:?} {number:04x}");
            let is_published = is_kind && within(&PUBLIC_BEFORE, number) && region.len() > 6;
            let above = if is_published { Rights::READ } else { Rights::NONE };
            assert_eq!(
                held(&grants, Depth::Exact, number),
                (above, above),
                "{tier:?} {number:04x}"
            );
        }
    }
}

/// Shows that each role has on every kind there was exactly the rights it had, and on numbers
/// without a kind none.
#[test]
fn roles_give_what_they_gave_for_every_kind() {
    let kinds = Kinds::built_in();
    let roles = role::built_in(&kinds);
    assert_eq!(roles.len(), ROLES_BEFORE.len());
    for (role, (key, before)) in roles.iter().zip(ROLES_BEFORE) {
        assert_eq!(role.key, key);
        for number in 0..=u16::MAX {
            let category = Category(number);
            let given = role.allowances.iter().filter(|it| it.categories.contains(category));
            let given = given.fold(Rights::NONE, |all, it| all.with(it.rights));
            let had = before.iter().filter(|(ranges, _)| within(ranges, number));
            let had = had.fold(Rights::NONE, |all, (_, letters)| all.with(rights(letters)));
            // What came later and is published is read by all.
            let had = if category == Category::DIVISION { had.with(Rights::READ) } else { had };
            let expected = if kinds.of(category).is_some() { had } else { Rights::NONE };
            assert_eq!(given, expected, "{key} {number:04x}");
        }
    }
}

/// Shows that a number without a kind is granted to nobody: at no tier, in no role, neither to
/// use nor to pass on, with the kinds of the program and with one more; and that the check finds
/// a preset that is too wide.
#[test]
fn a_number_without_a_kind_is_granted_to_nobody() {
    for kinds in [Kinds::built_in(), with_tools()] {
        for (tier, region) in TIERS {
            let grants = preset_of(&kinds, tier, region);
            let granted = |number| grants.iter().any(|it| it.categories.contains(Category(number)));
            assert_eq!(without_kind(&kinds, granted), [0_u16; 0], "{tier:?}");
        }
        for role in role::built_in(&kinds) {
            let sets = || role.allowances.iter().map(|it| &it.categories);
            let granted = |number| sets().any(|set| set.contains(Category(number)));
            assert_eq!(without_kind(&kinds, granted), [0_u16; 0], "{}", role.key);
        }
    }
    let granted = |number| within(&OPEN_BEFORE, number);
    let too_wide = without_kind(&Kinds::built_in(), granted);
    assert!(too_wide.contains(&0x2005) && too_wide.contains(&0x0fff));
}

/// What a county reads of closed kinds.
fn closed_read(kinds: &Kinds, grants: &[Grant]) -> Vec<&'static str> {
    let closed = kinds.iter().filter(|kind| kind.sensitivity == Sensitivity::Closed);
    let read = |kind: &&Kind| {
        let readable = grants.iter().filter(|grant| grant.rights.contains(Rights::READ));
        readable
            .map(|grant| &grant.categories)
            .any(|set| !set.intersection(&kind.categories()).is_empty())
    };
    closed.filter(read).map(|kind| kind.name).collect()
}

/// Shows that no county reads a closed kind, of the program or of somebody else's, that it may
/// certify a town for it, and that the town reads it; the check finds a preset that lets it.
#[test]
fn a_county_never_reads_a_closed_kind() {
    let kinds = with_tools();
    for (tier, region) in TIERS {
        let grants = preset_of(&kinds, tier, region);
        let read = closed_read(&kinds, &grants);
        assert_eq!(read.is_empty(), tier <= Tier::County, "{tier:?} {read:?}");
    }
    let county = preset_of(&kinds, Tier::County, "370322");
    let (rights, delegable) = held(&county, Depth::Subtree, 0x4001);
    assert!(rights == Rights::NONE && delegable.contains(Rights::READ));
    assert!(held(&county, Depth::Subtree, 0x2010).0.contains(Rights::READ));
    let mut leaky = county;
    for grant in &mut leaky {
        grant.rights = Rights::READ;
    }
    assert!(closed_read(&kinds, &leaky).contains(&"tool.borrower"));
}

/// Shows that every preset can be issued by the tier above, also with one more capability: nothing
/// is wider than what is delegable there, or provisioning would fail in the field. A program with
/// a kind that the tier above does not know yet cannot be certified for it.
#[test]
fn each_tier_can_certify_the_next() {
    let refused = |above: &Kinds, below: &Kinds| {
        let mut refused = 0;
        for pair in TIERS.windows(2) {
            let [(upper, upper_region), (lower, lower_region)] = pair else { unreachable!() };
            let held = preset_of(above, *upper, upper_region);
            for wanted in preset_of(below, *lower, lower_region) {
                refused += usize::from(!held.iter().any(|held| held.may_issue(&wanted)));
            }
        }
        refused
    };
    assert_eq!(refused(&Kinds::built_in(), &Kinds::built_in()), 0);
    assert_eq!(refused(&with_tools(), &with_tools()), 0);
    assert_eq!(refused(&with_tools(), &Kinds::built_in()), 0);
    assert!(refused(&Kinds::built_in(), &with_tools()) > 0);
}

/// Shows that a role that names no known kind is refused with all that are known, numbers and
/// sets among them, and that kinds of somebody else can be named where they are known.
#[test]
fn roles_name_known_kinds() {
    let roles = |name: &str, kinds: &Kinds| {
        let text = format!(
            r#"[{{"key": "k", "zh": "甲", "en": "A",
                  "allowances": [{{"kinds": ["{name}"], "rights": ["read"]}}]}}]"#
        );
        role::parse(&text, kinds)
    };
    let kinds = Kinds::built_in();
    for bad in ["tickets", "2000", "2000-2002", "ticket.", "tick.*", "*", "tool", "tool.*", ""] {
        let said = roles(bad, &kinds).unwrap_err().to_string();
        assert!(said.contains(&format!("{bad:?}")) && said.contains("ticket.contact"), "{said}");
    }
    let numbers = |name: &str, kinds: &Kinds| -> Vec<String> {
        let role = roles(name, kinds).unwrap().remove(0);
        let ranges = role.allowances.iter().flat_map(|it| it.categories.ranges());
        ranges.map(|(first, last)| format!("{first}-{last}")).collect()
    };
    assert_eq!(numbers("ticket.*", &kinds), ["2000-2002"]);
    assert_eq!(numbers("library.*", &kinds), ["3000-35ff"]);
    assert_eq!(numbers("tool.*", &with_tools()), ["2010-2010", "4001-4001"]);
    assert_eq!(numbers("closed:*", &with_tools()), ["2001-2001", "3100-35ff", "4001-4001"]);
}

/// Shows that the administrator may erase what is closed and not read it, of every capability.
#[test]
fn the_administrator_erases_what_is_closed_unread() {
    let kinds = with_tools();
    let roles = role::built_in(&kinds);
    let administrator = roles.iter().find(|role| role.key == "administrator").unwrap();
    for kind in kinds.iter() {
        let here = administrator.allowances.iter();
        let here = here.filter(|allowance| allowance.categories.contains(kind.first));
        let rights = here.fold(Rights::NONE, |all, allowance| all.with(allowance.rights));
        assert!(rights.contains(Rights::ERASE), "{}", kind.name);
        let is_closed = kind.sensitivity == Sensitivity::Closed;
        assert!(!(is_closed && rights.contains(Rights::READ)), "{}", kind.name);
    }
}
