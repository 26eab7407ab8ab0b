//! What calls about records are answered with.

use cunlian_governance::library::catalogue::Part;
use cunlian_governance::library::{Fields, Place};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::{ChangeId, DocumentId, Serial};
use serde::Serialize;
use utoipa::ToSchema;

use crate::frame::api::names::{Address, CategoryNumber, Certificate, Change, Document, PartName};
use crate::frame::api::reached::Reached;

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
