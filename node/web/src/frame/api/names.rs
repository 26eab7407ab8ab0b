//! How the names of things look, for the description of the interface. The types themselves are the
//! protocol's, which knows nothing of descriptions.
#![expect(dead_code, reason = "what counts is the schema")]

use utoipa::ToSchema;

/// Address code: the digits of the divisions from the province down (GB/T 2260, GB/T 10114), and of
/// the places within a village.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12}|[0-9]{15}|[0-9]{20}|[0-9]{22}|[0-9]{26})$", example = "370322102310")]
pub(crate) struct Address(String);

/// A document.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-fA-F]{32}$", example = "0123456789abcdef0123456789abcdef")]
pub(crate) struct Document(String);

/// A signed change.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub(crate) struct Change(String);

/// A certificate.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
pub(crate) struct Certificate(String);

/// Category of a document.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-fA-F]{4}$", example = "3000")]
pub(crate) struct CategoryNumber(String);

/// Part of a record.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum PartName {
    /// What everybody in charge reads.
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
