//! Looking at what revoked authors left in documents of others, and deciding what becomes of it.
//!
//! A decision is a change like any other, signed by a person with the right to write the
//! document: the list is the node's, the word is a person's.

use cunlian_crdt::document::{Author, Deed, Edit, Write};
use cunlian_crdt::store::WriteError;
use cunlian_governance::access::reader::Reader;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::ChangeId;
use serde::{Deserialize, Serialize};

use super::certificate::Named;
use super::naming::category_name;
use super::people::Password;
use super::{AdminError, Administration};

/// Fewest digits by which a change is named.
const CHANGE_DIGITS_MIN: usize = 6;

/// What is asked about tainted changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAction {
    /// Those that nobody has decided about; answered with a list of [`Entry`].
    List {
        /// At most this many.
        limit: usize,
    },
    /// One stays as it is or is taken back; answered with a [`Decided`].
    Decide {
        /// Its id, or the first digits of it.
        change: String,
        /// Whether it stays.
        keep: bool,
        /// Login of the person who decides.
        login: String,
        /// The person's password.
        password: Password,
    },
}

/// One change to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id, 64 hexadecimal digits.
    pub change: String,
    /// Name of the category of its document.
    pub category: String,
    /// Address of its document.
    pub address: String,
    /// Its document, 32 hexadecimal digits.
    pub document: String,
    /// Who made it.
    pub by: Named,
    /// When that person's device recorded it, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// What it did.
    pub deeds: Vec<Done>,
}

/// One thing that a change did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Set a field.
    Put {
        /// Name.
        field: String,
        /// Text.
        text: String,
    },
    /// Took a field away.
    Delete {
        /// Name.
        field: String,
    },
    /// Took a step of a case.
    Append {
        /// JSON text.
        body: String,
    },
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The change, 64 hexadecimal digits.
    pub change: String,
    /// Whether it stays.
    pub keep: bool,
    /// The change that says so.
    pub review: String,
}

impl Administration {
    /// Does what is asked about tainted changes.
    pub fn review(&self, action: &ReviewAction) -> Result<serde_json::Value, AdminError> {
        match action {
            ReviewAction::List { limit } => {
                serde_json::to_value(self.to_review(*limit)?).map_err(AdminError::new)
            }
            ReviewAction::Decide { change, keep, login, password } => {
                let author = self.acting_as(login, password)?;
                let decided = self.decide(&author, change, *keep)?;
                serde_json::to_value(decided).map_err(AdminError::new)
            }
        }
    }

    /// Changes that nobody has decided about, at most `limit`.
    pub fn to_review(&self, limit: usize) -> Result<Vec<Entry>, AdminError> {
        self.to_review_by(&Reader::everything(), limit)
    }

    /// Those of them that `reader` may read, at most `limit`. Who reads of tickets only what is
    /// assigned to them is asked about none of them: to decide on them is the dispatcher's.
    pub fn to_review_by(&self, reader: &Reader, limit: usize) -> Result<Vec<Entry>, AdminError> {
        let desk = self.desk()?;
        let tainted = self.store.to_review_where(|home| reader.may_read_of_all(home), limit)?;
        let list = tainted.into_iter().map(|entry| {
            let Home { category, address, document } = entry.home;
            let writer = entry.tainted.writer;
            Entry {
                change: writer.change.to_string(),
                category: category_name(category, &desk.catalogue),
                address: address.as_str().to_owned(),
                document: document.to_string(),
                by: desk.named(&writer.author),
                at_ms: writer.recorded_at_ms,
                deeds: entry.tainted.deeds.into_iter().map(done).collect(),
            }
        });
        Ok(list.collect())
    }

    /// Says as `author` that a change stays, or takes it back.
    pub fn decide(&self, author: &Author, change: &str, keep: bool) -> Result<Decided, AdminError> {
        let (home, change) = self.find_tainted(change)?;
        let edits = vec![Edit::Review { change, keep }];
        let write = Write { home, edits, source: "review".to_owned(), task: String::new() };
        let made = self.store.write(author, vec![write], (self.now_ms)()).map_err(in_words)?;
        let review = made.first().map(ToString::to_string).unwrap_or_default();
        Ok(Decided { change: change.to_string(), keep, review })
    }

    fn find_tainted(&self, digits: &str) -> Result<(Home, ChangeId), AdminError> {
        let digits = digits.trim().to_ascii_lowercase();
        if digits.len() < CHANGE_DIGITS_MIN {
            let error = format!("{digits:?} is too short for the id of a change");
            return Err(AdminError::new(error).hint("give at least the first 6 digits"));
        }
        let found = self.store.find_tainted(&digits)?;
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(AdminError::new(format!("no change to review begins with {digits}"))
                .hint("see them with: cunlian review list")),
            _ => Err(AdminError::new(format!("several changes begin with {digits}"))
                .hint("give more digits")),
        }
    }

    /// The key of a person of this node, opened with the password.
    pub(super) fn acting_as(&self, login: &str, password: &Password) -> Result<Author, AdminError> {
        let opened = self.operators.unlock(login, password.reveal(), rand::random());
        let unlocked = opened.map_err(|error| AdminError::new(error).hint("try again"))?;
        if unlocked.must_change {
            let error = format!("the password of {login} was given by somebody else");
            return Err(AdminError::new(error)
                .hint(format!("choose another first: cunlian operator password {login}")));
        }
        let refused = self.store.add_certificates(&[unlocked.certificate])?;
        if let Some(reason) = refused.into_iter().next() {
            return Err(AdminError::new(reason));
        }
        let authority = self.store.authority();
        if let Some(certificate) = authority.get(&unlocked.author.serial) {
            authority.valid_at(certificate, (self.now_ms)()).map_err(|refusal| {
                AdminError::new(refusal)
                    .hint("a certificate that was renewed or changed is taken over at a login")
            })?;
        }
        Ok(unlocked.author)
    }
}

/// Why a person's change was not made, and what to do.
pub(super) fn in_words(error: WriteError) -> AdminError {
    let hint = match &error {
        WriteError::Refused(_) => Some("ask somebody whose role has the right"),
        WriteError::Suspended(_) => Some("see what is wrong with: cunlian status"),
        WriteError::NoDocument { .. } => Some("it may be kept at another node only"),
        WriteError::Reason => Some("say why, without repeating what is to be erased"),
        WriteError::Nothing { .. }
        | WriteError::Erased { .. }
        | WriteError::NotTainted { .. }
        | WriteError::WrongKey
        | WriteError::ReservedField
        | WriteError::ChangeTooLarge { .. }
        | WriteError::DocumentTooLarge { .. }
        | WriteError::TooMany { .. }
        | WriteError::Blob(_)
        | WriteError::BlobNotNamed { .. }
        | WriteError::Panicked
        | WriteError::Storage(_) => None,
    };
    let error = AdminError::new(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn done(deed: Deed) -> Done {
    match deed {
        Deed::Put { field, text } => Done::Put { field, text },
        Deed::Delete { field } => Done::Delete { field },
        Deed::Append { body } => Done::Append { body },
    }
}
