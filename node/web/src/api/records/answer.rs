//! What calls about records are answered with.

use cunlian_governance::library::catalogue::Part;
use cunlian_governance::library::{Fields, Place};
use cunlian_governance::projection::ConflictOption;
use cunlian_governance::query::conflict::Conflict;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::names::{Address, CategoryNumber, Certificate, Change, Document, PartName};
use crate::component::Height;

/// How far up a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reached {
    /// It is on this machine alone.
    Local,
    /// The town has it.
    Town,
    /// The county has it.
    County,
    /// It goes no further than this node.
    Home,
    /// The tier above has refused it.
    Refused,
    /// The tier above has no room for it yet.
    Postponed,
}

impl From<Height> for Reached {
    fn from(height: Height) -> Self {
        match height {
            Height::Local => Self::Local,
            Height::Town | Height::TownLast => Self::Town,
            Height::County => Self::County,
            Height::Home => Self::Home,
            Height::Refused => Self::Refused,
            Height::Postponed => Self::Postponed,
        }
    }
}

/// Records that were found, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    /// The records of this page.
    pub(crate) records: Vec<FoundRecord>,
    /// Whether there are others after them.
    pub(crate) more: bool,
    /// That the code which was asked for is an old one, and which one holds.
    pub(crate) note: Option<String>,
}

/// One record that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundRecord {
    /// Key of its class.
    pub(crate) class: String,
    /// Category of its base document, 4 hexadecimal digits.
    #[schema(value_type = CategoryNumber)]
    pub(crate) category: String,
    /// Its address code.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its base document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// What it is called.
    pub(crate) name: String,
    /// Texts of the base part, by key of the field.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) fields: Fields,
    /// When it was last changed, milliseconds since 1970-01-01 UTC.
    pub(crate) updated_ms: i64,
    /// Whether people wrote different values at the same time.
    pub(crate) conflicted: bool,
    /// Where it is now, when it has moved away.
    pub(crate) moved_to: Option<Elsewhere>,
    /// How far up it has come.
    pub(crate) reached: Reached,
}

/// A record at another address.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Elsewhere {
    /// Key of its class.
    pub(crate) class: String,
    /// Its address code.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its base document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
}

impl Elsewhere {
    pub(super) fn new(class: &str, place: Place) -> Self {
        Self { class: class.to_owned(), address: place.address, document: place.record }
    }
}

/// A record with all parts that the caller may read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Record {
    /// Key of its class.
    pub(crate) class: String,
    /// Its texts, by key of the field.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) fields: Fields,
    /// Fields with values that people wrote at the same time.
    pub(crate) conflicts: Vec<Concurrent>,
    /// Parts of the class that the caller has no right to.
    #[schema(value_type = Vec<PartName>)]
    pub(crate) hidden: Vec<Part>,
    /// Parts that were erased.
    pub(crate) erased: Vec<ErasedPart>,
    /// Where the record is now, when it has moved away.
    pub(crate) moved_to: Option<Elsewhere>,
    /// Where it came from.
    pub(crate) moved_from: Option<Elsewhere>,
    /// How far up its base part has come.
    pub(crate) reached: Reached,
    /// Why it has come no further, in the words of the tier above.
    pub(crate) reached_why: Option<String>,
}

/// A field with several values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Concurrent {
    /// Key of the field.
    pub(crate) field: String,
    /// The values, the one that is shown first.
    pub(crate) values: Vec<String>,
}

/// What is left of a part that was erased.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedPart {
    /// The part.
    #[schema(value_type = PartName)]
    pub(crate) part: Part,
    /// Why.
    pub(crate) reason: String,
    /// Certificate of who erased it, 32 hexadecimal digits.
    #[schema(value_type = Certificate)]
    pub(crate) author: Serial,
    /// The name in that certificate.
    pub(crate) handler: String,
    /// When, milliseconds since 1970-01-01 UTC.
    pub(crate) at_ms: i64,
    /// The signed change, 64 hexadecimal digits.
    #[schema(value_type = Change)]
    pub(crate) change: ChangeId,
}

/// A record was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WrittenRecord {
    /// Category of its base document, 4 hexadecimal digits.
    #[schema(value_type = CategoryNumber)]
    pub(crate) category: String,
    /// Its address code.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its base document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// The signed changes, durable here; none when everything was as it is.
    #[schema(value_type = Vec<Change>)]
    pub(crate) changes: Vec<ChangeId>,
}

impl WrittenRecord {
    pub(super) fn new(home: &Home, changes: Vec<ChangeId>) -> Self {
        let Home { category, address, document } = *home;
        Self { category: category.to_string(), address, document, changes }
    }
}

/// A record was moved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedRecord {
    /// Where it is now.
    #[serde(flatten)]
    pub(crate) record: WrittenRecord,
    /// The parts that went along.
    #[schema(value_type = Vec<PartName>)]
    pub(crate) parts: Vec<Part>,
    /// The parts that stayed, because the caller may not write them there.
    #[schema(value_type = Vec<PartName>)]
    pub(crate) left_behind: Vec<Part>,
}

/// Fields that people wrote at the same time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conflicts {
    /// At most a thousand, by address.
    pub(crate) conflicts: Vec<OpenConflict>,
}

/// One field with concurrent values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenConflict {
    /// Category of its document, 4 hexadecimal digits.
    #[schema(value_type = CategoryNumber)]
    pub(crate) category: String,
    /// Address code of its document.
    #[schema(value_type = Address)]
    pub(crate) address: AddressCode,
    /// Its document, 32 hexadecimal digits.
    #[schema(value_type = Document)]
    pub(crate) document: DocumentId,
    /// Key of the field.
    pub(crate) field: String,
    /// The values, the one that is shown first.
    #[schema(value_type = Vec<OneValue>)]
    pub(crate) options: Vec<ConflictOption>,
}

/// One of the values of a field.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of a type of the domain")]
pub(crate) struct OneValue {
    /// The text.
    text: String,
    /// Name in the certificate of who wrote it.
    author: String,
    /// When, milliseconds since 1970-01-01 UTC.
    at_ms: i64,
    /// Where it came from, such as `terminal` or `api`.
    source: String,
    /// The signed change, 64 hexadecimal digits.
    change: String,
}

impl From<Conflict> for OpenConflict {
    fn from(Conflict { home, field, options }: Conflict) -> Self {
        let Home { category, address, document } = home;
        Self { category: category.to_string(), address, document, field, options }
    }
}
