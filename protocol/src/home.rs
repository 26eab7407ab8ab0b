//! Where a document lives.

use serde::{Deserialize, Serialize};

use crate::address::AddressCode;
use crate::category::Category;
use crate::id::DocumentId;

/// The one place where a document lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Home {
    /// What kind of data it is.
    pub category: Category,
    /// Which address it belongs to.
    pub address: AddressCode,
    /// Which document. The same id in another category or at another address is another document.
    pub document: DocumentId,
}
