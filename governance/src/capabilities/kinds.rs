//! All kinds of data that a program knows.

use cunlian_protocol::category::{Category, CategorySet};

use super::CAPABILITIES;
use crate::capability::{Capability, Kind, Sensitivity};
use crate::language::Language;

/// The kinds of some capabilities, ordered by number. None overlaps another, each has a name of
/// its own and a text in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

/// Why kinds do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// Two have a number in common.
    #[error("the kinds {one} and {other} have a number in common")]
    Overlap {
        /// Name of one.
        one: &'static str,
        /// Name of the other.
        other: &'static str,
    },
    /// Two have one name.
    #[error("there are two kinds {name:?}")]
    SameName {
        /// The name.
        name: &'static str,
    },
    /// A name or a text is missing, or the name could be taken for a number or for several kinds.
    #[error("the kind {first} to {last} needs a name of letters and points, and both texts")]
    Unnamed {
        /// Its first number.
        first: Category,
        /// Its last number.
        last: Category,
    },
    /// The last number is before the first.
    #[error("the kind {name:?} has no number")]
    Empty {
        /// The name.
        name: &'static str,
    },
}

impl Default for Kinds {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Kinds {
    /// The kinds of [`CAPABILITIES`].
    ///
    /// # Panics
    ///
    /// If these do not go together, which a test of this crate rules out.
    pub fn built_in() -> Self {
        let mut kinds = Self(Vec::new());
        for capability in CAPABILITIES {
            kinds = kinds.with(capability).expect("the kinds of the program go together");
        }
        kinds
    }

    /// These and the kinds of one more capability.
    pub fn with(mut self, capability: &dyn Capability) -> Result<Self, KindError> {
        for kind in capability.kinds() {
            self.check(kind)?;
            let place = self.0.partition_point(|known| known.first < kind.first);
            self.0.insert(place, *kind);
        }
        Ok(self)
    }

    /// The numbers of the kinds of one capability.
    pub fn of_capability(capability: &dyn Capability) -> CategorySet {
        let kinds = capability.kinds().iter();
        CategorySet::from(kinds.map(|kind| (kind.first.0, kind.last.0)).collect::<Vec<_>>())
    }

    /// All of them, ordered by number.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }

    /// The kind of a number; `None` for a number that means nothing.
    pub fn of(&self, category: Category) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.contains(category))
    }

    /// The kind with this name.
    pub fn named(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.name == name)
    }

    /// What a number is called, the number itself where it has no kind.
    pub fn text(&self, category: Category, language: Language) -> String {
        match (self.of(category), language) {
            (Some(kind), _) => kind.text(language).to_owned(),
            (None, Language::Chinese) => format!("未定义的数据（{category}）"),
            (None, Language::English) => format!("undefined data ({category})"),
        }
    }

    /// The numbers of all kinds of some sensitivities.
    pub fn categories(&self, sensitivities: &[Sensitivity]) -> CategorySet {
        self.all_where(|kind| sensitivities.contains(&kind.sensitivity))
    }

    /// The numbers of the kinds that a predicate is true of.
    pub fn all_where(&self, predicate: impl Fn(&Kind) -> bool) -> CategorySet {
        let kinds = self.0.iter().filter(|kind| predicate(kind));
        CategorySet::from(kinds.map(|kind| (kind.first.0, kind.last.0)).collect::<Vec<_>>())
    }

    fn check(&self, kind: &Kind) -> Result<(), KindError> {
        let letters = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let is_named = kind.name.split('.').all(letters);
        if !is_named || kind.zh.trim().is_empty() || kind.en.trim().is_empty() {
            return Err(KindError::Unnamed { first: kind.first, last: kind.last });
        }
        if kind.last < kind.first {
            return Err(KindError::Empty { name: kind.name });
        }
        if self.named(kind.name).is_some() {
            return Err(KindError::SameName { name: kind.name });
        }
        let meets = |known: &&Kind| known.first <= kind.last && kind.first <= known.last;
        match self.0.iter().find(meets) {
            Some(known) => Err(KindError::Overlap { one: known.name, other: kind.name }),
            None => Ok(()),
        }
    }
}
