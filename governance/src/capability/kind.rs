//! One kind of data: its numbers, its names, and who may see it.

use cunlian_protocol::category::{Category, CategorySet};

use crate::language::Language;

/// Who gets to see a kind of data, before roles cut it further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// Published: also read by the places below the one that publishes it.
    Public,
    /// Read by everybody in charge of the region, the county included.
    Open,
    /// Read by who works with it, in town and village. Those above certify others for it and
    /// cannot read it (minimum necessary, PIPL art. 6 and 28).
    Closed,
}

/// Whether documents of a kind name files, which travel as blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attachments {
    /// Text alone.
    None,
    /// Photos.
    Photos,
}

/// A kind of data, as permissions know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// First of its numbers.
    pub first: Category,
    /// Last of its numbers, included; the first again for most.
    pub last: Category,
    /// Stable name in roles and commands: the capability, and after a point the part of it, such
    /// as `ticket.contact`.
    pub name: &'static str,
    /// Chinese name.
    pub zh: &'static str,
    /// English name.
    pub en: &'static str,
    /// Who gets to see it.
    pub sensitivity: Sensitivity,
    /// Whether its documents name files.
    pub attachments: Attachments,
}

impl Kind {
    /// The name in `language`.
    pub const fn text(&self, language: Language) -> &'static str {
        match language {
            Language::Chinese => self.zh,
            Language::English => self.en,
        }
    }

    /// Whether `category` is one of its numbers.
    pub fn contains(&self, category: Category) -> bool {
        (self.first..=self.last).contains(&category)
    }

    /// All of its numbers.
    pub fn categories(&self) -> CategorySet {
        CategorySet::range(self.first, self.last)
    }

    /// The capability in its name: what stands before the point.
    pub fn capability(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(capability, _)| capability)
    }
}
