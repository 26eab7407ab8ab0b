//! Why something is not done, as a value: one that a page, a phone and a program are told alike.
//!
//! Each operation has an error enum of its own. `keys` gives each of its variants a key that
//! never changes: the code of the refusal in interfaces, and the name of its text, which stands in
//! the locale files of the pages in both languages and nowhere else.
//!
//! What it is not: what the store says. A write without right, a full disk and a broken file are
//! the store's to name ([`WriteError`]); [`Failed`] keeps the two apart.

use std::collections::BTreeMap;
use std::error::Error;

use cunlian_crdt::store::{Fault, WriteError};

/// What kind of refusal it is, as far as the one who asked can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// What was sent makes no sense; another text would.
    Malformed,
    /// There is nothing of that name, or nothing this person may read.
    NotFound,
    /// This person has no right to it.
    Forbidden,
    /// The state of things is another.
    Conflict,
}

/// What fills a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// As it is.
    Text(String),
    /// The text with this key, in the reader's language.
    Key(String),
}

/// A refusal as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// The key of its text, and its code.
    pub key: &'static str,
    /// What fills the text, by name.
    pub arguments: Vec<(&'static str, Argument)>,
    /// The field it is about, if it is one.
    pub field: Option<String>,
    /// What is wrong with each field, if several are.
    pub fields: BTreeMap<String, Refusal>,
    /// What stands now in fields that somebody else has changed, if that is the reason.
    pub now: BTreeMap<String, String>,
    /// The same in English, for logs.
    pub message: String,
}

impl Refusal {
    /// That `error` is the reason.
    pub fn new(kind: RefusalKind, key: &'static str, error: &dyn Error) -> Self {
        Self {
            kind,
            key,
            arguments: Vec::new(),
            field: None,
            fields: BTreeMap::new(),
            now: BTreeMap::new(),
            message: error.to_string(),
        }
    }

    /// With a text that fills it.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: &(impl ToString + ?Sized)) -> Self {
        self.arguments.push((name, Argument::Text(text.to_string())));
        self
    }

    /// With another text that fills it.
    #[must_use]
    pub fn with_key(mut self, name: &'static str, key: impl Into<String>) -> Self {
        self.arguments.push((name, Argument::Key(key.into())));
        self
    }

    /// About one field.
    #[must_use]
    pub fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// About several fields, the first of them first.
    #[must_use]
    pub fn about_each(self, fields: BTreeMap<String, Self>) -> Self {
        Self { field: fields.keys().next().cloned(), fields, ..self }
    }
}

/// An error of an operation that can be told.
pub trait Refused: Error {
    /// How it is told.
    fn refusal(&self) -> Refusal;
}

/// Why an operation was not done: for a reason of its own, or because the store did not write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed<E: Error + 'static> {
    /// A rule of the domain is against it.
    #[error(transparent)]
    Refused(E),
    /// The store did not write it; nothing of it is there.
    #[error(transparent)]
    Store(WriteError),
}

impl<E: Error> From<WriteError> for Failed<E> {
    fn from(error: WriteError) -> Self {
        Self::Store(error)
    }
}

impl<E: Error> From<Fault> for Failed<E> {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

/// Gives each variant of an error its key, and lists the keys: `keys!(Error { pattern => "key" })`.
macro_rules! keys {
    ($error:ident { $($pattern:pat => $key:literal),+ $(,)? }) => {
        impl $error {
            /// The keys of all its texts.
            pub const KEYS: &'static [&'static str] = &[$($key),+];

            /// The key of its text, which is also its code in interfaces.
            pub fn key(&self) -> &'static str {
                match self {
                    $($pattern => $key),+
                }
            }
        }
    };
}

pub(crate) use keys;
