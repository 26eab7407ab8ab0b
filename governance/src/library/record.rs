//! Commands on library records: register, edit, resolve.
//!
//! A record is one document per part. The base document has the id the caller drew; the id of
//! every other part follows from it ([`part`](cunlian_protocol::id::DocumentId::part)), so that no
//! link is stored. Only fields that are filled in are written, and an edit writes only what changed:
//! each field keeps its own source, time and author.
//!
//! A value of a sensitive part comes with its mask in the base ([`mask`]), in the same call; a
//! record goes to another village by [`relocate`](super::relocation::relocate).
//!
//! These functions build [`Write`]s and decide nothing about rights: the form hides what may not
//! be written, the store refuses it.

use std::collections::BTreeMap;

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::AddressCode;

use super::masking::{has_text, mask, mask_edit};
use super::{Fields, Origin, Place};
use crate::checks::{self, CheckError};
use crate::library::catalogue::{Catalogue, Class, Field, FieldKind, Part};
use crate::refusal::{Refusal, RefusalKind, Refused, keys};

/// Longest text of one field, in characters.
pub const FIELD_CHARACTERS: usize = 500;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing was filled in where something must be.
    #[error("must be filled in")]
    Required,
    /// The class has no such field.
    #[error("is not a field of this class")]
    Unknown,
    /// The text is too long.
    #[error("has {got} characters; at most {most} are kept")]
    TooLong {
        /// How many it has.
        got: usize,
        /// How many are allowed.
        most: usize,
    },
    /// The text is not one of the options.
    #[error("{got:?} is not an option; choose one of {options}")]
    Option {
        /// The text.
        got: String,
        /// The options, separated by commas.
        options: String,
    },
    /// The text is not an address code.
    #[error("is not an address code: {0}")]
    Address(String),
    /// The place of a record is no village, nor below one.
    #[error("is not the code of a village or of something in it")]
    NotInVillage,
    /// The village was joined to another one.
    #[error("is the old code of {old}, which was joined to {new}")]
    Joined {
        /// Name of the village that is no more.
        old: String,
        /// Names and codes of those that took its place.
        new: String,
    },
    /// A number or date that fails its check.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The identity number says otherwise.
    #[error("does not agree with the ID number, which says {expected}")]
    Disagrees {
        /// What the identity number says.
        expected: String,
    },
}

keys!(Problem {
    Self::Required => "field-required",
    Self::Unknown => "field-unknown",
    Self::TooLong { .. } => "field-too-long",
    Self::Option { .. } => "field-option",
    Self::Address(_) => "field-address",
    Self::NotInVillage => "field-not-in-village",
    Self::Joined { .. } => "field-village-joined",
    Self::Disagrees { .. } => "field-disagrees",
    Self::Check(CheckError::Length { .. }) => "field-length",
    Self::Check(CheckError::Character { .. }) => "field-character",
    Self::Check(CheckError::CheckCharacter { .. }) => "field-check-character",
    Self::Check(CheckError::Hidden { .. }) => "field-hidden",
    Self::Check(CheckError::Date { .. }) => "field-date",
    Self::Check(CheckError::Phone) => "field-phone",
    Self::Check(CheckError::Number) => "field-number",
});

impl Refused for Problem {
    fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(RefusalKind::Malformed, self.key(), self);
        match self {
            Self::Required
            | Self::Unknown
            | Self::NotInVillage
            | Self::Check(CheckError::Phone | CheckError::Number) => refusal,
            Self::TooLong { got, most } => refusal.with("got", got).with("most", most),
            Self::Option { got, options } => refusal.with("got", got).with("options", options),
            Self::Address(reason) => refusal.with("reason", reason),
            Self::Joined { old, new } => refusal.with("old", old).with("new", new),
            Self::Disagrees { expected } => refusal.with("expected", expected),
            Self::Check(CheckError::Length { expected, got }) => {
                refusal.with("expected", expected).with("got", got)
            }
            Self::Check(CheckError::Character { position, found }) => {
                refusal.with("position", position).with("found", found)
            }
            Self::Check(CheckError::CheckCharacter { expected, got }) => {
                refusal.with("expected", expected).with("got", got)
            }
            Self::Check(CheckError::Hidden { position, code }) => {
                refusal.with("position", position).with("code", &format!("U+{code:04X}"))
            }
            Self::Check(CheckError::Date { got }) => refusal.with("got", got),
        }
    }
}

/// Why a record is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No class has this key.
    #[error("the catalogue has no class {key:?}")]
    Class {
        /// The key.
        key: String,
    },
    /// Fields that must be corrected, by key.
    #[error("{} fields must be corrected", .0.len())]
    Fields(BTreeMap<String, Problem>),
    /// Nothing differs from what is stored.
    #[error("nothing was changed")]
    Unchanged,
}

keys!(RecordError {
    Self::Class { .. } => "record-class",
    Self::Fields(_) => "record-fields",
    Self::Unchanged => "record-unchanged",
});

impl Refused for RecordError {
    fn refusal(&self) -> Refusal {
        let refusal = |class| Refusal::new(class, self.key(), self);
        match self {
            Self::Class { key } => {
                refusal(RefusalKind::Malformed).with("class", key).about("class")
            }
            Self::Fields(problems) => refusal(RefusalKind::Malformed)
                .with("count", &problems.len())
                .about_each(told(problems)),
            Self::Unchanged => refusal(RefusalKind::Conflict),
        }
    }
}

/// Problems as they are told, by field.
pub(crate) fn told(problems: &BTreeMap<String, Problem>) -> BTreeMap<String, Refusal> {
    problems.iter().map(|(key, problem)| (key.clone(), problem.refusal())).collect()
}

/// Checks the fields of a new record and returns one write per part that has any.
///
/// An empty text counts as not filled in. Birth date and sex are taken from a valid identity
/// number where the class has such fields and they were left empty.
pub fn register(
    catalogue: &Catalogue,
    class: &str,
    place: Place,
    fields: &Fields,
    origin: &Origin,
) -> Result<Vec<Write>, RecordError> {
    let class = find(catalogue, class)?;
    let mut problems = BTreeMap::new();
    let mut values = checked(class, fields, &mut problems);
    values.retain(|_, text| !text.is_empty());
    agree(class, &mut values, &Fields::new(), &mut problems);
    stand_in(class, &mut values);
    for field in class.fields.iter().filter(|field| field.required) {
        if !values.contains_key(&field.key) {
            problems.entry(field.key.clone()).or_insert(Problem::Required);
        }
    }
    if !problems.is_empty() {
        return Err(RecordError::Fields(problems));
    }
    let edits = values.into_iter().map(|(field, text)| Edit::Put { field, text });
    Ok(writes(class, place, edits.collect(), &Fields::new(), origin))
}

/// Checks the changed fields of a record and returns one write per part they are in.
///
/// `current` are the texts the editor saw. A field that `fields` does not name stays; an empty
/// text deletes; a text equal to the current one writes nothing, also where the field is in
/// conflict ([`resolve`] settles that).
pub fn edit(
    catalogue: &Catalogue,
    class: &str,
    place: Place,
    current: &Fields,
    fields: &Fields,
    origin: &Origin,
) -> Result<Vec<Write>, RecordError> {
    let class = find(catalogue, class)?;
    let differs = |key: &str, text: &str| current.get(key).map_or("", String::as_str) != text;
    let touched: Fields = fields
        .iter()
        .filter(|(key, text)| differs(key, text.trim()))
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect();
    let unknown = fields.keys().filter(|key| !has_text(class, key));
    let mut problems: BTreeMap<String, Problem> =
        unknown.map(|key| (key.clone(), Problem::Unknown)).collect();
    let mut values = checked(class, &touched, &mut problems);
    agree(class, &mut values, current, &mut problems);
    stand_in(class, &mut values);
    for (key, text) in &values {
        if text.is_empty() && class.field(key).is_some_and(|field| field.required) {
            problems.insert(key.clone(), Problem::Required);
        }
    }
    if !problems.is_empty() {
        return Err(RecordError::Fields(problems));
    }
    values.retain(|key, text| differs(key, text));
    if values.is_empty() {
        return Err(RecordError::Unchanged);
    }
    let edits = values.into_iter().map(|(field, text)| {
        if text.is_empty() { Edit::Delete { field } } else { Edit::Put { field, text } }
    });
    Ok(writes(class, place, edits.collect(), current, origin))
}

/// The fields that somebody has changed since `seen`, and that `fields` would write over, with
/// what stands there now.
pub fn changed_since(seen: &Fields, stored: &Fields, fields: &Fields) -> Fields {
    let at = |texts: &Fields, key: &str| texts.get(key).map_or("", String::as_str).to_owned();
    let is_overtaken = |key: &str, new: &str| {
        let (was, is) = (at(seen, key), at(stored, key));
        was != is && new != was && new != is
    };
    let overtaken = fields.iter().filter(|(key, new)| is_overtaken(key, new.trim()));
    overtaken.map(|(key, _)| (key.clone(), at(stored, key))).collect()
}

/// Settles a conflict: the chosen text, which may be one of the concurrent values or a new one,
/// replaces them all. The other values stay in the history.
pub fn resolve(
    catalogue: &Catalogue,
    class: &str,
    place: Place,
    field: &str,
    text: &str,
    origin: &Origin,
) -> Result<Vec<Write>, RecordError> {
    let class = find(catalogue, class)?;
    let one = Fields::from([(field.to_owned(), text.to_owned())]);
    let mut problems = BTreeMap::new();
    let values = checked(class, &one, &mut problems);
    if !problems.is_empty() {
        return Err(RecordError::Fields(problems));
    }
    let edits = values.into_iter().map(|(field, text)| Edit::Put { field, text });
    Ok(writes(class, place, edits.collect(), &Fields::new(), origin))
}

/// The stored form of `text` in `field`; an empty text stays empty.
pub fn check(field: &Field, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let got = text.chars().count();
    if got > FIELD_CHARACTERS {
        return Err(Problem::TooLong { got, most: FIELD_CHARACTERS });
    }
    checks::visible(text)?;
    if text.is_empty() {
        return Ok(String::new());
    }
    Ok(match field.kind {
        FieldKind::Text => text.to_owned(),
        FieldKind::Date => checks::date(text)?.to_string(),
        FieldKind::Number => checks::number(text)?,
        FieldKind::IdNumber => checks::id_number(text)?.text,
        FieldKind::Phone => checks::phone(text)?,
        FieldKind::CreditCode => checks::credit_code(text)?,
        FieldKind::Address => {
            let code = AddressCode::parse(text).map_err(|e| Problem::Address(e.to_string()))?;
            code.as_str().to_owned()
        }
        FieldKind::Choice => {
            if !field.options.iter().any(|option| option.zh == text) {
                let options: Vec<_> = field.options.iter().map(|o| o.zh.as_str()).collect();
                return Err(Problem::Option { got: text.to_owned(), options: options.join("、") });
            }
            text.to_owned()
        }
    })
}

pub(super) fn find<'a>(catalogue: &'a Catalogue, key: &str) -> Result<&'a Class, RecordError> {
    catalogue.class(key).ok_or_else(|| RecordError::Class { key: key.to_owned() })
}

fn checked(class: &Class, fields: &Fields, problems: &mut BTreeMap<String, Problem>) -> Fields {
    let mut values = Fields::new();
    for (key, text) in fields {
        let Some(field) = class.field(key) else {
            problems.insert(key.clone(), Problem::Unknown);
            continue;
        };
        match check(field, text) {
            Ok(text) => drop(values.insert(key.clone(), text)),
            Err(problem) => drop(problems.insert(key.clone(), problem)),
        }
    }
    values
}

/// Compares birth date and sex with the identity number, or takes them from it where empty.
fn agree(
    class: &Class,
    values: &mut Fields,
    current: &Fields,
    problems: &mut BTreeMap<String, Problem>,
) {
    let number = values.get("id_number").or_else(|| current.get("id_number"));
    let Some(number) = number.and_then(|number| checks::id_number(number).ok()) else { return };
    for (key, expected) in
        [("birth", number.birth.to_string()), ("sex", number.sex.as_str().to_owned())]
    {
        if class.field(key).is_none() || problems.contains_key(key) {
            continue;
        }
        match values.get(key).or_else(|| current.get(key)) {
            Some(text) if text.is_empty() || *text == expected => {}
            Some(_) => drop(problems.insert(key.to_owned(), Problem::Disagrees { expected })),
            None => drop(values.insert(key.to_owned(), expected)),
        }
    }
}

/// Puts masks where they stand in the place of a base field, such as that of a child's name.
fn stand_in(class: &Class, values: &mut Fields) {
    for field in &class.fields {
        let text = values.get(&field.key).filter(|text| !text.is_empty());
        if let (Some(shown), Some(text)) = (&field.stands_in, text)
            && let Some(masked) = mask(class, field, text)
        {
            values.insert(shown.clone(), masked);
        }
    }
}

/// One write per part, in the order of the parts, so that the base is stored first. `current` are
/// the texts before.
fn writes(
    class: &Class,
    place: Place,
    edits: Vec<Edit>,
    current: &Fields,
    origin: &Origin,
) -> Vec<Write> {
    let mut parts: BTreeMap<Part, Vec<Edit>> = BTreeMap::new();
    for edit in edits {
        let (key, text) = match &edit {
            Edit::Put { field, text } => (field, text.as_str()),
            Edit::Delete { field } => (field, ""),
            Edit::Append { .. } | Edit::Review { .. } => continue,
        };
        let field = class.field(key);
        let own = field.filter(|field| field.stands_in.is_none());
        let masked = own.and_then(|field| mask_edit(class, field, text, current));
        parts.entry(Part::Base).or_default().extend(masked);
        parts.entry(field.map_or(Part::Base, |field| field.part)).or_default().push(edit);
    }
    parts.retain(|_, edits| !edits.is_empty());
    let write = |(part, edits)| Write {
        home: class.home(part, place.address, place.record),
        edits,
        source: origin.source.clone(),
        task: origin.task.clone(),
    };
    parts.into_iter().map(write).collect()
}

#[cfg(test)]
mod tests;
