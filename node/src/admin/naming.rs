//! Names of categories and rights, as an administrator types and reads them.
//!
//! What it is: one spelling for the command line, forms, roles and JSON, in both directions. What
//! it is not: the words of pages, which come from the Fluent texts.
//!
//! | text | categories |
//! |---|---|
//! | `all` | every one |
//! | `public` | `0000-0fff`: catalogue, notices, directories, journal |
//! | `catalogue`, `notice`, `directory`, `journal` | one each |
//! | `alerts` | `1000-1fff` |
//! | `cases` | `2000-2fff` |
//! | `alert`, `ticket`, `ticket-contact`, `ticket-photo`, `answer` | one each |
//! | `library` | `3000-3fff` |
//! | `library/population/contact` | one part of a class of the catalogue |
//! | `library/population/*`, `library/*/base` | all parts of a class; one part of all classes |
//! | `3000`, `3000-30ff` | numbers in hexadecimal |
//!
//! Several are separated by commas. Rights are `read`, `write`, `assign`, `sign-off`, `erase`,
//! `all` or `none`, separated by commas or `+`.

use std::collections::BTreeSet;

use cunlian_governance::catalogue::{Catalogue, Part};
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::rights::Rights;

const JOURNAL: Category = Category(0x0013);

const SINGLE: [(&str, Category); 9] = [
    ("catalogue", Category::CATALOGUE),
    ("notice", Category::NOTICE),
    ("directory", Category::DIRECTORY),
    ("journal", JOURNAL),
    ("alert", Category::ALERT),
    ("ticket", Category::TICKET),
    ("ticket-contact", Category::TICKET_CONTACT),
    ("ticket-photo", Category::TICKET_PHOTO),
    ("answer", Category::ANSWER),
];

/// Widest first, so that the first one that fits says most.
const BLOCKS: [(&str, u16, u16); 5] = [
    ("all", 0, u16::MAX),
    ("public", 0, 0x0fff),
    ("alerts", 0x1000, 0x1fff),
    ("cases", 0x2000, 0x2fff),
    ("library", 0x3000, 0x3fff),
];

const RIGHTS: [(&str, Rights); 5] = [
    ("read", Rights::READ),
    ("write", Rights::WRITE),
    ("assign", Rights::ASSIGN),
    ("sign-off", Rights::SIGN_OFF),
    ("erase", Rights::ERASE),
];

/// Parts a library category has room for.
const PARTS: u8 = 16;

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
    if let Some((name, _)) = SINGLE.iter().find(|(_, single)| *single == category) {
        return (*name).to_owned();
    }
    let named = category
        .class_and_part()
        .and_then(|(class, part)| Some((catalogue.by_number(class)?, Part::from_number(part)?)));
    match named {
        Some((class, part)) => format!("library/{}/{}", class.key, part_name(part)),
        None => category.to_string(),
    }
}

/// The shortest list of names for a set; [`parse_categories`] reads it back.
pub fn category_names(categories: &CategorySet, catalogue: &Catalogue) -> Vec<String> {
    let mut names = Vec::new();
    let library = CategorySet::range(Category::LIBRARY_FIRST, Category::LIBRARY_LAST);
    let whole_library = categories.contains_set(&library);
    for (first, last) in categories.ranges() {
        let mut next = Some(first.0);
        while let Some(from) = next.filter(|from| *from <= last.0) {
            let to = if let Some((name, _, to)) = block(from, last.0) {
                names.push((*name).to_owned());
                *to
            } else if (0x3000..0x4000).contains(&from) && !whole_library {
                // Looked at as a whole below, where all parts of a class are seen together.
                0x3fff
            } else {
                let to = unnamed_until(from, last.0);
                names.push(span(from, to, catalogue));
                to
            };
            next = to.checked_add(1);
        }
    }
    if !whole_library {
        library_names(&categories.intersection(&library), catalogue, &mut names);
    }
    names
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
    if let Some((_, first, last)) = BLOCKS.iter().find(|(block, ..)| *block == name) {
        return Ok(vec![(*first, *last)]);
    }
    if let Some((_, single)) = SINGLE.iter().find(|(single, _)| *single == name) {
        return Ok(vec![(single.0, single.0)]);
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
        0..PARTS
    } else {
        let found = Part::ALL.into_iter().find(|known| part_name(*known) == part);
        let number = found.ok_or_else(|| NamingError::Part {
            name: part.to_owned(),
            known: Part::ALL.map(part_name).join(", "),
        })?;
        number.number()..number.number() + 1
    };
    let range = |part| (Category::library(classes.0, part).0, Category::library(classes.1, part).0);
    Ok(parts.map(range).collect())
}

/// The widest block that begins at `from` and ends by `last`.
fn block(from: u16, last: u16) -> Option<&'static (&'static str, u16, u16)> {
    BLOCKS.iter().find(|(_, first, end)| *first == from && *end <= last)
}

/// Where a run that begins at `from` ends: before anything that has a name of its own.
fn unnamed_until(from: u16, last: u16) -> u16 {
    if SINGLE.iter().any(|(_, single)| single.0 == from) {
        return from;
    }
    let starts = SINGLE.iter().map(|(_, single)| single.0);
    let starts = starts.chain(BLOCKS.iter().map(|(_, first, _)| *first)).chain([0x4000]);
    let next = starts.filter(|start| *start > from).min();
    next.map_or(last, |start| last.min(start - 1))
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
    let (whole, partial): (Vec<u8>, Vec<u8>) =
        (0..PARTS).partition(|part| set.contains_set(&row(*part)));
    for part in &whole {
        names.push(match Part::from_number(*part) {
            Some(part) => format!("library/*/{}", part_name(part)),
            None => {
                span(Category::library(0, *part).0, Category::library(u8::MAX, *part).0, catalogue)
            }
        });
    }
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
        assert_eq!(named("0000-2000"), ["public", "alerts", "ticket"]);
        assert_eq!(named("3000-30ff"), ["library/*/base"]);
        assert_eq!(named("library/population/*"), ["library/population/*"]);
        assert_eq!(named("3200,2001"), ["ticket-contact", "library/population/contact"]);
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
