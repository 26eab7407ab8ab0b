//! The catalogue: which classes of records the library has, and which fields each class has.
//!
//! The eight classes of a rural library (一库) are data, embedded from `catalogue/*.json`. The
//! catalogue is itself replicated: a county writes it as documents of
//! [`Category::CATALOGUE`] homed at its own address, one document per class and one document
//! field per catalogue entry, so that two offices may add fields to one class at the same time.
//! Where no county has written a class, the built-in one holds.
//!
//! | document field | text |
//! |---|---|
//! | `class` | JSON of the class without its fields: number, key, names |
//! | `field.KEY` | JSON of one field and its position in forms |

pub mod kinds;
pub(crate) mod projection;
mod query;

use std::collections::BTreeMap;

use cunlian_crdt::document::{Edit, Write};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde::{Deserialize, Serialize};

pub use query::at;

use crate::language::Language;

/// The part of a record a field belongs to: its own document in its own category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What every holder of the class may read.
    Base,
    /// Identity numbers and ownership.
    Identity,
    /// Phones.
    Contact,
    /// Illness and disability.
    Health,
    /// Benefits and needs.
    Welfare,
    /// Children and their guardians.
    Minors,
}

impl Part {
    /// All parts, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Base, Self::Identity, Self::Contact, Self::Health, Self::Welfare, Self::Minors];

    /// The number of the part within a library category, 0–5.
    pub const fn number(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::Identity => 1,
            Self::Contact => 2,
            Self::Health => 3,
            Self::Welfare => 4,
            Self::Minors => 5,
        }
    }

    /// The part with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.number() == number)
    }

    /// The name shown to people.
    pub const fn name(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Base, Language::Chinese) => "基本信息",
            (Self::Base, Language::English) => "Basics",
            (Self::Identity, Language::Chinese) => "身份",
            (Self::Identity, Language::English) => "Identity",
            (Self::Contact, Language::Chinese) => "联系方式",
            (Self::Contact, Language::English) => "Contact",
            (Self::Health, Language::Chinese) => "健康",
            (Self::Health, Language::English) => "Health",
            (Self::Welfare, Language::Chinese) => "保障",
            (Self::Welfare, Language::English) => "Welfare",
            (Self::Minors, Language::Chinese) => "未成年人",
            (Self::Minors, Language::English) => "Minors",
        }
    }
}

/// What text a field takes; [`crate::checks`] says exactly what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Any text of one line.
    Text,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// A decimal number.
    Number,
    /// One of the field's options.
    Choice,
    /// A resident identity number, GB 11643.
    IdNumber,
    /// A mainland phone number.
    Phone,
    /// A unified social credit code, GB 32100.
    CreditCode,
    /// An address code.
    Address,
}

/// How a sensitive value is shown to who may not read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The first character: `张**`.
    Name,
    /// Beginning and end: `138****8000`.
    Phone,
    /// Place and end, or the place alone where the base holds the day of birth: see
    /// [`crate::library::masking::mask`].
    IdNumber,
}

/// One option of a choice. The Chinese text is what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Stored value and Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
}

/// One field of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name of the document field, unique within the class.
    pub key: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// What text it takes.
    pub kind: FieldKind,
    /// Which document it is in.
    pub part: Part,
    /// Whether a new record must have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Chinese help shown beside the field; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help_zh: String,
    /// English help shown beside the field; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help_en: String,
    /// The options of a choice, in the order of the form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// How a sensitive text is shown to who may not read it. Identity numbers and phones are
    /// masked without it; what has no mask is not shown at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The base field that shows the mask, if not one of its own: a child's name is shown in the
    /// place of a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<String>,
}

impl Field {
    /// The name in `language`.
    pub fn name(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }

    /// How its text is shown to who may not read it; `None` when it is not shown, or is in the
    /// base for everybody.
    pub fn masked(&self) -> Option<Mask> {
        let by_kind = match self.kind {
            FieldKind::IdNumber => Some(Mask::IdNumber),
            FieldKind::Phone => Some(Mask::Phone),
            FieldKind::Text
            | FieldKind::Date
            | FieldKind::Number
            | FieldKind::Choice
            | FieldKind::CreditCode
            | FieldKind::Address => None,
        };
        if self.part == Part::Base { None } else { self.mask.or(by_kind) }
    }

    /// The help in `language`; may be empty.
    pub fn help(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.help_zh,
            Language::English => &self.help_en,
        }
    }
}

/// One class of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Number within the library categories, 0–255. The built-in classes are 0–7.
    pub number: u8,
    /// Stable name in programs, such as `population`.
    pub key: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// The fields, in the order of the form.
    #[serde(default)]
    pub fields: Vec<Field>,
}

impl Class {
    /// The name in `language`.
    pub fn name(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }

    /// The category of `part` of this class.
    pub fn category(&self, part: Part) -> Category {
        Category::library(self.number, part.number())
    }

    /// The field with this key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The parts that have fields, in the order of their numbers.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        Part::ALL.into_iter().filter(|&part| self.fields.iter().any(|field| field.part == part))
    }

    /// The home of `part` of the record `base` at `address`.
    pub fn home(&self, part: Part, address: AddressCode, base: DocumentId) -> Home {
        let category = self.category(part);
        let document = match part {
            Part::Base => base,
            Part::Identity | Part::Contact | Part::Health | Part::Welfare | Part::Minors => {
                base.part(category)
            }
        };
        Home { category, address, document }
    }

    /// The document that holds this class in the catalogue of a county.
    pub fn document(&self) -> DocumentId {
        DocumentId(*b"cunlian catalog\0").part(Category::library(self.number, 0))
    }
}

/// One row of the projected catalogue: an entry of a class document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The class document.
    pub document: DocumentId,
    /// `class` or `field.KEY`.
    pub key: String,
    /// The JSON text.
    pub text: String,
}

/// All classes, ordered by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    classes: Vec<Class>,
}

/// A field as it stands in a document: with its position, because document fields have no order.
#[derive(Serialize, Deserialize)]
struct Placed {
    position: u32,
    #[serde(flatten)]
    field: Field,
}

/// What names a class, without its fields.
#[derive(Serialize, Deserialize)]
struct Heading {
    number: u8,
    key: String,
    zh: String,
    en: String,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Catalogue {
    /// The eight classes every county starts with.
    pub fn built_in() -> Self {
        let sources = [
            include_str!("../../catalogue/population.json"),
            include_str!("../../catalogue/housing.json"),
            include_str!("../../catalogue/medical.json"),
            include_str!("../../catalogue/enterprise.json"),
            include_str!("../../catalogue/farmland.json"),
            include_str!("../../catalogue/facility.json"),
            include_str!("../../catalogue/organisation.json"),
            include_str!("../../catalogue/care.json"),
        ];
        let class = |text| serde_json::from_str(text).expect("an embedded class is valid JSON");
        Self { classes: sources.into_iter().map(class).collect() }
    }

    /// The built-in classes, overridden and extended by what counties have written.
    ///
    /// An entry that this version cannot read is left out: the rest of its class still holds.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut documents: BTreeMap<DocumentId, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            documents.entry(entry.document).or_default().push(entry);
        }
        let mut classes: BTreeMap<u8, Class> =
            Self::built_in().classes.into_iter().map(|class| (class.number, class)).collect();
        for class in documents.values().filter_map(|entries| read_class(entries)) {
            classes.insert(class.number, class);
        }
        Self { classes: classes.into_values().collect() }
    }

    /// The classes, ordered by number.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class with this key.
    pub fn class(&self, key: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.key == key)
    }

    /// The class with this number.
    pub fn by_number(&self, number: u8) -> Option<&Class> {
        self.classes.iter().find(|class| class.number == number)
    }

    /// The writes that publish every class as the catalogue of `county`.
    pub fn writes(&self, county: AddressCode, source: &str) -> Vec<Write> {
        self.classes.iter().map(|class| publish(class, county, source)).collect()
    }
}

/// The write that publishes one class, new or changed, as part of the catalogue of `county`.
pub fn publish(class: &Class, county: AddressCode, source: &str) -> Write {
    let heading = Heading {
        number: class.number,
        key: class.key.clone(),
        zh: class.zh.clone(),
        en: class.en.clone(),
    };
    let mut edits = vec![Edit::Put { field: "class".to_owned(), text: json(&heading) }];
    edits.extend((0_u32..).zip(&class.fields).map(|(position, field)| Edit::Put {
        field: format!("field.{}", field.key),
        text: json(&Placed { position, field: field.clone() }),
    }));
    let home = Home { category: Category::CATALOGUE, address: county, document: class.document() };
    Write { home, edits, source: source.to_owned(), task: String::new() }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("catalogue types serialise to JSON")
}

fn read_class(entries: &[Entry]) -> Option<Class> {
    let heading = entries.iter().find(|entry| entry.key == "class")?;
    let heading: Heading = serde_json::from_str(&heading.text).ok()?;
    let mut fields: Vec<Placed> = entries
        .iter()
        .filter(|entry| entry.key.starts_with("field."))
        .filter_map(|entry| serde_json::from_str(&entry.text).ok())
        .collect();
    fields.sort_by(|a, b| (a.position, &a.field.key).cmp(&(b.position, &b.field.key)));
    Some(Class {
        number: heading.number,
        key: heading.key,
        zh: heading.zh,
        en: heading.en,
        fields: fields.into_iter().map(|placed| placed.field).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::collections::BTreeSet;

    use super::*;

    fn entries(writes: Vec<Write>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for write in writes {
            for edit in write.edits {
                let Edit::Put { field: key, text } = edit else { continue };
                entries.push(Entry { document: write.home.document, key, text });
            }
        }
        entries.reverse();
        entries
    }

    /// Shows that the embedded classes are complete: numbered 0–7, with unique keys, a name in
    /// the base part, and options exactly where there is a choice.
    #[test]
    fn built_in_classes_are_complete() {
        let catalogue = Catalogue::built_in();
        let numbers: Vec<u8> = catalogue.classes().iter().map(|class| class.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
        for class in catalogue.classes() {
            let keys: BTreeSet<_> = class.fields.iter().map(|field| &field.key).collect();
            assert_eq!(keys.len(), class.fields.len(), "{}", class.key);
            assert!((8..=15).contains(&keys.len()), "{} has {} fields", class.key, keys.len());
            let name = class.field("name").unwrap();
            assert!(name.required && name.part == Part::Base, "{}", class.key);
            for field in &class.fields {
                assert_eq!(field.kind == FieldKind::Choice, !field.options.is_empty());
                assert!(!field.required || field.part == Part::Base, "{}", field.key);
                assert!(field.mask.is_none() || field.masked().is_some(), "{}", field.key);
                if let Some(shown) = &field.stands_in {
                    let shown = class.field(shown).unwrap();
                    assert!(shown.part == Part::Base && field.masked().is_some(), "{}", field.key);
                }
            }
        }
    }

    /// Shows that what the law holds to be sensitive is never in the base of a class: identity
    /// numbers and phones of people, health, benefits, and what is about children; and that a
    /// person has each of the six parts.
    #[test]
    fn sensitive_fields_are_in_parts_of_their_own() {
        let catalogue = Catalogue::built_in();
        for class in catalogue.classes() {
            for field in &class.fields {
                let part = match (field.kind, field.key.as_str()) {
                    (FieldKind::IdNumber, _) => Part::Identity,
                    (FieldKind::Phone, _) => Part::Contact,
                    (_, "illness" | "disability" | "condition") => Part::Health,
                    (_, "benefit" | "need" | "group") => Part::Welfare,
                    (_, "guardian" | "child_name") => Part::Minors,
                    _ => continue,
                };
                assert_eq!(field.part, part, "{}.{}", class.key, field.key);
            }
        }
        let population = catalogue.class("population").unwrap();
        assert_eq!(population.parts().collect::<Vec<_>>(), Part::ALL);
    }

    /// Shows that a published catalogue is read back equal, in whatever order its rows come.
    #[test]
    fn the_catalogue_survives_its_documents() {
        let county = AddressCode::parse("370322").unwrap();
        let catalogue = Catalogue::built_in();
        assert_eq!(Catalogue::from_entries(entries(catalogue.writes(county, "init"))), catalogue);
        assert_eq!(Catalogue::from_entries([]), catalogue);
    }

    /// Shows that a county can add a class and a field, and that an entry of a later version
    /// costs only itself.
    #[test]
    fn a_county_extends_the_catalogue() {
        let county = AddressCode::parse("370322").unwrap();
        let mut orchard = Catalogue::built_in().class("farmland").unwrap().clone();
        orchard.number = 8;
        orchard.key = "orchard".to_owned();
        let mut rows = entries(vec![publish(&orchard, county, "county")]);
        rows.push(Entry {
            document: orchard.document(),
            key: "field.scent".to_owned(),
            text: r#"{"position":1,"key":"scent","kind":"smell"}"#.to_owned(),
        });
        let catalogue = Catalogue::from_entries(rows);
        assert_eq!(catalogue.classes().len(), 9);
        assert_eq!(catalogue.class("orchard"), Some(&orchard));
    }
}
