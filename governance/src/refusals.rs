//! Every key of a refusal that the program can give: each has a text in both languages.

use crate::conflict::SettleError;
use crate::divisions::PublishError;
use crate::erasure::EraseError;
use crate::library::edit::{EditError, FIELD_KEYS};
use crate::library::record::{Problem, RecordError};
use crate::library::relocation::RelocationError;
use crate::ticket::TicketError;

/// The keys, one list for each error.
pub const KEYS: [&[&str]; 9] = [
    TicketError::KEYS,
    RecordError::KEYS,
    Problem::KEYS,
    EditError::KEYS,
    FIELD_KEYS,
    RelocationError::KEYS,
    EraseError::KEYS,
    SettleError::KEYS,
    PublishError::KEYS,
];
