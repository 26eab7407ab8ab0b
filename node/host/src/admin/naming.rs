//! Names of categories and rights, as an administrator types and reads them.
//!
//! What it is: one spelling for the command line, forms, roles and JSON, in both directions. What
//! it is not: the words of pages, which come from the Fluent texts.
//!
//! | text | categories |
//! |---|---|
//! | `all` | every number, those without a kind included |
//! | `public`, `alerts`, `cases`, `library` | every kind among these numbers |
//! | `ticket`, `ticket.contact`, `library.health`, … | one kind: its name in [`Kinds`] |
//! | `library/population/contact` | one part of a class of the catalogue |
//! | `library/population/*`, `library/*/base` | all parts of a class; one part of all classes |
//! | `3000`, `3000-30ff` | numbers in hexadecimal |
//!
//! `ticket-contact` is read as `ticket.contact`, as it was written before there were kinds.
//! Several are separated by commas. Rights are `read`, `write`, `assign`, `sign-off`, `erase`,
//! `all` or `none`, separated by commas or `+`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cunlian_governance::capabilities::Kinds;
use cunlian_governance::capability::Kind;
use cunlian_governance::checks;
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::rights::Rights;

use super::AdminError;

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::built_in);

/// Every number.
const ALL: &str = "all";

/// Names for all kinds between two numbers.
const BLOCKS: [(&str, Category, Category); 4] = [
    ("public", Category::CATALOGUE, Category::JOURNAL),
    ("alerts", Category::ALERT, Category::ALERT),
    ("cases", Category::TICKET, Category::ANSWER),
    (LIBRARY, Category::LIBRARY_FIRST, Category::LIBRARY_LAST),
];
const LIBRARY: &str = "library";

const RIGHTS: [(&str, Rights); 5] = [
    ("read", Rights::READ),
    ("write", Rights::WRITE),
    ("assign", Rights::ASSIGN),
    ("sign-off", Rights::SIGN_OFF),
    ("erase", Rights::ERASE),
];

/// A name as it is kept: trimmed, in one line, with nothing in it that cannot be seen.
pub(crate) fn one_line(name: &str) -> Result<String, AdminError> {
    let name = name.trim();
    let wrong = match checks::visible(name) {
        Err(error) => error.to_string(),
        Ok(_) if name.contains(['\n', '\t']) => "has a line break in it".to_owned(),
        Ok(_) => return Ok(name.to_owned()),
    };
    Err(AdminError::new(format!("the name {name:?} {wrong}")).hint("write it in one line"))
}

/// Why a text names no category or right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// No category has this name.
    #[error("there is no category {name:?}; one is ticket, library/population/base, 3000-30ff")]
    Category {
        /// The name given.
        name: String,
    },
    /// The catalogue has no such class.
    #[error("the library has no class {name:?}; it has {known}")]
    Class {
        /// The name given.
        name: String,
        /// The keys of all classes.
        known: String,
    },
    /// There is no such part.
    #[error("a record has no part {name:?}; it has {known}")]
    Part {
        /// The name given.
        name: String,
        /// The names of all parts.
        known: String,
    },
    /// More than one category, where one is needed.
    #[error("{name:?} is more than one category")]
    Several {
        /// The name given.
        name: String,
    },
    /// There is no such right.
    #[error("there is no right {name:?}; they are read, write, assign, sign-off, erase")]
    Right {
        /// The name given.
        name: String,
    },
}

/// The set that a list of names stands for.
pub fn parse_categories(text: &str, catalogue: &Catalogue) -> Result<CategorySet, NamingError> {
    text.split(',').map(str::trim).try_fold(CategorySet::none(), |set, name| {
        Ok(set.union(&CategorySet::from(ranges(name, catalogue)?)))
    })
}

/// The one category that a name stands for.
pub fn parse_category(text: &str, catalogue: &Catalogue) -> Result<Category, NamingError> {
    let set = parse_categories(text, catalogue)?;
    let mut ranges = set.ranges();
    match (ranges.next(), ranges.next()) {
        (Some((first, last)), None) if first == last => Ok(first),
        _ => Err(NamingError::Several { name: text.to_owned() }),
    }
}

/// The name of one category; its number where it has none.
pub fn category_name(category: Category, catalogue: &Catalogue) -> String {
    let part = category
        .class_and_part()
        .and_then(|(class, part)| Some((catalogue.by_number(class)?, Part::from_number(part)?)));
    match (part, KINDS.of(category)) {
        (Some((class, part)), _) => format!("library/{}/{}", class.key, part_name(part)),
        // One class without a name is not the part of all classes.
        (None, Some(kind)) if kind.first == kind.last => kind.name.to_owned(),
        (None, _) => category.to_string(),
    }
}

/// The shortest list of names for a set; [`parse_categories`] reads it back.
pub fn category_names(categories: &CategorySet, catalogue: &Catalogue) -> Vec<String> {
    if *categories == CategorySet::all() {
        return vec![ALL.to_owned()];
    }
    let mut names: Vec<(Category, String)> = Vec::new();
    let mut left = categories.clone();
    for (name, first, last) in BLOCKS.into_iter().filter(|(_, first, last)| first != last) {
        let block = within(first, last);
        if left.contains_set(&block) {
            names.push((first, name.to_owned()));
            left = left.without(&block);
        }
    }
    for kind in KINDS.iter().filter(|kind| kind.capability() != LIBRARY) {
        if left.contains_set(&kind.categories()) {
            names.push((kind.first, kind.name.to_owned()));
            left = left.without(&kind.categories());
        }
    }
    let library = left.intersection(&within(Category::LIBRARY_FIRST, Category::LIBRARY_LAST));
    let mut of_library = Vec::new();
    library_names(&library, catalogue, &mut of_library);
    names.extend(of_library.into_iter().map(|name| (Category::LIBRARY_FIRST, name)));
    let undefined = left.without(&library);
    let spans = undefined.ranges();
    names.extend(spans.map(|(first, last)| (first, span(first.0, last.0, catalogue))));
    names.sort_by_key(|(first, _)| *first);
    names.into_iter().map(|(_, name)| name).collect()
}

/// The rights that a list of names stands for.
pub fn parse_rights(text: &str) -> Result<Rights, NamingError> {
    text.split([',', '+']).map(str::trim).try_fold(Rights::NONE, |rights, name| {
        let right = match name {
            "all" => Some(Rights::ALL),
            "none" => Some(Rights::NONE),
            "sign_off" => Some(Rights::SIGN_OFF),
            _ => RIGHTS.iter().find(|(known, _)| *known == name).map(|(_, right)| *right),
        };
        right
            .map(|right| rights.with(right))
            .ok_or_else(|| NamingError::Right { name: name.to_owned() })
    })
}

/// The names of the rights in a set, in a fixed order.
pub fn rights_names(rights: Rights) -> Vec<&'static str> {
    RIGHTS.iter().filter(|(_, right)| rights.contains(*right)).map(|(name, _)| *name).collect()
}

/// The name of a part of a record.
pub const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Base => "base",
        Part::Identity => "identity",
        Part::Contact => "contact",
        Part::Health => "health",
        Part::Welfare => "welfare",
        Part::Minors => "minors",
    }
}

fn ranges(name: &str, catalogue: &Catalogue) -> Result<Vec<(u16, u16)>, NamingError> {
    if name == ALL {
        return Ok(CategorySet::all().into());
    }
    if let Some((_, first, last)) = BLOCKS.iter().find(|(block, ..)| *block == name) {
        return Ok(within(*first, *last).into());
    }
    if let Some(kind) = kind_named(name) {
        return Ok(kind.categories().into());
    }
    if let Some((class, part)) = name.strip_prefix("library/").and_then(|n| n.split_once('/')) {
        return library_ranges(class, part, catalogue);
    }
    let (first, last) = name.split_once('-').unwrap_or((name, name));
    let number = |digits: &str| {
        let four = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| four)
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(vec![(first, last)]),
        _ => Err(NamingError::Category { name: name.to_owned() }),
    }
}

fn library_ranges(
    class: &str,
    part: &str,
    catalogue: &Catalogue,
) -> Result<Vec<(u16, u16)>, NamingError> {
    let classes = if class == "*" {
        (0, u8::MAX)
    } else {
        let found =
            catalogue.classes().iter().find(|known| known.key == class || known.zh == class);
        let number = found.ok_or_else(|| {
            let known: Vec<&str> = catalogue.classes().iter().map(|c| c.key.as_str()).collect();
            NamingError::Class { name: class.to_owned(), known: known.join(", ") }
        })?;
        (number.number, number.number)
    };
    let parts = if part == "*" {
        Part::ALL.map(Part::number).to_vec()
    } else {
        let found = Part::ALL.into_iter().find(|known| part_name(*known) == part);
        let number = found.ok_or_else(|| NamingError::Part {
            name: part.to_owned(),
            known: Part::ALL.map(part_name).join(", "),
        })?;
        vec![number.number()]
    };
    let range = |part| (Category::library(classes.0, part).0, Category::library(classes.1, part).0);
    Ok(parts.into_iter().map(range).collect())
}

/// All kinds between two numbers.
fn within(first: Category, last: Category) -> CategorySet {
    KINDS.all_where(|kind| first <= kind.first && kind.last <= last)
}

fn kind_named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name || kind.name == name.replace('-', "."))
}

fn span(from: u16, to: u16, catalogue: &Catalogue) -> String {
    if from == to {
        return category_name(Category(from), catalogue);
    }
    format!("{from:04x}-{to:04x}")
}

/// Whole parts, then whole classes, then what is left.
fn library_names(set: &CategorySet, catalogue: &Catalogue, names: &mut Vec<String>) {
    let row =
        |part| CategorySet::range(Category::library(0, part), Category::library(u8::MAX, part));
    let (whole, partial): (Vec<Part>, Vec<Part>) =
        Part::ALL.into_iter().partition(|part| set.contains_set(&row(part.number())));
    names.extend(whole.iter().map(|part| format!("library/*/{}", part_name(*part))));
    let partial: Vec<u8> = partial.into_iter().map(Part::number).collect();
    let left: BTreeSet<Category> = partial
        .iter()
        .flat_map(|part| (0..=u8::MAX).map(|class| Category::library(class, *part)))
        .filter(|category| set.contains(*category))
        .collect();
    let all_of = |class: u8| {
        let mut parts = partial.iter().map(|part| Category::library(class, *part));
        partial.len() > 1 && parts.all(|category| left.contains(&category))
    };
    let classes = catalogue.classes().iter().filter(|class| all_of(class.number));
    let classes: Vec<_> = classes.filter(|_| whole.is_empty()).collect();
    names.extend(classes.iter().map(|class| format!("library/{}/*", class.key)));
    let mut run: Option<(u16, u16)> = None;
    for category in left {
        let class = category.class_and_part().map(|(class, _)| class);
        if classes.iter().any(|whole| Some(whole.number) == class) {
            continue;
        }
        let known = class.is_some_and(|class| catalogue.by_number(class).is_some());
        match &mut run {
            Some((_, to)) if !known && to.checked_add(1) == Some(category.0) => *to = category.0,
            _ => {
                names.extend(run.take().map(|(from, to)| span(from, to, catalogue)));
                if known {
                    names.push(category_name(category, catalogue));
                } else {
                    run = Some((category.0, category.0));
                }
            }
        }
    }
    names.extend(run.map(|(from, to)| span(from, to, catalogue)));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let catalogue = Catalogue::built_in();
        category_names(&parse_categories(text, &catalogue).unwrap(), &catalogue)
    }

    /// Shows that what is printed for a set reads back as that set, from single categories to
    /// everything, with parts that have no name among them.
    #[test]
    fn names_read_back() {
        let catalogue = Catalogue::built_in();
        let texts = [
            "all",
            "public,alerts,cases,library",
            "0000-2000",
            "2002-30ff",
            "2001,3100-3fff",
            "library/population/*",
            "library/population/contact,library/*/base",
            "library/care/*,library/*/base",
            "3005-3044,3105-3105",
            "0fff-4001",
            "3fff,4000-ffff",
            "ticket.contact,library.health",
            "3600-36ff,2005",
        ];
        for text in texts {
            let set = parse_categories(text, &catalogue).unwrap();
            let names = category_names(&set, &catalogue).join(",");
            assert_eq!(parse_categories(&names, &catalogue).unwrap(), set, "{text}: {names}");
        }
    }

    /// Shows that sets are named by what they mean where they mean something.
    #[test]
    fn sets_are_named_by_meaning() {
        assert_eq!(named("0000-ffff"), ["all"]);
        assert_eq!(named("0010-0013,1000,2000"), ["public", "alert", "ticket"]);
        assert_eq!(named("cases,library"), ["cases", "library"]);
        assert_eq!(named("library.contact"), ["library/*/contact"]);
        assert_eq!(named("3000-30ff"), ["library/*/base"]);
        assert_eq!(named("library/population/*"), ["library/population/*"]);
        assert_eq!(named("3200,2001"), ["ticket.contact", "library/population/contact"]);
        assert_eq!(named("ticket-contact"), ["ticket.contact"]);
    }

    /// Shows that no name stands for a number without a kind, and that such numbers, which
    /// certificates of release 0.1.0 hold, are told apart from those that mean something.
    #[test]
    fn what_has_no_kind_has_no_name() {
        let catalogue = Catalogue::built_in();
        for name in
            ["public", "alerts", "cases", "library", "library/*/*", "ticket", "library/care/*"]
        {
            for (first, last) in parse_categories(name, &catalogue).unwrap().ranges() {
                for number in first.0..=last.0 {
                    assert!(KINDS.of(Category(number)).is_some(), "{name}: {number:04x}");
                }
            }
        }
        assert_eq!(
            named("0000-2000"),
            ["0000-000f", "public", "division", "0015-0fff", "alert", "1001-1fff", "ticket"]
        );
        assert_eq!(named("3500-36ff"), ["library/*/minors", "3600-36ff"]);
    }

    /// Shows that a mistyped name is refused with what it should have been, never guessed.
    #[test]
    fn other_names_are_refused() {
        let catalogue = Catalogue::built_in();
        for text in ["", "tickets", "300", "30ff-3000", "+300", "library/people/base", "library/x"]
        {
            assert!(parse_categories(text, &catalogue).is_err(), "{text}");
        }
        let error = parse_categories("library/population/phone", &catalogue).unwrap_err();
        assert!(error.to_string().contains("contact"), "{error}");
        let several = Err(NamingError::Several { name: "library".to_owned() });
        assert_eq!(parse_category("library", &catalogue), several);
    }

    /// Shows that rights survive both ways, with either separator.
    #[test]
    fn rights_read_back() {
        assert_eq!(rights_names(Rights::ALL), ["read", "write", "assign", "sign-off", "erase"]);
        assert_eq!(parse_rights("read+sign-off"), Ok(Rights::READ.with(Rights::SIGN_OFF)));
        assert_eq!(parse_rights("all"), Ok(Rights::ALL));
        assert_eq!(parse_rights("none"), Ok(Rights::NONE));
        assert!(parse_rights("").is_err() && parse_rights("delete").is_err());
    }
}
